"""Tapes whose loops differ only in length: what they have in common, and what makes them differ."""

import itertools
from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from facade import reroll
from facade.avals import aval
from facade.loops import from_end
from facade.ops.registry import OPS, Entry, infer
from facade.outline import Outline
from facade.pullback import Pull
from facade.reroll import Fixed, Least, Rows, Run
from facade.tape import ABSENT, FLOAT, INT, LEAF, SLOT

LEAST = Least(2, 8)  # a loop that others of its form are longer than may be as short as this
SMALLEST = 64  # rows that a program has room for at least
NEAR = 4  # a loop over all rows of a leaf may leave out so many
_BY_ROW = ("select", "unbind")  # ops that read rows, however many there are


class Unlike(Exception):
    """A tape that can't be one of any length."""


class Packing(NamedTuple):
    """How the operands of a tape are given to a program for tapes of any length.

    Attributes:
        sizes: The lengths: iterations per loop, then rows per leaf that is read by row.
        rooms: How many of each the program provides for.
        long: Leaf -> its dimension of rows, and where its length is among ``sizes``.
        packed: Per kind of number those that the program takes, as indices among the tape's;
            -1 where there is only room. The sizes come after the integers.
    """

    sizes: list[int]
    rooms: tuple[int, ...]
    long: dict[int, tuple[int, int]]
    packed: dict[int, list[int]]

    def floats(self, numbers: list) -> np.ndarray:
        """Return what the program takes of the tape's floats."""
        return np.array([numbers[i] if i >= 0 else 0.0 for i in self.packed[FLOAT]], np.float64)

    def ints(self, numbers: list) -> np.ndarray:
        """Return what the program takes of the tape's integers, and the sizes."""
        taken = [numbers[i] if i >= 0 else 0 for i in self.packed[INT]]
        return np.array(taken + self.sizes, np.int64)

    def leaves(self, leaves: list) -> list:
        """Return the leaves, those that are read by row with room for more."""
        leaves = list(leaves)
        for leaf, (dim, at) in self.long.items():
            array = np.asarray(leaves[leaf])
            shape = (*array.shape[:dim], self.rooms[at], *array.shape[dim + 1 :])
            room = np.zeros(shape, array.dtype)
            room[(slice(None),) * dim + (slice(self.sizes[at]),)] = array
            leaves[leaf] = room
        return leaves


class Lengths:
    """A tape as one of any length.

    Attributes:
        key: Equal for tapes that differ only in lengths, and fit into the same program.
        blocks: What the loops do, to tell early whether their lengths vary.
        runs: The loops.
        entries: Instruction -> the entry that takes a leaf with room.
        packing: What makes it differ from other tapes with its key.
        places: Per kind of number where each of the tape's is among those packed.
        pays: Whether one of the loops is long enough to be one of a program for this length.

    Raises:
        Unlike: it has no loop, or its length shows elsewhere.
    """

    def __init__(self, code, wanted) -> None:
        outline = Outline(code, wanted, {})
        self.runs = outline.runs(LEAST)
        if not self.runs:
            raise Unlike
        sizes = [run.count for run in self.runs]
        self.pays = any((r.count - 1) * r.period >= reroll.LEAST.saved for r in self.runs)
        self.long = _long_leaves(outline, self.runs, sizes)
        self.sizes = sizes
        self.rooms = tuple([max(SMALLEST, 1 << (size - 1).bit_length()) for size in sizes])
        self.entries = {}
        for i in outline.order:
            entry, refs, _ = code[i]
            if entry.name in _BY_ROW and refs[0] & 3 == LEAF and refs[0] >> 2 in self.long:
                dim, at = self.long[refs[0] >> 2]
                self.entries[i] = _with_room(entry, dim, self.rooms[at])
        form = _Form(outline, self)
        items = form.items()
        self.key = (items, form.names([slot << 2 | SLOT for slot in wanted]), self.rooms)
        self.blocks = tuple([
            tuple([(entry.name, entry.outputs) for (entry, _), _, _ in item])
            for item in items
            if type(item) is _Block
        ])  # fmt: skip
        packed = form.packed
        for kind, refs, number in form.columns:
            room = self.rooms[number] - len(refs)
            packed[kind] += [*[ref >> 2 for ref in refs], *[-1] * room]
        self.packing = Packing(sizes, self.rooms, self.long, packed)
        self.places = {
            kind: {index: at for at, index in enumerate(numbers) if index >= 0}
            for kind, numbers in packed.items()
        }

    @property
    def first_size(self) -> int:
        """Where the sizes begin among the integers."""
        return len(self.packing.packed[INT])


def _long_leaves(outline: Outline, runs: list[Run], sizes: list[int]) -> dict:
    """Return the leaves read by row only, of about as many as a loop has iterations.

    Their lengths are appended to ``sizes``.
    """
    places: dict[int, set] = {}
    for i in outline.order:
        entry, refs, _ = outline.code[i]
        by_row = entry.name in _BY_ROW and i not in outline.masks
        for at, ref in enumerate(refs[1:] if type(entry) is Pull else refs):
            if ref != ABSENT and ref & 3 == LEAF:
                place = None
                if type(entry) is Entry and by_row and at == 0:
                    shape = entry.inputs[0].shape
                    dim = entry.static["dim"] % len(shape)
                    place = (dim, shape[dim])
                places.setdefault(ref >> 2, set()).add(place)
    found = {}
    for leaf, (place, *others) in places.items():
        if place is not None and not others:
            dim, size = place
            if any(0 <= size - run.count <= NEAR for run in runs):
                found[leaf] = (dim, len(sizes))
                sizes.append(size)
    return found


