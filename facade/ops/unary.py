"""Functions of one number, element by element."""

from functools import partial
from math import factorial, log, pi

import jax
import jax.numpy as jnp
from jax.scipy import special

from facade.ops.declare import declare_unary, kernel, refuse
from facade.ops.registry import Array, Promote, Scalar, op
from facade.ops.sines import cosine, sine

# ---- functions on floating numbers; integers become the default float ----


def _sinc(x):
    zero = x == 0
    y = jnp.where(zero, 1, pi * x)
    return jnp.where(zero, 1, jnp.sin(y) / y)


def _exp2(x):
    """Return ``2**x``, in float32 for the short floats, whose logarithm of 2 is too coarse."""
    short = x.dtype.itemsize == 2
    return jnp.exp2(x.astype(jnp.float32)).astype(x.dtype) if short else jnp.exp2(x)


@jax.custom_jvp
def _i0(x):
    return special.i0(x)


_i0.defjvps(lambda t, result, x: t * special.i1(x))


@jax.custom_jvp
def _digamma(x):
    # at 0 the sign of zero tells the side
    return jnp.where(x == 0, jnp.copysign(jnp.inf, -x), special.digamma(x))


_digamma.defjvps(lambda t, result, x: t * _polygamma(x, 1))


def _trigamma(x):
    """Return the derivative of digamma: reflected, moved up by 6, then an asymptotic series."""
    low = x < 0.5
    at = jnp.where(low, 1 - x, x)
    total = jnp.zeros_like(x)
    for _ in range(6):
        total += 1 / (at * at)
        at += 1
    inverse = 1 / (at * at)
    series = 1 / 6 - inverse * (1 / 30 - inverse / 42)
    total += (1 + 1 / (2 * at) + inverse * series) / at
    return jnp.where(low, (pi / jnp.sin(pi * x)) ** 2 - total, total)


def _zeta(order: int, x):
    """Return Hurwitz's zeta function; below 1 its terms are added up from there."""

    def add_term(carry):
        total, at = carry
        return total + jnp.where(at < 1, at**-order, 0), jnp.where(at < 1, at + 1, at)

    # at -inf and nan no number of steps leads above 1
    start = jnp.zeros_like(x), jnp.where(jnp.isfinite(x), x, jnp.nan)
    total, at = jax.lax.while_loop(lambda carry: jnp.any(carry[1] < 1), add_term, start)
    whole = total + special.zeta(jnp.asarray(order, x.dtype), at)
    return jnp.where(x == jnp.inf, 0, whole)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _polygamma(x, n: int):
    if x.dtype.itemsize == 2:
        return _polygamma(x.astype(jnp.float32), n).astype(x.dtype)
    if n == 0:
        return _digamma(x)
    return _trigamma(x) if n == 1 else (-1) ** (n + 1) * factorial(n) * _zeta(n + 1, x)


@_polygamma.defjvp
def _polygamma_jvp(n, primals, tangents):
    return _polygamma(*primals, n), tangents[0] * _polygamma(*primals, n + 1)


_lgamma = jax.custom_jvp(jax.lax.lgamma)
_lgamma.defjvps(lambda t, result, x: t * _digamma(x))


_FLOAT = {
    "exp": (jnp.exp, "e to the power"),
    "exp2": (_exp2, "2 to the power"),
    "expm1": (jnp.expm1, "exp(x) - 1"),
    "log": (jnp.log, "the natural logarithm"),
    "log2": (jnp.log2, "the logarithm to base 2"),
    "log10": (jnp.log10, "the logarithm to base 10"),
    "log1p": (jnp.log1p, "log(1 + x)"),
    "sqrt": (jnp.sqrt, "the square root"),
    "rsqrt": (jax.lax.rsqrt, "one over the square root"),
    "reciprocal": (jnp.reciprocal, "one over the value"),
    "sin": (sine, "the sine"),
    "cos": (cosine, "the cosine"),
    "tan": (jnp.tan, "the tangent"),
    "asin": (jnp.arcsin, "the inverse sine"),
    "acos": (jnp.arccos, "the inverse cosine"),
    "atan": (jnp.arctan, "the inverse tangent"),
    "sinh": (jnp.sinh, "the hyperbolic sine"),
    "cosh": (jnp.cosh, "the hyperbolic cosine"),
    "tanh": (jnp.tanh, "the hyperbolic tangent"),
    "asinh": (jnp.arcsinh, "the inverse hyperbolic sine"),
    "acosh": (jnp.arccosh, "the inverse hyperbolic cosine"),
    "atanh": (jnp.arctanh, "the inverse hyperbolic tangent"),
    "sigmoid": (jax.lax.logistic, "1 / (1 + exp(-x))"),
    "sinc": (_sinc, "sin(pi x) / (pi x)"),
}
_ALIASES = {
    "asin": ("arcsin",), "acos": ("arccos",), "atan": ("arctan",),
    "asinh": ("arcsinh",), "acosh": ("arccosh",), "atanh": ("arctanh",),
}  # fmt: skip
for _name, (_function, _phrase) in _FLOAT.items():
    declare_unary(
        _name, _function, f"Return {_phrase} of each element.", promotes=Promote.FLOAT,
        aliases=_ALIASES.get(_name, ()),
    )  # fmt: skip

