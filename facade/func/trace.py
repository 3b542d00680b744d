"""Run a Python function on placeholder tensors, on a tape of its own, and lower that tape."""

import contextlib
import itertools
import sys
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path as File
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from facade.avals import Aval, aval
from facade.deferred import later
from facade.dtypes import int64
from facade.functions.draws import INTEGERS, record_draw_like
from facade.functions.draws import draw as draw_law
from facade.graph import PythonNode
from facade.lower import lower
from facade.ops.registry import Entry
from facade.pullback import Pull
from facade.random import Generator
from facade.recent import Recent
from facade.recording import record_function, run_function, wrap
from facade.storage import Storage, View, locate
from facade.tape import LEAF, SLOT, Tape, state
from facade.tensor import Tensor

MAX_KEPT = 512  # functions lowered

FORWARD_MODE = frozenset({"jacfwd", "jvp", "linearize"})
RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
)
_OVERLOADED = ("add", "div", "mul", "sub")
_PACKAGE = str(File(__file__).parent.parent)


class Input(PythonNode):
    """The history of a placeholder: gradients go no further.

    Attributes:
        leaf: Whether it is differentiated with respect to, so that it can't be written.
    """

    def __init__(self, known: Aval, leaf: bool = False) -> None:
        super().__init__((), (known,))
        self.leaf = leaf

    def backward(self, cotangents: list, create_graph: bool) -> list:
        """Return the gradients of no operands."""
        return []


