"""Draws of categories by weight."""

import numpy as np

from .checks import FLOATS, HALVES, scalar_name
from .engine import locked
from .inverse import exponential
from .uniforms import unit64


@locked
def multinomial(engine, weights, num_samples, replacement=False, by_column=False):
    """Indices drawn by weight, as ``torch.multinomial``.

    Args:
        weights: ``(C,)`` or ``(N, C)``, floating, not negative; rows need not sum to 1.
        by_column: Whether the tensor's memory holds the weights column by column.
    Returns:
        ``(num_samples,)`` or ``(N, num_samples)``, int64.
    Raises:
        RuntimeError: bad weights, or more samples than categories without replacement.
    """
    check_arguments(weights, num_samples, replacement)
    shape = (*weights.shape[:-1], num_samples)
    if replacement and num_samples > 1:
        rows = weights.reshape(-1, weights.shape[-1])
        samples = [_with_replacement(engine, row, num_samples) for row in rows]
        return np.array(samples, np.int64).reshape(shape)
    _check_weights(weights)
    race = exponential(engine, weights.shape[::-1] if by_column else weights.shape, weights.dtype)
    race = race.T if by_column else race
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        race = weights / race
    if num_samples == 1:
        return race.argmax(-1).reshape(shape)
    return np.argsort(-race, -1, kind="stable")[..., :num_samples]


def _with_replacement(engine, weights, num_samples):
    """Search uniforms in the running sum of one row, which has the weights' precision."""
    _check_row(weights)
    running = np.cumsum(weights.astype(np.float32) if weights.dtype in HALVES else weights)
    if not (running.size and running[-1] > 0):
        raise RuntimeError(f"{_INVALID} (sum of probabilities <= 0)")
    running /= running[-1]
    running[-1] = 1
    return np.searchsorted(running.astype(np.float64), unit64(engine, num_samples))


_INVALID = "invalid multinomial distribution"


def check_arguments(weights, num_samples, replacement):
    """PyTorch's errors for all but the values of ``weights``."""
    if weights.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if weights.dtype not in FLOATS:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, "
            f"got: {scalar_name(weights.dtype)}"
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if weights.shape[-1] > 2**24:
        raise RuntimeError("number of categories cannot exceed 2^24")


def _check_weights(weights):
    if not ((weights >= 0) & (weights < np.inf)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if not (weights != 0).any(-1).all():
        raise RuntimeError(f"{_INVALID} (sum of probabilities <= 0)")


def _check_row(weights):
    for weight in weights[~((weights >= 0) & (weights < np.inf))][:1]:
        fault = "= infinity or NaN" if weight >= 0 else "< 0"
        raise RuntimeError(f"{_INVALID} (encountering probability entry {fault})")
