"""Functions whose result's shape depends on the values: they read them and compute on the host."""

import math

import numpy as np

from facade import aten, dtypes
from facade.binding import public
from facade.errors import wrap_dim
from facade.functions.construction import tensor
from facade.tensor import Tensor
from facade.underived import refused_result, underived_result


def _back(array, input: Tensor) -> Tensor:
    return tensor(np.asarray(array, order="C"), device=input.device)


@public
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
):
    """Return the distinct elements (or slices along ``dim``) in order.

    Returns:
        The elements; with them, where asked, the place of each element of ``input`` among them,
        and how often each occurs.
    """
    rows, places = _rows(input, dim)
    distinct, inverse, counts = np.unique(
        rows, return_inverse=True, return_counts=True, axis=None if dim is None else 0,
        equal_nan=False,
    )  # fmt: skip
    inverse = inverse.reshape(places)
    found = _chosen(input, distinct, dim, return_inverse, inverse, return_counts, counts)
    if dim is None:
        return _refusing(found, input, "_unique2", "Unique2Backward0")
    return _refusing(found, input, "unique_dim", "UniqueDimBackward0")


@public
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
):
    """Return the elements (or slices along ``dim``) that differ from the one before.

    Returns:
        As :func:`unique`.
    """
    rows, places = _rows(input, dim)
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    begins = np.ones(len(rows), bool)
    begins[1:] = (flat[1:] != flat[:-1]).any(1)
    starts = np.flatnonzero(begins)
    counts = np.diff(starts, append=len(rows))
    inverse = (np.cumsum(begins) - 1).reshape(places)
    found = _chosen(input, rows[starts], dim, return_inverse, inverse, return_counts, counts)
    return _refusing(found, input, "unique_consecutive", "UniqueConsecutiveBackward0")


def _rows(input: Tensor, dim: int | None) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return what is told apart, a row each, and the shape of where each is found.

    Raises:
        IndexError: there is no dimension ``dim``.
        RuntimeError: there are rows, but nothing in them.
    """
    values = input.detach()._host()
    if dim is None:
        return values.reshape(-1), values.shape
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    rows = np.moveaxis(values, wrap_dim(dim, input.ndim), 0)
    if len(rows) and not rows.size:
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    return rows, (len(rows),)


def _refusing(found, input: Tensor, name: str, grad_name: str):
    refused_result(found[0] if isinstance(found, tuple) else found, (input,), name, grad_name)
    return found


def _chosen(input, values, dim, return_inverse, inverse, return_counts, counts):
    """Return the values, their dimension back at ``dim``, and what else was asked for."""
    distinct = _back(values, input)
    results = [distinct if dim is None else distinct.movedim(0, dim)]
    if return_inverse:
        results.append(_back(inverse.astype(np.int64), input))
    if return_counts:
        results.append(_back(counts.astype(np.int64), input))
    return results[0] if len(results) == 1 else tuple(results)


@public
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """Return how often each number from 0 occurs, or the sum of its weights.

    Raises:
        RuntimeError: ``input`` is not 1-dimensional or has a negative number.
    """
    if input.is_floating_point() or input.is_complex() or input.dtype is dtypes.bool_:
        name = dtypes.SCALAR_NAMES[input.dtype]
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{name}'")
    values = input.detach().numpy()
    if values.ndim != 1 or (values < 0).any():
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    length = max(int(values.max()) + 1 if values.size else 0, minlength)
    if weights is None:
        return _back(np.bincount(values, minlength=length), input)
    kind = weights.dtype if weights.dtype is dtypes.float32 else dtypes.float64
    empty = aten.zeros_like(weights, kind).new_zeros(length)
    sums = empty.index_add(0, input.long(), weights.detach().to(kind))
    return underived_result(sums, (weights,), "bincount")
