"""The first training step of a network in a new process, from ``import`` on.

Run ``python -m benchmarks.first_step``. ``facade`` finds an empty cache of programs and fills it,
``warm`` finds that cache, ``jax`` is the program of :mod:`benchmarks.networks` without one.
``ONLY`` as there; by default ResNet-18 on 16x3x64x64.
"""

import os
import shutil
import tempfile
import time

from benchmarks import networks
from benchmarks.harness import main

CACHE = "FIRST_STEP_CACHE"  # the folder of programs, between the processes


def first(run) -> dict[str, float]:
    start = time.perf_counter()

    def measure(step) -> float:
        step()
        return time.perf_counter() - start

    return run(measure)


def run_cold() -> dict[str, float]:
    shutil.rmtree(os.environ[CACHE], ignore_errors=True)
    return run_warm()


def run_warm() -> dict[str, float]:
    os.environ["FACADE_CACHE_DIR"] = os.environ[CACHE]
    return first(networks.run_facade)


def run_jax() -> dict[str, float]:
    return first(networks.run_jax)


def run_torch() -> dict[str, float]:
    return first(networks.run_torch)


ENGINES = {"facade": run_cold, "warm": run_warm, "jax": run_jax, "torch": run_torch}

if __name__ == "__main__":
    os.environ.setdefault("ONLY", "ResNet-18, 16x3x64x64")
    with tempfile.TemporaryDirectory() as directory:
        os.environ.setdefault(CACHE, directory)
        main("benchmarks.first_step", ENGINES, rounds=3)
