"""What sparse tensors compute: sums, products and look-ups of elements given by their places.

``values`` is ``(n, *dense)``, ``places`` is ``(sparse_dim, n)``. Nothing is promised for places
that are outside, as in PyTorch.
"""

import math

import jax
import jax.numpy as jnp

from facade.ops.registry import Array, Raw, op

INSIDE = "promise_in_bounds"  # several times faster than looking


def _name(name: str) -> str:
    return name


def _unchanged(operands: list, name: str) -> tuple[int, ...]:
    return operands[0].strides


@op(public="", grad_name=_name, strides=_unchanged)
def elements_of(values: Raw, name: str) -> jax.Array:
    """Return the values, as a result of the op whose backward is called ``name``."""
    return values


@op(public="", grad_name=_name)
def sparse_scatter(values: Raw, places: Raw, shape: tuple[int, ...], name: str) -> jax.Array:
    """Return zeros of ``(*shape, *dense)`` to which the values were added."""
    at = jnp.zeros((*shape, *values.shape[1:]), values.dtype).at[tuple(places)]
    return (at.max if values.dtype == bool else at.add)(values, mode=INSIDE)


@op(public="", grad_name=_name)
def sparse_gather(input: Raw, places: Raw, name: str) -> jax.Array:
    """Return the elements at these places."""
    return input.at[tuple(places)].get(mode=INSIDE)


@op(public="", grad_name=_name)
def sparse_product(values: Array, places: Raw, dense: Array, rows: int, name: str) -> jax.Array:
    """Multiply a sparse matrix of so many rows and ``dense (k,)`` or ``(k, n)``."""
    picked = dense.at[places[1]].get(mode=INSIDE)
    products = values.reshape(-1, *[1] * (dense.ndim - 1)) * picked
    zeros = jnp.zeros((rows, *dense.shape[1:]), products.dtype)
    return zeros.at[places[0]].add(products, mode=INSIDE)


@op(public="", grad_name=_name)
def sparse_extremum(
    values: Array, places: Raw, dense: Array, rows: int, largest: bool, name: str
) -> jax.Array:
    """Return the largest or least of the terms that :func:`sparse_product` adds up, or 0 of none.

    Equal ones have one gradient, that of the first.
    """
    columns = dense.at[places[1]].get(mode=INSIDE)
    products = values[:, None] * columns
    order, least = jax.lax.stop_gradient(products if largest else -products), -jnp.inf
    shape = (rows, dense.shape[1])
    most = jnp.full(shape, least, order.dtype).at[places[0]].max(order, mode=INSIDE)
    numbers = jnp.where(order == most[places[0]], jnp.arange(len(order))[:, None], len(order))
    first = jnp.full(shape, len(order)).at[places[0]].min(numbers, mode=INSIDE)
    return jnp.take_along_axis(products, first, 0, mode="fill", fill_value=0)


@op(public="", grad_name=_name)
def sparse_softmax(values: Raw, groups: Raw, count: int, log: bool, name: str) -> jax.Array:
    """Return the softmax, or its logarithm, over the values of each of ``count`` groups."""
    least = jnp.full((count, *values.shape[1:]), -math.inf, values.dtype)
    largest = jax.lax.stop_gradient(least.at[groups].max(values, mode=INSIDE))
    shifted = values - largest[groups]
    sums = jnp.zeros_like(least).at[groups].add(jnp.exp(shifted), mode=INSIDE)
    return shifted - jnp.log(sums)[groups] if log else jnp.exp(shifted) / sums[groups]
