"""Find loops in a tape: stretches of instructions that repeat, operands following a pattern."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from facade.tape import ABSENT, LEAF, SLOT

MIN_PERIOD = 4  # instructions of an iteration per scattered operand, which has to be copied
MAX_LAG = 4  # iterations that a carried value may lie back
_GAPS = 4  # distances between equal stretches that are tried, per length of stretch


class Least(NamedTuple):
    """What a loop must have to be one."""

    count: int  # iterations
    saved: int  # instructions


LEAST = Least(4, 64)  # below, what is not rolled compiles as fast


class Step(NamedTuple):
    """An instruction, as far as the search cares.

    Attributes:
        kind: Equal for instructions that compute the same from their operands.
        refs: Its operands, as on the tape.
        forward: The position of the instruction that it pulls back through; -1 for none.
    """

    kind: int
    refs: tuple[int, ...]
    forward: int


class Fixed(NamedTuple):
    """The same operand in every iteration."""

    ref: int


class Rows(NamedTuple):
    """An operand from outside the loop for each iteration."""

    refs: tuple[int, ...]


class Inner(NamedTuple):
    """A result of the loop itself, ``lag`` iterations ago.

    Attributes:
        position: The index in an iteration of the instruction that it is a result of.
        number: Which result.
        initial: What the first iterations read instead, ``lag`` of them.
    """

    position: int
    number: int
    lag: int
    initial: tuple[int, ...]


class Run:
    """Instructions that a loop replaces.

    Attributes:
        start: The position of the first.
        period: How many make an iteration.
        count: How many iterations.
        operands: For each instruction of an iteration where each operand comes from.
        forwards: For each what it pulls back through: :class:`Fixed` or :class:`Rows` of positions
            instead of references, an index in the same iteration, or None.
    """

    def __init__(self, start: int, period: int, count: int) -> None:
        self.start, self.period, self.count = start, period, count
        self.operands: list[list] = []
        self.forwards: list = []

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count


class Listing:
    """A tape's instructions, to be searched.

    Args:
        steps: In order; a position is an index in it.
        owner: Per slot the position of the instruction that it is a result of, -1 for none.
        number: Per slot which of its results it is.
        least: What a loop must have.
    """

    def __init__(
        self, steps: list[Step], owner: list[int], number: list[int], least: Least
    ) -> None:
        self.least = least
        self.steps = steps
        self.kinds = np.array([s.kind for s in steps], np.int64)
        self.owner = np.array([*owner, -1], np.int64)
        self.number = np.array([*number, -1], np.int64)
        self.runs: list[Run] = []

    def search(self) -> list[Run]:
        """Return the loops, in order."""
        self._cover(0, len(self.steps))
        return self.runs

    def _cover(self, low: int, high: int) -> None:
        """Find the loops between two positions; pulls need those before them found first."""
        found = _longest_repetition(self.kinds[low:high], self.least)
        if found is None:
            return
        start, period, count = found[0] + low, *found[1:]
        self._cover(low, start)
        # operands may take turns where instructions don't
        run = self._verified(start, period, count) or self._verified(start, 2 * period, count // 2)
        if run is None:
            self._cover(start + period * count, high)
            return
        if run.start > start:
            self._cover(start, run.start)
        self.runs.append(run)
        self._cover(run.stop, high)

    def _verified(self, start: int, period: int, count: int) -> Run | None:
        """Return the loop in a stretch of equal kinds, shortened to where its operands fit."""
        if count < self.least.count:
            return None
        columns = _Columns(self, start, period, count)
        if not columns.shorten():
            return None
        run = Run(start + columns.first * period, period, columns.last - columns.first)
        if run.count < self.least.count or (run.count - 1) * period < self.least.saved:
            return None
        if columns.scattered() * MIN_PERIOD > period:
            return None
        sources = columns.sources()
        forwards = columns.forwards()
        for step in self.steps[start : start + period]:
            run.operands.append([next(sources) for _ in step.refs])
            run.forwards.append(next(forwards) if step.forward >= 0 else None)
        return run


def _longest_repetition(kinds, least: Least) -> tuple[int, int, int] | None:
    """Return ``(start, period, count)`` of the repetition that saves most, if any is worth it."""
    best, found = least.saved - 1, None
    for period in _periods(kinds):
        equal = np.concatenate([[False], kinds[period:] == kinds[:-period], [False]])
        edges = np.flatnonzero(equal[1:] != equal[:-1])
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            count = (end - begin) // period + 1
            if count >= least.count and (count - 1) * period > best:
                best, found = (count - 1) * period, (begin, period, count)
    return found


def _periods(kinds) -> list[int]:
    """Return the most frequent distances between equal stretches of 1, 2, 4, ... instructions.

    In a repetition, stretches as long as its period recur after exactly one period.
    """
    found: dict[int, None] = {}
    width = 1
    while 2 * width <= len(kinds):
        order = np.argsort(kinds, kind="stable")
        again = kinds[order[1:]] == kinds[order[:-1]]
        gaps, counts = np.unique((order[1:] - order[:-1])[again], return_counts=True)
        if not len(gaps):
            break
        found.update(dict.fromkeys(gaps[np.argsort(-counts, kind="stable")[:_GAPS]].tolist()))
        # stretches twice as long: pairs of those known by their rank
        names = np.unique(kinds, return_inverse=True)[1]
        kinds = names[:-width] * len(names) + names[width:]
        width *= 2
    return list(found)


class _Columns:
    """The operands of a stretch, a row per iteration and a column per operand.

    Pulls have one more column each, at the end, for what they pull back through.
    """

    def __init__(self, listing: Listing, start: int, period: int, count: int) -> None:
        steps = listing.steps[start : start + period * count]
        self.listing, self.start, self.period, self.count = listing, start, period, count
        self.first, self.last = 0, count
        refs = np.array([r for s in steps for r in s.refs], np.int64).reshape(count, -1)
        pulled = np.array([s.forward for s in steps if s.forward >= 0], np.int64)
        pulled = pulled.reshape(count, -1)
        slots = np.where((refs != ABSENT) & (refs & 3 == SLOT), refs >> 2, -1)
        self.refs, self.operand_count = refs, refs.shape[1]
        self.owner = np.concatenate([listing.owner[slots], pulled], 1)
        self.number = np.concatenate([listing.number[slots], np.zeros_like(pulled)], 1)
        row = np.arange(count)[:, None]
        self.lag = np.where(self.owner < start, -1, row - (self.owner - start) // period)
        self.position = (self.owner - start) % period
        # an operand is what it is in the middle
        self.middle = m = count // 2
        self.beside = min(m + 1, count - 1) if count > 2 else 0
        after = min(m + 1, count - 1)
        same = (self.lag[m] == self.lag[after]) & (self.position[m] == self.position[after])
        self.inner = same & (self.lag[m] >= 0) & (self.lag[m] <= MAX_LAG)

    def shorten(self) -> bool:
        """Narrow ``first`` and ``last`` to the iterations that follow one pattern."""
        m, row = self.middle, np.arange(self.count)[:, None]
        depth = np.where(self.inner, self.lag[m], 0)
        follows = self.lag == self.lag[m]
        follows &= (self.position == self.position[m]) & (self.number == self.number[m])
        wrong = self.inner & ~follows
        fixed = (self.refs[m] == self.refs[self.beside]) & ~self.inner[: self.operand_count]
        wrong[:, : self.operand_count] |= fixed & (self.refs != self.refs[m])
        pulled = slice(self.operand_count, None)
        if (depth[pulled] > 0).any():
            return False
        wrong[:, pulled] |= ~self.inner[pulled] & self._strays()
        late = wrong & (row > m)
        self.last = int(np.where(late.any(1))[0][0]) if late.any() else self.count
        early = np.where(wrong & (row < m), row + 1 - depth, 0)
        self.first = max(int(early.max(initial=0)), 0)
        if (wrong[m]).any():
            return False
        while self.last - self.first >= self.listing.least.count:
            inside = self._first_inside(depth)
            if inside < 0:
                return True
            self.first = inside + 1
        return False

    def _first_inside(self, depth) -> int:
        """Return an iteration that an operand from outside comes from nevertheless, or -1."""
        begin = self.start + self.first * self.period
        rows = slice(self.first, self.last)
        owner = self.owner[rows]
        outside = ~self.inner | (np.arange(len(owner))[:, None] < depth)
        owner = np.where(outside & (owner >= begin), owner, -1)
        return (int(owner.max()) - self.start) // self.period if (owner >= 0).any() else -1

    def _strays(self):
        """Return which pulls go back through another instruction than in the middle."""
        places = self.owner[:, self.operand_count :]
        runs = self.listing.runs
        starts = np.array([r.start for r in runs], np.int64)
        number = np.searchsorted(starts, places, "right") - 1
        period = np.array([*(r.period for r in runs), 1], np.int64)[number]
        stop = np.array([*(r.stop for r in runs), 0], np.int64)[number]
        begin = np.array([*starts, 0], np.int64)[number]
        number = np.where(places < stop, number, -1)
        place = np.where(number >= 0, (places - begin) % period, places)
        return (number != number[self.middle]) | (place != place[self.middle])

    def scattered(self) -> int:
        """Return how many operands are copied to be rows: they come from no loop, no unbind.

        Layers with their own weights are such loops, and are faster as they are.
        """
        runs = self.listing.runs
        found = 0
        for i in np.flatnonzero(~self.inner[: self.operand_count]).tolist():
            column = self.refs[self.first : self.last, i]
            refs, counts = np.unique(column, return_counts=True)
            owner = self.listing.owner[np.where(refs & 3 == SLOT, refs >> 2, -1)]
            alone = refs & 3 == LEAF
            for at in np.unique(owner[owner >= 0]).tolist():
                run = bisect_right(runs, at, key=lambda r: r.start) - 1
                in_run = run >= 0 and at < runs[run].stop
                alone |= (owner == at) & (not in_run) & (np.sum(owner == at) == 1)
            # in the first and the last iteration it may be another
            found += len(refs) > 1 and int(counts[alone].sum()) > 2
        return found

    def sources(self) -> Iterator:
        """Yield where each operand comes from."""
        for i in range(self.operand_count):
            refs = tuple(self.refs[self.first : self.last, i].tolist())
            if self.inner[i]:
                lag = int(self.lag[self.middle, i])
                position = int(self.position[self.middle, i])
                yield Inner(position, int(self.number[self.middle, i]), lag, refs[:lag])
            else:
                yield Fixed(refs[0]) if len(set(refs)) == 1 else Rows(refs)

    def forwards(self) -> Iterator:
        """Yield what each pull goes back through."""
        for i in range(self.operand_count, self.owner.shape[1]):
            places = self.owner[self.first : self.last, i].tolist()
            if self.inner[i]:
                yield int(self.position[self.middle, i])
            else:
                yield Fixed(places[0]) if len(set(places)) == 1 else Rows(tuple(places))


__all__ = ["LEAST", "Fixed", "Inner", "Least", "Listing", "Rows", "Run", "Step"]
