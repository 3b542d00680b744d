"""Pooling."""

import math
from collections.abc import Callable
from typing import Any

from facade import aten
from facade.binding import public, with_out
from facade.functions.indexing import check_within
from facade.tensor import Tensor


def _declare_max(dims: int, pool_name: str, indices_name: str):
    def with_indices(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        return aten.max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, dims)

    def pool(
        input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
        return_indices=False,
    ):  # fmt: skip
        if return_indices:
            return with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        sizes = (kernel_size, stride, padding, dilation)
        return aten.max_pool(input, *sizes, ceil_mode, dims, True)[0]

    _describe(pool, pool_name, "Return the greatest element of each window, and maybe its place.")
    _describe(with_indices, indices_name, "Return each window's greatest element and its place.")
    return public(pool, method=False), public(with_indices, method=False, module=dims == 1)


def _describe(function, name: str, doc: str) -> None:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc


max_pool1d, max_pool1d_with_indices = _declare_max(1, "max_pool1d", "max_pool1d_with_indices")
max_pool2d, max_pool2d_with_indices = _declare_max(2, "max_pool2d", "max_pool2d_with_indices")
max_pool3d, max_pool3d_with_indices = _declare_max(3, "max_pool3d", "max_pool3d_with_indices")


@public(method=False)
def avg_pool1d(
    input, kernel_size, stride=None, padding: int | tuple[int, ...] = 0, ceil_mode=False,
    count_include_pad=True,
) -> Tensor:  # fmt: skip
    """Return the mean of each window along the last dimension."""
    return aten.avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


@with_out
def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
) -> Tensor:  # fmt: skip
    """Return the mean of each window over the last two dimensions."""
    return aten.avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2
    )


@with_out
def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
) -> Tensor:  # fmt: skip
    """Return the mean of each window over the last three dimensions."""
    return aten.avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 3
    )


def _output_size(size, input: Tensor, dims: int) -> tuple[int, ...]:
    """Return one size per dimension, None being the input's."""
    row = size if isinstance(size, tuple | list) else (size,) * dims
    if row is size and dims > 1 and input.ndim <= len(row):
        raise ValueError(f"Input dimension should be at least {len(row) + 1}")
    own = (0,) * len(row) + tuple(input.shape)
    return tuple(own[i - len(row)] if size is None else size for i, size in enumerate(row))


def _check_count(name: str, row: tuple, dims: int, kind: str) -> None:
    if len(row) == dims:
        return
    if dims == 1:
        raise RuntimeError(
            f"{name}() argument 'output_size' should contain one int (got {len(row)})"
        )
    if kind == "avg":
        raise RuntimeError(f"{name}: output_size must be {dims}")
    raise RuntimeError(f"{name}(): internal error: output_size.size() must be {dims}")


def _declare_adaptive(kind: str, dims: int) -> Callable[..., Any]:
    name = f"adaptive_{kind}_pool{dims}d"
    record = aten.adaptive_avg_pool if kind == "avg" else aten.adaptive_max_pool

    def sized(input, output_size):
        row = _output_size(output_size, input, dims)
        _check_count(name, row, dims, kind)
        return record(input, row)

    def mean(input, output_size) -> Tensor:
        return sized(input, output_size)

    def greatest(input, output_size, return_indices=False):
        found = sized(input, output_size)
        return found if return_indices else found[0]

    function = mean if kind == "avg" else greatest
    what = "mean" if kind == "avg" else "greatest element"
    _describe(function, name, f"Return the {what} of ``output_size`` windows shared out evenly.")
    return public(function, method=False, module=dims == 1)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _declare_adaptive("avg", dims) for dims in (1, 2, 3)
)
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _declare_adaptive("max", dims) for dims in (1, 2, 3)
)


def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """Return the greatest element of ``output_size`` windows, and its place."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """Return the greatest element of ``output_size`` windows, and its place."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """Return the greatest element of ``output_size`` windows, and its place."""
    return adaptive_max_pool3d(input, output_size, True)


# ---- power averages ----


def _spread(size, dims: int) -> tuple[int, ...]:
    return (size,) * dims if isinstance(size, int) else tuple(size)


def _declare_power(dims: int):
    average = (avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1]

    def function(input, norm_type, kernel_size, stride=None, ceil_mode=False) -> Tensor:
        count = 1
        for k in _spread(kernel_size, dims):
            count *= k
        mean = average(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
        return (mean.sign() * mean.abs().relu()).mul(count).pow(1.0 / norm_type)

    _describe(function, f"lp_pool{dims}d", "Return the root of the sum of powers of each window.")
    return function


lp_pool1d, lp_pool2d, lp_pool3d = map(_declare_power, (1, 2, 3))


# ---- back to the larger map ----


def _unpooled(input, kernel_size, stride, padding, output_size) -> tuple[int, ...]:
    """Return the size that was pooled, which ``output_size`` may choose within a step."""
    dims = len(kernel_size)
    smallest = tuple(
        (n - 1) * s + k - 2 * p
        for n, s, k, p in zip(input.shape[-dims:], stride, kernel_size, padding, strict=True)
    )
    if output_size is None:
        return smallest
    chosen = tuple(output_size)
    if len(chosen) == dims + 2:
        chosen = chosen[2:]
    if len(chosen) != dims:
        raise ValueError(
            f"output_size should be a sequence containing {dims} or {dims + 2} elements, "
            f"but it has a length of '{len(chosen)}'"
        )
    for i, (size, base, s) in enumerate(zip(chosen, smallest, stride, strict=True)):
        if not base - s < size < base + s:
            raise ValueError(
                f'invalid output_size "{chosen}" (dim {i} must be between {base - s} '
                f"and {base + s})"
            )
    return chosen


def _declare_unpool(dims: int):
    def function(input, indices, kernel_size, stride=None, padding=0, output_size=None) -> Tensor:
        kernel = _spread(kernel_size, dims)
        steps = kernel if stride is None else _spread(stride, dims)
        size = _unpooled(input, kernel, steps, _spread(padding, dims), output_size)
        _check_places(indices, size)
        return aten.max_unpool(input, indices, size)

    _describe(function, f"max_unpool{dims}d", "Put pooled elements back where they came from.")
    return function


def _check_places(indices: Tensor, size: tuple[int, ...]) -> None:
    shown = "x".join(map(str, size if len(size) > 1 else (*size, 1)))
    check_within(indices, 0, math.prod(size) - 1, lambda _, value: RuntimeError(
        f"Found an invalid max index: {value} (output volumes are of size {shown})"
    ))  # fmt: skip


max_unpool1d, max_unpool2d, max_unpool3d = map(_declare_unpool, (1, 2, 3))
