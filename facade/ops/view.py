"""View ops that show all of a tensor in another form.

Each gives the strides of the result and how a write goes back through it.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import contiguous_strides
from facade.dtypes import SCALAR_NAMES, bfloat16, dtype, float16, float32, float64
from facade.errors import wrap_dim, wrap_dims
from facade.ops.registry import OPS, Raw, op

# A view op's geometry: (shape, strides, offset), **static -> the same of the result.


# ---- other sizes, same order of elements ----


def resolve_size(size: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Return ``size`` with its -1 worked out.

    Raises:
        RuntimeError: the sizes don't multiply to ``numel``.
    """
    known, inferred = 1, None
    for i, s in enumerate(size):
        if not hasattr(s, "__index__"):
            raise TypeError(
                f"reshape(): argument 'shape' failed to unpack the object at pos {i + 1} with "
                f'error "type must be tuple of ints,but got {type(s).__name__}"'
            )
        if s == -1 and inferred is not None:
            raise RuntimeError("only one dimension can be inferred")
        if s < -1:
            raise RuntimeError(f"invalid shape dimension {s} at index {i} of shape {list(size)}")
        if s == -1:
            inferred = i
        else:
            known *= s
    if inferred is None:
        if known == numel:
            return size
    elif known == 0 and numel == 0:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(size)} because the unspecified "
            "dimension size -1 can be any value and is ambiguous"
        )
    elif known and numel % known == 0:
        return (*size[:inferred], numel // known, *size[inferred + 1 :])
    raise RuntimeError(f"shape '{list(size)}' is invalid for input of size {numel}")


def view_strides(shape, strides, size) -> tuple[int, ...] | None:
    """Return the strides of a view of other ``size``, None when no strides can describe it.

    Dimensions that lie in one run of memory may be cut anew; a run's own boundaries stay.
    """
    if 0 in shape:
        return strides if size == shape else contiguous_strides(size)
    runs = _runs(shape, strides)
    numel, step = runs.pop()
    result = [1] * len(size)
    for d in reversed(range(len(size))):
        if numel == 1 and size[d] != 1 and runs:
            numel, step = runs.pop()
        if numel % size[d]:
            return None
        result[d] = step
        step *= size[d]
        numel //= size[d]
    return tuple(result)


def _runs(shape, strides) -> list[tuple[int, int]]:
    """Return (elements, stride of the last one) per run of dimensions that lie without gaps."""
    runs: list[tuple[int, int]] = []
    numel, step = 1, strides[-1] if strides else 1
    for d in reversed(range(len(shape))):
        if shape[d] != 1 and strides[d] != numel * step:
            runs.append((numel, step))
            numel, step = 1, strides[d]
        numel *= shape[d]
    return [(numel, step), *reversed(runs)]


_CANNOT_VIEW = (
    "view size is not compatible with input tensor's size and stride (at least one dimension spans "
    "across two contiguous subspaces). Use .reshape(...) instead."
)


def _check_view(input, size):
    if view_strides(input.shape, input.strides, resolve_size(size, input.numel)) is None:
        raise RuntimeError(_CANNOT_VIEW)


def _view_geometry(shape, strides, offset, size):
    size = resolve_size(size, math.prod(shape))
    return size, view_strides(shape, strides, size), offset


def _reshape_back(base, value, **static):
    return value.reshape(base.shape)


@op(public="", check=_check_view, geometry=_view_geometry, write=_reshape_back)
def view(input: Raw, size: tuple) -> jax.Array:
    """Give the elements another size."""
    return input.reshape(resolve_size(size, input.size))


# PyTorch's name for the view that `reshape` gives of a tensor that isn't contiguous
op(view, name="_reshape_alias", public="", check=_check_view, geometry=_view_geometry,
   write=_reshape_back)  # fmt: skip


@op(public="", geometry=lambda shape, strides, offset: (shape, strides, offset),
    write=lambda base, value: value)  # fmt: skip
def alias(input: Raw) -> jax.Array:
    """Another tensor on the same storage."""
    return input


def _squeezed(shape, dim) -> tuple[int, ...]:
    """Return the dimensions that ``squeeze`` keeps."""
    dims = range(len(shape)) if dim is None else wrap_dims(dim, len(shape))
    return tuple(d for d, size in enumerate(shape) if size != 1 or d not in dims)


def _squeeze_geometry(shape, strides, offset, dim):
    kept = _squeezed(shape, dim)
    return tuple(shape[d] for d in kept), tuple(strides[d] for d in kept), offset


def _squeeze_overload(dim) -> int:
    return 0 if dim is None else 1 if isinstance(dim, int) else 2


@op(public="", grad_name=lambda dim: f"SqueezeBackward{_squeeze_overload(dim)}",
    geometry=_squeeze_geometry, write=_reshape_back)  # fmt: skip
def squeeze(input: Raw, dim: int | tuple | None = None) -> jax.Array:
    """Drop dimensions of size 1."""
    return input.reshape(tuple(input.shape[d] for d in _squeezed(input.shape, dim)))


def _unsqueeze_geometry(shape, strides, offset, dim):
    dim = wrap_dim(dim, len(shape) + 1)
    stride = shape[dim] * strides[dim] if dim < len(shape) else 1
    return (*shape[:dim], 1, *shape[dim:]), (*strides[:dim], stride, *strides[dim:]), offset


@op(geometry=_unsqueeze_geometry, write=_reshape_back,
    check=lambda input, dim: wrap_dim(dim, input.ndim + 1))  # fmt: skip
def unsqueeze(input: Raw, dim: int) -> jax.Array:
    """Insert a dimension of size 1."""
    return jnp.expand_dims(input, wrap_dim(dim, input.ndim + 1))


# ---- other order of dimensions ----


def _pick(shape, strides, order):
    return tuple(shape[d] for d in order), tuple(strides[d] for d in order)


def _order(dims, ndim: int) -> tuple[int, ...]:
    return tuple(wrap_dim(d, ndim) for d in dims)


def _check_permute(input, dims):
    if len(dims) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not "
            f"equal to len(dims) = {len(dims)}"
        )
    if len(set(_order(dims, input.ndim))) < input.ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")


