"""What is computed from factors in LAPACK's packed form: LU, Householder reflections."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from facade.dtypes import SCALAR_NAMES
from facade.ops.declare import inexact_only
from facade.ops.linalg import product
from facade.ops.matrices import check_matrices, column_strides
from facade.ops.registry import Raw, op

# ---- LU ----


def _check_factor(input, pivot) -> None:
    if input.ndim < 2:
        raise RuntimeError("torch.lu_factor: Expected tensor with 2 or more dimensions. "
                           f"Got size: {list(input.shape)} instead")  # fmt: skip
    check_matrices("lu_factor", input, square=False)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


@op(public="", check=_check_factor,
    strides=lambda operands, pivot: [column_strides(operands[0].shape), None, None])  # fmt: skip
def linalg_lu_factor_ex(input: Raw, pivot: bool) -> tuple:
    """Return L and U in one matrix, the rows swapped (from 1), and a zero pivot's place."""
    if not input.size:
        none = jnp.zeros((*input.shape[:-2], min(input.shape[-2:])), jnp.int32)
        return input, none, jnp.zeros(input.shape[:-2], jnp.int32)
    packed, pivots, _ = lax.linalg.lu(input)
    zero = jnp.diagonal(lax.stop_gradient(packed), axis1=-2, axis2=-1) == 0
    info = jnp.where(zero.any(-1), jnp.argmax(zero, -1).astype(jnp.int32) + 1, 0)
    return packed, pivots + 1, info


def _lower(packed, count: int):
    rows = packed.shape[-2]
    return jnp.tril(packed[..., :, :count], -1) + jnp.eye(rows, count, dtype=packed.dtype)


@op(public="", strides=lambda operands, **_: None)
def lu_unpack(input: Raw, pivots: Raw, unpack_data: bool, unpack_pivots: bool) -> tuple:
    """Return P, L and U; what is not asked for is empty."""
    rows, columns = input.shape[-2:]
    inner = min(rows, columns)
    empty = jnp.zeros(0, input.dtype)
    order = lower = upper = empty
    if unpack_pivots:
        places = lax.linalg.lu_pivots_to_permutation(pivots - 1, rows)
        order = jax.nn.one_hot(places, rows, dtype=input.dtype, axis=-2)
    if unpack_data:
        lower, upper = _lower(input, inner), jnp.triu(input[..., :inner, :])
    return order, lower, upper


def _check_lu_solve(input, pivots, other, left, adjoint) -> None:
    check_matrices("lu_solve", input)
    inexact_only("lu_solve", other.dtype)
    size, given = input.shape[-1], other.shape[-2 if left else -1]
    if size != given:
        raise RuntimeError(
            "linalg.lu_solve: Incompatible shapes of A and B for the equation "
            f"{'AX' if left else 'XA'} = B ({size}x{size} and {other.shape[-2]}x{other.shape[-1]})"
        )


def _lu_solve_strides(operands, left, adjoint):
    batch = np.broadcast_shapes(operands[0].shape[:-2], operands[2].shape[:-2])
    shape = (*batch, *operands[2].shape[-2:])
    return column_strides(shape) if left else None


@op(public="", check=_check_lu_solve, strides=_lu_solve_strides)
def linalg_lu_solve(input: Raw, pivots: Raw, other: Raw, left: bool, adjoint: bool) -> jax.Array:
    """Return X of ``A @ X = other`` (of ``X @ A``; A's adjoint), A given by its LU factors."""
    if left:
        return _by_factors(input, pivots, other, adjoint, adjoint)
    if adjoint:
        return _by_factors(input, pivots, other.mT.conj(), False, False).mT.conj()
    return _by_factors(input, pivots, other.mT, True, False).mT


