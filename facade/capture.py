"""facade.jit: capture a function or a whole training step; afterwards its Python is skipped."""

import contextlib
import functools
import gc
import itertools
import warnings
from collections.abc import Callable
from operator import is_
from sys import getrefcount
from typing import Any

from facade.autograd.grad_mode import no_grad
from facade.casts import settings as casts
from facade.dtypes import get_default_dtype
from facade.func.run import device_of, refill
from facade.func.trace import Traced
from facade.func.trees import flatten, tensors_of, unflatten
from facade.graph import AccumulateGrad
from facade.ops.conv_algorithms import is_tf32_allowed
from facade.ops.linalg import get_float32_matmul_precision
from facade.optim.update import TransformOptimizer, count_step
from facade.parts import Parts
from facade.program import flush
from facade.random import default_generator
from facade.recent import forget_first
from facade.recording import wrap
from facade.step_trace import StepTrace, patch, restore_grads, restore_storages, unpatch
from facade.storage import View
from facade.tape import LEAF, state
from facade.tensor import Tensor
from facade.watching import ABSENT, Seen, Survey, same

MAX_KEYS = 64  # kinds of arguments per function; the oldest is forgotten
MAX_CAPTURES = 8  # per kind of arguments; the oldest is forgotten
MANY = 16  # captures after which a warning says what keeps changing


def jit(function: Callable) -> Callable:
    """Return ``function`` compiled as a whole: a training step, or any function of tensors.

    The first call with arguments of a new shape runs as usual, the second is captured; later ones
    skip its Python. A call reads and writes what the function does: parameters, buffers, gradients,
    optimizer state and options, random numbers, arguments, tensors in variables and attributes.

    Every other value that the function finds in its arguments, closures, globals and objects is
    compared at each call. If one has changed, the Python runs again (and compiles nothing): pass
    numbers that change as tensors. A function that changes Python values itself, or asks a clock,
    an iterator or Python's random numbers, runs its Python at every call, and a warning says so.
    Printing happens when it is captured, and no more.

    Raises:
        RuntimeError: (when called) the function reads the value of a tensor that it computes.
    """
    known: dict[tuple, _Captures] = {}

    @functools.wraps(function)
    def called(*args, **kwargs):
        leaves, structure = flatten((args, kwargs))
        key = (structure, *_modes(), *_repeated(leaves), *map(_kind, leaves))
        captures = known.get(key)
        if captures is None:
            captures = known[key] = _Captures(function)
            if len(known) > MAX_KEYS:
                forget_first(known)
        return captures.call(args, kwargs, leaves, structure)

    return called


def _kind(x: Any):
    if isinstance(x, Tensor):
        node = x._fresh_node()
        return x._aval, x.device, node is None or type(node), x._grad is None
    return type(x)


def _repeated(leaves: list) -> tuple:
    """Return which arguments are the same tensor, empty if none are."""
    ids = [id(x) for x in leaves if isinstance(x, Tensor)]
    if len({*ids}) == len(ids):
        return ()
    known: dict[int, int] = {}
    return tuple([known.setdefault(i, n) for n, i in enumerate(ids)])


def _storages(tensors: list[Tensor]) -> list:
    """Return the memory of each tensor; a layout of several parts has none of its own."""
    return [getattr(x._cell, "storage", x) for x in {id(x): x for x in tensors}.values()]


def _modes() -> tuple:
    """Return what decides how ops are recorded, besides their arguments."""
    narrow = tuple(casts.dtypes.items()) if state.autocast else ()
    precision = get_float32_matmul_precision(), is_tf32_allowed()
    return state.grad, state.inference, state.autocast, narrow, get_default_dtype(), *precision


