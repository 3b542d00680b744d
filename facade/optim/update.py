"""Take the steps of an optimizer whose update rule is an optax transformation."""

import weakref
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any, ClassVar

import numpy as np

from facade.autograd.grad_mode import enable_grad
from facade.devices import CPU, device
from facade.optim.optimizer import Optimizer
from facade.optim.recipe import Recipe, host_scalar
from facade.recording import wrap
from facade.storage import Storage
from facade.tape import state as thread
from facade.tensor import Tensor


class TransformOptimizer(Optimizer):
    """An optimizer whose update rule is an optax transformation.

    A subclass says in :meth:`recipe` what the options of a group mean. What changes from step to
    step is a number on the tape, so a new learning rate runs the program that exists.

    Attributes:
        counts: Whether ``state[p]["step"]`` counts a parameter's steps. The count stays on the
            host; the transformation finds it as ``count`` in its state.
        later_options: Options that checkpoints of older versions don't have.
        found_inf: If a tensor, the steps change nothing where it is not 0: a :class:`GradScaler`
            sets it. Nothing is read, so the program counts the steps too.
        _recipes: Number of a group -> its options at the last step, and what they meant.
    """

    counts = False
    found_inf: Tensor | None = None
    later_options: ClassVar[dict[str, Any]] = {}

    def _prepare(self) -> None:
        super()._prepare()
        self._recipes: dict[int, tuple[list, Recipe]] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.later_options.items():
                group.setdefault(name, value)
            for p in group["params"]:
                kept = self.state.get(p, {})
                if self.counts and not isinstance(kept.get("step", None), Tensor | None):
                    kept["step"] = host_scalar(float(kept["step"]), _step_device(p, group))

    def recipe(self, group: dict[str, Any]) -> Recipe:
        """Return the update rule with a group's options."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        Args:
            closure: Evaluates the model again and returns the loss.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        was, thread.grad = thread.grad, bool(self.defaults["differentiable"])
        try:
            for i, group in enumerate(self.param_groups):
                params = [p for p in group["params"] if p._grad is not None]
                if params:
                    self._update(params, group, self._recipe(i, group))
        finally:
            thread.grad = was
        return loss

    def _recipe(self, i: int, group: dict[str, Any]) -> Recipe:
        """Return the update rule of group ``i``, the one of the last step if no option changed."""
        options = [*group.values()]
        known = self._recipes.get(i)
        if known is not None and len(known[0]) == len(options) and all(map(is_, known[0], options)):
            return known[1]
        recipe = self.recipe(group)
        # a tensor among the options may change its value, and be 0 one day
        if not any(isinstance(x, Tensor) for x in options):
            self._recipes[i] = (options, recipe)
        return recipe

    def _update(self, params: list[Tensor], group: dict[str, Any], recipe: Recipe) -> None:
        if self.counts:
            self._begin_counts(params, group)
        for batch, count in self._batches(params):
            # an optimizer that keeps nothing leaves no empty entries
            states = [self.state[p] for p in batch] if self.counts or recipe.fields else []
            if self.found_inf is not None:
                recipe.record(batch, states, _shared_count(batch, states, count), self.found_inf)
                continue
            recipe.record(batch, states, count)
            if self.counts:
                count_step(states, count + 1)

    def _begin_counts(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if "step" not in self.state[p]:
                self.state[p]["step"] = host_scalar(0.0, _step_device(p, group))

    def _batches(self, params: list[Tensor]) -> Iterator[tuple[list[Tensor], Any]]:
        """Yield the parameters that one instruction updates, with the steps they have taken.

        Those are on one device and have taken equally many, as a number, or as the storage that
        counts them together. Parameters that share a storage come one after the other, so that each
        finds what the one before has written.
        """
        alone = len({p._cell.storage for p in params}) < len(params)
        if not (self.counts or alone) and len({p._cell.device for p in params}) == 1:
            yield params, 0
            return
        batches: dict = {}
        known: dict[int, int] = {}
        for i, p in enumerate(params):
            count = self._steps_taken(p, known) if self.counts else 0
            key = (p._cell.device, count, i if alone else None)
            batches.setdefault(key, []).append(p)
        for (_, count, _), batch in batches.items():
            yield batch, count

    def _steps_taken(self, p: Tensor, known: dict[int, int]) -> int | Storage:
        """Return a parameter's step count; ``known`` has those of the arrays seen so far."""
        step = self.state[p]["step"]
        cell = step._cell.storage
        if self.found_inf is not None and cell in _shared_counts:
            return cell
        count = known.get(id(cell.array))
        if count is None or cell.array is None:
            count = int(step.item())
            known[id(cell.array)] = count
        return count

    def can_be_skipped(self) -> bool:
        """Return whether :attr:`found_inf` works with the parameters and gradients there are."""
        params = [p for g in self.param_groups for p in g["params"] if p._grad is not None]
        if self.defaults["differentiable"] or len({p._cell.device for p in params}) > 1:
            return False
        if len({p._cell.storage for p in params}) < len(params):
            return False
        return all(self._begins_with_numbers(i, g) for i, g in enumerate(self.param_groups))

    def _begins_with_numbers(self, i: int, group: dict[str, Any]) -> bool:
        """Return whether what the state begins as is known without taking a step."""
        recipe = self._recipe(i, group)
        late = [name for name in recipe.fields if recipe.starts.get(name, 0.0) is None]
        return all(name in self.state[p] for name in late for p in group["params"])


# Step counts that all parameters updated together share, since the host doesn't know them
_shared_counts: weakref.WeakSet[Storage] = weakref.WeakSet()


def _shared_count(params: list[Tensor], states: list[dict], count: int | Storage) -> Tensor:
    """Return the tensor on the parameters' device that counts their steps together."""
    if isinstance(count, Storage):
        return states[0]["step"]
    shared = host_scalar(float(count), params[0].device)
    _shared_counts.add(shared._cell)
    for state in states:
        if "step" in state:
            state["step"] = wrap(shared._cell, shared._aval)
    return shared


def _step_device(p: Tensor, group: dict[str, Any]) -> device:
    return p.device if group.get("capturable") or group.get("fused") else CPU


def count_step(states: list[dict], count: int) -> None:
    """Note in parameters' states that they have taken ``count`` steps."""
    counted: dict = {}  # by dtype: one array for all of them
    for state in states:
        step = state["step"]
        new = counted.get(step._aval)
        if new is None:
            array = np.array(count, step._aval.dtype.numpy)
            new = counted[step._aval] = Storage(step._aval, CPU, array)
        step._cell.storage.rebind(new)
