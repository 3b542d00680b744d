"""``__torch_function__``: let Tensor subclasses and lookalikes say what functions do with them.

Plain tensors pay nothing: the functions learn to look at their arguments' classes when the first
subclass is defined (:func:`activate`), and a subclass gets its methods from a class of its own.
"""

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from facade import recording
from facade.recording import TensorBase

_PACKAGES = ("", ".nn.functional", ".linalg", ".fft", ".special")

# Functions that PyTorch never hands over
_NEVER = {
    "as_tensor", "asarray", "explain", "from_numpy", "is_storage", "is_tensor", "load", "no_flush",
    "save", "tensor", "to_jax", "typename",
}  # fmt: skip
_NEVER_METHODS = {
    "__hash__", "__init_subclass__", "__iter__", "__jax_array__", "__new__", "__reduce_ex__",
    "__torch_function__", "as_subclass", "check_history", "check_unexpanded", "write",
}  # fmt: skip
# Parameters by which a method takes another tensor
_OTHERS = {
    "batch1", "batch2", "boundaries", "end", "exponent", "index", "indices", "input2", "mask",
    "mat1", "mat2", "max", "min", "other", "source", "src", "target", "tensor", "tensor1",
    "tensor2", "tensors", "value", "values", "vec", "vec1", "vec2", "weight", "weights",
}  # fmt: skip
# Operators that PyTorch hands over under a method's name
_OPERATORS = {
    "__abs__": "abs", "__add__": "add", "__ge__": "ge", "__gt__": "gt", "__iadd__": "add_",
    "__ifloordiv__": "floor_divide_", "__imul__": "mul_", "__ipow__": "pow_", "__isub__": "sub_",
    "__itruediv__": "div_", "__le__": "le", "__lt__": "lt", "__matmul__": "matmul",
    "__mod__": "remainder", "__mul__": "mul", "__ne__": "ne", "__neg__": "neg",
    "__pos__": "positive", "__pow__": "pow", "__radd__": "add", "__rand__": "bitwise_and",
    "__rmul__": "mul", "__ror__": "bitwise_or", "__rxor__": "bitwise_xor", "__sub__": "sub",
    "__truediv__": "div",
}  # fmt: skip


class _State(threading.local):
    enabled = True


state = _State()
names: dict[Callable, str] = {}  # function -> "torch.add", filled by `activate`


class DisableTorchFunctionSubclass:
    """A block in which ``__torch_function__`` is not called."""

    def __enter__(self) -> None:
        self._was, state.enabled = state.enabled, False

    def __exit__(self, *exception) -> None:
        state.enabled = self._was


