"""The few names of ``torch._C`` that programs use."""

from facade.tensor import Tensor as TensorBase
from facade.torch_function import DisableTorchFunctionSubclass
from facade.torch_function import disabled as _disabled_torch_function_impl

DisableTorchFunction = DisableTorchFunctionSubclass

__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "TensorBase",
    "_disabled_torch_function_impl",
]  # fmt: skip
