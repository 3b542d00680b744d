"""Singular values and principal components of large matrices, by random projection."""

from facade import aten
from facade.binding import public
from facade.functions.random import randn
from facade.tensor import Tensor

# Halko, Martinsson and Tropp, Finding structure with randomness, 2009, algorithms 4.4 and 5.1


def _basis(A: Tensor, count: int, rounds: int) -> Tensor:
    """Return orthonormal columns that nearly span what ``A`` maps to."""
    random = randn(A.shape[-1], count, dtype=A.dtype, device=A.device)
    basis = _orthonormal(aten.matmul(A, random))
    for _ in range(rounds):
        basis = _orthonormal(aten.matmul(A.mH, basis))
        basis = _orthonormal(aten.matmul(A, basis))
    return basis


def _orthonormal(x: Tensor) -> Tensor:
    return aten.linalg_qr(x, "reduced")[0]


@public(method=False)
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None):
    """Return U, the greatest singular values and V of ``A - M``, nearly.

    Args:
        q: How many to look for; a few more than are wanted.
        niter: How many times to improve the random start.
        M: ``(*, 1, n)`` or of A's shape, by default 0.
    """
    A = A if M is None else A - M
    wide = A.shape[-2] < A.shape[-1]
    tall = A.mH if wide else A
    basis = _basis(tall, 6 if q is None else q, 2 if niter is None else niter)
    inner, values, vh = aten.linalg_svd(aten.matmul(basis.mH, tall), False)
    u, v = aten.matmul(basis, inner), vh.mH
    return (v, values, u) if wide else (u, values, v)


@public(method=False)
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2):
    """Return U, the greatest singular values and V, the principal directions of A's rows, nearly.

    Args:
        q: How many to look for, by default 6.
        center: Whether to subtract the rows' mean.
    Raises:
        ValueError: ``q`` is more than the matrix has, or a count is negative.
    """
    most = min(A.shape[-2:])
    if q is None:
        q = min(6, most)
    elif not 0 <= q <= most:
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={most}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A, q, niter, A.mean((-2,), True) if center else None)
