"""Matrices given by their factors: LU, LDL, Householder reflections; equations of tensors."""

import math

from facade import aten
from facade.binding import public
from facade.casts import arguments
from facade.errors import wrap_dim
from facade.functions.creation import ones_like
from facade.functions.decompositions import check_info, inv, solve
from facade.return_types import named_tuple
from facade.tensor import Tensor
from facade.underived import refuse_backward, underived_result

_LuFactor = named_tuple("linalg_lu_factor", ("LU", "pivots"))
_LuFactorEx = named_tuple("linalg_lu_factor_ex", ("LU", "pivots", "info"))
_LuUnpack = named_tuple("lu_unpack", ("P", "L", "U"))
_Geqrf = named_tuple("geqrf", ("a", "tau"))
_LdlFactor = named_tuple("linalg_ldl_factor", ("LD", "pivots"))
_LdlFactorEx = named_tuple("linalg_ldl_factor_ex", ("LD", "pivots", "info"))
_ZERO_BLOCK = "D[{0},{0}] is zero and using it on ldl_solve would result in a division by zero."
_ZERO_PIVOT = (
    "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero. If you still "
    "want to perform the factorization, consider calling linalg.lu(A, pivot) or "
    "linalg.lu_factor_ex(A, pivot)"
)


# ---- LU ----


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False):
    """Return L and U packed in one matrix, the pivots, and the place of a zero pivot (0: none)."""
    result = _LuFactorEx(*aten.linalg_lu_factor_ex(A, pivot))
    if check_errors:
        check_info(result.info, _ZERO_PIVOT, "torch.linalg.lu_factor_ex")
    return result


def lu_factor(A: Tensor, *, pivot: bool = True):
    """Return L and U packed in one matrix, and the pivots.

    Raises:
        RuntimeError: a pivot is zero.
    """
    packed, pivots, info = aten.linalg_lu_factor_ex(A, pivot)
    check_info(info, _ZERO_PIVOT, "torch.linalg.lu_factor", RuntimeError)
    return _LuFactor(packed, pivots)


@public(out=True)
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False):
    """Return L and U packed in one matrix, and the pivots (the oldest form)."""
    packed, pivots, info = aten.linalg_lu_factor_ex(A, pivot)
    if get_infos:
        return packed, pivots, info
    check_info(info, _ZERO_PIVOT, "torch.linalg.lu_factor", RuntimeError)
    return packed, pivots


def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """Return X of ``A @ X = B`` for the A that :func:`lu_factor` gave the factors of."""
    return aten.linalg_lu_solve(LU, pivots, B, left, adjoint)


@public(name="lu_solve", out=True)
def _lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """Return X of ``A @ X = input``; :func:`facade.linalg.lu_solve` is its newer form."""
    input, LU_data = arguments("lu_solve", input, LU_data)
    return aten.linalg_lu_solve(LU_data, LU_pivots, input, True, False)


@public(method=False, out=True)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
):
    """Return P, L and U of packed factors; what is not asked for is empty."""
    order, lower, upper = aten.lu_unpack(LU_data, LU_pivots, unpack_data, unpack_pivots)
    return _LuUnpack(order.detach(), lower, upper)


# ---- LDL ----


def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False):
    """Return L and D of a symmetric matrix in one, the rows swapped, a zero pivot's place."""
    packed, pivots, info = aten.linalg_ldl_factor_ex(A, hermitian)
    if check_errors:
        check_info(info, _ZERO_BLOCK, "torch.linalg.ldl_factor_ex", RuntimeError)
    return _LdlFactorEx(underived_result(packed, (A,), "linalg_ldl_factor_ex"), pivots, info)


def ldl_factor(A: Tensor, *, hermitian: bool = False):
    """Return L and D of a symmetric matrix packed in one matrix, and the rows swapped.

    Raises:
        RuntimeError: a pivot is zero.
    """
    packed, pivots, info = ldl_factor_ex(A, hermitian=hermitian)
    check_info(info, _ZERO_BLOCK, "torch.linalg.ldl_factor", RuntimeError)
    return _LdlFactor(packed, pivots)


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """Return X of ``A @ X = B`` for the A that :func:`ldl_factor` gave the factors of."""
    solved = aten.linalg_ldl_solve(LD, pivots, B, hermitian)
    return underived_result(solved, (LD, B), "linalg_ldl_solve")


# ---- Householder reflections ----


@public(name="orgqr", out=True)
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """Return the first columns of the orthogonal matrix that reflections make."""
    return aten.linalg_householder_product(input, tau)


@public(out=True)
def geqrf(input: Tensor):
    """Return R with the reflections that make Q below it, and their factors."""
    return _Geqrf(*(refuse_backward(t, "geqrf") for t in aten.geqrf(input)))


@public(out=True)
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """Multiply ``other`` by the orthogonal matrix that reflections make, from the left or right."""
    return aten.ormqr(input, tau, other, left, transpose)


# ---- equations of tensors, powers ----


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """Return the inverse of A as a map from its last dimensions to its first ``ind``.

    Raises:
        RuntimeError: it maps between spaces of different size.
    """
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind', but got " + str(ind))
    to, of = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(to) != math.prod(of):
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(of)} != {math.prod(to)}"
        )
    return inv(A.reshape(math.prod(of), -1)).reshape((*of, *to))


def tensorsolve(A: Tensor, B: Tensor, dims=None) -> Tensor:
    """Return X of ``tensordot(A, X, X.ndim) = B``; ``dims`` of A are moved to its end first.

    Raises:
        RuntimeError: A is not a square map.
    """
    if dims is not None:
        moved = [wrap_dim(d, A.ndim) for d in dims]
        A = A.movedim(moved, tuple(range(A.ndim - len(moved), A.ndim)))
    shape = tuple(A.shape[B.ndim :])
    if math.prod(shape) != B.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {math.prod(shape)} != {B.numel()}"
        )
    return solve(A.reshape(math.prod(shape), -1), B.reshape(-1)).reshape(shape)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Return the powers of ``x`` from 0 to ``N - 1``, by default as many as elements, last."""
    if N is not None and N < 1:
        raise RuntimeError("N must be greater than 1.")
    x = x if x.ndim else x.reshape(1)
    count = x.shape[-1] if N is None else N
    one = ones_like(x).unsqueeze(-1)
    powers = x.unsqueeze(-1).expand((*x.shape, count - 1)).cumprod(-1)
    return aten.cat((one, powers), -1)
