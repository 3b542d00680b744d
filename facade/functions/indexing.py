"""``x[...]`` and ``x[...] = v``: basic indices give views, tensors and masks copies."""

import operator
import warnings
import weakref
from types import EllipsisType
from typing import Any

import numpy as np
from jax.core import Tracer
from numpy.lib.stride_tricks import as_strided

from facade import aten
from facade.avals import aval
from facade.binding import public
from facade.deferred import are_checked, later
from facade.dtypes import SCALAR_NAMES, bool_, int32, int64, uint8
from facade.errors import broadcast_shapes
from facade.functions.fitting import fitting
from facade.overlap import refuse_overlap
from facade.recording import wrap
from facade.sites import noted
from facade.storage import Storage, View
from facade.tensor import Tensor, chain_geometry

# ---- read ----

_UNBIND = 64  # iterating over more rows than this takes them one by one: programs stay small


@public(module=False)
def __getitem__(self: Tensor, key) -> Tensor:
    """Return the part of the tensor that ``key`` names."""
    kind = type(key)
    if kind is int:
        return _position(self, 0, key)
    if kind is slice:
        return _range(self, 0, key)
    if key is None:
        return aten.unsqueeze(self, 0)
    if key is Ellipsis:
        return aten.alias(self)
    part, indices = _basic(self, _items(key))
    if indices:
        indices, dims = _integers(part, indices)
        return aten.index(part, indices, dims)
    return aten.alias(part) if part is self else part


@public(module=False)
def __iter__(self: Tensor):
    """Iterate over the first dimension."""
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    if len(self) <= _UNBIND:
        return iter(aten.unbind(self, 0))
    return (aten.select(self, 0, i) for i in range(len(self)))


@public(module=False)
def __reversed__(self: Tensor) -> Tensor:
    """Return the tensor in the opposite order along the first dimension."""
    return aten.flip(self, (0,)) if self.ndim else self


def _items(key) -> tuple:
    """Return a key as the tuple of its parts; PyTorch takes some lists for tuples."""
    if isinstance(key, tuple):
        return key
    if isinstance(key, list) and len(key) < 32 and any(map(_nested, key)):
        return tuple(key)
    return (key,)


def _nested(item) -> bool:
    return isinstance(item, Tensor | list | tuple | slice | EllipsisType | np.ndarray | None)


def _basic(self: Tensor, items: tuple) -> tuple[Tensor, dict[int, Tensor]]:
    """Apply the integers, slices, None and ``...`` of a key.

    Returns:
        The view that they show, and the index tensors left over by the dimension they index.
    """
    items = tuple(map(_plain, items))
    taken = sum(map(_dims_taken, items))
    if taken > self.ndim:
        raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
    part, dim, place, indices = self, 0, 0, {}
    for item in items:
        kind = type(item)
        if kind is int:
            part = _position(part, dim, item, place)
            place += 1
        elif kind is slice:
            part = _range(part, dim, item, keep_full=True)
            dim, place = dim + 1, place + 1
        elif item is None:
            part = aten.unsqueeze(part, dim)
            dim += 1
        elif item is Ellipsis:
            skipped = self.ndim - taken
            dim, place, taken = dim + skipped, place + skipped, self.ndim
        elif kind is bool or (item.ndim == 0 and item.dtype in (bool_, uint8)):
            part = aten.unsqueeze(part, dim)
            indices[dim] = _array([0] if bool(item) else [])
            dim += 1
        else:
            indices[dim] = item
            covered = _dims_taken(item)
            dim, place = dim + covered, place + covered
    return part, indices


def _plain(item):
    """Return one part of a key as an int, slice, bool, None, ``...`` or index tensor.

    Raises:
        IndexError, TypeError: it is none of these.
    """
    if item is None or item is Ellipsis or type(item) in (int, slice, bool):
        return item
    if isinstance(item, Tensor):
        if item.dtype not in (int64, bool_, int32, uint8):
            if item.ndim == 0 and not item.dtype.is_floating_point:
                return int(item)
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        a_number = item.ndim == 0 and item.dtype not in (bool_, uint8)
        return int(item.item()) if a_number and not _is_placeholder(item) else item
    if isinstance(item, np.bool_):
        return bool(item)
    if hasattr(item, "__index__") and not isinstance(item, np.ndarray):
        return operator.index(item)
    if isinstance(item, str):
        raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
    if isinstance(item, np.ndarray) or (hasattr(item, "__len__") and hasattr(item, "__getitem__")):
        return _plain(_array(item))
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _is_placeholder(index: Tensor) -> bool:
    """Return whether a function is being traced and the tensor has no value in it."""
    tape = index._cell.storage.tape
    return (tape is not None and tape.pure) or isinstance(index._cell.storage.array, Tracer)


