"""Padding: constants, reflections, repetitions or the other end around a map."""

import jax
import jax.numpy as jnp
from jax import lax

from facade.ops.registry import Raw, Scalar, op


def _sides(pad: tuple[int, ...], ndim: int) -> list[tuple[int, int]]:
    """Return what comes before and after each dimension; PyTorch lists the last one first."""
    sides = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (ndim - len(sides)) + sides[::-1]


def _check_constant(input, pad, value):
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {input.ndim}"
        )
    for size, (low, high) in zip(input.shape, _sides(pad, input.ndim), strict=True):
        if size + min(low, 0) + min(high, 0) < 0:
            raise RuntimeError("narrow(): length must be non-negative.")


@op(public="function", check=_check_constant, formats=(0,))
def constant_pad_nd(input: Raw, pad: tuple[int, ...], value: Scalar = 0) -> jax.Array:
    """Surround ``input`` with ``value``; negative sizes cut off."""
    edges = [(low, high, 0) for low, high in _sides(pad, input.ndim)]
    return lax.pad(input, value.astype(input.dtype), edges)


def _check_around(input, pad, mode):
    dims = len(pad) // 2
    if input.ndim not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    for dim, (low, high) in enumerate(_sides(pad, input.ndim)):
        size = input.shape[dim]
        if mode == "reflect" and max(low, high) >= size and (low or high):
            argument = 4 + 2 * (input.ndim - 1 - dim)
            raise RuntimeError(
                f"Argument #{argument}: Padding size should be less than the corresponding input "
                f"dimension, but got: padding ({low}, {high}) at dimension {dim} of input "
                f"{list(input.shape)}"
            )
        if mode == "circular" and max(low, high) > size:
            raise RuntimeError("Padding value causes wrapping around more than once.")


def _around_name(pad, mode) -> str:
    if mode == "circular":
        return "torch::autograd::CopySlices"
    kind = {"reflect": "Reflection", "replicate": "Replication"}[mode]
    return f"{kind}Pad{len(pad) // 2}DBackward0"


@op(public="", check=_check_around, grad_name=_around_name)
def pad_around(input: Raw, pad: tuple[int, ...], mode: str) -> jax.Array:
    """Surround the last dimensions with what ``mode`` makes of the map itself.

    Args:
        mode: "reflect", "replicate" or "circular".
    """
    for dim, (low, high) in enumerate(_sides(pad, input.ndim)):
        if low or high:
            input = _pad_dim(input, dim, low, high, mode)
    return input


def _pad_dim(x, dim: int, low: int, high: int, mode: str):
    """Put pieces of ``x`` before and after it; slices, whose derivative is no scatter."""
    size = x.shape[dim]
    cut = lax.slice_in_dim(x, max(-low, 0), size + min(high, 0), axis=dim)
    low, high, length = max(low, 0), max(high, 0), cut.shape[dim]

    def piece(start: int, end: int):
        return lax.slice_in_dim(cut, start, end, axis=dim)

    if mode == "reflect":
        before = lax.rev(piece(1, low + 1), (dim,))
        after = lax.rev(piece(length - 1 - high, length - 1), (dim,))
    elif mode == "replicate":
        before = jnp.repeat(piece(0, 1), low, dim)
        after = jnp.repeat(piece(length - 1, length), high, dim)
    else:
        before, after = piece(length - low, length), piece(0, high)
    return jnp.concatenate([before, cut, after], dim)
