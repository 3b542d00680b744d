"""torch.nested: tensors of several sizes in one."""

import math
from typing import Any

import numpy as np

from facade import aten, functions, layouts, printing
from facade.avals import aval
from facade.composed import ComposedTensor
from facade.errors import no_dimension
from facade.parts import Parts
from facade.recording import record
from facade.tensor import Tensor

__all__ = ["as_nested_tensor", "nested_tensor", "to_padded_tensor"]

_NO_SIZES = "Internal error: NestedTensorImpl doesn't support sizes. Please file an issue."
# Ops that are asked of all elements at once
_UNARY = (
    "_to_copy", "abs", "clone", "cos", "elu", "exp", "fill_", "gelu", "isnan", "leaky_relu", "log",
    "logical_not", "neg", "ones_like", "relu", "sgn", "sigmoid", "silu", "sin", "sqrt", "tanh",
    "zero_", "zeros_like",
)  # fmt: skip
_BINARY = ("add", "div", "div_scalar", "eq", "ge", "gt", "mul", "mul_scalar", "sub")


class NestedCell(Parts):
    """The cell of a nested tensor."""

    __slots__ = ()
    kind = "nested"
    instead = "x.to_padded_tensor(0.) or x.unbind()"

    def record(self, spec, operands: tuple, static: tuple) -> Any:
        """Return what an op makes of nested operands.

        Raises:
            NotImplementedError: nothing.
        """
        if spec.name in _UNARY:
            x, *rest = operands
            return x.like(record(spec, (x.elements, *rest), static))
        if spec.name in _BINARY:
            return _binary(spec, operands, static)
        if spec.name not in _HANDLERS:
            raise self.refusal(spec.name)
        return _HANDLERS[spec.name](*operands, *static)


