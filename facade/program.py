"""Compile a tape once and run it: keys, the program cache, donation."""

import contextlib
import itertools
import threading
import time
import warnings
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from sys import getrefcount
from typing import Any

import jax
import numpy as np

from facade import compile_cache, op_tier
from facade.allocation import keep_freed_memory
from facade.devices import is_jax_default, jax_device
from facade.lengths import Lengths, Packing, Unlike
from facade.lower import lower
from facade.mappings import make_room, relief
from facade.ops.registry import Entry
from facade.outline import sources
from facade.pullback import saved_entry
from facade.recent import Recent
from facade.reroll import LEAST
from facade.sites import user_site
from facade.tape import LEAF, Path, Tape, state

MAX_PROGRAMS = 512
MAX_ALONE = 128  # programs of one instruction

_programs: dict[tuple, "Program"] = {}
# what loops do -> the lengths they had, None if they vary; whether any were long
_lengths: dict[tuple, tuple[list[int] | None, bool]] = {}
_lock = threading.RLock()  # held by who adds programs or forgets them
_clock = itertools.count()
_NOTHING = contextlib.nullcontext()
_alone = Recent(MAX_ALONE)
relief(_alone.forget_half)
_choosers: defaultdict[Any, op_tier.Chooser] = defaultdict(op_tier.Chooser)


class Birth:
    """How a program came to be, for :mod:`facade.explanation`.

    Attributes:
        site: The user's line that needed it first.
        code, wanted, saved: What it computes.
        seconds: What its first run took.
        runs: How often it ran.
    """

    __slots__ = ("code", "runs", "saved", "seconds", "site", "wanted")

    def __init__(self, code: list, wanted: tuple, saved: tuple) -> None:
        self.site = user_site()
        self.code, self.wanted, self.saved = code, wanted, saved
        self.seconds, self.runs = 0.0, 0


births: deque[Birth] = deque(maxlen=MAX_PROGRAMS)
observer: Callable[[Tape, "Runner"], None] | None = None  # told of every run, by a profiler


class Runner:
    """A way to run a tape.

    Attributes:
        name: What XLA calls it; "" if its instructions are not those of the tape it runs.
        saved: The instructions whose pullback is kept, with their masks.
        trees: Per saved instruction, how its residuals are put back into a pullback.
        sources: Per saved instruction, where each residual is found: ``("result", i)`` among the
            results or ``("leaf", i)`` among the leaves. Known once it was run.
        entries: What later tapes call the saved pullbacks by.
        program: The program that it runs; None if it goes without one.
    """

    name = ""
    program: Any = None
    run: Callable  # (donated leaves, kept leaves, floats, ints) -> results

    def __init__(self, saved: dict[int, int]) -> None:
        self.saved = saved
        self.trees: dict = {}
        self.sources: dict = {}
        self.entries: dict = {}

    def arguments(self, tape: Tape) -> tuple:
        """Return what :attr:`run` takes of a tape; call it with 64-bit types on."""
        return [], tape.leaves, tape.floats, tape.ints

    def _plan(self, pulls, leaves, results) -> None:
        """Append the residuals that are neither leaves nor results already to the results."""
        known = {id(x): ("result", i) for i, x in reversed(list(enumerate(results)))}
        known.update((id(x), ("leaf", i)) for i, x in enumerate(leaves))
        for index, pull in zip(self.saved, pulls, strict=True):
            residuals, self.trees[index] = jax.tree_util.tree_flatten(pull)
            for x in residuals:
                if id(x) not in known:
                    known[id(x)] = ("result", len(results))
                    results.append(x)
            self.sources[index] = [known[id(x)] for x in residuals]


class OpByOp(Runner):
    """A tape run by its ops: it has no program."""

    def __init__(self, code: list, wanted: list[int], saved: dict[int, int]) -> None:
        super().__init__(saved)
        ops = op_tier.Ops(code, wanted, saved)

        def run(_, leaves, floats, ints):
            results, pulls = ops.run(leaves, floats, ints)
            if saved:
                self._plan(pulls, leaves, results)
            return results

        self.run = run


