"""``torch.overrides``: ask for and call ``__torch_function__`` by hand."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from facade import torch_function
from facade.tensor import Tensor
from facade.torch_function import disabled

__all__ = [
    "get_ignored_functions", "get_overridable_functions", "handle_torch_function",
    "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic",
    "is_tensor_like", "is_tensor_method_or_property", "resolve_name", "wrap_torch_function",
]  # fmt: skip


def has_torch_function(relevant_args: Iterable) -> bool:
    """Return whether an argument's class overrides what functions do with it."""
    return any(map(_overrides, relevant_args)) and torch_function.state.enabled


def _overrides(x) -> bool:
    kind = type(x)
    function = getattr(kind, "__torch_function__", disabled)
    return kind is not Tensor and not isinstance(x, type) and function is not disabled


def has_torch_function_unary(argument) -> bool:
    """Return :func:`has_torch_function` of one argument."""
    return has_torch_function((argument,))


def has_torch_function_variadic(*arguments) -> bool:
    """Return :func:`has_torch_function` of these arguments."""
    return has_torch_function(arguments)


def handle_torch_function(public_api: Callable, relevant_args: Iterable, *args, **kwargs) -> Any:
    """Call ``public_api`` as the classes of its arguments say.

    Args:
        relevant_args: The arguments to ask.
    Raises:
        TypeError: none of them knows the function.
    """
    asked = torch_function.overriding(relevant_args)
    result = torch_function.hand_over(public_api, asked, args, kwargs)
    if result is not NotImplemented:
        return result
    name = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(
        f"no implementation found for '{name}' on types that implement "
        f"__torch_function__: {[type(x) for x in asked]}"
    )


def wrap_torch_function(dispatcher: Callable[..., Iterable]) -> Callable:
    """Make a function ask the arguments that ``dispatcher`` picks from its own."""

    def wrap(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            relevant = tuple(dispatcher(*args, **kwargs))
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return wrap


def is_tensor_like(inp) -> bool:
    """Return whether this is a tensor, or an object that has ``__torch_function__``."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """Return the functions that ask, by the namespace they are in."""
    torch_function.activate()
    found: dict[Any, list[Callable]] = {}
    for function, name in torch_function.names.items():
        found.setdefault(torch_function.namespace(name), []).append(function)
    return found


def get_ignored_functions() -> set[Callable]:
    """Return the functions that never ask."""
    return torch_function.never_asking()


def resolve_name(f: Callable) -> str | None:
    """Return a function's name with its namespaces, as ``torch.Tensor.add``."""
    torch_function.activate()
    return torch_function.names.get(f)


def is_tensor_method_or_property(func: Callable) -> bool:
    """Return whether a function handed over is a method or property of Tensor."""
    name = getattr(func, "__name__", "")
    return name == "__get__" or (resolve_name(func) or "").startswith("torch.Tensor.")