class NestedTensor(ComposedTensor):
    """Tensors of as many dimensions in a row; ``elements`` are all of theirs, one after another.

    Attributes:
        sizes: Theirs.
    """

    is_nested = True
    sizes: tuple[tuple[int, ...], ...]

    @staticmethod
    def make(elements: Tensor, sizes) -> "NestedTensor":
        """Return a nested tensor of ``elements (n,)``."""
        known = aval(tuple(elements.shape), elements.dtype)
        made = NestedTensor._bare(NestedCell(elements.device), known, elements)
        made.sizes = tuple(map(tuple, sizes))
        return made

    @staticmethod
    def of(pieces: list[Tensor], name: str) -> "NestedTensor":
        """Return a nested tensor of these; ``name`` is its backward's."""
        flat = aten.cat(tuple(piece.reshape(-1) for piece in pieces), 0)
        return NestedTensor.make(aten.elements_of(flat, name), [piece.shape for piece in pieces])

    def like(self, elements: Tensor) -> "NestedTensor":
        return NestedTensor.make(elements, self.sizes)

    def pieces(self) -> list[Tensor]:
        """Return the tensors."""
        counts = [math.prod(size) for size in self.sizes]
        parts = aten.split_with_sizes(self.elements, tuple(counts), 0) if counts else ()
        return [part.reshape(size) for part, size in zip(parts, self.sizes, strict=True)]

    def values(self) -> Tensor:
        """Return the elements of all tensors, one after another."""
        return aten.elements_of(self.elements, "ValuesBackward0")

    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """Return the tensors.

        Raises:
            RuntimeError: ``dim`` is not 0.
        """
        if dim != 0:
            raise RuntimeError(
                f"NestedTensor can only be unbound along dimension 0 got dimension {dim} instead."
            )
        name = "UnbindBackwardAutogradNestedTensor0"
        return tuple(aten.elements_of(piece, name) for piece in self.pieces())

    def to_padded_tensor(self, padding: float, output_size=None) -> Tensor:
        """Return the tensors one upon another, padded to the size of the largest.

        Args:
            output_size: Pad to this size.
        Raises:
            RuntimeError: it is too small.
        """
        largest = np.array(self.sizes, int).max(0).tolist() if self.sizes else []
        shape = (len(self.sizes), *largest)
        if output_size is not None:
            if any(n < m for n, m in zip(output_size, shape, strict=True)):
                raise RuntimeError(
                    "Value in output_size is less than NestedTensor padded size. Truncation is "
                    "not supported."
                )
            shape = tuple(output_size)
        inside = np.zeros(shape, bool)
        for i, size in enumerate(self.sizes):
            inside[(i, *map(slice, size))] = True
        places = Tensor._from_array(inside.reshape(-1).nonzero()[0], self.device)
        empty = functions.full((math.prod(shape),), padding, dtype=self.dtype, device=self.device)
        padded = aten.index_copy(empty, 0, places, self.elements).reshape(shape)
        return aten.elements_of(padded, "ToPaddedTensorBackward0")

    def own_gradient(self, gradient: Tensor) -> Tensor:
        if not isinstance(gradient, NestedTensor) or gradient.sizes != self.sizes:
            raise self._cell.refusal("a gradient of other sizes")
        return gradient.elements

    # ---- facts ----

    @property
    def shape(self) -> Any:
        raise RuntimeError(_NO_SIZES)

    @property
    def ndim(self) -> int:
        return 1 + len(self.sizes[0]) if self.sizes else 1

    def dim(self) -> int:
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        """Return the size along a dimension, if that is the same for all.

        Raises:
            RuntimeError: it is not.
            IndexError: there is no such dimension.
        """
        if dim is None:
            raise RuntimeError(_NO_SIZES)
        if not -self.ndim <= dim < self.ndim:
            raise no_dimension(dim, self.ndim)
        dim %= self.ndim
        found = {size[dim - 1] for size in self.sizes} if dim else {len(self.sizes)}
        if len(found) > 1:
            raise RuntimeError(f"Given dimension {dim} is irregular and does not have a size.")
        return found.pop()

    def stride(self, dim: int | None = None) -> Any:
        raise RuntimeError(_NO_SIZES.replace("sizes", "strides"))

    def _same_size(self, value: Any) -> bool:
        return value.sizes == self.sizes

    _same_places = _same_size

    def _nested_tensor_size(self) -> Tensor:
        return Tensor._from_array(np.array(self.sizes, np.int64))

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Any:
        return iter(self.unbind())

    def __getitem__(self, key) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if not isinstance(first, int):
            raise self._cell.refusal("indexing but by a number")
        if not -len(self.sizes) <= first < len(self.sizes):
            raise IndexError(
                f"index {first} is out of bounds for dimension 0 with size {len(self.sizes)}"
            )
        piece = aten.elements_of(self.pieces()[first], "SelectBackwardAutogradNestedTensor0")
        return piece[tuple(rest)] if rest else piece

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        pieces = [piece.detach() for piece in self.detach().pieces()]
        shown = [repr(piece.requires_grad_(self.requires_grad)) for piece in pieces]
        suffixes = [f"grad_fn=<{type(self.grad_fn).__name__}>"] if self.grad_fn else []
        if self.is_leaf and self.requires_grad:
            suffixes = ["requires_grad=True"]
        return printing.list_str("nested_tensor(", shown, suffixes)

    def __reduce_ex__(self, protocol):
        return NestedTensor.make, (self.elements, self.sizes)


# ---- what ops make of them ----


def _both_nested(a, b, which: str = "both self and other") -> None:
    if not (isinstance(a, NestedTensor) and isinstance(b, NestedTensor)):
        names = ("nested" if isinstance(x, NestedTensor) else "non-nested" for x in (a, b))
        raise RuntimeError(
            f"Expected {which} to be nested, but got a {next(names)} self and {next(names)} other"
        )


def _binary(spec, operands: tuple, static: tuple) -> NestedTensor:
    x, y, *rest = operands
    nested = next(each for each in (x, y) if isinstance(each, NestedTensor))
    if not any(_is_number(each) for each in (x, y)):
        _both_nested(x, y)
        if x.sizes != y.sizes:
            raise RuntimeError(
                f"{spec.name} does not support broadcasting when given a NestedTensor"
            )
    x, y = (each.elements if isinstance(each, NestedTensor) else each for each in (x, y))
    return nested.like(record(spec, (x, y, *rest), static))


def _is_number(x) -> bool:
    return not isinstance(x, Tensor) or (not isinstance(x, NestedTensor) and not x.ndim)


def linear(input, weight, bias=None) -> NestedTensor:
    """Apply a layer to the last dimension of each tensor."""
    if not isinstance(input, NestedTensor) or isinstance(weight, NestedTensor):
        raise NestedCell(weight.device).refusal("linear with a nested weight")
    rows = input.elements.reshape(-1, input.size(-1))
    result = aten.elements_of(aten.linear(rows, weight, bias).reshape(-1), "LinearBackward0")
    return NestedTensor.make(result, [(*size[:-1], weight.shape[0]) for size in input.sizes])


