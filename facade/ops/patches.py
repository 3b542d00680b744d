"""Patches and blocks: sliding windows as columns, channels as pixels, and back."""

import math

import jax
import jax.numpy as jnp

from facade.ops.conv_algorithms import Window, unfold
from facade.ops.declare import kernel, refuse
from facade.ops.registry import Raw, op

_Pair = tuple[int, int]


def _window(stride: _Pair, padding: _Pair, dilation: _Pair) -> Window:
    return Window(stride, tuple((p, p) for p in padding), dilation, 1)


def _check_sizes(kernel_size, dilation, padding, stride) -> None:
    given = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    for name, row in given.items():
        if len(row) != 2:
            raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(row)}")
    for name, label, row in (
        ("kernel size", "kernel", kernel_size),
        ("dilation", "dilation", dilation),
        ("stride", "stride", stride),
    ):
        if min(row) <= 0:
            raise RuntimeError(
                f"{name} should be greater than zero, "
                f"but got {label}_height: {row[0]} {label}_width: {row[1]}"
            )
    if min(padding) < 0:
        raise RuntimeError(
            f"padding should be non-negative, but got pad_height: {padding[0]} "
            f"pad_width: {padding[1]}"
        )


def _blocks(size, kernel_size, dilation, padding, stride) -> _Pair:
    rows = zip(size, kernel_size, dilation, padding, stride, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in rows)  # type: ignore


def _pair(row) -> str:
    return f"({row[0]}, {row[1]})"


def _check_unfold(input, kernel_size, dilation, padding, stride):
    _check_sizes(kernel_size, dilation, padding, stride)
    shape = input.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(shape)}"
        )
    blocks = _blocks(shape[-2:], kernel_size, dilation, padding, stride)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size {_pair(shape[-2:])}, kernel_size={_pair(kernel_size)}, "
            f"dilation={_pair(dilation)}, padding={_pair(padding)}, calculated shape of the array "
            f"of sliding blocks as {_pair(blocks)}, but its components must be at least one."
        )
    error = kernel("im2col_out_cpu")
    refuse(integer=error)(input=input)


@op(public="", check=_check_unfold)
def im2col(
    input: Raw, kernel_size: _Pair, dilation: _Pair, padding: _Pair, stride: _Pair
) -> jax.Array:
    """Return each sliding window of ``(N, C, H, W)`` as a column of ``(N, C * window, L)``."""
    columns, out = unfold(input if input.ndim == 4 else input[None], kernel_size,
                          _window(stride, padding, dilation))  # fmt: skip
    flat = (columns.shape[1] * columns.shape[2], math.prod(out))
    return columns.reshape(*input.shape[:-3], *flat)


def _check_fold(input, output_size, kernel_size, dilation, padding, stride):
    _check_sizes(kernel_size, dilation, padding, stride)
    shape = input.shape
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    if shape[-2] % math.prod(kernel_size):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={shape[-2]} and kernel_size={_pair(kernel_size)}."
        )
    blocks = _blocks(output_size, kernel_size, dilation, padding, stride)
    given = (
        f"Given output_size={_pair(output_size)}, kernel_size={_pair(kernel_size)}, "
        f"dilation={_pair(dilation)}, padding={_pair(padding)}, stride={_pair(stride)}, "
    )
    if math.prod(blocks) != shape[-1]:
        raise RuntimeError(
            f"{given}expected size of input's dimension 2 to match the calculated number of "
            f"sliding blocks {blocks[0]} * {blocks[1]} = {math.prod(blocks)}, "
            f"but got input.size(2)={shape[-1]}."
        )


@op(public="", check=_check_fold)
def col2im(
    input: Raw, output_size: _Pair, kernel_size: _Pair, dilation: _Pair, padding: _Pair,
    stride: _Pair,
) -> jax.Array:  # fmt: skip
    """Add the columns of ``(N, C * window, L)`` up where their windows lie."""
    channels = input.shape[-2] // math.prod(kernel_size)
    shape = (*input.shape[:-2], channels, *output_size)
    result = jax.ShapeDtypeStruct(shape, input.dtype)
    (image,) = jax.linear_transpose(
        lambda x: im2col(x, kernel_size, dilation, padding, stride), result
    )(input)
    return image


def _check_shuffle(input, upscale_factor):
    if input.ndim < 3:
        raise RuntimeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.ndim} dimension(s)"
        )
    if upscale_factor <= 0:
        raise RuntimeError(
            f"pixel_shuffle expects a positive upscale_factor, but got {upscale_factor}"
        )
    square = upscale_factor * upscale_factor
    if input.shape[-3] % square:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={input.shape[-3]} is not divisible by {square}"
        )


@op(public="function", check=_check_shuffle, formats=(0,))
def pixel_shuffle(input: Raw, upscale_factor: int) -> jax.Array:
    """Turn ``(*, C * r * r, H, W)`` into ``(*, C, H * r, W * r)``."""
    r, (*lead, c, h, w) = upscale_factor, input.shape
    split = input.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    order = (*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return split.transpose(order).reshape(*lead, c // (r * r), h * r, w * r)


def _check_unshuffle(input, downscale_factor):
    if input.ndim < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.ndim} dimension(s)"
        )
    if downscale_factor <= 0:
        raise RuntimeError(
            f"pixel_unshuffle expects a positive downscale_factor, but got {downscale_factor}"
        )
    for name, dim in (("height", -2), ("width", -1)):
        if input.shape[dim] % downscale_factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={input.shape[dim]} is not divisible by {downscale_factor}"
            )


@op(public="function", check=_check_unshuffle, formats=(0,))
def pixel_unshuffle(input: Raw, downscale_factor: int) -> jax.Array:
    """Turn ``(*, C, H * r, W * r)`` into ``(*, C * r * r, H, W)``."""
    r, (*lead, c, h, w) = downscale_factor, input.shape
    split = input.reshape(*lead, c, h // r, r, w // r, r)
    n = len(lead)
    order = (*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return split.transpose(order).reshape(*lead, c * r * r, h // r, w // r)


def _check_channel_shuffle(input, groups):
    if input.ndim < 3:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if input.shape[1] % groups:
        raise RuntimeError(
            "Number of channels must be divisible by groups. Got "
            f"{input.shape[1]} channels and {groups} groups."
        )


@op(public="function", check=_check_channel_shuffle)
def channel_shuffle(input: Raw, groups: int) -> jax.Array:
    """Take one channel of each group in turn."""
    n, c, *size = input.shape
    return jnp.swapaxes(input.reshape(n, groups, c // groups, *size), 1, 2).reshape(input.shape)
