"""Draws that are one formula of one uniform: exponential, Cauchy, geometric."""

import math

import numpy as np

from .checks import FLOATS, cpp_name, require, scalar_name
from .engine import fill, locked
from .rounding import LIBM, cast, evaluate
from .uniforms import unit64


@locked
def exponential(engine, shape, dtype, lambd=1.0):
    """Exponential numbers, as ``Tensor.exponential_``.

    Raises:
        RuntimeError: ``lambd`` is not positive, or ``dtype`` not floating.
    """
    dtype = np.dtype(dtype)
    _require_continuous("Exponential", dtype, scalar_name)
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return _transform(engine, shape, dtype, lambda m, u: -1 / lambd * m.log1p(-u))


@locked
def cauchy(engine, shape, dtype, median=0.0, sigma=1.0):
    """Cauchy numbers, as ``Tensor.cauchy_``.

    Raises:
        RuntimeError: ``sigma`` is not positive, or ``dtype`` not floating.
    """
    dtype = np.dtype(dtype)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    _require_continuous("Cauchy", dtype, cpp_name)
    return _transform(
        engine, shape, dtype, lambda m, u: m.fma(m.tan(math.pi * (u - 0.5)), sigma, median)
    )


@locked
def geometric(engine, shape, dtype, p):
    """The number of trials up to the first success, as ``Tensor.geometric_``.

    Raises:
        RuntimeError: ``p`` is not in (0, 1).
        NotImplementedError: ``dtype`` is bool, complex or unsigned of more than 8 bits.
    """
    dtype = np.dtype(dtype)
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    known = (*FLOATS, *map(np.dtype, (np.uint8, np.int8, np.int16, np.int32, np.int64)))
    require(dtype, known, "geometric_cpu")
    failure = math.log1p(-p)

    # always libm's logarithm: ceil makes a difference in the last bit a difference of one
    def draw(n):
        return cast(np.ceil(LIBM.log(unit64(engine, n)) / failure), dtype)

    return fill(np.empty(shape, dtype), draw)


def _transform(engine, shape, dtype, formula):
    return fill(np.empty(shape, dtype), lambda n: evaluate(formula, [unit64(engine, n)], dtype))


def _require_continuous(name, dtype, spelled):
    if dtype not in FLOATS:
        raise RuntimeError(
            f"{name} distribution is a continuous probability distribution. "
            f"dtype must be a floating point but you specified {spelled(dtype)}"
        )
