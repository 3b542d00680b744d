"""Elementwise functions with several forms: ``div``, ``pow``, ``where``, complex parts."""

import numpy as np

from facade import aten, dtypes
from facade.binding import public
from facade.errors import bad_argument, no_overload
from facade.ops.declare import pair_overloads
from facade.return_types import named_tuple
from facade.tensor import Tensor
from facade.underived import refuse_backward

_Number = int | float | complex | np.number | np.bool_
_Operand = Tensor | int | float | complex | np.generic | np.ndarray


# ---- division and powers ----


@public(inplace=True, out=True, aliases=("divide",))
def div(input, other, *, rounding_mode: str | None = None) -> Tensor:
    """Return ``input / other``, rounded by ``rounding_mode`` ("trunc", "floor") if given."""
    if rounding_mode is None:
        return aten.div(input, other)
    return aten.div_mode(input, other, rounding_mode)


@public(module=False, name="__rdiv__")
def _div_reflected(self, other):
    """Return ``other / self``: Python 2's operator, which PyTorch still has."""
    return self.reciprocal() * other


@public(inplace=True, out=True)
def true_divide(input, other) -> Tensor:
    """Return ``input / other``."""
    return aten.div(input, other)


@public(inplace=True, out=True)
def pow(input, exponent) -> Tensor:
    """Return ``input ** exponent``; either may be a number.

    Raises:
        RuntimeError: integers with a negative whole exponent.
    """
    if isinstance(exponent, _Number) and isinstance(input, Tensor):
        exponent = exponent.item() if isinstance(exponent, np.generic) else exponent
        return aten.pow_scalar(input, exponent)
    return aten.pow(input, exponent)


@public(module=False, name="__pow__")
def _pow_operator(self, exponent):
    return pow(self, exponent) if isinstance(exponent, _Operand) else NotImplemented


@public(module=False, name="__ipow__")
def _pow_in_place(self, exponent):
    return self.pow_(exponent) if isinstance(exponent, _Operand) else NotImplemented


@public(module=False, name="__rpow__")
def _pow_reflected(self, base):
    return aten.pow(base, self) if isinstance(base, _Operand) else NotImplemented


_POWERS = pair_overloads("exponent", number_first="out")


@public(inplace=True, out=True)
def float_power(input, exponent) -> Tensor:
    """Return ``input ** exponent`` in double precision."""
    if not (isinstance(input, Tensor) or isinstance(exponent, Tensor)):
        raise no_overload("float_power", (input, exponent), {}, _POWERS)
    return pow(_double(input), _double(exponent))


def _double(x):
    if not isinstance(x, Tensor):
        return complex(x) if isinstance(x, complex) else float(x)
    return x.to(dtypes.complex128 if x.is_complex() else dtypes.float64)


@public(inplace=True, out=True)
def square(input) -> Tensor:
    """Return ``input ** 2``."""
    return aten.pow_scalar(input, 2)


@public
def positive(input: Tensor) -> Tensor:
    """Return ``input`` itself.

    Raises:
        RuntimeError: it is bool.
    """
    if input.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


public(positive, name="__pos__", module=False)


@public(module=False, name="__invert__")
def _invert(self: Tensor) -> Tensor:
    if self.is_floating_point() or self.is_complex():
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return aten.bitwise_not(self)


@public(method=False, out=True)
def polygamma(n: int, input: Tensor) -> Tensor:
    """Return the ``n``-th derivative of ``digamma``."""
    return aten.polygamma(input, n)


def _offer_igamma(name: str, doc: str) -> None:
    call = getattr(aten, name)

    def function(input: Tensor, other: Tensor) -> Tensor:
        result = call(input, other)
        return refuse_backward(result, f"{name}: input") if input.requires_grad else result

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc}; it has no derivative by ``input``."
    public(function, inplace=True, out=True)


_offer_igamma("igamma", "Return the regularized lower incomplete gamma function")
_offer_igamma("igammac", "Return the regularized upper incomplete gamma function")


_Frexp = named_tuple("frexp", ("mantissa", "exponent"))


@public(out=True)
def frexp(input: Tensor):
    """Return mantissas, between 1/2 and 1, and exponents: ``mantissa * 2**exponent == input``."""
    return _Frexp(*aten.frexp(input))


# ---- selection and comparison ----


@public(method=False, out=True)
def where(condition: Tensor, input=None, other=None):
    """Return ``input`` where ``condition`` holds, else ``other``; alone, where it holds."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return aten.where(condition, input, other)


@public(module=False, name="where")
def _where_method(self: Tensor, condition: Tensor, other) -> Tensor:
    """Return this tensor where ``condition`` holds, else ``other``."""
    return aten.where(condition, self, other)


@public
def equal(input: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same size and values."""
    if not isinstance(other, Tensor):
        raise bad_argument("equal", "other", 2, "Tensor", other)
    return input.shape == other.shape and bool(aten.all(aten.eq(input, other)))


@public
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Return whether ``isclose`` holds everywhere."""
    return bool(aten.all(aten.isclose(input, other, rtol, atol, equal_nan)))


# ---- complex numbers ----


@public(method=False)
def real(input: Tensor) -> Tensor:
    """Return a view of the real parts; a real tensor itself."""
    return aten.real(input) if input.is_complex() else input


@public(method=False)
def imag(input: Tensor) -> Tensor:
    """Return a view of the imaginary parts.

    Raises:
        RuntimeError: the tensor is real.
    """
    return aten.imag(input)


Tensor.real = property(real, lambda self, value: real(self).copy_(value))  # type: ignore[attr-defined]
Tensor.imag = property(imag, lambda self, value: imag(self).copy_(value))  # type: ignore[attr-defined]


@public
def conj(input: Tensor) -> Tensor:
    """Return the conjugate; a real tensor itself."""
    return aten.conj(input) if input.is_complex() else input


@public(inplace=True, out=True)
def conj_physical(input: Tensor) -> Tensor:
    """Return the conjugate; a real tensor itself."""
    return aten.conj_physical(input) if input.is_complex() else input


@public
def resolve_conj(input: Tensor) -> Tensor:
    """Return ``input``: conjugates are computed at once here, never pending."""
    return input


@public
def resolve_neg(input: Tensor) -> Tensor:
    """Return ``input``: negation is computed at once here, never pending."""
    return input


@public
def is_conj(input: Tensor) -> bool:
    """Return False: no conjugate is pending."""
    return False


@public
def is_neg(input: Tensor) -> bool:
    """Return False: no negation is pending."""
    return False
