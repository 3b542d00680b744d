"""Ops with one index tensor along one dimension: gather, scatter and the ``index_*`` family."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import Aval
from facade.dtypes import SCALAR_NAMES, int32, int64
from facade.errors import wrap_dim
from facade.ops.declare import short
from facade.ops.indexing import IN_RANGE, add_at, overwrite, place
from facade.ops.registry import Raw, Scalar, op
from facade.ops.shape import same_strides


def _along(index, dim: int) -> tuple:
    """Return the indices, one per dimension, of the places that ``gather`` along ``dim`` reads."""
    grid = [lax.broadcasted_iota(index.dtype, index.shape, d) for d in range(index.ndim)]
    grid[dim] = index
    return tuple(grid)


def _all_dims(x) -> tuple[int, ...]:
    return tuple(range(x.ndim))


# ---- a vector of positions ----


def _check_index_select(input, dim, index):
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (int32, int64):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    wrap_dim(dim, input.ndim)
    if not input.ndim and index.numel != 1:
        raise RuntimeError(
            f"index_select(): Index to scalar can have only 1 value, got {index.numel} value(s)"
        )


@op(public="", check=_check_index_select)
def index_select(input: Raw, dim: int, index: Raw) -> jax.Array:
    """Take the positions ``index`` along ``dim``."""
    if not input.ndim:
        return input
    places = short(index.reshape(-1), input)
    return jnp.take(input, places, axis=wrap_dim(dim, input.ndim), mode="clip")


def _check_index_add(input, dim, index, source, alpha):
    dim = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"index_add_(): Index is supposed to be a vector, but got dim: {index.ndim} with "
            f"type: {SCALAR_NAMES[index.dtype]} and size: {list(index.shape)}"
        )
    if index.dtype not in (int32, int64):
        raise RuntimeError(
            "index_add_(): Expected dtype int32/int64 for index but got: "
            f"{SCALAR_NAMES[index.dtype]}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"index_add_(): self ({SCALAR_NAMES[input.dtype]}) and source "
            f"({SCALAR_NAMES[source.dtype]}) must have the same scalar type"
        )
    given = source.shape[dim] if source.ndim else 1
    if index.numel != given:
        raise RuntimeError(
            f"index_add_(): Number of indices ({index.numel}) should be equal to "
            f"source.size(dim): ({given}), for dim: {dim}"
        )
    _check_rest("source tensor shape must match self tensor shape, excluding the specified "
                "dimension. Got self.shape = {} source.shape = {}", input, source, dim)  # fmt: skip


def _check_rest(text: str, input, source, dim: int) -> None:
    own = (*input.shape[:dim], *input.shape[dim + 1 :])
    if own != (*source.shape[:dim], *source.shape[dim + 1 :]):
        raise RuntimeError(text.format(list(input.shape), list(source.shape)))


def _rows(input, source, index):
    """Return all three with the one dimension that a scalar lacks."""
    if input.ndim:
        return input, source, index.reshape(-1)
    return input.reshape(1), source.reshape(1), index.reshape(-1)


@op(public="", check=_check_index_add)
def index_add(input: Raw, dim: int, index: Raw, source: Raw, alpha: Scalar) -> jax.Array:
    """Add ``alpha * source`` to the positions ``index`` along ``dim``."""
    rows, added, at = _rows(input, source * alpha.astype(source.dtype), index)
    key = place((at,), (wrap_dim(dim, input.ndim),))
    return add_at(rows, key, added).reshape(input.shape)


def _check_index_copy(input, dim, index, source):
    dim = wrap_dim(dim, input.ndim)
    if index.dtype is not int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {SCALAR_NAMES[index.dtype]}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{SCALAR_NAMES[input.dtype]} and (source) {SCALAR_NAMES[source.dtype]}"
        )
    if input.ndim and source.ndim and input.ndim != source.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality "
            f"must match. Source dimensionality ({source.ndim}), destination dimensionality "
            f"({input.ndim})"
        )
    given = source.shape[dim] if source.ndim else 1
    if index.numel != given:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel}) should be equal to "
            f"source.size(dim) ({given})"
        )
    own = (*input.shape[:dim], *input.shape[dim + 1 :])
    others = (*source.shape[:dim], *source.shape[dim + 1 :])
    if own != others:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {' '.join(map(str, own))} at dimension {dim} and source slice shape: "
            f"{' '.join(map(str, others))} at dimension {dim}."
        )


@op(public="", check=_check_index_copy)
def index_copy(input: Raw, dim: int, index: Raw, source: Raw) -> jax.Array:
    """Replace the positions ``index`` along ``dim``."""
    rows, values, at = _rows(input, source, index)
    return overwrite(rows, values, (at,), (wrap_dim(dim, input.ndim),)).reshape(input.shape)


def _check_index_fill(input, dim, index, value):
    wrap_dim(dim, input.ndim)
    if index.dtype is not int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if isinstance(value, Aval) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    if value is complex and not input.dtype.is_complex:
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not supported"
        )


def _index_fill(input, dim, index, value):
    rows, value, at = _rows(input, value.astype(input.dtype), index)
    dim = wrap_dim(dim, input.ndim)
    # chosen by place, so that one given twice counts once in the value's gradient
    filled = jnp.zeros(rows.shape[dim], bool).at[at].set(True, mode=IN_RANGE)
    filled = filled.reshape([-1 if d == dim else 1 for d in range(rows.ndim)])
    return jnp.where(filled, value, rows).reshape(input.shape)


@op(public="", check=_check_index_fill, strides=same_strides)
def index_fill(input: Raw, dim: int, index: Raw, value: Scalar) -> jax.Array:
    """Set the positions ``index`` along ``dim`` to a number."""
    return _index_fill(input, dim, index, value)


@op(public="", check=_check_index_fill, grad_name="IndexFillBackward1", strides=same_strides)
def index_fill_tensor(input: Raw, dim: int, index: Raw, value: Raw) -> jax.Array:
    """Set the positions ``index`` along ``dim`` to a 0-dimensional tensor."""
    return _index_fill(input, dim, index, value)


# ---- an index tensor as large as what is read or written ----


def _check_same_ndim(index, other, name: str) -> None:
    if index.numel and max(index.ndim, 1) != max(other.ndim, 1):
        raise RuntimeError(f"Index tensor must have the same number of dimensions as {name} tensor")


def _outside(index, other, dim: int | None = None) -> bool:
    """Return whether ``index`` is larger than ``other``, ``dim`` apart."""
    pairs = zip(index.shape, other.shape, strict=False)
    return any(i > o for d, (i, o) in enumerate(pairs) if d != dim)


def _check_gather(input, dim, index):
    dim = wrap_dim(dim, input.ndim)
    if index.numel and index.dtype not in (int32, int64):
        raise RuntimeError("gather(): Expected dtype int32/int64 for index")
    _check_same_ndim(index, input, "input")
    for d, (i, own) in enumerate(zip(index.shape, input.shape, strict=False)):
        if d != dim and i > own and index.numel:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be "
                f"no larger than self {list(input.shape)} apart from dimension {dim}"
            )


@op(public="", check=_check_gather)
def gather(input: Raw, dim: int, index: Raw) -> jax.Array:
    """Read ``input[i][index[i, j]][...]``: the index replaces the position along ``dim``."""
    if not index.size:
        return jnp.zeros(index.shape, input.dtype)
    dim = wrap_dim(dim, input.ndim)
    full = jnp.atleast_1d(input)
    at = jnp.atleast_1d(index)
    window = [slice(None) if d == dim else slice(s) for d, s in enumerate(at.shape)]
    read = jnp.take_along_axis(full[tuple(window)], at, axis=dim, mode=IN_RANGE)
    return read.reshape(index.shape)


def _check_scatter(input, dim, index, src=None, **static):
    dim = wrap_dim(dim, input.ndim)
    if index.numel and index.dtype not in (int32, int64):
        raise RuntimeError("scatter(): Expected dtype int32/int64 for index")
    tensor = isinstance(src, Aval)
    if tensor and src.dtype is not input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.numel:
        return
    _check_same_ndim(index, input, "self")
    if tensor:
        if 0 < src.ndim < index.ndim:
            wrap_dim(src.ndim, src.ndim)
        _check_same_ndim(index, src, "src")
    if _outside(index, input, dim) or (tensor and _outside(index, src)):
        larger = f" and to be no larger size than src {list(src.shape)}" if tensor else ""
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(input.shape)} "
            f"apart from dimension {dim}{larger}"
        )


def _scattering(input, dim, index, src):
    """Return ``input``, the part of ``src`` that is used, the places and their dims."""
    full, at = jnp.atleast_1d(input), jnp.atleast_1d(index)
    src = src.reshape(()) if src.size == 1 else src[tuple(map(slice, at.shape))]
    return full, jnp.broadcast_to(src, at.shape), _along(at, wrap_dim(dim, input.ndim))


def _scatter(input, dim, index, src):
    full, values, at = _scattering(input, dim, index, src.astype(input.dtype))
    return overwrite(full, values, at, _all_dims(full)).reshape(input.shape)


@op(public="", check=_check_scatter)
def scatter(input: Raw, dim: int, index: Raw, src: Raw) -> jax.Array:
    """Write ``src`` where :func:`gather` with this index reads."""
    return _scatter(input, dim, index, src)


@op(public="", check=_check_scatter, grad_name="ScatterBackward1")
def scatter_value(input: Raw, dim: int, index: Raw, src: Scalar) -> jax.Array:
    """Write a number where :func:`gather` with this index reads."""
    return _scatter(input, dim, index, src)


@op(public="", check=_check_scatter)
def scatter_add(input: Raw, dim: int, index: Raw, src: Raw) -> jax.Array:
    """Add ``src`` where :func:`gather` with this index reads."""
    full, values, at = _scattering(input, dim, index, src)
    return add_at(full, at, values).reshape(input.shape)


_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _check_scatter_reduce(input, dim, index, src, reduce, include_self):
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    _check_scatter(input, dim, index, src)


@op(public="", check=_check_scatter_reduce)
def scatter_reduce(
    input: Raw, dim: int, index: Raw, src: Raw, reduce: str, include_self: bool
) -> jax.Array:
    """Combine ``src`` by ``reduce`` where :func:`gather` with this index reads."""
    full, values, at = _scattering(input, dim, index, src)
    return reduce_at(full, values, at, reduce, include_self).reshape(input.shape)


def _check_index_reduce(input, dim, index, source, reduce, include_self):
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    _check_index_add(input, dim, index, source, None)


@op(public="", check=_check_index_reduce)
def index_reduce(
    input: Raw, dim: int, index: Raw, source: Raw, reduce: str, include_self: bool
) -> jax.Array:
    """Combine ``source`` by ``reduce`` at the positions ``index`` along ``dim``."""
    rows, values, at = _rows(input, source, index)
    dim = wrap_dim(dim, input.ndim)
    spread = (1,) * dim + (-1,) + (1,) * (values.ndim - dim - 1)
    places = _along(jnp.broadcast_to(at.reshape(spread), values.shape), dim)
    return reduce_at(rows, values, places, reduce, include_self).reshape(input.shape)


def reduce_at(base, values, at, reduce: str, include_self: bool):
    """Combine ``values`` into ``base`` at the places ``at`` (an index per dimension)."""
    if not include_self:
        nothing = jnp.broadcast_to(_identity(reduce, base.dtype), values.shape)
        base = overwrite(base, nothing, at, tuple(range(len(at))))
    if reduce == "sum":
        return add_at(base, at, values)
    if reduce == "prod":
        return _multiply_at(base, values, at)
    if reduce != "mean":
        return _extreme_at(base, values, at, reduce)
    written = jnp.zeros(base.shape, base.dtype).at[at].add(1, mode=IN_RANGE)
    count = written + 1 if include_self else jnp.maximum(written, 1)
    total = base.at[at].add(values, mode=IN_RANGE)
    return total / count if jnp.issubdtype(base.dtype, jnp.inexact) else total // count


def _identity(reduce: str, dtype):
    """Return what changes nothing under ``reduce``."""
    if reduce in ("sum", "mean"):
        return jnp.zeros((), dtype)
    if reduce == "prod":
        return jnp.ones((), dtype)
    if jnp.issubdtype(dtype, jnp.bool_):
        return jnp.asarray(reduce == "amin")
    if jnp.issubdtype(dtype, jnp.inexact):
        return jnp.asarray(-jnp.inf if reduce == "amax" else jnp.inf, dtype)
    limits = jnp.iinfo(dtype)
    return jnp.asarray(limits.min if reduce == "amax" else limits.max, dtype)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _extreme_at(base, values, at, reduce):
    write = base.at[at].max if reduce == "amax" else base.at[at].min
    return write(values, mode=IN_RANGE)


@_extreme_at.defjvp
def _extreme_jvp(reduce, primals, tangents):
    """All that equal the result share the gradient."""
    base, values, at = primals
    result = _extreme_at(base, values, at, reduce)
    own = base == result
    given = values == result.at[at].get(mode=IN_RANGE)
    count = own.astype(base.dtype).at[at].add(given.astype(base.dtype), mode=IN_RANGE)
    tangent = jnp.where(own, tangents[0], 0).at[at].add(jnp.where(given, tangents[1], 0))
    return result, tangent / jnp.maximum(count, 1)


@jax.custom_jvp
def _multiply_at(base, values, at):
    if base.dtype == bool:
        return base.at[at].min(values, mode=IN_RANGE)
    return base.at[at].multiply(values, mode=IN_RANGE)


@_multiply_at.defjvp
def _multiply_jvp(primals, tangents):
    """Each factor's derivative is the product of the others, also where one of them is zero."""
    base, values, at = primals
    zeros = (base == 0).astype(base.dtype).at[at].add((values == 0).astype(base.dtype))
    nonzero = _multiply_at(
        jnp.where(base == 0, 1, base), jnp.where(values == 0, 1, values), at
    )  # which has this derivative again: JAX has none of products at places

    def others(factor, zeros, nonzero):
        is_zero = factor == 0
        product = nonzero / jnp.where(is_zero, 1, factor)
        return jnp.where(zeros - is_zero == 0, product, 0)

    tangent = tangents[0] * others(base, zeros, nonzero)
    tangent = tangent.at[at].add(tangents[1] * others(values, zeros[at], nonzero[at]))
    return _multiply_at(base, values, at), tangent
