"""The networks of :mod:`benchmarks.networks` in plain jax and lax, as an expert writes them."""

import numpy as np

from benchmarks.network_shapes import (
    HEADS,
    LAYERS,
    LENGTH,
    LSTM_LAYERS,
    STAGES,
    VOCABULARY,
    WIDTH,
)  # fmt: skip


class Maker:
    """Make random parameters, named by where they are used."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def weight(self, *shape, fan: int):
        return self.rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(fan**0.5)

    def linear(self, i: int, o: int, bias: bool = True) -> dict:
        found = {"w": self.weight(i, o, fan=i)}
        return found | {"b": np.zeros(o, np.float32)} if bias else found

    def norm(self, width: int) -> dict:
        return {"scale": np.ones(width, np.float32), "shift": np.zeros(width, np.float32)}

    def conv(self, i: int, o: int, k: int) -> dict:
        return {"w": self.weight(o, i, k, k, fan=i * k * k), "norm": self.norm(o)}


def jax_resnet():
    """Return parameters and running statistics, and ``(params, stats, x) -> (logits, stats)``."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    make = Maker()
    convs = {"stem": make.conv(3, 64, 7)}
    inputs = 64
    for s, (width, stride) in enumerate(STAGES):
        for b in range(2):
            convs[f"{s}{b}a"] = make.conv(inputs, width, 3)
            convs[f"{s}{b}b"] = make.conv(width, width, 3)
            if b == 0 and (stride != 1 or inputs != width):
                convs[f"{s}{b}c"] = make.conv(inputs, width, 1)
            inputs = width
    params = {"convs": convs, "head": make.linear(512, 1000)}
    stats = {
        n: (np.zeros(c["w"].shape[0], np.float32), np.ones(c["w"].shape[0], np.float32))
        for n, c in convs.items()
    }

    def forward(params, stats, x):
        new = {}

        def conv(name, x, stride=1):
            p = params["convs"][name]
            pad = p["w"].shape[-1] // 2
            y = lax.conv_general_dilated(x, p["w"], (stride,) * 2, ((pad, pad),) * 2)
            mean = y.mean((0, 2, 3))
            var = ((y - mean[:, None, None]) ** 2).mean((0, 2, 3))
            count = y.size // y.shape[1]
            new[name] = tuple(
                0.9 * old + 0.1 * lax.stop_gradient(now)
                for old, now in zip(stats[name], (mean, var * count / (count - 1)), strict=True)
            )
            scale = p["norm"]["scale"] * lax.rsqrt(var + 1e-5)
            shift = p["norm"]["shift"] - mean * scale
            return y * scale[:, None, None] + shift[:, None, None]

        x = jax.nn.relu(conv("stem", x, 2))
        pads = ((0, 0), (0, 0), (1, 1), (1, 1))
        x = lax.reduce_window(x, -np.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)
        for s, (_, stride) in enumerate(STAGES):
            for b in range(2):
                step = stride if b == 0 else 1
                y = jax.nn.relu(conv(f"{s}{b}a", x, step))
                y = conv(f"{s}{b}b", y)
                x = conv(f"{s}{b}c", x, step) if f"{s}{b}c" in params["convs"] else x
                x = jax.nn.relu(x + y)
        x = x.mean((2, 3))
        return x @ params["head"]["w"] + params["head"]["b"], new

    return jax.tree.map(jnp.array, (params, stats)), forward


def jax_gpt():
    """Return parameters and no statistics, and ``(params, stats, x) -> (logits, stats)``."""
    import jax
    import jax.numpy as jnp

    make = Maker()
    params = {
        "token": make.weight(VOCABULARY, WIDTH, fan=1),
        "position": make.weight(LENGTH, WIDTH, fan=1),
        "blocks": [
            {
                "ln_1": make.norm(WIDTH), "ln_2": make.norm(WIDTH),
                "qkv": make.linear(WIDTH, 3 * WIDTH), "projection": make.linear(WIDTH, WIDTH),
                "up": make.linear(WIDTH, 4 * WIDTH), "down": make.linear(4 * WIDTH, WIDTH),
            }
            for _ in range(LAYERS)
        ],
        "ln": make.norm(WIDTH), "head": make.linear(WIDTH, VOCABULARY, bias=False),
    }  # fmt: skip

    def norm(p, x):
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p["scale"] + p["shift"]

    def linear(p, x):
        return x @ p["w"] + p["b"]

    def forward(params, stats, i):
        x = params["token"][i] + params["position"]
        b, t, c = x.shape
        for p in params["blocks"]:
            q, k, v = jnp.split(linear(p["qkv"], norm(p["ln_1"], x)), 3, -1)
            q, k, v = (y.reshape(b, t, HEADS, c // HEADS) for y in (q, k, v))
            y = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(b, t, c)
            x = x + linear(p["projection"], y)
            y = jax.nn.gelu(linear(p["up"], norm(p["ln_2"], x)), approximate=False)
            x = x + linear(p["down"], y)
        return norm(params["ln"], x) @ params["head"]["w"], stats

    return (jax.tree.map(jnp.array, params), {}), forward


def jax_lstm():
    """Return parameters and no statistics, and ``(params, stats, x) -> (logits, stats)``."""
    import jax
    import jax.numpy as jnp

    make = Maker()
    params = {
        "layers": [
            {
                "x": make.linear(WIDTH, 4 * WIDTH),
                "h": make.linear(WIDTH, 4 * WIDTH, bias=False),
            }
            for _ in range(LSTM_LAYERS)
        ],
        "head": make.linear(WIDTH, 10),
    }

    def forward(params, stats, x):
        x = jnp.swapaxes(x, 0, 1)
        for p in params["layers"]:
            inputs = x @ p["x"]["w"] + p["x"]["b"]

            def cell(carry, inputs, w=p["h"]["w"]):
                h, c = carry
                i, f, g, o = jnp.split(inputs + h @ w, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            start = jnp.zeros((x.shape[1], WIDTH), x.dtype)
            _, x = jax.lax.scan(cell, (start, start), inputs)
        return x[-1] @ params["head"]["w"] + params["head"]["b"], stats

    return (jax.tree.map(jnp.array, params), {}), forward


def jax_measured(measure, start, forward, optimizer, x, y) -> float:
    import functools

    import jax
    import jax.numpy as jnp
    import optax

    params, stats = start
    held = [params, stats, optimizer.init(params)]
    x, y = jnp.array(x), jnp.array(y)

    def loss_of(params, stats, x, y):
        logits, stats = forward(params, stats, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), stats

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(params, stats, state, x, y):
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), stats, state, loss

    def step():
        held[0], held[1], held[2], _ = update(*held, x, y)
        float(jax.tree.leaves(held[0])[0].sum())  # waits for the step

    return measure(step)
