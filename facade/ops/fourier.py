"""Discrete Fourier transforms."""

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import contiguous_strides
from facade.dtypes import SCALAR_NAMES
from facade.ops.registry import Array, Promote, Raw, op

NORMS = ("backward", "ortho", "forward")


def _check(input, dims, sizes, norm, **_) -> None:
    if norm not in NORMS:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if input.dtype.itemsize < 4 and input.dtype.is_floating_point:
        raise RuntimeError(f"Unsupported dtype {SCALAR_NAMES[input.dtype]}")
    for size in sizes:
        if size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")


def transformed_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], dims: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the strides of a transform's result: what was transformed moves fastest.

    Args:
        shape: Of the result.
        strides: Of the input; the other dimensions keep its order.
        dims: The transformed ones, the fastest last.
    """
    others = sorted((d for d in range(len(shape)) if d not in dims), key=lambda d: -strides[d])
    found, step = [0] * len(shape), 1
    for d in reversed((*others, *dims)):
        found[d] = step
        step *= max(shape[d], 1)
    return tuple(found)


def _resized(a, dims, sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return shape and strides of the input cut or padded to the sizes."""
    shape = list(a.shape)
    for d, size in zip(dims, sizes, strict=True):
        shape[d] = size
    padded = any(n > was for n, was in zip(shape, a.shape, strict=True))
    return tuple(shape), contiguous_strides(tuple(shape)) if padded else a.strides


def _c2c_strides(operands, dims, sizes, **_):
    shape, strides = _resized(operands[0], dims, sizes)
    return transformed_strides(shape, strides, tuple(sorted(dims, key=lambda d: -strides[d])))


def _r2c_strides(operands, dims, sizes, norm, onesided):
    shape, strides = _resized(operands[0], dims, sizes)
    *others, last = dims
    if onesided:
        shape = (*shape[:last], shape[last] // 2 + 1, *shape[last + 1 :])
    return transformed_strides(shape, strides, (*sorted(others, key=lambda d: -strides[d]), last))


def _c2r_strides(operands, dims, sizes, **_):
    *others, last = dims
    given = (*sizes[:-1], sizes[-1] // 2 + 1)
    shape, strides = _resized(operands[0], dims, given)
    if others:
        first = tuple(sorted(others, key=lambda d: -strides[d]))
        strides = transformed_strides(shape, strides, first)
    return transformed_strides((*shape[:last], sizes[-1], *shape[last + 1 :]), strides, (last,))


@op(public="", promotes=Promote.FLOAT, check=_check, strides=_c2c_strides,
    grad_name="FftC2CBackward0")  # fmt: skip
def _fft_c2c(
    input: Array, dims: tuple[int, ...], sizes: tuple[int, ...], norm: str, forward: bool
) -> jax.Array:
    """Transform over several dimensions, complex to complex."""
    if not dims:
        return input if jnp.iscomplexobj(input) else lax.complex(input, jnp.zeros_like(input))
    return (jnp.fft.fftn if forward else jnp.fft.ifftn)(input, sizes, dims, norm)


@op(public="", promotes=Promote.FLOAT, check=_check, strides=_r2c_strides,
    grad_name="FftR2CBackward0")  # fmt: skip
def _fft_r2c(
    input: Array, dims: tuple[int, ...], sizes: tuple[int, ...], norm: str, onesided: bool
) -> jax.Array:
    """Transform real numbers; ``onesided`` leaves out what follows by symmetry in the last dim."""
    if not onesided:
        return jnp.fft.fft(input, sizes[0], dims[0], norm)
    result = jnp.fft.rfft(input, sizes[-1], dims[-1], norm)
    return _fft_c2c(result, dims[:-1], sizes[:-1], norm, True)


@op(public="", promotes=Promote.FLOAT, check=_check, strides=_c2r_strides,
    grad_name="FftC2RBackward0")  # fmt: skip
def _fft_c2r(input: Array, dims: tuple[int, ...], sizes: tuple[int, ...], norm: str) -> jax.Array:
    """Transform back what ``_fft_r2c`` with ``onesided`` gives; real numbers result."""
    result = _fft_c2c(input, dims[:-1], sizes[:-1], norm, False)
    return jnp.fft.irfft(result, sizes[-1], dims[-1], norm)


@op(public="")
def overlap_add(input: Raw, hop: int) -> jax.Array:
    """Add up windows of a signal, ``(B, windows, size)``, each ``hop`` samples after the last."""
    batch, count, size = input.shape
    at = hop * lax.iota(jnp.int64, count)[:, None] + lax.iota(jnp.int64, size)
    return jnp.zeros((batch, hop * (count - 1) + size), input.dtype).at[:, at].add(input)
