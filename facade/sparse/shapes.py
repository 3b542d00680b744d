"""What ops on dimensions make of sparse tensors: their places are moved, counted and picked."""

from typing import Any

import numpy as np

from facade import aten
from facade.errors import no_dimension
from facade.ops.registry import OPS
from facade.sparse.tensor import (
    CooTensor,
    SparseTensor,
    counted,
    handles,
    matches,
    picked,
    renamed,
    sparse_dimension,
)


def _check_coordinates(op: str, x: Any) -> None:
    if not isinstance(x, CooTensor):
        raise x._cell.refusal(op)


# ---- dimensions in another order ----


@handles("t")
def t(input: SparseTensor):
    """Swap the two dimensions."""
    _check_coordinates("t", input)
    if input.sparse_dim() > 2 or input.dense_dim():
        raise RuntimeError(
            "t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got "
            f"{input.sparse_dim()} sparse and {input.dense_dim()} dense dimensions"
        )
    return transpose(input, 0, -1, "TBackward0")


@handles("transpose")
def transpose(input: SparseTensor, dim0: int, dim1: int, name: str = "TransposeBackward0"):
    """Swap two dimensions."""
    _check_coordinates("transpose", input)
    order = list(range(input.ndim))
    a, b = sparse_dimension(input, dim0), sparse_dimension(input, dim1)
    order[a], order[b] = b, a
    return permute(input, order, name)


@handles("permute")
def permute(input: Any, dims, name: str = "PermuteBackward0"):
    """Put the sparse dimensions in another order."""
    _check_coordinates("permute", input)
    order = [sparse_dimension(input, d) for d in dims]
    sparse = input.sparse_dim()
    if order[sparse:] != list(range(sparse, input.ndim)):
        raise input._cell.refusal("permute of dense dimensions")
    coordinates = aten.index_select(input.coordinates, 0, counted(np.array(order[:sparse]), input))
    shape = tuple(input.shape[d] for d in order)
    unmoved = input.coalesced and order == sorted(order)
    return CooTensor.make(coordinates, aten.elements_of(input.elements, name), shape, unmoved)


# ---- parts ----


@handles("select")
def select(input: Any, index: int, dim: int, name: str = "SelectBackward0"):
    """Take one position along a dimension; dense if no sparse dimension is left."""
    _check_coordinates("select", input)
    dim = sparse_dimension(input, dim)
    shape = tuple(n for d, n in enumerate(input.shape) if d != dim)
    sparse = input.sparse_dim()
    if dim >= sparse:
        elements = aten.elements_of(aten.select(input.elements, dim - sparse + 1, index), name)
        return CooTensor.make(input.coordinates, elements, shape, input.coalesced)
    coordinates = input.coordinates._host()
    kept = (coordinates[dim] == index).nonzero()[0]
    elements = aten.elements_of(picked(input, kept), name)
    if sparse == 1:
        return renamed(aten.sum(elements, (0,)), name)
    places = np.delete(coordinates[:, kept], dim, axis=0)
    return CooTensor.make(counted(places, input), elements, shape, input.coalesced)


@handles("unbind")
def unbind(input: Any, dim: int) -> tuple:
    """Take every position along a dimension."""
    _check_coordinates("unbind", input)
    count = input.shape[sparse_dimension(input, dim)]
    return tuple(select(input, i, dim, "UnbindBackward0") for i in range(count))


@handles("index_select")
def index_select(input: Any, index, dim: int):
    """Take some positions along a sparse dimension, in any order."""
    _check_coordinates("index_select", input)
    dim = sparse_dimension(input, dim)
    if dim >= input.sparse_dim() or isinstance(index, SparseTensor):
        raise input._cell.refusal("index_select along a dense dimension")
    OPS["index_select"].check(input._aval, dim, index._aval)
    coordinates, wanted = input.coordinates._host(), index._host().reshape(-1)
    kept, position = matches(coordinates[dim], wanted % input.shape[dim])
    places = coordinates[:, kept]
    places[dim] = position
    shape = [len(wanted) if d == dim else n for d, n in enumerate(input.shape)]
    elements = aten.elements_of(picked(input, kept), "IndexSelectBackward0")
    return CooTensor.make(counted(places, input), elements, tuple(shape), False)


# ---- more of them ----


@handles("unsqueeze")
def unsqueeze(input: Any, dim: int):
    """Insert a dimension of one position; sparse, but for one among the dense dimensions."""
    _check_coordinates("unsqueeze", input)
    if not -input.ndim - 1 <= dim <= input.ndim:
        raise no_dimension(dim, input.ndim + 1)
    dim %= input.ndim + 1
    shape = (*input.shape[:dim], 1, *input.shape[dim:])
    sparse, elements, coordinates = input.sparse_dim(), input.elements, input.coordinates
    if dim > sparse:
        elements = aten.unsqueeze(elements, dim - sparse + 1)
    else:
        coordinates = counted(np.insert(coordinates._host(), dim, 0, axis=0), input)
    elements = aten.elements_of(elements, "UnsqueezeBackward0")
    return CooTensor.make(coordinates, elements, shape, input.coalesced)


@handles("cat")
def cat(*operands, name: str = "CatBackward0"):
    """Put tensors one behind another along a sparse dimension."""
    *tensors, dim = operands
    for i, x in enumerate(tensors):
        if not isinstance(x, SparseTensor):
            raise RuntimeError(
                f"Concatenating sparse tensors, but a dense tensor was found at position {i}."
            )
        _check_coordinates("cat", x)
    first = tensors[0]
    dim = sparse_dimension(first, dim)
    for i, x in enumerate(tensors):
        if any(
            a != b for d, (a, b) in enumerate(zip(first.shape, x.shape, strict=True)) if d != dim
        ):
            raise RuntimeError(
                f"All tensors must have the same shape: {list(first.shape)} (except in the "
                f"concatenating dimension), but found shape: {list(x.shape)} at position {i}."
            )
    if dim >= first.sparse_dim() or any(x.dense_dim() != first.dense_dim() for x in tensors):
        raise first._cell.refusal("cat along a dense dimension")
    places, length = [], 0
    for x in tensors:
        shift = np.zeros((x.sparse_dim(), 1), np.int64)
        shift[dim] = length
        places.append(x.coordinates._host() + shift)
        length += x.shape[dim]
    elements = aten.elements_of(aten.cat(tuple(x.elements for x in tensors), 0), name)
    shape = tuple(length if d == dim else n for d, n in enumerate(first.shape))
    return CooTensor.make(counted(np.concatenate(places, 1), first), elements, shape, False)


@handles("stack")
def stack(*operands):
    """Put tensors one behind another along a new dimension."""
    *tensors, dim = operands
    sparse = next(x for x in tensors if isinstance(x, SparseTensor))
    dim %= sparse.ndim + 1
    return cat(*(unsqueeze(x, dim) for x in tensors), dim, name="StackBackward0")
