"""Resampling: maps at other sizes, and maps read at any positions."""

import itertools
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from facade.ops.declare import expected_type, kernel, refuse_dtype
from facade.ops.registry import Raw, op

# ---- to another size: every mode but nearest is a matrix along each dimension ----

_CUBIC = {"bicubic": -0.75, "bicubic_aa": -0.5}


def _ratio(size: int, out: int, align_corners: bool, scale: float | None, real):
    """Return how far apart in the input two neighbours of the output lie."""
    if align_corners:
        return real(size - 1) / real(out - 1) if out > 1 else real(0)
    return real(1 / scale) if scale else real(size) / real(out)


def _positions(size: int, out: int, align_corners: bool, scale: float | None, real) -> np.ndarray:
    ratio = _ratio(size, out, align_corners, scale, real)
    at = np.arange(out).astype(real)
    return ratio * at if align_corners else ratio * (at + real(0.5)) - real(0.5)


def _nearest(size: int, out: int, scale: float | None, exact: bool) -> np.ndarray:
    """Return the input position of each output; in float32, whatever the map's dtype."""
    ratio = np.float32(1 / scale) if scale else np.float32(size) / np.float32(out)
    at = np.arange(out, dtype=np.float32) + np.float32(0.5 if exact else 0)
    return np.minimum(np.floor(at * ratio).astype(np.int64), size - 1)


