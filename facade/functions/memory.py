"""Which memory a tensor has: ``data_ptr()`` and storages as objects.

Buffers are donated and move, so addresses are numbers that tell memory apart, as PyTorch's do:
aliases agree, a write changes nothing, views differ by their offset. Nothing lies there.
"""

import weakref
from typing import Any

from facade import devices, dtypes
from facade.binding import public
from facade.devices import META
from facade.functions.sharing import is_shared as is_marked
from facade.functions.strided import as_strided
from facade.recording import wrap
from facade.storage import Storage
from facade.tensor import Tensor

_ALIGNMENT = 64
_addresses: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_end = 1 << 26  # where the next storage's memory begins


def _address(storage: Storage) -> int:
    size = storage.aval.numel * storage.aval.dtype.itemsize
    if not size or storage.device is META:
        return 0
    if storage not in _addresses:
        global _end
        _addresses[storage] = _end
        _end += size + _ALIGNMENT - size % _ALIGNMENT
    return _addresses[storage]


class _Handle:
    """What both kinds of storage object know.

    Args:
        cell: Where the value is.
    """

    def __init__(self, cell: Storage) -> None:
        self._cell = cell

    @property
    def device(self) -> devices.device:
        return self._cell.device

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return self._cell.aval.numel * self._cell.aval.dtype.itemsize

    def data_ptr(self) -> int:
        """Return a number that this memory alone has."""
        return _address(self._cell)

    def is_shared(self) -> bool:
        return is_marked(self._tensor())

    def is_pinned(self, device=None) -> bool:
        return False

    def _tensor(self) -> Tensor:
        return wrap(self._cell, self._cell.aval)

    def _flat(self) -> Tensor:
        """Return the elements in the order of memory, as a view."""
        return as_strided(self._tensor(), (self._cell.aval.numel,), (1,), 0)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        raise NotImplementedError


class UntypedStorage(_Handle):
    """The bytes that tensors share."""

    @property
    def _cdata(self) -> int:
        return id(self._cell)

    def size(self) -> int:
        """Return the size in bytes."""
        return self.nbytes()

    def element_size(self) -> int:
        return 1

    def untyped(self) -> "UntypedStorage":
        return self

    def tolist(self) -> list[int]:
        """Return the bytes."""
        return self._flat().view(dtypes.uint8).tolist()

    def __eq__(self, other) -> bool:
        return isinstance(other, UntypedStorage) and other._cell is self._cell

    def __hash__(self) -> int:
        return id(self._cell)

    def __repr__(self) -> str:
        shown = "".join(f" {byte}\n" for byte in self.tolist())
        return (
            f"{shown}[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"
        )


class TypedStorage(_Handle):
    """The elements that tensors share, in the order of memory."""

    @property
    def dtype(self) -> dtypes.dtype:
        return self._cell.aval.dtype

    def size(self) -> int:
        """Return the number of elements."""
        return self._cell.aval.numel

    def element_size(self) -> int:
        return self.dtype.itemsize

    def untyped(self) -> UntypedStorage:
        return UntypedStorage(self._cell)

    _untyped_storage = property(untyped)

    def tolist(self) -> list:
        """Return the elements."""
        return self._flat().tolist()

    def __getitem__(self, index: int) -> Any:
        return self._flat()[index].item()

    def __setitem__(self, index, value) -> None:
        self._flat()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def __repr__(self) -> str:
        shown = "".join(f" {x}\n" for x in self.tolist())
        kind = f"torch.storage.TypedStorage(dtype={self.dtype}, device={self.device})"
        return f"{shown}[{kind} of size {self.size()}]"


@public(module=False)
def data_ptr(self: Tensor) -> int:
    """Return a number that tells memory apart: aliases agree in it, nothing can be read there."""
    start = _address(self._cell.storage)
    return start + self.storage_offset() * self.element_size() if start and self.numel() else 0


@public(module=False)
def untyped_storage(self: Tensor) -> UntypedStorage:
    """Return the bytes that this tensor and its aliases share."""
    return UntypedStorage(self._cell.storage)


@public(module=False, aliases=("_typed_storage",))
def storage(self: Tensor) -> TypedStorage:
    """Return the elements that this tensor and its aliases share."""
    return TypedStorage(self._cell.storage)


@public(module=False)
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Return whether both see the same elements of the same memory."""
    own, other = self._cell.storage, tensor._cell.storage
    same = own is other and self.shape == tensor.shape and self.stride() == tensor.stride()
    return same and self.storage_offset() == tensor.storage_offset()


@public(module=False)
def dim_order(self: Tensor) -> tuple[int, ...]:
    """Return the dimensions from the outermost in memory to the innermost."""
    return tuple(sorted(range(self.ndim), key=lambda d: -self.stride(d)))


@public(method=False)
def is_storage(obj) -> bool:
    """Return whether this is a storage object."""
    return isinstance(obj, _Handle)
