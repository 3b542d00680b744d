"""torch.masked: reductions and normalizations that pass over what a mask says False about."""

import functools
import math
from collections.abc import Callable
from typing import Any

from facade import aten, dtypes, functions
from facade.errors import wrap_dim
from facade.linalg import vector_norm
from facade.tensor import Tensor

# ---- masks ----

# What a masked element counts as: a number that changes nothing, the greatest, or the least
_NEUTRAL = {
    "sum": 0, "norm": 0, "prod": 1, "median": math.nan, "amin": math.inf, "argmin": math.inf,
    "amax": -math.inf, "argmax": -math.inf, "logaddexp": -math.inf, "logsumexp": -math.inf,
}  # fmt: skip


def _neutral(name: str, dtype: dtypes.dtype) -> float:
    """Return what changes no result of the reduction ``name``.

    Raises:
        NotImplementedError, TypeError: ``dtype`` has no such number.
    """
    value = _NEUTRAL[name]
    if not math.isinf(value) or dtype.is_floating_point:
        return value
    if dtype is dtypes.bool_:
        raise NotImplementedError(f"identity of {name} on {dtype} input")
    if dtype.is_complex and name == "logsumexp":
        return value
    limits = dtypes.iinfo(dtype)
    return limits.min if value < 0 else limits.max


def _mask_like(input: Tensor, mask: Tensor) -> Tensor:
    """Return a mask as booleans of the input's shape.

    Raises:
        IndexError: it has more dimensions.
        RuntimeError: it doesn't broadcast.
    """
    if mask.ndim > input.ndim:
        raise IndexError(
            "_input_mask expected broadcastable mask (got mask dimensionality higher than of the "
            "input)"
        )
    return functions.broadcast_to(mask, input.shape).to(dtypes.bool_)


def _filled(name: str, input: Tensor, mask: Tensor | None, value: float | None = None) -> Tensor:
    """Return ``input`` with masked elements replaced by what doesn't count."""
    if mask is None:
        return input
    value = _neutral(name, input.dtype) if value is None else value
    return functions.masked_fill(input, _mask_like(input, mask).logical_not(), value)


def _dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """Return the dimensions that ``dim`` names, ascending: all for None or ().

    Raises:
        IndexError, RuntimeError: there is no such dimension, or one is named twice.
    """
    if dim is None or dim == ():
        return tuple(range(ndim))
    given = (dim,) if isinstance(dim, int) else tuple(dim)
    for i, d in enumerate(given):
        if d in given[:i]:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
    return tuple(sorted(wrap_dim(d, max(ndim, 1)) for d in given))


# ---- along any dimensions: compute(filled input, dims, keepdim, dtype) ----


def _reduction(name: str, compute: Callable) -> Callable[..., Tensor]:
    def reduction(
        input: Tensor, dim=None, *, keepdim: bool = False, dtype=None, mask: Tensor | None = None
    ) -> Tensor:
        dims = _dims(dim, input.ndim)
        return compute(_filled(name, input, mask), dims, bool(keepdim), dtype)

    return _named(reduction, name, f"Return the {name} over ``dim`` of what is not masked.")


def _named(function: Callable, name: str, doc: str) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _product(x: Tensor, dims: tuple, keepdim: bool, dtype) -> Tensor:
    integral = not (x.is_floating_point() or x.is_complex())
    start = x.to(dtype or (dtypes.int64 if integral else x.dtype))
    return functools.reduce(lambda y, d: functions.prod(y, d, keepdim), reversed(dims), start)


def _cast(function: Callable) -> Callable:
    """Return a function whose result is cast to the dtype asked for, or else the input's."""
    return lambda x, dims, keepdim, dtype: function(x, dims, keepdim).to(dtype or x.dtype)


sum = _reduction("sum", lambda x, dims, keepdim, dtype: functions.sum(
    x, dims, keepdim, dtype=dtype))  # fmt: skip
prod = _reduction("prod", _product)
amax = _reduction("amax", _cast(functions.amax))
amin = _reduction("amin", _cast(functions.amin))
logsumexp = _reduction("logsumexp", _cast(functions.logsumexp))


