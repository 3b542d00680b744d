"""Check that a Python number fits the dtype of the tensor that it is written into."""

import math

import numpy as np

from facade.dtypes import bool_, dtype, finfo, iinfo

_C_NAMES = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t",
}  # fmt: skip

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
    name = _C_NAMES.get(target.name, target.name)
    raise RuntimeError(f"value cannot be converted to type {name} without overflow")


def _bounds(target: dtype) -> tuple[float, float]:
    """Return the least and the greatest number; an unsigned type takes the negatives too."""
    limits = finfo(target) if target.is_floating_point else iinfo(target)
    low = limits.min if target.is_signed else -limits.max
    _BOUNDS[target] = found = (low, limits.max)
    return found
