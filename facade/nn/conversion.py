"""Move a module's tensors to another device or dtype."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Self, overload

from facade.autograd.grad_mode import no_grad
from facade.devices import device
from facade.dtypes import dtype
from facade.functions.conversion import parse_to
from facade.functions.creation import empty_like
from facade.layouts import memory_format
from facade.tensor import Tensor

_COMPLEX_WARNING = (
    "Complex modules are a new feature under active development whose design may change, and some "
    "modules might not work as expected when using complex tensors as parameters or buffers. "
    "Please file an issue at "
    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml "
    "if a complex module does not work as expected."
)


class Convertible:
    """The part of ``Module`` that converts."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Tensor | None]
    children: Callable[[], Iterator[Any]]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the values of parameters, gradients and buffers by what ``fn`` makes of them.

        Parameters stay the same objects, so that an optimizer which holds them goes on working.
        """
        for module in self.children() if recurse else ():
            module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            with no_grad():
                param.data = fn(param)
                if param.grad is not None:
                    param.grad.data = fn(param.grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    @overload
    def to(
        self,
        device: device | str | int | None = ...,
        dtype: dtype | None = ...,
        non_blocking: bool = ...,
    ) -> Self: ...
    @overload
    def to(self, dtype: dtype, non_blocking: bool = ...) -> Self: ...
    @overload
    def to(self, tensor: Tensor, non_blocking: bool = ...) -> Self: ...
    @overload
    def to(self, *, memory_format: memory_format) -> Self: ...
    def to(self, *args, **kwargs):
        """Move parameters and buffers to a device, and floating ones to a dtype.

        A memory format goes for those of 4 and 5 dimensions.

        Raises:
            TypeError: the dtype is neither floating point nor complex.
        """
        device, dtype, _, layout = parse_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                    f"dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(_COMPLEX_WARNING, stacklevel=2)

        def convert(t: Tensor) -> Tensor:
            to_dtype = dtype if t.is_floating_point() or t.is_complex() else None
            own_layout = layout if t.ndim in (4, 5) else None
            try:
                return t.to(device=device, dtype=to_dtype, memory_format=own_layout)
            except NotImplementedError as error:
                if str(error) != "Cannot copy out of meta tensor; no data!":
                    raise
                raise NotImplementedError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of "
                    "torch.nn.Module.to() when moving module from meta to a different device."
                ) from None

        return self._apply(convert)

    def to_empty(self, *, device: device | str | int | None, recurse: bool = True) -> Self:
        """Move to a device without the values, which are then whatever they are."""
        return self._apply(lambda t: empty_like(t, device=device), recurse=recurse)

    def share_memory(self) -> Self:
        """Mark parameters and buffers as shared; see :meth:`facade.Tensor.share_memory_`."""
        return self._apply(lambda t: t.share_memory_())

    def cuda(self, device: int | device | None = None) -> Self:
        """Move parameters and buffers to a GPU."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type: dtype | str) -> Self:
        """Convert all parameters and buffers to ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Convert floating parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Convert floating parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Convert floating parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Self:
        """Convert floating parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)