def norm(
    input: Tensor, ord: float | None = 2.0, dim=None, *, keepdim: bool = False, dtype=None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the vector norm of order ``ord`` over ``dim`` of what is not masked."""
    least = math.inf if ord == -math.inf else 0
    filled = _filled("norm", input, mask, least)
    order = 2.0 if ord is None else ord
    return vector_norm(filled, order, _dims(dim, input.ndim), keepdim, dtype=dtype)


# ---- along one dimension ----


def _place(name: str, compute: Callable) -> Callable[..., Tensor]:
    def reduction(
        input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype=None,
        mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        places = compute(_filled(name, input, mask), dim, bool(keepdim))
        return places.to(dtype or input.dtype)

    return _named(reduction, name, f"Return the {name} along ``dim`` of what is not masked.")


argmax = _place("argmax", functions.argmax)
argmin = _place("argmin", functions.argmin)


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype=None, mask: Tensor | None = None
) -> Tensor:
    """Return the median along ``dim`` of what is not masked, nan where nothing is left.

    Raises:
        ValueError: nothing is left somewhere, and the dtype has no nan.
    """
    at = _dims(dim, input.ndim)[0]
    floating = input.is_floating_point()
    numbers = input if floating else input.to(dtypes.float32)
    found = functions.nanmedian(_filled("median", numbers, mask), at, keepdim)[0]
    if floating:
        return found
    if found.isnan().any():
        raise ValueError(
            "masked median expects no fully masked out rows if dtype is not floating point"
        )
    return found.to(dtype or input.dtype)


# ---- mean and variance ----


def _counts(input: Tensor, mask: Tensor | None, dims: tuple, keepdim: bool) -> Tensor:
    """Return how many elements are not masked."""
    counted = functions.ones_like(input, dtype=dtypes.bool_)
    if mask is not None:
        counted = _mask_like(input, mask)
    return functions.sum(counted, dims, keepdim)


def mean(
    input: Tensor, dim=None, *, keepdim: bool = False, dtype=None, mask: Tensor | None = None
) -> Tensor:
    """Return the mean over ``dim`` of what is not masked, nan where nothing is left.

    Raises:
        ValueError: the dtype has no fractions.
    """
    kind = dtype or input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise ValueError(
            f"mean(): Could not infer output dtype. {'Optional' if dtype else 'Input'} dtype must "
            f"be either a floating point or complex dtype. Got: {kind}"
        )
    count = _counts(input, mask, _dims(dim, input.ndim), bool(keepdim))
    return sum(input, dim, keepdim=keepdim, dtype=kind, mask=mask) / count


def var(
    input: Tensor, dim=None, unbiased: bool | None = None, *,
    correction: float | None = None, keepdim: bool = False, dtype=None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the variance over ``dim`` of what is not masked.

    Args:
        correction: What the count is lessened by: 1, or 0 with ``unbiased=False``.
    Raises:
        AssertionError: ``unbiased`` and ``correction`` are given.
    """
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    inexact = input.is_floating_point() or input.is_complex()
    wanted = dtype or (input.dtype if inexact else dtypes.float32)
    kind = wanted if wanted.is_floating_point or wanted.is_complex else dtypes.float32
    count = _counts(input, mask, _dims(dim, input.ndim), True)
    centred = input - sum(input, dim, keepdim=True, dtype=wanted, mask=mask) / count
    squares = centred * centred.conj()
    total = sum(squares, dim, keepdim=keepdim, dtype=kind, mask=mask)
    freedom = (count.reshape(total.shape).to(kind.to_real()) - correction).clamp_min(0)
    return (total / freedom).to(wanted)


def std(
    input: Tensor, dim=None, unbiased: bool | None = None, *,
    correction: float | None = None, keepdim: bool = False, dtype=None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the standard deviation over ``dim`` of what is not masked."""
    return functions.sqrt(
        var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask)
    )


# ---- results as large as the input ----


def _normalization(name: str, compute: Callable, neutral: str) -> Callable[..., Tensor]:
    def normalization(input: Tensor, dim: int, *, dtype=None, mask: Tensor | None = None) -> Tensor:
        at = _dims(dim, input.ndim)[0] if input.ndim else wrap_dim(dim, 1)
        return compute(_filled(neutral, input, mask), at, dtype=dtype or input.dtype)

    return _named(normalization, name, f"Return the {name} along ``dim`` of what is not masked.")


def _softmin(x: Tensor, dim: int, dtype) -> Tensor:
    return functions.softmax(-x, dim, dtype=dtype)


softmax = _normalization("softmax", functions.softmax, "amax")
log_softmax = _normalization("log_softmax", functions.log_softmax, "amax")
softmin = _normalization("softmin", _softmin, "amin")
cumsum = _normalization("cumsum", functions.cumsum, "sum")
cumprod = _normalization("cumprod", functions.cumprod, "prod")


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype=None,
    mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return what is not masked divided by its norm along ``dim``, or by ``eps`` if that's more."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype or input.dtype, mask=mask)
    return _filled("sum", input, mask) / functions.maximum(length, length.new_full((), eps))


def logaddexp(
    input: Tensor, other: Tensor, *, dtype=None, input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return ``log(exp(input) + exp(other))``, of which masked elements are no part."""
    first = _filled("logaddexp", input, input_mask)
    second = _filled("logaddexp", other, other_mask)
    return aten.logaddexp(first, second).to(dtype or input.dtype)


__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum",
    "var",
]  # fmt: skip
