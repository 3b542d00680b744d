"""Run a tape op by op: each op, and each op's pullback, compiled once per signature and kept.

A tape that was not seen before need not wait for a program of its own: expressions in a notebook,
sequences of varying length. The results agree with the program's to rounding.
"""

from collections import Counter
from collections.abc import Callable

import jax
import numpy as np

from facade.mappings import make_room, relief
from facade.ops.registry import Entry
from facade.outline import Outline
from facade.pullback import Pull, linearize, pull_back
from facade.recent import Recent
from facade.tape import ABSENT, FLOAT, LEAF, SLOT, Path

# PyTorch rounds bfloat16 after each op.
COMPILER_OPTIONS = {"xla_allow_excess_precision": False}

MAX_COMPILED = 1024  # ops and pullbacks kept, each some 1.6 MB
SMALL = 32  # instructions
FEW = 2  # instructions: a program would do no better
MANY_SIGHTS = 8
MANY_TAPES = 2  # that have one function
SURPRISES = 3


class Chooser:
    """Decides how a tape without a program is run; one for each device.

    To compile one op costs about as much as to compile a small program, so op by op is the better
    way when its ops are known already. A function that was recorded, say a transformed one, is one
    op that costs as much as a program, so it is compiled alone only once many tapes have it. What
    is likely to come again (a training step, a tape seen before) gets a program; a place that keeps
    producing new tapes is megamorphic, in the words of inline caches, and stays with the ops.

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
        unseen, long = 0, len(code) > SMALL
        for entry in entries:
            cache = cache_of(entry)
            tapes = cache["tapes"] = cache.get("tapes", 0) + 1
            unseen += tapes == 1
            long |= tapes <= MANY_TAPES and entry.length > FEW
        if (trains or long) and not megamorphic:
            return False
        again = path.programs or path.sights > (MANY_SIGHTS if megamorphic else 1)
        if again and len(code) > FEW:
            return False
        return unseen <= 1 + len(code) // 40


def cache_of(entry) -> dict:
    """Return where what is derived from an op is kept."""
    return entry.forward.cache if type(entry) is Pull else entry.cache


class Ops:
    """A tape's code as its ops, to be run any number of times.

    Args:
        wanted: The slots whose values are returned.
        saved: The instructions whose pullbacks are returned, with their masks.
    """

    def __init__(self, code: list, wanted: list[int], saved: dict[int, int]) -> None:
        outline = Outline(code, wanted, saved)
        self.code, self.wanted, self.saved = code, wanted, saved
        self.order, self.masks, self.firsts = outline.order, outline.masks, outline.firsts
        self.uses = Counter(wanted)
        self.pull_uses = Counter(list(saved))
        for i in outline.order:
            entry, refs, _ = code[i]
            self.pull_uses.update(refs[:1] if type(entry) is Pull else ())
            operands = refs[type(entry) is Pull :]
            self.uses.update(r >> 2 for r in operands if r != ABSENT and r & 3 == SLOT)

    def run(self, leaves, floats, ints) -> tuple[list, list]:
        """Return the values of the slots wanted, and the saved pullbacks.

        Call it with 64-bit types on. An exception carries the index of its instruction as
        ``instruction``.
        """
        uses, pull_uses = dict(self.uses), dict(self.pull_uses)
        slots: dict[int, jax.Array] = {}
        pulls: dict = {}

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

        for i in self.order:
            entry, refs, _ = self.code[i]
            try:
                if type(entry) is Pull:
                    results = _pull(entry)(pull_of(refs[0]), *map(read, refs[1:]))
                elif i in self.masks:
                    results, pulls[i] = _forward(entry, self.masks[i])(*map(read, refs))
                else:
                    results = _compiled(entry, "op", entry.fn)(*map(read, refs))
            except Exception as error:
                error.instruction = i  # type: ignore[attr-defined]
                raise
            for slot, value in enumerate(results, self.firsts[i]):
                if slot in uses:
                    slots[slot] = value
        return [slots[slot] for slot in self.wanted], [pulls[i] for i in self.saved]


_kept = Recent(MAX_COMPILED)
relief(_kept.forget_half)


def _compiled(entry: Entry, key, function: Callable) -> Callable:
    """Return what is made of an op once and kept as ``key``: ``function``, compiled."""
    found = _kept.get((entry, key))
    if found is None:
        make_room()
        # a function of its own: JAX keeps what it compiled for as long as the function lives
        own = lambda *operands: function(*operands)  # noqa: E731
        found = _kept[entry, key] = jax.jit(own, compiler_options=COMPILER_OPTIONS)
    return found


def _forward(entry: Entry, mask: int) -> Callable:
    """Return the op with its pullback: ``operands -> (results, pull)``."""
    return _compiled(entry, ("forward", mask), lambda *operands: linearize(entry, mask, operands))


def _pull(pull: Pull) -> Callable:
    """Return the pullback applied: ``(pull, *cotangents) -> gradients``."""
    entry = pull.forward
    return _compiled(entry, ("pull", pull.mask), lambda pull, *g: pull_back(entry, pull, g))
