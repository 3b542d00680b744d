"""cond, while_loop and scan: choices and loops whose course depends on values."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from facade import functions
from facade.func.run import REVERSE_MODE, device_of, refill
from facade.func.trace import FORWARD_MODE, Input, Trace, Traced, record_all, transforms
from facade.func.trees import flatten, tensors_of, unflatten
from facade.tensor import Tensor


def _traced(name: str, function: Callable, operands: list[Tensor], avals=None) -> tuple:
    """Run a function on placeholders for ``operands``; return its trace and its result."""
    tape = Trace(device_of(operands), name)
    known = avals or [x._aval for x in operands]
    inputs = [
        tape.placeholder(a, x, Input(a) if x._fresh_node() is not None else None)
        for x, a in zip(operands, known, strict=True)
    ]
    try:
        with tape.recording():
            result = function(*inputs)
            found = tensors_of(result)
        if tape.written_outside():
            raise RuntimeError(f"{name}: a function writes in place to a tensor from outside")
        return Traced(tape, found, len(operands)), result
    finally:
        tape.finish()


# ---- cond ----


def cond(
    pred: bool | int | float | Tensor,
    true_fn: Callable,
    false_fn: Callable,
    operands: tuple | list = (),
) -> Any:
    """Return ``true_fn(*operands)`` or ``false_fn(*operands)``; only that one runs.

    Args:
        pred: Which one: a bool, or a tensor of one element.
        operands: Nested containers of tensors.
    Raises:
        RuntimeError: the arguments are none of these, or the results are unlike.
    """
    if isinstance(pred, bool | int | float):
        return (true_fn if pred else false_fn)(*operands)
    _check_cond(pred, true_fn, false_fn, operands)
    leaves, structure = flatten(tuple(operands))
    branches = [
        _traced("cond", lambda *x, f=f: f(*unflatten(structure, x)), leaves)
        for f in (false_fn, true_fn)
    ]
    (no, result), (yes, other) = branches
    if flatten(result)[1] != flatten(other)[1]:
        raise RuntimeError(
            "Unmatched output spec from torch.cond branches: true branch tree_spec "
            f"{flatten(other)[1]} vs false branch tree_spec {flatten(result)[1]}."
        )
    for a, b in zip(yes.avals, no.avals, strict=False):
        if a.shape != b.shape or a.dtype is not b.dtype:
            raise RuntimeError(
                "torch.cond: expected both branches to return tensors of one shape and dtype, got "
                f"{list(a.shape)} {a.dtype} and {list(b.shape)} {b.dtype}"
            )
    key = ((_checks_of(no), _checks_of(yes)),)
    found = record_all(_choice, key, (no, yes), (pred, *leaves))
    return refill(result, no.checked(yes.checked(found)))


def _checks_of(f: Traced) -> tuple:
    """Return the shapes of what a function's checks look at."""
    return tuple(a.shape for a in f.avals[len(f.avals) - len(f.errors) :])


def _check_cond(pred, true_fn, false_fn, operands) -> None:
    if not isinstance(pred, Tensor):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if pred.numel() != 1:
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    if not isinstance(operands, tuple | list) or not all(
        isinstance(x, Tensor) for x in flatten(tuple(operands))[0]
    ):
        raise RuntimeError(
            "Expect operands to be a tuple of possibly nested dict/list/tuple that only consists "
            f"of tensor leaves, but got {operands}."
        )


def _choice(pures: list, unchecked: tuple) -> Callable:
    def cond(inputs, rests):
        pred, *operands = inputs

        def no():
            return (*pures[0](operands, rests[0]), *_nothing_wrong(unchecked[1]))

        def yes():
            results = pures[1](operands, rests[1])
            end = len(results) - len(unchecked[1])
            return (*results[:end], *_nothing_wrong(unchecked[0]), *results[end:])

        return jax.lax.cond(pred.reshape(()).astype(bool), yes, no)

    return cond


def _nothing_wrong(shapes: tuple) -> list:
    """Return what checks that were not made find."""
    return [jnp.full(shape, -1, jnp.int64) for shape in shapes]


# ---- while_loop ----


