"""Ops that read or write where index tensors and masks say: ``x[...]`` and its kin.

Index values are in range here: the callers have checked those they can see, and what they can't
see XLA clamps (reads) or drops (writes).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import Aval, elementwise_strides
from facade.dtypes import C_NAMES, SCALAR_NAMES, bool_, int64
from facade.errors import broadcast_shapes
from facade.ops.declare import short
from facade.ops.registry import OPS, Raw, Scalar, op
from facade.ops.shape import same_strides

IN_RANGE = "promise_in_bounds"  # no masking of the result; see above

# ---- places: what to index an array with ----


def place(indices, dims: tuple[int, ...]) -> tuple:
    """Return the key that indexes ``dims`` with ``indices`` and takes the other dims whole."""
    key = [slice(None)] * (max(dims, default=-1) + 1)
    for dim, index in zip(dims, indices, strict=True):
        key[dim] = index
    return tuple(key)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def overwrite(base, values, indices, dims):
    """Return ``base`` with ``values`` at the places; one place may be named twice.

    JAX's own derivative of that sorts the places. Here, as in PyTorch, each value gets the
    gradient of its place.
    """
    return base.at[place(indices, dims)].set(values, mode=IN_RANGE)


@overwrite.defjvp
def _overwrite_jvp(dims, primals, tangents):
    base, values, indices = primals
    at = place(indices, dims)
    written = jnp.zeros(base.shape, bool).at[at].set(True, mode=IN_RANGE)
    tangent = jnp.where(written, 0, tangents[0]).at[at].add(tangents[1], mode=IN_RANGE)
    return overwrite(base, values, indices, dims), tangent


def add_at(base: jax.Array, at, values: jax.Array, mode: str = IN_RANGE) -> jax.Array:
    """Add values at places; truth values add up to "any"."""
    if base.dtype == bool:
        return base.at[at].max(values, mode=mode)
    return base.at[at].add(values, mode=mode)


@op(public="", differentiable=False)
def first_outside(
    values: Raw, least: float, greatest: float, ignored: int | None, nan: bool = False
) -> jax.Array:
    """Return the place of the first value out of bounds, and that value; -1 if there is none."""
    flat = values.reshape(-1)
    if not jnp.issubdtype(flat.dtype, jnp.floating):
        flat = flat.astype(jnp.int64)  # PyTorch's small and unsigned indices don't hold the bounds
    wrong = ~((flat >= least) & (flat <= greatest))
    if ignored is not None:
        wrong &= flat != ignored
    if nan:
        wrong &= flat == flat
    place = jnp.argmax(wrong)
    value = flat[place].astype(jnp.int64)
    return jnp.stack([jnp.where(wrong[place], place.astype(jnp.int64), -1), value])


def _check_places(input, size: int, fill_value: int) -> None:
    if size < 0:
        raise RuntimeError(
            f"nonzero_static: 'size' must be an non-negative integer, but got {size}"
        )


@op(differentiable=False, out=True, check=_check_places)
def nonzero_static(input: Raw, *, size: int, fill_value: int = -1) -> jax.Array:
    """Return ``size`` places of elements that are not zero, a row each, filled up if need be."""
    if not input.ndim or not input.size:  # JAX has zeros there
        return jnp.full((size, input.ndim), fill_value, jnp.int64)
    return jnp.stack(jnp.nonzero(input, size=size, fill_value=fill_value), -1)


# ---- x[indices] ----


def _index_strides(operands, dims):
    """Return the strides PyTorch's iterator gives the result: those of the dimensions it keeps."""
    source, *indices = operands
    shape = broadcast_shapes(*(i.shape for i in indices))
    kept = [d for d in range(source.ndim) if d not in dims]
    adjacent = dims[-1] - dims[0] == len(dims) - 1
    before = [d for d in kept if d < dims[0]] if adjacent else []
    after = [d for d in kept if d not in before]
    sizes = [source.shape[d] for d in kept]
    full = (*sizes[: len(before)], *shape, *sizes[len(before) :])
    moved = (
        *(source.strides[d] for d in before),
        *(0,) * len(shape),
        *(source.strides[d] for d in after),
    )
    rows = [Aval(full, source.dtype, moved)]
    for i in indices:
        missing = len(shape) - i.ndim
        own = [0 if s == 1 else t for s, t in zip(i.shape, i.strides, strict=True)]
        strides = (*(0,) * (len(before) + missing), *own, *(0,) * len(after))
        rows.append(Aval(full, i.dtype, strides))
    return elementwise_strides(full, rows)


