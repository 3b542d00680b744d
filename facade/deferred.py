"""Checks of values that are still to be computed: made at the next read of any value."""

from collections.abc import Callable

import numpy as np
from jax.core import Tracer

MAX_PENDING = 256  # more than this are looked at without waiting for a read

pending: list[tuple] = []
_switched_on = True


class set_value_checks:
    """Say whether values that are still to be computed are checked, as a context or for good.

    An index, class or probability out of range raises at the call if its value is known there.
    Else the program that computes it looks for it, too, which this turns off: what is out of range
    then goes unnoticed, and results are undefined.

    >>> with facade.set_value_checks(False):
    ...     loss = train(batch)
    """

    def __init__(self, mode: bool) -> None:
        global _switched_on
        self._before, _switched_on = _switched_on, bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        global _switched_on
        _switched_on = self._before


def are_checked() -> bool:
    """Return whether values that are still to be computed are checked."""
    return _switched_on


def later(cell, error: Callable[[int, int], Exception]) -> None:
    """Raise ``error(place, value)`` once a cell was computed, if that is what it says.

    Args:
        cell: Holds the place of a first wrong value, -1 if there is none, and that value; one
            such pair, or rows of them.
    """
    kept = getattr(cell.tape, "checks", pending)  # a function being traced hands them on
    kept.append((cell, error))
    if len(pending) > MAX_PENDING:
        examine()
        del pending[:-MAX_PENDING]  # their tape was dropped, or belongs to another thread


def examine() -> None:
    """Make the checks whose values are known by now."""
    ready = [item for item in pending if item[0].array is not None]
    pending[:] = [item for item in pending if item[0].array is None]
    for cell, error in ready:
        if not isinstance(cell.array, Tracer):
            _check(np.asarray(cell.array).reshape(-1, 2), error)


def _check(pairs: np.ndarray, error: Callable[[int, int], Exception]) -> None:
    wrong = pairs[pairs[:, 0] >= 0]
    if len(wrong):
        raise error(*wrong[0].tolist())
