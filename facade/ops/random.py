"""Random numbers on a device: functions of a generator's seed and of the number of the draw.

Both are operands, so a program that draws is compiled once and gives other numbers at every run.
On the CPU the numbers come from PyTorch's own generator instead, and are leaves.
"""

import jax
import jax.numpy as jnp

from facade.dtypes import dtype
from facade.ops.registry import Raw, Scalar, op


def _key(seed, offset):
    return jax.random.fold_in(jax.random.key(seed), offset)


# ---- laws: (key, size, numpy dtype, two numbers) -> numbers ----


def _uniform(key, size, kind, low, high):
    """Return numbers in ``[low, high)``."""
    low, high, width = low.astype(kind), high.astype(kind), (high - low).astype(kind)
    numbers = low + width * jax.random.uniform(key, size, kind)
    return jnp.where(numbers == high, low, numbers)  # rounding can reach the upper bound


def _complex_or_real_uniform(key, size, kind, low, high):
    if not jnp.issubdtype(kind, jnp.complexfloating):
        return _uniform(key, size, kind, low, high)
    parts = _uniform(key, (2, *size), jnp.finfo(kind).dtype, low, high)
    return jax.lax.complex(parts[0], parts[1])


def _normal(key, size, kind, mean, std):
    return mean.astype(kind) + std.astype(kind) * jax.random.normal(key, size, kind)


def _log_normal(key, size, kind, mean, std):
    return jnp.exp(_normal(key, size, kind, mean, std))


def _exponential(key, size, kind, lambd, _):
    return jax.random.exponential(key, size, kind) / lambd.astype(kind)


def _cauchy(key, size, kind, median, sigma):
    return median.astype(kind) + sigma.astype(kind) * jax.random.cauchy(key, size, kind)


def _geometric(key, size, kind, p, _):
    """Return the number of trials up to the first success."""
    u = jax.random.uniform(key, size, jnp.float32)
    trials = jnp.ceil(jnp.log1p(-u) / jnp.log1p(-p).astype(u.dtype))
    return jnp.maximum(trials, 1).astype(kind)


def _bernoulli(key, size, kind, p, success):
    """Return ``success`` with probability ``p``, else 0."""
    hit = jax.random.uniform(key, size, jnp.float32) < p.astype(jnp.float32)
    return jnp.where(hit, success.astype(kind), jnp.zeros((), kind))


def _integers(key, size, kind, low, count):
    """Return whole numbers from ``low``, ``count`` of them (0 stands for 2**64)."""
    bits = jax.random.bits(key, size, jnp.uint64)
    count = count.astype(jnp.uint64)
    numbers = jnp.where(count == 0, bits, bits % jnp.maximum(count, 1))
    return (numbers.astype(jnp.int64) + low).astype(kind)


_LAWS = {
    "uniform": _complex_or_real_uniform,
    "normal": _normal,
    "log_normal": _log_normal,
    "exponential": _exponential,
    "cauchy": _cauchy,
    "geometric": _geometric,
    "bernoulli": _bernoulli,
    "integers": _integers,
}


@op(public="", differentiable=False, strides=lambda operands, strides, **_: strides)
def draw(
    seed: Scalar, offset: Scalar, first: Scalar, second: Scalar,
    law: str, size: tuple, strides: tuple | None, dtype: dtype,
):  # fmt: skip
    """Return independent numbers of a law with two parameters."""
    return _LAWS[law](_key(seed, offset), size, dtype.numpy, first, second)


# ---- draws that are no law of single numbers ----


@op(public="", differentiable=False)
def draw_permutation(seed: Scalar, offset: Scalar, n: int, dtype: dtype):
    """Return the numbers from 0 to ``n - 1`` in random order."""
    return jax.random.permutation(_key(seed, offset), n).astype(dtype.numpy)


@op(public="", differentiable=False)
def draw_bernoulli(seed: Scalar, offset: Scalar, p: Raw, dtype: dtype):
    """Return 1 with the probabilities ``p``, else 0."""
    u = jax.random.uniform(_key(seed, offset), p.shape, jnp.promote_types(p.dtype, jnp.float32))
    return (u < p).astype(dtype.numpy)


@op(public="", differentiable=False)
def draw_poisson(seed: Scalar, offset: Scalar, rate: Raw):
    """Return Poisson numbers of these rates."""
    return jax.random.poisson(_key(seed, offset), rate).astype(rate.dtype)


@op(public="", differentiable=False)
def draw_binomial(seed: Scalar, offset: Scalar, count: Raw, prob: Raw):
    """Return the successes in ``count`` trials of probability ``prob``."""
    return jax.random.binomial(_key(seed, offset), count, prob, dtype=count.dtype)


@op(public="", differentiable=False)
def draw_categories(
    seed: Scalar, offset: Scalar, weights: Raw, num_samples: int, replacement: bool
):
    """Return ``num_samples`` indices per row, drawn by weight."""
    key, kind = _key(seed, offset), jnp.promote_types(weights.dtype, jnp.float32)
    logits = jnp.log(weights.astype(kind))
    if replacement:
        size = (num_samples, *weights.shape[:-1])
        return jnp.moveaxis(jax.random.categorical(key, logits, shape=size), 0, -1)
    race = logits + jax.random.gumbel(key, weights.shape, kind)
    return jax.lax.top_k(race, num_samples)[1].astype(jnp.int64)


@op(public="", grad_name=lambda name: name)
def random_result(sources: tuple[Raw, ...], values: Raw, name: str):
    """Return ``values``, drawn with the help of ``sources``, whose gradients are zero."""
    return values
