"""Functions that read or write along one dimension by an index tensor, or under a mask."""

import math
from typing import Any

import numpy as np

from facade import aten
from facade.binding import public
from facade.dtypes import SCALAR_NAMES, bool_, int64
from facade.errors import broadcast_shapes, wrap_dim
from facade.functions.fitting import fitting
from facade.functions.indexing import check_range, check_within, exactly_at_hand, true_places
from facade.functions.views import position, span
from facade.tensor import Tensor

# ---- along one dimension ----


def _size(input: Tensor, dim: int) -> int:
    return input._aval.shape[wrap_dim(dim, input.ndim)] if input.ndim else 1


def _in_range(
    input: Tensor, dim: int, index, error: type[Exception] = RuntimeError, **options: Any
) -> None:
    """Check an index tensor's values against a dimension, if both are what they should be."""
    if isinstance(index, Tensor) and -input.ndim <= dim < max(input.ndim, 1):
        dtype = index.dtype
        if not (dtype.is_floating_point or dtype.is_complex or dtype is bool_):
            options = {"least": 0} | options
            check_range(index, _size(input, dim), wrap_dim(dim, input.ndim), error, **options)


@public(out=True)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """Read ``input[i][index[i, j]]...``: the index replaces the position along ``dim``."""
    read = aten.gather(input, dim, index)  # it checks shapes, which PyTorch does first
    _in_range(input, dim, index)
    return read


@public(inplace=True, out=True)
def scatter(input: Tensor, dim: int, index: Tensor, src=None, *, value=None, reduce=None) -> Tensor:
    """Write ``src``, a tensor or a number, where :func:`gather` with this index reads.

    Args:
        reduce: ``"add"`` or ``"multiply"`` instead.
    """
    given = value if src is None else src
    if reduce is not None:
        written = _scatter_reducing(input, dim, index, given, reduce)
    elif isinstance(given, Tensor):
        written = aten.scatter(input, dim, index, given)
    else:
        written = aten.scatter_value(input, dim, index, fitting(given, input.dtype))
    _in_range(input, dim, index)
    return written


def _scatter_reducing(input: Tensor, dim: int, index: Tensor, src, reduce: str) -> Tensor:
    kinds = {"add": "sum", "multiply": "prod"}
    if reduce not in kinds:
        raise RuntimeError("reduce argument must be either add or multiply.")
    if not isinstance(src, Tensor):
        src = input.new_full(index.shape, src)
    return aten.scatter_reduce(input, dim, index, src, kinds[reduce], True)


