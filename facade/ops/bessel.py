"""Airy's function, and Bessel's of the orders 0 and 1."""

from math import pi

import jax.numpy as jnp
from jax.scipy import special

from facade.ops import cephes
from facade.ops.declare import declare_unary, kernel, refuse
from facade.ops.registry import Promote

# ---- waves: J, Y, and Airy's ----


def _wave(x, order: int):
    """Return for large ``x`` the parts in and out of phase, and the phase's sine and cosine."""
    inverse = 25 / (x * x)
    size = jnp.sqrt(2 / pi / x)
    sine, cosine = (f(x - (order / 2 + 0.25) * pi) for f in (jnp.sin, jnp.cos))
    in_phase = cephes.quotient(inverse, cephes.IN_PHASE[order]) * size
    out_of_phase = 5 / x * cephes.quotient(inverse, cephes.OUT_OF_PHASE[order]) * size
    return in_phase, out_of_phase, sine, cosine


def _j(x, order: int):
    in_phase, out_of_phase, sine, cosine = _wave(x, order)
    return in_phase * cosine - out_of_phase * sine


def _y(x, order: int):
    in_phase, out_of_phase, sine, cosine = _wave(x, order)
    return in_phase * sine + out_of_phase * cosine


def _bessel_j0(x):
    x = jnp.abs(x)
    square = x * x
    # the first two zeros are factors
    near = (square - 5.78318596294678452118) * (square - 30.4712623436620863991)
    return jnp.where(x <= 5, near * cephes.quotient(square, cephes.J0), _j(x, 0))


def _bessel_j1(x):
    size, square = jnp.abs(x), x * x
    near = (square - 14.6819706421238932572) * (square - 49.2184563216946036703)
    value = jnp.where(size <= 5, near * size * cephes.quotient(square, cephes.J1), _j(size, 1))
    return jnp.where(x < 0, -value, value)


def _of_second_kind(x, near, far):
    """Return one function up to 5 and another beyond; it begins at 0 with minus infinity."""
    return jnp.where(x > 5, far, jnp.where(x == 0, -jnp.inf, jnp.where(x < 0, jnp.nan, near)))


def _bessel_y0(x):
    near = cephes.quotient(x * x, cephes.Y0) + 2 / pi * jnp.log(x) * _bessel_j0(x)
    return _of_second_kind(x, near, _y(x, 0))


def _bessel_y1(x):
    rest = 2 / pi * (_bessel_j1(x) * jnp.log(x) - 1 / x)
    return _of_second_kind(x, x * cephes.quotient(x * x, cephes.Y1) + rest, _y(x, 1))


_TERMS = 12  # of the two power series in x³: more change no double up to 2.09


def _power_series(cube, offset: int):
    """Return the sum of cube**k over the products of (3i + offset - 1)(3i + offset), i up to k."""
    total = jnp.ones_like(cube)
    for k in range(_TERMS, 0, -1):
        total = 1 + total * cube / ((3 * k + offset - 1) * (3 * k + offset))
    return total


def _airy_ai(x):
    root = jnp.sqrt(jnp.abs(x))
    angle = 2 / 3 * jnp.abs(x) * root
    size = 1 / jnp.sqrt(pi * root)
    inverse = 1 / angle
    square = inverse * inverse
    sine, cosine = jnp.sin(angle + pi / 4), jnp.cos(angle + pi / 4)
    wave = size * (
        sine * (1 + square * cephes.quotient(square, cephes.AIRY_SINE))
        - cosine * inverse * cephes.quotient(square, cephes.AIRY_COSINE)
    )
    decay = size / 2 * cephes.quotient(inverse, cephes.AIRY_DECAY) * jnp.exp(-angle)
    cube = x * x * x
    middle = 0.355028053887817239260 * _power_series(cube, 0)
    middle -= 0.258819403792806798405 * x * _power_series(cube, 1)
    value = jnp.where(x < -2.09, wave, jnp.where(x < 2.09, middle, decay))
    return jnp.where(jnp.isinf(x), jnp.nan, jnp.where(x > 103.892, 0, value))


# ---- K, the modified functions of the second kind ----


def _modified_k(x, order: int, scaled: bool):
    """Return K, times exp(x) if ``scaled``."""
    series = cephes.chebyshev_series(x * x - 2, cephes.K_NEAR[order])
    if order:
        near = jnp.log(x / 2) * special.i1(x) + series / x
    else:
        near = series - jnp.log(x / 2) * special.i0(x)
    far = cephes.chebyshev_series(8 / x - 2, cephes.K_FAR[order]) / jnp.sqrt(x)
    if scaled:
        near = near * jnp.exp(x)
    else:
        far = far * jnp.exp(-x)
    value = jnp.where(x <= 2, near, far)
    return jnp.where(x == 0, jnp.inf, jnp.where(x < 0, jnp.nan, value))


def _spherical_bessel_j0(x):
    zero = x == 0
    finite = jnp.where(zero | jnp.isinf(x), 1, x)
    return jnp.where(zero, 1, jnp.where(jnp.isinf(x), 0, jnp.sin(finite) / finite))


_FUNCTIONS = {
    "airy_ai": _airy_ai,
    "bessel_j0": _bessel_j0,
    "bessel_j1": _bessel_j1,
    "bessel_y0": _bessel_y0,
    "bessel_y1": _bessel_y1,
    "modified_bessel_i0": special.i0,
    "modified_bessel_i1": special.i1,
    "modified_bessel_k0": lambda x: _modified_k(x, 0, False),
    "modified_bessel_k1": lambda x: _modified_k(x, 1, False),
    "scaled_modified_bessel_k0": lambda x: _modified_k(x, 0, True),
    "scaled_modified_bessel_k1": lambda x: _modified_k(x, 1, True),
    "spherical_bessel_j0": _spherical_bessel_j0,
}
for _name, _function in _FUNCTIONS.items():
    declare_unary(
        f"special_{_name}", _function, "Return this Bessel function of each element.", public="",
        promotes=Promote.FLOAT, inplace=False, differentiable=False,
        check=refuse(f"special_{_name}", complex=kernel(f"{_name}_cpu")),
    )  # fmt: skip
