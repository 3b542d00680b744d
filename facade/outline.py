"""What of a tape is needed, in order, and which loops that holds."""

import itertools

from facade.pullback import Pull
from facade.reroll import LEAST, Least, Listing, Run, Step
from facade.tape import ABSENT, LEAF, SLOT

WINDOW = 1024  # instructions by which it is told whether a tape repeats


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
        steps = [_step(self.code[i], i, self.masks.get(i), kinds, place) for i in self.order]
        owner = [place.get(i, -1) for i, _ in self.owners]
        return Listing(steps, owner, [k for _, k in self.owners], least).search()


def repeats(code) -> bool:
    """Return whether a code, as far as can be told from its end, is mostly loops."""
    end = code[-WINDOW:]
    kinds: dict = {}
    steps = [_step(instruction, i, None, kinds, {}) for i, instruction in enumerate(end)]
    own = [(i, k) for i, (entry, _, _) in enumerate(end) for k in range(len(entry.outputs))]
    before = sum([len(entry.outputs) for entry, _, _ in code[:-WINDOW]])
    owner, number = [-1] * before + [i for i, _ in own], [0] * before + [k for _, k in own]
    runs = Listing(steps, owner, number, LEAST).search()
    return 2 * sum([run.period * run.count for run in runs]) > len(end)


def _step(instruction, i: int, mask: int | None, kinds: dict, place: dict) -> Step:
    """Return what the search needs of an instruction.

    Args:
        kinds: Numbers of the kinds known so far.
        place: Instruction -> its position; empty if pulls need not be followed.
    """
    entry, refs, _ = instruction
    forward = -1
    if type(entry) is Pull:
        forward, refs = place.get(refs[0], -1), refs[1:]
    # which operands are absent, and which are numbers
    operands = tuple([r if r == ABSENT else max(r & 3, LEAF) for r in refs])
    key = (entry, mask, operands) if _may_repeat(entry) else i
    return Step(kinds.setdefault(key, len(kinds)), refs, forward)


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
