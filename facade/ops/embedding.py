"""Look-up tables: rows by index, bags of rows, and the one-hot rows of an identity."""

import jax
import jax.numpy as jnp

from facade.dtypes import SCALAR_NAMES, int32, int64
from facade.ops.registry import Raw, op


def _check_indices(name: str, weight, indices) -> None:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if indices.dtype not in (int64, int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{SCALAR_NAMES[indices.dtype]}Tensor instead "
            f"(while checking arguments for {name})"
        )


def _check_embedding(weight, indices, padding_idx, scale_grad_by_freq):
    _check_indices("embedding", weight, indices)


def _scaled_gradient(rows, factor):
    """Return ``rows`` unchanged, their gradient multiplied by ``factor``."""
    moving = rows * factor
    return moving + jax.lax.stop_gradient(rows - moving)


def _rows(weight, indices, padding_idx: int, scale_grad_by_freq: bool):
    # in bounds, as checked; JAX's own clipping can't be transposed where 64-bit types are off
    rows = weight.at[jnp.clip(indices, 0, weight.shape[0] - 1)].get(mode="promise_in_bounds")
    if padding_idx >= 0:
        padding = (indices == padding_idx)[..., None]
        rows = jnp.where(padding, jax.lax.stop_gradient(rows), rows)
    if scale_grad_by_freq:
        counts = jnp.zeros(weight.shape[0], weight.dtype).at[indices.reshape(-1)].add(1)
        rows = _scaled_gradient(rows, 1 / counts[indices][..., None])
    return rows


@op(public="", check=_check_embedding)
def embedding(
    weight: Raw, indices: Raw, padding_idx: int = -1, scale_grad_by_freq: bool = False
) -> jax.Array:
    """Return the rows of ``weight`` at ``indices``.

    Args:
        padding_idx: A row without gradient; -1 is none.
        scale_grad_by_freq: Whether a row's gradient is divided by how often it was used.
    """
    return _rows(weight, indices, padding_idx, scale_grad_by_freq)


def _check_bag(weight, indices, offsets, mode, per_sample_weights, padding_idx,
               scale_grad_by_freq):  # fmt: skip
    _check_indices("embedding_bag", weight, indices)
    if per_sample_weights is not None and per_sample_weights.dtype is not weight.dtype:
        own, given = (SCALAR_NAMES[a.dtype] for a in (weight, per_sample_weights))
        raise RuntimeError(
            "Expected weight and per_sample_weights to have the same dtype, but got "
            f"{own} and {given}"
        )


@op(public="", check=_check_bag)
def embedding_bag(
    weight: Raw, indices: Raw, offsets: Raw, mode: str, per_sample_weights: Raw | None = None,
    padding_idx: int = -1, scale_grad_by_freq: bool = False,
) -> jax.Array:  # fmt: skip
    """Return the sum, mean or maximum of the rows of each bag.

    Args:
        indices: ``(total,)``, one bag after another.
        offsets: ``(bags,)``, where each bag starts.
        per_sample_weights: ``(total,)``, a factor for each row; for sums.
        padding_idx: An index that counts for nothing; -1 is none.
    """
    places = jnp.arange(indices.shape[0])
    bags = jnp.searchsorted(offsets, places, side="right") - 1
    rows = _rows(weight, indices, padding_idx, scale_grad_by_freq)
    counts = (indices != padding_idx)[:, None]
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    number = offsets.shape[0]
    sizes = jnp.zeros((number, 1), jnp.int32).at[bags].add(counts.astype(jnp.int32))
    if mode == "max":
        found = jax.ops.segment_max(jnp.where(counts, rows, -jnp.inf), bags, number)
        return jnp.where(sizes == 0, 0, found)
    total = jax.ops.segment_sum(jnp.where(counts, rows, 0), bags, number)
    return total / jnp.maximum(sizes, 1).astype(total.dtype) if mode == "mean" else total


@op(public="", differentiable=False)
def bag_parts(
    weight: Raw, indices: Raw, offsets: Raw, padding_idx: int, maxima: bool
) -> tuple[jax.Array, ...]:
    """Return the bag of each index, each bag's size and, if asked for, the row of each maximum."""
    places = jnp.arange(indices.shape[0])
    bags = jnp.searchsorted(offsets, places, side="right") - 1
    number = offsets.shape[0]
    counts = (indices != padding_idx).astype(indices.dtype)
    sizes = jax.ops.segment_sum(counts, bags, number)
    if not maxima:
        return bags.astype(indices.dtype), sizes, sizes
    rows = jnp.where(counts[:, None] == 1, weight[indices], -jnp.inf)
    # the first of the indices that have the maximum; a bag without any says 0
    first = (rows == jax.ops.segment_max(rows, bags, number)[bags]) & (counts[:, None] == 1)
    at = jax.ops.segment_min(jnp.where(first, places[:, None], len(places)), bags, number)
    found = jnp.append(indices, 0)[jnp.minimum(at, len(places))]
    return bags.astype(indices.dtype), sizes, found


@op(public="", differentiable=False)
def one_hot(input: Raw, num_classes: int) -> jax.Array:
    """Return rows of zeros with a 1 at each class."""
    return (input[..., None] == jnp.arange(num_classes)).astype(jnp.int64)
