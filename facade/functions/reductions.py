"""Reductions with several forms or results: ``max``, ``std``, ``norm``, ``sort``, ``median``."""

from facade import aten, dtypes, return_types
from facade.binding import public
from facade.errors import bad_argument, no_overload
from facade.functions.creation import size_of
from facade.functions.decompositions import matrix_norm
from facade.tensor import Tensor

# ---- extremes ----


def _declare_extreme(name: str, elementwise) -> None:
    over_all, along = getattr(aten, f"{name}_all"), getattr(aten, f"{name}_dim")
    make = getattr(return_types, name)
    signatures = (
        "Tensor input, *, Tensor out = None",
        "Tensor input, Tensor other, *, Tensor out = None",
        "Tensor input, int dim, bool keepdim = False, *, tuple of Tensors out = None",
    )

    def extreme(input: Tensor, dim=None, keepdim: bool = False, *, other=None):
        if isinstance(dim, Tensor):
            dim, other = None, dim
        if not (isinstance(input, Tensor) and (other is None or isinstance(other, Tensor))):
            given = tuple(x for x in (input, dim, other) if x is not None)
            raise no_overload(name, given, {}, signatures)
        if other is not None:
            return elementwise(input, other)
        return over_all(input) if dim is None else make(*along(input, dim, keepdim))

    extreme.__name__ = extreme.__qualname__ = name
    extreme.__doc__ = (
        f"Return the {name}imum; along ``dim`` the {name}ima and where they are; with a second "
        f"tensor the {name}imum of each two elements."
    )
    public(extreme, out=True)


_declare_extreme("max", aten.maximum)
_declare_extreme("min", aten.minimum)


@public(out=True)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False):
    """Return the minimum and the maximum."""
    return return_types.aminmax(*aten.aminmax(input, dim, keepdim))


@public(out=True)
def cummax(input: Tensor, dim: int):
    """Return the greatest so far along ``dim`` and the last places where it was."""
    return return_types.cummax(*aten.cummax(input, dim))


@public(out=True)
def cummin(input: Tensor, dim: int):
    """Return the least so far along ``dim`` and the last places where it was."""
    return return_types.cummin(*aten.cummin(input, dim))


# ---- variance, norm, mean of numbers ----


