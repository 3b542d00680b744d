"""Compile a tape once and run it: keys, the program cache, donation. The only caller of jax.jit."""

import contextlib
import warnings
from collections import Counter, OrderedDict
from sys import getrefcount

import jax
import numpy as np
from jax.core import Tracer

from facade.devices import is_jax_default, jax_device
from facade.lower import lower
from facade.tape import Tape

MAX_PROGRAMS = 512

_programs: OrderedDict = OrderedDict()


class Program:
    """One compiled tape.

    Attributes:
        kept, donated: Indices of the leaves, in the order the compiled function takes them.
        trees: Per saved instruction, how its residuals are put back into a pullback.
        sources: Per saved instruction, where each residual is found: ``("result", i)`` among the
            function's results or ``("leaf", i)`` among its leaves. Known once it was traced.
        entries: What later tapes call the saved pullbacks by.
    """

    def __init__(self, code, wanted, saved, donated, leaf_count) -> None:
        self.donated = donated
        self.kept = tuple(i for i in range(leaf_count) if i not in set(donated))
        self.trees: list = []
        self.sources: list = []
        self.entries: dict = {}
        body = lower(code, saved)

        def step(donated_leaves, kept_leaves, floats, ints):
            leaves: list = [None] * leaf_count
            for i, x in zip(self.donated + self.kept, donated_leaves + kept_leaves, strict=True):
                leaves[i] = x
            slots, pulls = body(leaves, floats, ints)
            results = [slots[i] for i in wanted]
            self._plan(pulls, leaves, results)
            return results

        self.run = jax.jit(step, donate_argnums=0)

    def _plan(self, pulls, leaves, results) -> None:
        """Append the residuals that are neither leaves nor results already to the results."""
        known = {id(x): ("result", i) for i, x in reversed(list(enumerate(results)))}
        known.update((id(x), ("leaf", i)) for i, x in enumerate(leaves))
        self.trees, self.sources = [], []
        for pull in pulls:
            residuals, tree = jax.tree_util.tree_flatten(pull)
            for x in residuals:
                if id(x) not in known:
                    known[id(x)] = ("result", len(results))
                    results.append(x)
            self.trees.append(tree)
            self.sources.append([known[id(x)] for x in residuals])


def flush(tape: Tape, want: tuple = ()) -> None:
    """Run a tape and fill the cells that are still alive; the tape is closed.

    An exception before the program ran leaves the tape open and its cells pending. One after it
    (an interrupt) leaves the results on the tape, and the next look at any cell fills them in.

    Args:
        want: Cells to fill besides the pending ones (views that are read).
    """
    with tape.lock:
        if not tape.outcome:
            if tape.closed or not tape.code:
                return
            # a thread that records here from now on notices, and records anew
            tape.closed = tape.attention = True
            try:
                _execute(tape, want)
            finally:
                tape.closed = tape.attention = bool(tape.outcome)
        _commit(tape)


def _execute(tape: Tape, want: tuple) -> None:
    for cell in tape.leaf_cells:
        if cell.tape is tape and cell.array is not None:
            cell.tape = None
    tape.leaf_cells.clear()
    cells = _live_cells(tape.pending)
    cells.extend(want)
    nodes = _live_nodes(tape)
    wanted = tuple(sorted({cell.ref >> 2 for cell in cells}))
    traced = any(isinstance(x, Tracer) for x in tape.leaves)
    donated = () if nodes or traced else _donated(tape, wanted)
    program = _program(tape, wanted, nodes, donated)
    tape.plan = (program, wanted, cells, nodes)
    donated_leaves = [tape.leaves[i] for i in donated]
    kept_leaves = [tape.leaves[i] for i in program.kept]
    floats, ints = np.array(tape.floats, np.float64), np.array(tape.ints, np.int64)
    with jax.enable_x64(True), _placement(tape.device):
        # One call from C: an interrupt finds either no results or all of them.
        tape.outcome.extend(
            map(program.run, (donated_leaves,), (kept_leaves,), (floats,), (ints,))
        )


def _commit(tape: Tape) -> None:
    program, wanted, cells, nodes = tape.plan
    (results,) = tape.outcome
    at = {slot: i for i, slot in enumerate(wanted)}
    for cell in cells:
        if cell.tape is tape:
            cell.array = results[at[cell.ref >> 2]]
            cell.tape = None
    segment = Segment(tape, program) if nodes else None
    for i, (_, node) in enumerate(nodes):
        node.save(segment, i, [
            results[at] if kind == "result" else tape.leaves[at]
            for kind, at in program.sources[i]
        ])  # fmt: skip
    tape.plan = None
    tape.outcome.clear()


class Segment:
    """What a flush leaves behind while live results still require grad.

    Attributes:
        program: Knows how saved residuals become pullbacks.
        code, leaves, floats, ints: The tape's own, so that ``create_graph=True`` can record a part
            of it again.
    """

    __slots__ = ("code", "device", "floats", "ints", "leaves", "program", "replayed")

    def __init__(self, tape: Tape, program: Program) -> None:
        self.program = program
        self.device = tape.device
        self.code, self.leaves = tape.code, tape.leaves
        self.floats, self.ints = tape.floats, tape.ints
        self.replayed = None


def _live_cells(pending: list) -> list:
    """Return the pending cells that somebody besides the tape holds."""
    live, seen = [], set()
    while pending:
        cell = pending.pop()
        # 2: the name `cell` and the call's argument
        if getrefcount(cell) > 2 and cell.tape is not None and id(cell) not in seen:
            seen.add(id(cell))
            live.append(cell)
    pending.extend(live)  # a flush that fails may be tried again
    return live


def _live_nodes(tape: Tape) -> list:
    """Return the instructions whose autograd nodes a later ``backward()`` may need.

    Taken from the last backwards, so that a dead node lets go of those before it first.
    """
    live = []
    while tape.nodes:
        item = tape.nodes.pop()
        index, node = item
        del item
        if getrefcount(node) > 2 and not node.freed:
            live.append((index, node))
    live.reverse()
    tape.nodes.extend(live)
    return live


def _donated(tape: Tape, wanted: tuple) -> tuple[int, ...]:
    """Return the leaves whose arrays only the tape holds, as far as results can take them over."""
    avals = [a for entry, _ in tape.code for a in entry.outputs]
    room = Counter((avals[slot].shape, avals[slot].dtype.numpy) for slot in wanted)
    donated = []
    for i in range(len(tape.leaves)):
        # 2: the list and the call's argument
        if getrefcount(tape.leaves[i]) > 2 or not isinstance(tape.leaves[i], jax.Array):
            continue
        kind = (tape.leaves[i].shape, tape.leaves[i].dtype)
        if room[kind] > 0:
            room[kind] -= 1
            donated.append(i)
    return tuple(donated)


def _program(tape: Tape, wanted, nodes, donated) -> Program:
    saved = {index: node.mask for index, node in nodes}
    key = (tape.device, tuple(tape.code), wanted, tuple(saved.items()), donated)
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = Program(key[1], wanted, saved, donated, len(tape.leaves))
        if len(_programs) > MAX_PROGRAMS:
            _programs.popitem(last=False)
    else:
        _programs.move_to_end(key)
    return program


def _placement(device):
    if is_jax_default(device):
        return contextlib.nullcontext()
    return jax.default_device(jax_device(device))


def program_count() -> int:
    """Return how many programs are kept."""
    return len(_programs)


def clear() -> None:
    """Forget every program."""
    _programs.clear()


warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
