"""The tape of a training step: what it reads and writes outside, and how that is found again."""

import copy
import functools
from collections.abc import Callable
from typing import Any

from facade import aten
from facade.avals import aval
from facade.dtypes import float64, int64
from facade.func.trace import Input, Trace
from facade.functions.draws import record_draw, record_draw_like, short_seed
from facade.graph import AccumulateGrad
from facade.optim.update import Recipe, TransformOptimizer
from facade.random import Counter
from facade.recording import wrap
from facade.storage import Storage, View
from facade.tensor import Tensor

_NUMBER, _COUNT = aval((), float64), aval((), int64)


class Argument(Input):
    """The history of an argument that has one."""

    def backward(self, cotangents: list, create_graph: bool) -> list:
        """Refuse: what lies before the argument is not part of the step.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "jit: backward() reaches the history of an argument, which is outside the function. "
            "Pass x.detach(), or call backward() outside"
        )


class StepTrace(Trace):
    """The tape of a function that may write what is outside.

    Attributes:
        arguments: The function's -> the placeholders that stand for them.
        fetches: Leaf -> how its operand is found at each call: ``arguments -> tensor | number``.
        grads: Leaves of the graph that it knows -> the gradient they had.
        touched: Storages from outside -> what they were.
        writers: Tensors from outside that were written -> the node they had.
        read: Storages from outside whose values Python asked for -> their version.
        recipes: What optimizers do: ``(optimizer, group number)`` -> recipe, traits, tensors in it.
        counts: Storage of a step count -> ``[the number that stands for it, steps, tensors]``.
        reason: Why the function can't be run without its Python, None if it can.
        kinds: Of what is fetched: ``"options"``, ``"counts"``, ``"random"``.
        alone: Whether it is to run without facade, so that random numbers are drawn inside.
        stream: Seed and offset of what is drawn inside, and how many draws there were.
        fresh: Whether an optimizer had no state yet.
    """

    __slots__ = (
        "alone", "arguments", "counts", "fetches", "fresh", "grads", "kinds", "quiet",
        "read", "reason", "recipes", "storages", "stream", "touched", "writers",
    )  # fmt: skip

    def __init__(self, device, arguments: list[Tensor], alone: bool = False) -> None:
        super().__init__(device, "jit")
        self.fetches: dict[int, Callable] = {}
        self.grads: dict = {}
        self.touched: dict = {}
        self.writers: dict = {}
        self.read: dict = {}
        self.recipes: dict = {}
        self.counts: dict = {}
        self.reason: str | None = None
        self.quiet = self.fresh = False
        self.alone, self.stream = alone, None
        self.kinds: dict[int, str] = {}
        self.storages = {x._cell.storage for x in arguments}
        self.arguments: dict = {}
        for at, x in enumerate(arguments):
            if x not in self.arguments:
                self.arguments[x] = self._argument(at, x)

    def _argument(self, at: int, x: Tensor) -> Tensor:
        """Return a placeholder for an argument; a leaf of the graph is one inside, too."""
        node = x._fresh_node()
        t = self.placeholder(x._aval, x, Argument(x._aval) if node is not None else None)
        if type(node) is AccumulateGrad:
            t._node = None
            t.requires_grad_()
        t._grad = self.grads[t] = x._grad
        return t

    def reach(self, x) -> int:
        storage = x._cell.storage
        if storage in self.storages:
            self.reason = "it reads an argument as a variable from outside, too"
        if storage in self.counts:
            self.reason = "it reads the step count of an optimizer"
        self._touch(storage)
        self.grads.setdefault(x, x._grad)
        return super().reach(x)

    def will_write(self, t) -> None:
        cell = t._cell
        for x in (t, cell.base if type(cell) is View else None):
            if x is not None and cell.storage.tape is not self:
                self.writers.setdefault(x, (x._node, x._number))
        self._touch(cell.storage)

    def will_read(self, t) -> None:
        storage = t._cell.storage
        if storage.tape is not self and not self.quiet:
            self.read.setdefault(storage, storage.version)

    def _touch(self, storage) -> None:
        if storage.tape is not self and storage not in self.touched:
            self.touched[storage] = storage.array, storage.tape, storage.ref, storage.version

    def fetched(self, known, fetch: Callable, kind: str = "random") -> Tensor:
        """Return a placeholder for what ``fetch(arguments)`` finds at each call."""
        self.kinds[len(self.operands)] = kind
        self.fetches[len(self.operands)] = fetch
        return self.placeholder(known)

    def draw(self, draw: Callable, law, parameters, known, where, generator=None) -> Tensor:
        """Stand for random numbers that each call draws anew."""
        if self.alone:
            return record_draw(self._draw_number(), law, parameters, known, where)
        return self.fetched(known, lambda _: draw(law, parameters, known, where, generator))

    def draw_like(self, draw: Callable, engine, *arguments) -> Tensor:
        """Stand for random numbers that depend on tensors.

        Those that are computed inside have no values yet: the numbers are drawn in the program.
        """
        where, _, _, name, sources, static = arguments
        inside = any(x._cell.storage.tape is self for x in sources)
        if self.alone or inside:
            numbers = self._draw_number() if self.alone else self._seed(engine)
            return record_draw_like(numbers, where, name, sources, static)
        with self.outside():
            kept = engine.get_state()
            known = draw(*arguments)._aval
            engine.set_state(kept)
        return self.fetched(known, lambda _: draw(*arguments))

    def _seed(self, engine) -> tuple:
        """Return numbers that each call takes from a generator: seed and offset of a draw."""
        drawn: list[int] = []

        def seed(_) -> int:
            on_device = isinstance(engine, Counter)
            drawn[:] = engine.advance() if on_device else (int(engine.words64(1)[0]) >> 1, 0)
            return drawn[0]

        return self.fetched(_COUNT, seed), self.fetched(_COUNT, lambda _: drawn[1])

    def _draw_number(self) -> tuple:
        """Return the seed and the offset of the next draw, which are part of the state."""
        if self.stream is None:
            start = short_seed()
            numbers = self.fetched(_COUNT, lambda _: start), self.fetched(_COUNT, lambda _: 0)
            self.stream = [*numbers, 0]
        seed, offset, drawn = self.stream
        self.stream[2] += 1
        return seed, aten.add(offset, drawn) if drawn else offset

    # ---- optimizers ----

    def recipe(self, optimizer: TransformOptimizer, i: int, group: dict) -> Recipe:
        """Return an optimizer's update rule with numbers that each call looks up."""
        live = self.recipes.get((optimizer, i))
        if live is None:
            recipe = type(optimizer)._recipe(optimizer, i, group)
            live: Any = copy.copy(recipe)
            live.numbers = [
                x
                if isinstance(x, Tensor)
                else self.fetched(_NUMBER, _option(optimizer, i, k), "options")
                for k, x in enumerate(recipe.numbers)
            ]
            tensors = [x for x in recipe.numbers if isinstance(x, Tensor)]
            self.recipes[optimizer, i] = live, recipe.traits, tensors
            return live
        return live[0]

    def update(
        self, optimizer: TransformOptimizer, params: list[Tensor], group: dict, recipe: Recipe
    ) -> None:
        """Record one update; the steps taken are a number that each call looks up."""
        if optimizer.counts:
            self.fresh = self.fresh or not optimizer.state
            optimizer._begin_counts(params, group)
        self.quiet = True
        batches = list(optimizer._batches(params))
        self.quiet = False
        for batch, _ in batches:
            states = (
                [optimizer.state[p] for p in batch] if optimizer.counts or recipe.fields else []
            )
            steps = [s["step"] for s in states] if optimizer.counts else []
            recipe.record(batch, states, self._count(steps) if steps else 0)  # type: ignore[arg-type]

    def _count(self, steps: list[Tensor]) -> Tensor:
        """Return how many steps were taken before this one, and count it."""
        storages = [step._cell.storage for step in steps]
        known = self.counts.get(storages[0])
        if known is None:
            count = self.fetched(_COUNT, lambda _: int(steps[0].item()), "counts")
            known = self.counts[storages[0]] = [count, 0, steps]
            self.counts.update((s, known) for s in storages)
        count, taken, _ = known
        known[1] += 1
        return aten.add(count, taken) if taken else count


