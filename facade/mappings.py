"""Compiled code takes memory mappings, of which Linux lets a process have a number only.

XLA's compiler on the CPU makes some three for each kernel, so a program of a large network has a
thousand. Past the limit it can't allocate memory, and ends the process.
"""

import gc
import itertools
from collections.abc import Callable
from pathlib import Path

EVERY = 8  # compilations from look to look: to count the mappings takes milliseconds

_limit_file, _own_file = Path("/proc/sys/vm/max_map_count"), Path("/proc/self/maps")
_compilations = itertools.count(1)
_reliefs: list[Callable[[], None]] = []


def _limit() -> int:
    """Return how many mappings to have at most: half of what there may be; 0 for any number."""
    try:
        return int(_limit_file.read_text()) // 2
    except OSError:  # not Linux
        return 0


LIMIT = _limit()
_ceiling = 0  # above the limit where others have too many


def relief(forget: Callable[[], None]) -> Callable[[], None]:
    """Have a function called that lets go of compiled code when there is too much of it."""
    _reliefs.append(forget)
    return forget


def make_room() -> None:
    """Let go of compiled code if there is too much: to be called before more is compiled."""
    global _ceiling
    if not LIMIT or next(_compilations) % EVERY or count() <= max(LIMIT, _ceiling):
        return
    for forget in _reliefs:
        forget()
    gc.collect()  # a program refers to itself
    left = count()
    _ceiling = left + LIMIT // 16 if left > LIMIT else 0


def count() -> int:
    """Return how many mappings the process has."""
    with _own_file.open("rb") as lines:
        return sum(1 for _ in lines)
