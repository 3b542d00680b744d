"""Layers that pool over windows, or down to a given size."""

from collections.abc import Callable
from typing import Any, ClassVar

from facade.nn import functional as F
from facade.nn.module import Module
from facade.nn.sizes import SizeArg, single
from facade.tensor import Tensor


class _MaxPoolNd(Module):
    """Take the largest element of each window.

    Args:
        kernel_size, stride, padding, dilation: One number, or one per dimension; the stride is the
            kernel's size if missing.
        return_indices: Whether to return the positions of the largest elements too.
        ceil_mode: Whether windows that reach over the end count.
    """

    _function: ClassVar[Callable[..., Any]]
    kernel_size: SizeArg
    stride: SizeArg
    padding: SizeArg
    dilation: SizeArg
    return_indices: bool
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: SizeArg,
        stride: SizeArg | None = None,
        padding: SizeArg = 0,
        dilation: SizeArg = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    __doc__ = _MaxPoolNd.__doc__
    _function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPoolNd):
    __doc__ = _MaxPoolNd.__doc__
    _function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPoolNd):
    __doc__ = _MaxPoolNd.__doc__
    _function = staticmethod(F.max_pool3d)


class _AvgPoolNd(Module):
    kernel_size: SizeArg
    stride: SizeArg
    padding: SizeArg
    ceil_mode: bool
    count_include_pad: bool

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """Average each window; arguments as `AvgPool2d`."""

    def __init__(
        self,
        kernel_size: SizeArg,
        stride: SizeArg | None = None,
        padding: SizeArg = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = single(kernel_size)
        self.stride = single(kernel_size if stride is None else stride)
        self.padding = single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _AvgPoolWithDivisor(_AvgPoolNd):
    """Average each window.

    Args:
        kernel_size, stride, padding: One number, or one per dimension; the stride is the kernel's
            size if missing.
        ceil_mode: Whether windows that reach over the end count.
        count_include_pad: Whether padding counts in the average.
        divisor_override: Divide by this instead of the number of elements.
    """

    _function: ClassVar[Callable[..., Any]]
    divisor_override: int | None

    def __init__(
        self,
        kernel_size: SizeArg,
        stride: SizeArg | None = None,
        padding: SizeArg = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool2d(_AvgPoolWithDivisor):
    __doc__ = _AvgPoolWithDivisor.__doc__
    _function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPoolWithDivisor):
    __doc__ = _AvgPoolWithDivisor.__doc__
    _function = staticmethod(F.avg_pool3d)


class _AdaptiveAvgPoolNd(Module):
    """Average over as many windows as give ``output_size``; None keeps a dimension's size."""

    _function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: SizeArg | tuple[int | None, ...] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    __doc__ = _AdaptiveAvgPoolNd.__doc__
    _function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    __doc__ = _AdaptiveAvgPoolNd.__doc__
    _function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    __doc__ = _AdaptiveAvgPoolNd.__doc__
    _function = staticmethod(F.adaptive_avg_pool3d)
