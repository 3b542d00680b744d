"""Check that a Python number fits the dtype of the tensor that it is written into."""

import math

import numpy as np

from facade.dtypes import C_NAMES, bool_, dtype, finfo, iinfo, int32

_BOUNDS: dict[dtype, tuple[float, float]] = {}


def fitting(value, target: dtype):
    """Return ``value`` as a Python number.

    Raises:
        RuntimeError: ``target`` can't hold it.
        TypeError: it is no number.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, int | float | complex):
        raise TypeError(f"expected Number, not {type(value).__name__}")
    if target is bool_ or target.is_complex:
        return bool(value) if target is bool_ else value
    if not isinstance(value, complex):
        low, high = _BOUNDS.get(target) or _bounds(target)
        if low <= value <= high:
            return value
        if target.is_floating_point and (math.isinf(value) or math.isnan(value)):
            return value
    by_size = not (target.is_floating_point or target is int32)  # C's typedef, "int64_t"
    name = f"{target.name}_t" if by_size else C_NAMES[target]
    raise RuntimeError(f"value cannot be converted to type {name} without overflow")


def _bounds(target: dtype) -> tuple[float, float]:
    """Return the least and the greatest number; an unsigned type takes the negatives too."""
    limits = finfo(target) if target.is_floating_point else iinfo(target)
    low = limits.min if target.is_signed else -limits.max
    _BOUNDS[target] = found = (low, limits.max)
    return found