class Trace(Tape):
    """The tape of one function.

    What the function reads from outside becomes an operand, at the moment it is read, so that
    gradients reach it.

    Attributes:
        transform: What it is recorded for, as errors call it.
        randomness: As ``vmap`` is told.
        operands: Per leaf the tensor outside, None for a placeholder that has none.
        live: Per leaf, whether it has a history.
        checks: What :mod:`facade.deferred` has to look at once it is computed.
        outer: The tape that was recorded on before.
    """

    __slots__ = (
        "checks", "first_write", "histories", "live", "operands", "outer", "places", "randomness",
        "transform", "written",
    )  # fmt: skip
    residuals: ClassVar[dict] = {}  # of what was flushed: nothing is

    def __init__(self, device, transform: str) -> None:
        super().__init__(device, pure=True)
        self.transform = transform
        self.randomness = "same"
        self.limit = sys.maxsize
        self.operands: list = []
        self.live: list[bool] = []
        self.checks: list[tuple] = []
        self.places: dict = {}
        self.written: list = []
        self.histories: list = []
        self.first_write = ""  # PyTorch's name of the op that first wrote outside
        self.outer: Any = None

    @property
    def failure(self) -> Any:
        """Asked for by whoever wants a value: there is none.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"{_users_line()}: {self.why_no_value()}")

    @failure.setter
    def failure(self, value) -> None:
        """A trace has no other failure."""

    def why_no_value(self) -> str:
        """Return why a Python read can't be answered, and what to use instead."""
        return (
            f"{self.transform}: Python asked for the value of a tensor (by .item(), bool(), int(), "
            "print() or numpy()), but inside the transformed function tensors have no values yet. "
            "Use torch.where(condition, a, b) or torch.cond to choose, torch.while_loop to repeat, "
            "and return what you want to look at."
        )

    # ---- operands ----

    def placeholder(self, known: Aval, operand: Any = None, node: Any = None) -> Tensor:
        """Return a tensor that stands for a new operand."""
        ref = len(self.operands) << 2 | LEAF
        self.operands.append(operand)
        self.live.append(node is not None)
        return wrap(Storage(known, self.device, None, self, ref), known, node)

    def reach(self, x) -> int:
        """Return the reference to a tensor from outside; it becomes an operand."""
        cell = x._cell
        if type(cell) is View:
            if cell.cached_tape is self and cell.seen == cell.storage.version:
                return cell.cached_ref
            if cell.storage.tape is self:
                return locate(cell, self)
        key = (cell, cell.storage.version, x._node, x._number)
        ref = self.places.get(key)
        if ref is None:
            ref = self.places[key] = len(self.operands) << 2 | LEAF
            self.operands.append(x)
            self.live.append(x._node is not None)
        return ref

    def leaf(self, cell) -> int:
        return self.reach(wrap(cell, cell.aval))

    def array(self, array) -> int:
        return self.reach(Tensor._from_array(array, self.device))

    def draw(self, draw: Callable, *arguments) -> Tensor:
        """Draw random numbers, where the function is not.

        Raises:
            RuntimeError: PyTorch runs the function by ``vmap``, which is not told what to do.
        """
        if self.randomness == "error":
            raise RuntimeError(RANDOM)
        with self.outside():
            drawn = draw(*arguments)
        return self.placeholder(drawn._aval, drawn)

    def draw_like(self, draw: Callable, engine, *arguments) -> Tensor:
        """Draw random numbers that depend on tensors.

        Those that are computed inside have no values yet: the numbers are drawn in the program,
        from a seed that is drawn outside.
        """
        where, _, _, name, sources, static = arguments
        if not any(isinstance(x._cell.storage.tape, Trace) for x in sources):
            return self.draw(draw, *arguments)
        generator = Generator.__new__(Generator)
        generator.device, generator._engine = where, engine
        seed = self.draw(draw_law, INTEGERS, (0, 2**62), aval((), int64), where, generator)
        return record_draw_like((seed, 0), where, name, sources, static)

    def will_read(self, t) -> None:
        """Take note that Python asks for the value of a tensor from outside: it is what it is."""

    def will_write(self, t) -> None:
        """Remember what is about to be written, if it may be somebody else's.

        Raises:
            RuntimeError: it is what the function is differentiated with respect to.
        """
        base = getattr(t._cell, "base", None)
        for x, kind in ((t, "a leaf"), (base, "a view of a leaf")):
            if x is not None and type(x._node) is Input and x._node.leaf and state.grad:
                raise RuntimeError(
                    f"{kind} Variable that requires grad is being used in an in-place operation."
                )
        storage = t._cell.storage
        if storage.tape is not self:
            self.first_write = self.first_write or self._writing(t)
            kept = (storage.array, storage.tape, storage.ref, storage.version)
            self.written.append((weakref.ref(storage), kept))
            owners = [x for x in (t, base) if x is not None]
            self.histories += [(x, x._node, x._number) for x in owners]

    def _writing(self, t) -> str:
        """Return PyTorch's name of the op that is about to write to ``t``: the last recorded."""
        ref = self.places.get((t._cell, t._cell.storage.version, t._node, t._number))
        if self.path.step is None or ref is None or self.path.step[1][:1] != (ref,):
            return "aten::copy_"
        name = self.path.step[0].name.removesuffix("_").removesuffix("_tensor")
        return f"aten::{name}_.Tensor" if name in _OVERLOADED else f"aten::{name}_"

    def written_outside(self) -> list[tuple[Tensor, Tensor]]:
        """Return the tensors outside that were written, with what was written."""
        storages = [reference() for reference, _ in self.written]
        return [
            (wrap(storage, storage.aval), self.value_of(storage))
            for storage in dict.fromkeys(storages)
            if storage is not None and storage.tape is self
        ]

    def value_of(self, storage: Storage) -> Tensor:
        """Return a tensor of what a storage holds on this tape now."""
        return wrap(Storage(storage.aval, self.device, None, self, storage.ref), storage.aval)

    def finish(self) -> None:
        """Give what was written outside its value back, and let go of what refers to this tape."""
        for reference, kept in reversed(self.written):
            storage = reference()
            if storage is not None and storage.tape is self:
                storage.array, storage.tape, storage.ref, storage.version = kept
        for x, node, number in reversed(self.histories):
            x._node, x._number = node, number
        self.pending, self.nodes, self.sources, self.checks = [], [], [], []
        self.written, self.histories = [], []
        self.source_of, self.places, self.outer = {}, {}, None

    # ---- recording ----

    @contextlib.contextmanager
    def recording(self, outer: Any = None):
        """Record on this tape inside, as part of what ``outer`` records: the tape before."""
        current, before = state.tape, state.tapes.get(self.device)
        self.outer = outer or current
        state.tapes[self.device] = state.tape = self
        try:
            yield
        finally:
            _restore(self.device, before, current)

    @contextlib.contextmanager
    def outside(self):
        """Record on the tape outside meanwhile."""
        state.tapes[self.device] = state.tape = self.outer
        try:
            yield
        finally:
            state.tapes[self.device] = state.tape = self


def _restore(device, before, outer) -> None:
    if before is None:
        del state.tapes[device]
    else:
        state.tapes[device] = before
    state.tape = outer


def enclosing() -> Iterator[Trace]:
    """Yield the tapes of the functions being traced now, innermost first."""
    tape = state.tape
    while isinstance(tape, Trace):
        yield tape
        tape = tape.outer


def transforms() -> set[str]:
    """Return what the functions being traced now are traced for."""
    return {tape.transform for tape in enclosing()}


def _users_line() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


# ---- lowering ------------------------------------------------------------------------------------


