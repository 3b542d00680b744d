"""Window functions of signal processing."""

import math

from facade import dtypes
from facade.binding import public
from facade.functions.creation import arange, creation, ones
from facade.tensor import Tensor


def _angles(length: int, periodic: bool, dtype, device) -> Tensor | None:
    """Return the angle of each sample, from 0 to a whole turn; None for a single sample."""
    if length < 2:
        return None
    dtype = dtype or dtypes.get_default_dtype()
    places = arange(length, dtype=dtype, device=device)
    return places * (2 * math.pi / (length if periodic else length - 1))


def _cosines(length: int, periodic: bool, weights, dtype, device) -> Tensor:
    """Return the sum of cosines of the angle's multiples, weighted."""
    angles = _angles(length, periodic, dtype, device)
    if angles is None:
        return ones(length, dtype=dtype, device=device)
    window = weights[0] - weights[1] * angles.cos()
    return window if len(weights) == 2 else window + weights[2] * (angles * 2).cos()


@public(method=False)
@creation
def hann_window(window_length: int, periodic: bool = True, *, dtype, device) -> Tensor:
    """Return a raised cosine that falls to 0; ``periodic`` leaves out its last sample."""
    return _cosines(window_length, periodic, (0.5, 0.5), dtype, device)


@public(method=False)
@creation
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46,
    *, dtype, device,
) -> Tensor:  # fmt: skip
    """Return a raised cosine ``alpha - beta * cos``."""
    return _cosines(window_length, periodic, (alpha, beta), dtype, device)


@public(method=False)
@creation
def blackman_window(window_length: int, periodic: bool = True, *, dtype, device) -> Tensor:
    """Return a sum of two cosines that falls to 0 steeply."""
    return _cosines(window_length, periodic, (0.42, 0.5, 0.08), dtype, device)


@public(method=False)
@creation
def bartlett_window(window_length: int, periodic: bool = True, *, dtype, device) -> Tensor:
    """Return a triangle."""
    angles = _angles(window_length, periodic, dtype, device)
    if angles is None:
        return ones(window_length, dtype=dtype, device=device)
    return 1 - (angles / math.pi - 1).abs()
