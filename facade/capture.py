"""facade.jit: capture a function or a whole training step; afterwards its Python is skipped."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from facade.autograd.grad_mode import no_grad
from facade.func.run import device_of, refill
from facade.func.trace import Input, Trace, Traced
from facade.func.trees import flatten, tensors_of, unflatten
from facade.nn.module import Module
from facade.optim.optimizer import Optimizer
from facade.program import flush
from facade.storage import Storage
from facade.tape import state
from facade.tensor import Tensor

MAX_CAPTURES = 64  # per function; the oldest is forgotten
_SIMPLE = (int, float, complex, bool, str, bytes, type(None), Tensor)
_FIRST_STEP, _STEPS_APART = 5_000_011, 4096  # counts that optimizers find while being captured


def jit(function: Callable) -> Callable:
    """Return ``function`` compiled as a whole: a training step, or any function of tensors.

    The first call with arguments of a new shape runs as usual, the second is captured. What the
    function reads and writes - parameters, buffers, gradients, optimizer state, random numbers -
    is read and written by every call. Numbers among the arguments, in closures, globals, modules
    and optimizers are watched: where one has changed, the function is captured again, which runs
    its Python once more and compiles nothing. Other effects (``print``, appending to a list) happen
    while the function is captured, and no more.
    """
    captures: dict[tuple, list] = {}

    @functools.wraps(function)
    def called(*args, **kwargs):
        leaves, structure = flatten((args, kwargs))
        key = (structure, state.grad, tuple(map(_kind, leaves)))
        known = captures.get(key)
        if known is None:
            captures[key] = []
            if len(captures) > MAX_CAPTURES:
                del captures[next(iter(captures))]
            return function(*args, **kwargs)
        for capture in known:
            if capture.holds():
                return capture.run(leaves)
        capture = Capture(function, leaves, structure)
        known[:] = [capture, *known[: MAX_CAPTURES - 1]]
        return capture.run(leaves)

    return called


def _kind(x: Any):
    if isinstance(x, Tensor):
        return x._aval, x.device, x.requires_grad
    return type(x), x


class StepTrace(Trace):
    """The tape of a function that may write what is outside.

    Attributes:
        touched: Storages from outside -> what they were.
        draws: Leaf -> how its random numbers are drawn.
        grads: Leaves of the graph that were read -> the gradient they had.
    """

    __slots__ = ("draws", "grads", "touched")

    def __init__(self, device) -> None:
        super().__init__(device, "jit")
        self.touched: dict = {}
        self.draws: dict[int, tuple] = {}
        self.grads: dict = {}

    def reach(self, x) -> int:
        self._touch(x._cell.storage)
        self.grads.setdefault(x, x._grad)
        return super().reach(x)

    def will_write(self, t) -> None:
        self._touch(t._cell.storage)

    def _touch(self, storage) -> None:
        if storage.tape is not self and storage not in self.touched:
            self.touched[storage] = storage.array, storage.tape, storage.ref, storage.version

    def draw(self, draw: Callable, *arguments) -> Tensor:
        """Stand for random numbers that each call draws anew."""
        self.draws[len(self.operands)] = (draw, *arguments)
        return self.placeholder(arguments[2])


class Capture:
    """A function as it was recorded once, with the places of what it reads and writes."""

    def __init__(self, function: Callable, leaves: list, structure) -> None:
        found = _reachable(function)
        optimizers = [o for o in found if isinstance(o, Optimizer)]
        self.counts = [c for o in optimizers for c in _counts(o)]
        self.fresh = any(getattr(o, "counts", False) and not o.state for o in optimizers)
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        tape = self.tape = StepTrace(device_of(tensors))
        watched = [x for x in _tensors_in(found) if x.requires_grad and x.is_leaf]
        tape.grads.update((x, x._grad) for x in watched)
        inputs = [
            tape.placeholder(x._aval, x, Input(x._aval) if x.requires_grad else None)
            for x in tensors
        ]
        args, kwargs = unflatten(structure, _merged(leaves, inputs))
        was = [step.item() for step in self.counts]
        sentinels = {c: _FIRST_STEP + i * _STEPS_APART for i, c in enumerate(sorted(set(was)))}
        for step, c in zip(self.counts, was, strict=True):
            _set(step, sentinels[c])
        try:
            with tape.recording():
                self.result = function(*args, **kwargs)
        finally:
            counted = [step.item() for step in self.counts]
            for step, c in zip(self.counts, was, strict=True):
                _set(step, c)
            grads = self._new_grads()
            written = self._written()
        self.steps = [int(now - sentinels[c]) for now, c in zip(counted, was, strict=True)]
        self.sentinels = {v: was.index(c) for c, v in sentinels.items()}
        self.storages = [storage for storage, _ in written]
        self.grads = [(x, g is not None) for x, g in grads]
        outputs = [
            *tensors_of(self.result),
            *[t for _, t in written],
            *[g for _, g in grads if g is not None],
        ]
        self.traced = Traced(tape, outputs, len(inputs))
        self.trains = tape.backward_pending
        originals = {id(g): x for x, g in tape.grads.items() if g is not None}
        # an operand is a tensor, or a leaf of the graph whose gradient it is
        self.operands = [(originals.get(id(x)), x) for x in tape.operands]
        self.had = [(x, g is None) for x, g in tape.grads.items()]
        self.watched = _watched(_reachable(function))

    def _new_grads(self) -> list[tuple]:
        """Put the gradients back that were there; return the leaves that got another."""
        found = []
        for x, before in self.tape.grads.items():
            if x._grad is not before:
                found.append((x, x._grad))
                x._grad = before
        return found

    def _written(self) -> list[tuple]:
        """Put back what was written; return the storages and what was to be there."""
        found = []
        for storage, kept in self.tape.touched.items():
            if storage.tape is self.tape:
                new = Storage(storage.aval, storage.device, None, self.tape, storage.ref)
                t = Tensor._from_array(np.zeros(()))
                t._cell, t._aval = new, storage.aval
                found.append((storage, t))
                storage.array, storage.tape, storage.ref, storage.version = kept
        return found

    def holds(self) -> bool:
        """Return whether nothing that was watched has changed."""
        return all(_same(x.get(k, x), v) for x, k, v in self.watched) and all(
            (x._grad is None) == none for x, none in self.had
        )

    def run(self, leaves: list) -> Any:
        """Do what the function does, without its Python."""
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        was = [int(step.item()) for step in self.counts]
        tape = self.tape
        operands: list = list(tensors)
        for i, (owner, x) in enumerate(self.operands[len(tensors) :], len(tensors)):
            if i in tape.draws:
                draw, *arguments = tape.draws[i]
                x = draw(*arguments)
            operands.append(x if owner is None else owner._grad)
        ints = [self.count(n, was) for n in tape.ints]
        with no_grad() if self.trains else _nothing():
            results = self.traced.record_with((*operands, *tape.floats, *ints))
        queue = iter(results)
        result = refill(self.result, itertools.islice(queue, len(tensors_of(self.result))))
        for storage in self.storages:
            storage.rebind(next(queue)._cell)
        for x, has in self.grads:
            x._grad = next(queue) if has else None
        for step, c, more in zip(self.counts, was, self.steps, strict=True):
            _set(step, c + more)
        if self.trains:
            flush(state.tape)
        return result

    def check_exportable(self) -> None:
        """Check that the function depends on nothing but its state and its arguments.

        Raises:
            RuntimeError: it draws random numbers, or its optimizer has no state yet.
        """
        if self.tape.draws:
            raise RuntimeError("a function that draws random numbers can't be exported")
        if self.fresh:
            raise RuntimeError("run the training step once before it is exported")

    def count(self, n: int, was) -> Any:
        """Return a whole number of the tape: an optimizer's count of steps is what it is now."""
        base = _FIRST_STEP + (n - _FIRST_STEP) // _STEPS_APART * _STEPS_APART
        at = self.sentinels.get(base)
        return n if at is None else was[at] + n - base


