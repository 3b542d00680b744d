"""Matrix products with several spellings, and einsum."""

import string
import warnings

from facade import aten
from facade.binding import public
from facade.casts import arguments, without_autocast
from facade.ops import linalg
from facade.ops.einsum import parse_einsum
from facade.program import flush
from facade.tape import state
from facade.tensor import Tensor


@public(method=False)
def get_float32_matmul_precision() -> str:
    """Return how exact float32 matrix products are: "highest", "high" or "medium"."""
    return linalg.get_float32_matmul_precision()


@public(method=False)
def set_float32_matmul_precision(precision: str) -> None:
    """Choose how exact float32 matrix products are; the default is full float32."""
    if precision in linalg.PRECISIONS:
        choose_precision(precision)
    else:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
            "setFloat32MatmulPrecision call has no effect.",
            stacklevel=2,
        )


def choose_precision(precision: str | None) -> None:
    """Choose how exact float32 products recorded from now on are; None is no choice."""
    flush(state.tape)  # what is recorded already keeps the precision it was recorded with
    linalg.choose_precision(precision)


@public(module=False)
def __matmul__(self: Tensor, other) -> Tensor:
    """Return ``self @ other``."""
    return aten.matmul(self, other) if isinstance(other, Tensor) else NotImplemented


@public(module=False)
def __rmatmul__(self: Tensor, other) -> Tensor:
    """Return ``other @ self``."""
    return aten.matmul(other, self) if isinstance(other, Tensor) else NotImplemented


@public(method=False, out=True)
def tensordot(a: Tensor, b: Tensor, dims=2) -> Tensor:
    """Sum products along pairs of dimensions.

    Args:
        dims: How many: the last ones of ``a`` and the first ones of ``b``; or their two lists.
    Raises:
        RuntimeError: the lists or the sizes differ.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        return aten.tensordot(a, b, tuple(range(-dims, 0)), tuple(range(dims)))
    first, second = ((d,) if isinstance(d, int) else tuple(d) for d in dims)
    return aten.tensordot(a, b, first, second)


@public(out=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Return the cross products of the 3-vectors along ``dim``, by default the first of size 3."""
    if dim is None:
        if 3 not in input.shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = input.shape.index(3)
    return aten.linalg_cross(input, other, dim)


@public(method=False, out=True)
def chain_matmul(*matrices) -> Tensor:
    """Multiply matrices in a row."""
    if len(matrices) == 1 and not isinstance(matrices[0], Tensor):
        matrices = tuple(matrices[0])
    if len(matrices) == 1:
        return aten.clone(matrices[0])
    matrices = arguments("chain_matmul", *matrices)
    labels = string.ascii_letters[: len(matrices) + 1]
    terms = ",".join(labels[i : i + 2] for i in range(len(matrices)))
    return aten.einsum(f"{terms}->{labels[0]}{labels[-1]}", matrices)


@public(out=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Return the Kronecker product: ``other``, multiplied by each element of ``input``."""
    sizes = [(1,) * (max(input.ndim, other.ndim) - t.ndim) + tuple(t.shape) for t in (input, other)]
    rows = input.reshape([n for size in sizes[0] for n in (size, 1)])
    blocks = other.reshape([n for size in sizes[1] for n in (1, size)])
    return aten.kron(rows, blocks, tuple(a * b for a, b in zip(*sizes, strict=True)))


# ---- einsum ----


@public(method=False)
def einsum(*args) -> Tensor:
    """Sum products of elements by Einstein's notation.

    Called as ``einsum("ij,jk->ik", a, b)`` or ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
    Raises:
        RuntimeError: the equation is wrong, or doesn't fit the operands.
    """
    equation, operands = _from_sublists(args) if isinstance(args[0], Tensor) else _listed(args)
    operands = arguments("torch.einsum", *operands, static=(equation, len(operands)))
    if len(operands) != 1:
        return aten.einsum(equation, operands)
    return without_autocast(_rearrange)(operands[0], equation)


def _listed(args: tuple) -> tuple[str, tuple]:
    equation, *operands = args
    if len(operands) == 1 and not isinstance(operands[0], Tensor):
        operands = operands[0]
    return equation, tuple(operands)


def _from_sublists(args: tuple) -> tuple[str, tuple]:
    """Return the equation and the operands of the form with lists of numbers."""

    def spelt(labels) -> str:
        return "".join("..." if i is Ellipsis else string.ascii_letters[i] for i in labels)

    pairs = len(args) // 2
    equation = ",".join(spelt(args[2 * i + 1]) for i in range(pairs))
    if len(args) % 2:
        equation += f"->{spelt(args[-1])}"
    return equation, args[: 2 * pairs : 2]


def _rearrange(x: Tensor, equation: str) -> Tensor:
    """Take diagonals, sum and permute one tensor, as PyTorch does: a view if nothing is summed."""
    (labels,), output = parse_einsum(equation, [x.ndim])
    _check_repeated(labels, x)
    for label in sorted(set(labels), key=labels.index):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = aten.diagonal(x, 0, first, second)
            labels = labels[:first] + labels[first + 1 : second] + labels[second + 1 :] + label
    summed = [label for label in labels if label not in output]
    order = tuple(labels.index(label) for label in (*output, *summed))
    x = aten.permute(x, order)
    return x.sum(tuple(range(len(output), len(order)))) if summed else x


def _check_repeated(labels: str, x: Tensor) -> None:
    """Raise PyTorch's error if a repeated label stands for two sizes."""
    sizes: dict[str, int] = {}
    for label, size in zip(labels, x.shape, strict=True):
        if sizes.setdefault(label, size) != size:
            raise RuntimeError(
                f"einsum(): subscript {label} is repeated for operand 0 but the sizes don't match, "
                f"{size} != {sizes[label]}"
            )
