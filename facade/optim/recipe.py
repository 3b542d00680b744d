"""Say what an optimizer's step does to a parameter group, and record it as one instruction."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from facade.avals import Aval, aval
from facade.devices import device
from facade.dtypes import float32, float64, get_default_dtype
from facade.recording import record_function, record_update, wrap
from facade.storage import Storage
from facade.tape import state as thread
from facade.tensor import Tensor


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

    def record(
        self, params: list[Tensor], states: list[dict], count: int | Tensor, unless: Any = None
    ) -> None:
        """Record one update of ``params``, each with a gradient and its state.

        Args:
            count: How many steps they have taken: the tensor that counts them if ``unless`` is.
            unless: A tensor of one number; if that is not 0, nothing changes.
        """
        held = self.held(states)
        if any(x is None for x in held):
            self.begin(params, states)
            held = self.held(states)
        operands = (*params, *[p._grad for p in params], *held, count, *self.numbers)
        targets = [*params, *held]
        update = _update_function(self.traits, len(params))
        if unless is not None:
            update = _conditional(update, len(params), len(held))
            results = record_update(update, (*operands, unless), [*targets, count])
        elif thread.grad:
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


@functools.cache
def _conditional(update: Callable, size: int, held: int) -> Callable:
    """Return ``update`` with a condition and the count of steps: always the same object."""

    def unless(*operands):
        *operands, found = operands
        at = 2 * size + held
        old, count = (*operands[:size], *operands[2 * size : at]), operands[at]
        operands[at] = count.astype(jnp.int64)
        chosen = [jnp.where(found > 0, a, b) for a, b in zip(old, update(*operands), strict=True)]
        return [*chosen, jnp.where(found > 0, count, count + 1)]

    return unless


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
