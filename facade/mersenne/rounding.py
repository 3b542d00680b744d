"""Arithmetic that rounds as PyTorch's C++ does: fused multiply-add, libm, casts."""

import math
from types import SimpleNamespace

import numpy as np

from .checks import HALVES

# A float64 whose low 29 bits are these lies halfway between two float32 numbers.
_LOW_BITS = np.int64(2**29 - 1)
_HALFWAY = np.int64(2**28)
# numpy's functions are a few float64 steps from libm's; the rest is room for cancellation.
_MARGIN = np.int64(2**18)


def cast(values, dtype):
    """``values`` as C++ casts them to ``dtype``; 16-bit floats are reached through float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype in HALVES:
            values = values.astype(np.float32, copy=False)
        return values.astype(dtype, copy=False)


def fma32(x, y, c):
    """``x * y + c`` rounded once: float32 array ``x``, numbers ``y`` and ``c`` of float32."""
    if c == 0:
        return x * np.float32(y) + np.float32(0)
    product = x.astype(np.float64) * float(y)  # exact: 24 by 24 bits
    total = product + float(c)
    ties = np.flatnonzero((total.view(np.int64) & _LOW_BITS) == _HALFWAY)
    if ties.size:  # the rounding to float64 may have made this tie: undo it
        near = total[ties]
        _, rest = _two_sum(product[ties], float(c))
        total[ties] = np.where(rest == 0, near, np.nextafter(near, np.copysign(np.inf, rest)))
    return total.astype(np.float32)


def fma64(x, y, c):
    """``x * y + c`` rounded once: float64 array ``x``, numbers ``y`` and ``c``.

    Boldo and Melquiond's method: split product and sum into a value and its rounding error, and
    round the sum of the small parts to odd, so that the last addition rounds correctly.
    """
    if c == 0:
        return x * y + 0.0
    high, low = _two_product(x, float(y))
    middle, tail = _two_sum(low, float(c))
    total, rest = _two_sum(high, middle)
    small, error = _two_sum(tail, rest)
    bits = small.view(np.int64)
    make_odd = (error != 0) & (bits & 1 == 0)
    bits += np.where(make_odd, np.where((error > 0) == (small > 0), 1, -1), 0)
    return total + small


def _two_sum(a, b):
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def _two_product(a, b):
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    product = a * b
    rest = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, rest


def _split(a):
    scaled = a * (2.0**27 + 1)
    high = scaled - (scaled - a)
    return high, a - high


def _each(function):
    return lambda x: np.fromiter(map(function, x.tolist()), np.float64, x.size)


def log(x):
    """C's logarithm: minus infinity at 0, where Python raises."""
    return math.log(x) if x != 0 else -math.inf


def _exp(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


# The C library's own functions, one element at a time: the last bit is PyTorch's.
LIBM = SimpleNamespace(
    log=_each(log),
    log1p=_each(math.log1p),
    exp=_each(_exp),
    sqrt=np.sqrt,
    sin=_each(math.sin),
    cos=_each(math.cos),
    tan=_each(math.tan),
    fma=fma64,
)
# numpy's, at a tenth of the time: off by a few float64 steps.
_NUMPY = SimpleNamespace(
    **{name: getattr(np, name) for name in ("log", "log1p", "exp", "sqrt", "sin", "cos", "tan")},
    fma=lambda x, y, c: x * y + c,
)


def evaluate(formula, inputs, dtype):
    """``formula(m, *inputs)`` as libm computes it in float64, cast to ``dtype``.

    ``m`` is the namespace of elementwise functions to use. For dtypes shorter than float64 numpy's
    are good enough except close to a rounding boundary of float32; the few values there are
    computed again.

    Args:
        inputs: float64 arrays ``(n,)``.
    Returns:
        ``(n,)``, ``dtype``.
    """
    if dtype == np.float64:
        return formula(LIBM, *inputs)
    with np.errstate(over="ignore"):
        values = formula(_NUMPY, *inputs)
    distance = (values.view(np.int64) & _LOW_BITS) - _HALFWAY
    doubtful = np.flatnonzero((np.abs(distance) < _MARGIN) | (np.abs(values) < 2.0**-126))
    if doubtful.size:
        values[doubtful] = formula(LIBM, *(x[doubtful] for x in inputs))
    return cast(values, dtype)
