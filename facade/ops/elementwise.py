"""Arithmetic and other functions of two or three numbers, element by element."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from facade.avals import Aval
from facade.dtypes import C_NAMES, bool_, dtype, from_numpy, of_number, result_type
from facade.ops.declare import by_number, kernel, pair_overloads, refuse, tensors_only
from facade.ops.registry import Array, Promote, Scalar, op, promote

_SAME = {"promotes": Promote.SAME, "inplace": True, "out": True}
_FLOAT = {"promotes": Promote.FLOAT, "inplace": True, "out": True}
_FUNCTION = {"promotes": Promote.SAME, "out": True}  # PyTorch has no in-place form


# what PyTorch calls grad_fn where it knows no derivative; backward() refuses such a node
NO_DERIVATIVE = "torch::autograd::NotImplemented"


# ---- sums and products ----


def _check_alpha(*, alpha, **operands) -> None:
    if alpha is None:
        return
    result = promote(Promote.SAME, list(operands.values()))
    if alpha is bool and result is not bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    integral = not (result.is_floating_point or result.is_complex)
    if alpha in (float, complex) and integral:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if alpha is complex and not result.is_complex:
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )


def _check_sub(input, other, alpha) -> None:
    kinds = [a.dtype is bool_ if isinstance(a, Aval) else a is bool for a in (input, other)]
    if all(kinds):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    if any(kinds):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    _check_alpha(input=input, other=other, alpha=alpha)


def _scale(other, alpha):
    return other if alpha is None else other * alpha


@op(operator="add", check=_check_alpha, **_SAME)
def add(input: Array, other: Array, *, alpha: Scalar | None = None):
    """Return ``input + alpha * other``."""
    return jnp.add(input, _scale(other, alpha))


@op(operator="sub", reflected="rsub", check=_check_sub, aliases=("subtract",), **_SAME)
def sub(input: Array, other: Array, *, alpha: Scalar | None = None):
    """Return ``input - alpha * other``."""
    return input - _scale(other, alpha)


@op(
    check=_check_sub, promotes=Promote.SAME, public="function",
    grad_name=by_number("other", "RsubBackward1", "RsubBackward0"),
    overloads=(
        "Tensor input, Tensor other, *, Number alpha = 1",
        "Tensor input, Number other, Number alpha = 1",
    ),
)  # fmt: skip
def rsub(input: Array, other: Array, *, alpha: Scalar | None = None):
    """Return ``other - alpha * input``."""
    return other - _scale(input, alpha)


@op(operator="mul", aliases=("multiply",), **_SAME)
def mul(input: Array, other: Array):
    """Return ``input * other``."""
    return jnp.multiply(input, other)


def _check_addcmul(*, tensor1, tensor2, **_) -> None:
    tensors_only("addcmul", {"tensor1": tensor1, "tensor2": tensor2}, first=2)


@op(check=_check_addcmul, **_SAME)
def addcmul(input: Array, tensor1: Array, tensor2: Array, *, value: Scalar | None = None):
    """Return ``input + value * tensor1 * tensor2``."""
    return jnp.add(input, _scale(tensor1, value) * tensor2)


def _check_addcdiv(*, tensor1, tensor2, **_) -> None:
    tensors_only("addcdiv", {"tensor1": tensor1, "tensor2": tensor2}, first=2)
    if not any(a.dtype.is_floating_point or a.dtype.is_complex for a in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2))"
            ".to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for "
            "float inputs. The future addcdiv behavior is just the latter implementation: "
            "(input + value * tensor1 / tensor2), for all dtypes."
        )


@op(check=_check_addcdiv, **_SAME)
def addcdiv(input: Array, tensor1: Array, tensor2: Array, *, value: Scalar | None = None):
    """Return ``input + value * tensor1 / tensor2``."""
    return input + _scale(tensor1, value) / tensor2


def _check_lerp(input, end, weight) -> None:
    for name, operand in (("end", end), ("weight", weight)):
        if isinstance(operand, Aval) and operand.dtype is not input.dtype:
            if name == "weight" and not operand.ndim and operand.dtype.is_floating_point:
                continue
            raise RuntimeError(
                f"expected dtype {C_NAMES[input.dtype]} for `{name}` "
                f"but got dtype {C_NAMES[operand.dtype]}"
            )
    name = kernel("lerp_kernel_tensor" if isinstance(weight, Aval) else "lerp_kernel_scalar")
    refuse(bool=name, integer=name)(input=input)


@op(
    check=_check_lerp, **_SAME,
    grad_name=by_number("weight", "LerpBackward0", "LerpBackward1"),
    overloads=(
        "Tensor input, Tensor end, Tensor weight, *, Tensor out = None",
        "Tensor input, Tensor end, Number weight, *, Tensor out = None",
    ),
)  # fmt: skip
def lerp(input: Array, end: Array, weight: Array):
    """Return ``input + weight * (end - input)``, exact at both ends."""
    step = end - input
    return jnp.where(jnp.abs(weight) < 0.5, input + weight * step, end - step * (1 - weight))


# ---- division ----


def _check_div(input, other, rounding_mode) -> None:
    if rounding_mode not in (None, "trunc", "floor"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' "
            f"but found '{rounding_mode}'"
        )
    if rounding_mode:
        name = f"div_{rounding_mode}_cpu"
        refuse(bool=kernel(name), complex=kernel(name))(input=input, other=other)


@op(
    operator="truediv", reflected="rdiv", public="", promotes=Promote.FLOAT,
    grad_name="DivBackward0",
)  # fmt: skip
def div(input: Array, other: Array):
    """Return ``input / other``."""
    return _quotient(input, other)


@jax.custom_jvp
def _quotient(x, y):
    return x / y


# PyTorch's derivatives; JAX's own square the divisor, which overflows and loses digits
@partial(_quotient.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    result = _quotient(x, y)
    if isinstance(dy, SymbolicZero):
        return result, _quotient(dx, y)
    moved = -dy * _quotient(result, y)
    return result, moved if isinstance(dx, SymbolicZero) else _quotient(dx, y) + moved


# What PyTorch's own functions multiply and divide by is no tensor to them


@op(public="", differentiable=False, promotes=Promote.SAME)
def rounded_mul(input: Array, other: Array):
    """Return the product rounded before anything is added to it, as ops one by one are.

    XLA's compiler on the CPU makes one instruction of a product and a sum, which rounds once. What
    is chosen by its value it can't move.
    """
    product = input * other
    return jnp.where(product == product, product, jnp.nan)


@op(public="", promotes=Promote.SAME, grad_name="MulBackward1")
def mul_scalar(input: Array, other: Scalar):
    """Return ``input * other``."""
    return input * other


@op(public="", promotes=Promote.FLOAT, grad_name="DivBackward1")
def div_scalar(input: Array, other: Scalar):
    """Return ``input / other``."""
    return input / other


@op(public="", promotes=Promote.FLOAT, grad_name="MulBackward0")
def rdiv(input: Array, other: Array):
    """Return ``other / input`` as PyTorch does: the reciprocal times ``other``."""
    return jnp.reciprocal(input) * other


@op(public="", promotes=Promote.SAME, check=_check_div, grad_name="DivBackward2")
def div_mode(input: Array, other: Array, rounding_mode: str | None):
    """Return the quotient, rounded "floor" or "trunc"; integers stay integers."""
    return _floor_div(input, other) if rounding_mode == "floor" else _trunc_div(input, other)


def _trunc_div(input, other):
    if jnp.issubdtype(input.dtype, jnp.integer):
        return jax.lax.div(*jnp.broadcast_arrays(input, other))
    return jax.lax.stop_gradient(jnp.trunc(input / other))


def _floor_div(input, other):
    if jnp.issubdtype(input.dtype, jnp.integer):
        return jnp.floor_divide(input, other)
    rest = jnp.fmod(input, other)
    quotient = (input - rest) / other
    quotient = jnp.where((rest != 0) & ((other < 0) != (rest < 0)), quotient - 1, quotient)
    floor = jnp.floor(quotient)
    floor = jnp.where(quotient - floor > 0.5, floor + 1, floor)
    whole = jnp.where(quotient == 0, jnp.copysign(jnp.zeros_like(floor), input / other), floor)
    return jax.lax.stop_gradient(jnp.where(other == 0, input / other, whole))


@op(
    operator="floordiv", **_SAME, grad_name=NO_DERIVATIVE,
    check=refuse(bool=kernel("div_floor_cpu"), complex=kernel("div_floor_cpu")),
)  # fmt: skip
def floor_divide(input: Array, other: Array):
    """Return the quotient rounded down."""
    return _floor_div(input, other)


def _remainder_name(input, other):
    if isinstance(input, type):
        return NO_DERIVATIVE
    return "RemainderBackward0" if isinstance(other, type) else "RemainderBackward1"


@op(
    operator="mod", **_SAME, grad_name=_remainder_name,
    overloads=pair_overloads(number_first="plain"),
    check=refuse(bool=kernel("remainder_cpu"), complex=kernel("remainder_cpu")),
)  # fmt: skip
def remainder(input: Array, other: Array):
    """Return what is left of the division, with ``other``'s sign."""
    return jnp.remainder(input, other)


