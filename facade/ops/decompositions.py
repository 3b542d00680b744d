"""Factorizations of matrices, and what is computed by them: inverses, solutions, determinants."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from facade.avals import contiguous_strides
from facade.dtypes import SCALAR_NAMES, float16
from facade.ops.declare import expected_type
from facade.ops.linalg import product
from facade.ops.matrices import (
    check_matrices,
    check_system,
    column_strides,
    matrices_only,
    symmetric,
)
from facade.ops.reduction import p_norm
from facade.ops.registry import Raw, op

# ---- inverse, solution, determinant ----


def _zero_pivot(a) -> jax.Array:
    """Return the number, from 1, of the first zero pivot of each matrix, 0 if there is none."""
    if not a.shape[-1]:
        return jnp.zeros(a.shape[:-2], jnp.int32)
    pivots = jnp.diagonal(lax.linalg.lu(lax.stop_gradient(a))[0], axis1=-2, axis2=-1)
    zero = pivots == 0
    first = jnp.argmax(zero, -1).astype(jnp.int32) + 1
    return jnp.where(zero.any(-1), first, 0)


@op(public="", check=matrices_only("inv"), grad_name="LinalgInvExBackward0",
    strides=lambda operands: [column_strides(operands[0].shape), None])  # fmt: skip
def linalg_inv_ex(input: Raw) -> tuple:
    """Return the inverses, and for each the number of a zero pivot (0: none)."""
    return jnp.linalg.inv(input), _zero_pivot(input)


def _is_vector(a, b) -> bool:
    """Return whether ``b`` is a batch of vectors to ``solve``, rather than of matrices."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])


def _check_solve(input, other, left) -> None:
    check_matrices("solve", input)
    size = input.shape[-1]
    if input.dtype is not other.dtype:
        raise RuntimeError(
            "linalg.solve: Expected A and B to have the same dtype, but found A of type "
            f"{SCALAR_NAMES[input.dtype]} and B of type {SCALAR_NAMES[other.dtype]} instead"
        )
    given = other.shape[-1] if _is_vector(input, other) else other.shape[-2 if left else -1]
    if given != size:
        rows, columns = other.shape[-2:] if other.ndim > 1 else (other.shape[0], 1)
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation "
            f"{'AX' if left else 'XA'} = B ({size}x{size} and {rows}x{columns})"
        )


def _solve_strides(operands, left):
    a, b = operands
    if _is_vector(a, b):
        return [None, None]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*batch, *b.shape[-2:])
    return [column_strides(shape) if left else contiguous_strides(shape), None]


@op(public="", check=_check_solve, strides=_solve_strides, grad_name="LinalgSolveExBackward0")
def linalg_solve_ex(input: Raw, other: Raw, left: bool) -> tuple:
    """Return X of ``input @ X = other`` (or ``X @ input``), and the number of a zero pivot."""
    info = _zero_pivot(input)
    if _is_vector(input, other):
        return jnp.linalg.solve(input, other[..., None])[..., 0], info
    if left:
        return jnp.linalg.solve(input, other), info
    return jnp.linalg.solve(input.mT, other.mT).mT, info


@op(public="", check=matrices_only("det"))
def linalg_det(input: Raw) -> jax.Array:
    """Return the determinants."""
    return jnp.linalg.det(input) if input.size else jnp.ones(input.shape[:-2], input.dtype)


@op(public="", check=matrices_only("slogdet"))
def linalg_slogdet(input: Raw) -> tuple:
    """Return the determinants' signs and the logarithms of their sizes."""
    sign, size = jnp.linalg.slogdet(input)
    return sign, size


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _pinv(input, atol: float | None, rtol: float | None, hermitian: bool):
    matrix = symmetric(input, False) if hermitian else input
    if atol is not None and input.size:
        largest = jnp.linalg.norm(matrix, 2, (-2, -1))
        bound = jnp.maximum(atol / largest, rtol or 0.0).astype(largest.dtype)
        return jnp.linalg.pinv(matrix, rtol=bound)
    return jnp.linalg.pinv(matrix, rtol=rtol)


@_pinv.defjvp
def _pinv_jvp(atol, rtol, hermitian, primals, tangents):
    # Golub and Pereyra's formula, for the whole matrix even if only a triangle was looked at
    (a,), (tangent,) = primals, tangents
    inverse = _pinv(a, atol, rtol, hermitian)
    adjoint, turned = inverse.mT.conj(), tangent.mT.conj()
    inner = product(inverse, product(adjoint, turned))
    outer = product(product(turned, adjoint), inverse)
    change = inner - product(product(inner, a), inverse) + outer
    change -= product(inverse, product(a, outer)) + product(product(inverse, tangent), inverse)
    return inverse, change


