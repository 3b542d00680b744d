"""torch.compile and torch.compiler: accepted in full; facade compiles everything anyway."""

import contextlib
from collections.abc import Callable
from typing import Any

from facade import program

_BACKENDS = ("cudagraphs", "inductor", "openxla", "tvm")
_default_backend: list[Any] = ["inductor"]


def compile(
    model: Callable | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """Return ``model`` itself, or a decorator that does.

    Every program is compiled by XLA as it is recorded, so there is nothing to add;
    :func:`facade.jit` skips the Python too.

    Raises:
        RuntimeError: both ``mode`` and ``options`` are given, or the mode is unknown.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode not in (None, *_MODES):
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if model is None:
        return lambda function: compile(function, mode=mode, options=options)
    if not callable(model):
        raise AssertionError("A callable function is expected.")
    return model


_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


def reset() -> None:
    """Forget all compiled programs."""
    program.clear()


def is_compiling() -> bool:
    """Return whether code runs to be compiled only: never, it always records."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def list_backends(exclude_tags: tuple = ("debug", "experimental")) -> list[str]:
    """Return the names that ``backend=`` takes."""
    return list(_BACKENDS)


def set_default_backend(backend: Any) -> None:
    """Remember a backend, for :func:`get_default_backend`."""
    _default_backend[0] = backend


def get_default_backend() -> Any:
    """Return the backend last set."""
    return _default_backend[0]


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return ``fn``, which is not captured by :func:`compile` anyway."""
    return fn if fn is not None else lambda function: function


def _unchanged(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return ``fn``."""
    return fn if fn is not None else lambda function: function


assume_constant_result = allow_in_graph = nested_compile_region = wrap_numpy = _unchanged


def substitute_in_graph(original_fn: Callable, **options: Any) -> Callable:
    """Return a decorator that returns its function: nothing is substituted."""
    return lambda function: function


@contextlib.contextmanager
def set_stance(stance: str = "default", **options: Any):
    """Accept how to treat code that is not compiled yet."""
    yield


def cudagraph_mark_step_begin() -> None:
    """Mark the beginning of a step; nothing depends on it."""


__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin",
    "disable", "get_default_backend", "is_compiling", "is_dynamo_compiling", "is_exporting",
    "list_backends", "nested_compile_region", "reset", "set_default_backend", "set_stance",
    "substitute_in_graph", "wrap_numpy",
]  # fmt: skip
