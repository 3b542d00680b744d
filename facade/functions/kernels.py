"""What ``torch.ops.aten`` calls: public functions, and kernels that have no other name."""

from collections.abc import Callable

from facade import aten
from facade.binding import FUNCTIONS
from facade.functions.draws import with_zero_grad
from facade.functions.views import span
from facade.ops import overloads
from facade.tensor import Tensor


def _slice(self: Tensor, dim: int = 0, start=None, end=None, step: int = 1) -> Tensor:
    """View the positions ``start:end:step`` along ``dim``."""
    return aten.slice(self, *span(self, dim, start, end, step))


def _max_pool2d_with_indices_backward(
    grad_output: Tensor, self: Tensor, kernel_size, stride, padding, dilation, ceil_mode: bool,
    indices: Tensor,
) -> Tensor:  # fmt: skip
    """Return the gradient of the maps, ``grad_output`` added up where the maxima were."""
    flat = self.new_zeros(self.shape).flatten(-2)
    summed = flat.scatter_add(-1, indices.flatten(-2), grad_output.flatten(-2)).view(self.shape)
    return with_zero_grad("MaxPool2DWithIndicesBackwardBackward0", (self,), summed)


_KERNELS = {
    "max_pool2d_with_indices_backward": _max_pool2d_with_indices_backward,
    "slice": _slice,
}


def _find(name: str) -> Callable | None:
    return _KERNELS.get(name) or FUNCTIONS.get(name) or getattr(Tensor, name, None)


overloads.find = _find
