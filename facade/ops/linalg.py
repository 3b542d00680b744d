"""Ops of the matmul family."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from facade.dtypes import C_NAMES, SCALAR_NAMES, bool_
from facade.errors import broadcast_shapes, wrap_dim
from facade.ops.declare import expected_type
from facade.ops.registry import OPS, Array, Promote, Raw, Scalar, op
from facade.ops.view import expanded_size

# ---- precision ----

# PyTorch's words: full float32, TF32 (or three bfloat16 passes), bfloat16
PRECISIONS = {
    "highest": lax.Precision.HIGHEST,
    "high": lax.Precision.HIGH,
    "medium": lax.Precision.DEFAULT,
}
_precision: str | None = None  # nothing chosen, which is as exact as "highest"


def get_float32_matmul_precision() -> str:
    """Return how exact float32 matrix products are: "highest", "high" or "medium"."""
    return _precision or "highest"


def chosen_precision() -> str | None:
    """Return what was chosen, None if nothing was."""
    return _precision


def choose_precision(precision: str | None) -> None:
    """Choose how exact float32 matrix products are; None is no choice."""
    global _precision
    before, _precision = get_float32_matmul_precision(), precision
    if get_float32_matmul_precision() != before:
        for spec in OPS.values():
            spec.forget()  # signatures inferred anew are new programs


def matmul_precision(dtype) -> lax.Precision | None:
    """Return the precision for a product of arrays of this numpy dtype."""
    if dtype.name not in ("float32", "complex64"):
        return None
    return PRECISIONS[get_float32_matmul_precision()]


def product(a, b):
    """Return ``jnp.matmul`` at the precision asked for."""
    return jnp.matmul(a, b, precision=matmul_precision(a.dtype))


# ---- errors ----


def _check_mm_dtypes(a, b) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "expected m1 and m2 to have the same dtype, but got: "
            f"{C_NAMES[a.dtype]} != {C_NAMES[b.dtype]}"
        )
    if a.dtype is bool_:
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")


def _check_inner(rows: int, a_size: int, b) -> None:
    """Check that ``(rows, a_size)`` and the matrix ``b`` can be multiplied."""
    if a_size != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a_size} and "
            f"{b.shape[0]}x{b.shape[1]})"
        )


def _check_mm(input, mat2) -> None:
    for name, matrix in (("self", input), ("mat2", mat2)):
        if matrix.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix")
    _check_inner(input.shape[0], input.shape[1], mat2)
    _check_mm_dtypes(input, mat2)


def _check_mv(input, vec) -> None:
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    _check_mat_vec(input.shape[0], input.shape, vec)
    _check_mat_vec_dtypes(vec, input, vec)


def _check_mat_vec(given: int, matrix: tuple, vec) -> None:
    if matrix[1] != vec.shape[0] or given not in (1, matrix[0]):
        raise RuntimeError(
            f"size mismatch, got input ({given}), mat ({matrix[0]}x{matrix[1]}), "
            f"vec ({vec.shape[0]})"
        )


def _check_mat_vec_dtypes(input, mat, vec) -> None:
    if not input.dtype is mat.dtype is vec.dtype:
        names = [SCALAR_NAMES[t.dtype] for t in (input, mat, vec)]
        raise RuntimeError(
            "addmv input tensors must have the same dtype, but got "
            f"{names[0]}, {names[1]}, and {names[2]}"
        )


def _check_dot(input, tensor) -> None:
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.dtype is not tensor.dtype:
        raise RuntimeError(
            "dot : expected both vectors to have same dtype, but found "
            f"{SCALAR_NAMES[input.dtype]} and {SCALAR_NAMES[tensor.dtype]}"
        )
    a, b = input.numel, tensor.numel
    if a != b:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a}] and src [{b}] to have the same "
            f"number of elements, but got {a} and {b} elements respectively"
        )


def check_batch_sizes(wanted: tuple[int, ...], given: tuple[int, ...]) -> None:
    """Check the batch and the inner size of the second factor of a product in batches."""
    if given != wanted:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"{list(wanted)} but got: {list(given)}."
        )


def _check_batches(batch: int, inner: int, other: tuple, a, b) -> None:
    """Check that ``(batch, n, inner)`` and three sizes ``other`` can be multiplied in batches."""
    check_batch_sizes((batch, inner), other[:2])
    if a.dtype is not b.dtype:
        raise expected_type(a, b)
    if a.dtype is bool_:
        raise NotImplementedError("\"bmm\" not implemented for 'Bool'")


def _check_batch_pair(batch1, batch2) -> None:
    for number, batch in ((1, batch1), (2, batch2)):
        if batch.ndim != 3:
            raise RuntimeError(f"batch{number} must be a 3D tensor")


def _check_bmm(input, mat2) -> None:
    _check_batch_pair(input, mat2)
    _check_batches(input.shape[0], input.shape[2], mat2.shape, input, mat2)


# ---- products ----


@op(out=True, check=_check_mm)
def mm(input: Raw, mat2: Raw) -> jax.Array:
    """Multiply two matrices."""
    return product(input, mat2)


@op(out=True, check=_check_mv)
def mv(input: Raw, vec: Raw) -> jax.Array:
    """Multiply a matrix and a vector."""
    return product(input, vec)


@op(out=True, check=_check_bmm)
def bmm(input: Raw, mat2: Raw) -> jax.Array:
    """Multiply matrices in batches: ``(b, n, m)`` and ``(b, m, p)``."""
    return product(input, mat2)


@op(out=True, check=_check_dot)
def dot(input: Raw, tensor: Raw) -> jax.Array:
    """Return the sum of the products of two vectors' elements."""
    return product(input, tensor)


