"""Factorizations and solutions with their several results and errors (``torch.linalg``)."""

import numpy as np

from facade import aten
from facade.binding import public
from facade.casts import arguments
from facade.dtypes import int64
from facade.ops.declare import inexact_only
from facade.ops.matrices import check_matrices
from facade.return_types import named_tuple
from facade.tape import state
from facade.tensor import Tensor

inf = float("inf")


class _LinAlgError(RuntimeError):
    """A matrix is singular, or otherwise not what an algorithm needs."""


LinAlgError = _LinAlgError

_Svd = named_tuple("linalg_svd", ("U", "S", "Vh"))
_OldSvd = named_tuple("svd", ("U", "S", "V"))
_Eigh = named_tuple("linalg_eigh", ("eigenvalues", "eigenvectors"))
_Eig = named_tuple("linalg_eig", ("eigenvalues", "eigenvectors"))
_Qr = named_tuple("linalg_qr", ("Q", "R"))
_OldQr = named_tuple("qr", ("Q", "R"))
_Slogdet = named_tuple("linalg_slogdet", ("sign", "logabsdet"))
_OldSlogdet = named_tuple("slogdet", ("sign", "logabsdet"))
_CholeskyEx = named_tuple("linalg_cholesky_ex", ("L", "info"))
_InvEx = named_tuple("linalg_inv_ex", ("inverse", "info"))
_SolveEx = named_tuple("linalg_solve_ex", ("result", "info"))
_Lu = named_tuple("linalg_lu", ("P", "L", "U"))
_TriangularSolve = named_tuple("triangular_solve", ("solution", "cloned_coefficient"))
_Lstsq = named_tuple("linalg_lstsq", ("solution", "residuals", "rank", "singular_values"))


def check_info(info: Tensor, text: str, name: str, kind: type[Exception] = _LinAlgError) -> None:
    """Raise if an algorithm failed; this reads its verdict, as PyTorch does.

    In a pure function there is nothing to read; the result then holds nan or inf.

    Raises:
        kind: with ``text``, in which ``{}`` is the number in ``info``.
    """
    if state.tape.pure:
        return
    codes = np.atleast_1d(info._host())
    if codes.any():
        at = int(np.flatnonzero(codes)[0])
        batch = f"(Batch element {at}): " if info.ndim else ""
        raise kind(f"{name}: {batch}{text.format(codes.reshape(-1)[at])}")


_SINGULAR = (
    "The diagonal element {} is zero, the inversion could not be completed because the input "
    "matrix is singular."
)
_INDEFINITE = (
    "The factorization could not be completed because the input is not positive-definite "
    "(the leading minor of order {} is not positive-definite)."
)


# ---- inverse, solution, determinant ----


def inv_ex(A: Tensor, *, check_errors: bool = False):
    """Return the inverse and whether that failed (0: no), without raising."""
    result = _InvEx(*aten.linalg_inv_ex(A))
    if check_errors:
        check_info(result.info, _SINGULAR, "linalg.inv_ex")
    return result


@public(name="inverse", out=True)
def inv(A: Tensor) -> Tensor:
    """Return the inverse of square matrices.

    Raises:
        LinAlgError: one has none.
    """
    result, info = aten.linalg_inv_ex(A)
    check_info(info, _SINGULAR, "linalg.inv")
    return result


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False):
    """Return X of ``A @ X = B`` and whether that failed (0: no), without raising."""
    result = _SolveEx(*aten.linalg_solve_ex(A, B, left))
    if check_errors:
        check_info(result.info, _UNSOLVABLE, "torch.linalg.solve_ex")
    return result


_UNSOLVABLE = "The solver failed because the input matrix is singular."


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """Return X of ``A @ X = B``, or of ``X @ A = B``.

    Raises:
        LinAlgError: a matrix is singular.
    """
    result, info = aten.linalg_solve_ex(A, B, left)
    check_info(info, _UNSOLVABLE, "torch.linalg.solve")
    return result


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """Return X of ``A @ X = B`` for triangular A."""
    return aten.linalg_solve_triangular(A, B, upper, left, unitriangular)


@public(out=True)
def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False,
    unitriangular: bool = False,
):  # fmt: skip
    """Return X of ``A @ X = input`` and A; ``linalg.solve_triangular`` is its newer form."""
    return _TriangularSolve(*aten.triangular_solve(input, A, upper, transpose, unitriangular))


@public
def det(A: Tensor) -> Tensor:
    """Return the determinant."""
    return aten.linalg_det(A)


def slogdet(A: Tensor):
    """Return the determinant's sign and the logarithm of its size."""
    return _Slogdet(*aten.linalg_slogdet(A))


@public(name="slogdet")
def _slogdet(input: Tensor):
    """Return the determinant's sign and the logarithm of its size."""
    return _OldSlogdet(*aten.linalg_slogdet(input))


@public
def logdet(input: Tensor) -> Tensor:
    """Return the logarithm of the determinant, nan where that is a negative number."""
    sign, size = aten.linalg_slogdet(input)
    if input.is_complex():
        return aten.add(aten.log(sign), size)
    return aten.where(aten.eq(sign, -1.0), float("nan"), size)


