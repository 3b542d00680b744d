"""Single ops and their gradients: facade, plain jax and lax, PyTorch eager.

Run ``python -m benchmarks.kernels``; ``ONLY="conv;sort"`` in the environment chooses the cases that
begin so. Each case is timed without gradient, and with the gradients of all float inputs.
``NPROC=1 OMP_NUM_THREADS=1`` takes processor time on one core, which other programs disturb less.
"""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import main

SECONDS = 0.4
clock = time.process_time if os.environ.get("NPROC") == "1" else time.perf_counter


class Case(NamedTuple):
    """One op.

    Attributes:
        call: ``(torch, inputs) -> result``, for PyTorch and for facade.
        plain: ``(jax arrays) -> result``, as one writes it in JAX.
        shapes: Of the inputs; ``(shape, n)`` is indices below ``n``.
        fixed: Inputs, by position, whose gradient nobody wants.
    """

    call: Callable
    plain: Callable
    shapes: tuple
    fixed: tuple[int, ...] = ()


def cases() -> dict[str, Case]:
    found = {**_norms(), **_pointwise(), **_lookups(), **_attention(), **_pooling()}
    found |= {**_convolutions(), **_orders()}
    words = tuple(os.environ.get("ONLY", "").split(";"))
    return {name: case for name, case in found.items() if name.startswith(words)}


def _norms() -> dict[str, Case]:
    def layer(x, w, b):
        import jax

        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * w + b

    def batch(x, w, b):
        import jax

        mean = x.mean((0, 2, 3), keepdims=True)
        var = ((x - mean) ** 2).mean((0, 2, 3), keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * w[:, None, None] + b[:, None, None]

    def layers(rows, width):
        return Case(
            lambda t, x, w, b: t.nn.functional.layer_norm(x, (width,), w, b),
            layer, ((rows, width), (width,), (width,)),
        )  # fmt: skip

    def batches(*shape):
        return Case(
            lambda t, x, w, b: t.nn.functional.batch_norm(x, None, None, w, b, training=True),
            batch, (shape, (shape[1],), (shape[1],)),
        )  # fmt: skip

    return {
        "layer_norm 8192x768": layers(8192, 768),
        "layer_norm 512x128": layers(512, 128),
        "batch_norm 16x64x32x32": batches(16, 64, 32, 32),
        "batch_norm 16x64x112x112": batches(16, 64, 112, 112),
        "batch_norm 16x512x2x2": batches(16, 512, 2, 2),
        "batch_norm 1x64x32x32": batches(1, 64, 32, 32),
    }


def _pointwise() -> dict[str, Case]:
    def jax_nn(name, **given):
        def run(x):
            import jax

            return getattr(jax.nn, name)(x, **given)

        return run

    def soft(name, shape, dim):
        return Case(
            lambda t, x: getattr(t.nn.functional, name)(x, dim), jax_nn(name, axis=dim), (shape,)
        )

    def entropy(rows, classes):
        def plain(x, y):
            import optax

            return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

        return Case(
            lambda t, x, y: t.nn.functional.cross_entropy(x, y),
            plain, ((rows, classes), ((rows,), classes)),
        )  # fmt: skip

    wide = (1024, 3072)
    return {
        "gelu 1024x3072": Case(
            lambda t, x: t.nn.functional.gelu(x), jax_nn("gelu", approximate=False), (wide,)
        ),
        "gelu tanh 1024x3072": Case(
            lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), jax_nn("gelu"), (wide,)
        ),
        "gelu 512x512": Case(
            lambda t, x: t.nn.functional.gelu(x), jax_nn("gelu", approximate=False), ((512, 512),)
        ),
        "silu 1024x3072": Case(lambda t, x: t.nn.functional.silu(x), jax_nn("silu"), (wide,)),
        "softmax 6144x256": soft("softmax", (6144, 256), -1),
        "softmax 256x32000": soft("softmax", (256, 32000), -1),
        "softmax 16x64x32x32 dim 1": soft("softmax", (16, 64, 32, 32), 1),
        "log_softmax 4096x1000": soft("log_softmax", (4096, 1000), -1),
        "cross_entropy 256x32000": entropy(256, 32000),
        "cross_entropy 4096x1000": entropy(4096, 1000),
        "cross_entropy 512x65": entropy(512, 65),
    }