@op(public="", strides=_index_strides)
def index(input: Raw, indices: tuple[Raw, ...], dims: tuple) -> jax.Array:
    """Index ``dims`` (ascending) with integer tensors; negative ones count from the end."""
    return input.at[place(indices, dims)].get(mode=IN_RANGE)


@op(public="")
def masked_select(input: Raw, indices: tuple[Raw, ...]) -> jax.Array:
    """Take the elements at the places where a mask was true."""
    return input.at[indices].get(mode=IN_RANGE)


def index_shape(shape, indices, dims) -> tuple[int, ...]:
    """Return the shape of ``x[indices]``, which a value written there must broadcast to."""
    inner = broadcast_shapes(*(i.shape for i in indices))
    kept = [d for d in range(len(shape)) if d not in dims]
    adjacent = dims[-1] - dims[0] == len(dims) - 1
    before = [d for d in kept if d < dims[0]] if adjacent else []
    after = [d for d in kept if d not in before]
    return (*(shape[d] for d in before), *inner, *(shape[d] for d in after))


def _check_index_put(input, values, indices, dims, accumulate):
    target = index_shape(input.shape, indices, dims)
    fits = values.ndim <= len(target) and all(
        v in (1, t) for v, t in zip(values.shape[::-1], target[::-1], strict=False)
    )
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            f"indexing result of shape {list(target)}"
        )
    if values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{SCALAR_NAMES[input.dtype]} for the destination and {SCALAR_NAMES[values.dtype]} "
            "for the source."
        )


@op(public="", check=_check_index_put, strides=same_strides)
def index_put(
    input: Raw, values: Raw, indices: tuple[Raw, ...], dims: tuple, accumulate: bool
) -> jax.Array:
    """Replace, or add to, what ``index`` with these arguments reads."""
    if accumulate:
        return add_at(input, place(indices, dims), values)
    return overwrite(input, values, indices, dims)


@op(public="", grad_name="IndexPutBackward0", strides=same_strides)
def index_put_number(input: Raw, value: Scalar, indices: tuple[Raw, ...], dims: tuple) -> jax.Array:
    """Set what ``index`` with these arguments reads to a number."""
    return overwrite(input, value.astype(input.dtype), indices, dims)


# ---- x[indices] where a mask is true; elsewhere the indices may be out of range ----


@op(public="")
def _unsafe_masked_index(
    input: Raw, mask: Raw, indices: tuple[Raw, ...], fill: Scalar, dims: tuple
) -> jax.Array:
    """Index as ``index`` does where the mask is true; ``fill`` elsewhere."""
    if not input.size:
        return jnp.broadcast_to(fill.astype(input.dtype), mask.shape)
    read = input.at[place(indices, dims)].get(mode="clip")
    return jnp.where(mask, read, fill.astype(input.dtype))


@op(public="")
def _unsafe_masked_index_put_accumulate(
    input: Raw, mask: Raw, values: Raw, indices: tuple[Raw, ...], dims: tuple
) -> jax.Array:
    """Add values where ``index`` reads, if the mask is true there."""
    if not input.size:
        return input
    return add_at(input, place(indices, dims), jnp.where(mask, values, 0).astype(input.dtype),
                  "clip")  # fmt: skip


# ---- an index into the flattened tensor ----


def _check_take(input, index):
    if index.dtype is not int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {SCALAR_NAMES[index.dtype]}"
        )


@op(public="", check=_check_take)
def take(input: Raw, index: Raw) -> jax.Array:
    """Read elements by their number in row-major order."""
    return input.reshape(-1).at[index].get(mode=IN_RANGE)


def _check_put(input, index, source, accumulate):
    if index.dtype is not int64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {SCALAR_NAMES[index.dtype]}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{SCALAR_NAMES[input.dtype]} and source.dtype = {SCALAR_NAMES[source.dtype]}"
        )
    if source.numel != index.numel:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel}, index.numel() = {index.numel}"
        )


