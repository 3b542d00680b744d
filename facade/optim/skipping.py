"""Let the program decide whether an optimizer's step happens: PyTorch's ``found_inf``."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp

from facade.optim.optimizer import Optimizer
from facade.optim.recipe import Recipe, _update_function, host_scalar
from facade.optim.update import TransformOptimizer
from facade.recording import record_update, wrap
from facade.storage import Storage
from facade.tensor import Tensor

# Step counts that all parameters updated together share, since the host doesn't know them
_shared_counts: weakref.WeakSet[Storage] = weakref.WeakSet()


def can_skip(optimizer: Optimizer) -> bool:
    """Return whether :func:`skipped_if` works for an optimizer and its gradients as they are."""
    if not isinstance(optimizer, TransformOptimizer) or optimizer.defaults["differentiable"]:
        return False
    params = [p for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
    if len({p._cell.storage for p in params}) < len(params):
        return False
    if len({p.device for p in params}) > 1:
        return False
    groups = enumerate(optimizer.param_groups)
    return all(_begins_with_numbers(optimizer, i, group) for i, group in groups)


def _begins_with_numbers(optimizer: TransformOptimizer, i: int, group: dict[str, Any]) -> bool:
    """Return whether what the state begins as is known without taking a step."""
    recipe = optimizer._recipe(i, group)
    late = [name for name in recipe.fields if recipe.starts.get(name, 0.0) is None]
    return all(name in optimizer.state[p] for name in late for p in group["params"])


@contextlib.contextmanager
def skipped_if(optimizer: TransformOptimizer, found_inf: Tensor) -> Iterator[None]:
    """Make the block's ``optimizer.step()`` change nothing if ``found_inf`` is not 0.

    Nothing is read: the program computes the step and keeps the old values. So the steps taken are
    counted in the program too, and ``state[p]["step"]`` is on the parameter's device.
    """
    optimizer._update = functools.partial(_update_unless, optimizer, found_inf)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del optimizer._update


def _update_unless(
    optimizer: TransformOptimizer,
    found_inf: Tensor,
    params: list[Tensor],
    group: dict[str, Any],
    recipe: Recipe,
) -> None:
    for batch, count in _batches(optimizer, params, group):
        states = [optimizer.state[p] for p in batch] if optimizer.counts or recipe.fields else []
        recipe.begin(batch, states)
        targets = [*batch, *recipe.held(states)]
        operands = (
            found_inf, *batch, *[p.grad for p in batch], *targets[len(batch) :], count,
            *recipe.numbers,
        )  # fmt: skip
        function = _function(_update_function(recipe.traits, len(batch)), len(batch), len(targets))
        record_update(function, operands, targets if count is None else [*targets, count])


def _batches(optimizer: TransformOptimizer, params: list[Tensor], group: dict[str, Any]):
    """Yield the parameters that one instruction updates, with the tensor that counts their steps.

    Those have taken equally many. The host is asked only for counts it made.
    """
    if not optimizer.counts:
        yield params, None
        return
    optimizer._begin_counts(params, group)
    steps = [optimizer.state[p]["step"] for p in params]
    if not all(step._cell.storage in _shared_counts for step in steps):
        for batch, count in optimizer._batches(params):
            shared = host_scalar(float(count), batch[0].device)
            _shared_counts.add(shared._cell)
            for p in batch:
                optimizer.state[p]["step"] = wrap(shared._cell, shared._aval)
            yield batch, shared
        return
    batches: dict = {}
    for p, step in zip(params, steps, strict=True):
        batches.setdefault(step._cell.storage, ([], step))[0].append(p)
    yield from batches.values()


# ---- the traced part ---------------------------------------------------------------------------


@functools.cache
def _function(update: Callable, size: int, results: int) -> Callable:
    """Return ``update`` of ``size`` parameters with a condition: always the same object."""

    def unless(found_inf, *operands):
        held = operands[2 * size : size + results]
        count, *numbers = operands[size + results :]
        steps = jnp.int64(0) if count is None else count.astype(jnp.int64)
        new = update(*operands[: size + results], steps, *numbers)
        skipped = found_inf > 0
        old = (*operands[:size], *held)
        found = [jnp.where(skipped, a, b) for a, b in zip(old, new, strict=True)]
        return found if count is None else [*found, jnp.where(skipped, count, count + 1)]

    return unless
