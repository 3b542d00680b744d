"""Pooling: one number for each window of a map."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from facade.errors import wrap_dim
from facade.ops.declare import kernel, refuse_dtype, spread
from facade.ops.registry import Raw, op

_Sizes = int | tuple[int, ...]


class Axis(NamedTuple):
    """The windows along one dimension: which positions each of them sees.

    Regular windows have a stride and a padding; adaptive ones are given by their positions.
    """

    out: int
    size: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    positions: tuple[tuple[int, ...], ...] | None = None

    def tap(self, x, dim: int, number: int, fill):
        """Return for each window its element ``number`` along ``dim``."""
        if self.positions is not None:
            rows = np.array([row[number] for row in self.positions])
            return jnp.take(x, rows, axis=dim, mode="clip")
        start = number * self.dilation
        end = start + (self.out - 1) * self.stride + 1
        edges = [(0, 0, 0)] * x.ndim
        edges[dim] = (self.padding - start, end - x.shape[dim] - self.padding, 0)
        x = lax.pad(x, jnp.asarray(fill, x.dtype), edges)
        return lax.slice_in_dim(x, 0, None, self.stride, dim)

    def first(self) -> np.ndarray:
        """Return each window's first position inside the map."""
        if self.positions is not None:
            return np.array([row[0] for row in self.positions])
        start = np.arange(self.out) * self.stride - self.padding
        return start + self.dilation * np.maximum(-(start // self.dilation), 0)


def _out(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (out - 1) * stride >= size + padding:
        out -= 1  # the last window would begin in the padding
    return out


def _axes(shape: tuple, dims: int, kernel, stride, padding, dilation, ceil_mode) -> list[Axis]:
    rows = zip(
        shape[-dims:],
        spread(kernel, dims),
        spread(kernel if stride in (None, ()) else stride, dims),
        spread(padding, dims),
        spread(dilation, dims),
        strict=True,
    )
    return [Axis(_out(size, k, s, p, d, ceil_mode), k, s, p, d) for size, k, s, p, d in rows]


def _adaptive_axes(shape: tuple, output_size: tuple) -> list[Axis]:
    """Return windows that share the map out evenly; the shorter ones see their last twice."""
    axes = []
    for size, out in zip(shape[-len(output_size) :], output_size, strict=True):
        if out and size % out == 0:
            axes.append(Axis(out, size // out, size // out))
            continue
        bounds = [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]
        longest = max((end - start for start, end in bounds), default=0)
        positions = tuple(
            tuple(min(start + i, end - 1) for i in range(longest)) for start, end in bounds
        )
        axes.append(Axis(out, longest, positions=positions))
    return axes


# ---- errors ----

_NAMES = {1: "one int", 2: "two ints", 3: "three ints"}


def _check_counts(name: str, dims: int, **sizes) -> None:
    for argument, row in sizes.items():
        if isinstance(row, int) or row is None or len(row) in (1, dims):
            continue
        if argument == "stride" and not row:
            continue
        if dims == 1 and name == "max_pool1d":
            raise RuntimeError(
                f"max_pool1d() {argument} must be an int, list of ints or tuple of ints of size 1 "
                f"but got size {len(row)}"
            )
        if dims == 1:
            raise RuntimeError(
                f"{name}() argument '{argument}' should contain one int (got {len(row)})"
            )
        either = {
            "stride": "must either be omitted, a single int, or a tuple of",
            "dilation": "must be either a single int, or a tuple of",
        }.get(argument, "must either be a single int, or a tuple of")
        raise RuntimeError(f"{name}: {argument} {either} {_NAMES[dims]}")


def _check_max_pool1d(shape: tuple, kernel, stride, padding, dilation, out: int) -> None:
    (k,), (p,), (d,) = spread(kernel, 1), spread(padding, 1), spread(dilation, 1)
    (s,) = (k,) if stride in (None, ()) else spread(stride, 1)
    for name, value in (("kernel_size", k), ("stride", s)):
        if value <= 0:
            raise RuntimeError(f"max_pool1d() {name} must be greater than zero, but got {value}")
    if p < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {p}")
    if p > k // 2:
        raise RuntimeError(
            "max_pool1d() padding should be at most half of kernel size, "
            f"but got padding={p} and kernel_size={k}"
        )
    if d <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {d}")
    out = _axes(shape, 1, k, s, p, d, out)[0].out
    if out <= 0:
        raise RuntimeError(f"max_pool1d() Invalid computed output size: {out}")


def _check_window(dims, kernel, stride, padding, dilation) -> None:
    kernel = spread(kernel, dims)
    stride = kernel if stride in (None, ()) else spread(stride, dims)
    dilation = spread(dilation, dims)
    if 0 in stride:
        raise RuntimeError("stride should not be zero")
    axes = ("T", "H", "W")[-max(dims, 2) :]
    if min(kernel) <= 0:
        shown = " ".join(f"k{a}: {k}" for a, k in zip(axes, kernel, strict=False))
        raise RuntimeError(f"kernel size should be greater than zero, but got {shown}")
    if min(dilation) <= 0:
        shown = " ".join(f"dilation{a}: {d}" for a, d in zip(axes, dilation, strict=False))
        raise RuntimeError(f"dilation should be greater than zero, but got {shown}")
    for p, k, d in zip(spread(padding, dims), kernel, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (k - 1) + 1) // 2:
            raise RuntimeError(
                "pad should be at most half of effective kernel size, "
                f"but got pad={p}, kernel_size={k} and dilation={d}"
            )


def _check_input(shape: tuple, dims: int, caller: str = "") -> None:
    if len(shape) not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for input"
        )
    if 0 not in shape[-dims - 1 :]:
        return
    if dims == 1:  # torch computes it in two dimensions
        shape, dims = (*shape[:-1], 1, shape[-1]), 2
    if dims == 3:
        raise RuntimeError(
            f"{caller}: Expected input's non-batch dimensions to have positive length, but input "
            f"has a shape of {list(shape)} and non-batch dimension 0 has length zero!"
        )
    raise RuntimeError(
        f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch "
        f"size for input, but got:{list(shape)}"
    )


def _check_output(shape: tuple, axes: list[Axis]) -> None:
    out = [a.out for a in axes]
    if min(out) > 0:
        return
    channels, size = shape[-len(axes) - 1], list(shape[-len(axes) :])
    if len(axes) == 1:  # torch computes it in two dimensions
        size, out = [1, *size], [1, *out]
    given, computed = ("x".join(map(str, (channels, *row))) for row in (size, out))
    raise RuntimeError(
        f"Given input size: ({given}). Calculated output size: ({computed}). "
        "Output size is too small"
    )


def _check_max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, dims, simple):
    name, shape = f"max_pool{dims}d", input.shape
    sizes = (kernel_size, stride, padding, dilation)
    if dims == 1 and (len(shape) not in (2, 3) or (simple and 0 in shape[-2:])):
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got:{list(shape)}"
        )
    _check_counts(
        name, dims, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    if dims == 1 and simple:
        _check_max_pool1d(shape, *sizes, ceil_mode)
    _check_window(dims, *sizes)
    _check_input(shape, dims, "max_pool3d_with_indices_out_cpu_template()")
    _check_output(shape, _axes(shape, dims, *sizes, ceil_mode))
    refuse_dtype(input.dtype, {"bool": kernel(f"max_pool{max(dims, 2)}d")})


# ---- the greatest ----

_MAX_NAMES = {
    1: "SqueezeBackward1",
    2: "MaxPool2DWithIndicesBackward0",
    3: "MaxPool3DWithIndicesBackward0",
}


def _least(dtype):
    if jnp.issubdtype(dtype, jnp.floating):
        return -jnp.inf
    return jnp.iinfo(dtype).min


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _greatest(x, axes):
    """Return each window's greatest element and its place in the flattened map.

    One dimension after the other, so that the work grows with the sum of the window's sizes. The
    first of equals wins, and the last nan, as in PyTorch.
    """
    dims, shape = len(axes), x.shape
    place = jnp.arange(math.prod(shape[-dims:]), dtype=jnp.int32).reshape(shape[-dims:])
    found = jnp.broadcast_to(place, shape)
    for dim in range(x.ndim - 1, x.ndim - dims - 1, -1):
        axis = axes[dim - x.ndim]
        taps = [
            (axis.tap(x, dim, number, _least(x.dtype)), axis.tap(found, dim, number, -1))
            for number in range(axis.size)
        ]
        best, at = taps[0]
        for value, where in taps[1:]:
            better = (value > best) | (value != value) | (at < 0)
            best, at = jnp.where(better, value, best), jnp.where(better, where, at)
        x, found = best, at
    return x, found


@_greatest.defjvp
def _greatest_jvp(axes, primals, tangents):
    best, at = _greatest(*primals, axes)
    rows = tangents[0].reshape(*best.shape[: -len(axes)], -1)
    places = at.reshape(*rows.shape[:-1], -1)
    moved = jnp.take_along_axis(rows, places, -1, mode="promise_in_bounds").reshape(best.shape)
    return (best, at), (moved, np.zeros(at.shape, jax.dtypes.float0))


@op(public="", check=_check_max_pool, formats=(0,), grad_name=lambda dims: _MAX_NAMES[dims])
def max_pool(
    input: Raw, kernel_size: _Sizes, stride: _Sizes | None, padding: _Sizes, dilation: _Sizes,
    ceil_mode: bool, dims: int, simple: bool = False,
) -> tuple:  # fmt: skip
    """Return each window's greatest element and its place in the flattened map.

    Args:
        dims: How many dimensions at the end are pooled.
        simple: Whether no places are wanted; in one dimension PyTorch's errors depend on it.
    """
    axes = _axes(input.shape, dims, kernel_size, stride, padding, dilation, ceil_mode)
    best, at = _greatest(input, tuple(axes))
    return best, at.astype(jnp.int64)


# ---- the mean ----


def _check_avg_pool(
    input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dims
):
    name, shape = f"avg_pool{dims}d", input.shape
    sizes = (kernel_size, stride, padding, 1)
    if dims == 1 and len(shape) not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument #1 "
            "'self' (while checking arguments for avg_pool1d)"
        )
    _check_counts(name, dims, kernel_size=kernel_size, stride=stride, padding=padding)
    if dims == 2 and len(shape) < 3:
        wrap_dim(-3, len(shape))
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    if dims == 3 and len(shape) not in (4, 5):
        _check_input(shape, 3)
    _check_window(dims, *sizes)
    _check_input(shape, dims, "avg_pool3d()")
    _check_avg_output(shape, _axes(shape, dims, *sizes, ceil_mode))
    refuse_dtype(input.dtype, {"bool": kernel(f"avg_pool{max(dims, 2)}d")})


def _check_avg_output(shape: tuple, axes: list[Axis]) -> None:
    if len(axes) == 3 and min(a.out for a in axes) <= 0:
        image = " ".join(f"{n}: {s}" for n, s in zip("THW", shape[-3:], strict=True))
        window = " ".join(f"k{n}: {a.size}" for n, a in zip("THW", axes, strict=True))
        raise RuntimeError(f"input image ({image}) smaller than kernel size ({window})")
    _check_output(shape, axes)


def _counts(axis: Axis, size: int, with_padding: bool) -> np.ndarray:
    """Return how many positions each window counts along one dimension."""
    start = np.arange(axis.out) * axis.stride - axis.padding
    end = np.minimum(start + axis.size, size + axis.padding)
    return end - start if with_padding else np.minimum(end, size) - np.maximum(start, 0)


def _window_sums(x, axes):
    """Return the sum of each window."""
    leading = (1,) * (x.ndim - len(axes))
    ends = [
        (a.padding, (a.out - 1) * a.stride + a.size - size - a.padding)
        for a, size in zip(axes, x.shape[-len(axes) :], strict=True)
    ]
    cut = [(0, 0, 0)] * len(leading) + [(0, min(high, 0), 0) for _, high in ends]
    x = lax.pad(x, jnp.zeros((), x.dtype), cut)  # the map's end that no window sees
    return lax.reduce_window(
        x, np.zeros((), x.dtype)[()], lax.add,
        leading + tuple(a.size for a in axes),
        leading + tuple(a.stride for a in axes),
        [(0, 0)] * len(leading) + [(low, max(high, 0)) for low, high in ends],
    )  # fmt: skip


@op(
    public="", check=_check_avg_pool, formats=(0,),
    grad_name=lambda dims: "SqueezeBackward1" if dims == 1 else f"AvgPool{dims}DBackward0",
)  # fmt: skip
def avg_pool(
    input: Raw, kernel_size: _Sizes, stride: _Sizes | None, padding: _Sizes, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None, dims: int,
) -> jax.Array:  # fmt: skip
    """Return each window's mean.

    Args:
        count_include_pad: Whether the mean counts the padding.
        divisor_override: What to divide the sum by instead.
        dims: How many dimensions at the end are pooled.
    """
    axes = _axes(input.shape, dims, kernel_size, stride, padding, 1, ceil_mode)
    counts = np.ones(())
    for axis, size in zip(axes, input.shape[-dims:], strict=True):
        counts = counts[..., None] * _counts(axis, size, count_include_pad)
    total = _window_sums(input, axes)
    if divisor_override is not None:
        counts = np.array(divisor_override)
    elif (counts == counts.flat[0]).all():
        counts = counts.flat[0]
    if jnp.issubdtype(input.dtype, jnp.integer):
        return lax.div(total, jnp.broadcast_to(jnp.asarray(counts, input.dtype), total.shape))
    return total / jnp.asarray(counts, input.dtype)


def _check_adaptive(kind: str):
    def check(input, output_size):
        dims = len(output_size)
        name, shape = f"adaptive_{kind}_pool{dims}d", list(input.shape)
        if dims == 1 and len(shape) not in (2, 3):
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for "
                f"argument #1 'self' (while checking arguments for {name})"
            )
        if kind == "avg" and min(output_size) < 0:
            whole = (1, *output_size) if dims == 1 else output_size  # computed in two dimensions
            first, *others = map(str, whole)
            raise RuntimeError(
                f"adaptive_avg_pool{len(whole)}d: elements of output_size must be greater than or "
                f"equal to 0 but received {{{first}, {','.join(others)}}}"
            )
        if len(shape) not in (dims + 1, dims + 2):
            colon = ":" if kind == "max" else ""
            raise RuntimeError(
                f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got{colon} {shape}"
            )
        for dim in range(len(shape) - dims, len(shape)):
            if not shape[dim] and output_size != (1,) * dims:
                raise RuntimeError(
                    f"{name}(): Expected input to have non-zero size for non-batch dimensions, "
                    f"but input has sizes {shape} with dimension {dim} being empty"
                )
        if min(output_size) < 0:
            whole = (1, *output_size) if dims == 1 else output_size
            made = [*shape[:-dims], *whole]
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {min(output_size)}: {made}"
            )
        error = kernel(f"adaptive_{kind}_pool{max(dims, 2)}d")
        refuse_dtype(input.dtype, {"bool": error, "integer": error})

    return check


