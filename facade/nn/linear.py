"""Layers that multiply by a matrix, and the one that does nothing."""

import math
from typing import Any

from facade.functions.creation import empty
from facade.nn import functional as F
from facade.nn import init
from facade.nn.module import Module
from facade.nn.parameter import Parameter
from facade.tensor import Tensor


class Identity(Module):
    """Return the input; takes any arguments, so that it can stand in for another layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """Multiply the last dimension by a matrix and add a bias: ``input @ weight.T + bias``.

    Args:
        in_features: Size of the input's last dimension.
        out_features: Size of the output's last dimension.
        bias: Whether there is a bias.

    Shape:
        input ``(*, in_features)``, output ``(*, out_features)``,
        weight ``(out_features, in_features)``, bias ``(out_features,)``.
    """

    in_features: int
    out_features: int
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty((out_features, in_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias from ``U(-1/sqrt(in_features), 1/sqrt(in_features))``."""
        init_uniform_by_fan(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


def init_uniform_by_fan(weight: Tensor, bias: Tensor | None) -> None:
    """Draw both from ``U(-1/sqrt(fan_in), 1/sqrt(fan_in))``, as linear layers and convolutions do.

    The weight's bound is computed by way of the gain of a leaky ReLU, whose rounding counts.
    """
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
        init.uniform_(bias, -bound, bound)


class NonDynamicallyQuantizableLinear(Linear):
    """A `Linear` under the name that attention layers print."""
