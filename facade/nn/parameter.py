"""Tensors that a module owns: its parameters and its buffers."""

from collections import OrderedDict
from typing import Any

from facade import printing
from facade.functions.creation import empty
from facade.tensor import Tensor
from facade.torch_function import disabled


class _MarkedMeta(type(Tensor)):
    """Let a marked instance of another Tensor subclass count as a Parameter or Buffer."""

    _mark: str | None = None

    def __instancecheck__(cls, instance) -> bool:
        if super().__instancecheck__(instance):
            return True
        # Only Parameter and Buffer themselves, not their subclasses, know instances by mark.
        mark = cls.__dict__.get("_mark")
        return bool(mark and isinstance(instance, Tensor) and getattr(instance, mark, False))


class Parameter(Tensor, metaclass=_MarkedMeta):
    """A tensor that its module lists in ``parameters()`` as soon as it is an attribute.

    Args:
        data: Any tensor, ``empty(0)`` if missing; storage is shared, its graph is not.
        requires_grad: Whether it gets a gradient; ``no_grad`` does not change that.
    """

    _mark = "_is_param"
    __torch_function__: Any = staticmethod(disabled)

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> "Parameter":
        source: Tensor = empty(0) if data is None else data
        plain = type(source) is Tensor or type(source) is Parameter
        kind = cls if plain else type(source)
        result: Any = Tensor._make_subclass(kind, source, requires_grad)
        if not plain:
            result._is_param = True  # an instance of the user's own Tensor subclass stays one
        return result

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self, *, tensor_contents=None) -> str:
        return printing.parameter_str(**self._shown(), tensor_contents=tensor_contents)

    def __reduce_ex__(self, proto):
        # Gradient and hooks are not saved; what the user put on the parameter is.
        state = {name: value for name, value in vars(self).items() if not hasattr(Tensor, name)}
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict(), state)


def _rebuild_parameter(
    data: Tensor, requires_grad: bool, hooks: Any, state: dict[str, Any] | None = None
) -> Parameter:
    param = Parameter(data, requires_grad)
    vars(param).update(state or {})
    return param


class Buffer(Tensor, metaclass=_MarkedMeta):
    """A tensor that its module lists in ``buffers()``; assigning it to an attribute registers it.

    Args:
        data: Any tensor, ``empty(0)`` if missing.
        persistent: Whether it is part of the module's ``state_dict``.
    """

    _mark = "_is_buffer"
    __torch_function__: Any = staticmethod(disabled)
    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> "Buffer":
        source: Tensor = empty(0) if data is None else data
        # As in PyTorch, the result keeps the class of `data`.
        result: Any = source.detach().requires_grad_(source.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result