def matmul(input, other) -> NestedTensor:
    """Multiply the tensors of two nested ones."""
    _both_nested(input, other, "both")
    pairs = zip(input.pieces(), other.pieces(), strict=True)
    return NestedTensor.of([aten.matmul(a, b) for a, b in pairs], "MatmulBackward0")


def transpose(input: NestedTensor, dim0: int, dim1: int) -> NestedTensor:
    """Swap two dimensions, none of which is the first."""
    dims = [d % input.ndim - 1 for d in (dim0, dim1)]
    if -1 in dims:
        raise input._cell.refusal("transpose of the first dimension")
    turned = [aten.transpose(piece, *dims) for piece in input.pieces()]
    return NestedTensor.of(turned, "TransposeBackward0")


def softmax(input: NestedTensor, dim: int, dtype=None) -> NestedTensor:
    """Apply softmax to each tensor."""
    if dim % input.ndim == 0:
        raise input._cell.refusal("softmax along the first dimension")
    inner = dim % input.ndim - 1
    results = [aten.softmax(piece, inner, dtype) for piece in input.pieces()]
    return NestedTensor.of(results, "SoftmaxBackward0")


def cat(*operands) -> NestedTensor:
    """Put the tensors of nested ones into one."""
    *tensors, dim = operands
    if dim != 0 or not all(isinstance(x, NestedTensor) for x in tensors):
        raise NestedCell(tensors[0].device).refusal("cat but of nested tensors along 0")
    elements = aten.cat(tuple(x.elements for x in tensors), 0)
    return NestedTensor.make(elements, [size for x in tensors for size in x.sizes])


_HANDLERS = {
    "cat": cat,
    "linear": linear,
    "matmul": matmul,
    "softmax": softmax,
    "transpose": transpose,
    "unbind": NestedTensor.unbind,
}


# ---- make them ----


def nested_tensor(
    tensor_list, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
) -> NestedTensor:
    """Return a nested tensor of copies; a leaf.

    Args:
        tensor_list: Tensors of as many dimensions, or lists of numbers.
    """
    if not isinstance(tensor_list, list | tuple):
        raise TypeError(
            "Only lists (List[Tensor] and List[List...[Scalar]]) are accepted in nested_tensor"
        )
    pieces = [x.detach() if isinstance(x, Tensor) else functions.tensor(x) for x in tensor_list]
    made = as_nested_tensor(pieces, dtype, device, layout).detach()
    if requires_grad and not (made.dtype.is_floating_point or made.dtype.is_complex):
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return made.requires_grad_(requires_grad)


def as_nested_tensor(ts, dtype=None, device=None, layout=None) -> NestedTensor:
    """Return a nested tensor with the history of the tensors it is made of.

    Args:
        ts: A list of tensors of as many dimensions, or a tensor, whose rows are taken.
    """
    if layout not in (None, layouts.strided):
        raise NotImplementedError(
            f"nested tensors of layout {layout} are not implemented; use layout=torch.strided"
        )
    if isinstance(ts, NestedTensor):
        return ts
    pieces = list(ts.unbind() if isinstance(ts, Tensor) else ts)
    for i, piece in enumerate(pieces):
        if piece.ndim != pieces[0].ndim:
            raise RuntimeError(
                "All Tensors given to nested_tensor must have the same dimension. Found dimension "
                f"{piece.ndim} for Tensor at index {i} and dimension {pieces[0].ndim} for Tensor "
                "at index 0."
            )
    if not pieces:
        return NestedTensor.make(functions.empty(0, dtype=dtype, device=device), ())
    pieces = [x.to(device=device, dtype=dtype or pieces[0].dtype) for x in pieces]
    return NestedTensor.of(pieces, "NestedTensorFromTensorListBackward0")


def to_padded_tensor(input: Tensor, padding: float, output_size=None) -> Tensor:
    """Return the tensors of a nested one upon another, padded to the size of the largest."""
    if not isinstance(input, NestedTensor):
        raise NotImplementedError("to_padded_tensor is implemented for nested tensors only")
    return input.to_padded_tensor(padding, output_size)
