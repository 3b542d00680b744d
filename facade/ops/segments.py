"""Segments of a dimension, one after another, reduced to one element each."""

import jax
import jax.numpy as jnp

from facade.ops.registry import Raw, Scalar, op
from facade.ops.scatter import reduce_at

_NAMES = {"max": "amax", "min": "amin"}
_EMPTY = {"sum": 0.0, "prod": 1.0, "mean": jnp.nan, "amax": -jnp.inf, "amin": jnp.inf}


@op(public="", grad_name="SegmentReduceBackward0")
def segment_reduce(
    data: Raw, offsets: Raw, initial: Scalar | None, reduce: str, axis: int
) -> jax.Array:
    """Reduce the positions ``offsets[..., i]`` to ``offsets[..., i + 1]`` along ``axis``.

    Args:
        data: (*rows, positions, *rest), ``axis`` being that of the positions.
        offsets: (*rows, segments + 1), ascending.
        initial: What each segment has besides its elements.
    """
    reduce = _NAMES.get(reduce, reduce)
    positions, segments = data.shape[axis], offsets.shape[-1] - 1
    values = data.reshape(-1, positions, *data.shape[axis + 1 :])
    ends = offsets.reshape(-1, segments + 1)
    find = jax.vmap(lambda row: jnp.searchsorted(row, jnp.arange(positions), side="right"))
    # there is one more segment in front and one more behind, for what lies outside of all
    number = find(ends)
    rows = jnp.broadcast_to(jnp.arange(len(values))[:, None], number.shape)
    room = jnp.full((len(values), segments + 2, *values.shape[2:]), _EMPTY[reduce], data.dtype)
    kind = "sum" if reduce == "mean" else reduce
    found = reduce_at(room, values, (rows, number), kind, False)[:, 1:-1]
    found = _combined(found, jnp.diff(ends), initial, reduce)
    return found.reshape(*data.shape[:axis], segments, *data.shape[axis + 1 :])


def _combined(found, lengths, initial, reduce: str):
    """Return segments with the initial value in them, sums divided where it is a mean."""
    start = None if initial is None else initial.astype(found.dtype)
    if reduce == "mean":
        lengths = lengths.reshape(*lengths.shape, *(1,) * (found.ndim - 2))
        total = found if start is None else found + start
        empty = jnp.where(lengths == 0, _EMPTY[reduce] if start is None else start, 0)
        mean = jnp.where(lengths == 0, 0, total) / jnp.maximum(lengths, 1)
        return (mean + empty).astype(found.dtype)
    if start is None:
        return found
    if reduce in ("sum", "prod"):
        return found + start if reduce == "sum" else found * start
    # an element as great as the initial value keeps its gradient
    wins = found >= start if reduce == "amax" else found <= start
    return jnp.where(wins | jnp.isnan(found), found, start)