def _lookups() -> dict[str, Case]:
    def table(rows, width, *shape):
        return Case(
            lambda t, w, i: t.nn.functional.embedding(i, w),
            lambda w, i: w[i], ((rows, width), (shape, rows)),
        )  # fmt: skip

    def gather(x, i):
        import jax.numpy as jnp

        return jnp.take_along_axis(x, i, 1)

    return {
        "embedding 50257x768, 8x512": table(50257, 768, 8, 512),
        "embedding 10000x128, 32x50": table(10000, 128, 32, 50),
        "embedding 65x128, 8x64": table(65, 128, 8, 64),
        "index_select 10000x128, 4096": Case(
            lambda t, x, i: t.index_select(x, 0, i),
            lambda x, i: x[i], ((10000, 128), ((4096,), 10000)),
        ),
        "index_select 256x1000 columns, 500": Case(
            lambda t, x, i: t.index_select(x, 1, i),
            lambda x, i: x[:, i], ((256, 1000), ((500,), 1000)),
        ),
        "gather 1024x1024, 1024x64": Case(
            lambda t, x, i: t.gather(x, 1, i), gather, ((1024, 1024), ((1024, 64), 1024))
        ),
        "index_add 10000x128, 4096": Case(
            lambda t, x, i, s: t.index_add(x, 0, i, s),
            lambda x, i, s: x.at[i].add(s), ((10000, 128), ((4096,), 10000), (4096, 128)),
        ),
    }  # fmt: skip


def _attention() -> dict[str, Case]:
    def attend(batch, heads, length, width, causal):
        def plain(q, k, v):
            import jax

            q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
            y = jax.nn.dot_product_attention(q, k, v, is_causal=causal)
            return y.transpose(0, 2, 1, 3)

        shape = (batch, heads, length, width)
        return Case(
            lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=causal
            ),
            plain, (shape,) * 3,
        )  # fmt: skip

    return {
        "attention 8x4x64x32 causal": attend(8, 4, 64, 32, True),
        "attention 4x12x256x64 causal": attend(4, 12, 256, 64, True),
        "attention 1x8x1024x64 causal": attend(1, 8, 1024, 64, True),
        "attention 1x8x1024x64": attend(1, 8, 1024, 64, False),
    }


def _pooling() -> dict[str, Case]:
    def window(kind, size, stride, pad):
        def run(x):
            from jax import lax

            def over(x, start, combine):
                pads = ((0, 0), (0, 0), (pad, pad), (pad, pad))
                ones = (1, 1)
                return lax.reduce_window(
                    x, start, combine, ones + (size,) * 2, ones + (stride,) * 2, pads
                )

            if kind == "max":
                return over(x, -np.inf, lax.max)
            return over(x, 0.0, lax.add) / size**2

        return run

    def pool(kind, shape, size, stride, pad=0):
        name = f"{kind}_pool2d"
        return Case(
            lambda t, x: getattr(t.nn.functional, name)(x, size, stride, pad),
            window(kind, size, stride, pad), (shape,),
        )  # fmt: skip

    small, large = (16, 64, 32, 32), (4, 64, 112, 112)
    return {
        "max_pool 16x64x32x32 3x3/2": pool("max", small, 3, 2, 1),
        "max_pool 4x64x112x112 3x3/2": pool("max", large, 3, 2, 1),
        "max_pool 16x64x32x32 2x2": pool("max", small, 2, 2),
        "avg_pool 16x64x32x32 2x2": pool("avg", small, 2, 2),
        "avg_pool 16x64x32x32 3x3/1": pool("avg", small, 3, 1, 1),
        "adaptive_avg_pool 16x512x7x7 -> 1": Case(
            lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 1),
            lambda x: x.mean((2, 3), keepdims=True), ((16, 512, 7, 7),),
        ),
        "adaptive_avg_pool 16x64x32x32 -> 8": Case(
            lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 8),
            lambda x: x.reshape(16, 64, 8, 4, 8, 4).mean((3, 5)), (small,),
        ),
    }  # fmt: skip