def _array(data) -> Tensor:
    """Return an index tensor of a sequence; an empty one is of integers."""
    if not isinstance(data, np.ndarray):
        data = [d.detach()._host() if isinstance(d, Tensor) else d for d in data]
        data = np.array(data) if data else np.array(data, np.int64)
    return Tensor._from_array(np.array(data))


def _dims_taken(item) -> int:
    """Return how many dimensions of the tensor one part of a key uses."""
    if item is None or item is Ellipsis or type(item) is bool:
        return 0
    if isinstance(item, Tensor) and item.dtype in (bool_, uint8):
        return item.ndim
    return 1


def _position(part: Tensor, dim: int, index: int, place: int = 0) -> Tensor:
    """View one position; ``place`` is the dimension's number in the tensor indexed."""
    shape = part._aval.shape
    if not shape:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
            "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
        )
    size = shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {place} with size {size}")
    return aten.select(part, dim, index + size if index < 0 else index)


def _range(part: Tensor, dim: int, key: slice, keep_full: bool = False) -> Tensor:
    """View a slice; with ``keep_full`` a slice of everything is the tensor itself.

    Raises:
        ValueError: the step is not positive.
        TypeError: a bound is no integer.
    """
    if key.step is not None and int(key.step) <= 0:
        raise ValueError(
            "step must be greater than zero" if key.step else "slice step cannot be zero"
        )
    if not part.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    size = part._aval.shape[dim]
    start, stop, step = key.indices(size)
    if keep_full and step == 1 and not key.start and stop == size:
        return part
    length = max(0, -(-(stop - start) // step))
    return aten.slice(part, dim, start, length, step)


# ---- index tensors ----


def _integers(part: Tensor, indices: dict[int, Tensor]) -> tuple[tuple[Tensor, ...], tuple]:
    """Return integer index tensors, masks turned into the places where they are true.

    Returns:
        The tensors and the dimensions they index.
    Raises:
        IndexError: a mask doesn't fit, an index is out of range, or shapes don't broadcast.
    """
    tensors, dims = [], []
    for dim, index in indices.items():
        if index.dtype in (bool_, uint8):
            _check_mask(index, part, dim)
            places = true_places(index)
            tensors.extend(places)
            dims.extend(range(dim, dim + len(places)))
            continue
        size = part._aval.shape[dim]
        text = None if size else "index is out of bounds for dimension with size 0"
        if not size or part.numel():  # nothing is read where another dimension is empty
            check_range(index, size, len(tensors), text=text)
        tensors.append(index if index.device is part.device else index.to(part.device))
        dims.append(dim)
    if len(tensors) > 1:
        _check_broadcast(tensors)
    return tuple(tensors), tuple(dims)


def _check_broadcast(tensors: list[Tensor]) -> None:
    try:
        broadcast_shapes(*(t._aval.shape for t in tensors))
    except RuntimeError:
        shapes = ", ".join(str(list(t.shape)) for t in tensors)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None


def _check_mask(mask: Tensor, part: Tensor, dim: int) -> None:
    if mask.dtype is uint8:
        warnings.warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
            "instead.",
            stacklevel=4,
        )
    for i, (own, size) in enumerate(
        zip(mask._aval.shape, part._aval.shape[dim : dim + mask.ndim], strict=True)
    ):
        if own != size:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {i} does not match the shape "
                f"of the indexed tensor {list(part.shape)} at index {dim + i}"
            )


def true_places(mask: Tensor) -> tuple[Tensor, ...]:
    """Return the places of a mask's true elements, one index tensor per dimension."""
    found = np.nonzero(mask.detach()._host())
    placed = tuple(Tensor._from_array(i.astype(np.int64, copy=False)) for i in found)
    return placed if mask.is_cpu else tuple(t.to(mask.device) for t in placed)


