"""View ops that show a part of a tensor: positions, pieces, diagonals, windows."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import contiguous_strides
from facade.errors import no_dimension, wrap_dim
from facade.ops.declare import short
from facade.ops.registry import Raw, Scalar, op

# ---- positions and pieces ----


def _check_select(input, dim, index):
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    wrap_dim(dim, input.ndim)


def _without(row, dim):
    return (*row[:dim], *row[dim + 1 :])


def _select_geometry(shape, strides, offset, dim, index):
    dim = wrap_dim(dim, len(shape))
    return _without(shape, dim), _without(strides, dim), offset + index * strides[dim]


def _select_back(base, value, dim, index):
    dim = wrap_dim(dim, base.ndim)
    return lax.dynamic_update_index_in_dim(base, value, short(index, base), dim)


@op(public="", check=_check_select, geometry=_select_geometry, write=_select_back)
def select(input: Raw, dim: int, index: Scalar) -> jax.Array:
    """Take one position (in range, counted from the front) along ``dim``."""
    dim = wrap_dim(dim, input.ndim)
    return lax.dynamic_index_in_dim(input, short(index, input), dim, keepdims=False)


def _slice_geometry(shape, strides, offset, dim, start, length, step):
    dim = wrap_dim(dim, len(shape))
    sizes = (*shape[:dim], length, *shape[dim + 1 :])
    steps = (*strides[:dim], strides[dim] * step, *strides[dim + 1 :])
    return sizes, steps, offset + start * strides[dim]


def _span(length: int, step: int) -> int:
    """Return how many positions ``length`` of them cover, ``step`` apart."""
    return (length - 1) * step + 1 if length else 0


def _slice_back(base, value, dim, start, length, step):
    dim, start = wrap_dim(dim, base.ndim), short(start, base)
    span = _span(length, step)
    if span > length:
        # the positions in between keep what they have
        kept = lax.dynamic_slice_in_dim(base, start, span, dim)
        at = (slice(None),) * dim + (slice(None, None, step),)
        value = kept.at[at].set(value, unique_indices=True)
    if span == base.shape[dim]:
        return value
    return lax.dynamic_update_slice_in_dim(base, value, start, dim)


@op(name="slice", public="", geometry=_slice_geometry, write=_slice_back)
def slice_(input: Raw, dim: int, start: Scalar, length: int, step: int = 1) -> jax.Array:
    """Take ``length`` positions along ``dim``, ``step`` apart.

    ``start`` is traced, so a moving window is one program; the caller has checked the range.
    """
    dim = wrap_dim(dim, input.ndim)
    span = _span(length, step)
    if span != input.shape[dim]:
        input = lax.dynamic_slice_in_dim(input, short(start, input), span, dim)
    return input if step == 1 else lax.slice_in_dim(input, 0, span, step, dim)


def _pieces(shape, strides, offset, sizes, dim):
    """Return the geometry of each of the pieces that ``sizes`` cut ``dim`` into."""
    dim = wrap_dim(dim, len(shape))
    found, start = [], 0
    for size in sizes:
        at = offset + start * strides[dim]
        found.append(((*shape[:dim], size, *shape[dim + 1 :]), strides, at))
        start += size
    return found


def _piece_back(base, value, sizes, dim, number):
    """Put the piece ``number`` of those that ``sizes`` cut back into ``base``."""
    dim = wrap_dim(dim, base.ndim)
    return lax.dynamic_update_slice_in_dim(base, value, sum(sizes[:number]), dim)


def _even_sizes(total: int, size: int) -> tuple[int, ...]:
    """Return the sizes of the pieces of at most ``size`` each."""
    if size == 0:
        return (0,)
    whole, rest = divmod(total, size)
    return (size,) * whole + ((rest,) if rest or not whole else ())


def _check_split(input, split_size, dim):
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size < 0:
        raise RuntimeError(
            f"split expects split_size be non-negative, but got split_size={split_size}"
        )
    total = input.shape[wrap_dim(dim, input.ndim)]
    if split_size == 0 and total:
        raise RuntimeError(
            f"split_size can only be 0 if dimension size is 0, but got dimension size of {total}"
        )


def _split(input, split_size, dim):
    dim = wrap_dim(dim, input.ndim)
    return tuple(lax.split(input, _even_sizes(input.shape[dim], split_size), dim))


def _split_back(base, value, split_size, dim, number=0):
    sizes = _even_sizes(base.shape[wrap_dim(dim, base.ndim)], split_size)
    return _piece_back(base, value, sizes, dim, number)


def _split_geometry(shape, strides, offset, split_size, dim):
    sizes = _even_sizes(shape[wrap_dim(dim, len(shape))], split_size)
    return _pieces(shape, strides, offset, sizes, dim)


@op(public="", check=_check_split, geometry=_split_geometry, write=_split_back)
def split(input: Raw, split_size: int, dim: int = 0) -> tuple:
    """Cut ``dim`` into pieces of ``split_size``, the last one smaller."""
    return _split(input, split_size, dim)


@op(check=_check_split, strides=lambda operands, **static: operands[0].strides)
def unsafe_split(input: Raw, split_size: int, dim: int = 0) -> tuple:
    """Cut as :func:`split` does; the pieces are tensors of their own."""
    return _split(input, split_size, dim)


def _check_sizes(input, split_sizes, dim):
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    total = input.shape[wrap_dim(dim, input.ndim)]
    listed = list(split_sizes)
    if min(listed, default=0) < 0:
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, "
            f"but got split_sizes={listed}"
        )
    if sum(listed) != total:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {total} (input tensor's size "
            f"at dimension {dim}), but got split_sizes={listed}"
        )


@op(check=_check_sizes,
    geometry=lambda shape, strides, offset, split_sizes, dim: _pieces(
        shape, strides, offset, split_sizes, dim),
    write=lambda base, value, split_sizes, dim, number=0: _piece_back(
        base, value, split_sizes, dim, number))  # fmt: skip
def split_with_sizes(input: Raw, split_sizes: tuple[int, ...], dim: int = 0) -> tuple:
    """Cut ``dim`` into pieces of these sizes."""
    return tuple(lax.split(input, split_sizes, wrap_dim(dim, input.ndim)))


@op(check=_check_sizes, strides=lambda operands, **static: operands[0].strides)
def unsafe_split_with_sizes(input: Raw, split_sizes: tuple[int, ...], dim: int = 0) -> tuple:
    """Cut as :func:`split_with_sizes` does; the pieces are tensors of their own."""
    return tuple(lax.split(input, split_sizes, wrap_dim(dim, input.ndim)))


def _check_unbind(input, dim):
    if not input.ndim:
        raise no_dimension(0, 0)
    wrap_dim(dim, input.ndim)


def _unbind_geometry(shape, strides, offset, dim):
    dim = wrap_dim(dim, len(shape))
    own, steps = _without(shape, dim), _without(strides, dim)
    return [(own, steps, offset + i * strides[dim]) for i in range(shape[dim])]


def _unbind_back(base, value, dim, number=0):
    return lax.dynamic_update_index_in_dim(base, value, number, wrap_dim(dim, base.ndim))


@op(check=_check_unbind, geometry=_unbind_geometry, write=_unbind_back)
def unbind(input: Raw, dim: int = 0) -> tuple:
    """Return the tensors along ``dim``, which goes away."""
    dim = wrap_dim(dim, input.ndim)
    pieces = lax.split(input, (1,) * input.shape[dim], dim) if input.shape[dim] else ()
    return tuple(lax.squeeze(piece, (dim,)) for piece in pieces)


# ---- diagonals and windows ----


def diagonal_dims(ndim: int, dim1: int, dim2: int) -> tuple[int, int]:
    """Return both dimensions counted from the front.

    Raises:
        RuntimeError: they are the same.
    """
    first, second = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return first, second


def diagonal_length(rows: int, columns: int, offset: int) -> int:
    """Return how many elements the diagonal has."""
    return max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))


# `offset` is both an argument of the op and a part of the geometry, which comes first
def _diagonal_geometry(shape, strides, start, /, offset, dim1, dim2):
    first, second = diagonal_dims(len(shape), dim1, dim2)
    length = diagonal_length(shape[first], shape[second], offset)
    kept = [d for d in range(len(shape)) if d not in (first, second)]
    sizes, steps = (tuple(row[d] for d in kept) for row in (shape, strides))
    if length:
        start += offset * strides[second] if offset >= 0 else -offset * strides[first]
    return (*sizes, length), (*steps, strides[first] + strides[second]), start


def _diagonal_back(base, value, offset, dim1, dim2):
    first, second = diagonal_dims(base.ndim, dim1, dim2)
    at = jnp.arange(value.shape[-1])
    rows, columns = at + max(-offset, 0), at + max(offset, 0)
    matrices = jnp.moveaxis(base, (first, second), (-2, -1))
    matrices = matrices.at[..., rows, columns].set(value, unique_indices=True)
    return jnp.moveaxis(matrices, (-2, -1), (first, second))


def _check_diagonal(input, offset, dim1, dim2):
    diagonal_dims(input.ndim, dim1, dim2)


@op(check=_check_diagonal, geometry=_diagonal_geometry, write=_diagonal_back)
def diagonal(input: Raw, offset: int = 0, dim1: int = 0, dim2: int = 1) -> jax.Array:
    """Take the diagonals of the matrices in ``dim1`` and ``dim2``; they become the last dim."""
    first, second = diagonal_dims(input.ndim, dim1, dim2)
    if not diagonal_length(input.shape[first], input.shape[second], offset):
        kept = [s for d, s in enumerate(input.shape) if d not in (first, second)]
        return jnp.zeros((*kept, 0), input.dtype)
    return jnp.diagonal(input, offset, first, second)


def _windows(length: int, size: int, step: int) -> int:
    return (length - size) // step + 1


def _check_unfold(input, dimension, size, step):
    dim = wrap_dim(dimension, input.ndim)
    length = input.shape[dim] if input.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {length} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")


def _unfold_geometry(shape, strides, offset, dimension, size, step):
    if not shape:
        return (size,), (1,), offset
    dim = wrap_dim(dimension, len(shape))
    count = _windows(shape[dim], size, step)
    sizes = (*shape[:dim], count, *shape[dim + 1 :], size)
    return sizes, (*strides[:dim], strides[dim] * step, *strides[dim + 1 :], strides[dim]), offset


@op(public="method", check=_check_unfold, geometry=_unfold_geometry)
def unfold(input: Raw, dimension: int, size: int, step: int) -> jax.Array:
    """Take windows of ``size`` along a dimension, ``step`` apart; they become the last dim."""
    if not input.ndim:
        return jnp.broadcast_to(input, (size,))
    dim = wrap_dim(dimension, input.ndim)
    starts = jnp.arange(_windows(input.shape[dim], size, step)) * step
    places = short(starts[:, None] + jnp.arange(size), input)
    windows = jnp.take(input, places, axis=dim, mode="clip")
    return jnp.moveaxis(windows, dim + 1, -1)


def element_at(places, shape: tuple, strides: tuple):
    """Return which elements, in row-major order, a tensor has at places in memory.

    Args:
        places: Arrays of either kind, counted from the tensor's first element.
    Returns:
        The elements' numbers, and whether each place is the tensor's.
    """
    number = 0
    for d in sorted(range(len(shape)), key=lambda d: -strides[d]):
        if strides[d]:
            position = (places // strides[d]).clip(0, shape[d] - 1)
            number = number + position * math.prod(shape[d + 1 :])
            places = places - position * strides[d]
    return number, places == 0


@op(public="", geometry=lambda shape, strides, start, size, stride, storage_offset, own: (
    size, stride, start + storage_offset))  # fmt: skip
def as_strided(
    input: Raw, size: tuple, stride: tuple, storage_offset: int, own: tuple
) -> jax.Array:
    """Read elements wherever strides point in memory.

    Args:
        storage_offset: Counted from the input's first element.
        own: The input's strides.
    """
    at = _places(size, stride, storage_offset)
    if own != contiguous_strides(input.shape):
        at, _ = element_at(at, input.shape, own)
    return input.reshape(-1)[at]


@op(public="", grad_name="AsStridedBackward0")
def as_strided_part(
    input: Raw, shown: Raw, stride: tuple, storage_offset: int, own: tuple
) -> jax.Array:
    """Return ``shown``, what :func:`as_strided` shows of a storage, ``input``'s part from there."""
    at = _places(shown.shape, stride, storage_offset)
    number, inside = element_at(at, input.shape, own)
    return jnp.where(inside, input.reshape(-1).at[short(number, input)].get(mode="clip"), shown)


def _places(size: tuple, stride: tuple, offset: int) -> jax.Array:
    at = jnp.full((), offset)
    for dim, (s, step) in enumerate(zip(size, stride, strict=True)):
        at = at + lax.broadcasted_iota(at.dtype, (s,) + (1,) * (len(size) - dim - 1), 0) * step
    return at
