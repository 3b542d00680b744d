"""What ``import facade`` costs, against importing jax and optax, which it needs.

Run ``python -m benchmarks.import_time``.
"""

import importlib
import time

from benchmarks.harness import main


def seconds_of(*modules: str) -> dict[str, float]:
    start = time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    return {"import": time.perf_counter() - start}


def run_facade() -> dict[str, float]:
    return seconds_of("facade")


def run_jax() -> dict[str, float]:
    return seconds_of("jax", "optax")


if __name__ == "__main__":
    main("benchmarks.import_time", {"facade": run_facade, "jax": run_jax}, rounds=9)
