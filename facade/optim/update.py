"""Record one update of a parameter group: an optax transformation as one instruction."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import jaxpr_as_fun

from facade.autograd.grad_mode import enable_grad, set_grad_enabled
from facade.avals import aval
from facade.devices import CPU
from facade.dtypes import float32
from facade.optim.optimizer import Optimizer
from facade.recording import record_function, record_update, wrap
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
    """

    counts = False

    def recipe(self, group: dict[str, Any]) -> "Recipe":
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
        with set_grad_enabled(bool(self.defaults["differentiable"])):
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if params:
                    self._update(params, self.recipe(group))
        return loss

    def _update(self, params: list[Tensor], recipe: "Recipe") -> None:
        for batch, count in self._batches(params):
            # an optimizer that keeps nothing leaves no empty entries
            states = [self.state[p] for p in batch] if self.counts or recipe.fields else []
            recipe.record(batch, states, count)
            if self.counts:
                _count_step(states, count + 1)

    def _batches(self, params: list[Tensor]) -> Iterator[tuple[list[Tensor], int]]:
        """Yield the parameters that one instruction updates, with the steps they have taken.

        Those are on one device and have taken equally many. Parameters that share a storage come
        one after the other, so that each finds what the one before has written.
        """
        alone = len({p._cell.storage for p in params}) < len(params)
        batches: dict = {}
        known: dict[int, int] = {}
        for i, p in enumerate(params):
            count = _steps_taken(self.state[p], known) if self.counts else 0
            key = (p._cell.device, count, i if alone else None)
            batches.setdefault(key, []).append(p)
        for (_, count, _), batch in batches.items():
            yield batch, count


class Recipe:
    """An update rule and what it needs of a parameter group.

    Args:
        rule: ``rule(**numbers, **options)`` returns an ``optax.chain``. The same object each time.
        fields: Where a parameter's state is kept, ``(PyTorch's name, optax's field)`` each. A
            missing entry begins as the transformation's ``init`` says.
        numbers: What may change from step to step: numbers or 1-element tensors.
        options: What the program depends on, hashable.
    """

    __slots__ = ("fields", "numbers", "options", "rule")

    def __init__(self, rule: Callable, fields: tuple, numbers: dict, options: tuple = ()) -> None:
        self.rule = rule
        self.fields = fields
        self.numbers = numbers
        self.options = options

    def record(self, params: list[Tensor], states: list[dict], count: int) -> None:
        """Record one update of ``params``, each with a gradient and its state."""
        held = [s.get(name) for name, _ in self.fields for s in states]
        numbers = [x if isinstance(x, Tensor) else float(x) for x in self.numbers.values()]
        operands = (*params, *[p.grad for p in params], *held, count, *numbers)
        key = (
            ("rule", self.rule),
            ("fields", self.fields),
            ("size", len(params)),
            ("names", tuple(self.numbers)),
            ("options", self.options),
        )
        targets = [*params, *held]
        if thread.grad:
            results = _write(targets, record_function(_apply, operands, key))
        else:
            results = record_update(_apply, operands, targets, key)
        kept = iter(results[len(params) :])
        for name, _ in self.fields:
            for s in states:
                s[name] = next(kept)


def _write(targets: list, results: tuple) -> list:
    return [r if t is None else t.write(r) for t, r in zip(targets, results, strict=True)]


# ---- counting steps on the host ----------------------------------------------------------------

_SCALAR = aval((), float32)


def _steps_taken(state: dict, known: dict[int, int]) -> int:
    """Return a parameter's step count, made if missing; ``known`` has those of arrays seen."""
    step = state.get("step")
    if step is None:
        state["step"] = wrap(Storage(_SCALAR, CPU, np.zeros((), np.float32)), _SCALAR)
        return 0
    array = step._cell.array if type(step._cell) is Storage else None
    count = known.get(id(array))
    if count is None or array is None:
        count = int(step.item())
        known[id(step._cell.array)] = count
    return count


def _count_step(states: list[dict], count: int) -> None:
    counted = Storage(_SCALAR, CPU, np.array(count, np.float32))  # one array for all of them
    for state in states:
        state["step"]._cell.storage.rebind(counted)


# ---- the traced part ---------------------------------------------------------------------------


def _apply(*operands, rule, fields, size, names, options):
    """Return ``size`` parameters and their state updated.

    Args:
        operands: Parameters, gradients, a row of state per field; the count, the numbers.
    """
    first_number = size * (2 + len(fields))
    arrays = operands[:first_number]
    numbers = [
        x if jnp.issubdtype(x.dtype, jnp.integer) else x.reshape(()).astype(jnp.float64)
        for x in operands[first_number:]
    ]

    def update(arrays, count, *numbers):
        transform = rule(**dict(zip(names, numbers, strict=True)), **dict(options))
        columns = [arrays[i : i + size] for i in range(0, first_number, size)]
        done = [
            _update_one(transform, [f for _, f in fields], count, *row)
            for row in zip(*columns, strict=True)
        ]
        return [x for column in zip(*done, strict=True) for x in column]

    # Traced with Python numbers, which take the dtype of the arrays they meet: a float64 operand
    # would make float64 of them.
    traced = jax.make_jaxpr(update)(arrays, 0, *[0.0] * len(names))
    return jaxpr_as_fun(traced)(*jax.tree.leaves(arrays), *numbers)


def _update_one(transform, fields: list[str], count, param, grad, *held):
    p, g, *held = [None if x is None else _as_real(x) for x in (param, grad, *held)]
    known = {f: x for f, x in zip(fields, held, strict=True) if x is not None} | {"count": count}
    state = tuple(
        s._replace(**{f: known[f] for f in s._fields if f in known}) for s in transform.init(p)
    )
    updates, state = transform.update(g, state, p)
    found = {f: getattr(s, f) for s in state for f in s._fields}
    results = (optax.apply_updates(p, updates), *[found[f] for f in fields])
    return [_like(x, param) for x in results]


def _as_real(x):
    """Return what the update computes with: real numbers, at least float32."""
    if jnp.iscomplexobj(x):
        return jnp.stack([x.real, x.imag], -1)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _like(x, param):
    if jnp.iscomplexobj(param):
        return jax.lax.complex(x[..., 0], x[..., 1])
    return x.astype(param.dtype)
