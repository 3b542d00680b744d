"""The named tuples that functions with several results return (``torch.return_types``)."""

from collections import namedtuple

_FIELDS = {
    "aminmax": ("min", "max"),
    "cummax": ("values", "indices"),
    "cummin": ("values", "indices"),
    "histogram": ("hist", "bin_edges"),
    "kthvalue": ("values", "indices"),
    "max": ("values", "indices"),
    "median": ("values", "indices"),
    "min": ("values", "indices"),
    "mode": ("values", "indices"),
    "nanmedian": ("values", "indices"),
    "sort": ("values", "indices"),
    "topk": ("values", "indices"),
}


def _repr(self) -> str:
    rows = ",\n".join(f"{n}={v!r}" for n, v in zip(self._fields, self, strict=True))
    return f"torch.return_types.{type(self).__name__}(\n{rows})"


def named_tuple(name: str, fields: tuple[str, ...]) -> type:
    """Return a tuple type that prints as PyTorch's."""
    made = namedtuple(name, fields)
    made.__repr__ = _repr  # type: ignore[method-assign]
    made.__module__ = __name__
    return made


for _name, _fields in _FIELDS.items():
    globals()[_name] = named_tuple(_name, _fields)
