"""Turn tensors into the storages that files hold, and storages into tensors."""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from facade import dtypes
from facade.avals import Aval, aval, check_extent
from facade.devices import CPU, META, device, resolve
from facade.dtypes import dtype
from facade.nn.parameter import Parameter
from facade.recording import wrap
from facade.storage import Storage, settle
from facade.tensor import Tensor

# ---- storages ----


class StorageType:
    """What files call ``torch.FloatStorage``: a name that stands for a dtype."""

    def __init__(self, name: str, dtype: dtype) -> None:
        self.name = name
        self.dtype = dtype


# Later dtypes have no storage type of their own: their bytes are saved untyped, the dtype beside.
_UNTYPED_DTYPES = {d for d in dtypes.ALL if "float8" in d.name or d.name in
                   ("uint16", "uint32", "uint64")}  # fmt: skip
UNTYPED = StorageType("storage.UntypedStorage", dtypes.uint8)
TYPED = {
    d: StorageType(f"{dtypes.SCALAR_NAMES[d]}Storage", d)
    for d in dtypes.ALL
    if d not in _UNTYPED_DTYPES
}


class UntypedStorage:
    """The bytes of one storage and where they belong; what ``map_location`` functions get.

    Args:
        data: ``(nbytes,)``, uint8, on the host whatever the device.
        device: Of the tensors made from it.
    """

    def __init__(self, data: np.ndarray, device: device = CPU) -> None:
        self._data = data
        self.device = device
        self._base: Tensor | None = None  # covers it all; later tensors on it are views of this one

    def __len__(self) -> int:
        return len(self._data)

    def nbytes(self) -> int:
        """Return the size in bytes."""
        return len(self._data)

    def to(self, device: Any) -> "UntypedStorage":
        """Return this storage on ``device``."""
        wanted = resolve(device)
        return self if wanted is self.device else UntypedStorage(self._data, wanted)

    def cpu(self) -> "UntypedStorage":
        """Return this storage on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> "UntypedStorage":
        """Return this storage on a CUDA device."""
        return self.to("cuda" if device is None else device)

    def part(self, start: int, size: int) -> "UntypedStorage":
        """Return ``size`` bytes from ``start`` on as a storage of their own."""
        return UntypedStorage(self._data[start : start + size], self.device)

    def tensor(self, dtype: dtype, offset: int, size: tuple, stride: tuple) -> Tensor:
        """Return the tensor that sees this storage so.

        Raises:
            RuntimeError: it would reach beyond the storage.
        """
        numel = len(self._data) // dtype.itemsize
        _check_bounds(dtype, offset, size, stride, numel)
        base = self._base
        if base is not None and base.dtype is dtype:
            return base.detach().as_strided(size, stride, offset)
        if offset == 0 and math.prod(size) == numel and _is_dense(size, stride):
            self._base = _tensor(self._data, aval(size, dtype, stride), self.device)
            return self._base
        self._base = _tensor(self._data, aval((numel,), dtype), self.device)
        return self._base.as_strided(size, stride, offset)


class TypedStorage:
    """A storage as the tensors of one dtype see it."""

    def __init__(self, untyped: UntypedStorage, dtype: dtype) -> None:
        self.untyped = untyped
        self.dtype = dtype


def _check_bounds(dtype: dtype, offset: int, size: tuple, stride: tuple, numel: int) -> None:
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
        raise RuntimeError(
            f"storage offset {offset}, sizes {size} and strides {stride} describe no tensor"
        )
    check_extent(size, stride, offset, numel, dtype.itemsize)


def _is_dense(size: tuple, stride: tuple) -> bool:
    """Return whether the elements fill their memory, each one place, in whatever order of dims."""
    step = 1
    for s, n in sorted((s, n) for s, n in zip(stride, size, strict=True) if n != 1):
        if s != step:
            return 0 in size
        step *= n
    return True


def _tensor(data: np.ndarray, layout: Aval, device: device) -> Tensor:
    """Return a tensor with a storage of its own, the bytes of which are ``data``."""
    if device is META:
        return wrap(Storage(layout, META), layout)
    return wrap(Storage(layout, device, _seen_as(layout, data)), layout)


def _seen_as(layout: Aval, data: np.ndarray) -> np.ndarray:
    """Return the elements in bytes of memory as an array of this layout."""
    steps = [layout.dtype.itemsize * s for s in layout.strides]
    return np.ndarray(layout.shape, layout.dtype.numpy, buffer=data, strides=steps)


class SavedStorage:
    """A storage on its way into a file.

    Attributes:
        key: Its name in the file.
        kind: The storage type the file says it has.
        location: The device the file says it was on.
        numel: Its size, in elements of ``kind``.
    """

    def __init__(self, key: str, cell: Storage) -> None:
        settle(cell)
        dtype = cell.aval.dtype
        self.key = key
        self.kind = TYPED.get(dtype, UNTYPED)
        # PyTorch knows no TPU; on the CPU it can load it, and so can facade.
        self.location = str(cell.device) if cell.device.type == "cuda" else "cpu"
        self.cell = cell
        self.numel = cell.aval.numel * dtype.itemsize // self.kind.dtype.itemsize

    def bytes(self) -> np.ndarray:
        """Return its bytes in the order of memory."""
        layout = self.cell.aval
        values = np.asarray(self.cell.array)
        if not layout.contiguous:
            data = np.empty(values.nbytes, np.uint8)
            _seen_as(layout, data)[...] = values
            return data
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


# ---- what a pickle says about tensors ----


# reduce: tensor -> (function, arguments), as pickle wants it
def reduce(t: Tensor, saved: dict[int, SavedStorage]) -> tuple[Callable, tuple]:
    """Return how a file rebuilds ``t``, and add its storage to ``saved``."""
    state = {name: value for name, value in vars(t).items() if not hasattr(Tensor, name)}
    if isinstance(t, Parameter):
        args = (t.data, t.requires_grad, OrderedDict())
        if not state:
            return rebuild_parameter, args
        return rebuild_parameter_with_state, (*args, state)
    function, args = _reduce_plain(t, saved)
    if type(t) is Tensor and not state:
        return function, args
    return rebuild_from_type_v2, (function, type(t), args, state)


def _reduce_plain(t: Tensor, saved: dict[int, SavedStorage]) -> tuple[Callable, tuple]:
    size, stride = tuple(t.shape), t.stride()
    if t.device is META:
        return rebuild_meta_tensor, (t.dtype, size, stride, t.requires_grad)
    cell = t._cell.storage
    storage = saved.get(id(cell))
    if storage is None:
        storage = saved[id(cell)] = SavedStorage(str(len(saved)), cell)
    if cell.aval.dtype is not t.dtype:
        raise RuntimeError(
            "Cannot save multiple tensors or storages that view the same data as different types"
        )
    # hooks are never saved, an empty dict is
    args = (storage, t.storage_offset(), size, stride, t.requires_grad, OrderedDict())
    if storage.kind is UNTYPED:
        return rebuild_tensor_v3, (*args, t.dtype)
    return rebuild_tensor_v2, args


def rebuild_tensor(storage: TypedStorage, offset: int, size: tuple, stride: tuple) -> Tensor:
    """``torch._utils._rebuild_tensor``, of files before PyTorch 0.4."""
    return storage.untyped.tensor(storage.dtype, offset, tuple(size), tuple(stride))


def rebuild_tensor_v2(
    storage: TypedStorage, offset, size, stride, requires_grad, backward_hooks, metadata=None
) -> Tensor:
    """``torch._utils._rebuild_tensor_v2``, the usual one."""
    result = rebuild_tensor(storage, offset, size, stride)
    return _finish(result, requires_grad, metadata)


def rebuild_tensor_v3(
    storage: TypedStorage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None
) -> Tensor:
    """``torch._utils._rebuild_tensor_v3``, for dtypes whose storages are saved untyped."""
    result = rebuild_tensor(TypedStorage(storage.untyped, dtype), offset, size, stride)
    return _finish(result, requires_grad, metadata)


def _finish(t: Tensor, requires_grad: bool, metadata: dict | None) -> Tensor:
    """Do what PyTorch does lazily (``conj()``, ``-`` of an imaginary part), and set the rest."""
    if metadata and metadata.get("conj"):
        t = t.conj()
    if metadata and metadata.get("neg"):
        t = t.neg()
    return t.requires_grad_(requires_grad)


def rebuild_meta_tensor(dtype, size: tuple, stride: tuple, requires_grad: bool) -> Tensor:
    """``torch._utils._rebuild_meta_tensor_no_storage``."""
    layout = aval(tuple(size), dtype, tuple(stride))
    return wrap(Storage(layout, META), layout).requires_grad_(requires_grad)


def rebuild_device_tensor(data: Tensor, dtype, device: str, requires_grad: bool) -> Tensor:
    """``torch._utils._rebuild_device_tensor_from_cpu_tensor``: an XLA tensor, loaded on the CPU."""
    return data.to(dtype).requires_grad_(requires_grad)


def rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks) -> Tensor:
    """``torch._utils._rebuild_parameter``."""
    return Parameter(data, requires_grad)


def rebuild_parameter_with_state(data, requires_grad, backward_hooks, state) -> Tensor:
    """``torch._utils._rebuild_parameter_with_state``: one with attributes of the user's."""
    return _set_state(Parameter(data, requires_grad), state)


def rebuild_from_type_v2(function: Callable, new_type: type, args: tuple, state) -> Tensor:
    """``torch._tensor._rebuild_from_type_v2``: a tensor with attributes, or of a subclass."""
    result = function(*args)
    if type(result) is not new_type:
        result = result.as_subclass(new_type)
    return _set_state(result, state)


def _set_state(t: Any, state: Any) -> Any:
    """Give a tensor its attributes back.

    Raises:
        pickle.UnpicklingError: ``state`` is not the attributes of a tensor.
    """
    if not isinstance(t, Tensor) or not isinstance(state, dict):
        raise pickle.UnpicklingError(f"can't set the state of {type(t)} from {type(state)}")
    vars(t).update(state)
    return t