@public(inplace=True, out=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """Add ``src`` where :func:`gather` with this index reads."""
    written = aten.scatter_add(input, dim, index, src)
    _in_range(input, dim, index)
    return written


@public(inplace=True, out=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Combine ``src`` by ``reduce`` where :func:`gather` with this index reads."""
    written = aten.scatter_reduce(input, dim, index, src, reduce, include_self)
    _in_range(input, dim, index)
    return written


@public(out=True)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Take the positions ``index`` along ``dim``."""
    size = _size(input, dim)
    if not size and index.numel() and input.ndim > 1:
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    second = input.ndim > 1 and dim in (1, 1 - input.ndim)
    if second or (not input.numel() and input.ndim > 1):  # where PyTorch has another kernel
        text = f"INDICES element is out of DATA bounds, id={{index}} axis_dim={size}"
        _in_range(input, dim, index, text=text)
    elif input.ndim:
        _in_range(input, dim, index, IndexError, text="index out of range in self")
    return aten.index_select(input, dim, index)


@public(inplace=True, out=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha=1) -> Tensor:
    """Add ``alpha * source`` to the positions ``index`` along ``dim``."""
    _in_range(input, dim, index)
    return aten.index_add(input, dim, index, source, alpha)


@public(inplace=True, out=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Replace the positions ``index`` along ``dim`` by ``source``'s."""
    size = _size(input, dim)
    text = f"index_copy_(): index {{index}} is out of bounds for dimension {dim} with size {size}"
    _in_range(input, dim, index, IndexError, text=text)
    return aten.index_copy(input, dim, index, source)


@public(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value) -> Tensor:
    """Set the positions ``index`` along ``dim`` to a number or 0-dimensional tensor."""
    _in_range(input, dim, index, IndexError, least=-_size(input, dim))
    if isinstance(value, Tensor):
        return aten.index_fill_tensor(input, dim, index, value)
    return aten.index_fill(input, dim, index, value)


@public(inplace=True, out=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
    include_self: bool = True,
) -> Tensor:  # fmt: skip
    """Combine ``source`` by ``reduce`` at the positions ``index`` along ``dim``."""
    _in_range(input, dim, index, IndexError, text="index out of range in self")
    return aten.index_reduce(input, dim, index, source, reduce, include_self)


@public(out=True)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Read as :func:`gather` does, the other dimensions broadcast; flat without ``dim``."""
    if indices.dtype is not int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{SCALAR_NAMES[indices.dtype]}"
        )
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = wrap_dim(dim, input.ndim)
    own, at = list(input.shape), list(indices.shape)
    length, own[dim] = own[dim], at[dim]
    shape = broadcast_shapes(tuple(own), tuple(at))
    source = (*shape[:dim], length, *shape[dim + 1 :])
    # PyTorch takes what an index leaves over
    wrapped = aten.remainder(indices, length) if length else indices
    return gather(input.expand(source), dim, wrapped.expand(shape))


# ---- several dimensions ----


@public(inplace=True)
def index_put(input: Tensor, indices, values: Tensor, accumulate: bool = False) -> Tensor:
    """Replace, or add to, what ``input[indices]`` reads.

    Raises:
        IndexError: an index is out of range, or there are too many.
    """
    if isinstance(indices, Tensor):
        raise TypeError(
            "index_put(): argument 'indices' (position 1) must be tuple of Tensors, not Tensor"
        )
    tensors, dim, dims = [], 0, []
    for i, index in enumerate(indices):
        if not isinstance(index, Tensor):
            kind = type(index).__name__
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {kind}")
        places = true_places(index) if index.dtype is bool_ else (index,)
        tensors.extend(places)
        dims.extend(range(dim, dim + len(places)))
        dim += len(places)
    if dim > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {dim})")
    for number, (d, index) in enumerate(zip(dims, tensors, strict=True)):
        if index.dtype.is_floating_point:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        check_range(index, input._aval.shape[d], number)
    return aten.index_put(input, values, tuple(tensors), tuple(dims), accumulate)


def _dims_indexed(indices) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Return the index tensors of a list with None in it, and the dimensions they index."""
    given = [(index, d) for d, index in enumerate(indices) if index is not None]
    return tuple(index for index, _ in given), tuple(d for _, d in given)


@public(method=False)
def _unsafe_masked_index(input: Tensor, mask: Tensor, indices, fill) -> Tensor:
    """Return ``input[indices]`` where the mask is true, ``fill`` elsewhere."""
    tensors, dims = _dims_indexed(indices)
    return aten._unsafe_masked_index(input, mask, tensors, fill, dims)


@public(method=False)
def _unsafe_masked_index_put_accumulate(
    input: Tensor, mask: Tensor, indices, values: Tensor
) -> Tensor:
    """Add values to ``input[indices]`` where the mask is true."""
    tensors, dims = _dims_indexed(indices)
    return aten._unsafe_masked_index_put_accumulate(input, mask, values, tensors, dims)


@public(out=True)
def take(input: Tensor, index: Tensor) -> Tensor:
    """Read elements by their number in row-major order."""
    if not input.numel() and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    _in_flat_range(input, index)
    return aten.take(input, index)


def _in_flat_range(input: Tensor, index: Tensor) -> None:
    if index.dtype is int64:
        size = input.numel()
        text = f"out of range: tried to access index {{index}} on a tensor of {size} elements."
        check_range(index, size, 0, IndexError, text=text)


@public(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """Write, or add to, elements by their number in row-major order."""
    if not input.numel() and index.numel():
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    _in_flat_range(input, index)
    return aten.put(input, index, source, accumulate)


# ---- masks ----


@public(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value) -> Tensor:
    """Set the elements under a mask to a number or 0-dimensional tensor."""
    if isinstance(value, Tensor):
        if value.is_complex() and not value.ndim:
            fitting(1j, input.dtype)  # whatever its value is
        return aten.masked_fill_tensor(input, mask, value)
    return aten.masked_fill(input, mask, fitting(value, input.dtype))


@public(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """Put the elements of ``source``, in order, where the mask is true."""
    if mask.dtype is not bool_:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{SCALAR_NAMES[mask.dtype]}"
        )
    shape = broadcast_shapes(mask._aval.shape, input._aval.shape)
    copies = math.prod(shape) // max(mask.numel(), 1)

    known = exactly_at_hand(mask)
    count = mask.sum() if known is None else Tensor._from_array(np.asarray(known.sum()))
    check_within(count, 0, source.numel() // max(copies, 1), lambda _, value: RuntimeError(
        "Number of elements of source < number of ones in mask"
    ))  # fmt: skip
    return aten.masked_scatter(input, mask, source)


@public(out=True)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """Return the elements under a mask as a vector; how many there are is computed now."""
    if mask.dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(mask._aval.shape, input._aval.shape)
    source, at = (t if t._aval.shape == shape else t.expand(shape) for t in (input, mask))
    if not shape:
        source, at = source.reshape(1), at.reshape(1)
    return aten.masked_select(source, true_places(at))


# ---- a copy with a part replaced ----


@public
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """Copy with one position along ``dim`` replaced by ``src``."""
    return aten.select_scatter(input, src, *position(input, dim, index))


@public(out=True)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Tensor:  # fmt: skip
    """Copy with the positions ``start:end:step`` along ``dim`` replaced by ``src``."""
    return aten.slice_scatter(input, src, *span(input, dim, start, end, step))


# ---- membership ----


@public(method=False, out=True)
def isin(elements, test_elements, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Return which elements occur among ``test_elements``; one of both may be a number."""
    if isinstance(elements, Tensor):
        elements = elements.unsqueeze(-1)
    if isinstance(test_elements, Tensor):
        test_elements = test_elements.reshape(-1)
    return aten.isin(elements, test_elements, invert)
