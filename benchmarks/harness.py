"""Run the same measurement in several engines, each in its own process, in turn."""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def main(module: str, engines: dict[str, Callable[[], dict[str, float]]], rounds: int = 5) -> None:
    """Run every engine ``rounds`` times in turn and print medians and ratios.

    Started with an engine's name as argument, runs that engine once and prints its figures as JSON:
    that is how this function runs itself in other processes. ``--rounds 3`` changes the number of
    turns, ``--json`` prints ``{case: {engine: [seconds]}}`` alone.

    Args:
        module: The benchmark's module name, for ``python -m``.
        engines: Name -> function that returns ``{case: seconds}``; the first is the one compared.
    """
    if len(sys.argv) > 1 and sys.argv[1] in engines:
        print(json.dumps(engines[sys.argv[1]]()))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for engine in engines:
            for case, seconds in _run(module, engine).items():
                times.setdefault(case, {}).setdefault(engine, []).append(seconds)
    if options.json:
        print(json.dumps(times))
        return
    for case, by_engine in times.items():
        _print(case, by_engine)


def _run(module: str, engine: str) -> dict[str, float]:
    # facade may keep its bytecode, as packages that pip installed do
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-m", module, engine], capture_output=True, text=True, check=True, env=env
    )
    return json.loads(done.stdout.splitlines()[-1])


def _print(case: str, by_engine: dict[str, list[float]]) -> None:
    print(case)
    own, *others = by_engine
    for engine, values in by_engine.items():
        spread = f"{min(values) * 1e6:9.1f} .. {max(values) * 1e6:9.1f}"
        print(f"  {engine:<8} median {statistics.median(values) * 1e6:9.1f} us   ({spread})")
    for other in others:
        # turn by turn, so that a machine that slows down slows both
        ratios = [a / b for a, b in zip(by_engine[own], by_engine[other], strict=True)]
        print(f"  {own} / {other:<8} {statistics.median(ratios):.2f}   "
              f"({min(ratios):.2f} .. {max(ratios):.2f})")  # fmt: skip


SECONDS = float(os.environ.get("SECONDS", "2"))  # how long a case is measured per turn


def best_of(
    step: Callable[[], object], finish: Callable[[], object], seconds: float = SECONDS
) -> float:
    """Return the median seconds of ``step``, in batches that end with ``finish``."""
    return statistics.median(samples(step, finish, seconds))


def samples(
    step: Callable[[], object],
    finish: Callable[[], object],
    seconds: float,
    warm_up: int = 10,
    batch: float = 0.05,
) -> list[float]:
    """Return the seconds of ``step`` in each of many batches that end with ``finish``.

    Args:
        seconds: How long to measure.
        batch: How many seconds a batch takes at least, so that waiting for its end weighs little.
    """
    for _ in range(warm_up):
        step()
    finish()
    start = time.perf_counter()
    step()
    finish()
    count = max(1, math.ceil(batch / max(time.perf_counter() - start, 1e-6)))
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(count):
            step()
        finish()
        found.append((time.perf_counter() - start) / count)
    return found
