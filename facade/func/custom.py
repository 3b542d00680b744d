"""autograd.Function in a function that is traced: an instruction with its own derivative."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from facade.autograd import function
from facade.autograd.function import FunctionCtx, SavedTensor, tensors_in
from facade.autograd.grad_mode import enable_grad, no_grad
from facade.func.batching import BatchTrace
from facade.func.run import REVERSE_MODE, device_of
from facade.func.trace import FORWARD_MODE, Input, Trace, Traced, enclosing, record_all
from facade.func.vmap_rules import batched
from facade.tape import state
from facade.tensor import Tensor

_TRANSFORMS = REVERSE_MODE | FORWARD_MODE | {"vmap"}
_NO_SETUP = (
    "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, jacrev, "
    "...), it must override the setup_context staticmethod. For more details, please see "
    "https://pytorch.org/docs/main/notes/extending.func.html"
)


def apply(cls, ctx: FunctionCtx, args: tuple, separate: bool) -> Any:
    """Record ``cls.apply(*args)`` as one instruction, derivative included.

    Args:
        separate: Whether ``ctx`` is filled by ``setup_context``.
    Raises:
        RuntimeError: it can't be transformed.
    """
    around = [tape.transform for tape in enclosing()]
    if not separate and not _TRANSFORMS.isdisjoint(around):
        raise RuntimeError(_NO_SETUP)
    if isinstance(state.tape, BatchTrace):  # its rule decides, and is differentiated as it stands
        found = batched(cls, args)
        if found:
            return found[0]
    given, forward_mode = tensors_in(args), not FORWARD_MODE.isdisjoint(around)
    order = sum(name in REVERSE_MODE or name in FORWARD_MODE for name in around) + 1
    tape = Trace(device_of(given), cls.__name__)
    inputs = [tape.placeholder(x._aval, x) for x in given]
    queue = iter(inputs)
    stand_ins = tuple(next(queue) if isinstance(x, Tensor) else x for x in args)
    with tape.recording(), no_grad():
        found = batched(cls, stand_ins)
        if separate:
            result = found[0] if found else cls.forward(*stand_ins)
            cls.setup_context(ctx, stand_ins, result)
        else:
            result = cls.forward(ctx, *stand_ins)
    outputs = tensors_in(result if isinstance(result, tuple) else (result,))
    derivative = _Derivative(cls, ctx, stand_ins, inputs, outputs)
    forward = Traced(tape, [*outputs, *derivative.kept], len(inputs))
    functions, key = (forward,), (cls.__name__, len(outputs), len(derivative.kept))
    if any(ctx.needs_input_grad) and _running.derivatives.count(cls) > order:
        key = (*key, (), (), False, order)  # a backward that applies its own class, and so on
    elif any(ctx.needs_input_grad):
        functions = (forward, derivative.traced(forward_mode))
        key = (*key, derivative.places, derivative.found, derivative.forward_mode)
    found = record_all(_custom, key, functions, tuple(given))
    return _placed(ctx, given, inputs, outputs, forward.checked(found), result)


def _placed(ctx, given: list, inputs: list, outputs: list, found: tuple, result) -> Any:
    """Return what ``apply`` returns: results in place of what stood for them."""
    fixed = {id(x) for x in ctx.non_differentiable or ()}
    dirty = {id(x): own for x, own in zip(inputs, given, strict=True)
             if any(x is d for d in ctx.dirty_tensors or ())}  # fmt: skip
    made = {}
    for x, value in zip(outputs, found, strict=True):
        if id(x) in dirty:
            dirty[id(x)].write(value)
            value = dirty[id(x)]
        made[id(x)] = value.detach() if id(x) in fixed else value
    if isinstance(result, tuple):
        return tuple(made.get(id(x), x) for x in result)
    return made[id(result)] if isinstance(result, Tensor) else result


class _Running(threading.local):
    """The classes whose derivative a thread traces now, outermost first."""

    def __init__(self) -> None:
        self.derivatives: list[type] = []

    @contextlib.contextmanager
    def derivative_of(self, cls: type) -> Iterator[None]:
        self.derivatives.append(cls)
        try:
            yield
        finally:
            self.derivatives.pop()


_running = _Running()


class _Derivative:
    """What ``backward``, or ``jvp``, computes from what ``forward`` left in ``ctx``.

    Attributes:
        kept: Tensors that are neither arguments nor results of ``forward``, but found in ``ctx``.
        places: Per tensor found in ``ctx``, whether it is an ``"input"``, an ``"output"`` or
            ``"kept"``, and its number.
        found: Per tensor computed, which input (``backward``) or output (``jvp``) it belongs to.
    """

    def __init__(self, cls, ctx: Any, args: tuple, inputs: list, outputs: list) -> None:
        self.cls, self.ctx, self.args = cls, ctx, args
        self.inputs, self.outputs = inputs, outputs
        self.attributes = [k for k, x in vars(ctx).items() if isinstance(x, Tensor)]
        self.saved = [*(ctx.to_save or ()), *(ctx.saved_for_forward or ())]
        self.held = tensors_in([*self.saved, *(getattr(ctx, k) for k in self.attributes)])
        known = {id(x): ("input", i) for i, x in enumerate(inputs)}
        for i, x in enumerate(outputs):
            known.setdefault(id(x), ("output", i))
        self.kept = [x for x in self.held if id(x) not in known]
        known.update((id(x), ("kept", i)) for i, x in enumerate(self.kept))
        self.places = tuple(known[id(x)] for x in self.held)
        self.found: tuple[int, ...] = ()
        self.forward_mode = False

    def traced(self, forward_mode: bool) -> Traced:
        """Return the derivative as a function of what was saved, and of (co)tangents."""
        self.forward_mode = forward_mode
        around = self.inputs if forward_mode else self.outputs
        fixed = {id(x) for x in self.ctx.non_differentiable or ()}
        tape = Trace(device_of(self.inputs), self.cls.__name__)
        held = [tape.placeholder(x._aval, None, _history(x)) for x in self.held]
        moved = [tape.placeholder(x._aval, None, _history(x)) for x in around]
        self._restore(held)
        with tape.recording(), enable_grad(), _running.derivative_of(self.cls):
            given = [m if _history(x) and id(x) not in fixed else None
                     for x, m in zip(around, moved, strict=True)]  # fmt: skip
            results = self._pushed(given) if forward_mode else self._pulled(given)
        self.found = tuple(i for i, x in enumerate(results) if x is not None)
        return Traced(tape, [results[i] for i in self.found], len(held) + len(moved))

    def _restore(self, held: list) -> None:
        """Let ``ctx`` have placeholders instead of the tensors of the forward trace."""
        queue = iter(held)
        saved = [None if x is None else next(queue) for x in self.saved]
        for name in self.attributes:
            setattr(self.ctx, name, next(queue))
        count = len(self.ctx.to_save or ())
        if self.ctx.to_save is not None and not self.forward_mode:
            self.ctx._saved = [None if x is None else SavedTensor(x, None) for x in saved[:count]]
        if self.ctx.saved_for_forward is not None:
            self.ctx.saved_for_forward = tuple(saved[count:])

    def _pulled(self, cotangents: list) -> list:
        edges = tuple((_history(x), 0) if _history(x) else None for x in self.inputs)
        node = self.cls._backward_cls(self.ctx, self.args, edges)
        node.outputs = tuple(x._aval for x in self.outputs)
        node.device = self.inputs[0].device
        return node.backward(cotangents, True)

    def _pushed(self, tangents: list) -> list:
        queue = iter(tangents)
        given = [next(queue) if isinstance(x, Tensor) else None for x in self.args]
        result = self.cls.jvp(self.ctx, *given)
        return list(result) if isinstance(result, tuple) else [result]


def _history(x: Tensor) -> Input | None:
    return Input(x._aval) if x.is_floating_point() or x.is_complex() else None


# ---- in JAX --------------------------------------------------------------------------------------


def _custom(
    pures: list, name: str, count: int, kept: int, places: tuple = (), found: tuple = (),
    pushes: bool = False, order: int | None = None,
) -> Callable:  # fmt: skip
    def combined(inputs, rests):
        if len(pures) == 1:
            if order is not None:
                inputs = _refusing(name, order)(tuple(inputs))
            values = pures[0](inputs, rests[0])
            return (*values[:count], *values[count + kept :])
        outside = jax.lax.stop_gradient((inputs, rests[0]))  # differentiated by `special` alone
        return (*special(tuple(inputs), *rests), *pures[0](*outside)[count + kept :])

    def plain(inputs, rest, own):
        return tuple(pures[0](inputs, rest)[:count])

    special: Any = jax.custom_jvp(plain) if pushes else jax.custom_vjp(plain)

    def saved(inputs, outputs, rest) -> list:
        values = pures[0](*jax.lax.stop_gradient((inputs, rest)))[count:] if kept else ()
        pools = {"input": inputs, "output": outputs, "kept": values}
        return [pools[kind][i] for kind, i in places]

    def forward(inputs, rest, own):
        outputs = special(inputs, rest, own)  # so that what was saved of them has this derivative
        return outputs, (inputs, saved(inputs, outputs, rest), own)

    def pull(residuals, cotangents):
        inputs, held, own = residuals
        gradients = pures[1]([*held, *map(_plain, cotangents)], own)
        by_input = dict(zip(found, map(_conjugate, gradients), strict=False))
        return tuple(by_input.get(i) for i in range(len(inputs))), None, None

    def push(primals, tangents):
        outputs = special(*primals)
        inputs, rest, own = primals
        moved = pures[1]([*saved(inputs, outputs, rest), *map(_plain, tangents[0])], own)
        by_output = dict(zip(found, moved, strict=False))
        return outputs, tuple(by_output.get(i, _no_tangent(x)) for i, x in enumerate(outputs))

    special.defjvp(push) if pushes else special.defvjp(forward, pull)
    combined.__name__ = name
    return combined


def _refusing(name: str, order: int) -> Callable:
    """Return the identity, which can't be differentiated."""
    identity: Any = jax.custom_jvp(lambda x: x)

    def push(primals, tangents):
        raise NotImplementedError(
            f"{name}: its backward applies {name} again, and was traced for derivatives up to "
            f"order {order + 1}: use one transformation (grad, jacrev, ...) for each"
        )

    identity.defjvp(push)
    return identity


def _plain(x):
    """Return a (co)tangent; of whole numbers, which have none, zeros."""
    return jnp.zeros(x.shape) if x.dtype == jax.dtypes.float0 else _conjugate(x)


def _no_tangent(x):
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return jnp.zeros_like(x)
    return jnp.zeros(x.shape, jax.dtypes.float0)


def _conjugate(x):
    return jnp.conj(x) if jnp.iscomplexobj(x) else x


function.apply_traced = apply
