"""Record one update of a parameter group: an optax transformation as one instruction."""

import functools
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from facade.autograd.grad_mode import enable_grad
from facade.avals import Aval, aval
from facade.devices import CPU, device
from facade.dtypes import float32, float64, get_default_dtype
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
        later_options: Options that checkpoints of older versions don't have.
        _recipes: Number of a group -> its options at the last step, and what they meant.
    """

    counts = False
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
        was, thread.grad = thread.grad, bool(self.defaults["differentiable"])
        try:
            for i, group in enumerate(self.param_groups):
                params = [p for p in group["params"] if p._grad is not None]
                if params:
                    self._update(params, group, self._recipe(i, group))
        finally:
            thread.grad = was
        return loss

    def _recipe(self, i: int, group: dict[str, Any]) -> "Recipe":
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

    def _update(self, params: list[Tensor], group: dict[str, Any], recipe: "Recipe") -> None:
        if self.counts:
            self._begin_counts(params, group)
        for batch, count in self._batches(params):
            # an optimizer that keeps nothing leaves no empty entries
            states = [self.state[p] for p in batch] if self.counts or recipe.fields else []
            recipe.record(batch, states, count)
            if self.counts:
                _count_step(states, count + 1)

    def _begin_counts(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if "step" not in self.state[p]:
                self.state[p]["step"] = host_scalar(0.0, _step_device(p, group))

    def _batches(self, params: list[Tensor]) -> Iterator[tuple[list[Tensor], int]]:
        """Yield the parameters that one instruction updates, with the steps they have taken.

        Those are on one device and have taken equally many. Parameters that share a storage come
        one after the other, so that each finds what the one before has written.
        """
        alone = len({p._cell.storage for p in params}) < len(params)
        if not (self.counts or alone) and len({p._cell.device for p in params}) == 1:
            yield params, 0
            return
        batches: dict = {}
        known: dict[int, int] = {}
        for i, p in enumerate(params):
            count = _steps_taken(self.state[p]["step"], known) if self.counts else 0
            key = (p._cell.device, count, i if alone else None)
            batches.setdefault(key, []).append(p)
        for (_, count, _), batch in batches.items():
            yield batch, count


class Recipe:
    """An update rule and what it needs of a parameter group.

    Args:
        rule: ``rule(**numbers, **flags)`` returns an ``optax.chain``. The same object each time.
        fields: Where a parameter's state is kept: PyTorch's name -> optax's field.
        numbers: What may change from step to step: numbers or 1-element tensors.
        flags: What the program depends on.
        starts: What an entry of the state begins as, 0 if it isn't here; None is left to the
            transformation's ``init``, and costs a program of its own for the first step.
        scalars: Those among ``fields`` that are one number per parameter.
    """

    __slots__ = ("fields", "numbers", "scalars", "starts", "traits")

    def __init__(
        self,
        rule: Callable,
        fields: dict[str, str],
        numbers: dict[str, Any],
        flags: dict[str, Any],
        *,
        starts: dict[str, Any] | None = None,
        scalars: tuple[str, ...] = (),
    ) -> None:
        self.fields = fields
        self.numbers = [x if isinstance(x, Tensor) else float(x) for x in numbers.values()]
        self.starts = starts or {}
        self.scalars = scalars
        self.traits = _Traits(
            rule,
            tuple(fields.items()),
            tuple(numbers),
            tuple((name, bool(on)) for name, on in flags.items()),
            scalars,
        )

    def begin(self, params: list[Tensor], states: list[dict]) -> None:
        """Make the entries that are missing in the parameters' states."""
        for name in self.fields:
            start = self.starts.get(name, 0.0)
            if start is None:
                continue
            for p, state in zip(params, states, strict=True):
                if name not in state:
                    make = _scalar_for if name in self.scalars else _full_like
                    state[name] = make(p, float(start))

    def held(self, states: list[dict]) -> list:
        """Return the entries of the parameters' states, None where one is missing."""
        return [s.get(name) for name in self.fields for s in states]

    def record(self, params: list[Tensor], states: list[dict], count: int) -> None:
        """Record one update of ``params``, each with a gradient and its state."""
        held = self.held(states)
        if any(x is None for x in held):
            self.begin(params, states)
            held = self.held(states)
        operands = (*params, *[p._grad for p in params], *held, count, *self.numbers)
        targets = [*params, *held]
        update = _update_function(self.traits, len(params))
        if thread.grad:
            results = _write(targets, record_function(update, operands))
        else:
            results = record_update(update, operands, targets)
        kept = iter(results[len(params) :])
        for name in self.fields:
            for s in states:
                s[name] = next(kept)


