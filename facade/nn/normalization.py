"""Normalization within each sample: over its last dimensions, or over groups of channels."""

from collections.abc import Sequence

from facade.functions.creation import arange, empty
from facade.functions.linear_algebra import einsum
from facade.nn import functional as F
from facade.nn import init
from facade.nn.module import Module
from facade.nn.parameter import Parameter
from facade.tensor import Tensor


class Affine(Module):
    """A layer that ends by scaling and shifting, or leaves that out."""

    weight: Tensor | None
    bias: Tensor | None

    def _register_affine(
        self, shape: int | tuple[int, ...], weight: bool, bias: bool, device, dtype
    ) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            value = Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class LayerNorm(Affine):
    """Normalize over the last dimensions, then scale and shift each element.

    Args:
        normalized_shape: Sizes of the dimensions to normalize over.
        eps: Added to the variance.
        elementwise_affine: Whether there are weight and bias, in ``normalized_shape``.
        bias: Whether there is a bias.

    Shape:
        input ``(*, *normalized_shape)``, output the same.
    """

    normalized_shape: tuple[int, ...]
    eps: float
    elementwise_affine: bool

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape, both = self.normalized_shape, elementwise_affine and bias
        self._register_affine(shape, elementwise_affine, both, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Affine):
    """Normalize each sample over groups of channels, then scale and shift each channel.

    Args:
        num_groups: Groups; divides ``num_channels``.
        num_channels: ``C``.
        eps: Added to the variance.
        affine: Whether there are weight and bias, ``(C,)``.
        bias: Whether there is a bias.

    Shape:
        input ``(N, C, *)``, output the same.

    Raises:
        ValueError: the channels can't be divided evenly.
    """

    num_groups: int
    num_channels: int
    eps: float
    affine: bool

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._register_affine(num_channels, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide by the root of the mean square over the last dimensions, then scale.

    Args:
        normalized_shape: Sizes of the dimensions to normalize over.
        eps: Added to the mean square; the dtype's if None.
        elementwise_affine: Whether there is a weight, in ``normalized_shape``.

    Shape:
        input ``(*, *normalized_shape)``, output the same.
    """

    normalized_shape: tuple[int, ...]
    eps: float | None
    elementwise_affine: bool
    weight: Tensor | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        sizes = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(sizes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """Divide by ``(k + alpha * s) ** beta``, s the mean square of ``size`` channels around."""

    size: int
    alpha: float
    beta: float
    k: float

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """A :class:`LocalResponseNorm` of ``(N, C, H, W)``, in which channel 0 is around all others."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        channel = arange(input.size(1), device=input.device)
        reach = (self.size - 1) // 2
        around = (channel - channel.unsqueeze(1)).abs() <= reach
        around = (around | (channel == 0)).to(input.dtype)  # PyTorch never takes 0 out again
        total = einsum("cd,ndhw->nchw", around, input.square())
        return input * (total * (self.alpha / self.size) + self.k).pow(-self.beta)