# pure: ([leaf arrays], [float], [int]) -> [result arrays]
def lowered(tape: Trace, refs: tuple[int, ...], tracked: tuple[bool, ...]) -> Callable:
    """Return the pure function that a trace stands for.

    JAX differentiates whatever it sees, so what was recorded outside the autograd graph
    (``detach()``, ``no_grad``) is stopped here.

    Args:
        refs: Of the results.
        tracked: Per result, whether it has a history.
    """
    live = {i << 2 | LEAF for i, tracks in enumerate(tape.live) if tracks}
    code = stopped_code(tape.path, live)
    slots = [r >> 2 for r in refs if r & 3 == SLOT]
    body = lower(tuple(code), list(dict.fromkeys(slots)), {})
    stops = [r in live and not t for r, t in zip(refs, tracked, strict=True)]

    def pure(leaves, floats, ints):
        values, _ = body(leaves, floats, ints)
        results = [values[r >> 2] if r & 3 == SLOT else leaves[r >> 2] for r in refs]
        return [jax.lax.stop_gradient(x) if s else x for x, s in zip(results, stops, strict=True)]

    return pure


def stopped_code(end, live: set[int] | None = None, leaves: Collection[int] = ()) -> list:
    """Return the instructions up to a path, with no gradient where none was recorded.

    Args:
        live: References that have a history, to which those of instructions are added; every
            operand that has none is stopped if not given.
        leaves: Sources of the tape that are leaves of the graph: a result of the tape with such a
            history was made a leaf, so no gradient goes on to where it was computed.
    """
    code = []
    for path in _paths(end):
        entry, operands, edges = path.step
        pulls = type(entry) is Pull
        if not pulls:
            tracks = _tracks(path, leaves)
            stopped = [i for i, r in enumerate(operands) if _varies(r, live) and not tracks[i]]
            entry = _stopping(entry, tuple(stopped)) if stopped else entry
        code.append((entry, operands, edges))
        if live is not None and (pulls or not live.isdisjoint(operands)):
            live.update(slot << 2 | SLOT for slot in range(path.first, path.end))
    return code


def _varies(ref: int, live: set[int] | None) -> bool:
    return ref in live if live is not None else ref >= 0 and ref & 3 in (SLOT, LEAF)


def _tracks(path, leaves) -> list[bool]:
    """Return per operand whether a gradient flows to where it was computed."""
    _, operands, edges = path.step
    queue, found = iter(edges), []
    for i, r in enumerate(operands):
        edge = next(queue) if path.mask >> i & 1 else None
        leaf = edge is not None and edge & 1 and edge >> 21 in leaves and r & 3 == SLOT
        found.append(edge is not None and not leaf)
    return found


def _paths(path) -> list:
    found = []
    while path.step is not None:
        found.append(path)
        path = path.parent
    return found[::-1]


def _stopping(entry: Any, stopped: tuple[int, ...]) -> Entry:
    """Return an entry through which no gradient flows to some of its operands."""
    key = ("stopped", stopped)
    found = entry.cache.get(key)
    if found is None:

        def fn(*operands):
            return entry.fn(
                *(jax.lax.stop_gradient(x) if i in stopped else x for i, x in enumerate(operands))
            )

        found = entry.cache[key] = Entry(
            entry.name, fn, entry.inputs, entry.outputs, single=entry.single,
            grad_name=entry.grad_name, view=entry.view, static=entry.static, length=entry.length,
        )  # fmt: skip
    return found


# ---- one instruction -----------------------------------------------------------------------------

_kept = Recent(MAX_KEPT)