# the same, without a complex form: the function, what it gives, the kernel that PyTorch names
_REAL = {
    "erf": (special.erf, "the error function", "erf_vml_cpu"),
    "erfc": (special.erfc, "one less the error function", "erfc_vml_cpu"),
    "erfinv": (special.erfinv, "the inverse error function", "erfinv_vml_cpu"),
    "lgamma": (_lgamma, "the logarithm of the absolute gamma function", "lgamma_vml_cpu"),
    "digamma": (_digamma, "the derivative of lgamma", "digamma"),
    "i0": (_i0, "the modified Bessel function of order 0", "i0_vml_cpu"),
}
for _name, (_function, _phrase, _kernel) in _REAL.items():
    declare_unary(
        _name, _function, f"Return {_phrase} of each element.", promotes=Promote.FLOAT,
        check=refuse(_name, complex=kernel(_kernel)),
    )  # fmt: skip

for _name, _function in {"deg2rad": jnp.deg2rad, "rad2deg": jnp.rad2deg}.items():
    _error = RuntimeError, f"{_name} is not supported for complex tensors."
    declare_unary(
        _name, _function, "Return the angle in the other unit.", promotes=Promote.FLOAT,
        check=refuse(_name, complex=_error),
    )  # fmt: skip


@op(promotes=Promote.FLOAT, inplace=True, out=True, check=refuse(complex=kernel("logit_cpu")))
def logit(input: Array, eps: Scalar | None = None):
    """Return ``log(x / (1 - x))``, x first moved into ``[eps, 1 - eps]``."""
    if eps is not None:
        input = jnp.where(input < eps, eps, jnp.where(input > 1 - eps, 1 - eps, input))
    return jnp.log(input) - jnp.log1p(-input)


def _check_polygamma(input, n) -> None:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")


@op(public="method", promotes=Promote.FLOAT, inplace=True, check=_check_polygamma)
def polygamma(input: Array, n: int):
    """Return the ``n``-th derivative of ``digamma``."""
    return _polygamma(input, n)


@op(promotes=Promote.FLOAT, inplace=True, out=True)
def mvlgamma(input: Array, p: int):
    """Return the multivariate ``lgamma`` in ``p`` dimensions."""
    terms = sum(_lgamma(input - i / 2) for i in range(p))
    return terms + p * (p - 1) / 4 * log(pi)


@op(public="", promotes=Promote.FLOAT)
def softplus(input: Array, beta: Scalar, threshold: Scalar):
    """Return ``log(1 + exp(beta x)) / beta``, x itself above the threshold."""
    scaled = input * beta
    large = scaled > threshold
    return jnp.where(large, input, jnp.log1p(jnp.exp(jnp.where(large, 0, scaled))) / beta)


# ---- functions that keep the dtype ----


def _bool_kernel(name: str, complex_error=None):
    error = kernel(f"{name}_vml_cpu")
    return refuse(name, bool=error, complex=complex_error or error)


def _sign(x):
    if x.dtype == bool:
        return x
    return jnp.where(x != x, jnp.zeros_like(x), jnp.sign(x))


@jax.custom_jvp
def _distance(x):
    return jnp.abs(x)


_distance.defjvps(lambda t, result, x: t * _sign(x))


