"""Random programs: how one is written, run, compared and made shorter.

    PYTHONPATH=.:tests python -m tests.random_programs --from 0 --count 10000

writes each program by its number, so that a run can go on where another one stopped, and prints
those in which facade and PyTorch differ, without the steps that don't matter. Ops are interpreted
by numpy unless ``--compiled`` is given.
"""

import argparse
import random
import re
import sys
import time
import warnings
from typing import NamedTuple

import numpy as np
import torch as pytorch
from interpreted import interpret_ops
from parity import to_numpy
from program_steps import STEPS, weighted

import facade

# Roundings of thirty operations add up
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 5e-2}
MOST = 24  # elements of a tensor
DIMS = 4

# What docs/differences.md tells: PyTorch refuses, facade doesn't
REFUSED = (
    "modified by an inplace operation",
    "saved tensor that has been detached in-place",
    "A view was created in no_grad mode",
    "is a view and its base or another view of its base has been modified inplace",
)
# What it says before it looks at other arguments
FIRST = ("leaf Variable", "is a view and is being modified inplace")


# ---- programs ----


class Step(NamedTuple):
    """One step of a program.

    Attributes:
        x, y: Its operands: how many tensors back, or the name of one.
        number: Its tensors are called "number.0", "number.1", ...
    """

    name: str
    x: int | str
    y: int | str
    a: int
    b: int
    number: int = 0


def program(number: int) -> list[Step]:
    """Return the random program of this number; the latest tensors are the likeliest operands."""
    r = random.Random(number)
    names = [*STEPS, "float", "float"]  # what is rounded less is compared more closely

    def which():
        return min(r.randrange(24), r.randrange(24))

    return [
        Step(r.choice(names), which(), which(), r.randrange(12), r.randrange(12), i)
        for i in range(r.randint(5, 30))
    ]


class State:
    """A program at one step.

    Attributes:
        tensors: What there is, starting with two leaves that require grad.
        names: What they are called.
        now: The number of the step.
        seen: Per step, what Python saw of it: a shape, values, an error.
        noted: What hooks saw.
        quiet: For how many steps no gradients are recorded.
    """

    def __init__(self, torch) -> None:
        self.torch = torch
        eighths = torch.arange(-12.0, 12.0, dtype=torch.float64) / 8  # all sums are exact
        self.tensors = [
            eighths[9:15].reshape(2, 3).clone().requires_grad_(),
            eighths[11:14].clone().requires_grad_(),
            eighths[::4].clone().reshape(3, 2).t(),
            torch.tensor([3, -1, 2]),
            torch.tensor([[True], [False]]),
        ]
        self.names = [f"leaf {n}" for n in range(len(self.tensors))]
        self.leaves = self.tensors[:2]
        self.now = 0
        self.seen: list = []
        self.noted: list = []
        self.quiet = 0

    def add(self, t) -> None:
        """Keep a tensor that a step made, if it is small."""
        if t.numel() <= MOST and t.ndim <= DIMS:
            # a view made under no_grad says that it requires grad if its base does
            self.tensors.append(t if self.torch.is_grad_enabled() else t.detach())
            count = sum(name.startswith(f"{self.now}.") for name in self.names)
            self.names.append(f"{self.now}.{count}")

    def place(self, which: int | str) -> int:
        """Return which tensor an operand is.

        Raises:
            ValueError: there is none of that name.
        """
        if isinstance(which, str):
            return self.names.index(which)
        return len(self.tensors) - 1 - which % len(self.tensors)

    def step(self, step: Step) -> None:
        """Do one step and keep what comes of it."""
        self.now = step.number
        quiet, self.quiet = self.quiet, max(self.quiet - 1, 0)
        try:
            x, y = (self.tensors[self.place(which)] for which in (step.x, step.y))
            with self.torch.set_grad_enabled(not quiet):
                result = STEPS[step.name](self, x, y, step.a, step.b)
                if isinstance(result, self.torch.Tensor):
                    self.add(result)
                    result = tuple(result.shape)
        except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError) as error:
            if self.torch is pytorch and is_stale(x, error):
                error = Stale(str(error))
            self.seen.append(error)
            return
        self.seen.append(result)


def run(torch, program: list[Step]) -> State:
    """Return the state after a program."""
    state = State(torch)
    for step in program:
        state.step(step)
    return state


# ---- comparing ----