def _option(optimizer: TransformOptimizer, i: int, k: int) -> Callable:
    return lambda _: optimizer._recipe(i, optimizer.param_groups[i]).numbers[k]


# ---- what was done, taken back -------------------------------------------------------------------


def patch(optimizers: list[TransformOptimizer], tape: StepTrace) -> None:
    """Let optimizers look their numbers up on a tape."""
    for o in optimizers:
        o._recipe = functools.partial(tape.recipe, o)  # type: ignore[method-assign]
        o._update = functools.partial(tape.update, o)  # type: ignore[method-assign]


def unpatch(optimizers: list[TransformOptimizer]) -> None:
    """Let optimizers do as usual."""
    for o in optimizers:
        vars(o).pop("_recipe", None)
        vars(o).pop("_update", None)


def restore_grads(tape: StepTrace) -> list[tuple]:
    """Put the gradients back that were there; return ``(leaf, gradient it was to get)``."""
    found = []
    for x, before in tape.grads.items():
        if x._grad is not before:
            found.append((x, x._grad))
            x._grad = before
    return found


def restore_storages(tape: StepTrace) -> list[tuple]:
    """Put back what was written outside.

    Returns:
        ``(storage, tensors that share its history, what was to be there)``.
    """
    written: dict = {}
    for storage, kept in tape.touched.items():
        if storage.tape is tape:
            cell = Storage(storage.aval, storage.device, None, tape, storage.ref)
            written[storage] = ([], wrap(cell, storage.aval))
            storage.array, storage.tape, storage.ref, storage.version = kept
    for x, (node, number) in tape.writers.items():
        if x._node is not node and x._cell.storage in written:
            sharers, t = written[x._cell.storage]
            if type(x._cell) is not View:
                sharers.append(x)
                t._node, t._number = x._node, x._number
        x._node, x._number = node, number
    return [(storage, sharers, t) for storage, (sharers, t) in written.items()]