def disabled(func, types, args=(), kwargs=None) -> Any:
    """As a class's ``__torch_function__``: do as for plain tensors."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


def default(cls: type, func, types, args=(), kwargs=None) -> Any:
    """Do as for plain tensors, and return instances of the subclass."""
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    result = disabled(func, types, args, kwargs)
    return result if func in _kept() else _converted(result, cls)


@functools.cache
def _kept() -> frozenset:
    """Return the functions whose results keep their class."""
    base = recording.TENSOR_TYPE
    return frozenset({base._base.__get__, base.grad.__get__})


def _converted(result: Any, cls: type) -> Any:
    if isinstance(result, recording.TENSOR_TYPE):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, tuple | list) and any(isinstance(x, TensorBase) for x in result):
        items = [_converted(x, cls) for x in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    return result


# ---- who is asked ----


def overriding(arguments: Iterable) -> list:
    """Return the arguments to ask, one per class that overrides, subclasses first."""
    found: list = []
    if not state.enabled:
        return found
    for x in arguments:
        if type(x) in (list, tuple):
            for item in x:
                _add(found, item)
        else:
            _add(found, x)
    return found


def _add(found: list, x) -> None:
    kind = type(x)
    if (
        kind is recording.TENSOR_TYPE
        or isinstance(x, type)
        or any(type(other) is kind for other in found)
    ):
        return
    function = getattr(kind, "__torch_function__", None)
    if function is None or function is disabled:
        return
    places = (i for i, other in enumerate(found) if issubclass(kind, type(other)))
    found.insert(next(places, len(found)), x)


def hand_over(func: Callable, asked: list, args: tuple, kwargs: dict) -> Any:
    """Return what the first class that knows ``func`` returns; NotImplemented if none does."""
    kinds = tuple(type(x) for x in asked)
    for x in asked:
        result = x.__torch_function__(func, kinds, args, kwargs)
        if result is not NotImplemented:
            return result
    return NotImplemented


def no_implementation(func: Callable, asked: list) -> TypeError:
    name, kinds = names.get(func, getattr(func, "__name__", "")), [type(x) for x in asked]
    if ".functional." in name:
        return TypeError(
            f"no implementation found for '{name}' on types that implement "
            f"__torch_function__: {kinds}"
        )
    lines = "".join(
        f"\n\n  - tensor subclass {kind}" if issubclass(kind, TensorBase) else f"\n\n  - {kind}"
        for kind in kinds
    )
    return TypeError(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned "
        f"NotImplemented:{lines}\n\nFor more information, try re-running with "
        "TORCH_LOGS=not_implemented"
    )


# ---- functions and methods that ask ----


def copied(function: FunctionType) -> FunctionType:
    """Return an equal function that is an object of its own."""
    code, name = function.__code__, function.__name__
    copy = FunctionType(
        code, function.__globals__, name, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, function.__annotations__
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    copy.__doc__ = function.__doc__
    vars(copy).update(vars(function))
    return copy


def _asks(*args, _ask, **kwargs):
    return _ask(args, kwargs)


def make_ask(function: FunctionType) -> None:
    """Make a function first ask the classes of its arguments, from now on.

    It stays the object that others may have imported, or compare with, so its code is exchanged.
    """
    plain = copied(function)

    def ask(args, kwargs):
        asked = overriding((*args, *kwargs.values()) if kwargs else args)
        return _given(function, asked, args, kwargs) if asked else plain(*args, **kwargs)

    code, name = function.__code__, function.__qualname__
    function.__code__ = _asks.__code__.replace(
        co_freevars=code.co_freevars, co_name=function.__name__, co_qualname=name
    )
    function.__defaults__, function.__kwdefaults__ = None, {"_ask": ask}
    function.__wrapped__ = plain  # type: ignore[attr-defined]  # what `inspect.signature` shows


def asking(plain: Callable) -> Callable:
    """Return a method of subclasses that first asks the classes of its arguments."""

    @functools.wraps(plain)
    def method(*args, **kwargs):
        asked = overriding((*args, *kwargs.values()) if kwargs else args)
        return _given(plain, asked, args, kwargs) if asked else plain(*args, **kwargs)

    return method


def _given(func: Callable, asked: list, args: tuple, kwargs: dict) -> Any:
    result = hand_over(func, asked, args, kwargs)
    if result is NotImplemented:
        raise no_implementation(func, asked)
    return result


def _operator(name: str, plain: Callable) -> Callable:
    """Return an operator of subclasses; Python takes NotImplemented for a no."""
    base = recording.TENSOR_TYPE
    handed = getattr(base, _OPERATORS.get(name, name))
    forward = f"__{name[3:]}" if name[:3] == "__r" and hasattr(base, f"__{name[3:]}") else ""

    @functools.wraps(plain)
    def operator(self, *args, **kwargs):
        asked = overriding((self, *args))
        if not asked:
            return plain(self, *args, **kwargs)
        if forward and isinstance(args[0], TensorBase):  # `plain - subclass` comes here first
            func, args = getattr(base, _OPERATORS.get(forward, forward)), (args[0], self)
        else:
            func, args = handed, (self, *args)
        return hand_over(func, asked, args, kwargs)

    return operator


def lookalike_operator(name: str, self, other) -> Any:
    """Ask an operand that is no tensor; NotImplemented if it has no ``__torch_function__``."""
    asked = overriding((self, other))
    if not asked:
        return NotImplemented
    func = getattr(recording.TENSOR_TYPE, _OPERATORS.get(name, name))
    return hand_over(func, asked, (self, other), {})


def _property(plain: property) -> property:
    def get(self):
        asked = overriding((self,))
        return _given(plain.__get__, asked, (self,), {}) if asked else plain.__get__(self)

    def put(self, value) -> None:
        asked = overriding((self, value))
        if asked:
            _given(plain.__set__, asked, (self, value), {})
        else:
            plain.__set__(self, value)

    def delete(self) -> None:
        plain.__delete__(self)

    return property(get, put, delete, plain.__doc__)


# ---- when a subclass is defined ----


def adopt(cls: type) -> None:
    """Give a new subclass the methods that ask, unless it wants to be treated as plain."""
    base = recording.TENSOR_TYPE
    plain = getattr(cls, "__torch_function__", disabled) is disabled
    if not plain and base in cls.__bases__ and "_asks" not in vars(cls):
        asks = activate()
        cls.__bases__ = tuple(asks if kind is base else kind for kind in cls.__bases__)


@functools.cache
def activate() -> type:
    """Make functions ask from now on; return the base class of subclasses."""
    for package in _PACKAGES:
        for name, value in vars(sys.modules[f"facade{package}"]).items():
            public = type(value) is FunctionType and name not in _NEVER and name[0] != "_"
            if public and value not in names:
                make_ask(value)
                names[value] = f"torch{package}.{name}"
    base = recording.TENSOR_TYPE
    members: dict[str, Any] = {"__slots__": (), "_asks": True, "__iter__": _iterate}
    for name, member in list(vars(base).items()):
        private = name[:1] == "_" and name[:2] != "__" and name not in ("_base", "_version")
        if private or name in _NEVER_METHODS:
            continue
        if isinstance(member, property):
            members[name] = _property(member)
        elif type(member) is FunctionType:
            _make_method_ask(members, name, member)
    return type("Tensor", (base,), members)


def _make_method_ask(members: dict, name: str, plain: FunctionType) -> None:
    """Make a method ask: of every tensor if it takes another one, else of subclasses."""
    if name in _OPERATORS or name[:3] in ("__r", "__i"):
        members[name] = _operator(name, plain)
    elif name[:2] != "__" and not _OTHERS.isdisjoint(inspect.signature(plain).parameters):
        make_ask(plain)
        names[plain] = f"torch.Tensor.{name}"
    else:
        members[name] = asking(plain)
        names.setdefault(plain, f"torch.Tensor.{name}")


def namespace(name: str) -> Any:
    """Return the module or class that a name like ``torch.nn.functional.relu`` is in."""
    path = name.split(".")[1:-1]
    return functools.reduce(getattr, path, sys.modules["facade"])


def never_asking() -> set[Callable]:
    """Return the functions that never ask."""
    found = (getattr(sys.modules["facade"], name, None) for name in _NEVER)
    return {function for function in found if function is not None}


def _iterate(self):
    if not self.dim():
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))