def absolute(x):
    """Return the size of each element; the derivative at 0 is 0, where JAX's is 1."""
    return jnp.abs(x) if jnp.iscomplexobj(x) else _distance(x)


def _sgn(x):
    if not jnp.iscomplexobj(x):
        return _sign(x)
    size = jnp.abs(x)
    return jnp.where(size == 0, 0, x / jnp.where(size == 0, 1, size))


def _unless_whole(function):
    """Return ``function``, leaving integers alone."""
    return lambda x: x if jnp.issubdtype(x.dtype, jnp.integer) else function(x)


_NEGATE_BOOL = (
    RuntimeError,
    "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert "
    "a mask, use the `~` or `logical_not()` operator instead.",
)
_SIGN_COMPLEX = (
    NotImplementedError,
    "Unlike NumPy, torch.sign is not intended to support complex numbers. "
    "Please use torch.sgn instead.",
)
_FRAC = kernel("frac_cpu")

declare_unary(
    "neg", jnp.negative, "Return the negative of each element.",
    check=refuse("neg", bool=_NEGATE_BOOL), operator="neg", aliases=("negative",),
)  # fmt: skip
declare_unary(
    "abs", absolute, "Return the absolute value of each element.",
    check=refuse("abs", bool=kernel("abs_cpu")), operator="abs", aliases=("absolute",),
)  # fmt: skip
declare_unary(
    "sign", _sign, "Return -1, 0 or 1 by the sign of each element.",
    check=refuse("sign", complex=_SIGN_COMPLEX),
)  # fmt: skip
declare_unary("sgn", _sgn, "Return each element divided by its size.")
declare_unary(
    "frac", lambda x: x - jnp.trunc(x), "Return what follows the decimal point of each element.",
    check=refuse("frac", bool=_FRAC, integer=_FRAC, complex=_FRAC),
)  # fmt: skip
declare_unary(
    "relu", lambda x: jnp.where(x <= 0, 0, x), "Return ``max(input, 0)``.", out=False,
    check=refuse(
        "relu",
        bool=(RuntimeError, "Boolean inputs not supported for relu"),
        complex=(NotImplementedError, "clamp is not supported for complex types"),
    ),
)  # fmt: skip
for _name, _function, _phrase, _aliases in (
    ("ceil", jnp.ceil, "the next whole number above", ()),
    ("floor", jnp.floor, "the next whole number below", ()),
    ("trunc", jnp.trunc, "the whole part", ("fix",)),
):
    _error = NotImplementedError, f"{_name} is not supported for complex inputs"
    declare_unary(
        _name, _unless_whole(_function), f"Return {_phrase} of each element.",
        check=_bool_kernel(_name, _error), aliases=_aliases,
    )  # fmt: skip


def _check_round(input, decimals) -> None:
    name = kernel("round_cpu" if decimals else "round_vml_cpu")
    errors = {"integer": name} if decimals else {}
    refuse("round", bool=name, complex=name, **errors)(input=input)


def _round_name(decimals):
    return "RoundBackward0" if decimals is None else "RoundBackward1"


@op(promotes=Promote.SAME, inplace=True, out=True, check=_check_round, grad_name=_round_name)
def round(input: Array, *, decimals: int | None = None):
    """Return the nearest number of so many decimals, halves going to the even one."""
    if jnp.issubdtype(input.dtype, jnp.integer):
        return input
    return jnp.round(input, decimals or 0)


@op(promotes=Promote.SAME, inplace=True, out=True)
def nan_to_num(
    input: Array,
    nan: Scalar | None = None,
    posinf: Scalar | None = None,
    neginf: Scalar | None = None,
):
    """Return ``input`` with nan (by 0) and infinities (by the extreme values) replaced."""
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        return input
    if jnp.iscomplexobj(input):
        given = [None if x is None else x.real for x in (nan, posinf, neginf)]
        parts = [_replace_nan(part, *given) for part in (input.real, input.imag)]
        return jax.lax.complex(*parts)
    return _replace_nan(input, nan, posinf, neginf)


def _replace_nan(x, nan, posinf, neginf):
    limits = jnp.finfo(x.dtype)
    x = jnp.where(x != x, 0 if nan is None else nan, x)
    x = jnp.where(x == jnp.inf, limits.max if posinf is None else posinf, x)
    return jnp.where(x == -jnp.inf, limits.min if neginf is None else neginf, x)
