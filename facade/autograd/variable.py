"""torch.autograd.Variable: what tensors with gradients were called once."""

from facade.tensor import Tensor


class VariableMeta(type):
    """Makes every tensor an instance of :class:`Variable`."""

    def __instancecheck__(cls, other: object) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=VariableMeta):
    """Called, it returns an alias of a tensor outside the graph."""

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = False) -> Tensor:
        if data is None:
            return Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return Tensor._make_subclass(Tensor, data, requires_grad)


__all__ = ["Variable", "VariableMeta"]
