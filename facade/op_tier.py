"""Run a tape op by op: each op, and each op's pullback, compiled once per signature and kept.

A tape that was not seen before need not wait for a program of its own: expressions in a notebook,
sequences of varying length. The results agree with the program's to rounding.
"""

from collections import Counter

import jax
import numpy as np

from facade.ops.registry import Entry
from facade.outline import Outline
from facade.pullback import Pull, linearize, pull_back
from facade.tape import ABSENT, FLOAT, LEAF, SLOT, Path

# PyTorch rounds bfloat16 after each op.
COMPILER_OPTIONS = {"xla_allow_excess_precision": False}

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

    def by_ops(self, path: Path, trains: bool) -> bool:
        """Return whether to run a tape op by op, and remember what was seen.

        Args:
            trains: Whether the tape is part of a training step.
        """
        code = path.code()
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
        return len(unseen) <= 1 + len(code) // 40


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
    pull_uses = Counter(saved)
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
                results = _plain(entry)(*map(read, refs))
        except Exception as error:
            error.instruction = i  # type: ignore[attr-defined]
            raise
        for slot, value in enumerate(results, firsts[i]):
            if uses[slot]:
                slots[slot] = value
    return [slots[slot] for slot in wanted], [pulls[i] for i in saved]


def _plain(entry: Entry):
    found = entry.cache.get("compiled")
    if found is None:
        found = entry.cache["compiled"] = jax.jit(entry.fn, compiler_options=COMPILER_OPTIONS)
    return found


def _forward(entry: Entry, mask: int):
    found = entry.cache.get(("compiled", mask))
    if found is None:

        def forward(*operands):
            return linearize(entry, mask, operands)

        found = jax.jit(forward, compiler_options=COMPILER_OPTIONS)
        entry.cache["compiled", mask] = found
    return found


def _pull(pull_entry: Pull):
    entry, key = pull_entry.forward, ("compiled pull", pull_entry.mask)
    found = entry.cache.get(key)
    if found is None:

        def pulled(pull, *cotangents):
            return pull_back(entry, pull, cotangents)

        found = entry.cache[key] = jax.jit(pulled, compiler_options=COMPILER_OPTIONS)
    return found