class Program(Runner):
    """One compiled tape.

    Attributes:
        birth: Where it was first needed.
        kept, donated: Indices of the leaves, in the order :attr:`run` takes them.
        compiles: Whether it was not run yet.
        last_used: Tells the least recently used program.
        paths: Where it is found.
    """

    program = property(lambda self: self)

    def __init__(
        self, tape: Tape, code: list, wanted: list[int], saved: dict[int, int], free: list,
        lengths=None,
    ) -> None:  # fmt: skip
        super().__init__(saved)
        self.compiles = True
        self.birth = Birth(code, tuple(wanted), tuple(saved.items()))
        births.append(self.birth)
        count = len(tape.leaves)
        self.donated = () if saved else _donated(code, tape.leaves, wanted, free)
        self.kept = tuple(i for i in range(count) if i not in set(self.donated))
        self.floats, self.ints = Numbers(np.float64), Numbers(np.int64)
        self.last_used = 0
        self.paths: list = []
        body = lower(code, wanted, saved, lengths)

        def step(donated_leaves, kept_leaves, floats, ints):
            leaves: list = [None] * count
            for i, x in zip(self.donated + self.kept, donated_leaves + kept_leaves, strict=True):
                leaves[i] = x
            slots, pulls = body(leaves, floats, ints)
            results = [slots[i] for i in wanted]
            self._plan(pulls, leaves, results)
            return results

        step.__name__ = self.name = _name(code, tape.leaves)
        # a tape inside somebody's trace takes no options
        options = None if tape.pure else op_tier.COMPILER_OPTIONS
        self.run = jax.jit(step, donate_argnums=0, compiler_options=options)

    def arguments(self, tape: Tape) -> tuple:
        donated = [tape.leaves[i] for i in self.donated]
        kept = [tape.leaves[i] for i in self.kept]
        return donated, kept, self.floats.array(tape.floats), self.ints.array(tape.ints)


def _name(code: list, leaves: list) -> str:
    """Return a name that tells a tape's program from others, the same in every process."""
    ops = [(entry.name, refs) for entry, refs, _ in code]
    shapes = [x.shape for x in leaves]
    return f"step_{zlib.crc32(repr((ops, shapes)).encode()):08x}"


class Fitted(Runner):
    """A program for tapes of any length, as the program of one of them."""

    def __init__(self, program: Program, packing: Packing) -> None:
        super().__init__({})
        self.program, self.packing = program, packing
        self.run = program.run

    def arguments(self, tape: Tape) -> tuple:
        leaves = self.packing.leaves(tape.leaves)
        donated = [leaves[i] for i in self.program.donated]
        kept = [leaves[i] for i in self.program.kept]
        return donated, kept, self.packing.floats(tape.floats), self.packing.ints(tape.ints)


class Numbers:
    """The Python numbers of a program's last run, on the device already if they didn't change."""

    def __init__(self, dtype: type) -> None:
        self.dtype = dtype
        self.held: tuple[list | None, Any] = (None, None)  # one attribute, so that threads agree

    def array(self, numbers: list):
        """Return the numbers as one array; call it with 64-bit types on."""
        known, array = self.held
        if numbers != known:
            array = np.array(numbers, self.dtype)
            self.held = numbers, array
        elif type(array) is np.ndarray:
            with jax.ensure_compile_time_eval():  # no tracer, if JAX traces what runs the program
                array = jax.device_put(array)
            self.held = known, array
        return array


class Segment:
    """What a flush leaves behind while live results still require grad.

    Attributes:
        program: Knows how saved residuals become pullbacks.
        residuals: Instruction -> the arrays its pullback needs.
        path, leaves, floats, ints: The tape's own, so that ``create_graph=True`` can record a part
            of it again.
        replayed: Where the part recorded again lies, on which tape.
    """

    __slots__ = ("floats", "ints", "leaves", "path", "program", "replayed", "residuals")

    def __init__(self, tape: Tape, program: Runner) -> None:
        self.program = program
        self.residuals: dict[int, list] = {}
        self.path, self.leaves = tape.path, tape.leaves
        self.floats, self.ints = tape.floats, tape.ints
        self.replayed: tuple | None = None

    def pull(self, path: Path) -> Entry:
        """Return the instruction that takes the residuals and cotangents of the one at ``path``."""
        program, index = self.program, path.length - 1
        found = program.entries.get(index)
        if found is None:
            found = program.entries[index] = saved_entry(
                path.step[0], program.saved[index], program.trees[index]
            )
        return found


def flush(tape: Tape, want: tuple = ()) -> None:
    """Run a tape and fill the cells that are still alive; the tape is closed.

    An exception before the program ran leaves the tape open and its cells pending. One after it
    (an interrupt) leaves the results on the tape, and the next look at any cell fills them in.

    Args:
        want: Cells to fill besides the pending ones (views that are read).
    Raises:
        RuntimeError: what the tape holds was lost in an earlier flush, or a flush is forbidden.
    """
    if tape.failure is not None:
        raise RuntimeError("this value could not be computed") from tape.failure
    if not state.may_flush and tape.path.length and not tape.closed:
        raise RuntimeError(
            f"{user_site().call}() makes the tape run, inside facade.no_flush(): read values after "
            "it, or keep them as tensors"
        )
    with tape.lock:
        if not tape.outcome:
            if tape.closed or not tape.path.length:
                return
            # a thread that records here from now on notices, and records anew
            tape.closed = tape.attention = True
            try:
                _execute(tape, want)
            except BaseException as error:
                tape.path = tape.path.twin()  # no tape is equal to one that failed
                if isinstance(error, Exception) and hasattr(error, "instruction"):
                    _lose(tape, error.instruction, error)  # type: ignore[attr-defined]
                raise
            finally:
                tape.closed = tape.attention = bool(tape.outcome)
        _commit(tape)