@op(public="", check=matrices_only("pinv", square=False))
def linalg_pinv(input: Raw, atol: float | None, rtol: float | None, hermitian: bool) -> jax.Array:
    """Return the Moore-Penrose inverses; smaller singular values than a tolerance count as 0."""
    return _pinv(input, atol, rtol, hermitian)


def _check_lstsq(input, other, rcond, residuals) -> None:
    if input.ndim < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if other.ndim < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    vector = _is_vector(input, other)
    if input.shape[-2] != other.shape[-1 if vector else -2]:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size({-1 if vector else -2})"
        )
    if input.dtype is not other.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's "
            f"dtype {SCALAR_NAMES[input.dtype]} and other's dtype {SCALAR_NAMES[other.dtype]}"
        )


def _lstsq_strides(operands, **_):
    a, b = operands
    if _is_vector(a, b):
        return [None, None]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = max(a.shape[-2:])  # LAPACK's buffer, of which the solution is the first part
    return [column_strides((*batch, rows, b.shape[-1])), None]


@op(public="", check=_check_lstsq, strides=_lstsq_strides)
def linalg_lstsq(input: Raw, other: Raw, rcond: float | None, residuals: bool) -> tuple:
    """Return the X that brings ``input @ X`` closest to ``other``, and what is left, squared."""
    b = other[..., None] if _is_vector(input, other) else other
    solution = product(jnp.linalg.pinv(input, rtol=rcond), b)
    left = jnp.zeros(0, input.real.dtype)
    if residuals and input.shape[-2] > input.shape[-1]:
        left = (jnp.abs(b - product(input, solution)) ** 2).sum(-2)
    return (solution[..., 0] if b is not other else solution), left


def _check_triangular(input, other, upper, left, unitriangular) -> None:
    check_matrices("solve_triangular", input)
    size, given = input.shape[-1], other.shape[-2 if left else -1]
    if given != size:
        raise RuntimeError(
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation "
            f"{'AX' if left else 'XA'} = B ({size}x{size} and "
            f"{other.shape[-2]}x{other.shape[-1]})"
        )


def _triangular_strides(operands, left, **static):
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in operands))
    return column_strides((*batch, *operands[1].shape[-2:]))


@op(public="", check=_check_triangular, strides=_triangular_strides)
def linalg_solve_triangular(
    input: Raw, other: Raw, upper: bool, left: bool, unitriangular: bool
) -> jax.Array:
    """Solve with a triangular matrix; the other triangle is not looked at."""
    batch = jnp.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    a = jnp.broadcast_to(input, (*batch, *input.shape[-2:]))
    b = jnp.broadcast_to(other, (*batch, *other.shape[-2:]))
    return lax.linalg.triangular_solve(
        a, b, left_side=left, lower=not upper, unit_diagonal=unitriangular
    )


def _check_old_triangular(input, A, upper, transpose, unitriangular) -> None:
    for name, matrix in (("b", input), ("A", A)):
        if matrix.ndim < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it "
                f"has {matrix.ndim} dimensions instead"
            )
    check_system("triangular_solve", input, A)


def _old_triangular_strides(operands, **_):
    b, a = operands
    batch = np.broadcast_shapes(b.shape[:-2], a.shape[:-2])
    return [column_strides((*batch, *x.shape[-2:])) for x in (b, a)]


@op(public="", check=_check_old_triangular, strides=_old_triangular_strides)
def triangular_solve(
    input: Raw, A: Raw, upper: bool, transpose: bool, unitriangular: bool
) -> tuple:
    """Return X of ``A @ X = input`` (of A transposed), and A."""
    a = A.mT if transpose else A
    batch = jnp.broadcast_shapes(input.shape[:-2], A.shape[:-2])
    solution = linalg_solve_triangular(a, input, upper != transpose, True, unitriangular)
    return solution, jnp.broadcast_to(A, (*batch, *A.shape[-2:]))


# ---- orthogonal factors ----


def _check_qr(input, mode) -> None:
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    check_matrices("qr", input, square=False)


def _qr_strides(operands, mode):
    *batch, rows, columns = operands[0].shape
    inner = min(rows, columns) if mode != "complete" else rows
    q = None if mode == "r" else column_strides((*batch, rows, inner))
    return [q, column_strides((*batch, inner, columns))]


@op(public="", check=_check_qr, strides=_qr_strides)
def linalg_qr(input: Raw, mode: str) -> tuple:
    """Return Q and R; for mode "r" an empty Q."""
    if mode == "r":
        return jnp.zeros(0, input.dtype), jnp.linalg.qr(input, "r")
    q, r = jnp.linalg.qr(input, mode)
    return q, r


