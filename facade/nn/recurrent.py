"""Recurrent layers over whole sequences."""

import math
import numbers
import warnings
from typing import Any

from facade.functions.creation import empty
from facade.nn import init
from facade.nn.cells import GRUCell as GRUCell  # PyTorch's nn.modules.rnn has them too
from facade.nn.cells import LSTMCell as LSTMCell
from facade.nn.cells import RNNCell as RNNCell
from facade.nn.cells import RNNCellBase as RNNCellBase
from facade.nn.cells import each
from facade.nn.functional.recurrent import run_layers
from facade.nn.module import Module
from facade.nn.parameter import Parameter
from facade.nn.utils.rnn import PackedSequence, layout
from facade.tape import state
from facade.tensor import Tensor

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What recurrent layers share: sizes, parameters, errors, and the way through the layers."""

    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        _check_dropout(dropout, num_layers)
        self._check_settings()
        self._all_weights = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[: self._directions]:
                self._register(layer, suffix, device, dtype)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _check_settings(self) -> None:
        for name in ("bias", "batch_first"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
        for name in ("input_size", "hidden_size"):
            size = getattr(self, name)
            if not isinstance(size, int):
                raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + self.mode)

    def _register(self, layer: int, suffix: str, device, dtype) -> None:
        """Make the parameters of one layer in one direction."""
        gates, state = _GATES[self.mode] * self.hidden_size, self._state_size
        inputs = self.input_size if layer == 0 else state * self._directions
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (gates, inputs),
            "weight_hh": (gates, state),
        }
        if self.bias:
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        if self.proj_size > 0:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            weight = Parameter(empty(shape, device=device, dtype=dtype))
            setattr(self, f"{name}_l{layer}{suffix}", weight)
        self._all_weights.append([f"{name}_l{layer}{suffix}" for name in shapes])

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def flatten_parameters(self) -> None:
        """Do nothing: XLA lays parameters out by itself."""

    def reset_parameters(self) -> None:
        """Draw every parameter from ``U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # ---- errors ----

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Check dtype and sizes of a batched or packed input."""
        dtype = getattr(self, self._all_weights[0][0]).dtype
        if input.dtype != dtype and not state.autocast:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Return the shape that the initial state must have."""
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0 if self.batch_first else 1)
        return self.num_layers * self._directions, batch, self._state_size

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Check the shape of an initial state."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check a batched or packed input and its initial state."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Return the state with its sequences in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def _check_dims(self, input: Tensor, hx: Any) -> None:
        """Check that input and state agree on whether there is a batch dimension."""
        if input.dim() not in (2, 3):
            name, tail = self._get_name(), " tensor" if self.mode.startswith("RNN") else ""
            raise ValueError(
                f"{name}: Expected input to be 2D or 3D, got {input.dim()}D{tail} instead"
            )
        if hx is not None:
            self._check_state_dims(hx, "batched 3-D" if input.dim() == 3 else "unbatched 2-D")

    def _check_state_dims(self, hx: Any, kind: str) -> None:
        if f"{hx.dim()}-D" != kind[-3:]:
            raise RuntimeError(
                f"For {kind} input, hx should also be {kind[-3:]} but got {hx.dim()}-D tensor"
            )

    # ---- forward ----

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Run over sequences.

        Args:
            input: ``(T, B, inputs)``, ``(B, T, inputs)`` if ``batch_first``, ``(T, inputs)``, or a
                ``PackedSequence``.
            hx: The initial state, ``(num_layers * directions, B, H)``, zeros if None.
        Returns:
            The last layer's states at all steps, and the last state of every layer.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        self._check_dims(input, hx)
        batched, batch_dim = input.dim() == 3, 0 if self.batch_first else 1
        if not batched:
            input = input.unsqueeze(batch_dim)
            hx = each(hx, lambda state: state.unsqueeze(1))
        if hx is None:
            self.check_input(input, None)
        else:
            self.check_forward_args(input, hx, None)
        input = input.transpose(0, 1) if self.batch_first else input
        output, hx = self._run(input, hx)
        output = output.transpose(0, 1) if self.batch_first else output
        if batched:
            return output, hx
        return output.squeeze(batch_dim), each(hx, lambda state: state.squeeze(1))

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, batch_sizes, order, back = input
        if hx is None:
            self.check_input(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, order)
            self.check_forward_args(data, hx, batch_sizes)
        output, hx = self._run(data, hx, *layout(input))
        return PackedSequence(output, batch_sizes, order, back), self.permute_hidden(hx, back)

    def _run(
        self, input: Tensor, hx: Any, rows: Tensor | None = None, places: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """Go through the layers; arguments as those of ``aten.rnn_layer``."""
        states = hx if hx is None or self.mode == "LSTM" else (hx,)
        output, *ends = run_layers(
            self.mode.lower(), input, states, self.all_weights, self.bias,
            self.dropout if self.training else 0.0, self.bidirectional, rows, places,
        )  # fmt: skip
        return output, tuple(ends) if self.mode == "LSTM" else ends[0]

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0,
            "bidirectional": False,
        }  # fmt: skip
        shown = [f"{n}={getattr(self, n)}" for n, d in defaults.items() if getattr(self, n) != d]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *shown])


