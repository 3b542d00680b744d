"""Convolutions, transposed or not, in any number of dimensions."""

import jax
import jax.numpy as jnp

from facade.dtypes import C_NAMES, SCALAR_NAMES
from facade.ops.conv_algorithms import Window, convolve, input_gradient
from facade.ops.declare import expected_type, spread
from facade.ops.registry import Raw, op

_Sizes = int | tuple[int, ...]


def _check_count(name: str, sizes: _Sizes | str, count: int) -> None:
    if not isinstance(sizes, int | str) and len(sizes) not in (1, count):
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match "
            f"the convolution dimensions, but got {name}={list(sizes)}"
        )


def _check_sizes(weight, stride, padding, dilation, output_padding, groups) -> None:
    dims = weight.ndim - 2
    if padding == "same" and any(s != 1 for s in spread(stride, dims)):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    for name, sizes in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        _check_count(name, sizes, dims)
    _check_count("output_padding", output_padding, dims)
    if not isinstance(padding, str) and min(spread(padding, dims)) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(spread(output_padding, dims)) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if min(spread(stride, dims)) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(spread(dilation, dims)) <= 0:
        raise RuntimeError("dilation should be greater than zero")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def _check_weight(
    input: tuple, weight, bias, groups: int, transposed: bool, padding: _Sizes | str
) -> None:
    shape = list(weight.shape)
    if len(input) != weight.ndim:
        space = "" if isinstance(padding, str) else " "
        raise RuntimeError(
            f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight{space}"
            f"{shape}, but got {len(input)}-dimensional input of size {list(input)} instead"
        )
    if shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, "
            f"but got weight of size {shape} instead"
        )
    if shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{shape}] instead"
        )
    expected = shape[0] if transposed else shape[1] * groups
    if input[1] != expected:
        given = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {given}, weight of size {shape}, expected input{list(input)} to have "
            f"{expected} channels, but got {input[1]} channels instead"
        )
    produced = shape[1] * groups if transposed else shape[0]
    if bias is not None and bias.shape != (produced,):
        given = "transposed=1, weight" if transposed else "weight"
        raise RuntimeError(
            f"Given {given} of size {shape}, expected bias to be 1-dimensional with {produced} "
            f"elements, but got bias of size {list(bias.shape)} instead"
        )


def _check_window(input: tuple, weight, padding, dilation) -> None:
    dims = weight.ndim - 2
    pads = _pads(padding, weight.shape[2:], spread(dilation, dims))
    padded = [size + low + high for size, (low, high) in zip(input[2:], pads, strict=True)]
    kernel = [
        d * (k - 1) + 1 for k, d in zip(weight.shape[2:], spread(dilation, dims), strict=True)
    ]
    if any(k > size for k, size in zip(kernel, padded, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). "
            f"Kernel size: ({' x '.join(map(str, kernel))}). "
            "Kernel size can't be greater than actual input size"
        )


def _check_output_padding(dims, stride, dilation, output_padding) -> None:
    rows = [spread(sizes, dims) for sizes in (output_padding, stride, dilation)]
    if all(extra < max(s, d) for extra, s, d in zip(*rows, strict=True)):
        return
    if dims == 1:  # torch computes it in two dimensions
        rows = [(filler, *row) for filler, row in zip((0, 1, 1), rows, strict=True)]
    axes = ("depth", "height", "width")[-len(rows[0]) :]
    shown = " ".join(
        f"{name}_{axis}: {size}"
        for name, row in zip(("output_padding", "stride", "dilation"), rows, strict=True)
        for axis, size in zip(axes, row, strict=True)
    )
    raise RuntimeError(
        f"output padding must be smaller than either stride or dilation, but got {shown}"
    )


def _check_dtypes(input, weight, bias) -> None:
    if bias is not None and bias.dtype is not input.dtype:
        names = (C_NAMES[a.dtype] for a in (input, bias))
        raise RuntimeError("Input type ({}) and bias type ({}) should be the same".format(*names))
    if weight.dtype is not input.dtype:
        if input.dtype.name in ("float32", "bfloat16"):  # the library that computes these checks
            raise RuntimeError(
                f"Input type (torch.{SCALAR_NAMES[input.dtype]}Tensor) and weight type "
                f"(torch.{SCALAR_NAMES[weight.dtype]}Tensor) should be the same or input should "
                "be a MKLDNN tensor and weight is a dense tensor"
            )
        raise expected_type(input, weight)


