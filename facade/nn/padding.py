"""Layers that surround the last dimensions of their input."""

from typing import ClassVar

from facade.nn import functional as F
from facade.nn.module import Module
from facade.nn.sizes import SizeArg, per_dimension
from facade.tensor import Tensor

_ARGUMENTS = """

    Args:
        padding: One size for all sides, or one for each: left and right of the last dimension,
            then of the one before.
    """


class _Pad(Module):
    """Surround the last ``_dims`` dimensions in the way that ``_mode`` says."""

    _dims: ClassVar[int]
    _mode: ClassVar[str]
    padding: tuple[int, ...]

    def __init__(self, padding: SizeArg) -> None:
        super().__init__()
        self.padding = per_dimension(2 * self._dims)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_Pad):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        expected = self._dims + 1, self._dims + 2
        if input.dim() not in expected:
            raise ValueError(
                f"expected {expected[0]}D or {expected[1]}D input (got {input.dim()}D input)"
            )
        return super().forward(input)


class _ReflectionPadNd(_Pad):
    _mode = "reflect"


class _ReplicationPadNd(_Pad):
    _mode = "replicate"


class _ConstantPadNd(Module):
    _dims: ClassVar[int]
    value: float
    padding: tuple[int, ...]

    def __init__(self, padding: SizeArg, value: float) -> None:
        super().__init__()
        self.value = value
        self.padding = per_dimension(2 * self._dims)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class CircularPad1d(_CircularPadNd):
    __doc__ = "Surround by the other end of the last dimension." + _ARGUMENTS
    _dims = 1


class CircularPad2d(_CircularPadNd):
    __doc__ = "Surround by the other end of the last dimension." + _ARGUMENTS
    _dims = 2


class CircularPad3d(_CircularPadNd):
    __doc__ = "Surround by the other end of the last dimension." + _ARGUMENTS
    _dims = 3


class ReflectionPad1d(_ReflectionPadNd):
    __doc__ = "Surround by the last dimension mirrored at its edge." + _ARGUMENTS
    _dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    __doc__ = "Surround by the last dimension mirrored at its edge." + _ARGUMENTS
    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    __doc__ = "Surround by the last dimension mirrored at its edge." + _ARGUMENTS
    _dims = 3


class ReplicationPad1d(_ReplicationPadNd):
    __doc__ = "Surround by the edge of the last dimension." + _ARGUMENTS
    _dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    __doc__ = "Surround by the edge of the last dimension." + _ARGUMENTS
    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    __doc__ = "Surround by the edge of the last dimension." + _ARGUMENTS
    _dims = 3


class ConstantPad1d(_ConstantPadNd):
    __doc__ = "Surround the last dimension by ``value``." + _ARGUMENTS
    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    __doc__ = "Surround the last dimension by ``value``." + _ARGUMENTS
    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    __doc__ = "Surround the last dimension by ``value``." + _ARGUMENTS
    _dims = 3


class ZeroPad1d(ConstantPad1d):
    __doc__ = "Surround the last dimension by zeros." + _ARGUMENTS

    def __init__(self, padding: SizeArg) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    __doc__ = "Surround the last two dimensions by zeros." + _ARGUMENTS

    def __init__(self, padding: SizeArg) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    __doc__ = "Surround the last three dimensions by zeros." + _ARGUMENTS

    def __init__(self, padding: SizeArg) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