class _Captures:
    """The captures of a function for one kind of arguments.

    Attributes:
        seen: The code that it ran, None before the first call.
        reason: Why its Python must run at every call, None if it need not.
    """

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.seen: Seen | None = None
        self.reason: str | None = None
        self.captures: list[Capture] = []
        self.changed: list[str] = []

    def call(self, args: tuple, kwargs: dict, leaves: list, structure) -> Any:
        if self.seen is None:
            self.seen = Seen()
            with self.seen.watching():
                return self.function(*args, **kwargs)
        if self.reason is not None:
            return self.function(*args, **kwargs)
        changed = ""
        for capture in self.captures:
            changed = capture.changed(leaves)
            if not changed:
                return capture.run(leaves)
        self._note(changed)
        capture = Capture(self.function, leaves, structure, self.seen)
        if capture.overlaps(leaves):
            self.reason = "it writes to memory that it reads by another tensor"
            self._warn(f"{self.reason}, so its Python runs at every call")
            return self.function(*args, **kwargs)
        result = capture.run(leaves)
        self.reason = capture.reason
        if self.reason is None:
            self.captures[:] = [capture, *self.captures[: MAX_CAPTURES - 1]]
        else:
            self._warn(f"{self.reason}, so its Python runs at every call")
        return result

    def _note(self, changed: str) -> None:
        self.changed += [changed] * bool(changed)
        if len(self.changed) == MANY:
            names = ", ".join(dict.fromkeys(self.changed))
            self._warn(
                f"its Python ran {MANY} times again because these have changed: {names}. Make them "
                "tensors (arguments, buffers) to skip it"
            )

    def _warn(self, text: str) -> None:
        name = getattr(self.function, "__qualname__", repr(self.function))
        warnings.warn(f"facade.jit: {name}: {text}", stacklevel=4)


