"""Count what the design promises: XLA compilations, and instructions of a compiled program."""

import contextlib

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"
_counts = {"compiled": 0}
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration, **kw: _counts.__setitem__(
        "compiled", _counts["compiled"] + (event == _COMPILED)
    )
)


@contextlib.contextmanager
def compilations():
    """Give a list that holds the number of XLA compilations inside the block once it ends."""
    found: list[int] = []
    before = _counts["compiled"]
    yield found
    found.append(_counts["compiled"] - before)
