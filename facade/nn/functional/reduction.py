"""Which reduction a loss is given, in PyTorch's new and old words."""

import warnings

_ENUM = {"none": 0, "mean": 1, "elementwise_mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """Return PyTorch's number of a reduction.

    Raises:
        ValueError: there is no such reduction.
    """
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=3,
        )
    if reduction not in _ENUM:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return _ENUM[reduction]


def legacy_get_string(size_average, reduce, emit_warning: bool = True) -> str:
    """Return the reduction that the old arguments ``size_average`` and ``reduce`` meant."""
    average = True if size_average is None else size_average
    combine = True if reduce is None else reduce
    found = ("mean" if average else "sum") if combine else "none"
    if emit_warning:
        warnings.warn(
            "size_average and reduce args will be deprecated, "
            f"please use reduction='{found}' instead.",
            stacklevel=3,
        )
    return found


def legacy_get_enum(size_average, reduce, emit_warning: bool = True) -> int:
    """Return the number of what :func:`legacy_get_string` finds."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))


def resolve(reduction: str, size_average=None, reduce=None) -> str:
    """Return "none", "mean" or "sum" from the new argument and the old ones.

    Raises:
        ValueError: there is no such reduction.
    """
    if size_average is not None or reduce is not None:
        return legacy_get_string(size_average, reduce)
    return ("none", "mean", "sum")[get_enum(reduction)]
