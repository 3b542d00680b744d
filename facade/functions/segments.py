"""Segments of a dimension: reduced to one element each, or cut and joined."""

import numpy as np

from facade import aten
from facade.binding import public
from facade.dtypes import SCALAR_NAMES
from facade.errors import wrap_dim
from facade.functions.creation import zeros
from facade.functions.indexing import check_within, exactly_at_hand
from facade.tensor import Tensor
from facade.underived import underived_result

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin", "max", "min")


@public(method=False, aliases=("_segment_reduce",))
def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None,
    offsets: Tensor | None = None, axis: int = 0, unsafe: bool = False, initial=None,
) -> Tensor:  # fmt: skip
    """Return the segments along ``axis``, each reduced to one element.

    Args:
        reduce: "sum", "prod", "mean", "max" or "min".
        lengths: How long each is, along the last dimension, which is ``axis``.
        offsets: Instead: where each begins, and at last where the last one ends.
        unsafe: Whether ``lengths`` need not add up.
        initial: What each has besides its elements.
    Raises:
        RuntimeError: the arguments don't fit each other.
    """
    axis = wrap_dim(axis, data.ndim)
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    given, name = (offsets, "offsets") if lengths is None else (lengths, "lengths")
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if axis != given.ndim - 1:
        raise RuntimeError(
            f"segment_reduce(): Expected axis to be the last dimension of {name} but got {axis}."
        )
    if not data.is_floating_point():
        kind = SCALAR_NAMES[data.dtype]
        raise NotImplementedError(f"\"_segment_reduce_cpu\" not implemented for '{kind}'")
    if lengths is not None:
        offsets = aten.cat((lengths.new_zeros((*lengths.shape[:-1], 1)), lengths.cumsum(-1)), -1)
        if not unsafe:
            _check_lengths(lengths, data.shape[axis])
    return aten.segment_reduce(data, offsets, initial, reduce, axis)


def _check_lengths(lengths: Tensor, size: int) -> None:
    negative = RuntimeError("lengths contains negative value!")
    check_within(lengths, 0, size, lambda _, value: negative if value < 0 else unequal)
    unequal = RuntimeError(
        "segment_reduce(): Expected all rows of lengths along axis to sum to "
        "data.size(lengths.dim()-1) when !unsafe."
    )
    known = exactly_at_hand(lengths)
    total = lengths.sum(-1) if known is None else Tensor._from_array(np.asarray(known.sum(-1)))
    check_within(total, size, size, lambda *_: unequal)


@public(method=False, out=True)
def _chunk_cat(tensors, dim: int, num_chunks: int) -> Tensor:
    """Cut ``dim`` of each tensor into chunks, fill up the last, and join those of one number.

    Returns:
        The chunks along ``dim``; the next dimension holds what they consist of, in one row.
    """
    tensors = tuple(tensors)
    _check_chunks(tensors, dim, num_chunks)
    dim = wrap_dim(dim, tensors[0].ndim)
    rows = []
    for t in tensors:
        missing = -t.shape[dim] % num_chunks
        filling = zeros((*t.shape[:dim], missing, *t.shape[dim + 1 :]), dtype=t.dtype)
        own = t.detach()
        full = aten.cat((own, filling.to(t.device)), dim) if missing else own
        rows.append(full.reshape(*t.shape[:dim], num_chunks, -1))
    return underived_result(aten.cat(rows, dim + 1), tensors, "_chunk_cat")


def _check_chunks(tensors: tuple, dim: int, num_chunks: int) -> None:
    if not tensors:
        raise RuntimeError("_chunk_cat expects a non-empty input tensor list")
    if num_chunks <= 0:
        raise RuntimeError("_chunk_cat expects positive num_chunks")
    first = tensors[0]
    for t in tensors:
        if not t.numel():
            raise RuntimeError("_chunk_cat expects non-empty tensor")
        if t.dtype is not first.dtype:
            raise RuntimeError("_chunk_cat expects all input tensors with the same dtype")
    if dim < 0 and any(t.ndim != first.ndim for t in tensors):
        raise RuntimeError(
            "_chunk_cat expects non-negative dim when input tensors have different ndims"
        )
    dim = wrap_dim(dim, first.ndim) if dim < 0 else dim
    for t in tensors:
        if dim >= t.ndim:
            raise RuntimeError("_chunk_cat expects dim < ndim for all input tensors")
        if t.shape[:dim] != first.shape[:dim]:
            raise RuntimeError(
                "_chunk_cat expects same sizes of 0,...,dim-1 dimensions for all tensors"
            )
