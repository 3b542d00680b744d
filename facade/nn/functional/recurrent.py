"""Recurrent layers and cells as functions of their weights, under PyTorch's own names."""

from collections.abc import Sequence
from typing import Any

from facade import aten, functions
from facade.binding import public
from facade.errors import no_overload
from facade.nn.utils.rnn import PackedSequence, layout
from facade.tensor import Tensor

_KINDS_OF_STATE = {"lstm": 2, "gru": 1, "rnn_tanh": 1, "rnn_relu": 1}


# ---- layers ----


def run_layers(
    mode: str,
    input: Tensor,
    states: Sequence[Tensor] | None,
    weights: Sequence[Sequence[Tensor]],
    has_biases: bool,
    dropout: float,
    bidirectional: bool,
    rows: Tensor | None = None,
    places: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Go through the layers.

    Args:
        mode: ``"lstm"``, ``"gru"``, ``"rnn_tanh"`` or ``"rnn_relu"``.
        input, rows, places: As those of ``aten.rnn_layer``.
        states: Each kind of initial state, ``(layers * directions, B, H)``; zeros if None.
        weights: Those of each layer and direction.
        dropout: With what probability elements between layers are dropped.
    Returns:
        The last layer's states at all steps, and each kind of last state of every layer.
    """
    directions = 2 if bidirectional else 1
    if states is None:
        starts = [(None,) * _KINDS_OF_STATE[mode]] * len(weights)
    else:
        starts = list(zip(*(kind.unbind(0) for kind in states), strict=True))
    ends = []
    for first in range(0, len(weights), directions):
        if first and dropout:
            input = functions.dropout(input, dropout, True)
        outputs = []
        for number in range(first, first + directions):
            reverse = number > first
            output, *end = _run_layer(
                mode, input, starts[number], weights[number], has_biases, rows, places, reverse
            )
            outputs.append(output)
            ends.append(end)
        input = functions.cat(outputs, -1) if bidirectional else outputs[0]
    return input, *(functions.stack(kind) for kind in zip(*ends, strict=True))


def _run_layer(mode: str, input, start, weights, has_biases, rows, places, reverse: bool) -> tuple:
    """Run one layer in one direction; return its states and the last of each kind."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh, *rest = rest if has_biases else [None, None, *rest]
    if mode == "lstm":
        w_hr = rest[0] if rest else None
        return aten.lstm_layer(input, *start, w_ih, w_hh, b_ih, b_hh, w_hr, rows, places, reverse)
    weights = (w_ih, w_hh, b_ih, b_hh)
    if mode == "gru":
        return aten.gru_layer(input, *start, *weights, rows, places, reverse)
    return aten.rnn_layer(input, *start, *weights, rows, places, mode == "rnn_relu", reverse)


_STATE = {"lstm": "tuple of Tensors hx"}
_SETTINGS = (
    "tuple of Tensors params, bool has_biases, int num_layers, float dropout, bool train, "
    "bool bidirectional"
)


def _bound(mode: str, args: tuple, kwargs: dict) -> dict[str, Any]:
    """Return the arguments by name, of packed or of padded sequences."""
    state = _STATE.get(mode, "Tensor hx")
    packed = f"Tensor data, Tensor batch_sizes, {state}, {_SETTINGS}"
    padded = f"Tensor input, {state}, {_SETTINGS}, bool batch_first"
    # where padded sequences have their state or its weights, packed ones have a tensor
    place = 1 if mode == "lstm" else 2
    is_packed = "data" in kwargs or (len(args) > place and isinstance(args[place], Tensor))
    names = [part.split()[-1] for part in (packed if is_packed else padded).split(", ")]
    given = dict(zip(names, args, strict=False)) | kwargs
    if len(args) + len(kwargs) != len(names) or set(given) != set(names):
        raise no_overload(mode, args, kwargs, (packed, padded))
    return given


def _run(mode: str, args: tuple, kwargs: dict) -> tuple[Tensor, ...]:
    """Run the layers as PyTorch's own functions do.

    Raises:
        RuntimeError: there are too few states or weights.
    """
    given = _bound(mode, args, kwargs)
    states = given["hx"] if mode == "lstm" else (given["hx"],)
    has_biases, bidirectional = given["has_biases"], given["bidirectional"]
    weights = _by_layer(mode, given["params"], has_biases, states)
    if mode == "lstm" and len(states) != 2:
        raise RuntimeError("lstm expects two hidden states")
    count = given["num_layers"] * (2 if bidirectional else 1)
    if len(weights) < count or any(len(kind) < count for kind in states):
        raise RuntimeError("Expected more hidden states in stacked_rnn")
    states, weights = [kind[:count] for kind in states], weights[:count]
    dropout = given["dropout"] if given["train"] else 0
    settings = (states, weights, has_biases, dropout, bidirectional)
    if "data" in given:
        data, sizes = given["data"], given["batch_sizes"]
        return run_layers(mode, data, *settings, *layout(PackedSequence(data, sizes)))
    if not given["batch_first"]:
        return run_layers(mode, given["input"], *settings)
    output, *last = run_layers(mode, given["input"].transpose(0, 1), *settings)
    return output.transpose(0, 1), *last


def _by_layer(mode: str, params: Sequence[Tensor], has_biases: bool, states) -> list[list[Tensor]]:
    """Return the weights of each layer and direction."""
    projected = mode == "lstm" and states[0].shape[-1] != states[-1].shape[-1]
    each = (4 if has_biases else 2) + projected
    if len(params) % each:
        raise RuntimeError("got an incorrect number of RNN parameters")
    return [list(params[i : i + each]) for i in range(0, len(params), each)]


@public(method=False)
def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Run LSTM layers; their state is a pair ``hx``, and both of its ends are returned.

    Args:
        args, kwargs: ``input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
            batch_first``; or packed, ``data, batch_sizes`` for ``input`` and no ``batch_first``.
    """
    return _run("lstm", args, kwargs)


@public(method=False)
def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Run GRU layers; arguments as :func:`lstm`, ``hx`` a tensor."""
    return _run("gru", args, kwargs)


@public(method=False)
def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Run layers ``h = tanh(...)``; arguments as :func:`gru`."""
    return _run("rnn_tanh", args, kwargs)


@public(method=False)
def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Run layers ``h = relu(...)``; arguments as :func:`gru`."""
    return _run("rnn_relu", args, kwargs)


# ---- cells: one step ----


@public(method=False)
def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the state and the cell that follow ``hx`` on ``input (B, inputs)``."""
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    cell, gate = aten.lstm_cell(input, *hx, w_ih, w_hh, b_ih, b_hh)
    return gate * cell.tanh(), cell


@public(method=False)
def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the state that follows ``hx`` on ``input (B, inputs)``."""
    return aten.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)


@public(method=False)
def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the state that follows ``hx`` on ``input (B, inputs)``."""
    return aten.rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, False)


@public(method=False)
def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the state that follows ``hx`` on ``input (B, inputs)``."""
    return aten.rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, True)
