"""Make sparse tensors: from their parts, and from tensors of other layouts."""

from typing import Any

import numpy as np

from facade import aten, dtypes, layouts
from facade.binding import public
from facade.functions import tensor
from facade.sparse.invariants import wanted
from facade.sparse.tensor import (
    CooTensor,
    CsrTensor,
    SparseTensor,
    counted,
    matches,
    picked,
)
from facade.tensor import Tensor

# ---- from parts ----


@public(method=False)
def sparse_coo_tensor(
    indices, values=None, size=None, *, dtype=None, device=None, pin_memory: bool = False,
    requires_grad: bool = False, check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Any:  # fmt: skip
    """Return a sparse tensor of ``values`` at the coordinates ``indices``.

    Args:
        indices: ``(sparse_dim, nnz)``.
        values: ``(nnz, *dense)``.
        size: As large as the indices ask for, if missing.
        check_invariants: Whether to check that the indices lie inside.
        is_coalesced: Whether to take it that no index occurs twice and they are in order.
    Raises:
        RuntimeError: the parts don't fit.
    """
    if values is None:  # called with a size only
        size, indices = tuple(indices), np.empty((len(indices), 0), np.int64)
        values = np.empty(0, (dtype or dtypes.get_default_dtype()).numpy)
    elements = _values(values, dtype, device)
    coordinates = _indices(indices, device)
    _check_coordinates(coordinates, elements)
    if size is None:
        ends = coordinates._host().max(1, initial=-1) + 1
        size = (*map(int, ends), *elements.shape[1:])
    sparse, dense = coordinates.shape[0], elements.ndim - 1
    if len(size) != sparse + dense:
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {sparse}, dense_dim = {dense}"
        )
    if wanted(check_invariants):
        _check_inside(coordinates._host(), tuple(size))
    name = "SparseCooTensorWithDimsAndTensorsBackward0"
    elements = _history(elements, name, requires_grad)
    return CooTensor.make(coordinates, elements, tuple(size), bool(is_coalesced))


@public(method=False)
def sparse_csr_tensor(
    crow_indices, col_indices, values, size=None, *, dtype=None, device=None,
    pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None,
) -> Any:  # fmt: skip
    """Return a sparse matrix by rows: each row's begin in ``col_indices`` and ``values``.

    Raises:
        NotImplementedError: the matrices come in batches, or have dense dimensions.
    """
    elements = _values(values, dtype, device)
    starts, columns = (_compressed(x, device) for x in (crow_indices, col_indices))
    if not starts.ndim == columns.ndim == elements.ndim == 1:
        raise NotImplementedError("sparse_csr_tensor: batches and dense dimensions are not there")
    if size is None:
        size = (starts.shape[0] - 1, int(columns._host().max(initial=-1)) + 1)
    if wanted(check_invariants):
        _check_rows(starts._host(), columns._host(), tuple(size))
    name = "SparseCompressedTensorBackward0"
    return CsrTensor.make(starts, columns, _history(elements, name, requires_grad), tuple(size))


@public(method=False)
def sparse_compressed_tensor(
    compressed_indices, plain_indices, values, size=None, *, layout=None, **options
) -> Any:
    """Return a sparse tensor of a compressed layout, of which there is ``torch.sparse_csr``."""
    if layout is None:
        raise RuntimeError(
            "sparse_compressed_tensor expected sparse compressed tensor layout but got none"
        )
    if layout is not layouts.sparse_csr:
        raise NotImplementedError(f"sparse_compressed_tensor: layout {layout} is not there")
    return sparse_csr_tensor(compressed_indices, plain_indices, values, size, **options)


def _values(values, dtype, device) -> Tensor:
    made = values if isinstance(values, Tensor) else tensor(values)
    return made.to(device=device, dtype=dtype)


def _indices(indices, device) -> Tensor:
    made = indices if isinstance(indices, Tensor) else tensor(indices)
    return made.detach().to(device=device, dtype=dtypes.int64)


def _compressed(indices, device) -> Tensor:
    made = indices if isinstance(indices, Tensor) else tensor(indices, dtype=dtypes.int64)
    return made.detach().to(device=device)


def _history(elements: Tensor, name: str, requires_grad: bool) -> Tensor:
    """Return elements that are a leaf of their own, or continue their history."""
    if elements.requires_grad and not requires_grad:
        return aten.elements_of(elements, name)
    if requires_grad and not (elements.dtype.is_floating_point or elements.dtype.is_complex):
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return elements.detach().requires_grad_(requires_grad)


def _check_coordinates(coordinates: Tensor, elements: Tensor) -> None:
    if coordinates.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(coordinates.shape)}")
    counts = (coordinates.shape[1], elements.shape[0] if elements.ndim else 0)
    if counts[0] != counts[1]:
        raise RuntimeError(
            "indices and values must have same nnz, but got nnz from indices: "
            f"{counts[0]}, nnz from values: {counts[1]}"
        )


def _check_inside(coordinates: np.ndarray, size: tuple) -> None:
    for dim, row in enumerate(coordinates):
        if row.min(initial=0) < 0:
            raise RuntimeError(f"found negative index {row.min()} for dim {dim}")
        if row.max(initial=-1) >= size[dim]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {size[dim]} but found "
                f"index {row.max()}"
            )


