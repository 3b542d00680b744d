"""Turn facade code into pure JAX functions: run it on tracers, on a tape of its own."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax

from facade.devices import CPU
from facade.nn.module import Module
from facade.program import flush
from facade.storage import Storage
from facade.tape import Tape, state
from facade.tensor import Tensor


def to_jax(target: Callable | Module) -> Any:
    """Return ``target`` as a pure JAX function.

    A function on tensors becomes one on jax arrays. A module becomes a pair: the function
    ``apply(state, *args) -> (result, state)`` and its state, ``{"parameters": {name: array},
    "buffers": {name: array}}``. Both work under ``jax.jit``, ``jax.grad``, ``jax.vmap`` and with
    optax. Arguments and results are pytrees of arrays.

    Example:
        >>> apply, state = facade.to_jax(model)
        >>> prediction, state = jax.jit(apply)(state, images)
    """
    if isinstance(target, Module):
        return _module_to_jax(target)

    @functools.wraps(target)
    def pure(*args, **kwargs):
        with _own_tapes():
            return _arrays(target(*_tensors(args), **_tensors(kwargs)))

    return pure


def _module_to_jax(module: Module):
    owned = {
        "parameters": dict(module.named_parameters()),
        "buffers": dict(module.named_buffers()),
    }

    def apply(state, *args, **kwargs):
        with _own_tapes(), _holding(owned, state):
            result = module(*_tensors(args), **_tensors(kwargs))
            return _arrays((result, owned))

    return apply, {
        kind: {name: t.__jax_array__() for name, t in ts.items()} for kind, ts in owned.items()
    }


@contextlib.contextmanager
def _own_tapes():
    """Record on fresh tapes inside: what is pending outside stays there."""
    outer = state.tapes, state.tape
    state.tape = Tape(CPU, pure=True)
    state.tapes = {CPU: state.tape}
    try:
        yield
    finally:
        for tape in state.tapes.values():
            flush(tape)
        state.tapes, state.tape = outer


@contextlib.contextmanager
def _holding(owned: dict, arrays: dict):
    """Let the module's tensors hold other arrays for a while."""
    pairs = [(t, arrays[kind][name]) for kind, ts in owned.items() for name, t in ts.items()]
    cells = [t._cell for t, _ in pairs]
    for t, array in pairs:
        t._cell = Storage(t._aval, t.device, array)
    try:
        yield
    finally:
        for (t, _), cell in zip(pairs, cells, strict=True):
            t._cell = cell


def _tensors(tree):
    return jax.tree.map(lambda x: Tensor._from_array(x) if hasattr(x, "shape") else x, tree)


def _arrays(tree):
    return jax.tree.map(
        lambda x: x.__jax_array__() if isinstance(x, Tensor) else x,
        tree,
        is_leaf=lambda x: isinstance(x, Tensor),
    )


__all__ = ["to_jax"]