def _adaptive_name(kind: str):
    def name(output_size) -> str:
        dims = len(output_size)
        if dims == 1:
            return "SqueezeBackward1"
        if kind == "Avg" and output_size == (1,) * dims:
            return "MeanBackward1"
        return f"Adaptive{kind}Pool{dims}DBackward0"

    return name


@op(public="", check=_check_adaptive("avg"), formats=(0,), grad_name=_adaptive_name("Avg"))
def adaptive_avg_pool(input: Raw, output_size: tuple[int, ...]) -> jax.Array:
    """Return the means of ``output_size`` windows that share the map out evenly."""
    dims = len(output_size)
    if output_size == (1,) * dims:
        return jnp.mean(input, tuple(range(-dims, 0)), keepdims=True)
    for dim, out in enumerate(output_size, input.ndim - dims):
        size = input.shape[dim]
        if out == size:
            continue
        if out and size % out == 0:
            split = (*input.shape[:dim], out, size // out, *input.shape[dim + 1 :])
            input = jnp.mean(input.reshape(split), dim + 1)
        else:
            weights = jnp.asarray(_shares(size, out), input.dtype)
            mixed = jnp.tensordot(input, weights, (dim, 1), precision=lax.Precision.HIGHEST)
            input = jnp.moveaxis(mixed, -1, dim)
    return input


def _shares(size: int, out: int) -> np.ndarray:
    """Return the matrix that takes the means of ``out`` windows along a dimension."""
    weights = np.zeros((out, size))
    for i in range(out):
        start, end = i * size // out, -(-(i + 1) * size // out)
        weights[i, start:end] = 1 / (end - start)
    return weights


@op(public="", check=_check_adaptive("max"), formats=(0,), grad_name=_adaptive_name("Max"))
def adaptive_max_pool(input: Raw, output_size: tuple[int, ...]) -> tuple:
    """Return the greatest of ``output_size`` windows that share the map out evenly, and where."""
    axes = _adaptive_axes(input.shape, output_size)
    if 0 in (*output_size, *input.shape):
        shape = (*input.shape[: -len(output_size)], *output_size)
        return jnp.zeros(shape, input.dtype), jnp.zeros(shape, jnp.int64)
    best, at = _greatest(input, tuple(axes))
    return best, at.astype(jnp.int64)


# ---- back to the larger map ----


def _check_unpool(input, indices, output_size):
    if indices.dtype.name != "int64":
        names = {"int32": "Int", "int16": "Short", "float32": "Float", "float64": "Double"}
        name = names.get(indices.dtype.name, indices.dtype.name.title())
        raise RuntimeError(f"elements in indices should be type int64 but got: {name}")
    if indices.shape != input.shape:
        more = (1,) * (len(output_size) == 1)  # torch computes it in two dimensions
        own, given = ([*a.shape, *more] for a in (input, indices))
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({own}) but got indices tensor with shape: {given}"
        )


@op(
    public="", check=_check_unpool,
    grad_name=lambda output_size: (
        "SqueezeBackward1" if len(output_size) == 1
        else f"MaxUnpool{len(output_size)}DBackward0"
    ),
)  # fmt: skip
def max_unpool(input: Raw, indices: Raw, output_size: tuple[int, ...]) -> jax.Array:
    """Put each element at its place in an empty map; of several at one place the last stays."""
    lead = input.shape[: -len(output_size)]
    values = input.reshape(*lead, -1)
    places = indices.reshape(*lead, -1)
    return _put(values, places, math.prod(output_size)).reshape(*lead, *output_size)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _put(values, places, size: int):
    empty = jnp.zeros((*values.shape[:-1], size), values.dtype)
    return jnp.put_along_axis(empty, places, values, -1, inplace=False, mode="clip")


@_put.defjvp
def _put_jvp(size, primals, tangents):
    # PyTorch gives the gradient at a place to all that were put there
    values, places = primals
    moved = jnp.zeros((*values.shape[:-1], size), values.dtype)
    index = tuple(jnp.indices(places.shape, sparse=True)[:-1])
    return _put(values, places, size), moved.at[(*index, places)].add(tangents[0], mode="clip")
