"""``torch.backends.cpu``: what the CPU can do."""

import functools
import pathlib


@functools.cache
def get_cpu_capability() -> str:
    """Return the widest instructions that PyTorch would use: "AVX512", "AVX2" or "DEFAULT"."""
    try:
        words = set(pathlib.Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return "DEFAULT"
    if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= words:
        return "AVX512"
    return "AVX2" if {"avx2", "fma"} <= words else "DEFAULT"