def while_loop(cond_fn: Callable, body_fn: Callable, carried_inputs: tuple | list) -> tuple:
    """Repeat ``values = body_fn(*values)`` as long as ``cond_fn(*values)``; return them.

    Where a gradient is wanted the loop runs in Python, since its length is known only then. Inside
    a transformed function there are derivatives in forward mode.

    Args:
        carried_inputs: The values at first: tensors and Python numbers.
    Raises:
        RuntimeError: the body returns something unlike its arguments, or a gradient is wanted in
            a transformed function.
    """
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError("Expect cond_fn and body_fn to be callable.")
    if not isinstance(carried_inputs, tuple | list):
        raise RuntimeError(
            "Expect carried_inputs to be a tuple of possibly nested dict/list/tuple that only"
            f"consists of tensor or int leaves, but got {carried_inputs}."
        )
    leaves, structure = flatten(tuple(carried_inputs))
    first = [x if isinstance(x, Tensor) else functions.tensor(x) for x in leaves]
    test, _ = _traced("while_loop", lambda *x: cond_fn(*unflatten(structure, x)), first)
    body, result = _traced("while_loop", lambda *x: body_fn(*unflatten(structure, x)), first)
    avals = body.avals[: len(body.avals) - len(body.errors)]
    if len(avals) != len(first) or any(
        a.shape != x.shape or a.dtype is not x.dtype for a, x in zip(avals, first, strict=True)
    ):
        raise RuntimeError(
            "Expected carried_inputs and body_output to have same metadata but found: "
            f"{[(list(x.shape), x.dtype) for x in first]} and "
            f"{[(list(a.shape), a.dtype) for a in avals]}"
        )
    if any(body.tracked) and not _is_pushed():
        return _loop_in_python(cond_fn, body_fn, unflatten(structure, first))
    found = record_all(_loop, (_checks_of(body),), (test, body), tuple(first))
    return tuple(refill(result, test.checked(body.checked(found))))


def _is_pushed() -> bool:
    """Return whether a function is traced for derivatives in forward mode, which a loop has.

    Raises:
        RuntimeError: it is traced for one in reverse mode.
    """
    around = transforms()
    if not around:
        return False
    if around & FORWARD_MODE and not around & REVERSE_MODE:
        return True
    raise RuntimeError(
        "while_loop: there is no gradient of a loop of unknown length inside a transformed "
        "function. Use scan, a Python loop of fixed length, or forward mode (jvp, jacfwd)."
    )


def _loop_in_python(cond_fn, body_fn, values: tuple) -> tuple:
    while cond_fn(*values):
        values = tuple(body_fn(*values))
    return values


def _loop(pures: list, unchecked: tuple) -> Callable:
    test, body = pures

    def while_loop(inputs, rests):
        count = len(inputs)

        def tested(values):
            go_on, *checks = test(values, rests[0])
            return go_on.reshape(()).astype(bool), checks

        def step(state):
            _, values, made = state
            results = body(values, rests[1])
            go_on, checks = tested(results[:count])
            new = [*checks, *results[count:]]
            return go_on, results[:count], list(map(_first_wrong, made, new))

        go_on, checks = tested(inputs)
        start = go_on, list(inputs), [*checks, *_nothing_wrong(unchecked)]
        _, values, made = jax.lax.while_loop(lambda state: state[0], step, start)
        return *values, *made

    return while_loop


def _first_wrong(before, now):
    return jnp.where(before[..., :1] >= 0, before, now)


# ---- scan ----


def scan(
    combine_fn: Callable, init: Any, xs: Any, *, dim: int = 0, reverse: bool = False
) -> tuple[Any, Any]:
    """Go through the slices of ``xs``: ``carry, y = combine_fn(carry, x)``.

    Args:
        init: The first carry, nested containers of tensors.
        xs: Nested containers of tensors of one length along ``dim``.
        reverse: Begin with the last slice.
    Returns:
        The last carry, and the ``y`` of all slices, stacked along dimension 0.
    """
    if not callable(combine_fn):
        raise RuntimeError(f"Combine_fn must be a callable, but got {combine_fn}")
    if not isinstance(dim, int):
        raise RuntimeError("Dim must be an int, but got " + str(type(dim)))
    carry, carry_structure = flatten(init)
    rows, structure = flatten(xs)
    if not rows:
        raise RuntimeError("scan() operator requires at least one xs leaf.")
    rows = [x.movedim(dim, 0) for x in rows]
    avals = [x[0]._aval for x in rows]

    def step(*values):
        state = unflatten(carry_structure, values[: len(carry)])
        return combine_fn(state, unflatten(structure, values[len(carry) :]))

    known = [x._aval for x in carry] + avals
    body, result = _traced("scan", step, [*carry, *rows], known)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"Expected combine_fn to return a tuple of length 2, but got {type(result)}"
        )
    if any(
        a.shape != x.shape or a.dtype is not x.dtype
        for a, x in zip(body.avals[: len(carry)], carry, strict=True)
    ):
        raise RuntimeError("Expected init and carry to have same metadata")
    found = record_all(_scan, (len(carry), reverse), (body,), (*carry, *rows))
    return refill(result, body.checked(found))


def _scan(pures: list, count: int, reverse: bool) -> Callable:
    def scan(inputs, rests):
        def step(carry, x):
            results = pures[0]([*carry, *x], rests[0])
            return tuple(results[:count]), tuple(results[count:])

        carry, ys = jax.lax.scan(
            step, tuple(inputs[:count]), tuple(inputs[count:]), reverse=reverse
        )
        return (*carry, *ys)

    return scan


__all__ = ["cond", "scan", "while_loop"]
