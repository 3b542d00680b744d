"""Let the C library keep the memory that programs free, on CPU."""

import ctypes
import os
import sys

VARIABLE = "FACADE_MALLOC"  # "off": leave the C library as it is

# mallopt's parameters, from glibc's <malloc.h>
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to serve large buffers from heaps that it doesn't shrink.

    XLA allocates every result and temporary anew. By default glibc maps each large one on its own,
    or trims its heap, so a step pays for fresh pages again and again (benchmarks/kernels.py). It
    concerns the whole process, and must come before XLA starts its threads. Nothing is done where
    the user has set malloc up, or where the C library is another.

    Returns:
        Whether it was done.
    """
    if os.environ.get(VARIABLE) == "off" or not sys.platform.startswith("linux"):
        return False
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # one arena for the user's thread and one for XLA's: with one, small steps wait for its lock
    settings = ((_ARENA_MAX, 2), (_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, (1 << 31) - 1))
    done = [mallopt(parameter, value) for parameter, value in settings]
    return all(done)