def _convolutions() -> dict[str, Case]:
    def conv(shape, out, kernel, stride=1, pad=0, groups=1, fixed=()):
        def plain(x, w):
            from jax import lax

            return lax.conv_general_dilated(
                x, w, (stride,) * 2, ((pad, pad),) * 2, feature_group_count=groups
            )

        return Case(
            lambda t, x, w: t.nn.functional.conv2d(x, w, None, stride, pad, 1, groups),
            plain, (shape, (out, shape[1] // groups, kernel, kernel)), fixed,
        )  # fmt: skip

    def transposed(shape, out, kernel, stride):
        def plain(x, w):
            from jax import lax

            return lax.conv_transpose(
                x, w, (stride,) * 2, "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"),
                transpose_kernel=True,
            )  # fmt: skip

        return Case(
            lambda t, x, w: t.nn.functional.conv_transpose2d(x, w, None, stride),
            plain, (shape, (shape[1], out, kernel, kernel)),
        )  # fmt: skip

    return {
        "conv 16x64x16x16 3x3": conv((16, 64, 16, 16), 64, 3, 1, 1),
        "conv 16x128x8x8 3x3": conv((16, 128, 8, 8), 128, 3, 1, 1),
        "conv 16x256x4x4 3x3": conv((16, 256, 4, 4), 256, 3, 1, 1),
        "conv 16x512x2x2 3x3": conv((16, 512, 2, 2), 512, 3, 1, 1),
        "conv 16x64x16x16 3x3/2": conv((16, 64, 16, 16), 128, 3, 2, 1),
        "conv 16x64x16x16 1x1/2": conv((16, 64, 16, 16), 128, 1, 2, 0),
        "conv 1x64x16x16 3x3": conv((1, 64, 16, 16), 64, 3, 1, 1),
        "conv 1x512x2x2 3x3": conv((1, 512, 2, 2), 512, 3, 1, 1),
        "conv 4x64x56x56 3x3": conv((4, 64, 56, 56), 64, 3, 1, 1),
        "conv 4x128x28x28 3x3": conv((4, 128, 28, 28), 128, 3, 1, 1),
        "conv 4x256x14x14 3x3": conv((4, 256, 14, 14), 256, 3, 1, 1),
        "conv 4x512x7x7 3x3": conv((4, 512, 7, 7), 512, 3, 1, 1),
        "conv 4x64x56x56 1x1": conv((4, 64, 56, 56), 256, 1),
        "conv 16x3x64x64 7x7/2 first layer": conv((16, 3, 64, 64), 64, 7, 2, 3, fixed=(0,)),
        "conv 4x3x224x224 7x7/2 first layer": conv((4, 3, 224, 224), 64, 7, 2, 3, fixed=(0,)),
        "conv 32x3x32x32 3x3 first layer": conv((32, 3, 32, 32), 64, 3, 1, 1, fixed=(0,)),
        "conv 8x96x56x56 3x3 depthwise": conv((8, 96, 56, 56), 96, 3, 1, 1, 96),
        "conv 4x128x28x28 3x3 32 groups": conv((4, 128, 28, 28), 128, 3, 1, 1, 32),
        "conv_transpose 8x64x16x16 4x4/2": transposed((8, 64, 16, 16), 32, 4, 2),
        "linear 64x784 -> 512 first layer": Case(
            lambda t, x, w: t.nn.functional.linear(x, w),
            lambda x, w: x @ w.T, ((64, 784), (512, 784)), (0,),
        ),
    }  # fmt: skip


def _orders() -> dict[str, Case]:
    def jnp_name(name, *args, **given):
        def run(x):
            import jax.numpy as jnp

            return getattr(jnp, name)(x, *args, **given)

        return run

    def top(x):
        import jax

        return jax.lax.top_k(x, 5)[0]

    square, wide = (1024, 1024), (256, 32000)
    return {
        "cumsum 1024x1024 dim 1": Case(
            lambda t, x: t.cumsum(x, 1), jnp_name("cumsum", 1), (square,)
        ),
        "cumsum 1024x1024 dim 0": Case(
            lambda t, x: t.cumsum(x, 0), jnp_name("cumsum", 0), (square,)
        ),
        "cumsum 1000000": Case(
            lambda t, x: t.cumsum(x, 0), jnp_name("cumsum", 0), ((1_000_000,),)
        ),
        "cumprod 1024x1024 dim 1": Case(
            lambda t, x: t.cumprod(x, 1), jnp_name("cumprod", 1), (square,)
        ),
        "argmax 256x32000": Case(
            lambda t, x: t.argmax(x, 1), jnp_name("argmax", 1), (wide,), (0,)
        ),
        "max 256x32000": Case(
            lambda t, x: t.max(x, 1).values, jnp_name("max", 1), (wide,)
        ),
        "topk 256x32000, 5": Case(lambda t, x: t.topk(x, 5)[0], top, (wide,)),
        "sort 1024x1024": Case(lambda t, x: t.sort(x, 1)[0], jnp_name("sort", 1), (square,)),
        "argsort 1024x1024": Case(
            lambda t, x: t.argsort(x, 1), jnp_name("argsort", 1), (square,), (0,)
        ),
    }  # fmt: skip


# ---- measuring ----


def inputs_of(case: Case) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, s[1], s[0]) if s and isinstance(s[0], tuple)
        else rng.standard_normal(s).astype(np.float32)
        for s in case.shapes
    ]  # fmt: skip