def _permute_back(base, value, dims):
    order = _order(dims, base.ndim)
    return value.transpose([order.index(d) for d in range(base.ndim)])


def _permute_geometry(shape, strides, offset, dims):
    return *_pick(shape, strides, _order(dims, len(shape))), offset


@op(public="", check=_check_permute, geometry=_permute_geometry, write=_permute_back)
def permute(input: Raw, dims: tuple[int, ...]) -> jax.Array:
    """Put the dimensions in the order ``dims``."""
    return input.transpose(_order(dims, input.ndim))


def _swapped(ndim: int, dim0: int, dim1: int) -> tuple[int, ...]:
    order = list(range(ndim))
    if ndim:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return tuple(order)


def _check_transpose(input, dim0, dim1):
    wrap_dim(dim0, input.ndim)
    wrap_dim(dim1, input.ndim)


@op(aliases=("swapaxes", "swapdims"), check=_check_transpose,
    write=lambda base, value, dim0, dim1: value.transpose(_swapped(base.ndim, dim0, dim1)),
    geometry=lambda shape, strides, offset, dim0, dim1: (
        *_pick(shape, strides, _swapped(len(shape), dim0, dim1)), offset))  # fmt: skip
def transpose(input: Raw, dim0: int, dim1: int) -> jax.Array:
    """Swap two dimensions."""
    return input.transpose(_swapped(input.ndim, dim0, dim1))


def _check_t(input):
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")


@op(check=_check_t, write=lambda base, value: value.T,
    geometry=lambda shape, strides, offset: (shape[::-1], strides[::-1], offset))  # fmt: skip
def t(input: Raw) -> jax.Array:
    """Transpose a matrix; a vector stays."""
    return input.T


# ---- repeated without a copy ----


def expanded_size(shape, size) -> tuple[int, ...]:
    """Return ``size`` with each -1 replaced by the size at hand.

    Raises:
        RuntimeError: a size differs from one that isn't 1.
    """
    missing = len(size) - len(shape)
    result = list(size)
    for i, s in enumerate(size):
        own = shape[i - missing] if i >= missing else None
        if own is None and s < 0:
            raise RuntimeError(
                f"The expanded size of the tensor ({s}) isn't allowed in a leading, "
                f"non-existing dimension {i}"
            )
        if own is None:
            continue
        if s == -1:
            result[i] = own
        elif own not in (1, s):
            raise RuntimeError(
                f"The expanded size of the tensor ({s}) must match the existing size ({own}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(size)}.  "
                f"Tensor sizes: {list(shape)}"
            )
    return tuple(result)