class Capture:
    """A function as it was recorded once, with the places of what it reads and writes.

    Attributes:
        tape: What it was recorded on.
        survey: What it can read of Python, and had there.
        traced: The function: of its arguments, then of everything else that it reads.
        sources: Where each tensor that the caller gets comes from, see :meth:`_source`.
        effects: What becomes of the other results: ``(arguments, tensor)``.
        only_computes: Whether there are none.
        overwrites: Whether it writes to an argument.
        apart: The storages that none of the arguments may have.
        tracks: Whether a gradient may be wanted of what it returns.
        reason: Why it can't be run without its Python, None if it can.
    """

    def __init__(
        self, function: Callable, leaves: list, structure, seen: Seen, alone: bool = False
    ) -> None:
        roots = {getattr(function, "__name__", "self"): function}
        roots |= {f"argument {i}": x for i, x in enumerate(leaves) if not isinstance(x, Tensor)}
        self.statics = [None if isinstance(x, Tensor) else x for x in leaves]
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        for x in tensors:
            if isinstance(x._cell, Parts):
                raise x._cell.refusal("an argument of facade.jit")
        before = Survey(roots, seen)
        tape = self.tape = StepTrace(device_of(tensors), tensors, alone)
        tape.grads.update((x, x._grad) for x in before.tensors if x.requires_grad and x.is_leaf)
        inputs = [tape.arguments[x] for x in tensors]
        args, kwargs = unflatten(structure, _merged(leaves, inputs))
        settings = _settings(before)
        patch(before.optimizers, tape)
        try:
            with tape.recording(), seen.watching():
                self.result = function(*args, **kwargs)
        except BaseException:
            _take_back(before, tape)
            raise
        finally:
            args = kwargs = None  # what they hold now is looked for below
            unpatch(before.optimizers)
            grads, written = restore_grads(tape), restore_storages(tape)
        if _settings(before) != settings:
            tape.reason = "it seeds a generator or changes what requires grad"
        self.trains = tape.backward_pending
        self.survey = Survey(roots, seen)
        first = {x: at for at, x in reversed(list(enumerate(tensors)))}
        self.places = {id(t): first[x] for x, t in tape.arguments.items()}
        self.sources = [self._source(x) for x in tensors_of(self.result)]
        slots = self._slots(before)
        outputs = [x for x in tensors_of(self.result) if self._source(x) is None]
        outputs += self._effects(grads, written, slots)
        self.kept = _kept(outputs, tape)
        self.reason = self._reason(seen)
        kept = [wrap(cell, cell.aval) for cell in self.kept]
        self.traced = Traced(tape, [*outputs, *kept], len(tape.arguments))
        self.tracks = not self.trains and any(self.traced.tracked)
        # what is written is recorded: its old value may be donated there
        self.only_computes = not (self.trains or self.effects or self.kept)
        self._note_operands({storage for storage, _, _ in written})
        outside = [storage for storage, _, _ in written]
        self.overwrites = any(x._cell.storage.written for x in tape.arguments.values())
        if self.overwrites:
            outside += _storages([*self.fixed.values()])
        self.apart = {id(storage): storage for storage in outside}

    # ---- what was found ----

    def _source(self, x: Tensor) -> Any:
        """Return an argument's place, a tensor from outside, or None for a new tensor."""
        return self.places.get(id(x), None if _is_on(x, self.tape) else x)

    def _owner(self, x: Tensor) -> Callable:
        """Return the function that finds a leaf of the graph at each call."""
        at = self.places.get(id(x))
        return (lambda xs: x) if at is None else (lambda xs: xs[at])

    def _slots(self, before: Survey) -> list[tuple]:
        """Return the places that got a tensor: ``(place, key, tensor)``."""
        found = []
        after = {place.of: place for place in self.survey.places}
        for place, key in before.changes():
            value, was = place.read().get(key, ABSENT), place.held.get(key, ABSENT)
            written = isinstance(was, Tensor | None) and type(value) is Tensor
            if written and place.write and self._source(value) is None:
                found.append((place, key, value))
                if place.of in after:  # what is there at the next call stands for what was there
                    after[place.of].held[key] = was
            else:
                self.tape.reason = f"it changes {place.called(key)}"
        return found

    def _effects(self, grads: list, written: list, slots: list) -> list[Tensor]:
        """Note what becomes of the results that the caller does not get; return them."""
        found: list[tuple[Tensor, Any, Callable]] = []  # with what it is the new value of
        self.cleared = [self._owner(x) for x, g in grads if g is None]
        for storage, sharers, t in written:
            found.append((t, storage, functools.partial(_rebind, storage, sharers)))
        for place, key, t in slots:
            found.append((t, place.held.get(key), functools.partial(_put, place, key)))
        for leaf, (x, t) in enumerate(self.tape.arguments.items()):
            owner = self._owner(t)
            if type(t._node) is AccumulateGrad and x._node is None:
                found.append((t, None, functools.partial(_require_grad, owner)))
            if t._cell.storage.ref != leaf << 2 | LEAF:
                found.append((t, None, functools.partial(_overwrite, owner)))
            if t._aval is not x._aval or type(t._cell) is View:
                self.tape.reason = "it gives an argument another shape"
        for x, g in grads:
            if g is not None:
                found.append((g, ("grad", x), functools.partial(_set_grad, self._owner(x))))
        self.effects = [effect for _, _, effect in found]
        self.targets = [target for _, target, _ in found]
        return [t for t, _, _ in found]

    def _reason(self, seen: Seen) -> str | None:
        """Return why the function can't be run without its Python."""
        if seen.clock is not None:
            return f"it asks {seen.clock}"
        if self.survey.opaque:
            return f"it reads {self.survey.opaque[0]}, an iterator"
        if self.kept and self.tape.reason is None:
            return "it keeps tensors in Python objects"
        return self.tape.reason

    def _note_operands(self, written: set) -> None:
        """Note how each operand besides the arguments is found, and what is true of it."""
        tape = self.tape
        gradients = {id(g): x for x, g in tape.grads.items() if g is not None}
        self.fetches = dict(tape.fetches)
        self.fixed: dict[int, Tensor] = {}
        self.origins: dict[int, Any] = {}
        for i, x in enumerate(tape.operands):
            if id(x) in gradients:
                self.fetches[i] = functools.partial(_gradient, self._owner(gradients[id(x)]))
                self.origins[i] = "grad", gradients[id(x)]
            elif i >= len(tape.arguments) and i not in self.fetches:
                self.fixed[i] = x
        self.facts = {id(x): (x, _facts(x)) for x in self.fixed.values()}
        self.instead: dict[int, Tensor] = {}
        self.had = [(self._owner(x), g is None) for x, g in tape.grads.items()]
        self.recipes = [(*key, *known[1:]) for key, known in tape.recipes.items()]
        self.counts = list({id(count): count for count in tape.counts.values()}.values())
        holders: dict = {}
        for x in {id(x): x for x in self.survey.tensors}.values():
            holders.setdefault(x._cell.storage, []).append(x)
        self.replaceable = {
            id(x)
            for x in self.fixed.values()
            if all(t is x for t in holders.get(x._cell.storage, ()))
            and x._cell.storage not in written
            and (x._node is None or not (x.is_leaf or self.trains))
        }

    # ---- later calls ----

    def changed(self, leaves: list) -> str:
        """Return what makes this capture not apply any more, "" if it does."""
        self.instead.clear()
        if self.overlaps(leaves):
            return "which tensors share memory"
        for i, (now, before) in enumerate(zip(leaves, self.statics, strict=True)):
            if not (now is before or isinstance(now, Tensor) or same(now, before)):
                return f"argument {i}"
        for place, key in self.survey.changes():
            now, was = place.read().get(key, ABSENT), place.held.get(key, ABSENT)
            if not (isinstance(now, Tensor) and isinstance(was, Tensor) and self._swap(was, now)):
                return place.called(key)
        for at, (x, facts) in self.facts.items():
            if _facts(x) != facts and at not in self.instead:
                return "the dtype, shape or requires_grad of a tensor"
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        if any((owner(tensors)._grad is None) != none for owner, none in self.had):
            return "which tensors have a gradient"
        if any(storage.version != version for storage, version in self.tape.read.items()):
            return "a tensor whose value Python reads"
        return "" if all(itertools.starmap(_does, self.recipes)) else "an optimizer's options"

    def overlaps(self, leaves: list) -> bool:
        """Return whether it writes to an argument's memory and reads it by another tensor."""
        if not (self.apart or self.overwrites):
            return False
        storages = _storages([x for x in leaves if isinstance(x, Tensor)])
        if self.overwrites and len({*map(id, storages)}) < len(storages):
            return True
        return any(id(storage) in self.apart for storage in storages)

    def _swap(self, was: Tensor, now: Tensor) -> bool:
        """Let a tensor in a variable take the place of another one; return whether it can."""
        if type(now) is not type(was) or isinstance(now._cell, Parts):
            return False
        if id(was) not in self.facts:  # only its shape can have been read
            return not was.requires_grad and _facts(now) == _facts(was)
        if id(was) not in self.replaceable:
            return False
        taken = {x._cell.storage for x, _ in self.facts.values()}
        self.instead[id(was)] = now
        return _facts(now) == self.facts[id(was)][1] and now._cell.storage not in taken

    def run(self, leaves: list) -> Any:
        """Do what the function does, without its Python."""
        tape, traced = self.tape, self.traced
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        operands: list = [tensors[at] for at in self.places.values()]
        for i in range(len(operands), len(tape.operands)):
            fetch = self.fetches.get(i)
            x = self.fixed[i] if fetch is None else fetch(tensors)
            operands.append(self.instead.get(id(x), x))
        taken = [(int(steps[0].item()) + more, steps) for _, more, steps in self.counts]
        operands += [*tape.floats, *tape.ints]
        with contextlib.nullcontext() if self.tracks else no_grad():
            made = traced.run_with((*operands,)) if self.only_computes else None
            if made is None:
                made = traced.record_with((*operands,))
            for t, tracks in zip(made, traced.tracked, strict=False):
                if not tracks:
                    t._node = None
            results = iter(made)
            shown = [self._shown(source, tensors, results) for source in self.sources]
            for effect, t in zip(self.effects, results, strict=False):
                effect(tensors, t)
        for owner in self.cleared:
            owner(tensors)._grad = None
        for count, steps in taken:
            count_step([{"step": step} for step in steps], count)
        for cell, t in zip(self.kept, results, strict=False):
            cell.rebind(t._cell)
        self.kept = []  # they were made by the Python that ran
        if self.trains:
            flush(state.tape)
        return refill(self.result, shown)

    def _shown(self, source: Any, tensors: list, results) -> Any:
        if source is None:
            return next(results)
        return tensors[source] if isinstance(source, int) else self.instead.get(id(source), source)

    # ---- as a function of its state ----

    def state(self) -> dict[str, dict[int, Any]]:
        """Return the operands besides the arguments, as they are now, by kind and number."""
        found: dict = {"tensors": {}, "counts": {}, "options": {}, "random": {}}
        for i in range(len(self.tape.arguments), len(self.tape.operands)):
            x = self.fixed[i] if i in self.fixed else self.fetches[i]([])
            found[self.tape.kinds.get(i, "tensors")][i] = x
        return found

    def next_state(self) -> dict[int, tuple]:
        """Return which result takes an operand's place, or what is added to it."""
        found: dict[int, tuple] = {}
        shown = sum(source is None for source in self.sources)
        for i in range(len(self.tape.arguments), len(self.tape.operands)):
            x = self.fixed.get(i)
            origins = [self.origins.get(i)] if x is None else [x, x._cell.storage]
            for k, target in enumerate(self.targets, shown):
                if target is not None and any(_is(target, origin) for origin in origins):
                    found[i] = "result", k
        counts = [(count, more) for count, more, _ in self.counts]
        stream = self.tape.stream
        for number, more in [*counts, *([stream[1:]] if stream else [])]:
            found[number._cell.ref >> 2] = "add", more
        return found

    def check_exportable(self) -> None:
        """Check that the function depends on nothing but its state and its arguments.

        Raises:
            RuntimeError: it can't be run without its Python.
        """
        if self.tape.fresh:
            raise RuntimeError("run the training step once before it is exported")
        if any(x._cell.storage.written for x in self.tape.arguments.values()):
            raise RuntimeError("a function that writes to its arguments can't be exported")
        if self.reason is not None:
            raise RuntimeError(f"the function can't be exported: {self.reason}")


