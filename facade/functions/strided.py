"""``as_strided`` and its kin: a tensor's storage read wherever strides point."""

import functools

import numpy as np

from facade import aten
from facade.avals import check_extent, is_dense
from facade.binding import public
from facade.ops.parts import element_at
from facade.recording import wrap
from facade.storage import View
from facade.tape import state
from facade.tensor import Tensor, chain_geometry


@public
def as_strided(input: Tensor, size, stride, storage_offset: int | None = None) -> Tensor:
    """View the storage wherever strides point.

    Raises:
        RuntimeError: they point outside of it.
    """
    source, *where, own = _source(input, tuple(size), tuple(stride), storage_offset)
    shown = aten.as_strided(source, *where, own)
    if type(input._cell) is View:
        shown._cell.several |= input._cell.several
    if source is input or input._node is None or not state.grad:
        return shown
    # the value is the storage's, the history goes through the input, as far as it shows that
    _, steps, offset = where
    known = input._aval
    part = aten.as_strided_part(input, shown.detach(), steps, offset - _start(input), known.strides)
    return wrap(shown._cell, shown._aval, part._node, part._number)


@public(method=False, out=True)
def as_strided_copy(input: Tensor, size, stride, storage_offset: int | None = None) -> Tensor:
    """Copy what :func:`as_strided` shows."""
    return aten.as_strided_copy(*_source(input, tuple(size), tuple(stride), storage_offset))


@public
def as_strided_scatter(
    input: Tensor, src: Tensor, size, stride, storage_offset: int | None = None
) -> Tensor:
    """Copy with the elements that ``as_strided`` shows replaced by ``src``."""
    made = aten.clone(input)
    as_strided(made, size, stride, storage_offset).copy_(src)
    return made


def _source(input: Tensor, size: tuple, stride: tuple, storage_offset: int | None) -> tuple:
    """Return the arguments of the op: a tensor that shows all the places, and where they are in it.

    The tensor is ``input``, or else the one that owns its storage.
    """
    cell, known, start = input._cell, input._aval, _start(input)
    storage = cell.storage.aval
    offset = start if storage_offset is None else storage_offset
    count = storage.numel * storage.dtype.itemsize // known.dtype.itemsize
    _check(size, stride, offset, count, known.dtype.itemsize)
    if _shows(known.shape, known.strides, size, stride, offset - start):
        return input, size, stride, offset - start, known.strides
    owner = cell.base if cell.base is not None else wrap(cell.storage, storage)
    return owner, size, stride, offset, storage.strides


def _start(t: Tensor) -> int:
    """Return where in its storage a tensor begins."""
    return chain_geometry(t._cell)[2] if type(t._cell) is View else 0


def _check(size: tuple, stride: tuple, offset: int, count: int, itemsize: int) -> None:
    """Raise unless strides stay within a storage of ``count`` elements."""
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if min(stride, default=0) < 0:
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, "
            f"got strides: {list(stride)}"
        )
    check_extent(size, stride, offset, count, itemsize)


@functools.lru_cache(1024)
def _shows(shape: tuple, strides: tuple, size: tuple, stride: tuple, offset: int) -> bool:
    """Return whether a tensor has elements at all places that other strides point at."""
    if 0 in size:
        return True
    last = offset + sum((s - 1) * step for s, step in zip(size, stride, strict=True))
    if is_dense(shape, strides):
        return offset >= 0 and last < np.prod(shape, dtype=int)
    grid = np.ix_(*(np.arange(s) * step for s, step in zip(size, stride, strict=True)))
    return bool(element_at(sum(grid, np.int64(offset)), shape, strides)[1].all())
