"""Apply a linear function to the rows of an identity matrix, without multiplying by it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from facade.jaxprs import function_of


def apply_to_identity(linear: Callable, like, chunk_size: int | None = None) -> list:
    """Return what ``jax.vmap(linear)`` makes of an identity matrix, per result.

    Args:
        linear: Takes an array such as ``like`` and returns a sequence of arrays.
        chunk_size: How many rows are computed at once; all of them unless given.
    """
    function, rows = _past_products(linear, like) or (linear, [_identity(like)])
    if chunk_size is None or chunk_size >= like.size:
        return jax.vmap(function)(*rows)
    return jax.lax.map(lambda row: function(*row), rows, batch_size=chunk_size)


def _identity(like):
    return jnp.eye(like.size, dtype=like.dtype).reshape(like.size, *like.shape)


def _past_products(linear: Callable, like) -> tuple[Callable, list] | None:
    """Return ``(function, rows)`` so that ``vmap(function)(*rows)`` is ``vmap(linear)(identity)``.

    The Jacobian of a network begins with a product of the identity and the last layer's matrix,
    or with the first layer's: its rows are that matrix. None if the identity has other uses.
    """
    if like.ndim != 1:
        return None
    closed = jax.make_jaxpr(linear)(like)
    jaxpr = closed.jaxpr
    (seed,) = jaxpr.invars
    constants = list(zip(jaxpr.constvars, closed.consts, strict=True))
    products = [eqn for eqn in jaxpr.eqns if any(v is seed for v in eqn.invars)]
    rows = [_rows(eqn, seed, constants) for eqn in products]
    if not rows or any(r is None for r in rows) or any(v is seed for v in jaxpr.outvars):
        return None
    rest = [eqn for eqn in jaxpr.eqns if all(eqn is not p for p in products)]
    return function_of(closed, invars=[p.outvars[0] for p in products], eqns=rest), rows


def _rows(eqn, seed, constants: list):
    """Return the product of each row of the identity and a constant; None if it is none."""
    if eqn.primitive.name != "dot_general":
        return None
    at = 0 if eqn.invars[0] is seed else 1
    matrix = [value for var, value in constants if var is eqn.invars[1 - at]]
    contracted, batch = eqn.params["dimension_numbers"]
    if not matrix or batch[0] or not contracted[0]:
        return None
    rows = jnp.moveaxis(matrix[0], contracted[1 - at][0], 0)
    return rows.astype(eqn.outvars[0].aval.dtype)
