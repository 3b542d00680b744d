"""Histograms with their bins' edges."""

from typing import Any

from facade import aten
from facade.binding import public
from facade.dtypes import C_NAMES
from facade.return_types import named_tuple
from facade.tensor import Tensor
from facade.underived import underived_result

_Histogram = named_tuple("histogram", ("hist", "bin_edges"))


_HistogramDD = named_tuple("histogramdd", ("hist", "bin_edges"))


@public(method=False)
def histogramdd(
    input: Tensor, bins: Any, *, range=None, weight: Tensor | None = None, density: bool = False
):
    """Return how many of the points in the last dimension lie in each box, and the boxes' edges.

    Args:
        bins: How many along each dimension, one number for all, or the edges of each.
        range: The bounds of each dimension in a row, by default the extremes of ``input``.
        weight, density: As for :func:`histogram`.
    Raises:
        RuntimeError: the arguments don't fit the points.
    """
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    points, count = input.detach().reshape(-1, input.shape[-1]), input.shape[-1]
    each = [bins] * count if isinstance(bins, int) else list(bins)
    if len(each) != count:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    if range is not None and len(range) != 2 * count:
        raise RuntimeError(
            f"torch.histogramdd: for a {count}-dimensional histogram range should have {2 * count} "
            f"elements, but got {len(range)}"
        )
    if weight is not None:
        _check_weight(input, weight)
    edges = [
        _edges(points[:, i], b, range and range[2 * i : 2 * i + 2], i) for i, b in enumerate(each)
    ]
    mass = None if weight is None else weight.detach().reshape(-1)
    hist = aten.histogramdd(points, mass, tuple(edges), density)
    given = (input, weight, *(b for b in each if isinstance(b, Tensor)))
    return _HistogramDD(
        underived_result(hist, given, "histogramdd"),
        tuple(underived_result(e, given, "histogramdd") for e in edges),
    )


def _check_weight(input: Tensor, weight: Tensor) -> None:
    given = "torch.histogramdd: if weight tensor is provided"
    if weight.shape != input.shape[:-1]:
        raise RuntimeError(
            f"{given} it should have the same shape as the input tensor excluding its innermost "
            f"dimension, but got input with shape {list(input.shape)} and weight with shape "
            f"{list(weight.shape)}"
        )
    if weight.dtype is not input.dtype:
        kinds = C_NAMES[input.dtype], C_NAMES[weight.dtype]
        raise RuntimeError(
            f"{given}, input tensor and weight tensor should have the same dtype, but got "
            "input({}), and weight({})".format(*kinds)
        )


def _edges(input: Tensor, bins: Any, range, dim: int) -> Tensor:
    """Return the edges of bins along one dimension."""
    if isinstance(bins, Tensor):
        return bins.detach()
    if bins <= 0:
        raise RuntimeError(
            f"torch.histogram(): bins must be > 0, but got {bins} for dimension {dim}"
        )
    low, high = (None, None) if range is None else range
    if low is not None and high is not None and not low <= high:
        raise RuntimeError(
            f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for "
            f"dimension {dim}"
        )
    return aten.histogram_edges(input, low, high, bins)


@public(out=True)
def histogram(
    input: Tensor, bins: Any, *, range=None, weight: Tensor | None = None, density: bool = False
):
    """Return how many elements lie in each bin, and the bins' edges.

    Args:
        bins: How many, evenly between the bounds; or their edges, ascending.
        range: The bounds, by default the extremes of ``input``.
        weight: How much each element counts.
        density: Whether the integral over the bins shall be 1.
    Raises:
        RuntimeError: there are no bins, or the bounds are in the wrong order.
    """
    edges = _edges(input, bins, range, 0)
    counts = aten.histogram(input, edges, weight, density)
    given = (input, weight, bins if isinstance(bins, Tensor) else None)
    return _Histogram(*(underived_result(t, given, "histogram") for t in (counts, edges)))