def _write(targets: list, results: tuple) -> list:
    return [r if t is None else t.write(r) for t, r in zip(targets, results, strict=True)]


# ---- state made on the host ----------------------------------------------------------------------


def host_scalar(value: float, where: device) -> Tensor:
    """Return a 0-dimensional tensor whose value stays in numpy until something reads it."""
    known = aval((), float64 if get_default_dtype() is float64 else float32)
    return _on_host(known, value, where)


def _scalar_for(p: Tensor, value: float) -> Tensor:
    return host_scalar(value, p.device)


def _full_like(p: Tensor, value: float) -> Tensor:
    return _on_host(p._aval, complex(value, value) if p.is_complex() else value, p.device)


def _on_host(known: Aval, value: complex, where: device) -> Tensor:
    return wrap(Storage(known, where, np.full(known.shape, value, known.dtype.numpy)), known)


def _step_device(p: Tensor, group: dict[str, Any]) -> device:
    return p.device if group.get("capturable") or group.get("fused") else CPU


def _steps_taken(step: Tensor, known: dict[int, int]) -> int:
    """Return a step count; ``known`` has those of the arrays seen so far."""
    array = step._cell.array if type(step._cell) is Storage else None
    count = known.get(id(array))
    if count is None or array is None:
        count = int(step.item())
        known[id(step._cell.array)] = count
    return count


def _count_step(states: list[dict], count: int) -> None:
    counted: dict = {}  # by dtype: one array for all of them
    for state in states:
        step = state["step"]
        new = counted.get(step._aval)
        if new is None:
            array = np.array(count, step._aval.dtype.numpy)
            new = counted[step._aval] = Storage(step._aval, CPU, array)
        step._cell.storage.rebind(new)


# ---- the traced part ---------------------------------------------------------------------------


class _Traits(NamedTuple):
    """What the traced part depends on, see :class:`Recipe`."""

    rule: Callable
    fields: tuple[tuple[str, str], ...]
    names: tuple[str, ...]  # of the numbers
    flags: tuple[tuple[str, bool], ...]
    scalars: tuple[str, ...]


@functools.cache
def _update_function(traits: _Traits, size: int) -> Callable:
    """Return the update of ``size`` parameters: always the same object, as the recorder asks."""
    return functools.partial(_apply, size=size, **traits._asdict())


def _apply(*operands, rule, fields, size, names, flags, scalars):
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
        transform = rule(**dict(zip(names, numbers, strict=True)), **dict(flags))
        columns = [arrays[i : i + size] for i in range(0, first_number, size)]
        done = [
            _update_one(transform, fields, scalars, count, *row)
            for row in zip(*columns, strict=True)
        ]
        return [x for column in zip(*done, strict=True) for x in column]

    # Traced with Python numbers, which take the dtype of the arrays they meet: a float64 operand
    # would make float64 of them.
    from jax.extend.core import jaxpr_as_fun  # slow to import, and not needed before

    traced = jax.make_jaxpr(update)(arrays, 0, *[0.0] * len(names))
    return jaxpr_as_fun(traced)(*jax.tree.leaves(arrays), *numbers)


def _update_one(transform, fields, scalars, count, param, grad, *held):
    p, g = _as_real(param), _as_real(grad)
    known = {"count": count}
    for (name, field), x in zip(fields, held, strict=True):
        if x is not None:
            known[field] = x if name in scalars else _as_real(x)
    state = tuple(
        s._replace(**{f: known[f] for f in s._fields if f in known}) for s in transform.init(p)
    )
    updates, state = transform.update(g, state, p)
    found = {f: getattr(s, f) for s in state for f in s._fields}
    kept = [
        found[field].astype(x.dtype) if name in scalars else _like(found[field], param)
        for (name, field), x in zip(fields, held, strict=True)
    ]
    return [_like(optax.apply_updates(p, updates), param), *kept]


def _as_real(x):
    """Return what the update computes with: real numbers, at least float32."""
    if jnp.iscomplexobj(x):
        return jnp.stack([x.real, x.imag], -1)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _like(x, param):
    if jnp.iscomplexobj(param):
        return jax.lax.complex(x[..., 0], x[..., 1])
    return x.astype(param.dtype)
