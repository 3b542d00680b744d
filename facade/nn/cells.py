"""Recurrent cells: one step at a time."""

import math
from collections.abc import Callable
from typing import Any

from facade import aten
from facade.functions.creation import empty, zeros
from facade.nn import init
from facade.nn.functional import recurrent
from facade.nn.module import Module
from facade.nn.parameter import Parameter
from facade.tensor import Tensor


def each(hx: Any, fn: Callable) -> Any:
    """Apply ``fn`` to a state, or to both of them."""
    if hx is None:
        return None
    return (fn(hx[0]), fn(hx[1])) if isinstance(hx, tuple | list) else fn(hx)


class RNNCellBase(Module):
    """What the cells share: sizes and parameters."""

    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        shapes = {
            "weight_ih": (gates, input_size),
            "weight_hh": (gates, hidden_size),
            "bias_ih": (gates,) if bias else None,
            "bias_hh": (gates,) if bias else None,
        }
        for name, shape in shapes.items():
            if shape is None:
                self.register_parameter(name, None)
            else:
                setattr(self, name, Parameter(empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter from ``U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        if self.__dict__.get("nonlinearity", "tanh") != "tanh":
            parts.append(f"nonlinearity={self.__dict__['nonlinearity']}")
        return ", ".join(parts)

    def _batched(self, input: Tensor, hx: Any) -> tuple[Tensor, Any]:
        """Return the input as a batch, and the state, zeros if there was none."""
        name = self._get_name()
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        pair = isinstance(hx, tuple | list)
        for i, state in enumerate(() if hx is None else hx if pair else (hx,)):
            if state.dim() not in (1, 2):
                which = f"hx[{i}]" if pair else "hidden"
                raise ValueError(
                    f"{name}: Expected {which} to be 1D or 2D, got {state.dim()}D instead"
                )
        if input.dim() == 1:
            input, hx = input.unsqueeze(0), each(hx, lambda state: state.unsqueeze(0))
        if hx is None:
            size = (input.size(0), self.hidden_size)
            hx = zeros(size, dtype=input.dtype, device=input.device)
        return input, hx

    @property
    def _weights(self) -> tuple:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh


_CELL = """

    Args:
        input_size: Features of the input.
        hidden_size: Features of the state.
        bias: Whether there are biases.

    Shape:
        input ``(B, input_size)`` or without B, state ``(B, hidden_size)``, zeros if missing.
    """


class RNNCell(RNNCellBase):
    __doc__ = 'One step of `RNN`; ``nonlinearity`` is ``"tanh"`` or ``"relu"``.' + _CELL
    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, state = self._batched(input, hx)
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        after = aten.rnn_cell(x, state, *self._weights, self.nonlinearity == "relu")
        return after if x is input else after.squeeze(0)


class GRUCell(RNNCellBase):
    __doc__ = "One step of `GRU`." + _CELL

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, state = self._batched(input, hx)
        after = aten.gru_cell(x, state, *self._weights)
        return after if x is input else after.squeeze(0)


class LSTMCell(RNNCellBase):
    __doc__ = "One step of `LSTM`; the state is a pair ``(h, c)``." + _CELL

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device=None, dtype=None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        x, state = self._batched(input, hx)
        pair = state if isinstance(state, tuple | list) else (state, state)
        h, c = recurrent.lstm_cell(x, pair, *self._weights)
        return (h, c) if x is input else (h.squeeze(0), c.squeeze(0))