def _pick(x, places: np.ndarray, dim: int):
    """Return ``x`` at these places along ``dim``; no gather where they are evenly spread."""
    size, out = x.shape[dim], len(places)
    if out % size == 0 and (places == np.arange(out) // (out // size)).all():
        return jnp.repeat(x, out // size, axis=dim)
    step = max(size // out, 1)
    if (places == places[0] + np.arange(out) * step).all():
        return lax.slice_in_dim(x, int(places[0]), int(places[-1]) + 1, step, axis=dim)
    return jnp.take(x, places, axis=dim, mode="clip")


def _cubic(t, a: float):
    """Return Keys' kernel at distance ``t``."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def _weights(size: int, out: int, mode: str, align_corners: bool, scale, real) -> np.ndarray:
    """Return the matrix ``(out, size)`` of linear or cubic interpolation."""
    at = _positions(size, out, align_corners, scale, real)
    if mode != "bicubic":
        at = np.maximum(at, 0)
    first = np.floor(at).astype(np.int64)
    rest = at - first.astype(real)
    matrix = np.zeros((out, size), real)
    rows = np.arange(out)
    if mode == "bicubic":
        taps = [(first + i, _cubic(rest - i, _CUBIC[mode])) for i in (-1, 0, 1, 2)]
    else:
        taps = [(first, 1 - rest), (first + 1, rest)]
    for places, values in taps:
        np.add.at(matrix, (rows, np.clip(places, 0, size - 1)), values)
    return matrix


def _triangle(t):
    return np.maximum(1 - np.abs(t), 0)


def _lanczos(t):
    return np.where(np.abs(t) < 3, np.sinc(t) * np.sinc(t / 3), 0)


_FILTERS = {
    "bilinear": (2, _triangle),
    "bicubic": (4, lambda t: _cubic(t, _CUBIC["bicubic_aa"])),
    "lanczos": (6, _lanczos),
}


def _smooth_weights(size: int, out: int, mode: str, align_corners: bool, scale, real) -> np.ndarray:
    """Return the matrix of interpolation whose filter is as wide as the output's pixels."""
    taps, function = _FILTERS[mode]
    ratio = _ratio(size, out, align_corners, scale, real)
    stretch = max(ratio, real(1))
    matrix = np.zeros((out, size), real)
    for i in range(out):
        center, support = ratio * (i + 0.5), taps / 2 * stretch
        start = max(int(center - support + 0.5), 0)
        end = min(int(center + support + 0.5), size)
        values = function((np.arange(start, end) - center + 0.5) / stretch)
        matrix[i, start:end] = values / values.sum()
    return matrix


def _check_upsample(input, output_size, mode, align_corners, scales, antialias):
    dims = len(output_size)
    shape = input.shape
    if dims == 2 and 0 in shape[1:] and 0 not in shape[2:]:
        raise RuntimeError(
            f"Non-empty 4D data tensor expected but got a tensor with sizes {list(shape)}"
        )
    if min(*shape[2:], *output_size) <= 0:
        axes = ("D", "H", "W")[-dims:]
        own, given = (
            ", ".join(f"{a}: {s}" for a, s in zip(axes, row, strict=True))
            for row in (shape[2:], output_size)
        )
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got "
            f"input ({own}) output ({given})"
        )
    kind = mode.replace("-exact", "")
    suffix = "_channels_last" if dims > 1 and kind != "bicubic" else ""
    error = kernel(f"upsample_{kind}{dims}d{suffix}")
    if input.dtype.name != "uint8":
        refuse_dtype(input.dtype, {"bool": error, "integer": error, "complex": error})


def _upsample_name(output_size, mode, antialias) -> str:
    kind = "NearestExact" if mode == "nearest-exact" else mode.title()
    return f"Upsample{kind}{len(output_size)}D{'Aa' if antialias else ''}Backward0"


@op(public="", check=_check_upsample, formats=(0,), grad_name=_upsample_name)
def upsample(
    input: Raw, output_size: tuple[int, ...], mode: str, align_corners: bool = False,
    scales: tuple[float | None, ...] = (), antialias: bool = False,
) -> jax.Array:  # fmt: skip
    """Return ``(N, C, *size)`` at another size.

    Args:
        mode: "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "lanczos".
        scales: The factors the sizes came from, which positions are computed with.
        antialias: Whether to smooth before making a map smaller.
    """
    dtype = input.dtype
    floating = jnp.issubdtype(dtype, jnp.floating)
    real = np.float64 if dtype == np.float64 else np.float32
    x = input if floating and dtype.itemsize >= 4 else input.astype(real)
    scales = scales or (None,) * len(output_size)
    weights = _smooth_weights if antialias else _weights
    if dtype == np.uint8 and mode in _FILTERS:
        exact = partial(weights, mode=mode, align_corners=align_corners, real=np.float64)
        return _in_bytes(input, output_size, exact, scales)
    for dim, (out, scale) in enumerate(zip(output_size, scales, strict=True), 2):
        size = x.shape[dim]
        if mode.startswith("nearest"):
            x = _pick(x, _nearest(size, out, scale, mode != "nearest"), dim)
            continue
        matrix = jnp.asarray(weights(size, out, mode, align_corners, scale, real), x.dtype)
        mixed = jnp.tensordot(x, matrix, (dim, 1), precision=lax.Precision.HIGHEST)
        x = jnp.moveaxis(mixed, -1, dim)
    return x.astype(dtype) if floating else jnp.clip(jnp.round(x), 0, 255).astype(dtype)


def _in_bytes(x, output_size: tuple, weights, scales: tuple):
    """Return maps of bytes at another size as PyTorch computes them: in whole numbers.

    Rows first, and bytes between the two steps; weights have as many bits as 16 have room for.
    """
    for dim in (3, 2):
        size, out = x.shape[dim], output_size[dim - 2]
        if size == out:
            continue
        matrix = weights(size, out, scale=scales[dim - 2])
        bits = next(b for b in itertools.count() if int(0.5 + matrix.max() * 2 ** (b + 1)) >= 2**15)
        bits = min(bits, 22)
        whole = np.trunc(matrix * 2**bits + np.copysign(0.5, matrix)).astype(np.int32)
        sums = jnp.moveaxis(jnp.tensordot(x.astype(jnp.int32), whole, (dim, 1)), -1, dim)
        x = jnp.clip((sums + 2 ** (bits - 1)) >> bits, 0, 255).astype(jnp.uint8)
    return x


# ---- at any position ----


def _check_grid(input, grid, mode, padding_mode, align_corners):
    dims = input.ndim - 2
    shapes = f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
    if dims not in (2, 3) or grid.ndim != input.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
            f"but got {shapes}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got " + shapes
        )
    if grid.shape[-1] != dims:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {dims} in last dimension, but got grid "
            f"with sizes {list(grid.shape)}"
        )
    for dim, size in enumerate(input.shape[2:], 2):
        if not size:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(input.shape)} with dimension {dim} being empty"
            )
    if mode == "bicubic" and dims == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise expected_type(input, grid)