class Traced:
    """A function as it was recorded.

    Attributes:
        tape: With the operands it reads.
        results: Its results, whose values are places on the tape. After them comes what it wrote,
            and the values that its checks look at.
        count: How many placeholders come first among the operands.
        written: Tensors outside, with what the function wrote to them.
    """

    def __init__(
        self, tape: Trace, results: list[Tensor], count: int, written: Sequence[tuple] = ()
    ) -> None:
        self.tape, self.count = tape, count
        self.errors = [error for _, error in tape.checks]
        self.targets = [t for t, _ in written]
        self.extra = len(written) + len(tape.checks)
        results = results + [value for _, value in written]
        results += [wrap(cell, cell.aval) for cell, _ in tape.checks]
        with tape.recording():
            self.refs = tuple([_place(r, tape) for r in results])
        self.tracked = tuple([r._node is not None for r in results])
        self.avals = [r._aval for r in results]
        self._called: Callable | None = None
        tape.finish()

    def record(self, transform: Callable, key: tuple, inputs: tuple) -> tuple[Tensor, ...]:
        """Record a transformation of the function as one instruction.

        Args:
            transform: ``transform(pure, *key)`` returns the function of ``inputs`` and of
                everything read from outside, where ``pure(inputs, rest)`` is this function. A
                function of a module, so that equal calls are known again. The results of ``pure``
                are its last results.
            inputs: Tensors, instead of the placeholders; there may be more of them.
        """
        return self.checked(record_all(_alone, (transform, *key), (self,), inputs))

    def checked(self, results: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the results proper; write the others where they belong, or have them checked.

        What the function wrote is written only the first time.
        """
        end = len(results) - self.extra
        for x, value in zip(self.targets, results[end:], strict=False):
            x.detach().write(value.detach())
        self.targets = []
        for x, error in zip(results[len(results) - len(self.errors) :], self.errors, strict=True):
            later(x._cell, error)
        return results[:end]

    def record_with(self, operands: tuple) -> tuple[Tensor, ...]:
        """Record the function itself with other operands and numbers than it was traced with."""
        return self.checked(record_function(self._function(), operands))

    def run_with(self, operands: tuple) -> tuple[Tensor, ...] | None:
        """Run it with them now, if :func:`run_function` can."""
        results = run_function(self._function(), operands)
        return None if results is None else self.checked(results)

    def _function(self) -> Callable:
        """Return the function of operands and numbers, one after the other."""
        if self._called is not None:
            return self._called
        key = self.key, len(self.tape.floats)
        fn = _kept.get(key)
        if fn is None:
            pure, count = self.pure(), self.count

            def jit(*flat):
                return tuple(pure(flat[:count], flat[count:]))

            jit.length = self.length  # type: ignore[attr-defined]
            fn = _kept[key] = jit
        self._called = fn
        return fn

    @property
    def rest(self) -> tuple:
        """What is read from outside: tensors, then the numbers."""
        tape = self.tape
        return (*tape.operands[self.count :], *tape.floats, *tape.ints)

    @property
    def key(self) -> tuple:
        """What tells this function from others."""
        return self.tape.path, self.refs, self.tracked, self.count, tuple(self.tape.live)

    @property
    def length(self) -> int:
        """How many ops were recorded, those of functions among them counted, too."""
        return sum(path.step[0].length for path in _paths(self.tape.path))

    def pure(self) -> Callable:
        """Return ``pure(inputs, rest) -> results`` on arrays."""
        body = lowered(self.tape, self.refs, self.tracked)
        leaves = len(self.tape.operands) - self.count
        floats = leaves + len(self.tape.floats)

        def pure(inputs, rest):
            numbers = _packed(rest[leaves:floats], float), _packed(rest[floats:], int)
            return body([*inputs, *rest[:leaves]], *numbers)

        return pure


def record_all(
    transform: Callable, key: tuple, functions: tuple[Traced, ...], inputs: tuple
) -> tuple[Tensor, ...]:
    """Record a combination of functions as one instruction.

    Args:
        transform: ``transform(pures, *key)`` returns ``combined(inputs, rests)``: a function of
            arrays, and per function of what it reads from outside. A function of a module.
    """
    rests = [f.rest for f in functions]
    known = (transform, key, len(inputs), *[f.key for f in functions])
    fn = _kept.get(known)
    if fn is None:
        combined = transform([f.pure() for f in functions], *key)
        fn = _kept[known] = _flat(combined, len(inputs), [len(rest) for rest in rests])
        fn.length = sum(f.length for f in functions)
    return record_function(fn, (*inputs, *itertools.chain(*rests)))


def _flat(combined: Callable, count: int, sizes: list[int]) -> Callable:
    def function(*flat):
        ends = list(itertools.accumulate([count, *sizes]))
        rests = [flat[a:b] for a, b in itertools.pairwise(ends)]
        return combined(flat[:count], rests)

    function.__name__ = combined.__name__
    return function


def _alone(pures: list, transform: Callable, *key) -> Callable:
    made = transform(pures[0], *key)

    def function(inputs, rests):
        return made(*inputs, *rests[0])

    function.__name__ = made.__name__
    return function


def _packed(numbers, kind: type):
    return jnp.stack(numbers) if numbers else jnp.zeros(0, kind)


def _place(x: Tensor, tape: Trace) -> int:
    x._fresh_node()
    cell = x._cell
    return cell.ref if cell.tape is tape else tape.reach(x)


__all__ = ["Input", "Trace", "Traced", "lowered", "record_all", "stopped_code"]
