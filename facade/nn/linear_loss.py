"""The cross entropy of a linear map's results as a layer."""

import math

from facade.nn import functional as F
from facade.nn.functional.linear_loss import LinearCrossEntropyOptions
from facade.nn.linear import Linear
from facade.nn.loss import _WeightedLoss
from facade.tensor import Tensor


class LinearCrossEntropyLoss(_WeightedLoss):
    """A linear map followed by the cross entropy of its results.

    Args:
        in_features: Features of the input.
        num_classes: How many classes there are.
        out_features: Further dimensions of the scores: ``(N, num_classes, *out_features)``.
        bias: Whether the map has a bias.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: ``(num_classes,)``, a factor for each class.
        ignore_index: The class that counts for nothing; -100 if None.
        label_smoothing: How much of the target is spread over all classes.
        options: How to go through the batch in chunks.
    Raises:
        RuntimeError: ``weight`` has another shape, ``label_smoothing`` is not in [0, 1].
    """

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: tuple[int, ...] = (),
        bias: bool = False, device=None, dtype=None, reduction: str = "mean",
        weight: Tensor | None = None, ignore_index: int | None = None,
        label_smoothing: float = 0.0, options: LinearCrossEntropyOptions | None = None,
    ) -> None:  # fmt: skip
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        count = math.prod(out_features, start=num_classes)
        self.linear = Linear(in_features, count, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        scores = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape((*scores, self.linear.in_features)),
            target,
            linear_bias=None if bias is None else bias.reshape(scores),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
