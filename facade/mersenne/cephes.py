"""The float32 logarithm, sine and cosine of PyTorch's block of 16 normals, bit for bit.

The polynomials are those of Cephes (Stephen L. Moshier), with the coefficients and the order of
operations of avx_mathfun (Julien Pommier and Giovanni Garberoglio, zlib licence). Every operation
rounds to float32; ``_fma`` rounds once where the AVX2 build of PyTorch has a fused multiply-add.
"""

import numpy as np


def _float32(*numbers):
    return [float(np.float32(number)) for number in numbers]


_SQRT_HALF, _LN2_HIGH, _LN2_LOW = np.array(
    [0.70710678118654752440, 0.693359375, -2.12194440e-4], np.float32
)
_LOG = _float32(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_COS = _float32(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = _float32(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_FOUR_OVER_PI = np.float32(1.27323954473516)
# -pi / 4 in three parts, the first two of them short
_QUARTER_PI = np.array(
    [-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8], np.float32
)


def _wide(x):
    return x.astype(np.float64)


def _fma(x, y, c):
    """``x * y + c`` rounded to float32 once, ``x`` in float64, where the product is exact.

    The sum is rounded to float64 first; for no argument of the functions here is that visible.
    """
    total = x * y
    total += c
    return total.astype(np.float32)


def log(v):
    """Natural logarithm of ``v`` in (0, 1]."""
    m, e = np.frexp(v)
    below = m < _SQRT_HALF
    e = (e - below).astype(np.float32)
    m *= below + np.float32(1)  # m in [sqrt(1/2), sqrt(2)) now
    x = m - np.float32(1)
    x64 = _wide(x)
    y = _fma(x64, _LOG[0], _LOG[1])
    for coefficient in _LOG[2:]:
        y = _fma(_wide(y), x64, coefficient)
    y *= x
    z = x * x
    y = _fma(_wide(y), z, e * _LN2_LOW)
    y -= z * np.float32(0.5)
    y += x
    y += e * _LN2_HIGH
    return y


def sin_cos(t):
    """Sine and cosine of ``t`` in [0, 2 pi]."""
    octant = (t * _FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= -2
    y = octant.astype(np.float32)
    x = t + y * _QUARTER_PI[0]  # the first two products are exact
    x += y * _QUARTER_PI[1]
    x = _fma(_wide(y), float(_QUARTER_PI[2]), x)
    x64 = _wide(x)
    z = x * x
    z64 = _wide(z)

    cos = _fma(_wide(_fma(z64, _COS[0], _COS[1])), z64, _COS[2])
    cos *= z
    cos = _fma(_wide(cos), z64, z * np.float32(-0.5))
    cos += np.float32(1)

    sin = _fma(_wide(_fma(z64, _SIN[0], _SIN[1])), z64, _SIN[2])
    sin *= z
    sin = _fma(_wide(sin), x64, x64)

    # Octants 2 and 6 exchange the two; the upper ones change signs. On the bits: np.where and
    # negation would cost as much as a polynomial.
    sin, cos = sin.view(np.int32), cos.view(np.int32)
    exchange = (sin ^ cos) & -(octant >> 1 & 1)
    sin ^= exchange ^ (octant & 4) << 29
    cos ^= exchange ^ (~(octant - 2) & 4) << 29
    return sin.view(np.float32), cos.view(np.float32)
