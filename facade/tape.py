"""The tape: instructions recorded and not run yet. Plain data; nothing here runs JAX."""

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
MAX_PATHS = 200_000  # instructions remembered of all tapes
MAX_PINNED_BYTES = 256 << 20  # bytes held alive only by a tape before it is flushed


class Path:
    """A place in the tree of all tapes recorded: the instructions from the root to here.

    The tree is built as tapes are recorded, so a tape that repeats an earlier one is known by the
    identity of its path, and what was found out about it is kept there.

    Attributes:
        next: Instruction -> the path that it leads to.
        programs: What :mod:`facade.program` compiled for a tape that ends here.
        backwards: What :mod:`facade.autograd.engine` recorded for a backward that started here.
    """

    __slots__ = ("backwards", "next", "programs")
    count = 0  # of all paths

    def __init__(self) -> None:
        self.next: dict[tuple, Path] = {}
        self.programs: dict = {}
        self.backwards: dict = {}
        Path.count += 1


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
        code: ``(entry, references, edges)`` per instruction; edges are its autograd graph, see
            :meth:`edges`.
        path: The code so far, as a place in the tree of all tapes.
        slots: How many results the instructions have so far.
        pending: The cells that wait for a slot; they may die or be rebound meanwhile.
        nodes: The autograd nodes of its instructions, in order.
        sources: Nodes of the graph that are not instructions here: leaves, and what was flushed.
        leaves: Arrays that exist already and that the tape reads.
        floats, ints: Python numbers, operands like others: a new value is not a new program.
    """

    __slots__ = (
        "__weakref__", "attention", "backward_pending", "bytes_checked", "closed", "code",
        "device", "failure", "floats", "ints", "leaf_cells", "leaf_of", "leaves", "limit", "lock",
        "nodes", "outcome", "parameter_written", "path", "pending", "pinned_bytes", "plan", "pure",
        "slots", "source_of", "sources",
    )  # fmt: skip

    def __init__(self, device: devices.device, pure: bool = False) -> None:
        self.device = device
        self.code: list[tuple[Entry, tuple[int, ...], tuple[int, ...]]] = []
        self.path = _root(device)
        self.slots = 0
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
        self.parameter_written = False
        self.pinned_bytes = 0
        self.bytes_checked = MAX_PINNED_BYTES
        self.pure = pure  # its leaves are somebody else's tracers: nothing is donated
        self.failure: Exception | None = None  # why its values will never come
        self.plan: Any = None  # set while the tape is being run
        self.outcome: list = []  # what its program returned, until the cells have it
        self.lock = threading.RLock()

    def append(self, entry, refs: tuple[int, ...], edges: tuple[int, ...] = ()) -> int:
        """Record one instruction; return the number of its first slot."""
        first = self.slots
        step = (entry, refs, edges)
        self.code.append(step)
        self.slots = first + len(entry.outputs)
        path = self.path.next.get(step)
        if path is None:
            path = self.path.next[step] = Path()
        self.path = path
        if first > self.limit:
            self.attention = True
        return first

    def edges(self, edges) -> tuple[int, ...]:
        """Return ``(node, result number)`` pairs as numbers that mean the same on equal tapes."""
        return tuple(
            [
                node.index << 21 | number << 1 if node.home is self else self.source(node, number)
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
        """
        if type(x) is float:
            self.floats.append(x)
            return len(self.floats) - 1 << 2 | FLOAT
        if type(x) is complex:
            return self.array(np.complex128(x))
        if not -(1 << 63) <= x < 1 << 63:
            raise RuntimeError("value cannot be converted to type int64_t without overflow")
        self.ints.append(int(x))
        return len(self.ints) - 1 << 2 | INT

    def take_back(self, refs: list[int]) -> None:
        """Forget the numbers among the references of an instruction that was not recorded."""
        for ref in refs:
            if ref >= 0 and ref & 3 >= FLOAT:
                (self.floats if ref & 3 == FLOAT else self.ints).pop()


class _ThreadState(threading.local):
    """What each thread has of its own: its tapes and its modes."""

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
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