def at_hand(index: Tensor) -> np.ndarray | None:
    """Return the values of an index tensor on the CPU if they need no computing.

    Of a view, all values of its storage: a superset.
    """
    array = index._cell.storage.array
    if array is None or not index.is_cpu or array.dtype != index.dtype.numpy:
        return None
    if isinstance(array, Tracer):
        return None
    return np.asarray(array)


_bounds: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def bounds_at_hand(index: Tensor) -> tuple[float, float] | None:
    """Return the least and the largest of the values :func:`at_hand` gives, looked at only once."""
    storage = index._cell.storage
    known = _bounds.get(storage)
    if known is not None and known[0] == storage.version and storage.array is not None:
        return known[1]
    values = at_hand(index)
    if values is None or not values.size:
        return None
    bounds = values.min().item(), values.max().item()
    _bounds[storage] = (storage.version, bounds)
    return bounds


def check_range(index: Tensor, size: int, dim: int, error: type[Exception] = IndexError,
                least: int | None = None, text: str | None = None) -> None:  # fmt: skip
    """Check an index tensor's values against a dimension's size: now, or once they are computed.

    Args:
        least: The least index allowed, ``-size`` by default.
        text: The error's, with ``{index}``; by default that of indexing.
    Raises:
        error: one is out of range.
    """
    text = text or f"index {{index}} is out of bounds for dimension {dim} with size {size}"
    least = -size if least is None else least
    check_within(index, least, size - 1, lambda _, value: error(text.format(index=value)))


def check_within(
    values: Tensor, least: float, greatest: float, error, ignored: int | None = None,
    nan: bool = False,
) -> None:  # fmt: skip
    """Check that values lie within bounds: now if they are at hand, else once they are computed.

    Args:
        error: ``(place, value) -> exception`` for the first that doesn't.
        ignored: A value that always may occur.
        nan: Whether a NaN may.
    """
    if not values.numel() or values.is_meta:
        return
    bounds = bounds_at_hand(values)
    if bounds is not None and least <= bounds[0] and bounds[1] <= greatest:
        return

    exact = exactly_at_hand(values)
    if exact is None:
        if not are_checked():
            return
        later(aten.first_outside(values, least, greatest, ignored, nan)._cell, noted(error))
        return
    flat = exact.reshape(-1)
    wrong = ~((flat >= least) & (flat <= greatest)) & (flat != ignored)
    if nan:
        wrong &= flat == flat
    if wrong.any():
        place = int(wrong.argmax())
        raise error(place, flat[place])


def exactly_at_hand(tensor: Tensor) -> np.ndarray | None:
    """Return the values of a tensor on the CPU, or of a view, if they need no computing."""
    stored = at_hand(tensor)
    cell = tensor._cell
    if stored is None or type(cell) is not View:
        return stored
    if not cell.storage.aval.contiguous:
        return None
    shape, strides, offset = chain_geometry(cell)
    step = stored.itemsize
    flat = np.ascontiguousarray(stored).reshape(-1)[offset:]
    return as_strided(flat, shape, [s * step for s in strides], writeable=False)


# ---- write ----


@public(module=False)
def __setitem__(self: Tensor, key, value) -> None:
    """Write ``value``, broadcast and cast, into the part of the tensor that ``key`` names."""
    part, indices = _target(self, key)
    value = _value(self, value)
    if not indices:
        _assign(part, value)
        return
    _refuse_overlap(part, indices, value)
    if not _write_masked(part, indices, value):
        _index_put(part, indices, value)


def _target(self: Tensor, key) -> tuple[Tensor, dict[int, Tensor]]:
    if key is Ellipsis:
        return self, {}
    if type(key) is int:
        return _position(self, 0, key), {}
    if type(key) is slice:
        return _range(self, 0, key, keep_full=True), {}
    return _basic(self, _items(key))


def _value(self: Tensor, value):
    """Return what is written: a tensor on this device, or a number that fits the dtype."""
    if isinstance(value, Tensor):
        return value if value.device is self.device else value.to(self.device)
    if isinstance(value, int | float | complex | np.generic):
        narrow = self.dtype.is_floating_point and self.dtype.itemsize < 4
        return fitting(value, self.dtype) if not narrow or isinstance(value, complex) else value
    kind = getattr(type(value), "__module__", "builtins").partition(".")[0]
    name = type(value).__name__ if kind == "builtins" else f"{kind}.{type(value).__name__}"
    raise TypeError(f"can't assign a {name} to a torch.{SCALAR_NAMES[self.dtype]}Tensor")


