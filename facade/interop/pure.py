"""Turn facade code into pure JAX functions: run it on tracers, on a tape of its own."""

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from facade.devices import CPU
from facade.func.trace import Input, stopped_code
from facade.functions.draws import given, record_draw, record_draw_like, short_seed
from facade.graph import AccumulateGrad
from facade.interop.steps import step_to_jax
from facade.nn.activation import RReLU
from facade.nn.dropout import _DropoutNd as AnyDropout
from facade.nn.module import Module
from facade.program import flush
from facade.storage import Storage
from facade.tape import Tape, state
from facade.tensor import Tensor


def to_jax(target: Callable | Module, *example: Any, random: bool | None = None) -> Any:
    """Return ``target`` as a pure JAX function.

    A function on tensors becomes one on jax arrays. A module becomes a pair: the function
    ``apply(state, *args) -> (result, state)`` and its state, ``{"parameters": {name: array},
    "buffers": {name: array}}``, and ``"random": {"seed", "count"}`` if it draws random numbers:
    each call draws others, the same from the same state. Both work under ``jax.jit``, ``jax.grad``,
    ``jax.vmap`` and with optax. Arguments and results are pytrees of arrays. Gradients stop where
    PyTorch's do: at ``detach()``, ``no_grad()``, parameters that don't require grad.

    With arguments to record it with, a function that reads and writes what is outside (a training
    step, one that draws random numbers) becomes such a pair, too; see
    :func:`facade.interop.steps.step_to_jax`.

    Args:
        random: Whether a module draws random numbers; unless given, whether it is in training mode
            and has layers that do.
    Raises:
        RuntimeError: (when called) a module draws random numbers and its state has none.

    Example:
        >>> apply, state = facade.to_jax(model)
        >>> prediction, state = jax.jit(apply)(state, images)
        >>> apply, state = facade.to_jax(training_step, images, labels)
        >>> loss, state = jax.jit(apply)(state, images, labels)
    """
    if isinstance(target, Module):
        return _module_to_jax(target, _draws(target) if random is None else random)
    if example:
        return step_to_jax(target, example)

    @functools.wraps(target)
    def pure(*args, **kwargs):
        with _own_tapes():
            return _arrays(target(*_tensors(args), **_tensors(kwargs)))

    return pure


def _module_to_jax(module: Module, random: bool):
    owned = {
        "parameters": dict(module.named_parameters()),
        "buffers": dict(module.named_buffers()),
    }

    def apply(state, *args, **kwargs):
        with _own_tapes(), _holding(owned, state), Numbers(state.get("random")) as numbers:
            result = module(*_tensors(args), **_tensors(kwargs))
            result, following = _arrays((result, owned))
        return result, following | numbers.following()

    held: dict[str, Any] = {
        kind: {name: t.__jax_array__() for name, t in ts.items()} for kind, ts in owned.items()
    }
    if random:
        held["random"] = {"seed": np.int32(short_seed()), "count": np.int32(0)}
    return apply, held


def _draws(module: Module) -> bool:
    return any(m.training and _is_random(m) for m in module.modules())


def _is_random(layer: Module) -> bool:
    rate = getattr(layer, "dropout", None)  # of attention and recurrent layers
    return isinstance(layer, AnyDropout | RReLU) or (type(rate) is float and rate > 0)


class Numbers:
    """The random numbers of one call: of a seed, and of how many draws were made before.

    Args:
        state: ``{"seed", "count"}``, None where no draws are expected.
    """

    def __init__(self, state: dict | None) -> None:
        self.state, self.drawn = state, 0

    def __enter__(self) -> "Numbers":
        self.before, given.source = given.source, self
        return self

    def __exit__(self, *exception: object) -> None:
        given.source = self.before

    def following(self) -> dict:
        """Return the state of the next call."""
        if self.state is None:
            return {}
        return {"random": {**self.state, "count": self.state["count"] + self.drawn}}

    def draw(self, draw: Callable, law, parameters, known, where, generator=None) -> Tensor:
        return record_draw(self._next(), law, parameters, known, where)

    def draw_like(self, draw: Callable, engine, *arguments) -> Tensor:
        where, _, _, name, sources, static = arguments
        return record_draw_like(self._next(), where, name, sources, static)

    def _next(self) -> tuple[Tensor, Tensor]:
        if self.state is None:
            raise RuntimeError(
                "to_jax: the module draws random numbers, and its state has no seed for them: "
                "call to_jax(module, random=True)"
            )
        numbers = self.state["seed"], self.state["count"] + self.drawn
        self.drawn += 1
        seed, count = (Tensor._from_array(jnp.asarray(x, jnp.int32)) for x in numbers)
        return seed, count


@contextlib.contextmanager
def _own_tapes():
    """Record on fresh tapes inside: what is pending outside stays there."""
    outer = state.tapes, state.tape, state.grad
    state.tape = Tape(CPU, pure=True)
    state.tape.limit = sys.maxsize
    state.tapes, state.grad = {CPU: state.tape}, True
    try:
        yield
        for tape in state.tapes.values():
            flush(tape)
    finally:
        state.tapes, state.tape, state.grad = outer


def _stop_gradients(tape: Tape) -> None:
    """Have the instructions recorded so far stop JAX's gradients where PyTorch's stop."""
    path = tape.path
    masks = []
    while path.step is not None:
        masks.append(path.mask)
        path = path.parent
    leaves = {i for i, node in enumerate(tape.sources) if type(node) is AccumulateGrad}
    if tape.backward_pending:
        leaves.clear()  # a backward() inside asks for their gradients
    code = stopped_code(tape.path, None, leaves)
    for (entry, refs, edges), mask in zip(code, masks[::-1], strict=True):
        path = path.child(entry, refs, edges, mask)
    tape.path = path
    tape.nodes.clear()  # nothing is kept for a backward


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
    return jax.tree.map(lambda x: _argument(x) if hasattr(x, "shape") else x, tree)


def _argument(x) -> Tensor:
    """Return a tensor that holds an array, with a history: JAX may want its gradient."""
    t = Tensor._from_array(x)
    if t.is_floating_point() or t.is_complex():
        t._node, t._number = Input(t._aval), 0
    return t


def _arrays(tree):
    """Return ``tree`` with arrays for tensors; no gradient flows to those without a history."""
    tensors = [x for x in jax.tree.leaves(tree, is_leaf=_is_tensor) if _is_tensor(x)]
    tracks = {id(x): x.requires_grad for x in tensors}
    for x in tensors:
        if not x.is_leaf:
            x._node = None
    for tape in state.tapes.values():
        _stop_gradients(tape)

    def array(x):
        if not _is_tensor(x):
            return x
        value = x.__jax_array__()
        return value if tracks[id(x)] else jax.lax.stop_gradient(value)

    return jax.tree.map(array, tree, is_leaf=_is_tensor)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


__all__ = ["to_jax"]
