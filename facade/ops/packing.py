"""Rows of sequences of different lengths: packed one step after the other, and padded again."""

import jax
import jax.numpy as jnp

from facade.ops.registry import Raw, Scalar, op


@op(public="", grad_name="PackPaddedSequenceBackward0")
def pack_rows(input: Raw, places: Raw) -> jax.Array:
    """Return the rows ``(N, *)`` of ``input (T, B, *)`` at ``places``, ``step * B + sequence``."""
    return input.reshape(-1, *input.shape[2:])[places]


@op(public="", grad_name="torch::autograd::CopySlices")
def pad_rows(input: Raw, rows: Raw, value: Scalar) -> jax.Array:
    """Return ``(T, B, *)``: at each place the row of ``input (N, *)``, ``value`` if that is N."""
    there = (rows < len(input)).reshape(*rows.shape, *(1,) * (input.ndim - 1))
    taken = jnp.take(input, rows, axis=0, mode="clip")
    return jnp.where(there, taken, value.astype(input.dtype))


def _check_sequences(sequences, value, batch_first: bool, left: bool) -> None:
    for sequence in sequences[1:]:
        sizes = zip(sequence.shape[1:], sequences[0].shape[1:], strict=False)
        for dim, (theirs, ours) in enumerate(sizes, 1):
            if theirs not in (1, ours):
                raise RuntimeError(
                    f"The size of tensor a ({ours}) must match the size of tensor b ({theirs}) at "
                    f"non-singleton dimension {dim}"
                )


@op(public="", check=_check_sequences, grad_name="torch::autograd::CopySlices")
def pad_sequences(
    sequences: tuple[Raw, ...], value: Scalar, batch_first: bool, left: bool
) -> jax.Array:
    """Stack sequences ``(length, *)`` as ``(B, T, *)`` or ``(T, B, *)``, padded with ``value``."""
    longest = max(len(s) for s in sequences)
    dtype, rest = sequences[0].dtype, sequences[0].shape[1:]
    padded = []
    for s in sequences:
        s = jnp.broadcast_to(s, (len(s), *rest))
        missing = longest - len(s)
        side = (missing, 0) if left else (0, missing)
        widths = [side] + [(0, 0)] * (s.ndim - 1)
        padded.append(jnp.pad(s.astype(dtype), widths, constant_values=value.astype(dtype)))
    return jnp.stack(padded, 0 if batch_first else 1)