def _lose(tape: Tape, instruction: int, error: Exception) -> None:
    """Give up what depends on an instruction that can't be lowered; the rest stays pending."""
    code = tape.code
    owners = [i for i, (entry, _, _) in enumerate(code) for _ in entry.outputs]
    lost = {instruction}
    for i in range(instruction + 1, len(code)):
        if not lost.isdisjoint(sources(code, owners, i)):
            lost.add(i)
    nowhere = Tape(tape.device)
    nowhere.failure = error
    for cell in tape.pending:
        if cell.tape is tape and owners[cell.ref >> 2] in lost:
            cell.tape = nowhere
    for node in tape.nodes:
        if node.home is tape and node.index in lost:
            node.home = None


def _execute(tape: Tape, want: tuple) -> None:
    heirs = []  # cells that overwrote a leaf, in the leaves' order
    for cell in tape.leaf_cells:
        if cell.tape is tape:
            if cell.array is None:
                heirs.append(cell)
            else:
                cell.tape = None
    nodes = _live_nodes(tape) if tape.nodes else ()
    # JAX gives a donated buffer to the next result of its kind: the heirs come first.
    # 3: the list, the name and the call's argument.
    cells = [
        *heirs,
        *[c for c in tape.pending if c.tape is tape and getrefcount(c) > 3],
        *want,
    ]
    tape.pending = cells
    tape.leaf_cells.clear()
    if not (cells or nodes):  # nobody can see what it computes
        tape.plan = (None, cells, nodes)
        tape.outcome.append([])
        return
    wanted = tuple([c.ref for c in cells])
    free = [getrefcount(x) <= 3 and not tape.pure for x in tape.leaves]
    runner = _runner(tape, wanted, nodes, free)
    tape.plan = (runner, cells, nodes)
    if observer is not None:
        observer(tape, runner)
    program = runner.program
    compiling = _compiling(program) if program is not None and program.compiles else _NOTHING
    with compiling, jax.enable_x64(True), _placement(tape.device):
        arguments = runner.arguments(tape)
        # One call from C: an interrupt finds either no results or all of them.
        tape.outcome.extend(itertools.starmap(runner.run, (arguments,)))


@contextlib.contextmanager
def _compiling(program):
    """Look on disk for what a program's first run compiles, and note how long that took."""
    start = time.perf_counter()
    with compile_cache.on_disk():
        yield
    program.birth.seconds += time.perf_counter() - start
    program.compiles = False


def _commit(tape: Tape) -> None:
    runner, cells, nodes = tape.plan
    results = tape.outcome[0]
    for cell, value in zip(cells, results, strict=False):  # after them come residuals
        if cell.tape is tape:
            cell.array = value
            cell.tape = None
    if nodes:
        segment = Segment(tape, runner)
        for node in nodes:
            segment.residuals[node.index] = [
                results[i] if kind == "result" else tape.leaves[i]
                for kind, i in runner.sources[node.index]
            ]
            node.home = segment
    tape.plan = None
    tape.outcome.clear()


def _live_nodes(tape: Tape) -> list:
    """Return the autograd nodes that a later ``backward()`` may need.

    Taken from the last backwards, so that a dead node lets go of those before it first.
    """
    live = []
    while tape.nodes:
        node = tape.nodes.pop()
        # 2: the name and the call's argument
        if node.home is tape and getrefcount(node) > 2:
            live.append(node)
    live.reverse()
    tape.nodes.extend(live)
    return live


def _donated(code: list, leaves: list, wanted: list[int], free: list[bool]) -> tuple[int, ...]:
    """Return the leaves that nobody else holds, as far as results can take their buffers over."""
    avals = [a for entry, _, _ in code for a in entry.outputs]
    room = Counter((avals[slot].shape, avals[slot].dtype.numpy) for slot in wanted)
    donated = []
    for i, x in enumerate(leaves):
        if free[i] and isinstance(x, jax.Array) and room[x.shape, x.dtype] > 0:
            room[x.shape, x.dtype] -= 1
            donated.append(i)
    return tuple(donated)


