"""Refuse in-place operations whose operands share memory with what they write."""

from facade.avals import is_dense
from facade.recording import TensorBase
from facade.storage import View
from facade.tensor import Tensor, chain_geometry


def refuse_overlap(written: Tensor, operand: TensorBase, whole: bool = False) -> None:
    """Check one operand of an op that writes ``written``.

    Args:
        whole: Whether being exactly what is written is refused as well.
    Raises:
        RuntimeError: some of its elements lie where the op writes.
    """
    if operand is written:  # even if it has no elements
        meets = whole
    else:
        shares = written._cell.storage is operand._cell.storage
        meets = shares and _meet(written, operand, whole)
    if not meets:
        return
    written.check_history()
    raise RuntimeError(
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        "to a single memory location. Please clone() the tensor before performing the operation."
    )


def _meet(a: Tensor, b: TensorBase, whole: bool) -> bool:
    """Return whether two tensors of one storage share memory, as far as PyTorch finds out."""
    place, other = _bytes(a), _bytes(b)
    if place is None or other is None:  # empty, or too hard to tell
        return False
    (begin, end, strides), (other_begin, other_end, other_strides) = place, other
    if (begin, end) == (other_begin, other_end):
        return whole or strides != other_strides
    return begin < other_end and other_begin < end


def _bytes(t: TensorBase) -> tuple | None:
    """Return the first byte of a tensor, the first behind it, and its strides.

    None if it has no elements, or gaps between them.
    """
    known = t._aval
    offset = chain_geometry(t._cell)[2] if type(t._cell) is View else 0
    if not known.numel or not is_dense(known.shape, known.strides):
        return None
    size = known.dtype.itemsize
    return offset * size, (offset + known.numel) * size, known.strides


__all__ = ["refuse_overlap"]
