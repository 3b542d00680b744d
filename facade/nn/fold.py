"""Layers that take an image apart into patches, and put it together again."""

from facade.nn import functional as F
from facade.nn.module import Module
from facade.nn.sizes import SizeArg
from facade.tensor import Tensor


class Unfold(Module):
    """Turn ``(N, C, *sizes)`` into the patches under a sliding window, ``(N, C * window, L)``.

    Args:
        kernel_size, dilation, padding, stride: One number, or one per dimension.
    """

    kernel_size: SizeArg
    dilation: SizeArg
    padding: SizeArg
    stride: SizeArg

    def __init__(
        self,
        kernel_size: SizeArg,
        dilation: SizeArg = 1,
        padding: SizeArg = 0,
        stride: SizeArg = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Unfold):
    """Add the patches ``(N, C * window, L)`` up to ``(N, C, *output_size)``.

    Args:
        output_size: Sizes of the result.
        kernel_size, dilation, padding, stride: As `Unfold`.
    """

    output_size: SizeArg

    def __init__(
        self,
        output_size: SizeArg,
        kernel_size: SizeArg,
        dilation: SizeArg = 1,
        padding: SizeArg = 0,
        stride: SizeArg = 1,
    ) -> None:
        Module.__init__(self)
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