def _check_vdot(input, other) -> None:
    _check_dot(input, other)


@op(out=True, check=_check_vdot)
def vdot(input: Raw, other: Raw) -> jax.Array:
    """Return the dot product with the first vector conjugated."""
    return product(input.conj(), other)


def _check_matmul(input, other) -> None:
    if not input.ndim or not other.ndim:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{input.ndim}D and {other.ndim}D"
        )
    if input.ndim == 1 and other.ndim == 1:
        _check_dot(input, other)
    elif other.ndim == 1:
        rows = math.prod(input.shape[:-1])
        _check_mat_vec(rows, (rows, input.shape[-1]), other)
        _check_mat_vec_dtypes(other, input, other)
    elif other.ndim == 2:
        _check_inner(math.prod(input.shape[:-1]), input.shape[-1], other)
        _check_mm_dtypes(input, other)
    elif input.ndim == 2 and input.shape[1] != other.shape[-2]:
        rows = math.prod(other.shape[:-2]) * other.shape[-1]
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{other.shape[-2]} and "
            f"{input.shape[1]}x{input.shape[0]})"
        )
    else:
        left = input.shape[:-2]
        batch = math.prod(broadcast_shapes(left, other.shape[:-2]))
        _check_batches(batch, input.shape[-1], (batch, *other.shape[-2:]), input, other)


def _matmul_name(input, other) -> str:
    """Return the name of the last op that PyTorch composes this product of."""
    ndims = (min(input.ndim, 3), min(other.ndim, 3))
    names = {(1, 1): "Dot", (2, 1): "Mv", (2, 2): "Mm", (1, 2): "Squeeze4", (2, 3): "Clone"}
    name = names.get(ndims, "UnsafeView")
    return "SqueezeBackward4" if name == "Squeeze4" else f"{name}Backward0"


@op(out=True, check=_check_matmul, grad_name=_matmul_name)
def matmul(input: Raw, other: Raw) -> jax.Array:
    """Multiply vectors, matrices or batches of matrices, by NumPy's rules."""
    return product(input, other)


def _check_addmm_dtypes(added, mat1, mat2) -> None:
    for name, first in (("self", added), ("mat1", mat1)):
        if first.dtype is not mat2.dtype:
            raise RuntimeError(
                f"{name} and mat2 must have the same dtype, but got "
                f"{SCALAR_NAMES[first.dtype]} and {SCALAR_NAMES[mat2.dtype]}"
            )


def _check_linear(input, weight, bias) -> None:
    if weight.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {weight.ndim}D")
    if not input.ndim or not weight.ndim:
        raise RuntimeError(
            "both arguments to linear need to be at least 1D, but they are "
            f"{input.ndim}D and {weight.ndim}D"
        )
    rows = math.prod(input.shape[:-1])
    if weight.ndim == 1:
        if bias is not None:
            raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
        _check_matmul(input, weight)
        return
    if input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
            f"{weight.shape[1]}x{weight.shape[0]})"
        )
    if bias is None:
        _check_mm_dtypes(input, weight)
        return
    expanded_size(bias.shape, (rows, weight.shape[0]))
    _check_addmm_dtypes(bias, input, weight)


def _linear_name(input, weight, bias) -> str:
    """Return the name of the last op that PyTorch composes this layer of."""
    if bias is None:
        if weight.ndim == 1:
            return _matmul_name(input, weight)
        return {1: "SqueezeBackward4", 2: "MmBackward0"}.get(input.ndim, "UnsafeViewBackward0")
    if input.ndim == 2:
        return "AddmmBackward0"
    return "ViewBackward0" if input.contiguous else "AddBackward0"


