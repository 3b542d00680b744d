"""The modes that say whether operations join the autograd graph, as contexts and decorators."""

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar, overload

from facade.program import flush
from facade.storage import Storage, init_in_inference
from facade.tape import state

F = TypeVar("F", bound=Callable)


class _Mode:
    """A context manager that is also a decorator, for functions, methods and generators."""

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *exception: object) -> None:
        raise NotImplementedError

    def clone(self) -> Self:
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    def _wrap_generator(self, function) -> Any:
        """Enter the mode around every step of a generator, not around what its caller does."""

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            generator = function(*args, **kwargs)
            send, value = generator.send, None
            try:
                while True:
                    with self.clone():
                        item = send(value)
                    send = generator.send
                    try:
                        value = yield item
                    except GeneratorExit:
                        with self.clone():
                            generator.close()
                        raise
                    except BaseException as error:
                        send, value = generator.throw, error
            except StopIteration as stop:
                return stop.value

        return wrapped


class no_grad(_Mode):
    """Record nothing for ``backward()``."""

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...
    def __new__(cls, function=None):
        made = super().__new__(cls)
        return made if function is None else made(function)

    def __enter__(self) -> None:
        self.previous, state.grad = state.grad, False

    def __exit__(self, *exception: object) -> None:
        state.grad = self.previous
        tape = state.tape
        if self.previous and tape.parameter_written and tape.backward_pending:
            flush(tape)  # the end of a training step written by hand


class enable_grad(_Mode):
    """Record for ``backward()`` again inside :class:`no_grad`."""

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...
    def __new__(cls, function=None):
        made = super().__new__(cls)
        return made if function is None else made(function)

    def __enter__(self) -> None:
        self.previous, state.grad = state.grad, True

    def __exit__(self, *exception: object) -> None:
        state.grad = self.previous


class set_grad_enabled(_Mode):
    """Switch recording for ``backward()`` on or off: at once, and for a ``with`` block."""

    def __init__(self, mode: bool) -> None:
        self.previous, self.mode = state.grad, mode
        state.grad = mode

    def __call__(self, function: F) -> F:
        state.grad = self.previous
        return super().__call__(function)

    def __enter__(self) -> None:
        state.grad = self.mode

    def __exit__(self, *exception: object) -> None:
        state.grad = self.previous

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mode={self.mode})"

    def clone(self) -> Self:
        return type(self)(self.mode)


class inference_mode(_Mode):
    """Like :class:`no_grad`; the results can never join a graph.

    Args:
        mode: False makes it do nothing but enable grad.
    """

    @overload
    def __new__(cls, mode: bool = True) -> Self: ...
    @overload
    def __new__(cls, mode: F) -> F: ...
    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if isinstance(mode, bool):
            return made
        made.__init__()
        return made(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        self.previous = state.grad, state.inference
        state.grad, state.inference = not self.mode, self.mode
        if self.mode:
            _mark_storages(1)

    def __exit__(self, *exception: object) -> None:
        state.grad, state.inference = self.previous
        if self.mode:
            _mark_storages(-1)

    def clone(self) -> Self:
        return type(self)(self.mode)


_lock = threading.Lock()
_blocks = 0  # of inference mode that threads are in
_plain_init = Storage.__init__


def _mark_storages(change: int) -> None:
    """Have new storages ask whether they are made in inference mode, while any thread is in it."""
    global _blocks
    with _lock:
        _blocks += change
        Storage.__init__ = init_in_inference if _blocks else _plain_init  # type: ignore[method-assign]


class set_multithreading_enabled(_Mode):
    """Accepted: the backward is part of the compiled program, which has its own threads."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None: ...

    def clone(self) -> Self:
        return type(self)(self.mode)


def is_grad_enabled() -> bool:
    """Return whether operations are recorded for ``backward()``."""
    return state.grad


def is_inference_mode_enabled() -> bool:
    """Return whether this is inside :class:`inference_mode`."""
    return state.inference
