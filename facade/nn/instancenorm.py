"""Instance normalization layers: each sample and channel by itself."""

import warnings
from typing import ClassVar

from facade.nn import functional as F
from facade.nn.batchnorm import _NormBase
from facade.tensor import Tensor


class _InstanceNorm(_NormBase):
    """Normalize each channel of each sample over its last dimensions.

    Args:
        num_features: Number of channels C.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether there are weight and bias.
        track_running_stats: Whether statistics are kept, and used in evaluation.

    Shape:
        input ``(N, C, *)`` or ``(C, *)``, output the same.
    """

    _spatial: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        low, high = self._spatial + 1, self._spatial + 2
        if input.dim() not in (low, high):
            raise ValueError(f"expected {low}D or {high}D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        batched = input.dim() == self._spatial + 2
        dim = 1 if batched else 0
        if input.size(dim) != self.num_features:
            self._complain(dim, input.size(dim))
        if batched:
            return self._normalize(input)
        return self._normalize(input.unsqueeze(0)).squeeze(0)

    def _complain(self, dim: int, size: int) -> None:
        """Raise or warn: the channels are not those that the layer was made for."""
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={dim} to match num_features "
                f"({self.num_features}), but got: {size}."
            )
        warnings.warn(
            f"input's size at dim={dim} does not match num_features. "
            "You can silence this warning by not passing in num_features, "
            "which is not used because affine=False",
            stacklevel=3,
        )

    def _normalize(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _spatial = 1


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _spatial = 2


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _spatial = 3
