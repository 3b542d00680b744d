"""Sorting and what is found by order: top values, medians, modes, places in sorted rows."""

import jax
import jax.numpy as jnp

from facade.dtypes import dtype, float32, float64
from facade.errors import wrap_dim
from facade.ops.declare import kernel, like_first, refuse_dtype
from facade.ops.reduction import check_nonempty, evenly
from facade.ops.registry import Array, Raw, Scalar, op
from facade.ops.sorting_algorithms import in_order

# ---- sorting ----


def _sorted(x, axis: int, descending: bool = False):
    """Return the values along ``axis`` in stable order, nan as the greatest, and their places."""
    if not x.ndim:
        return x, jnp.zeros((), jnp.int64)
    order = in_order(jax.lax.stop_gradient(x), axis, descending)
    return jnp.take_along_axis(x, order, axis, mode="promise_in_bounds"), order


def _check_sort(input, dim, **_) -> None:
    refuse_dtype(
        input.dtype, {"complex": (RuntimeError, " Sort does not support complex dtypes on CPU")}
    )
    wrap_dim(dim, input.ndim)


@op(
    public="", check=_check_sort, strides=like_first,
    grad_name=lambda stable: "SortBackward1" if stable else "SortBackward0",
)  # fmt: skip
def sort(input: Array, dim: int, descending: bool, stable: bool):
    """Return the values in order and where each was."""
    return tuple(_sorted(input, wrap_dim(dim, input.ndim), descending))


@op(public="", check=_check_sort, strides=like_first, differentiable=False)
def argsort(input: Array, dim: int, descending: bool, stable: bool):
    """Return the places that put ``input`` in order."""
    return _sorted(input, wrap_dim(dim, input.ndim), descending)[1]


def _check_topk(input, k, dim, **_) -> None:
    size = input.shape[wrap_dim(dim, input.ndim)] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")


@op(public="", check=_check_topk)
def topk(input: Array, k: int, dim: int, largest: bool, sorted: bool):
    """Return the ``k`` greatest (or least) values, in order, and their places."""
    if not input.ndim:
        return input, jnp.zeros((), jnp.int64)
    axis = wrap_dim(dim, input.ndim)
    if not largest:  # a negated least integer would overflow, so no trick with signs
        values, index = (jax.lax.slice_in_dim(x, 0, k, axis=axis) for x in _sorted(input, axis))
        return values, index
    values, index = jax.lax.top_k(jnp.moveaxis(input, axis, -1), k)
    return jnp.moveaxis(values, -1, axis), jnp.moveaxis(index, -1, axis).astype(jnp.int64)


# ---- one element by its rank ----


def _at(x, index, axis: int, keepdim: bool):
    """Return the values of ``x`` at ``index`` (kept dimensions) and the index."""
    values = jnp.take_along_axis(x, index, axis)
    return (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))


def _check_kthvalue(input, k, dim, keepdim) -> None:
    axis = wrap_dim(dim, input.ndim)
    size = input.shape[axis] if input.ndim else 1
    if not size:
        raise IndexError(f"kthvalue(): Expected reduction dim {axis} to have non-zero size.")
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}")


@op(public="", check=_check_kthvalue)
def kthvalue(input: Array, k: int, dim: int, keepdim: bool):
    """Return the ``k``-th least value along ``dim`` and its place."""
    if not input.ndim:
        return input, jnp.zeros((), jnp.int64)
    axis = wrap_dim(dim, input.ndim)
    order = _sorted(jax.lax.stop_gradient(input), axis)[1]
    return _at(input, jax.lax.slice_in_dim(order, k - 1, k, axis=axis), axis, keepdim)


def _middle(x, axis: int, skip_nan: bool):
    """Return where the lower median along ``axis`` is, with the dimension kept."""
    values, order = _sorted(jax.lax.stop_gradient(x), axis)
    numbers = jnp.sum(values == values, axis, keepdims=True)
    size = x.shape[axis]
    rank = (numbers - 1) // 2 if skip_nan else jnp.where(numbers < size, numbers, (size - 1) // 2)
    return jnp.take_along_axis(order, jnp.maximum(rank, 0), axis)


