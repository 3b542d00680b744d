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
    if mode != "circular" and 0 in input.shape[-dims - 1 :]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size "
            f"and other non-zero dimensions for input, but got: {list(input.shape)}"
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
        if mode == "circular" and size + low + high < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
    if mode != "circular":
        _check_left(input.shape[-dims:], _sides(pad, dims), mode)


def _check_left(size: tuple, sides: list, mode: str) -> None:
    """Raise if all that is left of the map is empty."""
    left = [n + low + high for n, (low, high) in zip(size, sides, strict=True)]
    if max(left) > 0:
        return
    names = "DHW"[-len(size) :]
    own = [f"{name}: {n}" for name, n in zip(names, size, strict=True)]
    shown = ", ".join([" ".join(own[:-1]), own[-1]]) if len(own) > 1 else own[0]
    shown += " " * (mode == "replicate" and len(own) == 2)
    found = " ".join(f"{name}: {n}" for name, n in zip(names, left, strict=True))
    raise RuntimeError(f"input ({shown}) is too small. Calculated output {found}")


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
    if mode == "circular":  # repeats what is left of the map; the others look at all of it
        x = _cut(x, dim, low, high)
    size, before, after = x.shape[dim], max(low, 0), max(high, 0)

    def piece(start: int, end: int):
        return lax.slice_in_dim(x, start, end, axis=dim)

    if mode == "reflect":
        first = lax.rev(piece(1, before + 1), (dim,))
        last = lax.rev(piece(size - 1 - after, size - 1), (dim,))
    elif mode == "replicate":
        first = jnp.repeat(piece(0, 1), before, dim)
        last = jnp.repeat(piece(size - 1, size), after, dim)
    else:
        first, last = piece(size - before, size), piece(0, after)
    found = jnp.concatenate([first, x, last], dim)
    return found if mode == "circular" else _cut(found, dim, low, high)


def _cut(x, dim: int, low: int, high: int):
    """Return ``x`` without what negative sizes cut off."""
    return lax.slice_in_dim(x, max(-low, 0), x.shape[dim] + min(high, 0), axis=dim)
