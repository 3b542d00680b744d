"""Training steps of large networks on a GPU: facade, hand-written JAX, PyTorch, torch.compile.

Run ``python -m benchmarks.gpu``; ``--device cpu --toy`` runs the same code at toy size. Each figure
comes from a process of its own, the engines in turn; the table comes last. What can't run is
reported as such: a missing package, an error, the time being up.
"""

import argparse
import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time

from benchmarks import gpu_cases
from benchmarks.harness import samples

ENGINES = ("facade", "jax", "torch", "torch.compile")


def main() -> None:
    """Run what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--toy", action="store_true", help="the same code, small")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--cases", default=",".join(gpu_cases.CASES))
    parser.add_argument("--rounds", type=int, default=1, help="turns of each engine")
    parser.add_argument("--seconds", type=float, default=None, help="measured per turn")
    parser.add_argument("--minutes", type=float, default=None, help="end after these: 7.5, or 0.9")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 0.2 if options.toy else 5.0
    if options.minutes is None:
        options.minutes = 0.9 if options.toy else 7.5
    if options.measure:
        measured = measure(options.engines, options.cases, options)
        print(json.dumps(measured))
        return
    end = time.monotonic() + 60 * options.minutes
    found: dict[tuple[str, str], list[dict]] = {}
    for _ in range(options.rounds):
        for case in options.cases.split(","):
            for engine in options.engines.split(","):
                left = end - time.monotonic()
                turn = in_its_own_process(engine, case, options, left)
                found.setdefault((case, engine), []).append(turn)
                print(f"  {case} {engine}: {summary([turn])}", file=sys.stderr, flush=True)
    print(table(found, options))


def in_its_own_process(engine: str, case: str, options, seconds_left: float) -> dict:
    """Return a turn's figures, or ``{"failed": why}``."""
    if seconds_left <= 0:
        return {"failed": "not run: the time was up"}
    command = [
        sys.executable, "-m", "benchmarks.gpu", "--measure", "--engines", engine, "--cases", case,
        "--device", options.device, "--seconds", str(options.seconds),
        *["--toy"] * options.toy,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds_left
        )
    except subprocess.TimeoutExpired:
        return {"failed": "stopped: the time was up"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


# ---- in the process of one turn ----


def measure(engine: str, name: str, options) -> dict:
    """Return the seconds per step, the seconds of the first step, the device and the memory."""
    case = (gpu_cases.TOYS if options.toy else gpu_cases.CASES)[name]
    start = time.perf_counter()
    step, finish = programs(engine, case, options.device)
    step()
    finish()
    first = time.perf_counter() - start
    warm_up, batch = (3, 0.01) if options.toy else (10, 0.5)
    found = samples(step, finish, options.seconds, warm_up, batch)
    return {"seconds": found, "first": first} | hardware(engine, options.device)


def programs(engine: str, case: gpu_cases.Case, device: str):
    """Return an engine's training step and what waits for it.

    Raises:
        ValueError: there is no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"no engine is called {engine}")
    if engine == "jax":
        from benchmarks import gpu_jax

        return gpu_jax.program(case, device)
    if engine == "facade":
        import facade

        return gpu_cases.program(facade, case, device)
    import torch

    return gpu_cases.program(torch, case, device, compiled=engine == "torch.compile")


def hardware(engine: str, device: str) -> dict:
    """Return the device's name and the most memory that was in use on it, in bytes."""
    if device == "cpu":
        return {"device": platform.processor() or platform.machine(), "memory": None}
    if engine in ("facade", "jax"):
        import jax

        gpu = jax.devices()[0]
        return {"device": gpu.device_kind, "memory": gpu.memory_stats()["peak_bytes_in_use"]}
    import torch

    name = torch.cuda.get_device_name()
    return {"device": name, "memory": torch.cuda.max_memory_allocated()}


# ---- the table ----


def summary(turns: list[dict]) -> str:
    """Return the median of all turns in milliseconds, with the spread, or why there is none."""
    values = [1e3 * s for turn in turns for s in turn.get("seconds", ())]
    if not values:
        return turns[-1]["failed"]
    return f"{statistics.median(values):.2f} ms ({min(values):.2f} .. {max(values):.2f})"


def table(found: dict[tuple[str, str], list[dict]], options) -> str:
    """Return the table in Markdown, with the device and the versions above it."""
    devices = {t["device"] for turns in found.values() for t in turns if "device" in t}
    cases = gpu_cases.TOYS if options.toy else gpu_cases.CASES
    rows = [
        f"{', '.join(sorted(devices)) or options.device}; {versions()}; "
        "median of a step, (least .. most)",
        "",
        "| training step | engine | step | of JAX | first step | peak memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (case, engine), turns in found.items():
        good = [t for t in turns if "seconds" in t]
        jax = [t for t in found.get((case, "jax"), []) if "seconds" in t]
        ratio = f"{median(good) / median(jax):.2f}" if good and jax else ""
        first = f"{statistics.median(t['first'] for t in good):.1f} s" if good else ""
        peak = max((t["memory"] or 0 for t in good), default=0)
        memory = f"{peak / 2**30:.2f} GiB" if peak else ""
        rows.append(
            f"| {cases[case].name} | {engine} | {summary(turns)} | {ratio} | {first} | {memory} |"
        )
    return "\n".join(rows)


def median(turns: list[dict]) -> float:
    return statistics.median(s for turn in turns for s in turn["seconds"])


def versions() -> str:
    """Return the versions of what was measured, and what isn't installed."""
    found = [f"Python {platform.python_version()}"]
    for package in ("jax", "torch"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)


if __name__ == "__main__":
    main()