@op(public="", check=_check_linear, grad_name=_linear_name)
def linear(input: Raw, weight: Raw, bias: Raw | None = None) -> jax.Array:
    """Return ``input @ weight.T + bias``; ``weight`` is ``(out, in)`` or ``(in,)``."""
    result = product(input, weight.T)
    return result if bias is None else result + bias


# ---- products added to something ----


def _scaled(x, factor):
    """Return ``factor * x``; None is 1."""
    return x if factor is None else x * factor.astype(x.dtype)


def _add_product(input, result, beta, alpha):
    """Return ``beta * input + alpha * result``; a beta of 0 hides even a nan."""
    kept = input
    if beta is not None:
        kept = jnp.where(beta == 0, jnp.zeros_like(input), _scaled(input, beta))
    return kept + _scaled(result, alpha)


def _check_addmm(input, mat1, mat2, beta, alpha) -> None:
    for name, matrix in (("mat1", mat1), ("mat2", mat2)):
        if matrix.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix, got {matrix.ndim}-D tensor")
    _check_inner(mat1.shape[0], mat1.shape[1], mat2)
    _check_expands(input, (mat1.shape[0], mat2.shape[1]))
    _check_addmm_dtypes(input, mat1, mat2)


def _check_expands(input, size: tuple) -> None:
    OPS["expand"].check(input, size)


@op(inplace=True, out=True, check=_check_addmm)
def addmm(
    input: Raw, mat1: Raw, mat2: Raw, *, beta: Scalar | None = None, alpha: Scalar | None = None
) -> jax.Array:
    """Return ``beta * input + alpha * (mat1 @ mat2)``."""
    return _add_product(input, product(mat1, mat2), beta, alpha)


def _check_addmv(input, mat, vec, beta, alpha) -> None:
    if mat.ndim != 2 or vec.ndim != 1 or input.ndim > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}"
        )
    _check_mat_vec(input.shape[0] if input.ndim else 1, mat.shape, vec)
    _check_mat_vec_dtypes(input, mat, vec)


@op(inplace=True, out=True, check=_check_addmv)
def addmv(
    input: Raw, mat: Raw, vec: Raw, *, beta: Scalar | None = None, alpha: Scalar | None = None
) -> jax.Array:
    """Return ``beta * input + alpha * (mat @ vec)``."""
    return _add_product(input, product(mat, vec), beta, alpha)


def _check_addbmm(input, batch1, batch2, beta, alpha) -> None:
    _check_batch_pair(batch1, batch2)
    if batch1.shape[0] != batch2.shape[0]:
        raise RuntimeError(
            "batch1 and batch2 must have same number of batches, got "
            f"{batch1.shape[0]} and {batch2.shape[0]}"
        )
    _check_batches(batch1.shape[0], batch1.shape[2], batch2.shape, batch1, batch2)
    _check_expands(input, (batch1.shape[1], batch2.shape[2]))


@op(out=True, check=_check_addbmm)
def addbmm(
    input: Raw, batch1: Raw, batch2: Raw, *, beta: Scalar | None = None, alpha: Scalar | None = None
) -> jax.Array:
    """Return ``beta * input`` plus ``alpha`` times the sum of the products in the batch."""
    total = jnp.einsum("bij,bjk->ik", batch1, batch2, precision=matmul_precision(batch1.dtype))
    return _add_product(input, total, beta, alpha)


def _check_baddbmm(input, batch1, batch2, beta, alpha) -> None:
    _check_batch_pair(batch1, batch2)
    if not input.dtype is batch1.dtype is batch2.dtype:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {C_NAMES[input.dtype]}, "
            f"batch1: {C_NAMES[batch1.dtype]}, batch2: {C_NAMES[batch2.dtype]}"
        )
    _check_batches(batch1.shape[0], batch1.shape[2], batch2.shape, batch1, batch2)
    _check_expands(input, (*batch1.shape[:2], batch2.shape[2]))


@op(inplace=True, out=True, check=_check_baddbmm)
def baddbmm(
    input: Raw, batch1: Raw, batch2: Raw, *, beta: Scalar | None = None, alpha: Scalar | None = None
) -> jax.Array:
    """Return ``beta * input + alpha * (batch1 @ batch2)``."""
    return _add_product(input, product(batch1, batch2), beta, alpha)