def check(program: list[Step]) -> None:
    """Run a program in both libraries and compare all that there is to see."""
    theirs = run(pytorch, program)
    ours = run(facade, program)
    cut = first_refusal(ours, theirs)
    if cut is not None:
        theirs, ours = run(pytorch, program[:cut]), run(facade, program[:cut])
    for step, mine, other in zip(program, ours.seen, theirs.seen, strict=False):
        assert same_value(mine, other), f"{step}: {mine!r} is not {other!r}"
    assert len(ours.tensors) == len(theirs.tensors)
    bound = narrowest(theirs.tensors)
    for number, pair in enumerate(zip(ours.tensors, theirs.tensors, strict=True)):
        if not is_refused(pair[1]):
            assert_same(*pair, f"tensor {number}", bound)
            assert_same_grad(*pair, f"grad of tensor {number}", bound)
    check_gradients(ours, theirs)
    # in another order: here leaves come last
    noted = sorted(ours.noted), sorted(theirs.noted)
    names, values = ([[note[i] for note in notes] for notes in noted] for i in (0, 1))
    assert names[0] == names[1], f"hooks: {noted[0]} is not {noted[1]}"
    np.testing.assert_allclose(*values, rtol=bound, atol=bound * MOST, err_msg="hooks")


def first_refusal(ours: State, theirs: State) -> int | None:
    """Return the first step that PyTorch refuses and facade doesn't, as the documents tell."""
    for number, (mine, other) in enumerate(zip(ours.seen, theirs.seen, strict=True)):
        if refuses(other) and not isinstance(mine, Exception):
            return number
    return None


def refuses(error) -> bool:
    if not isinstance(error, Exception):
        return False
    return isinstance(error, Stale) or any(text in str(error) for text in REFUSED)


class Stale(RuntimeError):
    """PyTorch takes a view for a leaf, since nobody asked for its new history."""


def is_stale(x, error: Exception) -> bool:
    return str(error).startswith("a leaf Variable") and x._is_view() and not x.is_leaf


def is_refused(t) -> bool:
    """Return whether PyTorch can't tell the history of a view, which is derived when asked for."""
    try:
        t.requires_grad  # noqa: B018
        t.grad_fn  # noqa: B018
    except RuntimeError as error:
        assert refuses(error), error
        return True
    return False


def check_gradients(ours: State, theirs: State) -> None:
    """Compare the gradients of a sum of all, or of each alone if PyTorch refuses that."""
    numbers = [
        n for n, t in enumerate(theirs.tensors) if not is_refused(t) and t.requires_grad
        and t.numel()
    ]  # fmt: skip
    if compare_gradients(ours, theirs, numbers):
        return
    for number in numbers:
        compare_gradients(ours, theirs, [number])


def compare_gradients(ours: State, theirs: State, numbers: list[int]) -> bool:
    """Compare the gradients of some tensors' sum; return whether PyTorch has them."""
    counts = len(theirs.noted), len(ours.noted)
    wanted, mine = (gradients(state, numbers) for state in (theirs, ours))
    if refuses(wanted):
        del theirs.noted[counts[0] :], ours.noted[counts[1] :]
        return False
    if isinstance(wanted, Exception) or isinstance(mine, Exception):
        assert type(mine) is type(wanted), f"gradients of {numbers}: {mine!r} is not {wanted!r}"
        return False
    for number, pair in enumerate(zip(mine, wanted, strict=True)):
        if pair[1] is None:
            assert pair[0] is None or not pair[0].any()
        else:
            assert_same(*pair, f"gradient {number}", narrowest(theirs.tensors), strides=False)
    return True


def gradients(state: State, numbers: list[int]):
    """Return the gradients of a weighted sum of some tensors, or the error."""
    inputs = [t for t in state.leaves if t.requires_grad and t.is_leaf]
    try:
        loss = sum(weighted(state.torch, state.tensors[n]) for n in numbers)
        return state.torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    except (RuntimeError, TypeError, ValueError) as error:
        return error


def narrowest(tensors) -> float:
    """Return the tolerance of gradients, which may have been rounded on their way."""
    return max(TOLERANCES.get(repr(t.dtype)[6:], 0) for t in tensors)


