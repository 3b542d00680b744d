"""Batches of sequences of different lengths: padded to one length, or packed step by step."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from facade import aten, functions
from facade.dtypes import int64
from facade.functions.construction import from_data
from facade.storage import Storage
from facade.tensor import Tensor
from facade.typename import typename


class PackedSequence_(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """The elements of a batch of sequences, step by step, without padding.

    Attributes:
        data: ``(N, *)``, the first element of every sequence, then the second of every sequence
            that has one, and so on; the longest sequence comes first.
        batch_sizes: How many sequences have each step; on the CPU.
        sorted_indices, unsorted_indices: How the sequences were brought in order, and back.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, list | tuple) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. "
                "Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence "
                "and pack_padded_sequences in nn.utils.rnn. "
                "https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert ``data``, as :meth:`Tensor.to`; the indices follow it to its device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        orders = (i if i is None else i.to(data.device) for i in self[2:])
        return type(self)(data, self.batch_sizes, *orders)

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """Copy to a GPU; arguments as :meth:`Tensor.to`."""
        return self.to(*args, **kwargs) if args else self.to(**{"device": "cuda"} | kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """Copy to the CPU; arguments as :meth:`Tensor.to`."""
        return self.to(*args, **kwargs) if args else self.to(**{"device": "cpu"} | kwargs)

    def pin_memory(self) -> Self:
        """Copy to page-locked memory."""
        orders = (i if i is None else i.pin_memory() for i in self[2:])
        return type(self)(self.data.pin_memory(), self.batch_sizes, *orders)

    @property
    def is_cuda(self) -> bool:
        """Whether ``data`` is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether ``data`` is in page-locked memory."""
        return self.data.is_pinned()


def _offer_conversions() -> None:
    """Offer ``double()``, ``float()``, ..., which convert ``data``."""
    for name in ("double", "float", "half", "long", "int", "short", "char", "byte"):

        def convert(self: PackedSequence, name: str = name) -> PackedSequence:
            return self.to(getattr(self.data, name)().dtype)

        convert.__name__ = name
        convert.__doc__ = f"Convert ``data``, as :meth:`Tensor.{name}`."
        setattr(PackedSequence, name, convert)


_offer_conversions()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the permutation that undoes ``permutation``."""
    if permutation is None:
        return None
    places = functions.arange(permutation.numel(), device=permutation.device)
    return functions.empty_like(permutation).scatter_(0, permutation, places)


# ---- packed ----


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Pack a padded batch.

    Args:
        input: ``(T, B, *)``, or ``(B, T, *)`` if ``batch_first``.
        lengths: ``(B,)``, how much of each sequence counts.
        enforce_sorted: Whether the sequences come longest first; if not, they are sorted.
    """
    if isinstance(lengths, Tensor):
        lengths = lengths.to(dtype=int64)
    else:
        lengths = from_data(lengths, int64, "cpu")
    if lengths.dim() != 1 and lengths.numel():
        raise RuntimeError(
            "'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.dim()}D {lengths.device.type} Long tensor"
        )
    sizes, order = np.array(lengths.tolist(), np.int64), None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
        input = input.index_select(0 if batch_first else 1, _index(order, input))
    input = input.transpose(0, 1) if batch_first else input
    _check_lengths(sizes, input)
    steps = np.arange(sizes.max())[:, None]
    there = steps < sizes
    places = (steps * len(sizes) + np.arange(len(sizes)))[: input.size(0)][there[: input.size(0)]]
    return PackedSequence(
        aten.pack_rows(input, _index(places, input)),
        from_data(there.sum(1), int64, "cpu"),
        None if order is None else _index(order, input),
        None if order is None else _index(np.argsort(order), input),
    )


def _check_lengths(sizes: np.ndarray, input: Tensor) -> None:
    """Check the lengths against ``input (T, B, *)``."""
    if input.numel() == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    batch = input.size(1)
    if len(sizes) != batch:
        raise RuntimeError(
            "Expected `len(lengths)` to be equal to batch_size, but got "
            f"{len(sizes)} (batch_size={batch})"
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if (np.diff(sizes) > 0).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the padded batch and the lengths; undoes :func:`pack_padded_sequence`.

    Args:
        total_length: How many steps the result has, at least those of the longest sequence.
    """
    longest = sequence.batch_sizes.size(0)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length "
            "of the longest sequence in input, but got "
            f"total_length={total_length} and max sequence length being {longest}"
        )
    rows, there = _layout(sequence.batch_sizes, total_length)
    lengths, data = there.sum(0), sequence.data
    padded = aten.pad_rows(data, _index(rows, data), padding_value)
    padded = padded.transpose(0, 1) if batch_first else padded
    order = sequence.unsorted_indices
    if order is not None:
        padded = padded.index_select(0 if batch_first else 1, order)
        lengths = lengths[order.tolist()]
    return padded, from_data(lengths, int64, "cpu")


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences ``(length, *)``; arguments as :func:`pack_padded_sequence`."""
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences that were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, True), batch_first=True)


