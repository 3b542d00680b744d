"""Draws that may need several tries each: Poisson, binomial, gamma, Dirichlet.

How many uniforms an element takes depends on their values, so these go through the elements one
by one, in plain Python.
"""

import math

import numpy as np

from .checks import FLOATS, require
from .engine import locked
from .normals import one_normal
from .rounding import cast, log
from .uniforms import unit64

_SINGLE_AND_DOUBLE = FLOATS[2:]


class _Uniforms:
    """The engine's float64 uniforms one at a time, read ahead from a copy of it."""

    def __init__(self, engine):
        self._engine, self._ahead = engine, engine.clone()
        self._block, self._next, self._used = [], 0, 0

    def __enter__(self):
        return self

    def __call__(self):
        if self._next == len(self._block):
            self._used += self._next
            self._block, self._next = unit64(self._ahead, 1024).tolist(), 0
        self._next += 1
        return self._block[self._next - 1]

    def __exit__(self, *exception):
        self._engine.words(2 * (self._used + self._next))


def _for_each(engine, sample, *operands):
    """``sample(uniform, *elements)`` over the elements of arrays of one shape: float64."""
    columns = [operand.astype(np.float64).reshape(-1).tolist() for operand in operands]
    with _Uniforms(engine) as uniform:
        values = [sample(uniform, *elements) for elements in zip(*columns, strict=True)]
    return np.array(values, np.float64).reshape(operands[0].shape)


# Poisson ----------------------------------------------------------------------------------------


@locked
def poisson(engine, rate):
    """Poisson numbers, as ``torch.poisson(rate)``: ``rate``'s shape and dtype.

    Raises:
        RuntimeError: a rate is negative or not a number.
        NotImplementedError: ``rate`` is not floating.
    """
    require(rate.dtype, FLOATS, "poisson_cpu")
    if not (rate >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    counts = _for_each(engine, _one_poisson, rate)
    return cast(cast(counts, np.dtype(np.int64)), rate.dtype)


def _one_poisson(uniform, rate):
    if rate >= 10:
        return _large_poisson(uniform, rate)
    if rate == 0:
        return 0
    bound, product, count = math.exp(-rate), uniform(), 0
    while product > bound:
        product *= uniform()
        count += 1
    return count


def _large_poisson(uniform, rate):
    """Hoermann's transformed rejection with squeeze (PTRS)."""
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = uniform() - 0.5
        v = uniform()
        s = 0.5 - abs(u)
        k = ((2 * a / s + b) * u + rate + 0.43) // 1  # math.floor knows no infinity
        if s >= 0.07 and v <= v_r:
            return k
        if k < 0 or (s < 0.013 and v > s):
            continue
        accepted = -rate + k * log_rate - math.lgamma(k + 1)
        if log(v) + math.log(inverse_alpha) - math.log(a / (s * s) + b) <= accepted:
            return k


# Binomial ---------------------------------------------------------------------------------------


@locked
def binomial(engine, count, prob):
    """Successes in ``count`` trials, as ``torch.binomial``; two floating arrays of one shape.

    Raises:
        NotImplementedError: ``count`` is neither float32 nor float64.
    """
    require(count.dtype, _SINGLE_AND_DOUBLE, "binomial_cpu")
    return _for_each(engine, _one_binomial, count, prob).astype(count.dtype)


def _one_binomial(uniform, count, prob):
    if math.isnan(prob):
        return math.nan
    if count <= 0 or prob <= 0:
        return 0
    if prob >= 1:
        return count
    if prob > 0.5:
        return count - _one_binomial(uniform, count, 1 - prob)
    if count * prob < 10:
        return _small_binomial(uniform, count, prob)
    return _large_binomial(uniform, count, prob)


def _small_binomial(uniform, count, prob):
    """Add up the gaps between successes."""
    log_failure = math.log1p(-prob)
    successes, trials = 0, 0.0
    while True:
        quotient = log(uniform()) / log_failure
        trials += math.ceil(quotient) if quotient < math.inf else quotient
        if trials > count:
            return successes
        successes += 1


def _large_binomial(uniform, count, prob):
    """Hoermann's transformed rejection with squeeze (BTRS)."""
    deviation = math.sqrt(count * prob * (1 - prob))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * prob
    centre = count * prob + 0.5
    v_r = 0.92 - 4.2 / b
    odds = prob / (1 - prob)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = math.floor((count + 1) * prob)
    while True:
        u = uniform() - 0.5
        v = uniform()
        s = 0.5 - abs(u)
        k = math.floor((2 * a / s + b) * u + centre)
        if s >= 0.07 and v <= v_r:
            return k
        if k < 0 or k > count:
            continue
        accepted = (
            (mode + 0.5) * math.log((mode + 1) / (odds * (count - mode + 1)))
            + (count + 1) * math.log((count - mode + 1) / (count - k + 1))
            + (k + 0.5) * math.log(odds * (count - k + 1) / (k + 1))
            + _stirling_tail(mode)
            + _stirling_tail(count - mode)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        if log(v * alpha / (a / (s * s) + b)) <= accepted:
            return k


# log(k!) minus Stirling's approximation, for k = 0..9
_STIRLING_TAILS = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def _stirling_tail(k):
    if k <= 9:
        return _STIRLING_TAILS[int(k)]
    square = (k + 1) * (k + 1)
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1)


# Gamma ------------------------------------------------------------------------------------------

_THIRD = float(np.float32(1) / np.float32(3))
_SQUEEZE = float(np.float32(0.0331))


@locked
def gamma(engine, alpha):
    """Gamma numbers of scale 1, as ``torch._standard_gamma(alpha)``: its shape and dtype.

    Raises:
        NotImplementedError: ``alpha`` is neither float32 nor float64.
    """
    require(alpha.dtype, _SINGLE_AND_DOUBLE, "gamma_cpu")
    tiny = np.finfo(alpha.dtype).tiny
    return np.fmax(cast(_gammas(engine, alpha), alpha.dtype), tiny)


@locked
def dirichlet(engine, alpha):
    """Dirichlet numbers over the last axis, as ``torch._sample_dirichlet(alpha)``.

    Raises:
        NotImplementedError: ``alpha`` is neither float32 nor float64.
    """
    dtype = alpha.dtype
    require(dtype, _SINGLE_AND_DOUBLE, "dirichlet")
    gammas = _gammas(engine, alpha.astype(np.float64))
    shares = (gammas / gammas.sum(-1, keepdims=True)).astype(dtype)
    return np.clip(shares, np.finfo(dtype).tiny, 1 - np.finfo(dtype).epsneg)


def _gammas(engine, alpha):
    rounded = alpha.dtype.type

    def sample(uniform, alpha):
        return _one_gamma(engine, uniform, alpha, rounded)

    return _for_each(engine, sample, alpha)


def _one_gamma(engine, uniform, alpha, rounded):
    """Marsaglia and Tsang's rejection; ``rounded`` is the dtype of PyTorch's intermediates."""
    scale = 1.0
    if alpha < 1:
        if alpha == 0:
            return 0.0
        scale = math.pow(1 - uniform(), float(rounded(1 / alpha)))
        alpha = float(rounded(alpha + 1))
    d = float(rounded(alpha - _THIRD))
    c = 1 / math.sqrt(9 * d) if d > 0 else math.nan
    while True:
        x = one_normal(engine, uniform)
        y = 1 + c * x
        if y <= 0:
            continue
        v = y * y * y
        u = 1 - uniform()
        square = x * x
        if u < 1 - _SQUEEZE * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1 - v + math.log(v)):
            return scale * d * v