def wanted(case: Case, inputs) -> list[int]:
    """Return the positions of the inputs whose gradient is taken."""
    return [i for i, x in enumerate(inputs) if x.dtype == np.float32 and i not in case.fixed]


def timed(run: Callable[[], object]) -> float:
    """Return the least seconds of one call: what it takes when nothing else runs."""
    for _ in range(3):
        run()
    samples: list[float] = []
    end = clock() + SECONDS
    while clock() < end or len(samples) < 3:
        start = clock()
        run()
        samples.append(clock() - start)
    return min(samples)


def imperative(torch, finish: Callable[[list], Any]) -> dict[str, float]:
    """The PyTorch program, for PyTorch and for facade."""
    seconds = {}
    for name, case in cases().items():
        inputs = inputs_of(case)
        tensors = list(map(torch.from_numpy, inputs))
        seconds[name] = timed(lambda t=tensors, case=case: finish([case.call(torch, *t)]))
        leaves = [tensors[i].requires_grad_() for i in wanted(case, inputs)]
        if not leaves:
            continue
        cotangent = torch.ones_like(case.call(torch, *tensors)).detach()

        def both(case=case, tensors=tensors, leaves=leaves, cotangent=cotangent):
            result = case.call(torch, *tensors)
            result.backward(cotangent)
            finish([result, *(x.grad for x in leaves)])
            for x in leaves:
                x.grad = None

        seconds[f"{name}, with gradient"] = timed(both)
    return seconds


def run_facade() -> dict[str, float]:
    import facade

    def finish(tensors) -> None:
        for t in tensors:
            t.detach().__jax_array__().block_until_ready()

    return imperative(facade, finish)


def run_torch() -> dict[str, float]:
    import torch

    return imperative(torch, lambda tensors: None)


def run_jax() -> dict[str, float]:
    import jax
    import jax.numpy as jnp

    seconds = {}
    for name, case in cases().items():
        inputs = inputs_of(case)
        arrays = [jnp.asarray(x) for x in inputs]
        forward = jax.jit(case.plain)
        seconds[name] = timed(lambda f=forward, a=arrays: f(*a).block_until_ready())
        places = wanted(case, inputs)
        if not places:
            continue

        @jax.jit
        def both(cotangent, *arrays, case=case, places=places):
            def part(*floats):
                row = dict(zip(places, floats, strict=True))
                return case.plain(*(row.get(i, x) for i, x in enumerate(arrays)))

            result, pull = jax.vjp(part, *(arrays[i] for i in places))
            return result, pull(cotangent)

        cotangent = jnp.ones_like(forward(*arrays))
        seconds[f"{name}, with gradient"] = timed(
            lambda f=both, c=cotangent, a=arrays: jax.block_until_ready(f(c, *a))
        )
    return seconds


if __name__ == "__main__":
    engines = {"facade": run_facade, "jax": run_jax, "torch": run_torch}
    main("benchmarks.kernels", engines, rounds=3)
