"""Run a tape op by op: each op, and each op's pullback, compiled once per signature and kept.

A tape that was not seen before need not wait for a program of its own: expressions in a notebook,
sequences of varying length. The results agree with the program's to rounding.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable

import jax
import numpy as np

from facade.ops.registry import Entry
from facade.outline import Outline
from facade.pullback import Pull, linearize, pull_back
from facade.tape import ABSENT, FLOAT, LEAF, SLOT, Path

# PyTorch rounds bfloat16 after each op.
COMPILER_OPTIONS = {"xla_allow_excess_precision": False}

MAX_COMPILED = 1024  # ops and pullbacks kept, each some 1.6 MB
SMALL = 32  # instructions
MANY_SIGHTS = 8
SURPRISES = 3


class Chooser:
    """Decides how a tape without a program is run; one for each device.

    To compile one op costs about as much as to compile a small program, so op by op is the better
    way when its ops are known already. What is likely to come again (a training step, a tape seen
    before) gets a program; a place that keeps producing new tapes is megamorphic, in the words of
    inline caches, and stays with the ops.

    Attributes:
        surprises: How many training steps in a row had no program.
        by_ops_runs: How many tapes were run op by op.
    """

    def __init__(self) -> None:
        self.surprises = 0
        self.by_ops_runs = 0

    def by_ops(self, path: Path, code: list, trains: bool) -> bool:
        """Return whether to run a tape op by op, and remember what was seen.

        Args:
            code: The path's.
            trains: Whether the tape is part of a training step.
        """
        megamorphic = self.surprises >= SURPRISES
        self.surprises += trains
        path.sights += 1
        entries = {entry for entry, _, _ in code}
        unseen = [e for e in entries if "seen" not in cache_of(e)]
        for entry in unseen:
            cache_of(entry)["seen"] = True
        if path.programs or ((trains or len(code) > SMALL) and not megamorphic):
            return False
        if len(code) > 2 and path.sights > (MANY_SIGHTS if megamorphic else 1):
            return False
        chosen = len(unseen) <= 1 + len(code) // 40
        self.by_ops_runs += chosen
        return chosen


def cache_of(entry) -> dict:
    """Return where what is derived from an op is kept."""
    return entry.forward.cache if type(entry) is Pull else entry.cache


def run(code, leaves, floats, ints, wanted: list[int], saved: dict[int, int]) -> tuple:
    """Run a tape's code; return the values of the slots ``wanted``, and the saved pullbacks.

    Call it with 64-bit types on. An exception carries the index of its instruction as
    ``instruction``.
    """
    outline = Outline(code, wanted, saved)
    order, masks, firsts = outline.order, outline.masks, outline.firsts
    slots: dict[int, jax.Array] = {}
    pulls: dict = {}
    uses = Counter(wanted)
    pull_uses = Counter(list(saved))
    for i in order:
        entry, refs, _ = code[i]
        pull_uses.update(refs[:1] if type(entry) is Pull else ())
        uses.update(r >> 2 for r in refs[type(entry) is Pull :] if r != ABSENT and r & 3 == SLOT)

    def read(ref: int):
        if ref == ABSENT:
            return None
        kind, index = ref & 3, ref >> 2
        if kind == SLOT:
            uses[index] -= 1
            return slots[index] if uses[index] else slots.pop(index)
        if kind == LEAF:
            return leaves[index]
        return np.float64(floats[index]) if kind == FLOAT else np.int64(ints[index])

    def pull_of(index: int):
        pull_uses[index] -= 1
        return pulls[index] if pull_uses[index] else pulls.pop(index)

    for i in order:
        entry, refs, _ = code[i]
        try:
            if type(entry) is Pull:
                results = _pull(entry)(pull_of(refs[0]), *map(read, refs[1:]))
            elif i in masks:
                results, pulls[i] = _forward(entry, masks[i])(*map(read, refs))
            else:
                results = _compiled(entry, "op", entry.fn)(*map(read, refs))
        except Exception as error:
            error.instruction = i  # type: ignore[attr-defined]
            raise
        for slot, value in enumerate(results, firsts[i]):
            if uses[slot]:
                slots[slot] = value
    return [slots[slot] for slot in wanted], [pulls[i] for i in saved]


_kept: OrderedDict[tuple, Callable] = OrderedDict()  # the least recently used first


def _compiled(entry: Entry, key, function: Callable) -> Callable:
    """Return what is made of an op once and kept as ``key``: ``function``, compiled."""
    found = _kept.pop((entry, key), None)
    if found is None:
        found = jax.jit(function, compiler_options=COMPILER_OPTIONS)
    _kept[entry, key] = found
    if len(_kept) > MAX_COMPILED:
        _kept.popitem(last=False)
    return found


def _forward(entry: Entry, mask: int) -> Callable:
    """Return the op with its pullback: ``operands -> (results, pull)``."""
    return _compiled(entry, ("forward", mask), lambda *operands: linearize(entry, mask, operands))


def _pull(pull: Pull) -> Callable:
    """Return the pullback applied: ``(pull, *cotangents) -> gradients``."""
    entry = pull.forward
    return _compiled(entry, ("pull", pull.mask), lambda pull, *g: pull_back(entry, pull, g))
