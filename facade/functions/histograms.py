"""Histograms with their bins' edges."""

from typing import Any

from facade import aten
from facade.binding import public
from facade.return_types import named_tuple
from facade.tensor import Tensor
from facade.underived import underived_result

_Histogram = named_tuple("histogram", ("hist", "bin_edges"))


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
    if isinstance(bins, Tensor):
        edges = bins.detach()
    else:
        if bins <= 0:
            raise RuntimeError(
                f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0"
            )
        low, high = (None, None) if range is None else range
        if low is not None and high is not None and not low <= high:
            raise RuntimeError(
                f"torch.histogram(): max must be larger than min for dimension 0 but got range "
                f"[{low:g}, {high:g}]"
            )
        edges = aten.histogram_edges(input, low, high, bins)
    counts = aten.histogram(input, edges, weight, density)
    given = (input, weight, bins if isinstance(bins, Tensor) else None)
    return _Histogram(*(underived_result(t, given, "histogram") for t in (counts, edges)))
