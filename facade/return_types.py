"""The named tuples that functions with several results return (``torch.return_types``)."""

from collections import namedtuple


def _repr(self) -> str:
    rows = ",\n".join(f"{n}={v!r}" for n, v in zip(self._fields, self, strict=True))
    return f"torch.return_types.{type(self).__name__}(\n{rows})"


def named_tuple(name: str, fields: tuple[str, ...]) -> type:
    """Return a tuple type that prints as PyTorch's."""
    made = namedtuple(name, fields)
    made.__repr__ = _repr  # type: ignore[method-assign]
    made.__module__ = __name__
    return made


def _selection(name: str) -> type:
    return named_tuple(name, ("values", "indices"))


aminmax = named_tuple("aminmax", ("min", "max"))
cummax = _selection("cummax")
cummin = _selection("cummin")
kthvalue = _selection("kthvalue")
max = _selection("max")
median = _selection("median")
min = _selection("min")
mode = _selection("mode")
nanmedian = _selection("nanmedian")
sort = _selection("sort")
topk = _selection("topk")
