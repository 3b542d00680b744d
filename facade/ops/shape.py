"""Ops that lay elements out anew: join, repeat, turn, cut triangles, copy."""

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import (
    channels_last_strides,
    elementwise_strides,
    is_channels_last,
    is_dense,
)
from facade.dtypes import bool_, dtype
from facade.errors import no_dimension, wrap_dim, wrap_dims
from facade.ops.declare import short
from facade.ops.parts import diagonal_dims
from facade.ops.registry import Array, Promote, Raw, Scalar, op
from facade.ops.view import resolve_size

_SAME = {"promotes": Promote.SAME}

# ---- copies ----


def _dense(aval) -> bool:
    return is_dense(aval.shape, aval.strides)


def preserved_strides(operands, **static):
    """Return the strides of a copy of the first operand: its own if it is dense, else in order."""
    own = operands[0]
    return own.strides if _dense(own) else elementwise_strides(own.shape, [own])


@op(public="", strides=preserved_strides)
def clone(input: Raw) -> jax.Array:
    """Copy; the strides of a dense tensor stay."""
    return input


@op(public="", grad_name="CloneBackward0")
def contiguous_copy(input: Raw) -> jax.Array:
    """Copy in row-major order."""
    return input


@op(public="", grad_name="CloneBackward0", strides=lambda operands: channels_last_strides(
    operands[0].shape))  # fmt: skip
def channels_last_copy(input: Raw) -> jax.Array:
    """Copy in the order of memory called channels last."""
    return input


@op(public="", grad_name="UnsafeViewBackward0")
def reshape_copy(input: Raw, size: tuple) -> jax.Array:
    """Give a tensor another size where no strides can."""
    return input.reshape(resolve_size(size, input.size))


@op(public="", grad_name="ToCopyBackward0", strides=preserved_strides)
def _to_copy(input: Raw, dtype: dtype) -> jax.Array:
    """Cast. Complex numbers lose their imaginary part on the way to real ones."""
    return cast(input, dtype)


def cast(x: jax.Array, to: dtype) -> jax.Array:
    """Convert as C does: floats are cut off, integers wrap around."""
    if jnp.iscomplexobj(x) and not to.is_complex and to is not bool_:
        x = x.real
    narrow = not to.is_floating_point and not to.is_complex and to.itemsize < 4 and to is not bool_
    if narrow and jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.int32)  # XLA would stop at the bounds of a small type
    return x.astype(to.numpy)


def _fill(input: Raw, value: Scalar) -> jax.Array:
    """Set every element to a number."""
    return jnp.broadcast_to(value.astype(input.dtype), input.shape)


def _check_fill_tensor(input, value):
    if value.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )


def _fill_tensor(input: Raw, value: Raw) -> jax.Array:
    """Set every element to a 0-dimensional tensor."""
    return jnp.broadcast_to(value.astype(input.dtype), input.shape)


def same_strides(operands, **static):
    """Return the strides of the first operand if its copy has them too."""
    return operands[0].strides if _dense(operands[0]) else None


# PyTorch tells the in-place forms from the others in the name of grad_fn
op(_fill, name="fill", public="", grad_name="FillBackward0", strides=same_strides)
op(_fill, name="fill_", public="", grad_name="FillBackward2", strides=same_strides)
for _name, _grad in (("fill_tensor", "FillBackward1"), ("fill_tensor_", "FillBackward3")):
    op(_fill_tensor, name=_name, public="", grad_name=_grad, check=_check_fill_tensor,
       strides=same_strides)  # fmt: skip


@op(public="", grad_name="CopyBackwards", strides=same_strides)
def copy(input: Raw, src: Raw) -> jax.Array:
    """What ``input`` is after ``src``, of the same size, was written into it."""
    return src.astype(input.dtype)


@op(public="", grad_name="ZeroBackward0", strides=same_strides)
def zero_(input: Raw) -> jax.Array:
    """Set every element to zero."""
    return jnp.zeros_like(input)


# ---- join ----


