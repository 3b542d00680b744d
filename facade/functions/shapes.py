"""Tensors made by joining, repeating, turning and copying others."""

import itertools

import numpy as np

from facade import aten, dtypes
from facade.avals import channels_last_strides
from facade.binding import public
from facade.errors import broadcast_shapes as common_shape
from facade.errors import wrap_dim
from facade.functions.fitting import fitting
from facade.functions.views import flatten, meshgrid, raised, reshape, sizes
from facade.layouts import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
)
from facade.size import Size
from facade.tensor import Tensor

# ---- copies ----


@public
def clone(input: Tensor, *, memory_format: memory_format | None = None) -> Tensor:
    """Copy a tensor; a format other than the default reorders its memory."""
    if memory_format in (None, preserve_format):
        return aten.clone(input)
    return _laid_out(input, memory_format)


def _laid_out(input: Tensor, wanted: memory_format) -> Tensor:
    if wanted is contiguous_format:
        return aten.contiguous_copy(input)
    _check_rank(input, wanted)
    return aten.channels_last_copy(input)


def _check_rank(input: Tensor, wanted: memory_format) -> None:
    rank = {channels_last: 4, channels_last_3d: 5}[wanted]
    if input.ndim != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {wanted.name} format")


@public(module=False)
def contiguous(self: Tensor, memory_format: memory_format = contiguous_format) -> Tensor:
    """Return the tensor itself if its memory has the format, else a copy that has it."""
    if memory_format is preserve_format or is_contiguous(self, memory_format):
        return self
    return _laid_out(self, memory_format)


@public(module=False)
def is_contiguous(self: Tensor, memory_format: memory_format = contiguous_format) -> bool:
    """Return whether the elements lie in the order of the format, without gaps."""
    if memory_format is contiguous_format:
        return self._aval.contiguous
    if self.ndim != {channels_last: 4, channels_last_3d: 5}[memory_format]:
        return False
    dense = channels_last_strides(self._aval.shape)
    pairs = zip(self._aval.shape, self._aval.strides, dense, strict=True)
    return all(n == 1 or own == full for n, own, full in pairs)


# ---- join ----


def _tensors(tensors, name: str = "cat") -> tuple:
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    if not tensors and name != "cat":
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return tuple(tensors)