def _check_rows(starts: np.ndarray, columns: np.ndarray, size: tuple) -> None:
    laws = {
        "crow_indices[..., 0] == 0": starts[0] == 0,
        "crow_indices[..., -1] == nnz": starts[-1] == len(columns),
        "0 <= crow_indices[..., 1:] - crow_indices[..., :-1] <= ncols": (
            np.all(np.diff(starts) >= 0) and np.all(np.diff(starts) <= size[1])
        ),
        "0 <= col_indices < ncols": np.all((columns >= 0) & (columns < size[1])),
    }
    for law, holds in laws.items():
        if not holds:
            raise RuntimeError(f"`{law}` is not satisfied.")


# ---- from other layouts ----


@public(module=False)
def to_sparse(self: Tensor, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None) -> Any:
    """Return the elements that are not zero as a sparse tensor.

    Args:
        sparse_dim: How many dimensions are sparse; the rest are the elements'.
        layout: ``torch.sparse_coo`` or ``torch.sparse_csr``.
    """
    if layout is layouts.sparse_csr:
        return to_sparse_csr(self, name="ToSparseBackward1")
    if layout not in (None, layouts.sparse_coo):
        raise NotImplementedError(f"to_sparse: layout {layout} is not there")
    if isinstance(self, CsrTensor):
        return self.coo().like(aten.elements_of(self.elements, "ToSparseBackward1"))
    if isinstance(self, CooTensor):
        return self
    count = self.ndim if sparse_dim is None else sparse_dim
    if not 0 <= count <= self.ndim:
        raise RuntimeError(
            f"dense_to_sparse: sparse_dim argument must be in [0,{self.ndim}] range, but {count} "
            "is given"
        )
    values = self._host()
    places = np.stack((values != 0).any(tuple(range(count, self.ndim))).nonzero())
    coordinates = Tensor._from_array(places, self.device)
    name = f"ToSparseBackward{int(sparse_dim is None)}"
    elements = aten.sparse_gather(self, coordinates, name)
    return CooTensor.make(coordinates, elements, self.shape, True)


@public(module=False)
def to_sparse_coo(self: Tensor) -> Any:
    """Return the elements that are not zero by their coordinates."""
    return to_sparse(self)


@public(module=False)
def to_sparse_csr(self: Tensor, dense_dim=None, *, name: str = "ToSparseCsrBackward0") -> Any:
    """Return the elements that are not zero of a matrix, by rows."""
    if isinstance(self, CsrTensor):
        return self
    if self.ndim != 2:
        raise NotImplementedError("to_sparse_csr: only matrices, no batches of them")
    return CsrTensor.of(to_sparse(self), name)


@public(module=False)
def to_dense(self: Tensor, dtype=None, *, masked_grad: bool | None = None) -> Tensor:
    """Return the same values in strides: this tensor, if it is not sparse."""
    return self if dtype is None else self.to(dtype)


@public(module=False)
def sparse_mask(self: Tensor, mask: Tensor) -> Any:
    """Return this tensor's elements at the places that a sparse tensor keeps."""
    if not isinstance(mask, SparseTensor):
        raise NotImplementedError("sparse_mask: the mask must be a sparse tensor")
    if self.shape != mask.shape:
        raise RuntimeError(
            "sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(self.shape)} but mask has size {list(mask.shape)}"
        )
    if not isinstance(self, SparseTensor):
        return mask.like(aten.sparse_gather(self, mask.places(), "SparseMaskBackward0"))
    given, wanted = self.coo().coalesce(), mask.coo()
    if given.sparse_dim() != wanted.sparse_dim():
        raise self._cell.refusal("sparse_mask with other sparse dimensions")
    i, j = matches(given.keys(), wanted.keys())
    there, count = counted(j[None], self), (mask._nnz(),)
    return mask.like(aten.sparse_scatter(picked(given, i), there, count, "SparseMaskBackward0"))


@public(module=False)
def sparse_dim(self: Tensor) -> int:
    """Return how many dimensions are sparse."""
    return 0


@public(module=False)
def dense_dim(self: Tensor) -> int:
    """Return how many dimensions are not sparse."""
    return self.ndim


@public(method=False, aliases=("dsmm",))
def spmm(input: Tensor, mat2: Tensor) -> Any:
    """Multiply two matrices: the old name of ``torch.mm``."""
    return aten.mm(input, mat2)


# ---- what only sparse tensors have ----

_EXPECTED = {
    "indices": "sparse coordinate tensor layout",
    "values": "sparse tensor layout",
    "coalesce": "sparse coordinate tensor layout",
    "is_coalesced": "sparse coordinate tensor layout",
    "crow_indices": "sparse row compressed tensor layout",
    "col_indices": "sparse row compressed tensor layout",
}


def _expecting(name: str, expected: str) -> None:
    def method(self: Tensor) -> Any:
        called = getattr(type(self), "called", "Strided")
        raise RuntimeError(f"{name} expected {expected} but got {called}")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Part of a sparse tensor; others raise."
    public(method, module=False)


for _name, _layout in _EXPECTED.items():
    _expecting(_name, _layout)