def pinv(A: Tensor, rcond=None, hermitian: bool = False, *, atol=None, rtol=None) -> Tensor:
    """Return the Moore-Penrose inverse.

    Args:
        rcond: The older name of ``rtol``.
        atol, rtol: Singular values up to ``max(atol, rtol * the largest)`` count as 0.
    """
    return aten.linalg_pinv(A, _tolerance(atol), _tolerance(rcond if rtol is None else rtol),
                            hermitian)  # fmt: skip


def _tolerance(given) -> float | None:
    return given.item() if isinstance(given, Tensor) else given


@public
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """Return the Moore-Penrose inverse."""
    return aten.linalg_pinv(input, None, rcond, False)


def lstsq(A: Tensor, B: Tensor, rcond=None, *, driver: str | None = None):
    """Return the X that brings ``A @ X`` closest to ``B``, the residuals and A's rank."""
    # LAPACK's gelsy, the default, gives no residuals
    solution, residuals = aten.linalg_lstsq(A, B, rcond, driver not in (None, "gelsy"))
    empty = A.new_empty((0,))
    rank = empty.to(int64) if driver == "gels" else matrix_rank(A.detach())
    values = svdvals(A.detach()) if driver in ("gelsd", "gelss") else _real(empty)
    return _Lstsq(solution, _real(residuals), rank, values)


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x


# ---- factors ----


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False):
    """Return the Cholesky factor and whether that failed (0: no), without raising."""
    result = _CholeskyEx(*aten.linalg_cholesky_ex(A, upper))
    if check_errors:
        check_info(result.info, _INDEFINITE, "linalg.cholesky_ex")
    return result


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """Return the lower (or upper) triangular L of ``A = L @ L.mH``.

    Raises:
        LinAlgError: a matrix is not positive-definite.
    """
    factor, info = aten.linalg_cholesky_ex(A, upper)
    check_info(info, _INDEFINITE, "linalg.cholesky")
    return factor


@public(name="cholesky", out=True)
def _cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """Return the Cholesky factor; :func:`facade.linalg.cholesky` is its newer name."""
    factor, info = aten.cholesky(input, upper)
    check_info(info, _INDEFINITE, "cholesky")
    return factor


def qr(A: Tensor, mode: str = "reduced"):
    """Return Q and R: ``"reduced"``, ``"complete"``, or with an empty Q ``"r"``."""
    return _Qr(*aten.linalg_qr(A, mode))


@public(name="qr", out=True)
def _qr(input: Tensor, some: bool = True):
    """Return Q and R; :func:`facade.linalg.qr` is its newer name."""
    return _OldQr(*aten.linalg_qr(input, "reduced" if some else "complete"))


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None):
    """Return U, the singular values and Vh."""
    return _Svd(*aten.linalg_svd(A, full_matrices))


@public(name="svd", out=True)
def _svd(input: Tensor, some: bool = True, compute_uv: bool = True):
    """Return U, the singular values and V; :func:`facade.linalg.svd` is its newer form."""
    u, s, vh = aten.linalg_svd(input, not some)
    return _OldSvd(u, s, vh.mH)


def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """Return the singular values, descending."""
    return aten.linalg_svdvals(A)


