"""Convolutions, unfolding and linear maps."""

from typing import Any

from facade import aten
from facade.binding import public, write_out
from facade.errors import bad_argument
from facade.tensor import Tensor


def _convolve(name: str, dims: int, input, weight, bias, stride, padding, dilation, groups, *,
              transposed: bool = False, output_padding=0) -> Tensor:  # fmt: skip
    if not isinstance(input, Tensor):
        raise bad_argument(name, "input", 1, "Tensor", input)
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, "
            f"but got input of size: {list(input.shape)}"
        )
    if transposed and isinstance(padding, str):
        raise bad_argument(name, "padding", 5, "tuple of ints", padding)
    return aten.convolution(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )


@public(method=False)
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """Convolve ``(N, C, L)`` with ``weight (O, C / groups, K)``."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@public(method=False)
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """Convolve ``(N, C, H, W)`` with ``weight (O, C / groups, K, K)``."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@public(method=False)
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
    """Convolve ``(N, C, D, H, W)`` with ``weight (O, C / groups, K, K, K)``."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _declare_transposed(dims: int):
    name = f"conv_transpose{dims}d"

    def function(
        input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
    ) -> Tensor:
        return _convolve(
            name, dims, input, weight, bias, stride, padding, dilation, groups,
            transposed=True, output_padding=output_padding,
        )  # fmt: skip

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The gradient of ``conv{dims}d``: ``weight`` is ``(C, O / groups, *K)``."
    return public(function, method=False)


conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_declare_transposed, (1, 2, 3))


@public(method=False)
def conv_tbc(input, weight, bias, pad: int = 0) -> Tensor:
    """Convolve ``(time, batch, channels)`` with ``weight (K, channels, O)``."""
    return aten.conv_tbc(input, weight, bias, pad)


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Return ``input @ weight.T + bias``."""
    found = aten.linear(input, weight, bias)
    return found if out is None else write_out("linear", out, found)


@public(method=False)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``input1 @ weight[k] @ input2 + bias[k]`` for each k."""
    return aten.bilinear(input1, input2, weight, bias)


def _pair(size) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


def unfold(
    input: Tensor, kernel_size, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Return each sliding window of ``(N, C, H, W)`` as a column of ``(N, C * window, L)``."""
    return aten.im2col(input, *map(_pair, (kernel_size, dilation, padding, stride)))


def fold(
    input: Tensor, output_size, kernel_size, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Add the columns of ``(N, C * window, L)`` up where their windows lie."""
    return aten.col2im(input, *map(_pair, (output_size, kernel_size, dilation, padding, stride)))
