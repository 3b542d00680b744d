"""Give a tensor other elements than it had: ``resize_``, ``set_``; a few facts and fillings."""

import math

from facade import aten
from facade.avals import contiguous_strides
from facade.binding import public
from facade.casts import without_autocast
from facade.errors import no_overload
from facade.functions.construction import tensor
from facade.functions.creation import zeros
from facade.functions.strided import as_strided
from facade.tensor import Tensor

# ---- in place: another size ----


@public(module=False)
def resize_(self: Tensor, *sizes, memory_format=None) -> Tensor:
    """Change the size, keeping the first elements; new ones are zeros.

    Raises:
        RuntimeError: the tensor requires grad.
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    flat, count = self.reshape(-1), math.prod(shape)
    if count > flat.shape[0]:
        added = zeros(count - flat.shape[0], dtype=self.dtype, device=self.device)
        flat = aten.cat((flat, added), 0)
    self.data = flat[:count].clone().view(shape)
    return self


@public
def resize_as_(input: Tensor, the_template: Tensor, *, memory_format=None) -> Tensor:
    """Change the size to another tensor's."""
    return resize_(input, tuple(the_template.shape))


@public(module=False)
def addbmm_(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta=None, alpha=None) -> Tensor:
    """In-place version of :func:`facade.addbmm`; a smaller tensor takes the result's size."""
    result = without_autocast(aten.addbmm)(self, batch1, batch2, beta=beta, alpha=alpha)
    if result.shape != self.shape and 0 not in self.stride():
        self.data = zeros(result.shape, dtype=self.dtype, device=self.device)
    return self.write(result)


@public(module=False)
def set_(self: Tensor, source: Tensor | None = None) -> Tensor:
    """Share another tensor's storage and size from now on.

    Raises:
        TypeError: ``source`` is no tensor.
    """
    if source is not None and not isinstance(source, Tensor):
        raise no_overload("set_", (source,), {}, ("", "Tensor source"))
    self.data = zeros(0, dtype=self.dtype) if source is None else source
    return self


# ---- filling and replacing parts ----


@public(module=False)
def fill_diagonal_(self: Tensor, fill_value, wrap: bool = False) -> Tensor:
    """Set the diagonal, all indices equal, to a number.

    Args:
        wrap: Whether it begins anew below the end of a tall matrix.
    Raises:
        RuntimeError: there are fewer than two dimensions, or more of different sizes.
    """
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step, size = sum(self.stride()), min(self.shape)
    as_strided(self, (size,), (step,)).fill_(fill_value)
    rows, columns = self.shape[0], self.shape[-1]
    if wrap and self.ndim == 2 and rows > columns + 1:
        count = -(-self.numel() // step) - size
        start = self.stride(0) * (columns + 1)
        as_strided(self, (count,), (step,), start).fill_(fill_value)
    return self


# ---- facts ----


@public
def is_nonzero(input: Tensor) -> bool:
    """Return whether the only element is not zero."""
    return bool(input)


@public
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same size."""
    return input.shape == other.shape


@public
def is_distributed(input: Tensor) -> bool:
    """Return False: the tensor is no part of one that several machines hold."""
    return False


# ---- places ----


@public(method=False)
def unravel_index(indices: Tensor, shape) -> tuple[Tensor, ...]:
    """Return the positions along each dimension of elements counted in row-major order."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    steps, ends = (tensor(row, device=indices.device) for row in (contiguous_strides(sizes), sizes))
    places = indices.unsqueeze(-1) // steps % ends
    return places.unbind(-1)
