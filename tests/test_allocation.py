"""The C library keeps freed memory, unless the user has set it up."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource
import facade
from facade.allocation import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
size = 64 << 20
def touch():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(keep_freed_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(**variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC", "GLIBC"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    set_up, faults = done.stdout.split()
    return set_up == "True", int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about glibc")
def test_pages_are_kept():
    set_up, faults = run()
    assert set_up and faults < 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about glibc")
@pytest.mark.parametrize("variable", [{"FACADE_MALLOC": "off"}, {"MALLOC_ARENA_MAX": "2"}])
def test_the_user_s_choice_stands(variable):
    set_up, faults = run(**variable)
    assert not set_up and faults > 100
