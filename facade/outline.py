"""What of a tape is needed, in order, and which loops that holds."""

import itertools

from facade.pullback import Pull
from facade.reroll import LEAST, Least, Listing, Run, Step
from facade.tape import ABSENT, LEAF, SLOT


class Outline:
    """The part of a tape's code that its results need.

    Attributes:
        order: The instructions needed.
        masks: Those that are pulled back through -> the operands for which.
        firsts: Per instruction its first slot.
        owners: Per slot the instruction it is a result of, and which result.
    """

    def __init__(self, code, wanted, saved: dict[int, int]) -> None:
        self.code = code
        self.firsts = first_slots(code)
        self.owners = [
            (i, k) for i, (entry, _, _) in enumerate(code) for k in range(len(entry.outputs))
        ]
        self.order = _needed(code, wanted, saved)
        self.masks = dict(saved)
        for i in self.order:
            if type(code[i][0]) is Pull:
                self.masks[code[i][1][0]] = code[i][0].mask

    def runs(self, least: Least = LEAST) -> list[Run]:
        """Return the loops among the instructions needed."""
        place = {i: at for at, i in enumerate(self.order)}
        kinds: dict = {}
        steps = []
        for i in self.order:
            entry, refs, _ = self.code[i]
            forward = -1
            if type(entry) is Pull:
                forward, refs = place[refs[0]], refs[1:]
            # which operands are absent, and which are numbers
            operands = tuple([r if r == ABSENT else max(r & 3, LEAF) for r in refs])
            key = (entry, self.masks.get(i), operands) if _may_repeat(entry) else i
            steps.append(Step(kinds.setdefault(key, len(kinds)), refs, forward))
        owner = [place.get(i, -1) for i, _ in self.owners]
        return Listing(steps, owner, [k for _, k in self.owners], least).search()


def _may_repeat(entry) -> bool:
    """Return whether an instruction may be in a loop: in XLA's, convolutions collapse on CPU."""
    return "conv" not in entry.name


def first_slots(code) -> list[int]:
    """Return the number of each instruction's first slot."""
    sizes = [len(entry.outputs) for entry, _, _ in code]
    return list(itertools.accumulate(sizes, initial=0))


def _needed(code, wanted, saved) -> list[int]:
    """Return the instructions that the results depend on, in order."""
    owners = [i for i, (entry, _, _) in enumerate(code) for _ in entry.outputs]
    needed = {owners[slot] for slot in wanted} | set(saved)
    for i in range(len(code) - 1, -1, -1):
        if i in needed:
            needed.update(sources(code, owners, i))
    return sorted(needed)


def sources(code, owners: list[int], i: int) -> list[int]:
    """Return the instructions whose results instruction ``i`` reads.

    Args:
        owners: Per slot, the instruction it is a result of.
    """
    entry, refs, _ = code[i]
    found = [refs[0]] if type(entry) is Pull else []
    refs = refs[len(found) :]
    return found + [owners[r >> 2] for r in refs if r != ABSENT and r & 3 == SLOT]
