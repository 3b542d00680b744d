"""Draws of whole numbers from a range."""

import ml_dtypes
import numpy as np

from .checks import FLOATS, cpp_name, require
from .engine import fill, locked
from .rounding import cast

_LOWEST = -(2**63)

# dtype -> (whether PyTorch draws 64-bit words, how many numbers there are) without bounds
_FULL_RANGE = {
    np.dtype(dtype): rule
    for dtype, rule in {
        np.bool_: (False, 2),
        np.uint8: (False, 2**8),
        np.int8: (False, 2**7),
        np.int16: (False, 2**15),
        np.int32: (False, 2**31),
        np.int64: (True, 2**63),
        np.float16: (False, 2**11 + 1),
        ml_dtypes.bfloat16: (False, 2**8 + 1),
        np.float32: (False, 2**24 + 1),
        np.float64: (True, 2**53 + 1),
    }.items()
}


@locked
def integers(engine, shape, dtype, low, high):
    """Whole numbers in ``[low, high)``, as ``Tensor.random_(low, high)`` and ``torch.randint``.

    Args:
        dtype: Integer, bool or floating.
        high: None stands for the largest whole number up to which ``dtype`` has them all.
    Raises:
        RuntimeError: an empty range, or one that does not fit in ``dtype``.
    """
    dtype = np.dtype(dtype)
    if high is None and low == _LOWEST:
        return _full_64_bits(engine, shape, dtype)
    if dtype.kind == "c":
        name = "check_random_bounds" if high is not None else "random_from_to_impl"
        raise RuntimeError(f"{name} handles only integral, floating-point and boolean types")
    low, last = bounds(dtype, low, high)
    count = last - low + 1
    return _modulo(engine, shape, dtype, low, count, wide=count >= 2**28)


@locked
def random_full_range(engine, shape, dtype):
    """Whole numbers from 0 to the largest, as ``Tensor.random_()`` without bounds.

    Raises:
        NotImplementedError: ``dtype`` is complex or unsigned of more than 8 bits.
    """
    dtype = np.dtype(dtype)
    require(dtype, _FULL_RANGE, "random_kernel_cpu")
    wide, count = _FULL_RANGE[dtype]
    return _modulo(engine, shape, dtype, 0, count, wide)


def _full_64_bits(engine, shape, dtype):
    kernel = "random_full_64_bits_range_kernel_cpu"
    require(dtype, _FULL_RANGE.keys() - map(np.dtype, (np.bool_, np.float16)), kernel)
    if dtype != np.int64 and dtype not in FLOATS:
        raise RuntimeError(f"{kernel} handles only int64, double, float and bfloat16")
    return fill(np.empty(shape, dtype), lambda n: cast(engine.words64(n).view(np.int64), dtype))


def _modulo(engine, shape, dtype, low, count, wide):
    """``low`` plus a word modulo ``count``: not quite uniform, but PyTorch's."""
    words = engine.words64 if wide else engine.words
    offset = np.uint64(low % 2**64)

    def draw(n):
        numbers = words(n)
        numbers %= numbers.dtype.type(count)
        return cast((numbers + offset).view(np.int64), dtype)

    return fill(np.empty(shape, dtype), draw)


def bounds(dtype, low, high):
    """The first and the last number that :func:`integers` draws, with PyTorch's errors."""
    if high is not None and low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    if dtype in FLOATS:
        low, last = _float_range(dtype, low, high)
    else:
        last = _largest(dtype) if high is None else high - 1
    for name, bound in (("from", low), ("to - 1", last)):
        if not _fits(dtype, bound):
            raise RuntimeError(f"{name} is out of bounds for {cpp_name(dtype)}")
    return low, last


def _float_range(dtype, low, high):
    """The range narrowed to numbers that ``dtype`` can hold."""
    expects = "random_ expects 'from' casted to dtype to be less than"
    low = _round_up(dtype, low)
    if high is None:
        last = 2 ** _digits(dtype)
        if low > last:
            raise RuntimeError(
                f"{expects} or equal to 'to_inc' casted to dtype, but got "
                f"from={low} > to_inc={last}"
            )
        return low, last
    high = _round_down(dtype, high)
    if low >= high:
        raise RuntimeError(f"{expects} 'to' casted to dtype, but got from={low} >= to={high}")
    return low, high - 1


def _largest(dtype):
    """The last number of an open range; PyTorch holds it in an int64, where uint64's is -1."""
    if dtype == np.bool_:
        return 1
    return -1 if dtype == np.uint64 else np.iinfo(dtype).max


def _fits(dtype, number):
    if dtype == np.bool_:
        return 0 <= number <= 1
    limits = ml_dtypes.finfo(dtype) if dtype in FLOATS else np.iinfo(dtype)
    return float(limits.min) <= number <= float(limits.max)


def _digits(dtype):
    return ml_dtypes.finfo(dtype).nmant + 1


def _rounded(dtype, number):
    """``number`` after a C++ cast to ``dtype`` and back to int64."""
    return cast(cast(np.array([number]), dtype), np.dtype(np.int64)).item()


def _step(dtype, number):
    """The distance between neighbours of ``dtype`` around a whole ``number``."""
    return 2 ** (abs(number).bit_length() - _digits(dtype))


def _round_up(dtype, low):
    """A lower bound that ``dtype`` cannot hold, moved up to one that it can."""
    near = _rounded(dtype, low + 1)
    return near + _step(dtype, low + 1) if near < low else low


def _round_down(dtype, high):
    """An upper bound that ``dtype`` cannot hold, moved down to one that it can."""
    near = _rounded(dtype, high - 1)
    return near - _step(dtype, high - 1) if near >= high else high
