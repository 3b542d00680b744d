"""Resident memory of training steps at its peak: facade, plain jax and lax, PyTorch eager.

Run ``python -m benchmarks.peak_memory``. The steps are those of :mod:`benchmarks.networks`, each
case in a process of its own. What counts is the peak of five steps after three that warm up (and
compile), above what the process took before it had a model. Linux only.
"""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.network_shapes import GPT, LSTM, RESNETS
from benchmarks.networks import ENGINES

STATUS = Path("/proc/self/status")


def bytes_of(field: str) -> int:
    """Return a figure of this process: ``VmRSS`` is what it holds, ``VmHWM`` the most it held."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[field].removesuffix("kB")) << 10


def main() -> None:
    """Print a table; with the names of an engine and a case, the bytes of that one."""
    if len(sys.argv) > 1:
        print(peak_of(sys.argv[1]))
        return
    print("| | facade | JAX | PyTorch | facade / JAX | facade / PyTorch |")
    print("| --- |" + " --- |" * 5)
    for case in (*RESNETS, GPT, LSTM):
        facade, jax, torch = (run(engine, case) for engine in ENGINES)
        mega = " | ".join(f"{x / 2**20:.0f} MiB" for x in (facade, jax, torch))
        print(f"| {case} | {mega} | {facade / jax:.2f} | {facade / torch:.2f} |", flush=True)


def run(engine: str, case: str) -> int:
    """Return the peak of one engine and case, measured in another process."""
    command = [sys.executable, "-m", "benchmarks.peak_memory", engine]
    env = os.environ | {"ONLY": case}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return int(done.stdout.split()[-1])


def peak_of(engine: str) -> int:
    """Return the bytes that the case named in ``ONLY`` takes here at most."""
    __import__(engine)
    before = bytes_of("VmRSS")

    def measure(step) -> float:
        for _ in range(3):
            step()
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        for _ in range(5):
            step()
        return bytes_of("VmHWM") - before

    (found,) = ENGINES[engine](measure).values()
    return int(found)


if __name__ == "__main__":
    main()
