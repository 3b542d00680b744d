"""Running sums, products and extremes along a dimension."""

import operator
from functools import partial

import jax
import jax.numpy as jnp

from facade.dtypes import dtype
from facade.errors import wrap_dim
from facade.ops.declare import kernel, refuse
from facade.ops.reduction import summable
from facade.ops.registry import Array, op
from facade.ops.running_algorithms import accumulate


def _check_running(input, dim, **_) -> None:
    wrap_dim(dim, input.ndim)


_sums = partial(accumulate, operator.add, 0, jax.lax.cumsum)
_products = partial(accumulate, operator.mul, 1, jax.lax.cumprod)


def _running(function, input, dim):
    return function(input, wrap_dim(dim, input.ndim)) if input.ndim else input


@op(check=_check_running, inplace=True, out=True)
def cumsum(input: Array, dim: int, *, dtype: dtype | None = None):
    """Return the sums of all elements up to each along ``dim``."""
    return _running(_sums, summable(input, dtype), dim)


@op(check=_check_running, inplace=True, out=True)
def cumprod(input: Array, dim: int, *, dtype: dtype | None = None):
    """Return the products of all elements up to each along ``dim``."""
    return _running(_products, summable(input, dtype), dim)


def _check_logcumsumexp(input, dim) -> None:
    error = kernel("logcumsumexp_out_cpu")
    refuse("logcumsumexp", bool=error, integer=error)(input=input)
    wrap_dim(dim, input.ndim)


@op(check=_check_logcumsumexp, out=True)
def logcumsumexp(input: Array, dim: int):
    """Return ``log(cumsum(exp(input)))``."""
    if jnp.iscomplexobj(input):
        return _running(_complex_cumlogsumexp, input, dim)
    return _running(_cumlogsumexp, input, dim)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _cumlogsumexp(x, axis: int):
    return jax.lax.cumlogsumexp(x, axis)


@_cumlogsumexp.defjvp
def _cumlogsumexp_jvp(axis: int, primals, tangents):
    """Average tangents, weighed by ``exp(x)``; JAX's own rule loses digits where x is large."""
    (x,), (dx,) = primals, tangents
    top = jax.lax.stop_gradient(jnp.maximum(x, jnp.finfo(x.dtype).min))
    weight = jnp.exp(x - top)  # 1, or 0 where there is nothing

    def add(first, then):
        most = jnp.maximum(first[0], then[0])
        a, b = jnp.exp(first[0] - most), jnp.exp(then[0] - most)
        return most, a * first[1] + b * then[1], a * first[2] + b * then[2]

    if x.shape[axis]:
        _, total, moved = jax.lax.associative_scan(add, (top, weight, weight * dx), axis=axis)
        dx = moved / jnp.where(total == 0, 1, total)
    return _cumlogsumexp(x, axis), dx


def _complex_cumlogsumexp(x, axis: int):
    """Add one by one, as PyTorch does: which of its angles a logarithm has depends on the order."""

    def add(total, term):
        small, great = (
            jnp.where((total.real < term.real) == s, total, term) for s in (True, False)
        )
        nothing = jnp.isneginf(small.real)
        rest = jnp.log1p(jnp.exp(jnp.where(nothing, 0, small - great)))
        total = jnp.where(nothing, great, great + rest)
        return total, total

    rows = jnp.moveaxis(x, axis, 0)
    if not len(rows):
        return x
    return jnp.moveaxis(jax.lax.scan(add, jnp.full_like(rows[0], -jnp.inf), rows)[1], 0, axis)


def _running_extreme(input, dim: int, wins):
    """Return the extremes so far along ``dim`` and the last places where they are."""
    if not input.ndim:
        return input, jnp.zeros((), jnp.int64)
    axis = wrap_dim(dim, input.ndim)

    def later(a, b):
        (x, i), (y, j) = a, b
        take = (wins(y, x) | (y != y)) & ((x == x) | (y != y))
        return jnp.where(take, y, x), jnp.where(take, j, i)

    place = jax.lax.broadcasted_iota(jnp.int64, input.shape, axis)
    still = jax.lax.stop_gradient(input)
    _, index = jax.lax.associative_scan(later, (still, place), axis=axis)
    return jnp.take_along_axis(input, index, axis), index


@op(public="", check=_check_running)
def cummax(input: Array, dim: int):
    """Return the greatest so far along ``dim`` and its places."""
    return _running_extreme(input, dim, jnp.greater_equal)


@op(public="", check=_check_running)
def cummin(input: Array, dim: int):
    """Return the least so far along ``dim`` and its places."""
    return _running_extreme(input, dim, jnp.less_equal)
