"""Zero elements or whole channels at random: ``dropout``, ``alpha_dropout``, and their kin."""

import functools
import math

from facade import aten
from facade.avals import aval, elementwise_strides
from facade.binding import public
from facade.errors import bad_argument
from facade.functions.creation import zeros
from facade.functions.draws import BERNOULLI, DROPOUT_NOISE, Law, draw, number
from facade.tensor import Tensor

_ALPHA = 1.7580993408473766  # SELU's: what minus infinity becomes, negated


@public(method=False)
def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero elements with probability ``p`` and divide the others by ``1 - p``."""
    return _dropped("dropout", input, p, train)


@public(method=False)
def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero whole channels of ``(N, C, ...)`` with probability ``p``, as :func:`dropout`."""
    return _dropped("feature_dropout", input, p, train, channels=True)


@public(method=False)
def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Set elements to SELU's lower limit with probability ``p``; mean and variance stay."""
    return _dropped("alpha_dropout", input, p, train, alpha=True)


@public(method=False)
def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Set whole channels to SELU's lower limit, as :func:`alpha_dropout`."""
    return _dropped("feature_alpha_dropout", input, p, train, channels=True, alpha=True)


def _offer_in_place(name: str, **how: bool) -> None:
    """Offer ``name_``, a function that writes into its input."""

    def function(input: Tensor, p: float, train: bool) -> Tensor:
        return _dropped(f"{name}_", input, p, train, in_place=True, **how)

    function.__name__ = f"{name}_"
    function.__doc__ = f"In-place version of :func:`{name}`."
    public(function, method=False)


_offer_in_place("dropout")
_offer_in_place("feature_dropout", channels=True)
_offer_in_place("alpha_dropout", alpha=True)
_offer_in_place("feature_alpha_dropout", channels=True, alpha=True)


def _dropped(
    name: str, input, p, train: bool, *, channels: bool = False, alpha: bool = False,
    in_place: bool = False,
) -> Tensor:  # fmt: skip
    """Return ``input`` with elements (or ``channels``) dropped.

    Args:
        alpha: Whether to drop them to SELU's lower limit instead of 0.
    Raises:
        RuntimeError: ``p`` is not in [0, 1], or there are no channels to drop.
    """
    if not isinstance(input, Tensor):
        raise bad_argument(name, "input", 1, "Tensor", input)
    p = number(name, "p", 2, p)
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    if p == 0 or not train or not input.numel():
        return input
    multiply = input.mul_ if in_place else functools.partial(aten.mul, input)
    if p == 1:
        return multiply(zeros((), dtype=input.dtype, device=input.device))
    if not alpha:
        return multiply(_noise(DROPOUT_NOISE, input, p, channels))
    kept = _noise(BERNOULLI, input, p, channels)
    scale = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = aten.add(kept, -1).mul_(_ALPHA * scale).add_(_ALPHA * scale * p)
    return multiply(kept.mul_(scale)).add_(shift)


def _noise(law: Law, input: Tensor, p: float, channels: bool) -> Tensor:
    """Return noise that broadcasts to ``input``; it lies in memory as ``input`` does."""
    known = input._aval
    if not channels:
        a = aval(known.shape, known.dtype, elementwise_strides(known.shape, [known]))
    elif known.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    else:
        a = aval((*known.shape[:2], *[1] * (known.ndim - 2)), known.dtype)
    return draw(law, (1 - p,), a, input.device)
