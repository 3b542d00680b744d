"""What is known of a tensor without its values: shape, dtype, strides."""

import math

from facade import dtypes
from facade.size import Size


class Aval:
    """Shape, dtype and strides of a tensor (JAX's word is abstract value).

    Interned by :func:`aval`, so that ``is`` compares and the hash is the identity's: the recorder
    looks its results up by avals.
    """

    __slots__ = ("contiguous", "dtype", "ndim", "numel", "shape", "size", "strides")

    def __init__(
        self, shape: tuple[int, ...], dtype: dtypes.dtype, strides: tuple[int, ...]
    ) -> None:
        self.shape = tuple(shape)
        self.size = Size(shape)
        self.dtype = dtype
        self.strides = strides
        self.ndim = len(shape)
        self.numel = math.prod(shape)
        self.contiguous = is_contiguous(shape, strides)

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

    def __reduce__(self):
        return aval, (self.shape, self.dtype, self.strides)


_interned: dict = {}


def aval(
    shape: tuple[int, ...], dtype: dtypes.dtype, strides: tuple[int, ...] | None = None
) -> Aval:
    """Return the one aval of these facts; without ``strides`` a contiguous one."""
    key = (shape, dtype, strides)
    found = _interned.get(key)
    if found is None:
        full = contiguous_strides(shape) if strides is None else strides
        found = _interned.setdefault((shape, dtype, full), Aval(shape, dtype, full))
        _interned[key] = found
    return found


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return row-major strides in elements; sizes of 0 count as 1, as in PyTorch."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether the elements lie in row-major order without gaps (sizes of 1 don't matter)."""
    if 0 in shape:
        return True
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def check_extent(size: tuple, stride: tuple, offset: int, count: int, itemsize: int) -> None:
    """Check that strides stay within a storage of ``count`` elements of ``itemsize`` bytes.

    Raises:
        RuntimeError: they don't.
    """
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= count:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and "
            f"itemsize {itemsize} requiring a storage size of {(last + 1) * itemsize} are out of "
            f"bounds for storage of size {count * itemsize}"
        )


def is_dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether the elements fill their memory without gaps or overlap, in any order."""
    expected = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def channels_last_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of ``(N, C, *)`` stored as ``(N, *, C)``."""
    moved = contiguous_strides((shape[0], *shape[2:], shape[1]))
    return (moved[0], moved[-1], *moved[1:-1])


def is_channels_last(a: Aval) -> bool:
    """Return whether PyTorch would call this memory format channels last rather than contiguous."""
    if a.ndim not in (4, 5) or a.contiguous or 0 in a.shape or not a.strides[1]:
        return False
    least = 0
    for dim in (1, *range(a.ndim - 1, 1, -1), 0):
        if a.strides[dim] < least or (dim == 0 and least == a.strides[1]):
            return False
        least = a.strides[dim] * a.shape[dim]
    return True


def elementwise_strides(shape: tuple[int, ...], operands: list[Aval]) -> tuple[int, ...]:
    """Return the strides PyTorch gives an elementwise result (``TensorIterator``'s order).

    Dimensions are sorted by the operands' strides, the first operand that tells two of them apart
    deciding; the result is dense in that order.
    """
    if all(a.contiguous for a in operands) and any(a.shape == shape for a in operands):
        return contiguous_strides(shape)
    if len({a.strides for a in operands}) == 1 and is_dense(shape, operands[0].strides):
        return operands[0].strides
    rows = [_broadcast_strides(a, shape) for a in operands]
    order = list(range(len(shape)))[::-1]  # fastest moving first
    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            verdict = _compare(order[j], order[at], rows, shape)
            if verdict > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif verdict < 0:
                break
    strides, step = [0] * len(shape), 1
    for dim in order:
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def _broadcast_strides(a: Aval, shape: tuple[int, ...]) -> list[int]:
    missing = len(shape) - a.ndim
    own = [
        0 if size == 1 and full != 1 else stride
        for size, stride, full in zip(a.shape, a.strides, shape[missing:], strict=True)
    ]
    return [0] * missing + own


def _compare(dim0: int, dim1: int, rows: list[list[int]], shape: tuple[int, ...]) -> int:
    for strides in rows:
        s0, s1 = strides[dim0], strides[dim1]
        if s0 == 0 or s1 == 0:
            continue
        if s0 != s1:
            return -1 if s0 < s1 else 1
        if shape[dim0] > shape[dim1]:
            return 1
    return 0
