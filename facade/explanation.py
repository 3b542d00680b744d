"""Say which programs were compiled, where, and why each was not one that was known already."""

import contextlib
import difflib
from collections.abc import Iterator
from typing import NamedTuple

from facade import program
from facade.pullback import Pull
from facade.sites import Site
from facade.tape import state

ALIKE = 0.5  # of two programs' ops, for one to be compared with the other


class Compiled(NamedTuple):
    """A program in :func:`explain`'s report.

    Attributes:
        site: The user's line where it was first needed, and what was called there.
        instructions: How many it has.
        runs: How often it ran; all but the first were found in the cache.
        seconds: What the first run took, compiling included.
        change: What sets it apart from the program most like it that was there before.
        advice: What to do about it.
    """

    site: Site
    instructions: int
    runs: int
    seconds: float
    change: str
    advice: str


class Report(NamedTuple):
    """What :func:`explain` returns; ``print`` shows it as a table."""

    programs: list[Compiled]
    op_by_op: int  # tapes that were run without a program

    def __str__(self) -> str:
        runs = sum(p.runs for p in self.programs)
        lines = [
            f"{len(self.programs)} programs compiled, {runs} runs of them "
            f"({runs - len(self.programs)} found in the cache), "
            f"{self.op_by_op} tapes run op by op"
        ]
        for i, p in enumerate(self.programs, 1):
            lines.append(
                f"{i:3}. {p.site}  {p.site.call}()  "
                f"{p.instructions} instructions, {p.runs} runs, first {p.seconds * 1e3:.0f} ms"
            )
            lines += [f"     {text}" for text in (p.change, p.advice) if text]
        return "\n".join(lines)


def explain() -> Report:
    """Return which programs this process has compiled, where and why.

    Every program after the first is compared with the one most like it among those before.
    """
    found: list[Compiled] = []
    before: list = []
    for birth in program.births:
        change, advice = _difference(birth, before)
        found.append(
            Compiled(birth.site, len(birth.code), birth.runs, birth.seconds, change, advice)
        )
        before.append(birth)
    return Report(found, program.op_by_op_runs())


@contextlib.contextmanager
def no_flush() -> Iterator[None]:
    """Raise at any line inside that makes the tape run: a read, a step of an optimizer.

    Raises:
        RuntimeError: at that line.
    """
    before, state.may_flush = state.may_flush, False
    try:
        yield
    finally:
        state.may_flush = before


def _difference(birth, before: list) -> tuple[str, str]:
    """Return what sets a program apart from the one before it that is most like it, and advice."""
    if not before:
        return "", ""
    names = _names(birth)
    nearest = max(reversed(before), key=lambda other: _likeness(names, _names(other)))
    if _likeness(names, _names(nearest)) < ALIKE:
        return "no program before was like it", ""
    i = _common(names, _names(nearest))
    if i < max(len(names), len(nearest.code)):
        return _other_op(birth, nearest, i)
    for i, (new, old) in enumerate(zip(birth.code, nearest.code, strict=True)):
        if new[0] is not old[0]:
            return _other_signature(i, new[0], old[0])
    if any(new[1] != old[1] for new, old in zip(birth.code, nearest.code, strict=True)):
        return (
            "the same ops on other operands",
            "a tensor took another's place: results alternate between programs, or state that "
            "the first step made",
        )
    return _other_results(birth, nearest)


def _names(birth) -> list[str]:
    return [entry.name for entry, _, _ in birth.code]


def _likeness(a: list[str], b: list[str]) -> float:
    """Return how much of two lists is alike, from 0 to 1."""
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def _common(a: list[str], b: list[str]) -> int:
    """Return how many elements two lists begin with alike."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _other_op(birth, nearest, i: int) -> tuple[str, str]:
    if i == len(nearest.code):
        new, old = f"goes on with `{birth.code[i][0].name}`", "ended"
    elif i == len(birth.code):
        new, old = "ends", f"went on with `{nearest.code[i][0].name}`"
    else:
        new, old = f"is `{birth.code[i][0].name}`", f"was `{nearest.code[i][0].name}`"
    return (
        f"instruction {i} {new} where the program of {nearest.site} {old}",
        "Python took another way (an `if`, a loop of another length, a read in between): each "
        "way is a program of its own",
    )


def _other_signature(i: int, new, old) -> tuple[str, str]:
    where = f"`{new.name}` (instruction {i})"
    if type(new) is Pull:
        return f"{where}: other operands want a gradient", "requires_grad was switched"
    for k, (a, b) in enumerate(zip(new.inputs, old.inputs, strict=False)):
        if a is not b:
            advice = "give batches one shape (`drop_last=True`, padding)"
            if a is not None and b is not None and a.shape == b.shape:
                advice = "give it one dtype and memory layout"
            return f"{where}: operand {k} is {a!r}, was {b!r}", advice
    changed = [
        f"{name} is {value!r}, was {old.static.get(name)!r}"
        for name, value in new.static.items()
        if old.static.get(name) != value
    ]
    if changed:
        return (
            f"{where}: {', '.join(changed)}",
            "this argument is part of the program; pass what changes as a tensor or number operand",
        )
    return f"{where}: was inferred anew", "a setting changed (default dtype, precision)"


def _other_results(birth, nearest) -> tuple[str, str]:
    if len(birth.wanted) != len(nearest.wanted) or birth.wanted != nearest.wanted:
        new, old = len(birth.wanted), len(nearest.wanted)
        return (
            f"the same instructions with {new} results alive, was {old}",
            "a tensor is kept in one step and dropped in another (a list of losses, a gradient "
            "not zeroed)",
        )
    if birth.saved != nearest.saved:
        return "the same instructions, another part of the graph is kept", ""
    return (
        "the same instructions, other arrays may be overwritten",
        "something else holds an array of the state (a copy by `.numpy()`, a `state_dict`)",
    )
