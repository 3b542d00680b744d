"""How a convolution and its two gradients are computed, per platform and shape."""

import math
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.interpreters import ad, batching, mlir

from facade.ops.registry import OPS


class Window(NamedTuple):
    """How a kernel slides over its input; one entry per spatial dimension."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int


FORWARD, INPUT, WEIGHT = "forward", "input", "weight"

# ---- precision ----

_tf32 = True


def is_tf32_allowed() -> bool:
    """Return whether a GPU may convolve float32 in TF32."""
    return _tf32


def allow_tf32(allowed: bool) -> None:
    """Say whether a GPU may convolve float32 in TF32, as PyTorch does unless told otherwise."""
    global _tf32
    if allowed != _tf32:
        _tf32 = allowed
        for spec in OPS.values():
            spec.forget()  # signatures inferred anew are new programs


# ---- algorithms: x (N, C, *size), w (O, C / groups, *kernel) -> y (N, O, *out) ----


def _by_xla(x, w, window: Window, precision=None):
    return lax.conv_general_dilated(
        x, w, window.stride, window.padding, rhs_dilation=window.dilation,
        feature_group_count=window.groups, precision=precision,
    )  # fmt: skip


def _exactly(x, w, window: Window):
    return _by_xla(x, w, window, lax.Precision.HIGHEST)


def _by_xla_with_a_margin(x, w, window: Window):
    """Convolve with a row more at the end, and leave out what it adds.

    Without any padding XLA takes a slower path: 51 ms against 20 at 64x32x26x26 -> 64, 3x3.
    """
    (low, high), *others = window.padding
    y = _by_xla(x, w, window._replace(padding=((low, high + 1), *others)))
    return lax.slice_in_dim(y, 0, out_sizes(x.shape, w.shape, window)[0], axis=2)


def _by_group(x, w, window: Window):
    """Convolve each group by itself."""
    pieces = zip(jnp.split(x, window.groups, 1), jnp.split(w, window.groups), strict=True)
    return jnp.concatenate([_by_xla(a, b, window._replace(groups=1)) for a, b in pieces], 1)


def _by_columns(x, w, window: Window):
    """Lay out what each output position sees as a column, and multiply by the kernel."""
    columns, out = unfold(x, w.shape[2:], window)
    columns = columns.reshape(x.shape[0], window.groups, -1, math.prod(out))  # (N, g, k, positions)
    matrix = w.reshape(window.groups, w.shape[0] // window.groups, -1)  # (g, o, k)
    y = _multiply(matrix, columns, pointwise=math.prod(w.shape[2:]) == 1)
    return y.reshape(x.shape[0], w.shape[0], *out)


def unfold(x, kernel: tuple, window: Window):
    """Return ``(N, C, kernel positions, *out)``, all that each output position sees, and out."""
    seen = taps(x, kernel, window)
    return jnp.stack(seen, 2), seen[0].shape[2:]


def _multiply(matrix, columns, pointwise: bool):
    n, groups, _, positions = columns.shape
    if groups > 1:
        return jnp.einsum("gok,ngkp->ngop", matrix, columns)
    matrix, columns = matrix[0], columns[:, 0]
    if pointwise and positions >= 2 * max(matrix.shape):
        # one product per image needs no transposition: 8.2 ms against 12.7 at 4x64x56x56 -> 256
        return jnp.einsum("nok,nkp->nop", jnp.broadcast_to(matrix, (n, *matrix.shape)), columns)
    return jnp.einsum("ok,nkp->nop", matrix, columns)


def _by_taps(x, w, window: Window):
    """Add up one product of maps and numbers per kernel position and input channel."""
    groups, kernel = window.groups, w.shape[2:]
    ones = (1,) * len(kernel)
    y = 0
    for number, tap in enumerate(taps(x, kernel, window)):
        n, c, *out = tap.shape
        maps = tap.reshape(n, groups, c // groups, 1, *out)
        weights = w.reshape(groups, -1, c // groups, math.prod(kernel))[..., number]  # (g, o, c)
        for channel in range(c // groups):
            y = y + maps[:, :, channel] * weights[:, :, channel].reshape(groups, -1, *ones)
    return y.reshape(n, w.shape[0], *out)  # type: ignore[attr-defined]


def taps(x, kernel: tuple, window: Window) -> list:
    """Return for each kernel position, row by row, the input element each output sees there."""
    stride, padding, dilation, _ = window
    out = out_sizes(x.shape, (0, 0, *kernel), window)
    x = jnp.pad(x, ((0, 0), (0, 0), *padding))
    found = []
    for number in range(math.prod(kernel)):
        start, rest = [], number
        for k, d in zip(reversed(kernel), reversed(dilation), strict=True):
            start.insert(0, rest % k * d)
            rest //= k
        end = [b + (o - 1) * s + 1 for b, o, s in zip(start, out, stride, strict=True)]
        found.append(lax.slice(x, (0, 0, *start), (*x.shape[:2], *end), (1, 1, *stride)))
    return found


def out_sizes(x: tuple, w: tuple, window: Window) -> tuple[int, ...]:
    """Return the result's size for an input and a kernel of these shapes."""
    rows = zip(x[2:], w[2:], *window[:3], strict=True)
    return tuple((n + low + high - d * (k - 1) - 1) // s + 1 for n, k, s, (low, high), d in rows)


# ---- one kernel per channel: the gradients have sums of taps of their own ----


def _depthwise(kind: str, window: Window, kernel: tuple):
    """Return the map for this kind, or None where the general ones serve."""
    if kind == WEIGHT:
        return _depthwise_weight
    spans = [d * (k - 1) for k, d in zip(kernel, window.dilation, strict=True)]
    fits = all(max(pads) <= span for pads, span in zip(window.padding, spans, strict=True))
    return _depthwise_input if kind == INPUT and max(window.stride) == 1 and fits else None


def _depthwise_input(y, w, *, window: Window, shape: tuple):
    """Convolve the cotangent with the kernel turned around."""
    spans = [d * (k - 1) for k, d in zip(w.shape[2:], window.dilation, strict=True)]
    pads = tuple(
        (span - low, span - high) for span, (low, high) in zip(spans, window.padding, strict=True)
    )
    turned = lax.rev(w, tuple(range(2, w.ndim)))
    return _by_taps(y, turned, window._replace(padding=pads))


def _depthwise_weight(x, y, *, window: Window, shape: tuple):
    """Sum the products of taps and cotangent in one pass over both."""
    products = [tap * y for tap in taps(x, shape[2:], window)]
    zeros = [jnp.zeros((), x.dtype)] * len(products)
    axes = (0, *range(2, x.ndim))

    def add(a, b):
        return [i + j for i, j in zip(a, b, strict=True)]

    sums = lax.reduce(products, zeros, add, axes)
    return jnp.stack(sums, 1).reshape(shape)


# ---- the choice ----


def _choose(kind: str, x: tuple, w: tuple, y: tuple, window: Window):
    """Return the algorithm for these shapes on a CPU.

    XLA's own convolution is as fast as any for large maps, and collapses for small ones and for
    groups. Milliseconds on 2 AVX-512 cores for result, input gradient and weight gradient:

        input             kernel      XLA                by columns         else
        16x512x2x2        512 3x3     139 / 138 / 2.6    2.4 / 1.9 / 2.1
        16x256x4x4        512 3x3 /2  2.0 / 35 / 2.1     1.2 / 0.9 / 1.1
        1x512x7x7         512 3x3     3.7 / 3.8 / 3.4    1.9 / 1.4 / 1.6
        4x64x56x56        256 1x1     8.3 / 8.8 / 12     2.4 / 2.6 / 2.5
        16x64x16x16       64 3x3      3.7 / 3.6 / 3.7    4.1 / 2.5 / 4.1
        32x3x32x32        16 3x3      3.0 / 3.8 / 0.9    3.0 / 1.0 / 2.7    taps 0.5 / 300 / 3.6
        8x96x56x56        depthwise   68 / 67 / 44       132 / 7.4 / 80     taps 3.0 / 3.0 / 5.8
        16x64x16x16       2 groups    4.7 / 4.6 / 185    8.3 / 2.6 / 8.0    groups 1.9 / 1.7 / 2.1
        4x128x28x28       32 groups   9.5 / 9.6 / 974    2.9 / 1.6 / 2.8    taps 0.7 / 28 / 2.6
    """
    seen = math.prod(w[1:])  # inputs that one output sees
    if 0 in (*x, *w, *y):
        return _by_xla
    if kind == FORWARD and seen <= (64 if w[1] == 1 else 36):
        return _by_taps
    if 1 < window.groups <= 8 and min(w[0] // window.groups, w[1]) > 1:
        return _by_group
    if window.groups > 1 or (seen <= 36 and kind == INPUT):
        return _by_columns
    positions = y[0] * math.prod(y[2:])
    if math.prod(w[2:]) == 1 or positions <= 2 * w[0]:
        return _by_columns
    smaller = {FORWARD: (x, w), INPUT: (y, w), WEIGHT: (x, y)}[kind]
    if any(a < b for a, b in zip(smaller[0][2:], smaller[1][2:], strict=True)):
        return _by_columns
    bare = len(window.padding) == 2 and not any(map(any, window.padding))
    return _by_xla_with_a_margin if bare else _by_xla


# ---- primitives: three bilinear maps, each the gradient of the others ----


def convolve(x, w, window: Window):
    """Return the convolution of ``x (N, C, *size)`` with ``w (O, C / groups, *kernel)``."""
    shape = (x.shape[0], w.shape[0], *out_sizes(x.shape, w.shape, window))
    return _primitive(FORWARD).bind(x, w, window=window, shape=shape)


def input_gradient(y, w, window: Window, shape: tuple):
    """Return the gradient at the input, of this ``shape``, from that at the result, ``y``."""
    return _primitive(INPUT).bind(y, w, window=window, shape=tuple(shape))


def weight_gradient(x, y, window: Window, shape: tuple):
    """Return the gradient at the kernel, of this ``shape``, from that at the result, ``y``."""
    return _primitive(WEIGHT).bind(x, y, window=window, shape=tuple(shape))


def _compute(kind: str, algorithm, a, b, *, window: Window, shape: tuple):
    """Run one of the three maps, the gradients as transposes of the algorithm."""
    if kind == FORWARD:
        return algorithm(a, b, window)
    if jnp.issubdtype(a.dtype, jnp.integer):  # JAX transposes only what has a derivative
        wide = (x.astype(jnp.float64) for x in (a, b))
        return _compute(kind, algorithm, *wide, window=window, shape=shape).astype(a.dtype)
    struct = jax.ShapeDtypeStruct(shape, a.dtype)
    if kind == INPUT:
        (result,) = jax.linear_transpose(lambda x: algorithm(x, b, window), struct)(a)
    else:
        (result,) = jax.linear_transpose(lambda w: algorithm(a, w, window), struct)(b)
    return result


def _on_cpu(kind: str, a, b, *, window: Window, shape: tuple):
    if jnp.issubdtype(a.dtype, jnp.floating) and a.dtype.itemsize < 4:
        # sums of small floats lose digits, and are no faster
        wide = (x.astype(jnp.float32) for x in (a, b))
        return _on_cpu(kind, *wide, window=window, shape=shape).astype(a.dtype)
    x, w, y = {
        FORWARD: (a.shape, b.shape, shape),
        INPUT: (shape, b.shape, a.shape),
        WEIGHT: (a.shape, shape, b.shape),
    }[kind]
    if w[:2] == (window.groups, 1) and math.prod(w[2:]) <= 64:
        special = _depthwise(kind, window, w[2:])
        if special is not None:
            return special(a, b, window=window, shape=shape)
    return _compute(kind, _choose(kind, x, w, y, window), a, b, window=window, shape=shape)


def _on_cuda(kind: str, a, b, *, window: Window, shape: tuple):
    algorithm = _by_xla if _tf32 else _exactly
    return _compute(kind, algorithm, a, b, window=window, shape=shape)


def _batch(kind: str, arrays, dims, *, window: Window, shape: tuple):
    """Let a batch of inputs be more images; a batch of kernels takes the columns."""
    (a, b), (a_dim, b_dim) = arrays, dims
    if kind != WEIGHT and b_dim is None:
        a = jnp.moveaxis(a, a_dim, 0)
        count, images = a.shape[:2]
        found = _primitive(kind).bind(
            a.reshape(count * images, *a.shape[2:]), b,
            window=window, shape=(count * images, *shape[1:]),
        )  # fmt: skip
        return found.reshape(count, *shape), 0
    run = partial(_compute, kind, _by_columns, window=window, shape=shape)
    return jax.vmap(run, dims)(a, b), 0


# a transpose rule: (cotangent, lhs, rhs) -> gradient, the one asked for given as its aval
_TRANSPOSES = {
    FORWARD: (
        lambda ct, x, w, window, shape: input_gradient(ct, w, window, x.aval.shape),
        lambda ct, x, w, window, shape: weight_gradient(x, ct, window, w.aval.shape),
    ),
    INPUT: (
        lambda ct, y, w, window, shape: convolve(ct, w, window),
        lambda ct, y, w, window, shape: weight_gradient(ct, y, window, w.aval.shape),
    ),
    WEIGHT: (
        lambda ct, x, y, window, shape: input_gradient(y, ct, window, x.aval.shape),
        lambda ct, x, y, window, shape: convolve(x, ct, window),
    ),
}


@cache
def _primitive(kind: str):
    """Return the primitive of a convolution or of one of its gradients, declared on first use."""
    from jax.extend.core import Primitive  # takes 0.1 s, a twentieth of `import facade`

    primitive = Primitive(f"convolution_{kind}")
    plain = partial(_compute, kind, _by_xla)
    exact = partial(_compute, kind, _exactly)
    primitive.def_impl(plain)
    primitive.def_abstract_eval(lambda a, b, *, window, shape: a.update(shape=shape))
    ad.defbilinear(primitive, *_TRANSPOSES[kind])
    batching.primitive_batchers[primitive] = partial(_batch, kind)
    # a TPU's default, bfloat16, is too coarse
    runs = {
        None: plain, "cpu": partial(_on_cpu, kind), "cuda": partial(_on_cuda, kind), "tpu": exact,
    }  # fmt: skip
    for platform, run in runs.items():
        mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=False), platform)
    return primitive