def _by_factors(packed, pivots, b, transpose: bool, conjugate: bool):
    """Return X of ``A @ X = b``, or of A transposed and perhaps conjugated."""
    size = packed.shape[-1]
    batch = jnp.broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    packed = jnp.broadcast_to(packed, (*batch, size, size))
    b = jnp.broadcast_to(b, (*batch, *b.shape[-2:]))
    order = lax.linalg.lu_pivots_to_permutation(jnp.broadcast_to(pivots, (*batch, size)) - 1, size)[
        ..., None
    ]
    how = {"left_side": True, "transpose_a": transpose, "conjugate_a": conjugate}
    lower = {"lower": True, "unit_diagonal": True} | how
    upper = {"lower": False} | how
    if not transpose:
        half = lax.linalg.triangular_solve(packed, jnp.take_along_axis(b, order, -2), **lower)
        return lax.linalg.triangular_solve(packed, half, **upper)
    half = lax.linalg.triangular_solve(packed, b, **upper)
    permuted = lax.linalg.triangular_solve(packed, half, **lower)
    return jnp.take_along_axis(permuted, jnp.argsort(order, -2), -2)


# ---- Householder reflections ----


def _check_householder(input, tau) -> None:
    name = "torch.linalg.householder_product"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    rows, columns = input.shape[-2:]
    if rows < columns:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to "
                           "input.shape[-1]")  # fmt: skip
    if columns < tau.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to "
                           "tau.shape[-1]")  # fmt: skip


@op(public="", check=_check_householder,
    strides=lambda operands: column_strides(operands[0].shape))  # fmt: skip
def linalg_householder_product(input: Raw, tau: Raw) -> jax.Array:
    """Return the first columns of the product of the reflections ``1 - tau v vᴴ``."""
    rows, columns = input.shape[-2:]
    start = jnp.broadcast_to(jnp.eye(rows, columns, dtype=input.dtype), input.shape)
    return _reflect(input, tau, start, False, True)


def _reflect(vectors, tau, b, adjoint: bool, backwards: bool):
    """Apply the reflections to ``b`` from the left, the last one first if ``backwards``."""
    count = tau.shape[-1]
    below = jnp.tril(vectors[..., :, :count], -1) + jnp.eye(
        vectors.shape[-2], count, dtype=vectors.dtype
    )

    def apply(b, reflection):
        v, t = reflection
        t = t.conj() if adjoint else t
        projected = product(v.conj()[..., None, :], b)
        return b - t[..., None, None] * product(v[..., :, None], projected), None

    each = jnp.moveaxis(below, -1, 0), jnp.moveaxis(tau, -1, 0)
    return lax.scan(apply, b, each, reverse=backwards)[0]


@op(public="", strides=lambda operands: [column_strides(operands[0].shape), None])
def geqrf(input: Raw) -> tuple:
    """Return R with the reflections that make Q below it, and their factors."""
    packed, tau = jnp.linalg.qr(lax.stop_gradient(input), mode="raw")
    return packed.mT, tau


def _check_ormqr(input, tau, other, left, transpose) -> None:
    for name, matrix in (("input", input), ("other", other)):
        if matrix.ndim < 2:
            raise RuntimeError(f"torch.ormqr: {name} must have at least 2 dimensions.")
    side = -2 if left else -1
    if other.shape[side] < tau.shape[-1]:
        relation = "greater than or equal to tau.shape[-1]"
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be {relation}")
    if other.shape[side] != input.shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] != min(other.shape[side], input.shape[-1]):
        raise RuntimeError(
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    if input.dtype is not other.dtype:
        raise RuntimeError(
            "torch.ormqr: Expected input and other to have the same dtype, but input has dtype"
            f"{SCALAR_NAMES[input.dtype]} and other has dtype {SCALAR_NAMES[other.dtype]}"
        )


@op(public="", check=_check_ormqr,
    strides=lambda operands, left, transpose: column_strides(operands[2].shape))  # fmt: skip
def ormqr(input: Raw, tau: Raw, other: Raw, left: bool, transpose: bool) -> jax.Array:
    """Multiply by the Q that reflections make: ``Q @ other`` or ``other @ Q``."""
    if left:
        return _reflect(input, tau, other, transpose, not transpose)
    turned = other.mT.conj()
    return _reflect(input, tau, turned, not transpose, transpose).mT.conj()
