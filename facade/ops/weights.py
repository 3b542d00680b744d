"""Norms of many tensors as one, and of a weight's slices."""

import jax
import jax.numpy as jnp

from facade.ops.registry import Raw, op


def _norm(x, ord: float):
    size = jnp.abs(x)
    if ord == jnp.inf:
        return jnp.max(size, initial=0)
    if ord == -jnp.inf:
        return jnp.min(size)
    if ord == 0:
        return jnp.sum(size != 0).astype(size.dtype)
    if ord == 2:
        return jnp.sqrt(jnp.sum(size * size))
    return jnp.sum(size**ord) ** (1 / ord)


@op(public="", differentiable=False)
def total_norm(tensors: tuple[Raw, ...], ord: float) -> jax.Array:
    """Return the norm of the tensors' norms, ``()``."""
    return _norm(jnp.stack([_norm(t, ord) for t in tensors]), ord)


def _others(ndim: int, dim: int) -> tuple[int, ...] | None:
    """Return the dimensions but ``dim``; all of them for -1, which stands for none."""
    return None if dim == -1 else tuple(i for i in range(ndim) if i != dim % ndim)


@op(public="")
def norm_except_dim(v: Raw, pow: int, dim: int) -> jax.Array:
    """Return the ``pow``-norm of each slice along ``dim``, other sizes 1; of all of v for -1."""
    axes = _others(v.ndim, dim)
    powers = jnp.sum(jnp.abs(v) ** pow, axes, keepdims=axes is not None)
    return powers ** (1 / pow)


def _weight_norm_name(v, dim: int) -> str:
    fused = dim in (0, v.ndim - 1)
    return "WeightNormInterfaceBackward0" if fused else "MulBackward0"


@op(public="", grad_name=_weight_norm_name)
def weight_norm(v: Raw, g: Raw, dim: int) -> jax.Array:
    """Return ``v`` with its slices along ``dim`` scaled to the norms ``g``."""
    return v * (g / norm_except_dim(v, 2, dim))
