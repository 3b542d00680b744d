"""Differences, integrals and covariances, composed of other functions."""

import math
from collections.abc import Sequence
from typing import Any

from facade import aten, dtypes
from facade.binding import public
from facade.errors import wrap_dim
from facade.functions.creation import zeros_like
from facade.functions.indexing import check_within
from facade.tensor import Tensor


@public(out=True)
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend=None, append=None) -> Tensor:
    """Return the differences of neighbours along ``dim``, taken ``n`` times."""
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    parts = tuple(p for p in (prepend, input, append) if p is not None)
    result = aten.cat(parts, dim) if len(parts) > 1 else input
    if not n:
        return zeros_like(input).copy_(input)
    for _ in range(n):
        size = result.shape[dim]
        if not size:
            break
        later, earlier = result.narrow(dim, 1, size - 1), result.narrow(dim, 0, size - 1)
        whole = result.dtype is not dtypes.bool_
        result = aten.sub(later, earlier) if whole else aten.logical_xor(later, earlier)
    return result


@public(method=False)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """Return the integral of ``y`` by the trapezoidal rule."""
    if x is None:
        ends = y.select(dim, 0) + y.select(dim, -1)
        return aten.mul_scalar(y.sum(dim) - ends * 0.5, dx)
    return aten.div_scalar((_widths(x, y, dim) * _heights(y, dim)).sum(dim), 2.0)


@public(method=False)
def trapz(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """Return the integral of ``y`` by the trapezoidal rule."""
    return trapezoid(y, x, dx=dx, dim=dim)


@public(method=False)
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1
) -> Tensor:
    """Return the integrals of ``y`` up to each place but the first."""
    if x is None:
        return (_heights(y, dim) * (dx / 2)).cumsum(dim)
    return aten.div_scalar((_widths(x, y, dim) * _heights(y, dim)).cumsum(dim), 2.0)


def _heights(y: Tensor, dim: int) -> Tensor:
    last = y.shape[dim] - 1
    return y.narrow(dim, 0, last) + y.narrow(dim, 1, last)


def _widths(x: Tensor, y: Tensor, dim: int) -> Tensor:
    """Return the distances of places; one row of places serves all rows of ``y``."""
    if x.ndim == y.ndim:
        return diff(x, dim=dim)
    return diff(x).reshape([-1 if d == dim % y.ndim else 1 for d in range(y.ndim)])


@public
def cov(input: Tensor, *, correction: int = 1, fweights=None, aweights=None) -> Tensor:
    """Return the covariances of the rows (variables) over the columns (observations).

    Args:
        fweights: How often each observation counts.
        aweights: How much each observation weighs.
    """
    if input.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is not None:
            _check_weights(name, weights, rows.shape[1])
    if fweights is None and aweights is None:
        centred = rows - rows.sum(1, True) / rows.shape[1]
        weighted, freedom = centred, max(rows.shape[1] - correction, 0)
    else:
        given = [w for w in (fweights, aweights) if w is not None]
        weight = given[0] if len(given) == 1 else given[0] * given[1]
        total = weight.sum()
        centred = rows - (rows * weight).sum(1, True) / total
        lost = correction if aweights is None else correction * (weight * aweights).sum() / total
        weighted, freedom = centred * weight, (total - lost).clamp_min(0)
    return aten.div(aten.mm(weighted, centred.t().conj()), freedom).squeeze()


def _check_weights(name: str, weights: Tensor, count: int) -> None:
    if weights.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{weights.ndim} dimensions"
        )
    inexact = weights.is_floating_point() or weights.is_complex()
    kind = "integral" if name == "fweights" else "floating point"
    if inexact == (name == "fweights"):
        raise RuntimeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with "
            f"{dtypes.SCALAR_NAMES[weights.dtype]} dtype"
        )
    if weights.numel() != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the "
            f"input but got {weights.numel()} != {count}"
        )
    negative = RuntimeError(f"cov(): {name} cannot be negative")
    check_within(weights, 0, math.inf, lambda *_: negative)


@public
def corrcoef(input: Tensor) -> Tensor:
    """Return the correlation coefficients of the rows."""
    found = cov(input)
    if not found.ndim:
        return found / found
    deviation = found.diagonal().sqrt()
    ratio = found / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    if ratio.is_complex():
        return aten.complex(ratio.real.clamp(-1, 1), ratio.imag.clamp(-1, 1))
    return ratio.clamp(-1, 1)


# ---- gradients of sampled functions ----


@public(method=False)
def gradient(
    input: Tensor,
    *,
    spacing: Any = None,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """Return the derivatives of a sampled function along each dimension.

    Args:
        spacing: The distance of samples, by default 1, one for each of ``dim``, or their places as
            vectors.
        dim: By default all.
        edge_order: 1 or 2, of the estimate at the ends.
    Raises:
        RuntimeError: the arguments don't fit each other, or there are too few samples.
    """
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    given = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims = [wrap_dim(d, input.ndim) for d in given]
    for i, d in enumerate(dims):
        if d in dims[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    if any(input.shape[d] < edge_order + 1 for d in dims):
        raise RuntimeError(
            "torch.gradient expected each dimension size to be at least edge_order+1"
        )
    step = 1 if spacing is None else spacing
    steps = list(step) if isinstance(step, tuple | list) else [step] * len(dims)
    for place in steps:
        if isinstance(place, Tensor) and place.device != input.device:
            raise RuntimeError(
                "torch.gradient expected each tensor to be on the same device, but got devices "
                f"{input.device} and {place.device}!"
            )
    if len(steps) != len(dims) and dim is not None:
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim "
            "arguments to have the same length, but got a spacing argument of length "
            f"{len(steps)} and a dim argument of length {len(dims)}."
        )
    if len(steps) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
            f"equal to 'self.dim() = {input.ndim}', but got a list of length {len(steps)}"
        )
    return tuple(_slopes(input, d, step, edge_order) for d, step in zip(dims, steps, strict=True))


def _slopes(x: Tensor, dim: int, step, edge_order: int) -> Tensor:
    """Return the derivative along one dimension, samples ``step`` apart or at those places."""
    size = x.shape[dim]

    def at(start: int, count: int) -> Tensor:
        return x.narrow(dim, start, count)

    widths = step
    if isinstance(step, Tensor):
        widths = diff(step).reshape([-1 if d == dim else 1 for d in range(x.ndim)])

    def width(start: int, count: int = 1):
        return widths.narrow(dim, start, count) if isinstance(widths, Tensor) else widths

    inner = size - 2
    slopes = _parabola(
        at(0, inner), at(1, inner), at(2, inner), width(0, inner), width(1, inner), 1
    )
    if edge_order == 1:
        first = (at(1, 1) - at(0, 1)) / width(0)
        last = (at(size - 1, 1) - at(size - 2, 1)) / width(size - 2)
    else:
        first = _parabola(at(0, 1), at(1, 1), at(2, 1), width(0), width(1), 0)
        ends = (at(size - 3, 1), at(size - 2, 1), at(size - 1, 1))
        last = _parabola(*ends, width(size - 3), width(size - 2), 2)
    return aten.cat((first, slopes, last), dim)


def _parabola(a: Tensor, b: Tensor, c: Tensor, left, right, place: int) -> Tensor:
    """Return the slope, at one of its three points, of the parabola through ``a``, ``b``, ``c``.

    Args:
        left, right: The distances between the points.
        place: Which point.
    """
    before, after = (b - a) / left, (c - b) / right
    if place == 1:
        return (before * right + after * left) / (left + right)
    bend = (after - before) / (left + right)
    return before - bend * left if place == 0 else after + bend * right