@op(
    grad_name=by_number("other", "FmodBackward0", "FmodBackward1"), **_SAME,
    overloads=pair_overloads(),
    check=refuse(bool=kernel("fmod_cpu"), complex=kernel("fmod_cpu")),
)  # fmt: skip
def fmod(input: Array, other: Array):
    """Return what is left of the division, with ``input``'s sign."""
    return jnp.fmod(input, other)


# ---- powers ----


def _number_type(input: dtype, exponent) -> dtype:
    return result_type([input], [], [of_number(type(exponent))])


def _check_pow_scalar(input, exponent) -> None:
    result = _number_type(input.dtype, exponent)
    integral = not (result.is_floating_point or result.is_complex)
    if integral and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")


@op(public="", promotes=Promote.SAME, grad_name="PowBackward0", check=_check_pow_scalar)
def pow_scalar(input: Array, exponent: float):
    """Return ``input ** exponent`` for an exponent known when compiling."""
    input = input.astype(_number_type(from_numpy(input.dtype), exponent).numpy)
    if input.dtype == bool:
        return input | (not exponent)
    if exponent in range(-32, 33):
        return jax.lax.integer_pow(input, int(exponent))
    if exponent == 0.5:
        return jnp.sqrt(input)
    return jnp.power(input, jnp.asarray(exponent, input.dtype))