def eigh(A: Tensor, UPLO: str = "L"):
    """Return the eigenvalues, ascending, and eigenvectors of symmetric matrices."""
    return _Eigh(*aten.linalg_eigh(A, UPLO.upper()))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Return the eigenvalues of symmetric matrices, ascending."""
    return aten.linalg_eigvalsh(A, UPLO.upper())


def eig(A: Tensor):
    """Return the eigenvalues and eigenvectors, complex."""
    return _Eig(*aten.linalg_eig(A))


def eigvals(A: Tensor) -> Tensor:
    """Return the eigenvalues, complex."""
    return aten.linalg_eigvals(A)


def lu(A: Tensor, *, pivot: bool = True):
    """Return P, L and U of ``A = P @ L @ U``."""
    order, lower, upper = aten.linalg_lu(A)
    return _Lu(order.detach(), lower, upper)


@public
def matrix_exp(A: Tensor) -> Tensor:
    """Return the matrix exponential."""
    return aten.linalg_matrix_exp(A)


# ---- powers, ranks ----


@public(out=True)
def matrix_power(A: Tensor, n: int) -> Tensor:
    """Return the product of n factors A, or of their inverses if n is negative."""
    check_matrices("matrix_power", A._aval)
    if n < 0:
        A, n = inv(A), -n
        if n == 1:
            return A
    if n == 0:
        eye = Tensor._from_array(np.eye(A.shape[-1], dtype=A.dtype.numpy)).to(A.device)
        return aten.copy(A, eye.expand(A.shape))
    if n == 1:
        return aten.clone(A)
    half = A if n < 4 else matrix_power(A, n // 2)
    squared = aten.matmul(half, half)
    return aten.matmul(squared, A) if n % 2 else squared


def matrix_rank(A: Tensor, tol=None, *, atol=None, rtol=None, hermitian: bool = False) -> Tensor:
    """Return how many singular values are greater than a tolerance.

    Args:
        tol: The older name of ``atol``, without a relative one beside it.
        atol, rtol: The tolerance is ``max(atol, rtol * the largest)``, numbers or one per matrix;
            ``rtol`` is by default what rounding leaves, and 0 if ``atol`` is given.
        hermitian: Whether the matrices are symmetric; only the lower triangles are looked at then.
    """
    (A,) = arguments("linalg_matrix_rank", A)
    check_matrices("matrix_rank", A._aval, square=hermitian)
    if not A.numel():
        return A.new_zeros(A.shape[:-2], dtype=int64)
    values = aten.abs(eigvalsh(A)) if hermitian else svdvals(A)
    if tol is not None:
        atol, rtol = tol, 0.0
    if rtol is None:
        rounding = max(A.shape[-2:]) * float(np.finfo(values.dtype.numpy).eps)
        if isinstance(atol, Tensor):
            rtol = aten.where(atol > 0, 0.0, rounding)
        else:
            rtol = 0.0 if atol else rounding
    bound = aten.mul(values.amax(-1), rtol)
    if atol is not None:
        least = atol if isinstance(atol, Tensor) else values.new_tensor(atol)
        bound = aten.maximum(bound, least)
    return (values > bound.unsqueeze(-1)).sum(-1)


def cond(A: Tensor, p=None) -> Tensor:
    """Return the condition number in a matrix norm, by default the spectral one."""
    if p in (None, 2, -2):
        values = aten.linalg_svdvals(A)
        largest, smallest = values.narrow(-1, 0, 1), values.narrow(-1, -1, 1)
        return aten.div(*((smallest, largest) if p == -2 else (largest, smallest))).squeeze(-1)
    return aten.mul(matrix_norm(A, p), matrix_norm(inv(A), p))


# ---- norms ----


def vector_norm(x: Tensor, ord=2, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Return the norm of the elements over ``dim``, as if they were one vector."""
    dims = tuple(dim) if isinstance(dim, list) else dim
    return aten.linalg_vector_norm(x, float(ord), dims, keepdim, dtype)


def matrix_norm(A: Tensor, ord="fro", dim=(-2, -1), keepdim: bool = False, *, dtype=None) -> Tensor:
    """Return the norms of the matrices in two dimensions: "fro", "nuc", ±1, ±2 or ±inf.

    Raises:
        RuntimeError: there is no such norm.
    """
    if A.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    inexact_only("matrix_norm", A.dtype)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, inf, -inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    A = A if dtype is None else A.to(dtype)
    rows, columns = (d % A.ndim for d in dim)
    if ord == "fro":
        return aten.linalg_vector_norm(A, 2.0, (rows, columns), keepdim, None)
    if ord in ("nuc", 2, -2):
        return _singular_norm(A.movedim((rows, columns), (-2, -1)), ord, (rows, columns), keepdim)
    first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = aten.sum(aten.abs(A), first, keepdim)
    if second > first and not keepdim:
        second -= 1
    return _extreme(sums, second, ord > 0, keepdim)


def _extreme(sizes: Tensor, dim: int, greatest: bool, keepdim: bool = False) -> Tensor:
    """Return the greatest or least along ``dim``; of none the greatest is 0."""
    if greatest and not sizes.shape[dim]:
        return sizes.sum(dim, keepdim)
    return (aten.amax if greatest else aten.amin)(sizes, dim, keepdim)


def _singular_norm(A: Tensor, ord, dims: tuple[int, int], keepdim: bool) -> Tensor:
    """Return a norm that the singular values give; with ``keepdim`` ``dims`` come back."""
    values = aten.linalg_svdvals(A)
    result = values.sum(-1) if ord == "nuc" else _extreme(values, -1, ord > 0)
    for d in sorted(dims) if keepdim else ():
        result = result.unsqueeze(d)
    return result


def norm(A: Tensor, ord=None, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Return a vector norm, or of two dimensions with an order given a matrix norm."""
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    dims = dim if dim is None or isinstance(dim, int) else tuple(dim)
    if dims is None and A.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
            f"Got {A.ndim}D."
        )
    if isinstance(dims, int) or (dims is None and A.ndim == 1) or (dims and len(dims) == 1):
        return vector_norm(A, ord, dims, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dims or (-2, -1), keepdim, dtype=dtype)


# ---- products ----


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Return the dot products along ``dim``, the first factor conjugated."""
    x, y = arguments("vecdot", x, y)
    if x.ndim == y.ndim == 1:
        return aten.vdot(x, y)
    products = aten.mul(aten.conj(x) if x.dtype.is_complex else x, y)
    return aten.sum(products, dim, dtype=products.dtype)


@public(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:  # fmt: skip
    """Return the p-norm of the difference of every two rows of ``x1`` and ``x2``."""
    return aten._cdist(x1, x2, float(p), compute_mode or "use_mm_for_euclid_dist_if_necessary")
