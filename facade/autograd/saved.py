"""The hooks on tensors saved for backward that are in force, thread by thread."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from facade.recording import observe, unobserve


class _Hooks(threading.local):
    """The pairs (pack, unpack) in force, innermost last; why none may be, if so.

    Attributes:
        mutable: Whether a saved tensor may be written before it is used.
    """

    def __init__(self) -> None:
        self.pairs: list[tuple[Callable, Callable]] = []
        self.refused: str | None = None
        self.mutable = False


_state = _Hooks()


def hooks_for_saved() -> tuple[Callable, Callable] | None:
    """Return the pair that a tensor saved now gets, if there is one."""
    return _state.pairs[-1] if _state.pairs else None


def may_be_written() -> bool:
    """Return whether a tensor saved now may be written before it is used."""
    return _state.mutable


@contextlib.contextmanager
def without_hooks() -> Iterator[None]:
    """Save inside as if there were no hooks."""
    pairs, _state.pairs = _state.pairs, []
    try:
        yield
    finally:
        _state.pairs = pairs


packer: Any = None  # told of what is recorded while there are hooks; facade.autograd.packing's


class saved_tensors_hooks:
    """Pack the tensors that ops and Functions save for backward, and unpack them there.

    Args:
        pack_hook: Called with each tensor when it is saved; what it returns is kept.
        unpack_hook: Called with that; returns the tensor.
    """

    def __init__(self, pack_hook: Callable, unpack_hook: Callable) -> None:
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if _state.refused is not None:
            raise RuntimeError(_state.refused)
        _state.pairs.append((self.pack_hook, self.unpack_hook))
        observe(packer)

    def __exit__(self, *exception: object) -> None:
        unobserve(packer)
        _state.pairs.pop()


class save_on_cpu(saved_tensors_hooks):
    """Keep what is saved for backward on the CPU meanwhile.

    Args:
        pin_memory: Accepted; the host memory of jax arrays is the runtime's.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor):
            return tensor.device, tensor.cpu()

        def unpack(packed):
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks(contextlib.ContextDecorator):
    """Refuse such hooks inside: to enter them raises RuntimeError with this message."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        if _state.pairs:
            raise RuntimeError(self.error_message)
        self.previous, _state.refused = _state.refused, self.error_message

    def __exit__(self, *exception: object) -> None:
        _state.refused = self.previous


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """Let saved tensors be written: ``backward()`` uses the values they had when they were saved.

    What ops save may be written in any case; here, what a Function saves as well.
    """
    if _state.mutable:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    _state.mutable = True
    try:
        yield
    finally:
        _state.mutable = False
