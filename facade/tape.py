"""The tape: instructions recorded and not run yet. Plain data; nothing here runs JAX."""

import operator
import threading
from typing import Any

import numpy as np

from facade import devices
from facade.devices import CPU
from facade.ops.registry import Entry

# A reference says where an operand comes from: an index, and in the two low bits what it indexes.
SLOT, LEAF, FLOAT, INT = range(4)
ABSENT = -1

MAX_INSTRUCTIONS = 2048  # a longer tape is flushed: compile time grows faster than length
MAX_LOOPING = 65_536  # of a tape that repeats: as loops its program stays small
MAX_LEAVES = 256  # that such a tape reads
MAX_PATHS = 131_072  # instructions remembered of all tapes
MAX_GRAPH_BYTES = 32 << 20  # results of a tape with several backwards
MAX_PINNED_BYTES = 256 << 20  # bytes held alive only by a tape before it is flushed

# instruction: (entry, a reference per operand, its autograd graph as numbers, see `Tape.edges`)
Instruction = tuple[Entry, tuple[int, ...], tuple[int, ...]]


class Path:
    """A place in the tree of all tapes recorded: the instructions from the root to here.

    The tree is built as tapes are recorded, so a tape that repeats an earlier one is known by the
    identity of its path, and what was found out about it is kept there: to record an op that was
    recorded at this place before is to look it up in ``next``.

    Attributes:
        next: What was recorded -> the path that it leads to.
        parent, step: The path before, and the instruction that leads here; None at the root.
        length: How many instructions lead here.
        first, end: Numbers of the last instruction's first slot, and of the next one's.
        sights: How many tapes that ended here were run without a program.
        bytes: What all results up to here take.
        accumulates: Whether a ``backward()`` that ended here was followed by one that added to it.
        mask: Of the last instruction's operands, which a gradient is wanted for.
        programs: What :mod:`facade.program` compiled for a tape that ends here.
        backwards: What :mod:`facade.autograd.engine` recorded for a backward that started here.
    """

    __slots__ = (
        "accumulates", "backwards", "bytes", "end", "first", "length", "mask", "next", "parent",
        "programs", "sights", "step",
    )  # fmt: skip
    count = 0  # of all paths

    def __init__(
        self, parent: "Path | None" = None, step: Instruction | None = None, mask: int = 0
    ) -> None:
        self.parent: Any = parent
        self.step: Any = step
        self.mask = mask
        self.length = self.first = self.end = self.bytes = 0
        self.accumulates = False
        if parent is not None and step is not None:
            self.length = parent.length + 1
            self.first = parent.end
            self.end = self.first + len(step[0].outputs)
            self.bytes = parent.bytes + sum(a.numel * a.dtype.itemsize for a in step[0].outputs)
        self.sights = 0
        self.next: dict[tuple, Path] = {}
        self.programs: dict = {}
        self.backwards: dict = {}
        Path.count += 1

    def child(self, entry, refs: tuple[int, ...], edges: tuple[int, ...], mask: int) -> "Path":
        """Return the path that an instruction leads to from here."""
        key = (entry, refs, edges, mask)
        path = self.next.get(key)
        if path is None:
            path = self.next[key] = Path(self, (entry, refs, edges), mask)
        return path

    def code(self) -> list[Instruction]:
        """Return the instructions from the root to here."""
        code, path = [], self
        while path.step is not None:
            code.append(path.step)
            path = path.parent
        code.reverse()
        return code

    def twin(self) -> "Path":
        """Return a path of the same instructions that no tape comes to by recording them."""
        return Path(self.parent, self.step, self.mask)


_roots: dict[devices.device, Path] = {}


def _root(d: devices.device) -> Path:
    """Return where tapes on a device begin; a tree grown too large is forgotten."""
    if Path.count > MAX_PATHS:
        _roots.clear()
        Path.count = 0
    return _roots.get(d) or _roots.setdefault(d, Path())