def layout(sequence: PackedSequence) -> tuple[Tensor, Tensor]:
    """Return what the recurrent layers' ops take as ``rows`` and ``places``."""
    rows, there = _layout(sequence.batch_sizes)
    places = np.flatnonzero(there)
    return _index(rows, sequence.data), _index(places, sequence.data)


def _layout(batch_sizes: Tensor, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of ``data`` of each step and sequence, and whether there is one.

    Where there is none the row is the number of rows.
    """
    sizes = np.array(batch_sizes.tolist(), np.int64)
    count = sizes.sum()
    starts = np.cumsum(sizes) - sizes
    sizes = np.pad(sizes, (0, 0 if length is None else length - len(sizes)))
    starts = np.pad(starts, (0, len(sizes) - len(starts)))
    sequences = np.arange(sizes[0])
    there = sequences < sizes[:, None]
    return np.where(there, starts[:, None] + sequences, count), there


def _index(values: np.ndarray, like: Tensor) -> Tensor:
    """Return positions as a tensor on the device of ``like``."""
    return from_data(values, int64, like.device)


# ---- padded ----


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences ``(length, *)`` as ``(T, B, *)``, or ``(B, T, *)`` if ``batch_first``.

    Args:
        padding_side: ``"right"`` or ``"left"``.
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    for i, sequence in enumerate(sequences):
        if not isinstance(sequence, Tensor):
            kind = typename(sequence)
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {kind}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    left = padding_side == "left"
    alike = len({s.shape[1:] for s in sequences}) == 1
    if alike and all(_is_data(s) for s in sequences):
        return _pad_data(sequences, batch_first, padding_value, left)
    return aten.pad_sequences(sequences, padding_value, batch_first, left)


def _is_data(t: Tensor) -> bool:
    """Return whether the values lie on the CPU already and have no history."""
    cell = t._cell
    known = isinstance(cell, Storage) and cell.array is not None
    return known and not t.requires_grad and t.device.type == "cpu"


def _pad_data(sequences: tuple, batch_first: bool, value: float, left: bool) -> Tensor:
    """Return the padded batch of data, as :func:`pad_sequence`.

    Made by numpy: batches of data have ever new lengths, and each would be a program of its own.
    """
    arrays = [np.asarray(s._cell.array) for s in sequences]
    sizes = (len(arrays), max(len(a) for a in arrays), *arrays[0].shape[1:])
    padded = np.full(sizes, value, arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[len(row) - len(array) if left else 0 :][: len(array)] = array
    padded = padded if batch_first else np.ascontiguousarray(padded.swapaxes(0, 1))
    return from_data(padded, None, "cpu")


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Return the sequences of a padded batch without what was padded at their ends.

    Args:
        padded_sequences: ``(T, B, *)``, or ``(B, T, *)`` if ``batch_first``.
        lengths: ``(B,)``.
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    rows = zip(padded_sequences.unbind(0), lengths.tolist(), strict=True)
    return [row[:length] for row, length in rows]
