"""Make tensors from data: lists, numbers, numpy and jax arrays, other tensors."""

import warnings
from typing import Any

import jax
import numpy as np

from facade import dtypes
from facade.avals import aval
from facade.binding import public
from facade.devices import chosen_device, get_default_device, resolve, set_default_device
from facade.recording import wrap
from facade.storage import Storage
from facade.tensor import Tensor

public(get_default_device, method=False)
public(set_default_device, method=False)


def place(device):
    """Return the device for a ``device=`` argument, the default one for None."""
    return get_default_device() if device is None else resolve(device)


@public(method=False)
def tensor(
    data: Any, *, dtype=None, device=None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """Copy data into a new leaf tensor.

    Args:
        data: A number, nested sequences of numbers, an array or a tensor.
        dtype: Inferred from the data unless given: Python floats give the default dtype.
    Raises:
        ValueError, TypeError, RuntimeError: the data is ragged, holds no numbers, or doesn't fit.
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            stacklevel=2,
        )
    return from_data(data, dtype, device).requires_grad_(requires_grad)


@public(method=False)
def as_tensor(data: Any, dtype=None, device=None) -> Tensor:
    """Return ``data`` itself if it is a tensor that fits, else a tensor made from it."""
    if isinstance(data, Tensor):
        return data.to(device=chosen_device() if device is None else device, dtype=dtype)
    return from_data(data, dtype, device)


public(as_tensor, name="asarray", method=False)


@public(method=False)
def from_numpy(array: np.ndarray) -> Tensor:
    """Return a tensor with a numpy array's values.

    Raises:
        TypeError: it is no array, or PyTorch has no such dtype.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtypes.from_numpy(array.dtype)
    return Tensor._from_array(np.array(array))


@public(method=False)
def from_dlpack(exporter: Any) -> Tensor:
    """Return a tensor with the values of any object that speaks DLPack."""
    with jax.enable_x64(True):
        return Tensor._from_array(jax.dlpack.from_dlpack(exporter))


def from_data(data: Any, dtype, device) -> Tensor:
    """Return a new leaf with the values of ``data``; the arguments of :func:`tensor`."""
    if isinstance(data, Tensor):
        made = data.detach().clone()
        return made.to(device=chosen_device() if device is None else device, dtype=dtype)
    where = place(device)
    array = _array(data, dtype)
    known = aval(tuple(array.shape), dtypes.from_numpy(array.dtype))
    return wrap(Storage(known, where, array), known)


def _array(data: Any, dtype):
    if isinstance(data, jax.Array):
        return data if dtype is None else data.astype(dtype.numpy)
    if isinstance(data, np.ndarray | np.generic):
        dtypes.from_numpy(data.dtype)
        return np.array(data, dtype=dtype.numpy if dtype else data.dtype)
    kinds: set = set()
    shape = _survey(data, kinds, 0)
    if dtype is None:
        dtype = _infer_dtype(kinds)
    if kinds & {complex} and not dtype.is_complex:
        raise TypeError("can't convert complex to float")
    data = _plain(data)
    try:
        array = np.array(data, dtype=_exact(kinds, dtype))
    except OverflowError:
        raise RuntimeError("Overflow when unpacking long long") from None
    return array.astype(dtype.numpy).reshape(shape)


def _exact(kinds: set, d: dtypes.dtype):
    """Return the dtype Python's numbers are read as, before they are cast as PyTorch casts."""
    if d.is_floating_point:
        return np.float64
    if kinds <= {int, bool} and not d.is_complex:
        return np.int64 if d is not dtypes.uint64 else np.uint64
    return np.complex128 if d.is_complex else np.float64


def _infer_dtype(kinds: set) -> dtypes.dtype:
    found = [k for k in kinds if isinstance(k, dtypes.dtype)]
    found += [dtypes.of_number(k) for k in kinds if isinstance(k, type)]
    if not found:
        return dtypes.get_default_dtype()
    result = found[0]
    for d in found[1:]:
        result = dtypes.promote_types(result, d)
    return result


def _survey(data: Any, kinds: set, depth: int) -> tuple[int, ...]:
    """Return the shape of nested data and collect the kinds of number in it.

    Raises:
        ValueError: it is ragged.
        TypeError, RuntimeError: it holds something that is no number.
    """
    if isinstance(data, bool | int | float | complex):
        kinds.add(next(k for k in (bool, int, float, complex) if isinstance(data, k)))
        return ()
    if isinstance(data, np.generic):
        kinds.add(dtypes.from_numpy(data.dtype))
        return ()
    if isinstance(data, Tensor | np.ndarray | jax.Array):
        kinds.add(data.dtype if isinstance(data, Tensor) else dtypes.from_numpy(data.dtype))
        return tuple(data.shape)
    if isinstance(data, str) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        if depth == 0 or isinstance(data, str):
            if isinstance(data, str):
                raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
            raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    shapes = [_survey(item, kinds, depth + 1) for item in data]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise _ragged(shapes[0], shape, i, depth)
    return (len(shapes), *(shapes[0] if shapes else ()))


def _ragged(first: tuple, other: tuple, at: int, depth: int) -> Exception:
    if not first:
        return TypeError("must be real number, not list")
    if not other:
        return TypeError("not a sequence")
    return ValueError(f"expected sequence of length {first[0]} at dim {depth + 1} (got {other[0]})")


def _plain(data: Any):
    """Return nested data with tensors turned into arrays, which numpy then takes in one go."""
    if isinstance(data, Tensor):
        return data.detach()._host()
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data] if _nests(data) else data
    return list(map(_plain, data)) if _is_sequence(data) else data


def _nests(data) -> bool:
    return any(not isinstance(item, int | float) for item in data)


def _is_sequence(data) -> bool:
    return not isinstance(data, np.ndarray | np.generic | jax.Array | str) and hasattr(
        data, "__len__"
    )