def _check_expand(input, size):
    if len(size) < input.ndim:
        kind = f"torch.{SCALAR_NAMES[input.dtype]}Tensor"
        raise RuntimeError(
            f"expand({kind}{{{list(input.shape)}}}, size={list(size)}): the number of sizes "
            f"provided ({len(size)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({input.ndim})"
        )
    expanded_size(input.shape, size)


def _expand_geometry(shape, strides, offset, size):
    size = expanded_size(shape, size)
    missing = len(size) - len(shape)
    new = [0] * len(size)
    for i in reversed(range(len(size))):
        if i >= missing:
            own, stride = shape[i - missing], strides[i - missing]
        else:
            own, stride = 1, size[i + 1] * new[i + 1] if shape else 0
        new[i] = stride if own == size[i] else 0
    return size, tuple(new), offset


@op(public="", check=_check_expand, geometry=_expand_geometry)
def expand(input: Raw, size: tuple[int, ...]) -> jax.Array:
    """Repeat dimensions of size 1 and prepend new ones, without a copy."""
    return jnp.broadcast_to(input, expanded_size(input.shape, size))


# ---- other dtype, same bits ----


def _check_view_dtype(input, dtype, old):
    if old.itemsize == dtype.itemsize:
        return
    names = f"to view {SCALAR_NAMES[old]} as {SCALAR_NAMES[dtype]} (different element sizes)"
    ratio = dtype.itemsize // old.itemsize
    if not input.ndim:
        raise RuntimeError(f"self.dim() cannot be 0 {names}")
    if ratio and input.shape[-1] % ratio:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {ratio} {names}, but got {input.shape[-1]}"
        )
    if input.strides[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {names}, but got {input.strides[-1]}")
    for dim, stride in enumerate(input.strides[:-1]):
        if ratio and stride % ratio:
            raise RuntimeError(
                f"self.stride({dim}) must be divisible by {ratio} {names}, but got {stride}"
            )


def _view_dtype_geometry(shape, strides, offset, dtype, old):
    if old.itemsize == dtype.itemsize:
        return shape, strides, offset

    def scaled(n: int) -> int:
        return n * old.itemsize // dtype.itemsize

    return (*shape[:-1], scaled(shape[-1])), (*map(scaled, strides[:-1]), 1), scaled(offset)


@op(public="", differentiable=False, check=_check_view_dtype, geometry=_view_dtype_geometry,
    write=lambda base, value, dtype, old: value.view(base.dtype))  # fmt: skip
def view_dtype(input: Raw, dtype: dtype, old: dtype) -> jax.Array:
    """Read the bits of ``old``, the input's dtype, as another; the last dimension adapts."""
    return input.view(dtype.numpy)


def _check_view_as_real(input):
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")


@op(check=_check_view_as_real, write=lambda base, value: lax.complex(value[..., 0], value[..., 1]),
    geometry=lambda shape, strides, offset: (
        (*shape, 2), (*(2 * s for s in strides), 1), 2 * offset))  # fmt: skip
def view_as_real(input: Raw) -> jax.Array:
    """See complex numbers as pairs: ``(*, 2)``."""
    return jnp.stack([input.real, input.imag], -1)


def _check_view_as_complex(input):
    if input.dtype not in (float16, bfloat16, float32, float64):
        kind = SCALAR_NAMES[input.dtype]
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, "
            f"but got a tensor of scalar type: {kind}"
        )
    if input.dtype.itemsize < 4:
        kind = SCALAR_NAMES[input.dtype]  # XLA has no complex numbers of two halves
        raise NotImplementedError(f"\"view_as_complex\" not implemented for '{kind}'")
    if not input.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")


@op(check=_check_view_as_complex, write=lambda base, value: jnp.stack([value.real, value.imag], -1),
    geometry=lambda shape, strides, offset: (
        shape[:-1], tuple(s // 2 for s in strides[:-1]), offset // 2))  # fmt: skip
def view_as_complex(input: Raw) -> jax.Array:
    """See pairs ``(*, 2)`` as complex numbers."""
    return lax.complex(input[..., 0], input[..., 1])


# ---- the same, as PyTorch names them in place ----

for _name, _grad_name in {
    "t": "TBackward1", "transpose": "TransposeBackward1", "unsqueeze": "UnsqueezeBackward1",
    "squeeze": lambda dim: f"SqueezeBackward{_squeeze_overload(dim) + 3}",
}.items():  # fmt: skip
    _spec = OPS[_name]
    op(_spec.fn, name=f"{_name}_", public="", grad_name=_grad_name, check=_spec.check,
       geometry=_spec.geometry, write=_spec.write)  # fmt: skip