def _spread(function, input, dim, unbiased, keepdim, correction):
    """Call a variance op; ``dim`` may be ``unbiased``, which older programs gave first."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return function(input, dim, correction, keepdim)


@public(out=True)
def var(
    input: Tensor, dim=None, unbiased=None, keepdim: bool = False, *, correction=None
) -> Tensor:
    """Return the variance over ``dim``, dividing by the count less ``correction`` (1)."""
    return _spread(aten.var, input, dim, unbiased, keepdim, correction)


@public(out=True)
def std(
    input: Tensor, dim=None, unbiased=None, keepdim: bool = False, *, correction=None
) -> Tensor:
    """Return the standard deviation over ``dim``."""
    return _spread(aten.std, input, dim, unbiased, keepdim, correction)


@public(method=False)
def var_mean(
    input: Tensor, dim=None, unbiased=None, keepdim: bool = False, *, correction=None
) -> tuple[Tensor, ...]:
    """Return the variance and the mean over ``dim``."""
    return _spread(aten.var_mean, input, dim, unbiased, keepdim, correction)


@public(method=False)
def std_mean(
    input: Tensor, dim=None, unbiased=None, keepdim: bool = False, *, correction=None
) -> tuple[Tensor, ...]:
    """Return the standard deviation and the mean over ``dim``."""
    return _spread(aten.std_mean, input, dim, unbiased, keepdim, correction)


@public(out=True)
def nanmean(input: Tensor, dim=None, keepdim: bool = False, *, dtype=None) -> Tensor:
    """Return the mean of what is not nan."""
    if not (input.is_floating_point() or input.is_complex()):
        name = input.type().rpartition(".")[2].removesuffix("Tensor")
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {name}"
        )
    total = aten.nansum(input, dim, keepdim, dtype=dtype)
    numbers = aten.sum(aten.logical_not(aten.isnan(input.detach())), dim, keepdim)
    return aten.div(total, numbers)


@public(out=True)
def norm(input: Tensor, p="fro", dim=None, keepdim: bool = False, dtype=None) -> Tensor:
    """Return the ``p``-norm of the elements over ``dim`` (all of them if None).

    Args:
        p: A number, inf, "fro", which is 2, or "nuc", the sum of a matrix's singular values.
    """
    if isinstance(p, str) and p != "fro":
        return matrix_norm(input, p, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    order = 2.0 if p is None or p == "fro" else float(p)
    return aten.linalg_vector_norm(input, order, dim, keepdim, dtype)


@public(module=False)
def sum_to_size(input: Tensor, *size) -> Tensor:
    """Return the sum over the dimensions that broadcasting from ``size`` would have added.

    Raises:
        RuntimeError: ``size`` doesn't broadcast to this tensor's.
    """
    target = size_of("sum_to_size", size)
    shape = tuple(input.shape)
    extra = len(shape) - len(target)
    pairs = zip(shape[extra:], target, strict=True) if extra >= 0 else [(0, 1)]
    if not all(t in (1, s) for s, t in pairs):
        raise RuntimeError(f"size {{{list(target)}}} is not expandable to size {{{list(shape)}}}.")
    kept = (d for d, t in enumerate(target, extra) if t == 1 and shape[d] != 1)
    dims = (*range(extra), *kept)
    if not shape:
        return input.sum()
    return aten.sum(input, dims, True).reshape(target) if dims else input


# ---- sorting ----


@public(out=True)
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False):
    """Return the values in order and where each was; equal ones stay in their order."""
    _check_order("sort", input, dim, descending)
    return return_types.sort(*aten.sort(input, dim, descending, stable))


@public
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """Return the places that put ``input`` in order."""
    _check_order("argsort", input, dim, descending)
    return aten.argsort(input, dim, descending, stable)


def _check_order(name: str, input, dim, descending) -> None:
    """Check that ``dim`` is no bool, for one would be meant as ``descending``.

    Raises:
        TypeError: it is.
    """
    if isinstance(dim, bool):
        raise no_overload(name, (input, dim, descending), {}, (
            "Tensor input, *, bool stable, int dim = -1, bool descending = False",
            "Tensor input, int dim = -1, bool descending = False",
        ))  # fmt: skip


@public(out=True)
def msort(input: Tensor) -> Tensor:
    """Return the values in order along the first dimension."""
    return aten.sort(input, 0, False, False)[0]


@public(out=True)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True):
    """Return the ``k`` greatest values along ``dim``, in order, and where they are."""
    if isinstance(k, Tensor):
        k = k.item()
    return return_types.topk(*aten.topk(input, k, -1 if dim is None else dim, largest, sorted))


@public(out=True)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False):
    """Return the ``k``-th least value along ``dim`` and where it is."""
    return return_types.kthvalue(*aten.kthvalue(input, k, dim, keepdim))


@public(out=True)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False):
    """Return the most frequent value along ``dim`` and where it is."""
    return return_types.mode(*aten.mode(input, dim, keepdim))


@public(out=True)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False):
    """Return the median, the lower one of two; along ``dim`` also where it is."""
    if dim is None:
        return aten.median_all(input)
    return return_types.median(*aten.median_dim(input, dim, keepdim))


@public(out=True)
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False):
    """Return the median of what is not nan."""
    if dim is None:
        return aten.nanmedian_all(input)
    return return_types.nanmedian(*aten.nanmedian_dim(input, dim, keepdim))


@public(out=True)
def quantile(input, q, dim=None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    """Return the ``q``-th quantiles, a number or several, along ``dim``."""
    return _quantile(input, q, dim, keepdim, interpolation, skip_nan=False)


@public(out=True)
def nanquantile(
    input, q, dim=None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Return the quantiles of what is not nan."""
    return _quantile(input, q, dim, keepdim, interpolation, skip_nan=True)


def _quantile(input, q, dim, keepdim, interpolation, *, skip_nan: bool) -> Tensor:
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q:g}")
        q = input.new_tensor(q)
    return aten.quantile(input, q, dim, keepdim, interpolation, skip_nan)


# ---- places in sorted rows, histograms ----


@public(method=False, out=True)
def searchsorted(
    sorted_sequence: Tensor, input, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return where ``input``'s values would go so that each row stays sorted."""
    if side not in (None, "left", "right"):
        raise RuntimeError(
            "torch.searchsorted(): side can only be 'left' or 'right' but got " + side
        )
    return aten.searchsorted(
        sorted_sequence, input, sorter, right or side == "right", _index_type(out_int32)
    )


def _index_type(narrow: bool):
    return dtypes.int32 if narrow else dtypes.int64


@public(method=False, out=True)
def bucketize(input, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Return the number of the bucket between ``boundaries`` that each value falls into."""
    if not isinstance(boundaries, Tensor):
        raise bad_argument("bucketize", "boundaries", 2, "Tensor", boundaries)
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return aten.searchsorted(boundaries, input, None, right, _index_type(out_int32))


@public(out=True)
def histc(input: Tensor, bins: int = 100, min=0, max=0) -> Tensor:
    """Return how many elements lie in each of ``bins`` equal parts of ``[min, max]``.

    Equal bounds mean the extremes of ``input``.
    """
    if max < min:
        raise RuntimeError("torch.histc: max must be larger than min")
    return aten.histc(input, bins, min, max)
