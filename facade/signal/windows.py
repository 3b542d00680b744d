"""torch.signal.windows: factors that let a stretch of samples begin and end softly.

A window has ``M`` samples. One that is not symmetric (``sym=False``) leaves out the last sample of
a symmetric window of ``M + 1``: repeated, it is periodic.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from facade import aten, dtypes
from facade.functions.creation import arange, linspace, ones, tensor
from facade.layouts import strided
from facade.tensor import Tensor

_OPTIONS = {"sym": True, "dtype": None, "layout": strided, "device": None, "requires_grad": False}


class _Samples:
    """How many samples a window has, how many steps a whole one spans, and their options."""

    def __init__(self, count: int, sym: bool, options: dict) -> None:
        self.count = count
        self.sym = sym
        self.steps = count if not sym and count > 1 else count - 1
        self.options = options

    def places(self, start, step) -> Tensor:
        return linspace(start, start + (self.count - 1) * step, self.count, **self.options)

    def ones(self) -> Tensor:
        return ones(self.count, **self.options)


def _window(function: Callable | None = None, *, shown: str | None = None) -> Callable[..., Any]:
    """Give a function of samples the length and the options that all windows have.

    Args:
        shown: The name that errors have.
    """
    if function is None:
        return functools.partial(_window, shown=shown)
    name = shown or function.__name__

    @functools.wraps(function)
    def window(
        M, *, sym=True, dtype=None, layout=strided, device=None, requires_grad=False, **own
    ) -> Tensor:
        dtype = dtype or dtypes.get_default_dtype()
        _check(name, M, dtype, layout)
        options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
        return function(_Samples(M, sym, options), **own)

    own = list(inspect.signature(function).parameters.values())[1:]
    window.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("M", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *own,
            *(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
                for name, default in _OPTIONS.items()
            ),
        ],
        return_annotation=Tensor,
    )
    return window


def _check(name: str, count: int, dtype: dtypes.dtype, layout) -> None:
    if count < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={count}")
    if layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")


# ---- falling from the middle ----


@_window
def exponential(samples: _Samples, *, center: float | None = None, tau: float = 1.0) -> Tensor:
    """Return exp(-|n - center| / tau).

    Raises:
        ValueError: ``tau`` is not positive, or a symmetric window is given a ``center``.
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if samples.sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = samples.steps / 2 if center is None else center
    return (-samples.places(-middle / tau, 1 / tau).abs()).exp()


@_window
def gaussian(samples: _Samples, *, std: float = 1.0) -> Tensor:
    """Return the normal distribution's bell, 1 in the middle.

    Raises:
        ValueError: ``std`` is not positive.
    """
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    step = 1 / (std * math.sqrt(2))
    return (-(samples.places(-samples.steps / 2 * step, step) ** 2)).exp()


@_window
def bartlett(samples: _Samples) -> Tensor:
    """Return a triangle."""
    if samples.count < 2:
        return samples.ones()
    return 1 - samples.places(-1, 2 / samples.steps).abs()


@_window
def kaiser(samples: _Samples, *, beta: float = 12.0) -> Tensor:
    """Return Kaiser's window: the greater ``beta``, the narrower.

    Raises:
        ValueError: ``beta`` is negative.
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if samples.count < 2:
        return samples.ones()
    beta = float(samples.options["dtype"].numpy.type(beta))  # else rounding makes nan at the ends
    end = min(beta, -beta + (samples.count - 1) * (2 * beta / samples.steps))
    places = linspace(-beta, end, samples.count, **samples.options)
    return aten.i0((beta * beta - places**2).sqrt()) / aten.i0(places.new_tensor(beta))


# ---- of sines and cosines ----


@_window
def cosine(samples: _Samples) -> Tensor:
    """Return half a period of a sine, from half a step after its zero."""
    step = math.pi / (samples.steps + 1) if samples.count else 0
    return samples.places(step / 2, step).sin()


def _cosines(samples: _Samples, weights: Iterable) -> Tensor:
    """Return the alternating sum of cosines of an angle's multiples, weighted."""
    if samples.count < 2:
        return samples.ones()
    if not isinstance(weights, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    if not weights:
        raise ValueError("Coefficients cannot be empty")
    angles = samples.places(0, 2 * math.pi / samples.steps)
    signed = tensor([(-1) ** i * w for i, w in enumerate(weights)], **samples.options)
    multiples = arange(signed.shape[0], **samples.options)
    return (signed.unsqueeze(-1) * (multiples.unsqueeze(-1) * angles).cos()).sum(0)


@_window
def general_cosine(samples: _Samples, *, a: Iterable) -> Tensor:
    """Return a[0] - a[1] cos(t) + a[2] cos(2t) - ..., t going round once.

    Raises:
        TypeError: ``a`` is no row of numbers.
        ValueError: it is empty.
    """
    return _cosines(samples, a)


@_window(shown="general_cosine")
def general_hamming(samples: _Samples, *, alpha: float = 0.54) -> Tensor:
    """Return a raised cosine ``alpha - (1 - alpha) cos(t)``."""
    return _cosines(samples, (alpha, 1.0 - alpha))


@_window(shown="general_cosine")
def hamming(samples: _Samples) -> Tensor:
    """Return a raised cosine that ends at 0.08."""
    return _cosines(samples, (0.54, 1 - 0.54))


@_window(shown="general_cosine")
def hann(samples: _Samples) -> Tensor:
    """Return a raised cosine that falls to 0."""
    return _cosines(samples, (0.5, 0.5))


@_window
def blackman(samples: _Samples) -> Tensor:
    """Return a sum of two cosines that falls to 0 steeply."""
    return _cosines(samples, (0.42, 0.5, 0.08))


@_window(shown="general_cosine")
def nuttall(samples: _Samples) -> Tensor:
    """Return a sum of three cosines, Nuttall's choice for small side lobes."""
    return _cosines(samples, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip
