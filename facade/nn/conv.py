"""Convolution layers in one, two and three dimensions."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from facade.functions.creation import empty
from facade.nn import functional as F
from facade.nn.linear import init_uniform_by_fan
from facade.nn.module import Module
from facade.nn.parameter import Parameter
from facade.nn.sizes import SizeArg, pair, single, triple
from facade.tensor import Tensor

_PADDINGS = {"same", "valid"}
_PADDING_MODES = {"zeros", "reflect", "replicate", "circular"}


class _ConvNd(Module):
    """What all convolutions share: sizes as tuples, weight, bias and their initial values."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    padding_mode: str
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: str | tuple[int, ...],
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        _check_groups(in_channels, out_channels, groups)
        _check_padding(padding, stride, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = _pad_argument(padding, kernel_size, dilation)
        if transposed:
            channels = (in_channels, out_channels // groups)
        else:
            channels = (out_channels, in_channels // groups)
        self.weight = Parameter(empty((*channels, *kernel_size), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias from ``U(-1/sqrt(n), 1/sqrt(n))``, n inputs to each output."""
        init_uniform_by_fan(self.weight, self.bias)

    def extra_repr(self) -> str:
        dims = len(self.kernel_size)
        shown = {
            "padding": self.padding != (0,) * dims,
            "dilation": self.dilation != (1,) * dims,
            "output_padding": self.output_padding != (0,) * dims,
            "groups": self.groups != 1,
        }
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
            *(f"{name}={getattr(self, name)}" for name, show in shown.items() if show),
        ]
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


def _check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups != 0:
        raise ValueError("out_channels must be divisible by groups")


def _check_padding(padding: str | tuple, stride: tuple, mode: str) -> None:
    if isinstance(padding, str):
        if padding not in _PADDINGS:
            raise ValueError(f"Invalid padding string {padding!r}, should be one of {_PADDINGS}")
        if padding == "same" and any(s != 1 for s in stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
    if mode not in _PADDING_MODES:
        raise ValueError(
            f"padding_mode must be one of {_PADDING_MODES}, but got padding_mode='{mode}'"
        )


def _pad_argument(padding: str | tuple, kernel_size: tuple, dilation: tuple) -> tuple[int, ...]:
    """Return what ``F.pad`` takes: left and right of the last dimension first."""
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        sides = [(total // 2, total - total // 2) for total in totals]
    elif padding == "valid":
        sides = [(0, 0)] * len(kernel_size)
    else:
        sides = [(size, size) for size in padding]
    return tuple(size for side in reversed(sides) for size in side)


class _Conv(_ConvNd):
    """A convolution over its last dimensions, as many as ``_sizes`` gives."""

    _sizes: ClassVar[Callable[..., tuple]]
    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: SizeArg,
        stride: SizeArg = 1,
        padding: str | SizeArg = 0,
        dilation: SizeArg = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        sizes = self._sizes
        super().__init__(
            in_channels,
            out_channels,
            sizes(kernel_size),
            sizes(stride),
            padding if isinstance(padding, str) else sizes(padding),
            sizes(dilation),
            False,
            sizes(0),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = self._sizes(0)
        return self._function(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


_ARGUMENTS = """

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size, stride, padding, dilation: One number, or one per dimension; padding may
            also be ``"same"`` or ``"valid"``.
        groups: Blocks of channels that see nothing of each other.
        bias: Whether there is a bias.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.

    Shape:
        input ``(N, in_channels, *sizes)`` or without N, output with ``out_channels``,
        weight ``(out_channels, in_channels / groups, *kernel_size)``, bias ``(out_channels,)``.
    """


class Conv1d(_Conv):
    __doc__ = "Convolve over one dimension." + _ARGUMENTS
    _sizes = staticmethod(single)
    _function = staticmethod(F.conv1d)


class Conv2d(_Conv):
    __doc__ = "Convolve over two dimensions." + _ARGUMENTS
    _sizes = staticmethod(pair)
    _function = staticmethod(F.conv2d)


class Conv3d(_Conv):
    __doc__ = "Convolve over three dimensions." + _ARGUMENTS
    _sizes = staticmethod(triple)
    _function = staticmethod(F.conv3d)


class _ConvTransposeNd(_ConvNd):
    """The gradient of a convolution with respect to its input, as a layer."""

    _sizes: ClassVar[Callable[..., tuple]]
    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: SizeArg,
        stride: SizeArg = 1,
        padding: SizeArg = 0,
        output_padding: SizeArg = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: SizeArg = 1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        if padding_mode != "zeros":
            name = self.__class__.__name__
            raise ValueError(f'Only "zeros" padding mode is supported for {name}')
        sizes = self._sizes
        super().__init__(
            in_channels,
            out_channels,
            sizes(kernel_size),
            sizes(stride),
            sizes(padding),
            sizes(dilation),
            True,
            sizes(output_padding),
            groups,
            bias,
            padding_mode,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Convolve.

        Args:
            output_size: The result's size, which a stride leaves open; chooses the output padding.
        """
        padding = self.output_padding
        if output_size is not None:
            padding = self._output_padding(input, output_size)
        return self._function(
            input, self.weight, self.bias, self.stride, self.padding, padding, self.groups,
            self.dilation,
        )  # fmt: skip

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> list[int]:
        """Return what is missing to ``output_size``."""
        dims = len(self.kernel_size)
        others = 2 if input.dim() == dims + 2 else 1
        if len(output_size) == others + dims:
            output_size = output_size[others:]
        if len(output_size) != dims:
            raise ValueError(
                f"ConvTranspose{dims}D: for {input.dim()}D input, output_size must have {dims} or "
                f"{others + dims} elements (got {len(output_size)})"
            )
        settings = zip(
            input.shape[others:], self.stride, self.padding, self.dilation, self.kernel_size,
            strict=True,
        )  # fmt: skip
        smallest = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in settings]  # type: ignore
        largest = [size + s - 1 for size, s in zip(smallest, self.stride, strict=True)]
        missing = [size - least for size, least in zip(output_size, smallest, strict=True)]
        if any(not 0 <= m < s for m, s in zip(missing, self.stride, strict=True)):
            raise ValueError(
                f"requested an output size of {output_size}, but valid sizes range from "
                f"{smallest} to {largest} (for an input of {input.size()[2:]})"
            )
        return missing


_TRANSPOSED_ARGUMENTS = """

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size, stride, padding, output_padding, dilation: One number, or one per dimension;
            output_padding makes the result larger on one side.
        groups: Blocks of channels that see nothing of each other.
        bias: Whether there is a bias.

    Shape:
        input ``(N, in_channels, *sizes)`` or without N, output with ``out_channels``,
        weight ``(in_channels, out_channels / groups, *kernel_size)``, bias ``(out_channels,)``.
    """


class ConvTranspose1d(_ConvTransposeNd):
    __doc__ = "Convolve over one dimension, transposed." + _TRANSPOSED_ARGUMENTS
    _sizes = staticmethod(single)
    _function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    __doc__ = "Convolve over two dimensions, transposed." + _TRANSPOSED_ARGUMENTS
    _sizes = staticmethod(pair)
    _function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    __doc__ = "Convolve over three dimensions, transposed." + _TRANSPOSED_ARGUMENTS
    _sizes = staticmethod(triple)
    _function = staticmethod(F.conv_transpose3d)