def _check(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    if weight.ndim < 3:
        raise RuntimeError("weight should have at least three dimensions")
    shape = _batched(input.shape, weight.ndim)
    _check_sizes(weight, stride, padding, dilation, output_padding, groups)
    _check_weight(shape, weight, bias, groups, transposed, padding)
    if transposed:
        _check_output_padding(weight.ndim - 2, stride, dilation, output_padding)
    else:
        _check_window(shape, weight, padding, dilation)
    _check_dtypes(input, weight, bias)


def _batched(shape: tuple, ndim: int) -> tuple:
    return (1, *shape) if len(shape) == ndim - 1 else shape


def _pads(padding: _Sizes | str, kernel: tuple, dilation: tuple) -> tuple:
    """Return the padding before and after each dimension."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if isinstance(padding, str):  # "same"
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((size, size) for size in spread(padding, len(kernel)))


@op(
    public="function", check=_check, formats=(0, 1),
    grad_name=lambda input, weight: (
        "ConvolutionBackward0" if input.ndim == weight.ndim else "SqueezeBackward1"
    ),
)  # fmt: skip
def convolution(
    input: Raw, weight: Raw, bias: Raw | None, stride: _Sizes, padding: _Sizes | str,
    dilation: _Sizes, transposed: bool, output_padding: _Sizes, groups: int,
) -> jax.Array:  # fmt: skip
    """Slide a kernel over ``input``.

    Args:
        input: ``(N, C, *size)``, or without N.
        weight: ``(O, C / groups, *kernel)``; transposed ``(C, O / groups, *kernel)``.
        bias: ``(O,)``.
        stride, padding, dilation, output_padding: One size, or one per dimension; padding may be
            "same" or "valid".
    Returns:
        ``(N, O, *out)``.
    """
    batched = input.ndim == weight.ndim
    x = input if batched else input[None]
    kernel = weight.shape[2:]
    count = len(kernel)
    stride, dilation = spread(stride, count), spread(dilation, count)
    window = Window(stride, _pads(padding, kernel, dilation), dilation, groups)
    if transposed:
        y = _transposed(x, weight, window, spread(output_padding, count))
    else:
        y = convolve(x, weight, window)
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * count)
    return y if batched else y[0]


def _transposed(x, weight, window: Window, output_padding: tuple):
    """Return the convolution's gradient at its input, ``output_padding`` longer than it must be."""
    # A whole step more would be one more result of the convolution: there is less padding then,
    # and zeros where there was none.
    more = [extra // s * s for extra, s in zip(output_padding, window.stride, strict=True)]
    padding = tuple(
        (low, max(high - m, 0)) for (low, high), m in zip(window.padding, more, strict=True)
    )
    size = [
        (n - 1) * s - low - high + d * (k - 1) + extra - m + 1
        for n, k, s, (low, high), d, extra, m in zip(
            x.shape[2:], weight.shape[2:], window.stride, padding, window.dilation,
            output_padding, more, strict=True,
        )
    ]  # fmt: skip
    shape = (x.shape[0], weight.shape[1] * window.groups, *size)
    y = input_gradient(x, weight, window._replace(padding=padding), shape)
    beyond = [max(m - high, 0) for (_, high), m in zip(window.padding, more, strict=True)]
    return jnp.pad(y, ((0, 0), (0, 0), *((0, b) for b in beyond))) if any(beyond) else y


def _check_tbc(input, weight, bias, pad):
    if input.ndim != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.ndim != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.ndim != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")


@op(public="", check=_check_tbc)
def conv_tbc(input: Raw, weight: Raw, bias: Raw, pad: int = 0) -> jax.Array:
    """Convolve ``(time, batch, channels)`` with ``(width, channels, out)``."""
    window = Window((1,), ((pad, pad),), (1,), 1)
    y = convolve(input.transpose(1, 2, 0), weight.transpose(2, 1, 0), window)
    return y.transpose(2, 0, 1) + bias
