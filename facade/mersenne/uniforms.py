"""Uniform and Bernoulli draws."""

import math

import ml_dtypes
import numpy as np

from .checks import FLOATS, HALVES, cpp_name, real_part, require, scalar_name
from .engine import fill, locked
from .rounding import fma32, fma64

_MASK24 = np.uint32(2**24 - 1)
_MASK53 = np.uint64(2**53 - 1)


def unit32(engine, n):
    """``n`` float32 numbers in [0, 1), one word each."""
    u = (engine.words(n) & _MASK24).astype(np.float32)
    u *= np.float32(2.0**-24)
    return u


def unit64(engine, n):
    """``n`` float64 numbers in [0, 1), two words each."""
    u = (engine.words64(n) & _MASK53).astype(np.float64)
    u *= 2.0**-53
    return u


@locked
def uniform(engine, shape, dtype, low=0.0, high=1.0):
    """Numbers in ``[low, high)``, as ``Tensor.uniform_``.

    Args:
        dtype: Floating or complex; both parts of a complex number are drawn, the real one first.
    Raises:
        RuntimeError: bounds out of the dtype's range or order.
        NotImplementedError: another dtype.
    """
    dtype = np.dtype(dtype)
    part = real_part(dtype)
    if part is not None:
        return uniform(engine, (*shape, 2), part, low, high).view(dtype)[..., 0]
    require(dtype, FLOATS, "check_uniform_bounds")
    low, high = float(low), float(high)
    _check_bounds(dtype, low, high)
    if dtype == np.float64:
        return fill(np.empty(shape, dtype), lambda n: _stretch(unit64(engine, n), low, high, fma64))
    low, high = np.float32(low), np.float32(high)
    if dtype not in HALVES:
        return fill(np.empty(shape, dtype), lambda n: _stretch(unit32(engine, n), low, high, fma32))
    return fill(
        np.empty(shape, dtype), lambda n: _stretch_half(unit32(engine, n), low, high, dtype)
    )


def _stretch(u, low, high, fma):
    """``u * (high - low) + low`` rounded once, with ``high`` itself replaced by ``low``."""
    if low == -high:  # the bounds of every init: u+u-1 is exact, so the product rounds once
        u += u
        u -= 1
        u *= high
    else:
        u = fma(u, high - low, low)
    np.copyto(u, low, where=u == high)
    return u


def _stretch_half(u, low, high, dtype):
    values = fma32(u, high - low, low).astype(dtype)
    np.copyto(values, dtype.type(low), where=values == dtype.type(high))
    return values


def _check_bounds(dtype, low, high):
    limit = float(ml_dtypes.finfo(dtype).max)
    for name, bound in (("from", low), ("to", high)):
        if not -limit <= bound <= limit:
            raise RuntimeError(f"{name} is out of bounds for {cpp_name(dtype)}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > limit:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{scalar_name(dtype)}>::max(), but "
            f"found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


@locked
def bernoulli_scalar(engine, shape, p):
    """True with probability ``p``, a Python number, as ``Tensor.bernoulli_(p)``: bool.

    Raises:
        RuntimeError: ``p`` is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    bound = np.uint64(math.ceil(math.ldexp(p, 53)))  # u < p, without leaving the integers
    return fill(np.empty(shape, bool), lambda n: (engine.words64(n) & _MASK53) < bound)


@locked
def bernoulli_array(engine, p):
    """True where a uniform is below ``p``, as ``torch.bernoulli(p)``: bool of ``p``'s shape.

    Raises:
        RuntimeError: an element of ``p`` is not in [0, 1].
        NotImplementedError: ``p`` is not floating.
    """
    require(p.dtype, FLOATS, "bernoulli_tensor_cpu_p_")
    if not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error "
            "message be improved?  If so, please report an enhancement request to PyTorch.)"
        )
    unit = unit64 if p.dtype == np.float64 else unit32
    u = unit(engine, p.size)
    return u.reshape(p.shape) < p.astype(u.dtype)
