"""Sizes that a layer takes as one number or as one per dimension."""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

SizeArg = int | tuple[int, ...]


def per_dimension(count: int) -> Callable[[Any], tuple]:
    """Return the function that makes a tuple of a number, ``count`` times, or of a sequence."""

    def parse(value: Any) -> tuple:
        return tuple(value if isinstance(value, Iterable) else repeat(value, count))

    return parse


single, pair, triple = (per_dimension(count) for count in (1, 2, 3))
