"""Checks of values that are still to be computed: made at the next read of any value."""

from collections.abc import Callable

import numpy as np
from jax.core import Tracer

MAX_PENDING = 256  # more than this are looked at without waiting for a read

pending: list[tuple] = []


def later(cell, check: Callable[[np.ndarray], None]) -> None:
    """Have ``check`` called with a cell's value once it was computed; it raises if it must."""
    pending.append((cell, check))
    if len(pending) > MAX_PENDING:
        examine()
        del pending[:-MAX_PENDING]  # their tape was dropped, or belongs to another thread


def examine() -> None:
    """Make the checks whose values are known by now."""
    ready = [item for item in pending if item[0].array is not None]
    pending[:] = [item for item in pending if item[0].array is None]
    for cell, check in ready:
        if not isinstance(cell.array, Tracer):
            check(np.asarray(cell.array))