def _check_dropout(dropout: Any, num_layers: int) -> None:
    number = isinstance(dropout, numbers.Number) and not isinstance(dropout, bool)
    if not number or not 0 <= float(dropout) <= 1:  # type: ignore[arg-type]
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            "element being zeroed"
        )
    if float(dropout) > 0 and num_layers == 1:  # type: ignore[arg-type]
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )


_ARGUMENTS = """

    Args:
        input_size: Features of the input.
        hidden_size: Features of the state.
        num_layers: Layers, each on the states of the one before.
        bias: Whether there are biases.
        batch_first: Whether input and output are ``(B, T, *)`` instead of ``(T, B, *)``.
        dropout: With what probability elements between layers are dropped in training.
        bidirectional: Whether each layer also runs from the end to the start.
    """


class RNN(RNNBase):
    __doc__ = (
        "``h = tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh)`` over sequences."
        + _ARGUMENTS
        + '    nonlinearity: ``"tanh"`` or ``"relu"``; the fourth argument.\n    '
    )
    nonlinearity: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        if len(args) > 3:
            self.nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if self.nonlinearity not in modes:
            raise ValueError(
                f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(modes[self.nonlinearity], *args, **kwargs)


class GRU(RNNBase):
    __doc__ = "A gated recurrent unit over sequences." + _ARGUMENTS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)


def _refuse_projection(kwargs: dict) -> None:
    if "proj_size" in kwargs:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class LSTM(RNNBase):
    __doc__ = (
        "Long short-term memory over sequences; its state is a pair ``(h, c)``."
        + _ARGUMENTS
        + "    proj_size: If above 0, ``h`` is a projection of that size.\n    "
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """Return the shape that the initial cell must have."""
        count, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return count, batch, self.hidden_size

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Check a batched or packed input and its initial state and cell."""
        self.check_input(input, batch_sizes)
        sizes = self.get_expected_hidden_size, self.get_expected_cell_size
        for i, size in enumerate(sizes):
            text = f"Expected hidden[{i}] size {{}}, got {{}}"
            self.check_hidden_size(hidden[i], size(input, batch_sizes), text)

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """Return state and cell with their sequences in another order."""
        return each(hx, lambda state: super(LSTM, self).permute_hidden(state, permutation))

    def _check_state_dims(self, hx: Any, kind: str) -> None:
        dims = [f"{state.dim()}-D" for state in hx[:2]]
        if dims != [kind[-3:]] * 2:
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {kind[-3:]} but got "
                f"({', '.join(dims)}) tensors"
            )