def _same(now: Any, before: Any) -> bool:
    if now is before:
        return True
    return type(now) is type(before) and not isinstance(now, Tensor) and now == before


def _merged(leaves: list, inputs: list) -> list:
    queue = iter(inputs)
    return [next(queue) if isinstance(x, Tensor) else x for x in leaves]


def _nothing():
    return no_grad() if not state.grad else _Unchanged()


class _Unchanged:
    def __enter__(self) -> None:
        """Change no mode."""

    def __exit__(self, *exception: object) -> None:
        """Change no mode."""


# ---- optimizers count their steps on the host ----


def _counts(optimizer: Optimizer) -> list[Tensor]:
    steps = [s.get("step") for s in optimizer.state.values()]
    return [s for s in steps if isinstance(s, Tensor)]


def _set(step: Tensor, count: float) -> None:
    array = np.array(count, step._aval.dtype.numpy)
    step._cell.storage.rebind(Storage(step._aval, step.device, array))


# ---- what a function can reach ----


def _reachable(function: Callable) -> list:
    """Return the objects that a function reaches by closures, globals, attributes, containers."""
    found: dict[int, Any] = {}
    stack: list = [function]
    while stack:
        x = stack.pop()
        if isinstance(x, _SIMPLE[:-1]) or id(x) in found:
            continue
        found[id(x)] = x
        stack.extend(_parts(x))
    return list(found.values())


