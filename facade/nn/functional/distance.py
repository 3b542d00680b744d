"""How near vectors are to each other."""

from facade import aten
from facade.binding import public
from facade.tensor import Tensor


@public(method=False)
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Return the cosine of the angle between vectors along ``dim``."""
    return aten.cosine_similarity(x1, x2, dim, eps)


@public(method=False)
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Return the ``p``-norm of ``x1 - x2 + eps`` along the last dimension."""
    return aten.pairwise_distance(x1, x2, float(p), eps, keepdim)


@public(method=False)
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Return the ``p``-norm distance of each two rows."""
    return aten.pdist(input, float(p))