@public(method=False, out=True, aliases=("concat", "concatenate"))
def cat(tensors, dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Join tensors along a dimension they have."""
    return aten.cat(_tensors(tensors), dim if axis is None else axis)


@public(method=False, out=True)
def stack(tensors, dim: int = 0) -> Tensor:
    """Join tensors along a new dimension."""
    return aten.stack(_tensors(tensors, "stack"), dim)


@public(method=False, out=True)
def hstack(tensors) -> Tensor:
    """Join along the second dimension, vectors along their only one."""
    rows = [raised(t, 1) for t in _tensors(tensors, "hstack")]
    return aten.cat(rows, 0 if rows and rows[0].ndim == 1 else 1)


@public(method=False, out=True, aliases=("row_stack",))
def vstack(tensors) -> Tensor:
    """Join along the first dimension, vectors as rows."""
    return aten.cat([raised(t, 2) for t in _tensors(tensors, "vstack")], 0)


@public(method=False, out=True)
def dstack(tensors) -> Tensor:
    """Join along the third dimension."""
    return aten.cat([raised(t, 3) for t in _tensors(tensors, "dstack")], 2)


@public(method=False, out=True)
def column_stack(tensors) -> Tensor:
    """Join along the second dimension, vectors as columns."""
    columns = [
        t.reshape(t.numel(), 1) if t.ndim <= 1 else t for t in _tensors(tensors, "column_stack")
    ]
    return aten.cat(columns, 1)


@public(method=False)
def block_diag(*tensors) -> Tensor:
    """Put matrices along the diagonal of a larger one."""
    return aten.block_diag(tensors)


def _check_vectors(tensors) -> None:
    for t in tensors:
        if t.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t.shape)}")


@public(method=False)
def cartesian_prod(*tensors) -> Tensor:
    """Return every tuple of one element from each vector, a row each."""
    _check_vectors(tensors)
    if len(tensors) == 1:
        return tensors[0]
    return aten.stack([reshape(g, (-1,)) for g in meshgrid(*tensors)], 1)


@public
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Return the combinations of r elements of a vector, a row each."""
    _check_vectors((input,))
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return Tensor._from_array(np.zeros(0, input.dtype.numpy))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    places = [Tensor._from_array(np.array(column)) for column in rows.T]
    return aten.stack([aten.index(input, (at,), (0,)) for at in places], 1)


@public(method=False)
def broadcast_shapes(*shapes) -> Size:
    """Return the size that tensors of these sizes broadcast to."""
    return Size(common_shape(*((s,) if isinstance(s, int) else tuple(s) for s in shapes)))


# ---- repeat ----


@public(module=False)
def repeat(self: Tensor, *repeats, **named) -> Tensor:
    """Lay copies side by side, ``repeats[i]`` of them along dimension i."""
    if not repeats and not named:
        raise TypeError('repeat() missing 1 required positional arguments: "repeats"')
    return aten.repeat(self, sizes(repeats, named, "repeat", "repeats"))


@public
def tile(input: Tensor, *dims, **named) -> Tensor:
    """Repeat as :func:`repeat` does; missing leading counts are 1."""
    counts = sizes(dims, named, "tile", "dims")
    return aten.repeat(input, (1,) * (input.ndim - len(counts)) + tuple(counts))


@public
def repeat_interleave(
    input: Tensor, repeats=None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Repeat each element or slice, as often as ``repeats`` says.

    Called with one tensor, the numbers of repeats, it returns the index of each repetition.
    """
    if repeats is None:
        return _repeat_each(_arange(input.numel()), input, 0, output_size)
    if dim is None:
        input, dim = flatten(input), 0
    if isinstance(repeats, Tensor) and repeats.numel() == 1 and repeats.ndim <= 1:
        repeats = repeats.item()
    if isinstance(repeats, Tensor):
        return _repeat_each(input, repeats, dim, output_size)
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    return aten.repeat_elements(input, repeats, dim)


def _arange(length: int) -> Tensor:
    return Tensor._from_array(np.arange(length))


def _repeat_each(input: Tensor, repeats: Tensor, dim: int, length: int | None) -> Tensor:
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        name = dtypes.SCALAR_NAMES[repeats.dtype]
        raise NotImplementedError(f"\"repeat_interleave_cpu\" not implemented for '{name}'")
    if repeats.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    size = input._aval.shape[wrap_dim(dim, input.ndim)]
    if repeats.numel() != size:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{repeats.numel()} and input.size({dim}) = {size}"
        )
    if length is None:
        counts = repeats._host()
        if counts.size and counts.min() < 0:
            raise RuntimeError("repeats can not be negative")
        length = int(counts.sum())
    return aten.repeat_elements_each(input, repeats, dim, length)


# ---- turn ----


@public
def ravel(input: Tensor) -> Tensor:
    """Return the elements as a vector."""
    return aten.view(contiguous(input), (-1,))


@public
def flip(input: Tensor, *dims, **named) -> Tensor:
    """Reverse the order along dimensions."""
    return aten.flip(input, sizes(dims, named, "flip", "dims"))


@public
def fliplr(input: Tensor) -> Tensor:
    """Reverse the order along the second dimension."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return aten.flip(input, (1,))


@public
def flipud(input: Tensor) -> Tensor:
    """Reverse the order along the first dimension."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return aten.flip(input, (0,))


@public
def roll(input: Tensor, shifts, dims=()) -> Tensor:
    """Shift along dimensions, or in row-major order; what leaves at one end comes in again."""
    shifts, dims = ((d,) if isinstance(d, int) else tuple(d or ()) for d in (shifts, dims))
    return aten.roll(input, shifts, dims)


# ---- diagonals ----


@public(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Return a matrix with a vector on its diagonal, or the diagonal of a matrix."""
    if input.ndim == 1:
        return aten.diag_embed(input, diagonal)
    if input.ndim == 2:
        return aten.diagonal_copy(input, diagonal)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")


@public
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """Return a matrix with the elements on its diagonal."""
    return aten.diag_embed(contiguous(input).view(-1), offset)


# ---- in place: one value everywhere ----


@public
def fill_(input: Tensor, value) -> Tensor:
    """Set every element to a number or a 0-dimensional tensor."""
    if isinstance(value, Tensor):
        return input.write(aten.fill_tensor_(input, value), expanded=True)
    return input.write(aten.fill_(input, fitting(value, input.dtype)), expanded=True)


@public(method=False)
def fill(input: Tensor, value) -> Tensor:
    """Return a tensor like ``input`` with every element set to ``value``."""
    if isinstance(value, Tensor):
        return aten.fill_tensor(input, value)
    return aten.fill(input, fitting(value, input.dtype))


@public
def zero_(input: Tensor) -> Tensor:
    """Set every element to zero."""
    return input.write(aten.zero_(input), expanded=True)
