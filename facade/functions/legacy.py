"""The oldest way to name a kind of tensor: ``torch.FloatTensor`` and its kin."""

from typing import Any

import numpy as np

from facade import dtypes
from facade.binding import public
from facade.functions.construction import from_data
from facade.functions.conversion import dtype_of_type
from facade.functions.creation import zeros
from facade.functions.types import set_default_dtype
from facade.size import Size
from facade.tensor import Tensor


class tensortype(type):
    """The type of these types, none of which is a class of tensors: tensors are of class Tensor.

    Attributes:
        dtype: Of the tensors that it stands for.
    """

    dtype: dtypes.dtype

    def __call__(cls, *data) -> Tensor:
        """Return a tensor from sizes or from data.

        Raises:
            TypeError: the data is a tensor of another dtype.
        """
        if len(data) != 1 or isinstance(data[0], int | Size):
            sizes = data[0] if data and isinstance(data[0], Size) else data or (0,)
            return zeros(tuple(sizes), dtype=cls.dtype)
        (given,) = data
        if not isinstance(given, Tensor):
            return from_data(np.asarray(given).astype(cls.dtype.numpy), cls.dtype, None)
        if given.dtype is not cls.dtype:
            expected, got = (_OPTIONS.format(dtypes.C_NAMES[d]) for d in (cls.dtype, given.dtype))
            raise TypeError(f"expected {expected} (got {got})")
        return given.detach()

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype and instance.is_cpu


_OPTIONS = (
    "TensorOptions(dtype={}, device=cpu, layout=Strided, requires_grad=false (default), "
    "pinned_memory=false (default), memory_format=(nullopt))"
)
_KINDS = {
    "Float": dtypes.float32, "Double": dtypes.float64, "Half": dtypes.float16,
    "BFloat16": dtypes.bfloat16, "Byte": dtypes.uint8, "Char": dtypes.int8,
    "Short": dtypes.int16, "Int": dtypes.int32, "Long": dtypes.int64, "Bool": dtypes.bool_,
}  # fmt: skip
TYPES = {
    f"{name}Tensor": tensortype(f"{name}Tensor", (), {"dtype": d, "__module__": "torch"})
    for name, d in _KINDS.items()
}


@public(method=False)
def set_default_tensor_type(t) -> None:
    """Make the dtype of a legacy type what Python floats become.

    Raises:
        TypeError: it is no type of floating tensors.
    """
    if isinstance(t, dtypes.dtype):
        raise TypeError(
            "invalid type object: only floating-point types are supported as the default type"
        )
    set_default_dtype(dtype_of_type(t))
