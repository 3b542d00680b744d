"""Window functions of signal processing."""

import math

from facade import aten, dtypes
from facade.binding import public
from facade.functions.creation import arange, creation, ones
from facade.tensor import Tensor


def _window_dtype(name: str, length: int, dtype) -> dtypes.dtype:
    """Return the dtype of a window.

    Raises:
        RuntimeError: it is not floating, or the window is shorter than nothing.
    """
    found = dtype or dtypes.get_default_dtype()
    if not (found.is_floating_point or found.is_complex):
        raise RuntimeError(
            f"{name} expects floating point dtypes, got: TensorOptions("
            f"dtype={dtypes.C_NAMES[found]}, device=cpu, layout=Strided (default), "
            "requires_grad=false (default), pinned_memory=false, memory_format=(nullopt))"
        )
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    return found


def _angles(length: int, periodic: bool, dtype, device) -> Tensor | None:
    """Return the angle of each sample, from 0 to a whole turn; None for a single sample."""
    if length < 2:
        return None
    places = arange(length, dtype=dtype, device=device)
    return places * (2 * math.pi / (length if periodic else length - 1))


def _cosines(name: str, length: int, periodic: bool, weights, dtype, device) -> Tensor:
    """Return the sum of cosines of the angle's multiples, weighted."""
    dtype = _window_dtype(name, length, dtype)
    angles = _angles(length, periodic, dtype, device)
    if angles is None:
        return ones(length, dtype=dtype, device=device)
    window = weights[0] - weights[1] * angles.cos()
    return window if len(weights) == 2 else window + weights[2] * (angles * 2).cos()


@public(method=False)
@creation
def hann_window(window_length: int, periodic: bool = True, *, dtype, device) -> Tensor:
    """Return a raised cosine that falls to 0; ``periodic`` leaves out its last sample."""
    return _cosines("hann_window", window_length, periodic, (0.5, 0.5), dtype, device)


@public(method=False)
@creation
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46,
    *, dtype, device,
) -> Tensor:  # fmt: skip
    """Return a raised cosine ``alpha - beta * cos``."""
    return _cosines("hamming_window", window_length, periodic, (alpha, beta), dtype, device)


@public(method=False)
@creation
def blackman_window(window_length: int, periodic: bool = True, *, dtype, device) -> Tensor:
    """Return a sum of two cosines that falls to 0 steeply."""
    return _cosines("blackman_window", window_length, periodic, (0.42, 0.5, 0.08), dtype, device)


@public(method=False)
@creation
def bartlett_window(window_length: int, periodic: bool = True, *, dtype, device) -> Tensor:
    """Return a triangle."""
    dtype = _window_dtype("bartlett_window", window_length, dtype)
    angles = _angles(window_length, periodic, dtype, device)
    if angles is None:
        return ones(window_length, dtype=dtype, device=device)
    return 1 - (angles / math.pi - 1).abs()


@public(method=False)
@creation
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype, device
) -> Tensor:
    """Return Kaiser's window: the greater ``beta``, the narrower."""
    dtype = _window_dtype("kaiser_window", window_length, dtype)
    if window_length < 2:
        return ones(window_length, dtype=dtype, device=device)
    last = window_length if periodic else window_length - 1
    places = arange(window_length, dtype=dtype, device=device) * (2 / last) - 1
    # rounding may bring the ends below 0
    inside = (1 - places * places).clamp(min=0).sqrt() * beta
    return aten.i0(inside) / aten.i0(inside.new_tensor(beta))