def _svd_strides(operands, full_matrices):
    *batch, rows, columns = operands[0].shape
    inner = min(rows, columns)
    u = (*batch, rows, rows if full_matrices else inner)
    vh = (*batch, columns if full_matrices else inner, columns)
    return [column_strides(u), None, column_strides(vh)]


@op(public="", check=matrices_only("svd", square=False), strides=_svd_strides)
def linalg_svd(input: Raw, full_matrices: bool) -> tuple:
    """Return U, the singular values and Vh."""
    u, s, vh = jnp.linalg.svd(input, full_matrices=False)
    if not full_matrices or input.shape[-2] == input.shape[-1]:
        return u, s, vh
    # JAX differentiates the reduced form only; what completes the bases has no derivative
    whole, _, whole_h = jnp.linalg.svd(lax.stop_gradient(input), full_matrices=True)
    inner = s.shape[-1]
    u = jnp.concatenate([u, whole[..., :, inner:]], -1)
    return u, s, jnp.concatenate([vh, whole_h[..., inner:, :]], -2)


@op(public="", check=matrices_only("svd", square=False), grad_name="LinalgSvdBackward0")
def linalg_svdvals(input: Raw) -> jax.Array:
    """Return the singular values."""
    return jnp.linalg.svd(input, compute_uv=False)


@op(public="", check=matrices_only("eig"),
    strides=lambda operands: [None, column_strides(operands[0].shape)])  # fmt: skip
def linalg_eig(input: Raw) -> tuple:
    """Return the eigenvalues and eigenvectors, complex."""
    if not input.size:
        dtype = jnp.result_type(input, jnp.complex64)
        return jnp.zeros(input.shape[:-1], dtype), jnp.zeros(input.shape, dtype)
    values, vectors = lax.linalg.eig(
        input, compute_left_eigenvectors=False, enable_eigvec_derivs=True
    )
    return values, vectors


@op(public="", check=matrices_only("eig"), grad_name="LinalgEigBackward0")
def linalg_eigvals(input: Raw) -> jax.Array:
    """Return the eigenvalues, complex."""
    return linalg_eig(input)[0]


@op(public="", check=matrices_only("lu", square=False),
    strides=lambda operands: None, grad_name="LinalgLuBackward0")  # fmt: skip
def linalg_lu(input: Raw) -> tuple:
    """Return P, L and U of ``input = P @ L @ U``."""
    packed, _, order = lax.linalg.lu(input)
    rows, columns = input.shape[-2:]
    inner = min(rows, columns)
    lower = jnp.tril(packed[..., :, :inner], -1) + jnp.eye(rows, inner, dtype=input.dtype)
    upper = jnp.triu(packed[..., :inner, :])
    return jax.nn.one_hot(order, rows, dtype=input.dtype, axis=-2), lower, upper


@op(public="", check=matrices_only("matrix_exp", halves=True))
def linalg_matrix_exp(input: Raw) -> jax.Array:
    """Return the matrix exponentials."""
    working = jnp.promote_types(input.dtype, jnp.float32)
    return jax.scipy.linalg.expm(input.astype(working)).astype(input.dtype)


# ---- distances ----


def _check_cdist(x1, x2, p, compute_mode) -> None:
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    for name, x in (("X1", x1), ("X2", x2)):
        if not x.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {SCALAR_NAMES[x.dtype]}"
            )
    if x1.dtype is float16:
        raise NotImplementedError("\"cdist\" not implemented for 'Half'")
    if x1.dtype is not x2.dtype:
        raise expected_type(x1, x2)


MANY_ROWS = 25  # above this PyTorch takes a matrix product for Euclidean distances


def _takes_product(x1, x2, p, compute_mode) -> bool:
    many = max(x1.shape[-2], x2.shape[-2]) > MANY_ROWS and "donot" not in compute_mode
    return p == 2 and (many or compute_mode == "use_mm_for_euclid_dist")


def _cdist_name(x1, x2, p, compute_mode) -> str:
    return "ViewBackward0" if _takes_product(x1, x2, p, compute_mode) else "CdistBackward0"


@op(public="", name="_cdist", check=_check_cdist, grad_name=_cdist_name)
def cdist(x1: Raw, x2: Raw, p: float, compute_mode: str) -> jax.Array:
    """Return the p-norm of the difference of every two rows."""
    if not _takes_product(x1, x2, p, compute_mode):
        return p_norm(x1[..., :, None, :] - x2[..., None, :, :], p, (-1,), False)
    squares = (x1 * x1).sum(-1)[..., :, None] + (x2 * x2).sum(-1)[..., None, :]
    squares = squares - 2 * product(x1, x2.mT)
    positive = squares > 0  # the root's derivative at 0 is 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)
