"""Layers that pool over windows, or down to a given size."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from facade.nn import functional as F
from facade.nn.module import Module
from facade.nn.sizes import SizeArg, pair, single, triple
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


class _AdaptiveMaxPoolNd(Module):
    """Take the largest of as many windows as give ``output_size``; None keeps a dimension's size.

    Args:
        return_indices: Whether to return the positions of the largest elements too.
    """

    _function: ClassVar[Callable[..., Any]]
    return_indices: bool

    def __init__(
        self, output_size: SizeArg | tuple[int | None, ...] | None, return_indices: bool = False
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return self._function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    __doc__ = _AdaptiveMaxPoolNd.__doc__
    _function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    __doc__ = _AdaptiveMaxPoolNd.__doc__
    _function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    __doc__ = _AdaptiveMaxPoolNd.__doc__
    _function = staticmethod(F.adaptive_max_pool3d)


class _LPPoolNd(Module):
    """Take the norm of each window.

    Args:
        norm_type: Which norm.
        kernel_size, stride: One number, or one per dimension; the stride is the kernel's size if
            missing.
        ceil_mode: Whether windows that reach over the end count.
    """

    _function: ClassVar[Callable[..., Any]]
    norm_type: float
    ceil_mode: bool

    def __init__(
        self,
        norm_type: float,
        kernel_size: SizeArg,
        stride: SizeArg | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        norm = float(self.norm_type)
        return self._function(input, norm, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    __doc__ = _LPPoolNd.__doc__
    _function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPoolNd):
    __doc__ = _LPPoolNd.__doc__
    _function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPoolNd):
    __doc__ = _LPPoolNd.__doc__
    _function = staticmethod(F.lp_pool3d)


class _MaxUnpoolNd(Module):
    """Put elements back to where max pooling found them, zeros elsewhere.

    Args:
        kernel_size, stride, padding: Those of the pooling.
    """

    _sizes: ClassVar[Callable[..., tuple]]
    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self, kernel_size: SizeArg, stride: SizeArg | None = None, padding: SizeArg = 0
    ) -> None:
        super().__init__()
        self.kernel_size = self._sizes(kernel_size)
        self.stride = self._sizes(kernel_size if stride is None else stride)
        self.padding = self._sizes(padding)

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        return self._function(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    __doc__ = _MaxUnpoolNd.__doc__
    _sizes = staticmethod(single)
    _function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpoolNd):
    __doc__ = _MaxUnpoolNd.__doc__
    _sizes = staticmethod(pair)
    _function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpoolNd):
    __doc__ = _MaxUnpoolNd.__doc__
    _sizes = staticmethod(triple)
    _function = staticmethod(F.max_unpool3d)


class _FractionalMaxPoolNd(Module):
    """Take the largest element of windows that are laid at random.

    Args:
        kernel_size: One number, or one per dimension.
        output_size: The result's size, or
        output_ratio: its part of the input's, between 0 and 1.
        return_indices: Whether to return the positions of the largest elements too.
    """

    _sizes: ClassVar[Callable[..., tuple]]
    _function: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        kernel_size: SizeArg,
        output_size: SizeArg | None = None,
        output_ratio: float | tuple[float, ...] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name, sizes = self._get_name(), self._sizes
        self.kernel_size = sizes(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else sizes(output_size)
        self.output_ratio = None if output_ratio is None else sizes(output_ratio)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        return self._function(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    __doc__ = _FractionalMaxPoolNd.__doc__
    _sizes = staticmethod(pair)
    _function = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    __doc__ = _FractionalMaxPoolNd.__doc__
    _sizes = staticmethod(triple)
    _function = staticmethod(F.fractional_max_pool3d)
