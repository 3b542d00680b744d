"""torch.sparse: functions of sparse tensors."""

from typing import Any

from facade import aten
from facade.casts import casted, switched_on
from facade.sparse import algebra
from facade.sparse import creation as creation
from facade.sparse.invariants import (
    check_sparse_tensor_invariants as check_sparse_tensor_invariants,
)
from facade.sparse.tensor import CooTensor, SparseTensor
from facade.tensor import Tensor

__all__ = [
    "addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "sampled_addmm", "softmax",
    "sum",
]  # fmt: skip


def mm(mat1: Any, mat2: Tensor, reduce: str | None = None) -> Any:
    """Multiply two matrices; the gradient of a sparse one is sparse.

    Args:
        reduce: ``sum``, ``mean``, ``amax`` or ``amin`` of the products of each row's elements;
            ``mat1`` is CSR then and ``mat2`` is dense.
    """
    if reduce is not None:
        return algebra.mm_reduced(mat1, mat2, reduce)
    if switched_on:
        mat1, mat2 = casted("mm", (mat1, mat2), ())
    if not isinstance(mat1, SparseTensor) and not isinstance(mat2, SparseTensor):
        return aten.mm(mat1, mat2)
    both = isinstance(mat1, SparseTensor) and isinstance(mat2, SparseTensor)
    return algebra.mm(mat1, mat2, "SparseSparseMatmulBackward0" if both else _ADDMM)


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta=1, alpha=1) -> Tensor:
    """Return ``beta * mat + alpha * (mat1 @ mat2)``."""
    return algebra.addmm(mat, mat1, mat2, beta, alpha, _ADDMM)


def sampled_addmm(input: Any, mat1: Tensor, mat2: Tensor, *, beta=1.0, alpha=1.0) -> Any:
    """Return ``beta * input + alpha * (mat1 @ mat2)`` at the places that ``input``, CSR, keeps."""
    return algebra.sampled_addmm(input, mat1, mat2, beta, alpha)


_ADDMM = "SparseAddmmBackward0"


def sum(input: Tensor, dim=None, dtype=None) -> Any:
    """Add up everything, or along some dimensions; what is left of the sparse ones is sparse."""
    _check_coo("sum", input)
    return algebra.sum(input, dim, False, dtype, "SparseSumBackward0")


def softmax(input: Tensor, dim: int, *, dtype=None) -> Any:
    """Return the softmax along ``dim`` of the elements that are kept."""
    return _softmax(input, dim, dtype, False, "SparseSoftmaxBackward0")


def log_softmax(input: Tensor, dim: int, *, dtype=None) -> Any:
    """Return the logarithm of :func:`softmax`."""
    return _softmax(input, dim, dtype, True, "SparseLogSoftmaxBackward0")


def _softmax(input, dim: int, dtype, log: bool, name: str) -> Any:
    _check_coo("softmax", input)
    return algebra.softmax_along(input if dtype is None else input.to(dtype), dim, log, name)


def _check_coo(op: str, input: Tensor) -> None:
    if isinstance(input, SparseTensor) and not isinstance(input, CooTensor):
        raise input._cell.refusal(f"sparse.{op}")
    if not isinstance(input, CooTensor):
        raise RuntimeError("coalesce expected sparse coordinate tensor layout but got Strided")