def _runner(tape: Tape, wanted: tuple[int, ...], nodes, free: list[bool]) -> Any:
    """Return the program of a tape, found by its path, or else by its code; or go op by op."""
    saved = tuple([(n.index, n.mask) for n in nodes])
    short = (tape.pure, wanted, saved, tuple(free))
    runner = tape.path.programs.get(short)
    if runner is None:
        code = tape.code
        key = (tape.device, tuple(code), short)
        runner = _programs.get(key)
        if runner is None:
            runner = _new_runner(tape, key, code, free)
        if runner.program is not None:
            runner.program.paths.append((tape.path, short))
        if runner.program is not None or (len(code) <= op_tier.FEW and not saved):
            tape.path.programs[short] = runner
    elif tape.backward_pending:
        _choosers[tape.device].surprises = 0
    program = runner.program
    if program is None:
        _choosers[tape.device].by_ops_runs += 1
    else:
        program.last_used = next(_clock)
        program.birth.runs += 1
    return runner


def _new_runner(tape: Tape, key: tuple, code: list, free: list[bool]) -> Runner:
    """Return a program for a tape that has none, or go op by op."""
    pure, wanted, saved, _ = key[2]
    slots = [ref >> 2 for ref in wanted]
    if not (saved or pure):
        fitted = _fitted(tape, code, slots, free)
        if fitted is not None:
            return fitted
    trains = bool(saved) or tape.backward_pending
    if not pure and _choosers[tape.device].by_ops(tape.path, code, trains):
        return OpByOp(code, slots, dict(saved))
    return _keep(key, Program(tape, code, slots, dict(saved), free))


def _fitted(tape: Tape, code: list, wanted: list[int], free: list[bool]) -> Fitted | None:
    """Return a program for any lengths if tapes that differ only in lengths have been here."""
    if len(code) < LEAST.count:
        return None
    try:
        lengths = Lengths(code, wanted)
    except Unlike:
        return None
    blocks = (tape.device, lengths.blocks)
    if len(_lengths) > MAX_PROGRAMS:
        _lengths.clear()
    sizes, pays = _lengths.get(blocks, (lengths.sizes, False))
    varies, pays = sizes != lengths.sizes, pays or lengths.pays
    _lengths[blocks] = (None if varies else sizes, pays)
    if not (varies and pays):
        return None
    key = (tape.device, lengths.key, tuple(free))
    program = _programs.get(key)
    if program is None:
        free = [x and i not in lengths.long for i, x in enumerate(free)]
        program = _keep(key, Program(tape, code, wanted, {}, free, lengths))
    return Fitted(program, lengths.packing)


def run_alone(entry: Entry, device, arrays: list, numbers: list, at: list[int]) -> list:
    """Run a program of one instruction now, past the tape; return its results.

    Args:
        arrays: Its operands on ``device``.
        numbers: Those that are Python numbers.
        at: Which operands they are.
    """
    floats = [x for x in numbers if type(x) is float]
    ints = [x for x in numbers if type(x) is not float]
    program = _alone.get((entry, device))
    if program is None:
        make_room()
        tape = Tape(device)
        tape.leaves = arrays  # one that comes twice is read twice: it need not at the next call
        refs = [i << 2 | LEAF for i in range(len(arrays))]
        for i, x in zip(at, numbers, strict=True):
            refs.insert(i, tape.number(x))
        tape.append(entry, tuple(refs))
        wanted = list(range(len(entry.outputs)))
        program = Program(tape, tape.code, wanted, {}, [False] * len(arrays))
        _alone[entry, device] = program
    compiling = _compiling(program) if program.compiles else _NOTHING
    program.birth.runs += 1
    with compiling, jax.enable_x64(True), _placement(device):
        return program.run([], arrays, program.floats.array(floats), program.ints.array(ints))


def _keep(key: tuple, program: Program) -> Program:
    make_room()
    with _lock:
        _programs[key] = program
        program.last_used = next(_clock)  # the newest is not the one to go
        if len(_programs) > MAX_PROGRAMS:
            _forget(min(_programs, key=lambda k: _programs[k].last_used))
    return program


@relief
def _forget_half() -> None:
    with _lock:
        oldest = sorted(_programs, key=lambda k: _programs[k].last_used)
        for key in oldest[: len(oldest) // 2]:
            _forget(key)


def _forget(key: tuple) -> None:
    for path, short in _programs.pop(key).paths:
        path.programs.pop(short, None)


def _placement(device):
    if is_jax_default(device):
        return _NOTHING
    return jax.default_device(jax_device(device))


def program_count() -> int:
    """Return how many programs are kept."""
    return len(_programs)


def op_by_op_runs() -> int:
    """Return how many tapes were run without a program."""
    return sum(chooser.by_ops_runs for chooser in _choosers.values())


def forget_choices() -> None:
    """Forget which tapes came as a surprise."""
    _choosers.clear()


def clear() -> None:
    """Forget every program."""
    with _lock:
        for key in list(_programs):
            _forget(key)
        _lengths.clear()
        _alone.clear()


keep_freed_memory()
warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