def same_value(ours, theirs) -> bool:
    if isinstance(theirs, Exception):
        # of two errors PyTorch raises that about history first
        first = refuses(theirs) or any(text in str(theirs) for text in FIRST)
        return isinstance(ours, Exception) and (first or type(ours) is type(theirs))
    if isinstance(ours, Exception):
        return False
    if isinstance(theirs, float | list):
        return np.shape(ours) == np.shape(theirs) and np.allclose(
            ours, theirs, rtol=1e-4, atol=1e-4, equal_nan=True
        )
    return ours == theirs


def assert_same_grad(ours, theirs, what: str, bound: float) -> None:
    """Compare what ``backward()`` left on two tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about tensors that are no leaves
        mine, other = ours.grad, theirs.grad
    assert (mine is None) == (other is None), f"{what}: {mine} is not {other}"
    if other is not None:
        assert_same(mine, other, what, bound, strides=False)


def assert_same(ours, theirs, what: str, bound: float, strides: bool = True) -> None:
    """Compare two tensors; the values by the greatest, which sums are as far off as."""
    facts = [(tuple(t.shape), repr(t.dtype), t.requires_grad, t.is_leaf) for t in (ours, theirs)]
    assert facts[0] == facts[1], f"{what}: {facts[0]} is not {facts[1]}"
    if strides and theirs.numel():
        steps = [_steps(t) for t in (ours, theirs)]
        assert steps[0] == steps[1], f"{what}: strides {steps[0]}, not {steps[1]}"
    mine, other = to_numpy(ours.detach()), to_numpy(theirs.detach())
    bound = bound if theirs.is_floating_point() else 0
    scale = np.abs(other[np.isfinite(other)]).max(initial=1) if bound else 1
    np.testing.assert_allclose(mine, other, rtol=0, atol=bound * scale, err_msg=what)


def _steps(t) -> list[int]:
    """Return the strides that mean something."""
    return [step for size, step in zip(t.shape, t.stride(), strict=True) if size > 1]


# ---- making failures shorter ----


def failure(program: list[Step]) -> str:
    """Return why a program fails, "" if it doesn't."""
    try:
        check(program)
    except Exception as error:
        return f"{type(error).__name__}: {error}".strip()
    return ""


def kind(text: str) -> str:
    """Return what failures of one cause have in common: their words."""
    return re.sub(r"[\d.e+-]+|Max .*", "", text)[:60]


def named(program: list[Step]) -> list[Step]:
    """Return a program whose operands are called by name, so that steps can be left out."""
    state, result = State(pytorch), []
    for step in program:
        x, y = (state.names[state.place(which)] for which in (step.x, step.y))
        result.append(step._replace(x=x, y=y))
        state.step(step)
    return result


def shrunk(program: list[Step]) -> list[Step]:
    """Return a failing program without what it fails without, in the same way."""
    program = named(program)
    wanted = kind(failure(program))

    def fails(changed: list[Step]) -> bool:
        return kind(failure(changed)) == wanted

    before = None
    while program != before:
        before = program
        program = simplified(shortened(program, fails), fails)
    return program


def shortened(program: list[Step], fails) -> list[Step]:
    """Leave steps out: half of them at once, then fewer."""
    size = max(len(program) // 2, 1)
    while size:
        start = 0
        while start < len(program):
            shorter = program[:start] + program[start + size :]
            if fails(shorter):
                program = shorter
            else:
                start += size
        size //= 2
    return program


def simplified(program: list[Step], fails) -> list[Step]:
    """Have steps read leaves, and numbers be 0."""
    for change in ({"y": "leaf 1"}, {"x": "leaf 0"}, {"x": "leaf 2"}, {"a": 0}, {"b": 0}):
        for i, step in enumerate(program):
            ((field, value),) = change.items()
            if str(getattr(step, field)).startswith(str(value)[:4]):
                continue
            simpler = [*program[:i], step._replace(**change), *program[i + 1 :]]
            if fails(simpler):
                program = simpler
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--compiled", action="store_true", help="run as users do")
    options = parser.parse_args()
    if not options.compiled:
        interpret_ops(setattr)
    warnings.simplefilter("ignore")
    start, failed = time.time(), []
    for number in range(options.first, options.first + options.count):
        text = failure(program(number))
        if text:
            failed.append(number)
            print(f"program {number} fails: {text}\nsteps that matter:")
            for step in shrunk(program(number)):
                print(f"   {tuple(step)}", flush=True)
        if number % 100 == 99:
            print(f"up to {number}: {time.time() - start:.0f} s, failed: {failed}", flush=True)
    print(f"{options.count} programs from {options.first}, {len(failed)} failed: {failed}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