def _declare_median(name: str, skip_nan: bool) -> None:
    errors = {"bool": kernel("median_cpu"), "complex": kernel("median_cpu")}

    def check(input, dim=None, **_) -> None:
        refuse_dtype(input.dtype, errors)
        if dim is not None:
            check_nonempty(name, input, wrap_dim(dim, input.ndim))

    def over_all(input: Array):
        if not input.size:
            return jnp.asarray(jnp.nan, input.dtype)
        flat = input.reshape(-1)
        value = jax.lax.stop_gradient(flat)[_middle(flat, 0, skip_nan)[0]]
        return evenly(input, value)

    def along(input: Array, dim: int, keepdim: bool):
        if not input.ndim:
            return input, jnp.zeros((), jnp.int64)
        axis = wrap_dim(dim, input.ndim)
        return _at(input, _middle(input, axis, skip_nan), axis, keepdim)

    over_all.__doc__ = "Return the median, the lower one of two."
    along.__doc__ = "Return the medians along ``dim`` and their places."
    title = name.title()
    op(over_all, name=f"{name}_all", public="", check=check, grad_name=f"{title}Backward0")
    op(along, name=f"{name}_dim", public="", check=check, grad_name=f"{title}Backward1")


_declare_median("median", skip_nan=False)
_declare_median("nanmedian", skip_nan=True)


def _check_mode(input, dim, keepdim) -> None:
    check_nonempty("mode", input, wrap_dim(dim, input.ndim))


@op(public="", check=_check_mode)
def mode(input: Array, dim: int, keepdim: bool):
    """Return the most frequent value along ``dim``, the least of several, and its last place."""
    if not input.ndim:
        return input, jnp.zeros((), jnp.int64)
    axis = wrap_dim(dim, input.ndim)
    values, order = _sorted(jax.lax.stop_gradient(input), axis)
    place = jax.lax.broadcasted_iota(jnp.int32, input.shape, axis)
    begins = (values != jnp.roll(values, 1, axis)) | (place == 0)
    start = jax.lax.cummax(jnp.where(begins, place, 0), axis)
    rank = jnp.expand_dims(jax.lax.argmax(place - start, axis, jnp.int32), axis)
    return _at(input, jnp.take_along_axis(order, rank, axis), axis, keepdim)


# ---- quantiles ----

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(input, q, dim, keepdim, interpolation, skip_nan) -> None:
    if not input.numel:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if q.ndim > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    if input.dtype not in (float32, float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if input.dtype is not q.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if dim is not None:
        wrap_dim(dim, input.ndim)


@op(public="", check=_check_quantile, grad_name="SqueezeBackward4")
def quantile(
    input: Array, q: Array, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
):
    """Return the ``q``-th quantiles along ``dim``; several make a first dimension."""
    axis = 0 if dim is None else wrap_dim(dim, input.ndim)
    rows = input.reshape(-1) if dim is None or not input.ndim else jnp.moveaxis(input, axis, -1)
    values = _sorted(rows, rows.ndim - 1)[0]
    numbers = jnp.sum(values == values, -1, keepdims=True)
    last = rows.shape[-1] - 1
    q_row = jnp.atleast_1d(q)
    if skip_nan:
        rank = q_row * jnp.maximum(numbers - 1, 0).astype(q.dtype)
    else:  # a row with nan has the quantile nan, which is its last element
        rank = jnp.where(numbers <= last, jnp.asarray(last, q.dtype), q_row * last)
    found = _interpolate(values, rank, interpolation)  # (*rows, q)
    found = jnp.moveaxis(found, -1, 0)
    if keepdim:
        ones = jnp.expand_dims(found, tuple(range(1, input.ndim + 1)))
        found = jnp.expand_dims(found, axis + 1) if dim is not None and input.ndim else ones
    return found if q.ndim else found[0]


def _interpolate(values, rank, interpolation: str):
    """Return the elements of the last dimension at fractional places."""
    if interpolation == "nearest":
        rank = jnp.round(rank)
    below = jnp.floor(rank)
    low = jnp.take_along_axis(values, below.astype(jnp.int64), -1)
    if interpolation == "lower":
        return low
    high = jnp.take_along_axis(values, jnp.ceil(rank).astype(jnp.int64), -1)
    if interpolation == "higher":
        return high
    part = 0.5 if interpolation == "midpoint" else rank - below
    return low + part * (high - low)


# ---- places in sorted rows, histograms ----


def _check_searchsorted(sorted_sequence, input, sorter, **_) -> None:
    s, v = sorted_sequence, input
    if isinstance(v, type) or not v.ndim:
        if s.ndim != 1:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
                f"dimension is 1, but we got boundaries tensor dim({s.ndim}) and input value's "
                "dim(0) numel(1)"
            )
    elif s.ndim != 1 and s.shape[:-1] != v.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(s.shape)} and input value tensor {list(v.shape)}"
        )
    if sorter is not None and sorter.shape != s.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary "
            f"tensor {list(s.shape)}and got sorter tensor {list(sorter.shape)}"
        )


