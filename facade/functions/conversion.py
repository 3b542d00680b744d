"""Move tensors between dtypes and devices: ``to``, ``float``, ``cpu``, ``type`` and their kin."""

from facade import aten, dtypes
from facade.binding import public
from facade.devices import CPU, META, device, resolve
from facade.errors import bad_argument
from facade.graph import PythonNode
from facade.layouts import preserve_format
from facade.ops.registry import OPS
from facade.overlap import refuse_overlap
from facade.parts import Parts
from facade.recording import record_on, wrap
from facade.storage import transfer
from facade.tape import state
from facade.tensor import Tensor


@public
def to(self: Tensor, *args, **kwargs) -> Tensor:
    """Return this tensor with another dtype or device; itself if nothing changes.

    Called as ``to(dtype)``, ``to(device, dtype)`` or ``to(other)``; ``non_blocking``, ``copy`` and
    ``memory_format`` may follow.
    """
    wanted_device, wanted_dtype, copy, layout = parse_to(*args, **kwargs)
    result = self
    if wanted_device is not None and wanted_device is not self.device:
        result = _to_device(result, wanted_device)
    if wanted_dtype is not None and wanted_dtype is not self.dtype:
        result = aten._to_copy(result, wanted_dtype)
    if layout not in (None, preserve_format):
        result = result.contiguous(memory_format=layout)
    return result.clone() if copy and result is self else result


def parse_to(*args, **kwargs):
    """Return ``(device, dtype, copy, memory_format)`` of ``to``'s arguments, None where not given.

    Raises:
        TypeError: the arguments are none that ``to`` takes.
    """
    where, kind, copy = kwargs.pop("device", None), kwargs.pop("dtype", None), False
    rest = list(args)
    if "other" in kwargs:
        rest.insert(0, kwargs.pop("other"))
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
        where, kind = other.device, other.dtype
    if rest and isinstance(rest[0], device | str | int) and not isinstance(rest[0], bool):
        where = rest.pop(0)
    elif rest and rest[0] is None:
        rest.pop(0)
    if rest and isinstance(rest[0], dtypes.dtype):
        kind = rest.pop(0)
    if rest and isinstance(rest[0], bool):
        rest.pop(0)  # non_blocking: every transfer is
    if rest and isinstance(rest[0], bool):
        copy = rest.pop(0)
    copy = kwargs.pop("copy", copy)
    kwargs.pop("non_blocking", None)
    layout = kwargs.pop("memory_format", None)
    if rest or kwargs or (kind is not None and not isinstance(kind, dtypes.dtype)):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"({', '.join(type(a).__name__ for a in args)}, "
            f"{', '.join(f'{k}={type(v).__name__}' for k, v in kwargs.items())}), but expected "
            "one of: to(device, dtype), to(dtype), to(other)"
        )
    return (None if where is None else resolve(where)), kind, copy, layout


class ToCopyBackward0(PythonNode):
    """Brings a gradient back to the device that its tensor came from."""

    def __init__(self, source: Tensor) -> None:
        super().__init__(((source._node, source._number),), (source._aval,))
        self.source_device = source.device

    def backward(self, cotangents: list, create_graph: bool) -> list:
        return [_to_device(cotangents[0], self.source_device)]


def _to_device(t: Tensor, where: device) -> Tensor:
    """Return a copy on another device; a gradient comes back the same way."""
    if isinstance(t._cell, Parts):
        return t.moved(lambda part: _to_device(part, where))  # type: ignore[attr-defined]
    node = ToCopyBackward0(t) if t.requires_grad and state.grad else None
    if t.device is META:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    if where is META:
        return wrap(
            record_on(META, OPS["zeros"], (), (t._aval.shape, t.dtype))._cell, t._aval, node
        )
    return wrap(transfer(t._cell, where), t._aval, node)


@public(module=False)
def cpu(self: Tensor, memory_format=None) -> Tensor:
    """Return this tensor on the CPU."""
    return to(self, CPU, memory_format=memory_format)


@public(module=False)
def cuda(self: Tensor, device=None, non_blocking: bool = False, memory_format=None) -> Tensor:
    """Return this tensor on a GPU."""
    return to(self, "cuda" if device is None else device, memory_format=memory_format)


@public
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """Return this tensor with ``other``'s dtype and device."""
    return to(self, other)


@public(name="type", module=False)
def type_(self: Tensor, dtype=None, non_blocking: bool = False):
    """Return the name of the tensor's type, or the tensor with another dtype."""
    if dtype is None:
        prefix = {"cpu": "torch"}.get(self.device.type, f"torch.{self.device.type}")
        return f"{prefix}.{dtypes.SCALAR_NAMES[self.dtype]}Tensor"
    return to(self, dtype_of_type(dtype))


def dtype_of_type(kind) -> dtypes.dtype:
    """Return the dtype of a legacy type name such as ``"torch.FloatTensor"``.

    Raises:
        ValueError: there is no such type.
    """
    if isinstance(kind, dtypes.dtype):
        return kind
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__name__}"
    legacy = {f"{v}Tensor": k for k, v in dtypes.SCALAR_NAMES.items()}
    found = legacy.get(name.rpartition(".")[2])
    if found is None:
        raise ValueError(f"invalid type: '{name}'")
    return found


def _cast(name: str, d: dtypes.dtype) -> None:
    def method(self: Tensor, memory_format=None) -> Tensor:
        result = self if self._aval.dtype is d else aten._to_copy(self, d)
        if memory_format in (None, preserve_format):
            return result
        return result.contiguous(memory_format=memory_format)

    method.__name__ = name
    method.__doc__ = f"Return this tensor as {d!r}."
    public(method, module=False)


_MORE = {
    "bfloat16": dtypes.bfloat16, "char": dtypes.int8, "byte": dtypes.uint8, "bool": dtypes.bool_,
}  # fmt: skip
for _name, _dtype in (dtypes.ALIASES | _MORE).items():
    _cast(_name, _dtype)


@public(module=False)
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Write ``src``, broadcast and cast, into this tensor."""
    if not isinstance(src, Tensor):
        raise bad_argument("copy_", "other", 1, "Tensor", src)
    refuse_overlap(self, src)
    if src.device is not self.device:
        src = to(src, self.device)
    if src.shape != self.shape:
        src = src.expand(self.shape)
    return self.write(aten.copy(self, src))
