"""Ask about dtypes: what operands promote to, what may be cast, what is a tensor."""

from facade import dtypes
from facade.binding import public
from facade.ops.registry import OPS
from facade.tensor import Tensor
from facade.torch_function import copied

for _function in (dtypes.promote_types, dtypes.can_cast, dtypes.get_default_dtype):
    public(_function, method=False)


@public(method=False)
def set_default_dtype(d: dtypes.dtype) -> None:
    """Make ``d`` the dtype that Python floats become.

    Raises:
        TypeError: ``d`` is no floating dtype.
    """
    dtypes.set_default_dtype(d)
    for spec in OPS.values():
        spec.forget()  # what integers and numbers promote to has changed


@public(method=False)
def result_type(tensor1, tensor2) -> dtypes.dtype:
    """Return the dtype of an arithmetic operation on two tensors or numbers."""
    operands = (tensor1, tensor2)
    tensors = [t for t in operands if isinstance(t, Tensor)]
    return dtypes.result_type(
        [t.dtype for t in tensors if t.ndim],
        [t.dtype for t in tensors if not t.ndim],
        [dtypes.of_number(type(x)) for x in operands if not isinstance(x, Tensor)],
    )


@public(method=False)
def is_tensor(obj) -> bool:
    """Return whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


for _name in ("detach", "is_complex", "is_floating_point", "is_inference", "is_signed", "numel"):
    public(copied(getattr(Tensor, _name)), method=False)