def _assign(part: Tensor, value) -> None:
    if not isinstance(value, Tensor):
        part.write(aten.fill_(part, value))
        return
    if _same_view(part, value):
        return  # the end of `x[i] += v`, which has written already
    refuse_overlap(part, value)
    shape = value._aval.shape
    while len(shape) > part.ndim and shape[0] == 1:
        shape = shape[1:]
    if shape != value._aval.shape:
        value = aten.view(value, shape) if value._aval.contiguous else value.reshape(shape)
    if shape != part._aval.shape:
        value = aten.expand(value, part._aval.shape)
    part.write(aten.copy(part, value))


def _refuse_overlap(part: Tensor, indices: dict[int, Tensor], value) -> None:
    """Raise if indices or values share memory with what is written.

    A single element is as good as a number to a mask.
    """
    masks = [i.dtype in (bool_, uint8) for i in indices.values()]
    for index, is_mask in zip(indices.values(), masks, strict=True):
        if not is_mask:
            refuse_overlap(part, index, whole=True)
    if isinstance(value, Tensor) and not (masks == [True] and value.numel() == 1):
        refuse_overlap(part, value, whole=True)


def _same_view(a: Tensor, b: Tensor) -> bool:
    x, y = a._cell, b._cell
    return (
        type(x) is View and type(y) is View and x.storage is y.storage and x.chain == y.chain
        and x.aval is y.aval
    )  # fmt: skip


def _write_masked(part: Tensor, indices: dict[int, Tensor], value) -> bool:
    """Write through a single mask without reading it, if the value is the same at each place."""
    if len(indices) > 1:
        return False
    ((dim, mask),) = indices.items()
    if mask.dtype is not bool_:
        return False
    behind = part.ndim - dim - mask.ndim
    if isinstance(value, Tensor) and not _fits_behind(value, part, behind):
        return False
    _check_mask(mask, part, dim)
    shaped = mask if not behind else aten.view(mask.contiguous(), (*mask.shape, *(1,) * behind))
    if isinstance(value, Tensor):
        part.write(aten.masked_put(part, shaped, value), expanded=True)
    else:
        part.write(aten.masked_put_number(part, shaped, value), expanded=True)
    return True


def _fits_behind(value: Tensor, part: Tensor, behind: int) -> bool:
    """Return whether a value broadcasts to the dimensions behind a mask."""
    if value.ndim > behind or (value.ndim and value.dtype is not part.dtype):
        return False
    tail = part._aval.shape[part.ndim - value.ndim :]
    return all(v in (1, t) for v, t in zip(value._aval.shape, tail, strict=True))


def _index_put(part: Tensor, indices: dict[int, Tensor], value) -> None:
    tensors, dims = _integers(part, indices)
    if not isinstance(value, Tensor):
        part.write(aten.index_put_number(part, value, tensors, dims), expanded=True)
        return
    shape = value._aval.shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    if shape != value._aval.shape:
        value = value.reshape(shape)
    part.write(aten.index_put(part, value, tensors, dims, False), expanded=True)


# ---- places ----


@public(out=True)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Return the places of the elements that are not zero: a row each, or a tensor per dimension.

    Their number depends on the values, so this computes them now.
    """
    found = np.nonzero(np.atleast_1d(input.detach()._host()))
    if as_tuple:
        return tuple(
            Tensor._from_array(i.astype(np.int64, copy=False)).to(input.device) for i in found
        )
    columns = found[: input.ndim]
    rows = np.stack(columns, 1) if columns else np.zeros((len(found[0]), 0), np.int64)
    known = Tensor._from_array(np.ascontiguousarray(rows, np.int64)).to(input.device)
    return _by_columns(known)


def _by_columns(rows: Tensor) -> Tensor:
    """Return a matrix as stored column by column, as PyTorch's ``nonzero`` leaves it."""
    count = rows._aval.shape[0]
    laid = aval(rows._aval.shape, int64, (1, count))
    return wrap(Storage(laid, rows.device, rows._cell.array), laid)


@public
def argwhere(input: Tensor) -> Tensor:
    """Return the places of the elements that are not zero, a row each."""
    return nonzero(input)
