"""Recurrent layers: one scan over time, with every other product outside of it.

A layer's derivative is linear in what moves the gates, so it is a second scan of the form
``moved = base + slopes * (moved_before @ w.T) + keep * moved_before``. Everything that does not
need the step before (input projection, slopes, the weights' gradients) is one product over all
steps. The rule is a ``custom_jvp``: its transpose is the backward scan, and it can be
differentiated again in either mode.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from facade.dtypes import SCALAR_NAMES, float32
from facade.ops.linalg import product
from facade.ops.registry import Raw, op

# ---- tangents ----


def _known(tangent):
    """Return a tangent as an array."""
    if isinstance(tangent, SymbolicZero):
        aval: Any = tangent.aval
        return jnp.zeros(aval.shape, aval.dtype)
    return tangent


def _by_weights(x, tangent):
    """Return how ``x @ w.T`` moves with ``w``."""
    return 0 if isinstance(tangent, SymbolicZero) else product(x, tangent.T)


def _before(first, states, reverse: bool):
    """Return the state that each step started from."""
    if reverse:
        return jnp.concatenate([states[1:], first[None]])
    return jnp.concatenate([first[None], states[:-1]])


def _kept(mask, new, old):
    """Return the new state where the sequence goes on, the old one where it has ended."""
    return new if mask is None else jnp.where(mask, new, old)


# ---- RNN ----


@functools.partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _rnn(z, w, h0, mask, relu: bool, reverse: bool):
    """Return the states ``(T, B, H)`` and the last one.

    Args:
        z: What the input adds to the gates, ``(T, B, H)``.
        mask: ``(T, B, 1)``, False where a sequence has ended; or None.
    """
    activation = jax.nn.relu if relu else jnp.tanh

    def step(h, x):
        z, mask = x
        h = _kept(mask, activation(z + product(h, w.T)), h)
        return h, h

    last, states = lax.scan(step, h0, (z, mask), reverse=reverse)
    return states, last


@functools.partial(_rnn.defjvp, symbolic_zeros=True)
def _rnn_jvp(relu: bool, reverse: bool, primals, tangents):
    z, w, h0, mask = primals
    dz, dw, dh0, _ = tangents
    states, last = _rnn(z, w, h0, mask, relu, reverse)
    slope = (states > 0).astype(z.dtype) if relu else 1 - states * states
    base = slope * (_known(dz) + _by_weights(_before(h0, states, reverse), dw))

    def step(dh, x):
        base, slope, mask = x
        dh = _kept(mask, base + slope * product(dh, w.T), dh)
        return dh, dh

    dlast, dstates = lax.scan(step, _known(dh0), (base, slope, mask), reverse=reverse)
    return (states, last), (dstates, dlast)


# ---- GRU ----


def _gru_gates(z, by_state):
    """Return the gates r and u, the candidate n, and the state's part of n."""
    zr, zu, zn = jnp.split(z, 3, -1)
    mr, mu, mn = jnp.split(by_state, 3, -1)
    r, u = jax.nn.sigmoid(zr + mr), jax.nn.sigmoid(zu + mu)
    return r, u, jnp.tanh(zn + r * mn), mn


def _gru_scan(z, w, b, h0, mask, reverse: bool):
    """Return the last state, the states, and each step's gates with what the new one was."""

    def step(h, x):
        z, mask = x
        r, u, n, mn = _gru_gates(z, product(h, w.T) + b)
        h = _kept(mask, n + u * (h - n), h)
        return h, (h, r, u, n, mn)

    return lax.scan(step, h0, (z, mask), reverse=reverse)


@functools.partial(jax.custom_jvp, nondiff_argnums=(5,))
def _gru(z, w, b, h0, mask, reverse: bool):
    """Return the states ``(T, B, H)`` and the last one.

    Args:
        z: What the input adds to the gates, ``(T, B, 3 * H)``.
        b: ``(3 * H,)``, what is added to the state's part of them.
    """
    last, (states, *_) = _gru_scan(z, w, b, h0, mask, reverse)
    return states, last


@functools.partial(_gru.defjvp, symbolic_zeros=True)
def _gru_jvp(reverse: bool, primals, tangents):
    z, w, b, h0, mask = primals
    dz, dw, db, dh0, _ = tangents
    last, (states, r, u, n, mn) = _gru_scan(z, w, b, h0, mask, reverse)
    before = _before(h0, states, reverse)
    # how the state moves with the arguments of each gate
    by_n = (1 - u) * (1 - n * n)
    by_r = by_n * mn * r * (1 - r)
    by_u = (before - n) * u * (1 - u)
    slopes = jnp.concatenate([by_r, by_u, by_n * r], -1)
    by_input = jnp.concatenate([by_r, by_u, by_n], -1)
    base = _sum_gates(by_input * _known(dz) + slopes * (_by_weights(before, dw) + _known(db)), 3)

    def step(dh, x):
        base, slopes, u, mask = x
        moved = base + _sum_gates(slopes * product(dh, w.T), 3) + u * dh
        dh = _kept(mask, moved, dh)
        return dh, dh

    dlast, dstates = lax.scan(step, _known(dh0), (base, slopes, u, mask), reverse=reverse)
    return (states, last), (dstates, dlast)


