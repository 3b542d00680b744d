"""Activation functions."""

import warnings

import numpy as np

from facade import aten, functions, mersenne
from facade.binding import public, with_out
from facade.devices import CPU
from facade.functions.draws import draw_with, is_traced
from facade.tensor import Tensor

_SELU = (1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def _finish(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.write(result) if inplace else result


# ---- rectifiers ----


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``max(input, 0)``."""
    return input.relu_() if inplace else input.relu()


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``min(max(input, 0), 6)``."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Return ``input`` moved into ``[min_val, max_val]``.

    Raises:
        ValueError: the range is empty.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if not input.is_signed() and min_val < 0 and input.dtype.name != "bool":
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return _finish(input, aten.hardtanh(input, min_val, max_val), inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return ``input`` above 0 and ``negative_slope * input`` below."""
    if inplace:
        return input.write(aten.leaky_relu_(input, negative_slope))
    return aten.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return ``input`` above 0 and ``alpha * (exp(input) - 1)`` below."""
    if inplace:
        return input.write(aten.elu_(input, alpha, 1.0, 1.0))
    return aten.elu(input, alpha, 1.0, 1.0)


@public(method=False)
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return the ``elu`` that keeps mean 0 and variance 1."""
    if inplace:
        return input.write(aten.elu_(input, *_SELU, 1.0))
    return aten.elu(input, *_SELU, 1.0)


@public(method=False)
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return ``input`` above 0 and ``alpha * (exp(input / alpha) - 1)`` below."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return input.write(aten.celu_(input, alpha)) if inplace else aten.celu(input, alpha)


@public(method=False)
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return ``input`` above the threshold and ``value`` from there down."""
    if inplace:
        return input.write(aten.threshold_(input, threshold, value))
    return aten.threshold(input, threshold, value)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return ``input`` above 0 and ``weight * input`` below."""
    return aten.prelu(input, weight)


@public(method=False)
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False,
    inplace: bool = False,
) -> Tensor:  # fmt: skip
    """Return ``input`` above 0 and a random multiple of it below, a fixed one in evaluation.

    Raises:
        RuntimeError: ``lower`` is greater than ``upper``.
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if training:
        noise = _slopes(input, lower, upper)
    else:
        noise = functions.full_like(input, (lower + upper) / 2)
    return _finish(input, aten.rrelu(input, noise), inplace)


def _slopes(input: Tensor, lower: float, upper: float) -> Tensor:
    """Return a random slope for each element that is not above 0, and 1 for the others."""
    if input.device is not CPU or is_traced(CPU):  # one for every element needs no look at them
        return functions.empty_like(input).uniform_(lower, upper)
    wide = np.float64 if input.dtype.itemsize == 8 else np.float32
    low, high = float(wide(lower)), float(wide(upper))

    def on_host(engine, x):
        below, slopes = x <= 0, np.ones(x.shape, x.dtype)
        drawn = mersenne.uniform(engine, (int(below.sum()),), np.float64)
        slopes[below] = drawn * (high - low) + low
        return slopes

    return draw_with(CPU, None, on_host, "draw", (input,))


# ---- smooth ones ----


@with_out
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return ``input`` times the normal distribution's function at ``input``."""
    return aten.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input * sigmoid(input)``."""
    return _finish(input, aten.silu(input), inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input * tanh(softplus(input))``."""
    return _finish(input, aten.mish(input), inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return 0 below -3, 1 above 3, and a line between."""
    return _finish(input, aten.hardsigmoid(input), inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return ``input * hardsigmoid(input)``."""
    return _finish(input, aten.hardswish(input), inplace)


@with_out
def logsigmoid(input: Tensor) -> Tensor:
    """Return ``log(sigmoid(input))``."""
    return aten.log_sigmoid(input)


@with_out
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """Return ``log(1 + exp(beta * input)) / beta``, ``input`` itself above the threshold."""
    return aten.softplus(input, beta, threshold)


def softsign(input: Tensor) -> Tensor:
    """Return ``input / (1 + abs(input))``."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """Return ``input - tanh(input)``."""
    return input - input.tanh()


@with_out
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return 0 within ``lambd`` of 0 and ``input`` elsewhere."""
    return aten.hardshrink(input, lambd)


@with_out
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Move ``input`` towards 0 by ``lambd``, and no further."""
    return aten.softshrink(input, lambd)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return the first half along ``dim`` times the sigmoid of the second."""
    return aten.glu(input, dim)


def sigmoid(input: Tensor) -> Tensor:
    """Return ``1 / (1 + exp(-input))``."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent."""
    return input.tanh()


# ---- along a dimension ----


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """Return exponentials along ``dim``, scaled so that they sum to 1."""
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel)
    return aten.softmax(input, dim, dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """Return the softmax of ``-input``."""
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel)
    return aten.softmax(-input, dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """Return the logarithm of the softmax along ``dim``."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel)
    return aten.log_softmax(input, dim, dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Draw from the categories, softly, or one of them with the soft draw's gradient (``hard``)."""
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -functions.empty_like(logits).exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    chosen = functions.zeros_like(logits).scatter_(dim, index, 1.0)
    return chosen - soft.detach() + soft


# ---- in place, by name ----


def relu_(input: Tensor) -> Tensor:
    """In-place version of :func:`relu`."""
    return input.relu_()


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place version of :func:`leaky_relu`."""
    return leaky_relu(input, negative_slope, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`elu`."""
    return elu(input, alpha, True)


@public(method=False)
def selu_(input: Tensor) -> Tensor:
    """In-place version of :func:`selu`."""
    return selu(input, True)


@public(method=False)
def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`celu`."""
    return celu(input, alpha, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place version of :func:`hardtanh`."""
    return hardtanh(input, min_val, max_val, True)


@public(method=False)
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place version of :func:`threshold`."""
    return _threshold(input, threshold, value, True)


@public(method=False)
def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """In-place version of :func:`rrelu`."""
    return rrelu(input, lower, upper, training, True)


_threshold = threshold
