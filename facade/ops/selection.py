"""Ops that choose between elements: bounds, the greater, the lesser, ``where``."""

import jax.numpy as jnp
from jax.lax import stop_gradient

from facade.avals import Aval
from facade.dtypes import SCALAR_NAMES, bool_, uint8
from facade.errors import bad_argument
from facade.ops.declare import by_number, kernel, pair_overloads, refuse
from facade.ops.registry import Array, Promote, Raw, op

_SAME = {"promotes": Promote.SAME, "inplace": True, "out": True}
_FUNCTION = {"promotes": Promote.SAME, "out": True}  # PyTorch has no in-place form

# ---- bounds ----


def _at_least(input, bound):
    return _bounded(input, bound, input >= bound)


def _at_most(input, bound):
    return _bounded(input, bound, input <= bound)


def _bounded(input, bound, within):
    """Return ``input`` where it is within, else ``bound``; nan wins, without a gradient."""
    return jnp.where(within, input, jnp.where(input != input, stop_gradient(input), bound))


def _check_clamp(input, min, max) -> None:
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    bounds = [b for b in (min, max) if b is not None]
    if len({isinstance(b, type) for b in bounds}) > 1:
        got = ", ".join("Tensor" if isinstance(b, Aval) else b.__name__ for b in bounds)
        raise TypeError(
            f"clamp() received an invalid combination of arguments - got (Tensor, {got}), but "
            "expected one of:\n * (Tensor input, Tensor min = None, Tensor max = None, *, "
            "Tensor out = None)\n * (Tensor input, Number min = None, Number max = None, *, "
            "Tensor out = None)\n"
        )
    if complex in bounds and input.dtype.is_floating_point:
        raise RuntimeError("value cannot be converted to type double without overflow")
    if input.dtype is bool_ and set(bounds) == {bool}:
        which = "_min" if max is None else "_max" if min is None else ""
        raise NotImplementedError(f"\"clamp{which}_scalar_cpu\" not implemented for 'Bool'")
    unsupported = NotImplementedError, "clamp is not supported for complex types"
    refuse(complex=unsupported)(**{str(i): a for i, a in enumerate((input, *bounds))})


def _clamp_name(min, max):
    return "ClampBackward1" if isinstance(max if min is None else min, type) else "ClampBackward0"


@op(check=_check_clamp, aliases=("clip",), grad_name=_clamp_name, **_SAME)
def clamp(input: Array, min: Array | None = None, max: Array | None = None):
    """Return ``input`` moved into ``[min, max]``; at a bound the gradient is ``input``'s."""
    raised = input if min is None else _at_least(input, min)
    return raised if max is None else _at_most(raised, max)


@op(
    grad_name=by_number("min", "ClampMinBackward0", "ClampMinBackward1"), **_SAME,
    overloads=pair_overloads("min"),
    check=refuse(complex=kernel("maximum_cpu")),
)  # fmt: skip
def clamp_min(input: Array, min: Array):
    """Return ``input``, or ``min`` where that is greater."""
    return _at_least(input, min)


@op(
    grad_name=by_number("max", "ClampMaxBackward0", "ClampMaxBackward1"), **_SAME,
    overloads=pair_overloads("max"),
    check=refuse(complex=kernel("minimum_cpu")),
)  # fmt: skip
def clamp_max(input: Array, max: Array):
    """Return ``input``, or ``max`` where that is less."""
    return _at_most(input, max)


# ---- greater and lesser ----


def _refuse_complex(name: str):
    return refuse(name, complex=(RuntimeError, f"{name} not implemented for complex tensors."))


@op(check=_refuse_complex("maximum"), **_FUNCTION)
def maximum(input: Array, other: Array):
    """Return the greater of the two; nan wins, ties share the gradient."""
    return jnp.maximum(input, other)


@op(check=_refuse_complex("minimum"), **_FUNCTION)
def minimum(input: Array, other: Array):
    """Return the lesser of the two; nan wins, ties share the gradient."""
    return jnp.minimum(input, other)


@op(check=_refuse_complex("fmax"), **_FUNCTION)
def fmax(input: Array, other: Array):
    """Return the greater of the two, a number rather than nan."""
    return jnp.where((input >= other) | (other != other), input, other)


@op(check=_refuse_complex("fmin"), **_FUNCTION)
def fmin(input: Array, other: Array):
    """Return the lesser of the two, a number rather than nan."""
    return jnp.where((input <= other) | (other != other), input, other)


# ---- where ----


def check_condition(condition) -> None:
    """Raise PyTorch's error if ``where``'s condition is not a mask."""
    if not isinstance(condition, Aval):
        raise bad_argument("where", "condition", 1, "Tensor", condition())
    if condition.dtype not in (bool_, uint8):
        raise RuntimeError(
            "where expected condition to be a boolean tensor, "
            f"but got a tensor with dtype {SCALAR_NAMES[condition.dtype]}"
        )


@op(
    public="", promotes=Promote.SAME,
    check=lambda condition, **_: check_condition(condition),
)  # fmt: skip
def where(condition: Raw, input: Array, other: Array):
    """Return ``input`` where ``condition`` holds, else ``other``."""
    return jnp.where(condition.astype(bool), input, other)