def _check_vector(name: str, argument: str, vector) -> None:
    if vector.ndim != 1:
        raise RuntimeError(f"{name}: Expected 1-D argument {argument}, but got {vector.ndim}-D")


def _check_addr(input, vec1, vec2, beta, alpha) -> None:
    _check_vector("addr", "vec1", vec1)
    _check_vector("addr", "vec2", vec2)
    _check_expands(input, (vec1.numel, vec2.numel))


@op(inplace=True, out=True, check=_check_addr)
def addr(
    input: Raw, vec1: Raw, vec2: Raw,
    *, beta: Scalar | None = None, alpha: Scalar | None = None,
) -> jax.Array:  # fmt: skip
    """Return ``beta * input`` plus ``alpha`` times the outer product."""
    return _add_product(input, vec1[:, None] * vec2, beta, alpha)


# ---- other products ----


def _check_outer(input, vec2) -> None:
    _check_vector("outer", "self", input)
    _check_vector("outer", "vec2", vec2)


@op(out=True, aliases=("ger",), check=_check_outer, grad_name="MulBackward0")
def outer(input: Raw, vec2: Raw) -> jax.Array:
    """Return the products of every two elements of two vectors."""
    return input[:, None] * vec2


def _check_inner_sizes(input, other) -> None:
    if input.ndim and other.ndim and input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    if input.dtype is not other.dtype and input.ndim and other.ndim:
        raise RuntimeError("both inputs should have same dtype")


def _inner_name(input, other) -> str:
    return "ViewBackward0" if input.ndim and other.ndim else "MulBackward0"


@op(out=True, check=_check_inner_sizes, grad_name=_inner_name)
def inner(input: Raw, other: Raw) -> jax.Array:
    """Sum the products along the last dimension of both."""
    if not input.ndim or not other.ndim:
        return input * other
    return jnp.tensordot(input, other, axes=(-1, -1), precision=matmul_precision(input.dtype))


def _check_tensordot(input, other, dims_self, dims_other) -> None:
    if len(dims_self) != len(dims_other):
        raise RuntimeError("both dimension lists should have same length")
    for a, b in zip(dims_self, dims_other, strict=True):
        first = input.shape[wrap_dim(a, input.ndim)]
        second = other.shape[wrap_dim(b, other.ndim)]
        if first != second and 1 not in (first, second):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {first} in dim {a} and "
                f"second has size {second} in dim {b}"
            )
    if input.dtype is not other.dtype:
        raise RuntimeError("both inputs should have same dtype")


@op(public="", check=_check_tensordot, grad_name="ViewBackward0")
def tensordot(input: Raw, other: Raw, dims_self: tuple, dims_other: tuple) -> jax.Array:
    """Sum the products along pairs of dimensions; a size of 1 counts as repeated."""
    for a, b in zip(dims_self, dims_other, strict=True):
        if input.shape[a] != other.shape[b]:
            if input.shape[a] == 1:
                other = other.sum(b, keepdims=True, dtype=other.dtype)
            else:
                input = input.sum(a, keepdims=True, dtype=input.dtype)
    precision = matmul_precision(input.dtype)
    return jnp.tensordot(input, other, axes=(dims_self, dims_other), precision=precision)


@op(public="", promotes=Promote.SAME, grad_name="UnsafeViewBackward0",
    strides=lambda operands, shape: None)  # fmt: skip
def kron(input: Array, other: Array, shape: tuple[int, ...]) -> jax.Array:
    """Return the products of elements that broadcast, in the shape of the Kronecker product."""
    return (input * other).reshape(shape)


def _check_trace(input) -> None:
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")


@op(check=_check_trace)
def trace(input: Raw) -> jax.Array:
    """Return the sum of a matrix's diagonal."""
    integral = not jnp.issubdtype(input.dtype, jnp.inexact)
    return jnp.trace(input, dtype=jnp.int64 if integral else input.dtype)


def _check_cross(input, other, dim) -> None:
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    wrap_dim(dim, input.ndim)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. "
            f"Got {input.shape[dim]} and {other.shape[dim]}"
        )
    if input.dtype is bool_:
        raise NotImplementedError("\"cross\" not implemented for 'Bool'")
    if input.dtype is not other.dtype:
        raise expected_type(input, other)


@op(public="", name="linalg_cross", check=_check_cross, promotes=Promote.SAME)
def cross(input: Array, other: Array, dim: int) -> jax.Array:
    """Return the cross products of the 3-vectors along ``dim``."""
    input, other = jnp.broadcast_arrays(input, other)
    return jnp.cross(input, other, axis=dim)