class _Block(tuple):
    """What an iteration of a loop does, instruction by instruction."""


class _Form:
    """Writes a tape down without its lengths: rows count from the end that they are nearer to.

    Attributes:
        packed: See :class:`Lengths`; the numbers that are read one by one.
        columns: Those that a loop reads one of per iteration: kind, references, the loop's number.
    """

    def __init__(self, outline: Outline, lengths: Lengths) -> None:
        self.outline, self.lengths, self.runs = outline, lengths, lengths.runs
        self.place = {i: at for at, i in enumerate(outline.order)}
        self.starts = [run.start for run in self.runs]
        self.packed: dict[int, list[int]] = {FLOAT: [], INT: []}
        self.columns: list = []

    def items(self) -> tuple:
        """Return what there is to do, in order."""
        items: list = []
        order, at = self.outline.order, 0
        for number, run in enumerate(self.runs):
            items.extend(map(self._single, order[at : run.start]))
            items.append(self._loop(number, run))
            at = run.stop
        items.extend(map(self._single, order[at:]))
        return tuple(items)

    def names(self, refs) -> tuple:
        """Return what these references mean on any tape of this form."""
        return tuple(map(self._name, refs))

    def _single(self, i: int) -> tuple:
        entry, refs, _ = self.outline.code[i]
        forward = None
        if type(entry) is Pull:
            forward, refs = self._spot(self.place[refs[0]]).name(), refs[1:]
        names = self.names(refs)
        if sum(type(name) is tuple and name[0] == _ROW for name in names) > NEAR:
            raise Unlike  # reads so many iterations that it depends on their number
        return self._entry(i), forward, names

    def _loop(self, number: int, run: Run) -> tuple:
        block = []
        for index, operands in enumerate(run.operands):
            forward = run.forwards[index]
            if type(forward) is Fixed:
                forward = self._spot(forward.ref).name()
            elif type(forward) is Rows:
                forward = _line([self._spot(at) for at in forward.refs])
            sources = tuple([self._source(s, number) for s in operands])
            block.append((self._entry(self.outline.order[run.start + index]), forward, sources))
        return _Block(block)

    def _entry(self, i: int) -> tuple:
        return self.lengths.entries.get(i, self.outline.code[i][0]), self.outline.masks.get(i)

    def _source(self, source, number: int):
        if type(source) is Fixed:
            return self._name(source.ref)
        if type(source) is not Rows:
            return source[:3], self.names(source.initial)
        kinds = {ref & 3 for ref in source.refs}
        if kinds <= {SLOT}:
            return _line([self._slot(ref) for ref in source.refs])
        if len(kinds) > 1 or LEAF in kinds:
            raise Unlike
        self.columns.append((kind := kinds.pop(), source.refs, number))
        return kind, len(self.columns)

    def _name(self, ref: int):
        kind = ref & 3
        if ref == ABSENT or kind == LEAF:
            return ref
        if kind == SLOT:
            return self._slot(ref).name()
        self.packed[kind].append(ref >> 2)
        return kind, len(self.packed[kind])

    def _slot(self, ref: int) -> "_Spot":
        i, number = self.outline.owners[ref >> 2]
        return self._spot(self.place[i], number)

    def _spot(self, at: int, number: int = 0) -> "_Spot":
        before = bisect_right(self.starts, at)
        if before and at < self.runs[before - 1].stop:
            run = self.runs[before - 1]
            row, index = divmod(at - run.start, run.period)
            return _Spot((before, index, number), row, run.count)
        single = at - sum([run.stop - run.start for run in self.runs[:before]])
        i = self.outline.order[at]
        if i in self.lengths.entries and len(self.outline.code[i][0].outputs) > 1:
            size = self.lengths.sizes[self.lengths.long[self.outline.code[i][1][0] >> 2][1]]
            return _Spot((0, single, 0), number, size)
        return _Spot((0, single, number))


_ROW = "row"


class _Spot(NamedTuple):
    """What computes a value: an instruction, and the row of how many if it computes rows."""

    of: tuple
    row: int = 0
    count: int = 0

    def name(self, step: int = 1) -> tuple:
        """Return what it is on any tape, if rows follow from there ``step`` apart."""
        if not self.count:
            return self.of
        end = from_end(self.row, self.count, step)
        return _ROW, self.of, self.row - self.count * end, end


def _line(spots: list[_Spot]) -> tuple:
    """Return what rows these are on any tape."""
    steps = {b.row - a.row for a, b in itertools.pairwise(spots)}
    if len(steps) > 1 or len({spot.of for spot in spots}) > 1 or not spots[0].count:
        raise Unlike
    step = steps.pop()
    return spots[0].name(step), step


def _with_room(entry: Entry, dim: int, room: int) -> Entry:
    """Return the entry of an op that reads rows, for a leaf with room for more."""
    a = entry.inputs[0]
    shape = (*a.shape[:dim], room, *a.shape[dim + 1 :])
    key = (entry.name, shape, a.dtype, dim)
    found = _entries.get(key)
    if found is None:
        spec = OPS[entry.name]
        groups = [aval(shape, a.dtype), *[int for _ in spec.operand_params[1:]]]
        found = _entries[key] = infer(spec, groups, {"dim": dim})
    return found


_entries: dict[tuple, Entry] = {}
