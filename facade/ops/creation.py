"""Tensors from nothing: filled, counting, or shaped like another."""

import jax
import jax.numpy as jnp

from facade.dtypes import dtype
from facade.ops.declare import like_first
from facade.ops.registry import Raw, Scalar, op


@op(public="", differentiable=False)
def zeros(size: tuple, dtype: dtype):
    """Return zeros."""
    return jnp.zeros(size, dtype.numpy)


@op(public="", differentiable=False)
def ones(size: tuple, dtype: dtype):
    """Return ones."""
    return jnp.ones(size, dtype.numpy)


@op(public="", differentiable=False)
def full(size: tuple, fill_value: Scalar, dtype: dtype):
    """Return ``fill_value`` everywhere."""
    return jnp.full(size, fill_value.astype(dtype.numpy))


@op(public="", differentiable=False, strides=like_first)
def zeros_like(input: Raw, dtype: dtype | None = None):
    """Return zeros in the shape of ``input``."""
    return jnp.zeros(input.shape, dtype.numpy if dtype else input.dtype)


@op(public="", differentiable=False, strides=like_first)
def ones_like(input: Raw, dtype: dtype | None = None):
    """Return ones in the shape of ``input``."""
    return jnp.ones(input.shape, dtype.numpy if dtype else input.dtype)


@op(public="", differentiable=False, strides=like_first)
def full_like(input: Raw, fill_value: Scalar, dtype: dtype):
    """Return ``fill_value`` in the shape of ``input``."""
    return jnp.full(input.shape, fill_value.astype(dtype.numpy))


def _count(n: int, kind):
    return jax.lax.iota(kind, n)


@op(public="", differentiable=False)
def arange(start: Scalar, step: Scalar, count: int, dtype: dtype):
    """Return ``start + i * step``, computed in double precision as PyTorch does."""
    kind = jnp.float64 if dtype.is_floating_point else jnp.int64
    numbers = start.astype(kind) + step.astype(kind) * _count(count, kind)
    return numbers.astype(dtype.numpy)


def _evenly_spaced(start, end, steps: int, dtype: dtype):
    """Return numbers from ``start`` to ``end``, both first rounded to ``dtype``.

    They are counted from the nearer end (``aten/src/ATen/native/cpu/RangeFactoriesKernel.cpp``).
    """
    kind = _working_type(dtype)
    start, end = (x.astype(dtype.numpy).astype(kind) for x in (start, end))
    if steps == 1:
        return start[None]
    # XLA makes x / constant a product with the inverse, which rounds 49 / 49 to less than one
    step = (end - start) / jax.lax.optimization_barrier(jnp.asarray(steps - 1, kind))
    place = _count(steps, jnp.int64).astype(step.real.dtype)
    near = place < steps // 2
    return jnp.where(near, start + step * place, end - step * (steps - 1 - place))


def _working_type(dtype):
    return dtype.numpy if dtype.is_floating_point or dtype.is_complex else jnp.float64


@op(public="", differentiable=False)
def linspace(start: Scalar, end: Scalar, steps: int, dtype: dtype):
    """Return ``steps`` numbers evenly from ``start`` to ``end``."""
    return _evenly_spaced(start, end, steps, dtype).astype(dtype.numpy)


@op(public="", differentiable=False)
def logspace(start: Scalar, end: Scalar, base: Scalar, steps: int, dtype: dtype):
    """Return ``base`` to the power of evenly spaced numbers."""
    if steps == 1:  # which PyTorch doesn't round first
        kind = jnp.promote_types(dtype.numpy, jnp.float64)
        exponents = start.astype(kind)[None]
    else:
        exponents = _evenly_spaced(start, end, steps, dtype)
    return jnp.power(base.astype(exponents.dtype), exponents).astype(dtype.numpy)


@op(public="", differentiable=False)
def eye(n: int, m: int, dtype: dtype):
    """Return ones on the diagonal, zeros elsewhere."""
    return jnp.eye(n, m, dtype=dtype.numpy)


@op(public="", differentiable=False, strides=lambda operands, stride, **_: stride)
def empty_strided(size: tuple[int, ...], stride: tuple[int, ...], dtype: dtype):
    """Return zeros laid out in memory by ``stride``."""
    return jnp.zeros(size, dtype.numpy)
