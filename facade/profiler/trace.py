"""Read what JAX's profiler wrote: the ops that ran, and the labelled blocks."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from facade.autograd.profiler import MARK, name_of

_INSTRUCTION = re.compile(r"([^/()]+)\.(\d+)(?=[/)]|$)")


class Ran(NamedTuple):
    """Something that ran on one thread, or one stream of a device. Times are in microseconds.

    Attributes:
        kind: ``"op"``, ``"block"`` (of the user), ``"program"`` (its call) or ``"python"``.
        module, op: The XLA module and instruction, if it is an op.
        run: Tells the runs of a module apart.
        path: Where in the program it comes from, as JAX names it.
    """

    kind: str
    name: str
    start: float
    end: float
    thread: int
    device: str
    module: str = ""
    op: str = ""
    run: int = 0
    path: str = ""

    @property
    def instruction(self) -> tuple[str, int] | None:
        """The name and index of the tape's instruction that it comes from."""
        found = _INSTRUCTION.search(self.path)
        return (found[1], int(found[2])) if found else None


def read(folder: str) -> list[Ran]:
    """Return what ran, by start, longer first."""
    found, paths = [], _op_paths()
    for path in Path(folder).glob("**/*.xplane.pb"):
        data = jax.profiler.ProfileData.from_file(str(path))
        for plane in data.planes:
            device = "cpu" if plane.name.startswith("/host:") else plane.name
            for thread, line in enumerate(_lines(plane), 1):
                for event in line.events:
                    ran = _ran(event, thread, device, paths)
                    if ran is not None:
                        found.append(ran)
    return sorted(found, key=lambda ran: (ran.start, -ran.end))


def _lines(plane) -> list:
    """Return the lines of a plane that show what ran, once."""
    lines = list(plane.lines)
    return [line for line in lines if line.name == "XLA Ops"] or lines


def _ran(event, thread: int, device: str, paths: dict) -> Ran | None:
    stats = dict(event.stats)
    start, end = event.start_ns / 1000, (event.start_ns + event.duration_ns) / 1000
    times = start, end, thread, device
    name = event.name
    if "hlo_op" in stats:
        op, module = stats["hlo_op"], stats["hlo_module"]
        path = _path(paths.get(module, ()), stats.get("program_id", 0), op)
        return Ran("op", name, *times, module, op, stats.get("run_id", 0), path)
    if MARK in stats:
        return Ran("block", name_of(stats[MARK]), *times)
    if name.startswith("PjitFunction(step_"):
        return Ran("program", name, *times)
    return Ran("python", name[1:], *times) if name.startswith("$") else None


def _path(programs, number: int, op: str) -> str:
    """Return where an op comes from; programs of one name may differ in what XLA made of them."""
    exact = [ops for known, ops in programs if known == number]
    return next((ops[op] for ops in exact or [ops for _, ops in programs] if op in ops), "")


# ---- where ops come from: XLA's own description of the programs that are loaded ----


def _op_paths() -> dict[str, list[tuple[int, dict[str, str]]]]:
    """Return module -> its program id and op -> path, for each program of that name.

    The numbers below are those of fields in XLA's ``hlo.proto``.
    """
    found = defaultdict(list)
    for executable in jax.devices()[0].client.live_executables():
        for module in executable.hlo_modules():
            message = module.as_serialized_hlo_module_proto()
            found[module.name].append((_one(message, 5) or 0, _paths_of(message)))
    return found


def _paths_of(module: bytes) -> dict[str, str]:
    """Return op -> path; a fusion without one has that of the last op in it that has one."""
    found, without = {}, {}
    last: dict[Any, str] = {}  # number of a computation -> the last path in it
    for computation in _every(module, 3):
        number = _one(computation, 5)
        for instruction in _every(computation, 2):
            name, path = _text(instruction, 1), _text(_one(instruction, 7), 2)
            found[name] = path
            if path:
                last[number] = path
            elif _text(instruction, 2) == "fusion":
                without[name] = _varint(_one(instruction, 38), 0)[0]
    found.update((name, last.get(called, "")) for name, called in without.items())
    return found


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of an encoded protocol buffer message: number and value."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = _varint(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def _every(message, number: int) -> list:
    return [value for key, value in _fields(message) if key == number]


def _one(message, number: int):
    return next(iter(_every(message, number)), b"")


def _text(message, number: int) -> str:
    return _one(message, number).decode()
