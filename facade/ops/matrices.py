"""What ops on matrices share: their checks, LAPACK's layout, the triangle that stands for both."""

from functools import partial

import jax
import jax.numpy as jnp

from facade.avals import contiguous_strides
from facade.dtypes import SCALAR_NAMES
from facade.ops.declare import inexact_only

# LAPACK's matrices are column by column, and PyTorch leaves its results so.


def column_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of matrices stored column by column."""
    turned = contiguous_strides((*shape[:-2], shape[-1], shape[-2]))
    return (*turned[:-2], turned[-1], turned[-2])


def matrices_only(name: str, square: bool = True, halves: bool = False):
    """Return the check of an op of one operand, which must hold matrices of floats."""

    def check(input, **static) -> None:
        check_matrices(name, input, square, halves)

    return check


def check_matrices(name: str, input, square: bool = True, halves: bool = False) -> None:
    """Raise PyTorch's error unless ``input`` holds (square) matrices of floats, or of ``halves``.

    Raises:
        RuntimeError: it doesn't.
    """
    if input.ndim < 2:
        raise RuntimeError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.")
    rows, columns = input.shape[-2:]
    if square and rows != columns:
        raise RuntimeError(
            f"linalg.{name}: A must be batches of square matrices, "
            f"but they are {rows} by {columns} matrices"
        )
    inexact_only(name, input.dtype)
    if input.dtype.itemsize < 4 and not halves:
        raise RuntimeError(
            f"linalg.{name}: Low precision dtypes not supported. Got {SCALAR_NAMES[input.dtype]}"
        )


def check_system(name: str, b, a) -> None:
    """Raise the error of an older function if ``a`` and ``b`` make no system of equations."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "Expected b and A to have the same dtype, but found b of type "
            f"{SCALAR_NAMES[b.dtype]} and A of type {SCALAR_NAMES[a.dtype]} instead."
        )
    rows, columns = a.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {rows} by {columns} matrices"
        )
    if rows != b.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {rows} by {rows} but each b "
            f"matrix is {b.shape[-2]} by {b.shape[-1]}"
        )


# ---- one triangle stands for both ----


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def symmetric(input, upper: bool):
    """Return the matrices with the triangle in use mirrored; both share the gradient."""
    half = jnp.triu(input, 1) if upper else jnp.tril(input, -1)
    diagonal = jnp.diagonal(input, axis1=-2, axis2=-1).real
    return half + half.mT.conj() + diagonal[..., None] * jnp.eye(input.shape[-1], dtype=input.dtype)


@symmetric.defjvp
def _symmetric_jvp(upper, primals, tangents):
    (tangent,) = tangents
    return symmetric(*primals, upper), (tangent + tangent.mT.conj()) / 2
