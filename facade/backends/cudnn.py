"""``torch.backends.cudnn``: whether float32 convolutions on a GPU may use TF32.

The other settings are accepted: XLA times the algorithms itself, and ``XLA_FLAGS`` makes it
deterministic.
"""

import contextlib
import sys
import types
from collections.abc import Iterator

from facade.backends.cuda import check_bool
from facade.devices import available
from facade.ops import conv_algorithms
from facade.program import flush
from facade.tape import state

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32: bool  # a property of the module, below


def is_available() -> bool:
    """Return whether there is a GPU."""
    return available("cuda") > 0


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
) -> tuple:
    """Change the settings that aren't None; return what all were.

    The limit is that of cuDNN: without a GPU there is none.
    """
    module = sys.modules[__name__]
    limit = _benchmark_limit if is_available() else None
    given = {
        "enabled": _enabled, "benchmark": _benchmark, "benchmark_limit": limit,
        "deterministic": _deterministic, "allow_tf32": _allow_tf32,
    }  # fmt: skip
    before = tuple(getattr(module, name) for name in given)
    for name, value in given.items():
        if value is not None:
            setattr(module, name, value)
    return before


@contextlib.contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int | None = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
) -> Iterator[None]:
    """Have these settings inside a ``with`` block."""
    before = set_flags(enabled, benchmark, benchmark_limit, deterministic, allow_tf32)
    try:
        yield
    finally:
        set_flags(*before)


class _Module(types.ModuleType):
    """This module, with a setting that reaches the convolutions."""

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 convolutions on a GPU may use TF32."""
        return conv_algorithms.is_tf32_allowed()

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        check_bool(value)
        flush(state.tape)  # what is recorded already keeps the precision it was recorded with
        conv_algorithms.allow_tf32(value)


sys.modules[__name__].__class__ = _Module
