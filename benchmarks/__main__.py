"""Run the benchmarks and print one table: ``python -m benchmarks``.

``--write`` puts it into ``docs/performance.md``, between the two markers there. ``--quick`` takes a
few cases for a few seconds, to see that everything runs. :mod:`benchmarks.gpu` is a command of its
own.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- python -m benchmarks: begin -->", "<!-- python -m benchmarks: end -->"


class Part(NamedTuple):
    """One benchmark of the suite.

    Attributes:
        title: What its rows are about.
        quick: The environment in which it is quick; None to leave it out then.
    """

    title: str
    quick: dict[str, str] | None


SUITE = {
    "train_step": Part("training step of an MLP", {"SECONDS": "0.3"}),
    "networks": Part("training step of a network", {"ONLY": "GPT"}),
    "record_op": Part("recording an op", {}),
    "import_time": Part("import", {}),
    "kernels": Part("single op", {"ONLY": "layer_norm 512"}),
    "func": Part("transformed function", {"ONLY": "jacrev, MLP 32", "SECONDS": "0.3"}),
    "rerolled_loops": Part("loop written in Python", None),
}
NAMES = {"pytorch": "torch"}

Times = dict[str, dict[str, list[float]]]  # case -> engine -> seconds, one per turn


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few cases, one turn")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    parser.add_argument("--only", default=",".join(SUITE), help="names, with commas between")
    options = parser.parse_args()
    rows = []
    for name in options.only.split(","):
        part = SUITE[name]
        if options.quick and part.quick is None:
            rows.append(f"| {part.title} | left out: it takes minutes |" + " |" * 5)
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += rows_of(part, run(name, part, options.quick))
    text = section(rows)
    print(text)
    if options.write:
        PAGE.write_text(with_section(PAGE.read_text(), text))


def run(name: str, part: Part, quick: bool) -> Times | str:
    """Return the figures of a benchmark, or why there are none."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    env = os.environ | (part.quick or {} if quick else {})
    if quick:
        command += ["--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


# ---- the table ----


def section(rows: list[str]) -> str:
    """Return the table in Markdown, below a line about the machine and the versions."""
    head = [
        f"{machine()}; {versions()}. Median of the turns (least .. most), ratios turn by turn.",
        "",
        "| | | facade | JAX | PyTorch | facade / JAX | facade / PyTorch |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows])


def rows_of(part: Part, times: Times | str) -> list[str]:
    """Return one row per case; an engine that is none of the three gets rows of its own."""
    if isinstance(times, str):
        return [f"| {part.title} | failed: {times} |" + " |" * 5]
    rows = []
    for case, by_engine in times.items():
        found = {NAMES.get(engine, engine): values for engine, values in by_engine.items()}
        rows.append(row(part.title, case, found))
        for engine in found.keys() - {"facade", "jax", "torch"}:
            rows.append(row(part.title, f"{case}, {engine}", {"facade": found[engine]}))
    return rows


def row(title: str, case: str, found: dict[str, list[float]]) -> str:
    """Return a row of the table."""
    figures = [shown(found.get(engine)) for engine in ("facade", "jax", "torch")]
    ratios = [ratio(found, engine) for engine in ("jax", "torch")]
    return f"| {' | '.join([title, case, *figures, *ratios])} |"


def shown(seconds: list[float] | None) -> str:
    """Return the median and the spread in a fitting unit."""
    if not seconds:
        return ""
    median = statistics.median(seconds)
    scale, unit = next((s, u) for s, u in UNITS if median * s >= 1 or s == 1e6)
    least, most = min(seconds) * scale, max(seconds) * scale
    return f"{median * scale:.2f} {unit} ({least:.2f} .. {most:.2f})"


UNITS = ((1, "s"), (1e3, "ms"), (1e6, "µs"))


def ratio(found: dict[str, list[float]], other: str) -> str:
    """Return how long facade took against another engine, turn by turn."""
    if other not in found or "facade" not in found:
        return ""
    ratios = [a / b for a, b in zip(found["facade"], found[other], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"


def machine() -> str:
    """Return the processor's name and how many cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else platform.machine()}, {cores} cores"


def versions() -> str:
    """Return the versions of what is compared."""
    packages = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "optax", "torch")]
    return ", ".join([f"Python {platform.python_version()}", *packages])


def with_section(page: str, text: str) -> str:
    """Return the page with ``text`` between the two markers.

    Raises:
        ValueError: it has no markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


if __name__ == "__main__":
    main()