def _skipped(shape) -> bool:
    """Return whether ``cat`` passes over a tensor: an empty vector fits anything."""
    return shape == (0,)


def _only_tensors(tensors) -> None:
    for i, t in enumerate(tensors):
        if isinstance(t, type):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {t.__name__}")


def _check_cat(tensors, dim):
    _only_tensors(tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, t in enumerate(tensors):
        if not t.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    solid = [(i, t) for i, t in enumerate(tensors) if not _skipped(t.shape)]
    if not solid:
        wrap_dim(dim, 1)
        return
    first = solid[0][1]
    at = wrap_dim(dim, first.ndim)
    for i, t in solid:
        if t.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}"
            )
        for d in range(first.ndim):
            if d != at and t.shape[d] != first.shape[d]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {at}. Expected size "
                    f"{first.shape[d]} but got size {t.shape[d]} for tensor number {i} in the list."
                )


def _cat_strides(operands, dim):
    if not all(map(is_channels_last, operands)):
        return None
    dim = wrap_dim(dim, operands[0].ndim)
    shape = list(operands[0].shape)
    shape[dim] = sum(t.shape[dim] for t in operands)
    return channels_last_strides(tuple(shape))


@op(public="", check=_check_cat, strides=_cat_strides, **_SAME)
def cat(tensors: tuple[Array, ...], dim: int = 0) -> jax.Array:
    """Join tensors along a dimension they have."""
    solid = [t for t in tensors if not _skipped(t.shape)]
    if not solid:
        return tensors[0]
    return lax.concatenate(solid, wrap_dim(dim, solid[0].ndim))


def _check_stack(tensors, dim):
    _only_tensors(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0].shape
    for i, t in enumerate(tensors):
        if t.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 "
                f"and {list(t.shape)} at entry {i}"
            )
    wrap_dim(dim, len(first) + 1)


def _stack_strides(operands, dim):
    first = operands[0]
    if dim != 0 or not all(map(is_channels_last, operands)):
        return None
    inner = channels_last_strides(first.shape)
    return (first.numel, *inner)


@op(public="", check=_check_stack, strides=_stack_strides, **_SAME)
def stack(tensors: tuple[Array, ...], dim: int = 0) -> jax.Array:
    """Join tensors along a new dimension."""
    return jnp.stack(tensors, wrap_dim(dim, tensors[0].ndim + 1))


def _check_block_diag(tensors):
    for i, t in enumerate(tensors):
        if t.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {i} has {t.ndim} dimensions"
            )


@op(public="", check=_check_block_diag, **_SAME)
def block_diag(tensors: tuple[Array, ...]) -> jax.Array:
    """Put matrices along the diagonal of a larger one."""
    blocks = [jnp.atleast_2d(t) for t in tensors]
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for b in blocks:
        rows.append(jnp.pad(b, ((0, 0), (left, width - left - b.shape[1]))))
        left += b.shape[1]
    return jnp.concatenate(rows)


# ---- repeat ----


def _check_repeat(input, repeats):
    if len(repeats) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    sizes = (1,) * (len(repeats) - input.ndim) + input.shape
    result = [s * r for s, r in zip(sizes, repeats, strict=True)]
    for size, count in zip(result, repeats, strict=True):
        if count < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {size}: {result}")


@op(public="", check=_check_repeat)
def repeat(input: Raw, repeats: tuple[int, ...]) -> jax.Array:
    """Lay copies side by side, ``repeats[i]`` of them along dimension i."""
    return jnp.tile(input, repeats)


@op(public="", grad_name="ViewBackward0")
def repeat_elements(input: Raw, repeats: int, dim: int) -> jax.Array:
    """Repeat each element ``repeats`` times in a row."""
    return jnp.repeat(input, repeats, axis=wrap_dim(dim, input.ndim))