class Tape:
    """A Wengert list in SSA form: each instruction's results are new numbered slots.

    Attributes:
        path: The instructions so far, as a place in the tree of all tapes.
        pending: The cells that wait for a slot; they may die or be rebound meanwhile.
        nodes: The autograd nodes of its instructions, in order.
        sources: Nodes of the graph that are not instructions here: leaves, and what was flushed.
        leaves: Arrays that exist already and that the tape reads.
        floats, ints: Python numbers, operands like others: a new value is not a new program.
    """

    __slots__ = (
        "__weakref__", "attention", "backward_end", "backward_pending", "bytes_checked", "closed",
        "device", "failure", "floats", "ints", "leaf_cells", "leaf_of", "leaves", "limit", "lock",
        "nodes", "outcome", "parameter_written", "path", "pending", "pinned_bytes", "plan", "pure",
        "source_of", "sources",
    )  # fmt: skip

    def __init__(self, device: devices.device, pure: bool = False) -> None:
        self.device = device
        self.path = _root(device)
        self.limit = MAX_INSTRUCTIONS  # instructions, before a look is taken
        self.pending: list = []
        self.nodes: list = []
        self.sources: list = []
        self.source_of: dict = {}
        self.leaves: list = []
        self.leaf_of: dict[int, int] = {}
        self.leaf_cells: list = []
        self.floats: list[float] = []
        self.ints: list[int] = []
        self.closed = False
        self.attention = False  # closed, or perhaps too long: look before recording
        self.backward_pending = False
        self.backward_end: Path | None = None  # where the first backward ended
        self.parameter_written = False
        self.pinned_bytes = 0
        self.bytes_checked = MAX_PINNED_BYTES
        self.pure = pure  # its leaves are somebody else's tracers: nothing is donated
        self.failure: Exception | None = None  # why its values will never come
        self.plan: Any = None  # set while the tape is being run
        self.outcome: list = []  # what its program returned, until the cells have it
        self.lock = threading.RLock()

    @property
    def code(self) -> list[Instruction]:
        """The instructions so far."""
        return self.path.code()

    @property
    def slots(self) -> int:
        """How many results the instructions have so far."""
        return self.path.end

    def append(self, entry, refs: tuple[int, ...], edges: tuple[int, ...] = (), mask=0) -> Path:
        """Record one instruction; return the path it leads to."""
        path = self.path.child(entry, refs, edges, mask)
        self.advance(path)
        return path

    def advance(self, path: Path) -> None:
        """Record the instructions that lead from here to ``path``."""
        self.path = path
        if path.end > self.limit:
            self.attention = True

    def edges(self, edges) -> tuple[int, ...]:
        """Return ``(node, result number)`` pairs as numbers that mean the same on equal tapes."""
        return tuple(
            [
                node.path.length << 21 | number << 1
                if node.home is self
                else self.source(node, number)
                for node, number in edges
            ]
        )

    def source(self, node, number: int) -> int:
        """Return the number of an edge to a node that is no instruction of this tape."""
        at = self.source_of.get(node)
        if at is None:
            at = self.source_of[node] = len(self.sources)
            self.sources.append(node)
        return at << 21 | number << 1 | 1

    def leaf(self, cell) -> int:
        """Return the reference to an array that exists; the cell remembers it until the flush."""
        index = self.leaf_of.get(id(cell.array))
        if index is None:
            index = self.leaf_of[id(cell.array)] = len(self.leaves)
            self.leaves.append(cell.array)
            self.pinned_bytes += cell.aval.numel * cell.aval.dtype.itemsize
            if self.pinned_bytes > self.bytes_checked:
                self.attention = True
        cell.tape, cell.ref = self, index << 2 | LEAF
        self.leaf_cells.append(cell)
        return cell.ref

    def array(self, array) -> int:
        """Return the reference to an array that no cell holds."""
        index = self.leaf_of.get(id(array))
        if index is None:
            index = self.leaf_of[id(array)] = len(self.leaves)
            self.leaves.append(array)
        return index << 2 | LEAF

    def number(self, x: Any) -> int:
        """Return the reference to a Python number.

        Raises:
            RuntimeError: an int that 64 bits don't hold.
            TypeError: it is no Python number (a numpy float, say).
        """
        if type(x) is float:
            self.floats.append(x)
            return len(self.floats) - 1 << 2 | FLOAT
        if type(x) is complex:
            return self.array(np.complex128(x))
        whole = operator.index(x)
        if not -(1 << 63) <= whole < 1 << 63:
            raise RuntimeError("value cannot be converted to type int64_t without overflow")
        self.ints.append(whole)
        return len(self.ints) - 1 << 2 | INT

    def take_back(self, refs) -> None:
        """Forget the numbers among the references of an instruction that was not recorded."""
        for ref in refs:
            if ref >= 0 and ref & 3 >= FLOAT:
                (self.floats if ref & 3 == FLOAT else self.ints).pop()


class _ThreadState(threading.local):
    """What each thread has of its own: its tapes and its modes."""

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.may_flush = True
        self.autocast: frozenset[str] = frozenset()  # the device types it is on for
        self.tape = Tape(CPU)
        self.tapes = {CPU: self.tape}


state = _ThreadState()


def tape_on(d: devices.device) -> Tape:
    """Return this thread's open tape on a device and make it the one recorded on next."""
    tape = state.tapes.get(d)
    if tape is None or tape.closed:
        tape = state.tapes[d] = Tape(d)
    state.tape = tape
    return tape
