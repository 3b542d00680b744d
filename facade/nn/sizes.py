"""Sizes that a layer takes as one number or as one per dimension."""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

SizeArg = int | tuple[int, ...]


def _per_dimension(count: int) -> Callable[[Any], tuple]:
    def parse(value: Any) -> tuple:
        return tuple(value if isinstance(value, Iterable) else repeat(value, count))

    return parse


single, pair, triple = (_per_dimension(count) for count in (1, 2, 3))