@op(public="", differentiable=False, check=_check_searchsorted)
def searchsorted(
    sorted_sequence: Array, input: Array, sorter: Raw | None, right: bool, out_dtype: dtype
):
    """Return where each value would go so that its row stays sorted."""
    rows = sorted_sequence
    if sorter is not None:
        rows = jnp.take_along_axis(rows, sorter, -1)
    side = "right" if right else "left"

    def find(row, values):
        return jnp.searchsorted(row, values, side=side).astype(out_dtype.numpy)

    if not (rows.size and input.size):
        return jnp.zeros(input.shape, out_dtype.numpy)
    if rows.ndim == 1:
        return find(rows, input)
    flat = jax.vmap(find)(rows.reshape(-1, rows.shape[-1]), input.reshape(-1, input.shape[-1]))
    return flat.reshape(input.shape)


def _check_histc(input, bins, min, max) -> None:
    error = kernel("histogram_cpu")
    refuse_dtype(input.dtype, {"bool": error, "integer": error, "complex": error})
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")


@op(public="", differentiable=False, check=_check_histc)
def histc(input: Array, bins: int, min: Scalar, max: Scalar):
    """Return how many elements lie in each of ``bins`` equal parts of ``[min, max]``.

    Equal bounds mean the extremes of ``input``.
    """
    x = input.reshape(-1)
    low, high = min.astype(x.dtype), max.astype(x.dtype)
    if x.size:
        given = low != high
        low, high = jnp.where(given, low, jnp.min(x)), jnp.where(given, high, jnp.max(x))
    flat = low == high
    low, high = jnp.where(flat, low - 1, low), jnp.where(flat, high + 1, high)
    place = jnp.floor((x - low) * (bins / (high - low))).astype(jnp.int32)
    inside = (x >= low) & (x <= high)
    place = jnp.where(inside, jnp.clip(place, 0, bins - 1), bins)
    return jnp.zeros(bins, x.dtype).at[place].add(1, mode="drop")


def _check_histogram(input, **_) -> None:
    error = kernel("histogramdd")
    refuse_dtype(input.dtype, {"bool": error, "integer": error, "complex": error})


@op(public="", check=_check_histogram, differentiable=False)
def histogram_edges(input: Raw, low: Scalar | None, high: Scalar | None, bins: int) -> jax.Array:
    """Return the edges of equal bins between two bounds, by default the extremes of ``input``."""
    low, high = (0, 1) if low is None and not input.size else (low, high)
    first = input.min() if low is None else jnp.asarray(low, input.dtype)
    last = input.max() if high is None else jnp.asarray(high, input.dtype)
    margin = jnp.where(first == last, 0.5, 0.0).astype(input.dtype)
    return jnp.linspace(first - margin, last + margin, bins + 1, dtype=input.dtype)


@op(public="", check=_check_histogram, differentiable=False)
def histogram(input: Raw, edges: Raw, weight: Raw | None, density: bool) -> jax.Array:
    """Return how many elements lie between every two edges; the last edge belongs to its bin."""
    counts = None if weight is None else weight.reshape(-1)
    return _histogram(input.reshape(-1, 1), counts, (edges,), density)


@op(public="", check=_check_histogram, differentiable=False)
def histogramdd(input: Raw, weight: Raw | None, edges: tuple[Raw, ...], density: bool) -> jax.Array:
    """Return how many rows of ``input`` lie in each box, with edges for each column."""
    return _histogram(input, weight, edges, density)


def _histogram(points, weight, edges, density: bool):
    places = tuple(_bin(points[:, i], row) for i, row in enumerate(edges))
    counts = jnp.ones(len(points), points.dtype) if weight is None else weight
    found = jnp.zeros([len(row) - 1 for row in edges], points.dtype)
    found = found.at[places].add(counts, mode="drop")
    if density:
        found = found / found.sum()
        for i, row in enumerate(edges):
            found = found / jnp.diff(row).reshape([-1] + [1] * (len(edges) - i - 1))
    return found


def _bin(values, edges):
    """Return which bin each value lies in; their number for those outside."""
    bins = len(edges) - 1
    place = jnp.searchsorted(edges, values, side="right") - 1
    place = jnp.where(values == edges[-1], bins - 1, place)
    return jnp.where((place < 0) | (values > edges[-1]) | jnp.isnan(values), bins, place)
