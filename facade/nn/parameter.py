"""Tensors that a module owns: its parameters and its buffers."""

from collections import OrderedDict
from typing import Any, ClassVar

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


# ---- tensors without a shape ----


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet: it has a dtype and a device."""

    cls_to_become: ClassVar[type]
    data: Any
    requires_grad: bool

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Become an ordinary tensor of this shape; its values are undefined."""
        old = self.data
        place, kind = device or old.device, dtype or old.dtype
        self.data = empty(tuple(shape), device=place, dtype=kind)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def __repr__(self, *, tensor_contents=None) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            kind: Any = type(self)
            memo[id(self)] = kind(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, proto):
        return type(self), (self.requires_grad,)


def is_lazy(param: Any) -> bool:
    """Return whether a parameter or buffer has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device=None, dtype=None):
        return Tensor._make_subclass(cls, empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet."""

    cls_to_become = Tensor
    __torch_function__: Any = staticmethod(disabled)

    def __new__(cls, requires_grad: bool = False, device=None, dtype=None, persistent: bool = True):
        made: Any = Tensor._make_subclass(cls, empty(0, device=device, dtype=dtype), requires_grad)
        made.persistent = persistent
        made._is_buffer = True
        return made
