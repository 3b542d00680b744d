"""Special functions: of the normal distribution, gamma's, and orthogonal polynomials."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import special

from facade.ops.declare import declare_binary, declare_unary, kernel, pair_overloads, refuse
from facade.ops.registry import Array, Promote, op

# ---- of one number ----


_i1 = jax.custom_jvp(lambda x: special.i1(x))
_i1.defjvps(lambda t, y, x: t * jnp.where(x == 0, 0.5, special.i0(x) - y / jnp.where(x == 0, 1, x)))
_i1e = jax.custom_jvp(lambda x: special.i1e(x))
_i1e.defjvps(
    lambda t, y, x: (
        t * jnp.where(x == 0, 0.5, special.i0e(x) - y * (jnp.sign(x) + 1 / jnp.where(x == 0, 1, x)))
    )
)
_i0e = jax.custom_jvp(lambda x: special.i0e(x))
_i0e.defjvps(lambda t, y, x: t * (special.i1e(x) - jnp.sign(x) * y))

_FAR = 9  # from here on the series below is exact to a double's last digits
_TERMS = 12


def _erfcx_value(x):
    """Return exp(x²) erfc(x), computed in double precision."""
    wide = x.astype(jnp.float64)
    near = jnp.where(wide < _FAR, wide, 0)
    far = jnp.where(wide < _FAR, _FAR, wide)
    total = jnp.ones_like(far)
    for k in range(_TERMS, 0, -1):  # 1 - 1/2x² + 1·3/(2x²)² - ..., from the inside out
        total = 1 - total * (2 * k - 1) / (2 * far * far)
    series = total / (far * jnp.sqrt(jnp.pi))
    return jnp.where(wide < _FAR, jnp.exp(near * near) * special.erfc(near), series).astype(x.dtype)


_erfcx = jax.custom_jvp(_erfcx_value)
_erfcx.defjvps(lambda t, y, x: t * (2 * x * y - 2 / jnp.sqrt(jnp.pi).astype(x.dtype)))


_ONE = {
    "entr": (special.entr, "-x log x"),
    "erfcx": (_erfcx, "exp(x²) erfc(x)"),
    "i0e": (_i0e, "exp(-|x|) i0(x)"),
    "i1": (_i1, "the modified Bessel function of order 1"),
    "i1e": (_i1e, "exp(-|x|) i1(x)"),
    "log_ndtr": (special.log_ndtr, "the logarithm of the normal distribution function"),
    "ndtri": (special.ndtri, "the inverse of the normal distribution function"),
}
for _name, (_function, _phrase) in _ONE.items():
    _kinds = ("complex", "half") if _name in ("erfcx", "log_ndtr", "ndtri") else ("complex",)
    declare_unary(
        f"special_{_name}", _function, f"Return {_phrase} of each element.", public="",
        promotes=Promote.FLOAT, inplace=False,
        check=refuse(f"special_{_name}", **dict.fromkeys(_kinds, kernel(f"{_name}_cpu"))),
    )  # fmt: skip


@op(public="", promotes=Promote.FLOAT, check=refuse("special_ndtr", complex=kernel("erf_vml_cpu")),
    grad_name="MulBackward1")  # fmt: skip
def special_ndtr(input: Array) -> jax.Array:
    """Return the normal distribution function of each element."""
    working = jnp.promote_types(input.dtype, jnp.float32)
    return special.ndtr(input.astype(working)).astype(input.dtype)


# ---- of two numbers ----


def _overload(name: str):
    """Return a grad_name that tells which operand is a number."""

    def grad_name(input, other) -> str:
        overload = 1 if isinstance(input, type) else 2 if isinstance(other, type) else 0
        return f"{name}{overload}"

    return grad_name


def _xlog1py(x, y):
    zero = (x == 0) & ~jnp.isnan(y)
    return jnp.where(zero, 0, x * jnp.log1p(jnp.where(zero, 0, y)))


declare_binary(
    "special_xlog1py", _xlog1py, "Return ``input * log1p(other)``, 0 where ``input`` is.",
    public="", promotes=Promote.FLOAT, inplace=False, check=refuse(complex=kernel("xlog1py_cpu")),
    overloads=pair_overloads(number_first="out"),
    grad_name=_overload("SpecialXlog1PyBackward"),
)  # fmt: skip


def _zeta(x, q):
    """Return Hurwitz's zeta function, with Cephes' infinities at whole ``q`` up to 0."""
    pole = (x == 1) | ((q <= 0) & (q == jnp.floor(q)))
    value = jnp.where(pole, jnp.inf, special.zeta(x, jnp.where(pole, 1, q)))
    return jnp.where(x < 1, jnp.nan, value)


declare_binary(
    "special_zeta", _zeta, "Return Hurwitz's zeta function.",
    public="", promotes=Promote.FLOAT, inplace=False, check=refuse(complex=kernel("zeta_cpu")),
    overloads=pair_overloads(number_first="out"),
    grad_name=_overload("SpecialZetaBackward"),
)  # fmt: skip
for _name, _function in {"igamma": special.gammainc, "igammac": special.gammaincc}.items():
    _error = kernel(f"{_name}_cpu")
    declare_binary(
        _name, _function, "Return the regularized incomplete gamma function.", public="",
        promotes=Promote.SAME, inplace=False,
        check=refuse(_name, bool=_error, integer=_error, complex=_error),
    )  # fmt: skip

# ---- orthogonal polynomials ----

# Per polynomial the one of degree 1, and the next from the degree k of the present one, x,
# the present one and the one before
_CHEBYSHEV = lambda k, x, now, before: 2 * x * now - before  # noqa: E731
_POLYNOMIALS = {
    "chebyshev_polynomial_t": (lambda x: x, _CHEBYSHEV),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _CHEBYSHEV),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, _CHEBYSHEV),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, _CHEBYSHEV),
    "hermite_polynomial_h": (
        lambda x: 2 * x, lambda k, x, now, before: 2 * (x * now - k * before)
    ),
    "hermite_polynomial_he": (lambda x: x, lambda k, x, now, before: x * now - k * before),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        lambda k, x, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": (
        lambda x: x, lambda k, x, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1)
    ),
}  # fmt: skip


def _polynomial(first, following, shifted: bool):
    def evaluate(x, n):
        x, n = jnp.broadcast_arrays(2 * x - 1 if shifted else x, jnp.trunc(n))

        def advance(state):
            k, now, before = state
            then = following(k.astype(x.dtype), x, now, before)
            return k + 1, jnp.where(k < n, then, now), jnp.where(k < n, now, before)

        start = jnp.int32(1), first(x), jnp.ones_like(x)
        _, result, _ = lax.while_loop(lambda state: (state[0] < n).any(), advance, start)
        return jnp.where(n < 0, 0, jnp.where(n == 0, 1, result))

    return evaluate


def _declare_polynomial(name: str, first, following, shifted: bool = False) -> None:
    evaluate = _polynomial(first, following, shifted)

    def call(input: Array, n: Array):
        return evaluate(input, n)

    call.__name__ = f"special_{name}"
    call.__doc__ = "Return the polynomial of degree ``n`` at ``input``."
    check = refuse(complex=kernel(f"{name}_cpu"))
    op(
        call, public="", promotes=Promote.FLOAT, check=check, differentiable=False,
        overloads=(
            "Tensor x, Tensor n, *, Tensor out = None", "Number x, Tensor n, *, Tensor out = None",
            "Tensor x, Number n, *, Tensor out = None",
        ),
    )  # fmt: skip


for _name, (_first, _following) in _POLYNOMIALS.items():
    _declare_polynomial(_name, _first, _following)
    if "chebyshev" in _name:
        _declare_polynomial(f"shifted_{_name}", _first, _following, shifted=True)
