"""torch.compile and torch.compiler: accepted in full; facade compiles everything anyway."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from facade import program
from facade.nn.module import Module

_BACKENDS = ("cudagraphs", "inductor", "openxla", "tvm")
_DEBUG_BACKENDS = ("aot_eager", "aot_eager_decomp_partition", "eager", "eager_noexcept", "ts")
_default_backend: list[Any] = ["inductor"]


class InvalidBackend(RuntimeError):
    """There is no backend of that name."""


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
    """Return a module or function that does what ``model`` does; without one, a decorator.

    Every program is compiled by XLA as it is recorded, so there is nothing to add;
    :func:`facade.jit` skips the Python too.

    Raises:
        RuntimeError: both ``mode`` and ``options`` are given, or the mode is unknown.
        InvalidBackend: there is no such backend.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode not in (None, *_MODES):
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if isinstance(backend, str) and backend not in (*_BACKENDS, *_DEBUG_BACKENDS):
        raise InvalidBackend(
            f"Invalid backend: {backend!r}, see `torch._dynamo.list_backends()` for available "
            "backends."
        )
    if model is None:
        return lambda function: compile(
            function, mode=mode, options=options, backend=backend, disable=disable
        )
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    if disable:
        return model
    return OptimizedModule(model) if isinstance(model, Module) else _wrapped(model)


def _wrapped(function: Callable) -> Callable:
    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    compiled._torchdynamo_orig_callable = function  # type: ignore[attr-defined]
    return compiled


class OptimizedModule(Module):
    """What :func:`compile` makes of a module: the same one, under the name ``_orig_mod``."""

    def __init__(self, mod: Module) -> None:
        super().__init__()
        del self.__dict__["training"]  # the module's own
        self._orig_mod = mod

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the module does."""
        return self._orig_mod(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name in modules or "_orig_mod" not in modules:
            return super().__getattr__(name)
        return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_orig_mod" or name in self.__dict__:
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __len__(self) -> int:
        return len(self._orig_mod)  # type: ignore[arg-type]


def patch_of(switches: dict[str, Any]) -> Callable:
    """Return ``patch(name=value)``: a context, and a decorator, that sets switches for a while."""

    @contextlib.contextmanager
    def patch(arg: Any = None, value: Any = None, **changes: Any):
        if arg is not None:
            changes = dict(arg) if isinstance(arg, dict) else {arg: value}
        before = {name: switches[name] for name in changes}
        switches.update(changes)
        try:
            yield
        finally:
            switches.update(before)

    return patch


_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")


def reset() -> None:
    """Forget all compiled programs."""
    program.clear()


def is_compiling() -> bool:
    """Return whether code runs to be compiled only: never, it always records."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """Return the names that ``backend=`` takes."""
    return sorted((*_BACKENDS, *(() if exclude_tags else _DEBUG_BACKENDS)))


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


def _no_guards(guard_entries: list) -> list[bool]:
    """Return that every guard is kept; there are none."""
    return [True for _ in guard_entries]


keep_portable_guards_unsafe = keep_tensor_guards_unsafe = skip_all_guards_unsafe = _no_guards
skip_guard_on_all_nn_modules_unsafe = skip_guard_on_globals_unsafe = _no_guards
skip_guard_on_inbuilt_nn_modules_unsafe = _no_guards


def set_enable_guard_collectives(enabled: bool) -> bool:
    """Accept whether processes agree on recompiling; return what was set before: they don't."""
    return False


def substitute_in_graph(original_fn: Callable, **options: Any) -> Callable:
    """Return a decorator that returns its function: nothing is substituted."""
    return lambda function: function


@contextlib.contextmanager
def set_stance(stance: str = "default", **options: Any):
    """Accept how to treat code that is not compiled yet."""
    yield


def cudagraph_mark_step_begin() -> None:
    """Mark the beginning of a step; nothing depends on it."""


def save_cache_artifacts() -> Any:
    """Refused: programs are kept in a folder, not in bytes.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(_CACHE)


def load_cache_artifacts(serialized_artifacts: bytes) -> Any:
    """Refused, as :func:`save_cache_artifacts`.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(_CACHE)


def load_compiled_function(
    file: Any,
    *,
    f_globals: dict[str, object] | None = None,
    external_data: dict[str, Any] | None = None,
) -> Callable:
    """Refused: what leaves this process is a program of JAX's.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "load_compiled_function: write a function with facade.export(function, args).save(path) "
        "and read it with jax.export.deserialize"
    )


_CACHE = (
    "compiled programs are kept on disk as they are made: copy the folder that FACADE_CACHE_DIR "
    "names, and name it there"
)
__all__ = [
    "InvalidBackend", "OptimizedModule", "allow_in_graph", "assume_constant_result", "compile",
    "cudagraph_mark_step_begin", "disable", "get_default_backend", "is_compiling",
    "is_dynamo_compiling", "is_exporting", "list_backends", "load_cache_artifacts",
    "load_compiled_function", "nested_compile_region", "reset", "save_cache_artifacts",
    "set_default_backend", "set_stance", "substitute_in_graph", "wrap_numpy",
]  # fmt: skip
