"""Numbers for pairs of vectors: similarity, distance, bilinear forms."""

import jax
import jax.numpy as jnp
import numpy as np

from facade.dtypes import C_NAMES, SCALAR_NAMES, get_default_dtype
from facade.errors import broadcast_shapes, wrap_dim
from facade.ops.declare import kernel, refuse
from facade.ops.linalg import matmul_precision
from facade.ops.registry import Array, Promote, Raw, op, promote


def _check_cosine(x1, x2, dim, eps):
    common = promote(Promote.SAME, [x1, x2])
    if not common.is_floating_point:
        raise RuntimeError(
            "expected common dtype to be floating point, yet common dtype is "
            f"{SCALAR_NAMES[common]}"
        )
    wrap_dim(dim, len(broadcast_shapes(x1.shape, x2.shape)))


def _size(x, dim: int, eps: float):
    """Return the norm along ``dim``, at least ``eps``; its slope at 0 is 0."""
    squares = jnp.sum(jnp.square(x), dim, keepdims=True)
    zero = squares == 0
    return jnp.maximum(jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares))), eps)


@op(public="", check=_check_cosine, grad_name="SumBackward1")
def cosine_similarity(x1: Raw, x2: Raw, dim: int, eps: float):
    """Return the cosine of the angle between vectors along ``dim``."""
    shape = jnp.broadcast_shapes(x1.shape, x2.shape) or (1,)
    x1, x2 = jnp.broadcast_to(x1, shape), jnp.broadcast_to(x2, shape)
    return jnp.sum((x1 / _size(x1, dim, eps)) * (x2 / _size(x2, dim, eps)), dim)


def _power_norm(gap, p: float, dim: int, keepdim: bool = False):
    """Return the ``p``-norm of sizes along ``dim``; its slope at 0 is 0."""
    if p == 0:
        return jnp.sum(gap != 0, dim, keepdims=keepdim).astype(gap.dtype)
    if p == np.inf:
        return jnp.max(gap, dim, keepdims=keepdim, initial=0)
    powers = jnp.where(gap == 0, 0, jnp.where(gap == 0, 1, gap) ** p)
    total = jnp.sum(powers, dim, keepdims=keepdim)
    none = total == 0
    return jnp.where(none, 0, jnp.where(none, 1, total) ** (1 / p))


@op(public="", promotes=Promote.SAME, grad_name="NormBackward1")
def pairwise_distance(x1: Array, x2: Array, p: float, eps: float, keepdim: bool):
    """Return the ``p``-norm of ``x1 - x2 + eps`` along the last dimension."""
    gap = x1 - x2
    if jnp.issubdtype(gap.dtype, jnp.integer):
        gap = gap.astype(get_default_dtype().numpy)
    return _power_norm(jnp.abs(gap + eps), p, -1, keepdim)


def _check_pdist(input, p):
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.dtype.is_floating_point:
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")


@op(public="", check=_check_pdist)
def pdist(input: Raw, p: float) -> jax.Array:
    """Return the ``p``-norm distance of each two rows, the first row's first."""
    first, second = np.triu_indices(input.shape[0], 1)
    return _power_norm(jnp.abs(input[first] - input[second]), p, 1)


def _check_bilinear(input1, input2, weight, bias):
    if not input1.dtype is input2.dtype is weight.dtype:
        shown = [C_NAMES[x.dtype] for x in (input1, input2, weight)]
        raise RuntimeError(
            f"All tensors must have the same dtype, got input1: {shown[0]}, input2: {shown[1]}, "
            f"weight: {shown[2]}"
        )
    for dim in range(max(input1.ndim, input2.ndim) - 1):
        a, b = input1.shape[dim], input2.shape[dim]
        if a != b:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {dim}: got {a} and {b}"
            )
    for number, (x, wanted) in enumerate(((input1, weight.shape[1]), (input2, weight.shape[2])), 1):
        if x.shape[-1] != wanted:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got {x.shape[-1]} "
                f"but expected {wanted}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} "
            f"but expected {weight.shape[0]}"
        )
    refuse(bool=kernel("addmm_impl_cpu_"))(input1=input1)


@op(
    public="", check=_check_bilinear,
    grad_name=lambda bias: "ViewBackward0" if bias is None else "AddBackward0",
)  # fmt: skip
def bilinear(input1: Raw, input2: Raw, weight: Raw, bias: Raw | None = None) -> jax.Array:
    """Return ``input1 @ weight[k] @ input2 + bias[k]`` for each k."""
    precision = matmul_precision(input1.dtype)
    found = jnp.einsum("...i,kij,...j->...k", input1, weight, input2, precision=precision)
    return found if bias is None else found + bias