@jax.custom_jvp
def _power(x, y):
    return jnp.power(x, y)


@_power.defjvp
def _power_jvp(primals, tangents):
    # at 0 JAX's derivative is nan where PyTorch's is 0
    (x, y), (x_tangent, y_tangent) = primals, tangents
    result = _power(x, y)
    flat, zero = y == 0, (x == 0) & (y >= 0)
    slope = jnp.where(flat, 0, y * _power(x, jnp.where(flat, 1, y) - 1))
    growth = jnp.where(zero, 0, result * jnp.log(jnp.where(zero, 1, x)))
    return result, x_tangent * slope + y_tangent * growth


def _pow_name(input):
    return "PowBackward2" if isinstance(input, type) else "PowBackward1"


@op(
    public="", promotes=Promote.SAME, grad_name=_pow_name, check=refuse(bool=kernel("pow")),
    overloads=pair_overloads("exponent", number_first="out"),
)  # fmt: skip
def pow(input: Array, exponent: Array):
    """Return ``input ** exponent``."""
    if jnp.issubdtype(input.dtype, jnp.floating):
        return _power(*jnp.broadcast_arrays(input, exponent))
    if not jnp.issubdtype(input.dtype, jnp.signedinteger):
        return jnp.power(input, exponent)
    # one over a whole number is whole for 1 and -1 alone
    sign = jnp.where(exponent % 2 == 0, 1, input)
    inverse = jnp.where(abs(input) == 1, sign, 0)
    return jnp.where(exponent < 0, inverse, jnp.power(input, jnp.maximum(exponent, 0)))


# ---- other functions of two numbers ----


def _no_integers(name: str):
    error = kernel(f"{name}_cpu")
    return refuse(name, bool=error, integer=error, complex=error)


_atan2 = jax.custom_jvp(jnp.arctan2)


@_atan2.defjvp
def _atan2_jvp(primals, tangents):
    (y, x), (y_tangent, x_tangent) = primals, tangents
    squares = x * x + y * y
    share = jnp.where(squares == 0, 0, 1 / squares)  # whose derivative is nan there, as PyTorch's
    return _atan2(y, x), (y_tangent * x - x_tangent * y) * share


@op(check=refuse("atan2", complex=kernel("atan2_cpu")), aliases=("arctan2",), **_FLOAT)
def atan2(input: Array, other: Array):
    """Return the angle of the point (other, input)."""
    return _atan2(*jnp.broadcast_arrays(input, other))


_hypot = jax.custom_jvp(jnp.hypot)


@_hypot.defjvp
def _hypot_jvp(primals, tangents):
    (x, y), (x_tangent, y_tangent) = primals, tangents
    length = _hypot(x, y)
    return length, x_tangent * (x / length) + y_tangent * (y / length)


