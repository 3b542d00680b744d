"""Comparisons, tests, logic and bits, element by element."""

import jax.numpy as jnp

from facade.dtypes import SCALAR_NAMES
from facade.ops.declare import declare_binary, declare_unary, kernel, pair_overloads, refuse
from facade.ops.registry import Array, Promote, op

# ---- comparisons ----


for _name, _function, _sign, _alias in (
    ("eq", jnp.equal, "==", ""),
    ("ne", jnp.not_equal, "!=", "not_equal"),
    ("lt", jnp.less, "<", "less"),
    ("le", jnp.less_equal, "<=", "less_equal"),
    ("gt", jnp.greater, ">", "greater"),
    ("ge", jnp.greater_equal, ">=", "greater_equal"),
):
    declare_binary(
        _name, _function, f"Return whether ``input {_sign} other``.", operator=_name,
        aliases=(_alias,) if _alias else (), differentiable=False,
        overloads=pair_overloads(),
        check=None if _name in ("eq", "ne") else refuse(complex=kernel(f"{_name}_cpu")),
    )  # fmt: skip


def _check_close(input, other, rtol, atol, equal_nan) -> None:
    refuse("isclose")(input=input, other=other)
    if input.dtype is not other.dtype:
        names = SCALAR_NAMES[input.dtype], SCALAR_NAMES[other.dtype]
        raise RuntimeError(f"{names[0]} did not match {names[1]}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value:g}")


@op(promotes=Promote.SAME, differentiable=False, check=_check_close)
def isclose(
    input: Array, other: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
):
    """Return whether ``|input - other| <= atol + rtol * |other|``."""
    equal = input == other
    if equal_nan:
        equal |= (input != input) & (other != other)
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        wide = jnp.int64 if input.dtype == bool else input.dtype
        input, other = input.astype(wide), other.astype(wide)
    distance, allowed = jnp.abs(input - other), atol + jnp.abs(rtol * other)
    return equal | (jnp.isfinite(distance) & (distance <= allowed))


@op(promotes=Promote.SAME, differentiable=False, public="")
def isin(elements: Array, test_elements: Array, invert: bool):
    """Return whether each element is one of ``test_elements``.

    Args:
        elements: A number, or with a last dimension of size 1, so that both broadcast.
        test_elements: A number or a vector.
    """
    return jnp.isin(elements[..., 0] if elements.ndim else elements, test_elements, invert=invert)


# ---- tests of one number ----


def _declare_test(name: str, function, phrase: str, **traits) -> None:
    doc = f"Return whether each element {phrase}."
    traits = {"inplace": False, "out": False, "differentiable": False} | traits
    declare_unary(name, function, doc, **traits)


_SIGNBIT = NotImplementedError, "signbit is not implemented for complex tensors."

_declare_test("isnan", jnp.isnan, "is nan")
_declare_test("isinf", jnp.isinf, "is infinite")
_declare_test("isfinite", jnp.isfinite, "is a number and finite")
_declare_test("isreal", jnp.isreal, "has no imaginary part")
_declare_test("logical_not", jnp.logical_not, "is zero", inplace=True, out=True)
_declare_test(
    "isposinf", lambda x: x == jnp.inf, "is inf",
    out=True,
    check=refuse("isposinf", complex=(RuntimeError, "isposinf does not support complex inputs.")),
)  # fmt: skip
_declare_test(
    "isneginf", lambda x: x == -jnp.inf, "is -inf",
    out=True,
    check=refuse("isneginf", complex=(RuntimeError, "isneginf does not support complex inputs.")),
)  # fmt: skip
_declare_test(
    "signbit", lambda x: jnp.signbit(x) if jnp.issubdtype(x.dtype, jnp.floating) else x < 0,
    "is negative", out=True, check=refuse("signbit", complex=_SIGNBIT),
)  # fmt: skip

# ---- logic and bits ----


for _word, _function in (
    ("and", jnp.logical_and),
    ("or", jnp.logical_or),
    ("xor", jnp.logical_xor),
):
    declare_binary(
        f"logical_{_word}", _function, f"Return whether ``input`` {_word} ``other`` is not zero.",
        differentiable=False, check=refuse(f"logical_{_word}"),
    )  # fmt: skip

for _name, _function, _operator, _kernel in (
    ("bitwise_and", jnp.bitwise_and, "and", "bitwise_and_cpu"),
    ("bitwise_or", jnp.bitwise_or, "or", "bitwise_or_cpu"),
    ("bitwise_xor", jnp.bitwise_xor, "xor", "bitwise_xor_cpu"),
    ("bitwise_left_shift", jnp.left_shift, "lshift", "lshift_cpu"),
    ("bitwise_right_shift", jnp.right_shift, "rshift", "rshift_cpu"),
):
    _refused = ("floating", "complex", "bool")[: 3 if "shift" in _kernel else 2]
    declare_binary(
        _name, _function, f"Return the bits of ``{_operator}``.", operator=_operator,
        overloads=pair_overloads(number_first="plain"),
        differentiable=False, check=refuse(**dict.fromkeys(_refused, kernel(_kernel))),
    )  # fmt: skip

_declare_test(
    "bitwise_not", jnp.bitwise_not, "with its bits turned over",
    check=refuse(
        "bitwise_not", floating=kernel("bitwise_not_cpu"), complex=kernel("bitwise_not_cpu")
    ),
    inplace=True, out=True,
)  # fmt: skip
