"""torch.Size: the tuple that a tensor's shape is."""

import math
import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload


class Size(tuple[int, ...]):
    """A tuple of ints that prints as PyTorch's and stays one when sliced or joined."""

    __slots__ = ()

    def __new__(cls, sizes: Iterable = ()) -> "Size":
        """Raises TypeError when an item isn't an integer."""
        return super().__new__(cls, [_integer(s, i) for i, s in enumerate(sizes)])

    def numel(self) -> int:
        """Return the number of elements of a tensor of this size."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> "Size": ...
    def __getitem__(self, index) -> Any:
        found = tuple.__getitem__(self, index)
        return tuple.__new__(Size, found) if isinstance(index, slice) else found

    def __add__(self, other) -> Any:
        if not isinstance(other, tuple):
            kind = type(other).__name__
            raise TypeError(f"can only concatenate tuple (not {kind}) to torch.Size")
        return tuple.__new__(Size, tuple.__add__(self, other))

    def __radd__(self, other):
        return Size(other) + self if isinstance(other, tuple) else NotImplemented

    def __mul__(self, count) -> Any:
        return tuple.__new__(Size, tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)


def _integer(value, position: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(
            f"torch.Size() takes an iterable of 'int' (item {position} is '{kind}')"
        ) from None