def _sum_gates(x, count: int):
    return sum(jnp.split(x, count, -1))


# ---- LSTM ----


def _lstm_gates(x):
    i, f, g, o = jnp.split(x, 4, -1)
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _projected(x, w_hr):
    return x if w_hr is None else product(x, w_hr.T)


def _lstm_scan(z, w, w_hr, h0, c0, mask, reverse: bool):
    """Return the last state and cell, and each step's state, cell and gates."""

    def step(carry, x):
        h, c = carry
        z, mask = x
        i, f, g, o = _lstm_gates(z + product(h, w.T))
        c = _kept(mask, f * c + i * g, c)
        h = _kept(mask, _projected(o * jnp.tanh(c), w_hr), h)
        return (h, c), (h, c, i, f, g, o)

    return lax.scan(step, (h0, c0), (z, mask), reverse=reverse)


@functools.partial(jax.custom_jvp, nondiff_argnums=(6,))
def _lstm(z, w, w_hr, h0, c0, mask, reverse: bool):
    """Return the states ``(T, B, H)``, the last state and the last cell.

    Args:
        z: What the input adds to the gates, ``(T, B, 4 * H)``.
        w_hr: The matrix that makes a state of ``o * tanh(c)``; None for none.
    """
    (h, c), (states, *_) = _lstm_scan(z, w, w_hr, h0, c0, mask, reverse)
    return states, h, c


@functools.partial(_lstm.defjvp, symbolic_zeros=True)
def _lstm_jvp(reverse: bool, primals, tangents):
    z, w, w_hr, h0, c0, mask = primals
    dz, dw, dw_hr, dh0, dc0, _ = tangents
    (h, c), (states, cells, i, f, g, o) = _lstm_scan(z, w, w_hr, h0, c0, mask, reverse)
    squashed = jnp.tanh(cells)
    # how the cell moves with the arguments of its gates; how the state does with o's and the cell
    by_i, by_f = g * i * (1 - i), _before(c0, cells, reverse) * f * (1 - f)
    by_g, by_o = i * (1 - g * g), squashed * o * (1 - o)
    by_c = o * (1 - squashed * squashed)
    dz = _known(dz) + _by_weights(_before(h0, states, reverse), dw)
    by_hr = None if w_hr is None else _by_weights(o * squashed, dw_hr) + jnp.zeros_like(states)

    def step(carry, x):
        dh, dc = carry
        dz, by_i, by_f, by_g, by_o, by_c, f, by_hr, mask = x
        di, df, dg, do = jnp.split(dz + product(dh, w.T), 4, -1)
        dc = _kept(mask, f * dc + by_i * di + by_f * df + by_g * dg, dc)
        moved = _projected(by_o * do + by_c * dc, w_hr)
        dh = _kept(mask, moved if by_hr is None else moved + by_hr, dh)
        return (dh, dc), dh

    steps = (dz, by_i, by_f, by_g, by_o, by_c, f, by_hr, mask)
    (dh, dc), dstates = lax.scan(step, (_known(dh0), _known(dc0)), steps, reverse=reverse)
    return (states, h, c), (dstates, dh, dc)


# ---- layers ----


def _projection(input, w_ih, bias, rows):
    """Return what the input adds to the gates, ``(T, B, gates)``, and the mask of steps."""
    z = product(input, w_ih.T)
    if bias is not None:
        z = z + bias
    if rows is None:
        return z, None
    # rows past the end, where a sequence is over, read as zeros
    return jnp.take(z, rows, axis=0, mode="fill", fill_value=0), (rows < len(input))[..., None]


def _packed(states, places):
    """Return the states of the steps that exist, ``(N, H)``."""
    return states if places is None else states.reshape(-1, states.shape[-1])[places]


def _start(state, z, size: int):
    return jnp.zeros((z.shape[1], size), z.dtype) if state is None else state


def _check_length(input, rows, **_: object) -> None:
    if rows is None and input.shape[0] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")


def _name(rows) -> str:
    return "StackBackward0" if rows is None else "CatBackward0"


def _lstm_name(input, w_hr, rows) -> str:
    """Return the name of PyTorch's fused kernel, or of the last of the ops in its place."""
    fused = rows is None and w_hr is None and input.dtype is float32
    return "MkldnnRnnLayerBackward0" if fused else _name(rows)