@op(public="", grad_name="IndexSelectBackward0")
def repeat_elements_each(input: Raw, repeats: Raw, dim: int, length: int) -> jax.Array:
    """Repeat element i ``repeats[i]`` times; ``length`` is the sum of them."""
    dim = wrap_dim(dim, input.ndim)
    return jnp.repeat(input, repeats, axis=dim, total_repeat_length=length)


# ---- turn ----


@op(public="", check=lambda input, dims: wrap_dims(dims, input.ndim), strides=preserved_strides)
def flip(input: Raw, dims: tuple[int, ...]) -> jax.Array:
    """Reverse the order along ``dims``."""
    return lax.rev(input, wrap_dims(dims, input.ndim) if input.ndim else ())


def _check_roll(input, shifts, dims):
    if not shifts:
        raise RuntimeError("`shifts` required")
    if dims and not input.ndim:
        raise no_dimension(dims[0], 0)
    if len(shifts) != len(dims) and not (len(shifts) == 1 and not dims):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    for d in dims:
        wrap_dim(d, input.ndim)


def _roll_strides(operands, shifts, dims):
    return operands[0].strides if is_channels_last(operands[0]) else None


@op(public="", check=_check_roll, strides=_roll_strides)
def roll(input: Raw, shifts: tuple, dims: tuple) -> jax.Array:
    """Shift along ``dims``, what leaves at one end coming in at the other; all dims if none."""
    if not dims:
        return jnp.roll(input, shifts[0])
    return jnp.roll(input, shifts, [wrap_dim(d, input.ndim) for d in dims])


def _check_rot90(input, k, dims):
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    first, second = (wrap_dim(d, input.ndim) for d in dims)
    if first == second:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )


def _rot90_strides(operands, k, dims):
    a, b = dims
    strides = list(operands[0].strides)
    if k % 2:
        strides[a], strides[b] = strides[b], strides[a]
    return tuple(strides) if _dense(operands[0]) else None


@op(check=_check_rot90, strides=_rot90_strides)
def rot90(input: Raw, k: int = 1, dims: tuple[int, int] = (0, 1)) -> jax.Array:
    """Rotate by k quarter turns in the plane of ``dims``, from the first towards the second."""
    return jnp.rot90(input, k, dims)


# ---- triangles and diagonals ----


def _check_triangle(name: str):
    def check(input, diagonal):
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")

    return check


@op(inplace=True, out=True, check=_check_triangle("tril"))
def tril(input: Raw, diagonal: int = 0) -> jax.Array:
    """Keep what lies on and below a diagonal; zeros elsewhere."""
    return jnp.tril(input, diagonal)


@op(inplace=True, out=True, check=_check_triangle("triu"))
def triu(input: Raw, diagonal: int = 0) -> jax.Array:
    """Keep what lies on and above a diagonal; zeros elsewhere."""
    return jnp.triu(input, diagonal)


def _check_diag_embed(input, offset, dim1, dim2):
    diagonal_dims(input.ndim + 1, dim1, dim2)


@op(check=_check_diag_embed)
def diag_embed(input: Raw, offset: int = 0, dim1: int = -2, dim2: int = -1) -> jax.Array:
    """Make matrices with the last dimension on their diagonal."""
    size = input.shape[-1] + abs(offset)
    rows = jnp.arange(input.shape[-1]) + max(-offset, 0)
    columns = jnp.arange(input.shape[-1]) + max(offset, 0)
    empty = jnp.zeros((*input.shape[:-1], size, size), input.dtype)
    matrices = empty.at[..., rows, columns].set(input, unique_indices=True)
    return jnp.moveaxis(matrices, (-2, -1), diagonal_dims(input.ndim + 1, dim1, dim2))


def _check_narrow_copy(input, dim, start, length):
    wrap_dim(dim, input.ndim)


@op(public="", check=_check_narrow_copy)
def narrow_copy(input: Raw, dim: int, start: Scalar, length: int) -> jax.Array:
    """Copy ``length`` positions from ``start``, which the caller has checked."""
    dim = wrap_dim(dim, input.ndim)
    return lax.dynamic_slice_in_dim(input, short(start, input), length, dim)