def _parts(x: Any) -> list:
    if hasattr(x, "__wrapped__"):
        return [x.__wrapped__]
    if hasattr(x, "__func__"):
        return [x.__func__, x.__self__]
    if hasattr(x, "__code__"):
        names = [n for n in x.__code__.co_names if n in x.__globals__]
        values = [x.__globals__[n] for n in names]
        own = [v for v in values if not hasattr(v, "__path__") and type(v) is not type(np)]
        return [c.cell_contents for c in x.__closure__ or ()] + own
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, list | tuple):
        return list(x)
    is_own = isinstance(x, Module | Optimizer) or not type(x).__module__.startswith("facade")
    return list(vars(x).values()) if hasattr(x, "__dict__") and is_own else []


def _tensors_in(objects: list) -> list[Tensor]:
    return [x for x in objects if isinstance(x, Tensor)]


class _Cells:
    """The variables of a closure, looked up as in a dict."""

    def __init__(self, function) -> None:
        self.cells = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        )

    def get(self, name: str, default: Any) -> Any:
        return self.cells[name].cell_contents

    def keys(self):
        return self.cells.keys()


class _Items(list):
    """A list, looked up as a dict."""

    def __init__(self, items: list) -> None:
        super().__init__(())
        self.items = items

    def get(self, i: int, default: Any) -> Any:
        return self.items[i] if i < len(self.items) else default

    def keys(self):
        return range(len(self.items))


def _watched(objects: list) -> list[tuple]:
    """Return ``(container, key, value)`` for what a change of asks for another capture."""
    found = []
    for x in objects:
        for container in _containers(x):
            for key in list(container.keys()):
                value = container.get(key, container)
                if isinstance(value, _SIMPLE):
                    found.append((container, key, value))
    return [(c, k, v) for c, k, v in found if not isinstance(v, float) or v == v]


def _containers(x: Any) -> list:
    if hasattr(x, "__code__"):
        used = {n: None for n in x.__code__.co_names if n in x.__globals__}
        return [_Cells(x), _Globals(x.__globals__, used)]
    if isinstance(x, dict):
        return [x]
    if isinstance(x, list):
        return [_Items(x)]
    return [vars(x)] if hasattr(x, "__dict__") and not isinstance(x, Tensor | type) else []


class _Globals:
    """The globals that a function uses."""

    def __init__(self, table: dict, names: dict) -> None:
        self.table, self.names = table, names
        self.get = table.get

    def keys(self):
        return self.names.keys()


__all__ = ["jit"]
