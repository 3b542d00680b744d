"""The training steps of :mod:`benchmarks.gpu` as an expert writes them in JAX."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.gpu_cases import GPT, Case, ResNet


def program(case: Case, device: str):
    """Return the training step, one jitted function with donated state, and what waits for it."""
    sizes, rng = case.network, np.random.default_rng(0)
    dtype = jnp.bfloat16 if case.bfloat16 else jnp.float32
    if isinstance(sizes, ResNet):
        params, stats = resnet_params(sizes, rng)
        forward = functools.partial(resnet, sizes, dtype)
        x = rng.standard_normal((sizes.batch, sizes.size, sizes.size, 3), np.float32)
        y = rng.integers(0, sizes.classes, sizes.batch)
        optimizer = optax.sgd(0.1, momentum=0.9)
    else:
        params, stats = gpt_params(sizes, rng), {}
        forward = functools.partial(gpt, sizes, dtype, "cudnn" if device == "cuda" else None)
        text = rng.integers(0, sizes.vocabulary, (sizes.batch, sizes.length + 1))
        x, y = text[:, :-1], text[:, 1:]
        optimizer = optax.adamw(3e-4, weight_decay=0.1)
    params, stats, x, y = jax.tree.map(jnp.asarray, (params, stats, x, y))

    def loss_of(params, stats, x, y):
        logits, stats = forward(params, stats, x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), y)
        return losses.mean(), stats

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(params, stats, state, x, y):
        with jax.default_matmul_precision("tensorfloat32"):
            (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), stats, state, loss

    held = [params, stats, optimizer.init(params)]

    def step():
        held[0], held[1], held[2], _ = update(*held, x, y)

    return step, lambda: float(jax.tree.leaves(held[0])[0].sum())


# ---- ResNet: (N, H, W, C), kernels (H, W, I, O) ----


def resnet_params(sizes: ResNet, rng):
    """Return the parameters and the running statistics."""
    params, stats = {}, {}

    def conv(name: str, i: int, o: int, kernel: int):
        w = rng.standard_normal((kernel, kernel, i, o), np.float32)
        params[name] = {
            "w": w * np.float32((2 / (i * kernel**2)) ** 0.5),
            "scale": np.ones(o, np.float32),
            "shift": np.zeros(o, np.float32),
        }
        stats[name] = (np.zeros(o, np.float32), np.ones(o, np.float32))

    conv("stem", 3, sizes.width, 7)
    inputs = sizes.width
    for stage, count in enumerate(sizes.blocks):
        width = sizes.width << stage
        for block in range(count):
            name = f"{stage}.{block}"
            conv(f"{name}a", inputs, width, 1)
            conv(f"{name}b", width, width, 3)
            conv(f"{name}c", width, 4 * width, 1)
            if not block:
                conv(f"{name}d", inputs, 4 * width, 1)
            inputs = 4 * width
    head = rng.standard_normal((inputs, sizes.classes), np.float32) / np.float32(inputs**0.5)
    return params | {"head": head, "bias": np.zeros(sizes.classes, np.float32)}, stats


def resnet(sizes: ResNet, dtype, params, stats, x):
    """Return the logits and the new running statistics."""
    new = {}

    def conv(name: str, x, stride: int = 1):
        p = params[name]
        pad = p["w"].shape[0] // 2
        y = lax.conv_general_dilated(
            x.astype(dtype), p["w"].astype(dtype), (stride, stride), ((pad, pad),) * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        wide = y.astype(jnp.float32)
        mean = wide.mean((0, 1, 2))
        var = jnp.square(wide).mean((0, 1, 2)) - jnp.square(mean)
        count = y.size // y.shape[-1]
        new[name] = tuple(
            0.9 * old + 0.1 * lax.stop_gradient(now)
            for old, now in zip(stats[name], (mean, var * (count / (count - 1))), strict=True)
        )
        scale = p["scale"] * lax.rsqrt(var + 1e-5)
        return (wide * scale + (p["shift"] - mean * scale)).astype(dtype)

    x = jax.nn.relu(conv("stem", x, 2))
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pads)
    for stage, count in enumerate(sizes.blocks):
        for block in range(count):
            name, stride = f"{stage}.{block}", 2 if stage and not block else 1
            y = jax.nn.relu(conv(f"{name}a", x))
            y = jax.nn.relu(conv(f"{name}b", y, stride))
            y = conv(f"{name}c", y)
            x = jax.nn.relu(y + (x if block else conv(f"{name}d", x, stride)))
    x = x.astype(jnp.float32).mean((1, 2)).astype(dtype)
    return x @ params["head"].astype(dtype) + params["bias"].astype(dtype), new


# ---- GPT ----


def gpt_params(sizes: GPT, rng):
    """Return the parameters; those of the blocks are stacked, so that one scan runs them."""
    width = sizes.width

    def normal(*shape):
        return rng.standard_normal(shape, np.float32) * np.float32(0.02)

    def linear(i: int, o: int):
        return {"w": normal(sizes.layers, i, o), "b": np.zeros((sizes.layers, o), np.float32)}

    def norm(*shape):
        return {"scale": np.ones(shape, np.float32), "shift": np.zeros(shape, np.float32)}

    return {
        "token": normal(sizes.vocabulary, width),
        "position": normal(sizes.length, width),
        "ln": norm(width),
        "blocks": {
            "ln_1": norm(sizes.layers, width), "ln_2": norm(sizes.layers, width),
            "qkv": linear(width, 3 * width), "projection": linear(width, width),
            "up": linear(width, 4 * width), "down": linear(4 * width, width),
        },
    }  # fmt: skip


def gpt(sizes: GPT, dtype, attention: Any, params, stats, i):
    """Return the logits; there are no running statistics."""

    def norm(p, x):
        wide = x.astype(jnp.float32)
        mean = wide.mean(-1, keepdims=True)
        var = jnp.square(wide - mean).mean(-1, keepdims=True)
        return ((wide - mean) * lax.rsqrt(var + 1e-5) * p["scale"] + p["shift"]).astype(dtype)

    def linear(p, x):
        return x @ p["w"].astype(dtype) + p["b"].astype(dtype)

    def block(x, p):
        b, t, c = x.shape
        q, k, v = jnp.split(linear(p["qkv"], norm(p["ln_1"], x)), 3, -1)
        q, k, v = (y.reshape(b, t, sizes.heads, -1) for y in (q, k, v))
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=attention)
        x = x + linear(p["projection"], y.reshape(b, t, c))
        return x + linear(p["down"], jax.nn.gelu(linear(p["up"], norm(p["ln_2"], x)))), None

    x = params["token"][i] + params["position"]
    for layer in range(sizes.layers):  # unrolled: XLA schedules and fuses across blocks
        x, _ = block(x, jax.tree.map(lambda p, layer=layer: p[layer], params["blocks"]))
    return norm(params["ln"], x) @ params["token"].astype(dtype).T, stats