def _reflect(x, low: float, high: float):
    """Fold ``x`` back into ``[low, high]``."""
    if low == high:
        return jnp.zeros_like(x)
    span = high - low
    x = jnp.abs(x - low)
    times = lax.stop_gradient(jnp.floor(x / span))
    rest = x - times * span
    return jnp.where(times % 2 == 0, rest + low, span - rest + low)


def _inside(x, size: int, padding_mode: str, align_corners: bool):
    """Return positions as the padding mode has them; zeros are put in later."""
    if padding_mode == "reflection":
        x = _reflect(x, 0, size - 1) if align_corners else _reflect(x, -0.5, size - 0.5)
    if padding_mode == "zeros":
        return x
    # a position at or beyond the border has no gradient
    return jnp.where(x <= 0, 0, jnp.where(x >= size - 1, size - 1, x))


def _read(x, places, padding_mode: str):
    """Return ``x (C, *size)`` at whole positions ``(*out)``, one array per dimension."""
    size = x.shape[1:]
    within = jnp.ones(places[0].shape, bool)
    flat = jnp.zeros(places[0].shape, jnp.int32)
    for place, length in zip(places, size, strict=True):
        within &= (place >= 0) & (place < length)
        flat = flat * length + jnp.clip(place, 0, length - 1).astype(jnp.int32)
    values = jnp.take(x.reshape(x.shape[0], -1), flat, axis=1, mode="clip")
    return jnp.where(within, values, 0) if padding_mode == "zeros" else values


def _linear_taps(at):
    first = lax.stop_gradient(jnp.floor(at))
    return [(first, 1 - (at - first)), (first + 1, at - first)]


def _cubic_taps(at):
    first = lax.stop_gradient(jnp.floor(at))
    t, a = at - first, _CUBIC["bicubic"]

    def near(s):
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s):
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    values = (far(t + 1), near(t), near(1 - t), far(2 - t))
    return [(first + i, v) for i, v in zip((-1, 0, 1, 2), values, strict=True)]


def _nearest_taps(at):
    return [(lax.stop_gradient(jnp.round(at)), jnp.ones_like(at))]


_TAPS = {"bilinear": _linear_taps, "bicubic": _cubic_taps, "nearest": _nearest_taps}


def _sample(x, grid, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """Read one map ``(C, *size)`` at ``grid (*out, dims)``; the grid has the last dim first."""
    size = x.shape[1:]
    ends = []
    for dim, length in enumerate(size):
        at = grid[..., len(size) - 1 - dim]
        at = (at + 1) / 2 * (length - 1) if align_corners else ((at + 1) * length - 1) / 2
        if mode != "bicubic":  # there the padding mode holds for each of the points read
            at = _inside(at, length, padding_mode, align_corners)
        ends.append(_TAPS[mode](at))
    total = 0
    for corner in itertools.product(*ends):
        places = [
            _inside(place, length, padding_mode, align_corners) if mode == "bicubic" else place
            for (place, _), length in zip(corner, size, strict=True)
        ]
        total = total + _read(x, places, padding_mode) * math.prod(w for _, w in corner)
    return total


@op(
    public="", check=_check_grid,
    grad_name=lambda input: f"GridSampler{input.ndim - 2}DBackward0",
)  # fmt: skip
def grid_sampler(
    input: Raw, grid: Raw, mode: str, padding_mode: str, align_corners: bool
) -> jax.Array:
    """Return ``(N, C, *size)`` read at ``grid (N, *out, dims)``, whose range is -1 to 1."""
    return jax.vmap(lambda x, g: _sample(x, g, mode, padding_mode, align_corners))(input, grid)


@op(public="", grad_name="AffineGridGeneratorBackward0")
def affine_grid_generator(theta: Raw, size: tuple[int, ...], align_corners: bool) -> jax.Array:
    """Return the grid ``(N, *size, dims)`` of affine maps ``(N, dims, dims + 1)``."""
    axes = []
    for length in size[2:]:
        at = np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
        axes.append(at if align_corners else at * (length - 1) / length)
    points = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size[2:])], -1)
    base = jnp.asarray(points, theta.dtype)
    return jnp.einsum("...k,ndk->n...d", base, theta, precision=lax.Precision.HIGHEST)
