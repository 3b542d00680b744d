"""Copies of views whose op takes other arguments than the function; see `ops/copies.py`."""

import functools

from facade import aten
from facade.binding import public, write_out
from facade.dtypes import dtype as dtype_class
from facade.functions.views import position, span
from facade.tensor import Tensor
from facade.underived import underived_result


@public(method=False, out=True)
def expand_copy(input: Tensor, size, *, implicit: bool = False) -> Tensor:
    """Copy what ``expand`` shows."""
    return aten.expand_copy(input, tuple(size))


@public(method=False, out=True)
def select_copy(input: Tensor, dim: int, index: int) -> Tensor:
    """Copy one position along ``dim``."""
    return aten.select_copy(input, *position(input, dim, index))


@public(method=False, out=True)
def slice_copy(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """Copy the positions ``start:end:step`` along ``dim``."""
    return aten.slice_copy(input, *span(input, dim, start, end, step))


@public(method=False, out=True)
def view_copy(input: Tensor, size=None, *, dtype: dtype_class | None = None) -> Tensor:
    """Copy the elements in another size, or their bits as another dtype."""
    kind = size if isinstance(size, dtype_class) else dtype
    if kind is not None:
        return aten.contiguous_copy(aten.view_dtype(input, kind, input.dtype))
    return aten.view_copy(input, size)


@public(method=False, out=True)
def detach_copy(input: Tensor) -> Tensor:
    """Copy, without a history; PyTorch has no derivative of that and says so."""
    return underived_result(aten.clone(input.detach()), (input,), "detach_copy")


def _pieces(name: str):
    copy = getattr(aten, f"{name}_copy")

    @functools.wraps(copy)
    def function(*args, out=None, **kwargs):
        pieces = copy(*args, **kwargs)
        return pieces if out is None else write_out(name, out, pieces) and None

    return function


for _name in ("split", "split_with_sizes", "unbind"):
    public(_pieces(_name), method=False)