@op(public="", check=_check_put, strides=same_strides)
def put(input: Raw, index: Raw, source: Raw, accumulate: bool) -> jax.Array:
    """Write, or add to, elements by their number in row-major order."""
    flat, at, values = input.reshape(-1), index.reshape(-1), source.reshape(-1)
    if accumulate:
        return add_at(flat, at, values).reshape(input.shape)
    return overwrite(flat, values, (at,), (0,)).reshape(input.shape)


# ---- masks ----


def _check_masked_fill(input, mask, value):
    if isinstance(value, Aval) and value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    broadcast_shapes(mask.shape, input.shape)
    if mask.dtype is not bool_:
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype "
            f"{C_NAMES[mask.dtype]}"
        )


def _masked_fill(input, mask, value):
    return jnp.where(mask, value.astype(input.dtype), input)


@op(public="", check=_check_masked_fill)
def masked_fill(input: Raw, mask: Raw, value: Scalar) -> jax.Array:
    """Set the elements under a mask to a number."""
    return _masked_fill(input, mask, value)


@op(public="", check=_check_masked_fill, grad_name="MaskedFillBackward1")
def masked_fill_tensor(input: Raw, mask: Raw, value: Raw) -> jax.Array:
    """Set the elements under a mask to a 0-dimensional tensor."""
    return _masked_fill(input, mask, value)


@op(public="", grad_name="IndexPutBackward0", strides=same_strides)
def masked_put_number(input: Raw, mask: Raw, value: Scalar) -> jax.Array:
    """Set the elements under a mask that broadcasts to ``input`` to a number: ``x[mask] = 1``."""
    return _masked_fill(input, mask, value)


@op(public="", grad_name="IndexPutBackward0", strides=same_strides)
def masked_put(input: Raw, mask: Raw, value: Raw) -> jax.Array:
    """Set the elements under a mask to values that are the same for each of the mask's places."""
    return _masked_fill(input, mask, value)


def _check_masked_scatter(input, mask, source):
    broadcast_shapes(mask.shape, input.shape)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{SCALAR_NAMES[input.dtype]} and {SCALAR_NAMES[source.dtype]}"
        )


@op(public="", check=_check_masked_scatter)
def masked_scatter(input: Raw, mask: Raw, source: Raw) -> jax.Array:
    """Put the elements of ``source``, in order, where the mask is true."""
    shape = jnp.broadcast_shapes(input.shape, mask.shape)
    mask = jnp.broadcast_to(mask, shape)
    number = (jnp.cumsum(mask.reshape(-1)) - 1).reshape(shape)
    return jnp.where(mask, jnp.take(source.reshape(-1), number, mode="clip"), input)


# ---- a copy with the part that a view shows replaced ----


def _check_part(shape, src) -> None:
    if src.shape != shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. "
            f"src size = {list(src.shape)}, slice size = {list(shape)}"
        )


@op(public="", check=lambda input, src, dim, index: _check_part(
    (*input.shape[:dim], *input.shape[dim + 1 :]), src))  # fmt: skip
def select_scatter(input: Raw, src: Raw, dim: int, index: Scalar) -> jax.Array:
    """Copy with one position along ``dim`` (counted from the front) replaced."""
    return lax.dynamic_update_index_in_dim(input, src, short(index, input), dim)


@op(public="", check=lambda input, src, dim, start, length, step: _check_part(
    (*input.shape[:dim], length, *input.shape[dim + 1 :]), src))  # fmt: skip
def slice_scatter(
    input: Raw, src: Raw, dim: int, start: Scalar, length: int, step: int
) -> jax.Array:
    """Copy with ``length`` positions along ``dim`` (counted from the front) replaced."""
    return OPS["slice"].write(input, src, dim=dim, start=start, length=length, step=step)


def _check_diagonal_scatter(input, src, offset, dim1, dim2):
    shape, _, _ = OPS["diagonal"].geometry(input.shape, input.strides, 0, offset, dim1, dim2)
    _check_part(shape, src)


@op(check=_check_diagonal_scatter)
def diagonal_scatter(
    input: Raw, src: Raw, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> jax.Array:
    """Copy with the diagonals replaced."""
    return OPS["diagonal"].write(input, src, offset=offset, dim1=dim1, dim2=dim2)