@op(check=_no_integers("hypot"), **_SAME)
def hypot(input: Array, other: Array):
    """Return ``sqrt(input**2 + other**2)`` without overflow."""
    return _hypot(*jnp.broadcast_arrays(input, other))


@op(
    check=refuse("logaddexp", bool=kernel("logaddexp_cpu"), integer=kernel("logaddexp_cpu")),
    **_FUNCTION,
)
def logaddexp(input: Array, other: Array):
    """Return ``log(exp(input) + exp(other))``; a complex one's phase is not wrapped."""
    if not jnp.iscomplexobj(input):
        return jnp.logaddexp(input, other)
    first = input.real >= other.real
    high, low = jnp.where(first, input, other), jnp.where(first, other, input)
    none = jnp.isneginf(high.real)
    distance = jnp.where(none, 0, low - jnp.where(none, 0, high))
    return jnp.where(none, low, jnp.log1p(jnp.exp(distance)) + high)


@op(check=_no_integers("logaddexp2"), **_FUNCTION)
def logaddexp2(input: Array, other: Array):
    """Return ``log2(2**input + 2**other)``."""
    return jnp.logaddexp2(input, other)


@op(
    grad_name=by_number("other", "CopysignBackward1", "CopysignBackward0"), **_FLOAT,
    overloads=pair_overloads(),
    check=refuse(complex=kernel("copysign_cpu")),
)  # fmt: skip
def copysign(input: Array, other: Array):
    """Return ``input`` with ``other``'s sign; the gradient is 0 at 0."""
    signed = jnp.copysign(input, other)
    return jnp.where(input == 0, jax.lax.stop_gradient(signed), signed)


def _check_heaviside(input, values) -> None:
    tensors_only("heaviside", {"input": input, "values": values})
    if input.dtype.is_complex or values.dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


@op(check=_check_heaviside, grad_name=NO_DERIVATIVE, **_SAME)
def heaviside(input: Array, values: Array):
    """Return 0 below 0, 1 above it, ``values`` at 0."""
    step = (input > 0).astype(input.dtype)
    return jax.lax.stop_gradient(jnp.where(input == 0, values, step))


def _xlogy_name(input, other):
    if isinstance(input, type):
        return "XlogyBackward1"
    return "XlogyBackward2" if isinstance(other, type) else "XlogyBackward0"


@op(
    grad_name=_xlogy_name, check=refuse(complex=kernel("xlogy_cpu")), **_FLOAT,
    overloads=pair_overloads(number_first="out"),
)  # fmt: skip
def xlogy(input: Array, other: Array):
    """Return ``input * log(other)``, 0 where ``input`` is 0."""
    zero = (input == 0) & (other == other)
    return jnp.where(zero, 0, input * jnp.log(jnp.where(zero, 1, other)))


@op(check=refuse("ldexp"), promotes=Promote.FLOAT, inplace=True, out=True)
def ldexp(input: Array, other: Array):
    """Return ``input * 2**other``."""
    return input * jnp.power(jnp.asarray(2, other.dtype), other)


_nextafter = jax.custom_jvp(jnp.nextafter)
_nextafter.defjvps(lambda tangent, result, input, other: tangent, None)


@op(check=_no_integers("nextafter"), **_SAME)
def nextafter(input: Array, other: Array):
    """Return the next number from ``input`` in ``other``'s direction."""
    return _nextafter(*jnp.broadcast_arrays(input, other))


def _integers_only(name: str):
    error = kernel(f"{name}_cpu")
    return refuse(name, bool=error, floating=error, complex=error)


@op(check=_integers_only("gcd"), **_SAME)
def gcd(input: Array, other: Array):
    """Return the greatest common divisor."""
    return jnp.gcd(input, other)


@op(check=_integers_only("lcm"), **_SAME)
def lcm(input: Array, other: Array):
    """Return the least common multiple."""
    return jnp.lcm(input, other)


def _check_frexp(input) -> None:
    if not input.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")


@op(public="", promotes=Promote.SAME, check=_check_frexp)
def frexp(input: Array) -> tuple:
    """Return the mantissas, between 1/2 and 1, and the exponents to base 2."""
    still = jax.lax.stop_gradient(input)
    mantissa, exponent = jnp.frexp(still)
    finite = jnp.isfinite(still)
    scale = jnp.ldexp(jnp.ones_like(still), jnp.where(finite, -exponent, 0))
    # the value is exact; the derivative is the scale
    mantissa = jnp.where(finite, mantissa + (input - still) * scale, input)
    return mantissa, jnp.where(finite, exponent, 0).astype(jnp.int32)