def _is(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) is tuple and a[1] is b[1])


def _merged(leaves: list, inputs: list) -> list:
    queue = iter(inputs)
    return [next(queue) if isinstance(x, Tensor) else x for x in leaves]


def _is_on(x: Any, tape: StepTrace) -> bool:
    return isinstance(x, Tensor) and x._cell.storage.tape is tape


def _facts(x: Tensor) -> tuple:
    return x._aval, x._cell.device, x._node is None


def _settings(survey: Survey) -> tuple:
    """Return what a function may change of facade that no place holds."""
    seed = default_generator._engine.get_state().tobytes()
    return seed, [(x, x.requires_grad) for x in survey.tensors]


def _does(optimizer: TransformOptimizer, i: int, traits: tuple, tensors: list) -> bool:
    """Return whether an optimizer still does what was recorded, with other numbers perhaps."""
    if len(optimizer.param_groups) <= i:
        return False
    now = optimizer._recipe(i, optimizer.param_groups[i])
    found = [x for x in now.numbers if isinstance(x, Tensor)]
    return now.traits == traits and len(found) == len(tensors) and all(map(is_, found, tensors))


def _kept(known: list[Tensor], tape: StepTrace) -> list:
    """Return the cells that wait for a result which somebody holds besides those known."""
    nodes = [(t, t._node) for t in known]
    for t in known:
        t._node = None
    tape.nodes.clear()  # a node of Python's holds tensors
    ours = {id(t._cell.storage) for t in known} | {id(cell) for cell, _ in tape.checks}

    def found() -> list:
        # 3: the list of what waits, the name, the call's argument
        cells = [c for c in tape.pending if c.tape is tape and getrefcount(c) > 3]
        return [c for c in cells if id(c) not in ours]

    if found():
        gc.collect()
    cells = found()
    for t, node in nodes:
        t._node = node
    return cells


def _take_back(before: Survey, tape: StepTrace) -> None:
    """Put back the variables that got a tensor without a value."""
    for place, key in before.changes():
        if _is_on(place.read().get(key), tape) and key in place.held and place.write:
            place.write(key, place.held[key])


# ---- what becomes of results ---------------------------------------------------------------------


def _rebind(storage, sharers: list[Tensor], arguments: list, t: Tensor) -> None:
    storage.rebind(t._cell)
    for x in sharers:
        x._node, x._number = t._node, t._number


def _put(place, key: Any, arguments: list, t: Tensor) -> None:
    place.write(key, t)


def _require_grad(owner: Callable, arguments: list, t: Tensor) -> None:
    owner(arguments).requires_grad_()


def _overwrite(owner: Callable, arguments: list, t: Tensor) -> None:
    x = owner(arguments)
    if type(x._cell) is not View:
        _rebind(x._cell, [x] * (t._node is not None), arguments, t)
        return
    with no_grad():
        x.write(t)


def _set_grad(owner: Callable, arguments: list, g: Tensor) -> None:
    owner(arguments)._grad = g


def _gradient(owner: Callable, arguments: list) -> Any:
    return owner(arguments)._grad


__all__ = ["Capture", "jit"]