@op(public="", check=_check_length, grad_name=_name)
def rnn_layer(
    input: Raw, hidden: Raw | None, w_ih: Raw, w_hh: Raw, b_ih: Raw | None, b_hh: Raw | None,
    rows: Raw | None, places: Raw | None, relu: bool, reverse: bool,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """Return the states of one layer in one direction, and the last of them.

    Args:
        input: ``(T, B, inputs)``, or packed: ``(N, inputs)``.
        hidden: ``(B, H)``, zeros if None.
        rows: If packed, the row of each step and sequence, ``(T, B)``, N where it has ended.
        places: If packed, the step and sequence of each row, ``(N,)``, as ``step * B + sequence``.
    Returns:
        ``(T, B, H)`` or ``(N, H)``, and ``(B, H)``.
    """
    bias = None if b_ih is None or b_hh is None else b_ih + b_hh
    z, mask = _projection(input, w_ih, bias, rows)
    states, last = _rnn(z, w_hh, _start(hidden, z, w_hh.shape[1]), mask, relu, reverse)
    return _packed(states, places), last


@op(public="", check=_check_length, grad_name=_name)
def gru_layer(
    input: Raw, hidden: Raw | None, w_ih: Raw, w_hh: Raw, b_ih: Raw | None, b_hh: Raw | None,
    rows: Raw | None, places: Raw | None, reverse: bool,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """Return the states of one layer in one direction, and the last; as :func:`rnn_layer`."""
    z, mask = _projection(input, w_ih, b_ih, rows)
    b_hh = jnp.zeros(len(w_hh), z.dtype) if b_hh is None else b_hh
    states, last = _gru(z, w_hh, b_hh, _start(hidden, z, w_hh.shape[1]), mask, reverse)
    return _packed(states, places), last


@op(public="", check=_check_length, grad_name=_lstm_name)
def lstm_layer(
    input: Raw, hidden: Raw | None, cell: Raw | None, w_ih: Raw, w_hh: Raw, b_ih: Raw | None,
    b_hh: Raw | None, w_hr: Raw | None, rows: Raw | None, places: Raw | None, reverse: bool,
) -> tuple[jax.Array, ...]:  # fmt: skip
    """Return the states of one layer in one direction, and the last state and cell.

    Arguments as :func:`rnn_layer`; ``w_hr (P, H)``, if there is one, makes states of size P.
    """
    bias = None if b_ih is None or b_hh is None else b_ih + b_hh
    z, mask = _projection(input, w_ih, bias, rows)
    h0, c0 = _start(hidden, z, w_hh.shape[1]), _start(cell, z, len(w_hh) // 4)
    states, h, c = _lstm(z, w_hh, w_hr, h0, c0, mask, reverse)
    return _packed(states, places), h, c


# ---- cells: one step ----


def _check_cell(input, w_ih, w_hh, **states) -> None:
    if input.shape[1] != w_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.shape[1]} expected {w_ih.shape[1]}"
        )
    given = [states[name] for name in ("hidden", "cell") if states.get(name) is not None]
    for i, state in enumerate(given):
        if input.shape[0] != state.shape[0]:
            raise RuntimeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{i} batch size "
                f"{state.shape[0]}"
            )
        if state.shape[1] != w_hh.shape[1]:
            raise RuntimeError(
                f"hidden{i} has inconsistent hidden_size: got {state.shape[1]}, "
                f"expected {w_hh.shape[1]}"
            )
    for x, w in ((input, w_ih), *((state, w_hh) for state in given[:1])):
        if x.dtype is not w.dtype:
            raise RuntimeError(
                "mat1 and mat2 must have the same dtype, but got "
                f"{SCALAR_NAMES[x.dtype]} and {SCALAR_NAMES[w.dtype]}"
            )


def _activation_name(relu) -> str:
    return "ReluBackward0" if relu else "TanhBackward0"


def _affine(x, w, bias):
    return product(x, w.T) if bias is None else product(x, w.T) + bias


@op(public="", check=_check_cell, grad_name=_activation_name)
def rnn_cell(
    input: Raw, hidden: Raw, w_ih: Raw, w_hh: Raw, b_ih: Raw | None, b_hh: Raw | None, relu: bool
) -> jax.Array:
    """Return the state ``(B, H)`` that follows ``hidden`` on ``input (B, inputs)``."""
    moved = _affine(input, w_ih, b_ih) + _affine(hidden, w_hh, b_hh)
    return jax.nn.relu(moved) if relu else jnp.tanh(moved)


@op(public="", check=_check_cell, grad_name="AddBackward0")
def gru_cell(
    input: Raw, hidden: Raw, w_ih: Raw, w_hh: Raw, b_ih: Raw | None, b_hh: Raw | None
) -> jax.Array:
    """Return the state ``(B, H)`` that follows ``hidden`` on ``input (B, inputs)``."""
    _, u, n, _ = _gru_gates(_affine(input, w_ih, b_ih), _affine(hidden, w_hh, b_hh))
    return n + u * (hidden - n)


@op(public="", check=_check_cell, grad_name="AddBackward0")
def lstm_cell(
    input: Raw, hidden: Raw, cell: Raw, w_ih: Raw, w_hh: Raw, b_ih: Raw | None, b_hh: Raw | None
) -> tuple[jax.Array, ...]:
    """Return the cell that follows on ``input (B, inputs)``, and the gate of its output.

    The state is ``gate * tanh(cell)``.
    """
    i, f, g, o = _lstm_gates(_affine(input, w_ih, b_ih) + _affine(hidden, w_hh, b_hh))
    return f * cell + i * g, o
