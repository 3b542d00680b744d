"""Symmetric matrices: their Cholesky factors and eigenvalues."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from facade.dtypes import SCALAR_NAMES, complex64, complex128, float32, float64
from facade.ops.linalg import product
from facade.ops.matrices import (
    check_matrices,
    check_system,
    column_strides,
    matrices_only,
    symmetric,
)
from facade.ops.registry import Raw, op

# ---- Cholesky ----


def _failing_minor(a) -> jax.Array:
    """Return the order of the first leading minor that is not positive, 0 if all are."""

    def eliminate(k, state):
        rest, order = state
        pivot = rest[..., k, k].real
        order = jnp.where((order == 0) & ~(pivot > 0), k + 1, order)
        column = rest[..., :, k] / rest[..., k, k][..., None]
        return rest - column[..., :, None] * rest[..., None, k, :], order

    start = a, jnp.zeros(a.shape[:-2], jnp.int32)
    return lax.fori_loop(jnp.int32(0), jnp.int32(a.shape[-1]), eliminate, start)[1]


def _cholesky(input, upper: bool):
    lower = lax.linalg.cholesky(input.mT.conj() if upper else input, symmetrize_input=False)
    return lower.mT.conj() if upper else lower


@op(public="", check=matrices_only("cholesky"), grad_name="LinalgCholeskyExBackward0",
    strides=lambda operands, upper: [column_strides(operands[0].shape), None])  # fmt: skip
def linalg_cholesky_ex(input: Raw, upper: bool) -> tuple:
    """Return the factors, and for each the order of a minor that is not positive (0: none)."""
    if not input.size:
        return input, jnp.zeros(input.shape[:-2], jnp.int32)
    factor = _cholesky(symmetric(input, upper), upper)
    fixed = lax.stop_gradient(input)
    failed = jnp.isnan(lax.stop_gradient(factor).real).any()
    none = jnp.zeros(input.shape[:-2], jnp.int32)
    info = lax.cond(failed, _failing_minor, lambda a: none, fixed.mT.conj() if upper else fixed)
    return factor, info


op(linalg_cholesky_ex, name="cholesky", public="", check=matrices_only("cholesky"),
    grad_name="CholeskyBackward0",
    strides=lambda operands, upper: [column_strides(operands[0].shape), None])  # fmt: skip


def _check_cholesky_solve(input, input2, upper) -> None:
    for name, matrix in (("b", input), ("u", input2)):
        if matrix.ndim < 2:
            raise RuntimeError(
                f"{name} should have at least 2 dimensions, but has {matrix.ndim} dimensions "
                "instead"
            )
    check_system("cholesky_solve", input, input2)


@op(out=True, check=_check_cholesky_solve,
    strides=lambda operands, upper: column_strides(
        (*np.broadcast_shapes(*(x.shape[:-2] for x in operands)), *operands[0].shape[-2:])
    ))  # fmt: skip
def cholesky_solve(input: Raw, input2: Raw, upper: bool = False) -> jax.Array:
    """Return X of ``A @ X = input``, A given by its Cholesky factor ``input2``.

    The other triangle is not looked at, but has a gradient, as in PyTorch.
    """
    batch = jnp.broadcast_shapes(input.shape[:-2], input2.shape[:-2])
    b = jnp.broadcast_to(input, (*batch, *input.shape[-2:]))
    factor = jnp.broadcast_to(input2, (*batch, *input2.shape[-2:]))
    lower = factor.mT.conj() if upper else factor

    def solve(_, b):
        half = lax.linalg.triangular_solve(lower, b, left_side=True, lower=True)
        return lax.linalg.triangular_solve(
            lower, half, left_side=True, lower=True, transpose_a=True, conjugate_a=True
        )

    return lax.custom_linear_solve(
        lambda x: product(lower, product(lower.mT.conj(), x)),
        b,
        solve,
        lambda _, b: solve(_, b.conj()).conj(),
    )


def _check_cholesky_inverse(input, upper) -> None:
    if input.ndim < 2:
        raise RuntimeError("cholesky_inverse: The input tensor A must have at least 2 dimensions.")
    rows, columns = input.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            "cholesky_inverse: A must be batches of square matrices, but they are "
            f"{rows} by {columns} matrices"
        )
    if input.dtype not in (float32, float64, complex64, complex128):
        raise NotImplementedError(
            f"\"cholesky_inverse_out_cpu\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )


@op(out=True, check=_check_cholesky_inverse,
    strides=lambda operands, upper: column_strides(operands[0].shape))  # fmt: skip
def cholesky_inverse(input: Raw, upper: bool = False) -> jax.Array:
    """Return the inverse of A, given by its Cholesky factor."""
    eye = jnp.broadcast_to(jnp.eye(input.shape[-1], dtype=input.dtype), input.shape)
    return cholesky_solve(eye, input, upper)


# ---- eigenvalues ----


def _check_eigh(input, uplo) -> None:
    check_matrices("eigh", input)
    if uplo not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")


@op(public="", check=_check_eigh,
    strides=lambda operands, uplo: [None, column_strides(operands[0].shape)])  # fmt: skip
def linalg_eigh(input: Raw, uplo: str) -> tuple:
    """Return the eigenvalues, ascending, and eigenvectors of symmetric matrices."""
    values, vectors = jnp.linalg.eigh(symmetric(input, uplo == "U"), symmetrize_input=False)
    return values, vectors


@op(public="", check=_check_eigh, grad_name="LinalgEighBackward0")
def linalg_eigvalsh(input: Raw, uplo: str) -> jax.Array:
    """Return the eigenvalues of symmetric matrices, ascending."""
    return linalg_eigh(input, uplo)[0]
