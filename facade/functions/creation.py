"""Functions that make tensors from sizes and numbers: ``zeros``, ``arange``, ``full_like``, ..."""

import functools
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from facade import aten, dtypes
from facade.binding import public
from facade.errors import bad_argument, no_overload
from facade.functions.construction import place, tensor
from facade.functions.fitting import fitting
from facade.layouts import preserve_format, strided
from facade.ops.registry import OPS
from facade.outs import check_out, write_out
from facade.recording import record_on
from facade.tensor import Tensor

_OPTIONS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
    for name, default in (
        ("dtype", None), ("layout", None), ("device", None), ("requires_grad", False),
        ("pin_memory", False), ("memory_format", None),
    )
]  # fmt: skip


def creation(function: Callable) -> Callable[..., Any]:
    """Give ``function``, which takes a dtype and a device, the options of all creation functions.

    Pinning is accepted and means nothing. A function whose values depend on the order of memory
    takes the memory format itself.

    Raises:
        NotImplementedError: the layout is another than ``torch.strided``.
    """
    parameters = inspect.signature(function).parameters.values()
    formats = any(p.name == "memory_format" for p in parameters)

    @functools.wraps(function)
    def create(
        *args, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False,
        memory_format=None, **own,
    ):  # fmt: skip
        dtype = _dtype(function.__name__, dtype)
        if layout is not None and layout is not strided:
            raise NotImplementedError(f"{function.__name__} is not implemented for layout {layout}")
        if formats:
            own["memory_format"] = memory_format
        made = function(*args, dtype=dtype, device=device, **own)
        if memory_format not in (None, preserve_format):
            made = made.contiguous(memory_format=memory_format)
        if not requires_grad:
            return made
        if not (made.dtype.is_floating_point or made.dtype.is_complex):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        return made.requires_grad_()

    own = [p for p in parameters if p.name not in ("dtype", "device", "memory_format")]
    create.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*own, *_OPTIONS], return_annotation=inspect.signature(function).return_annotation
    )
    return create


def filling(function: Callable) -> Callable[..., Any]:
    """Let a creation function take ``out=``, in whose dtype its values are then made."""

    @functools.wraps(function)
    def fill(*args, out=None, dtype=None, device=None, **kwargs):
        if out is not None:
            check_out(function.__name__, out, dtype, device)
            dtype, device = out.dtype, out.device
        made = function(*args, dtype=dtype, device=device, **kwargs)
        if out is None:
            return made
        write_out(function.__name__, out, made.detach())
        return out.requires_grad_() if made.requires_grad else out

    return fill


def _dtype(name: str, given) -> dtypes.dtype | None:
    if given is None or isinstance(given, dtypes.dtype):
        return given
    if given in dtypes.PYTHON_TYPES:
        return dtypes.PYTHON_TYPES[given]
    raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(given).__name__}")


def size_of(name: str, args: tuple, size=None) -> tuple[int, ...]:
    """Return the size given as ``(2, 3)``, ``2, 3`` or ``size=(2, 3)``.

    Raises:
        TypeError: something in it is no whole number.
        RuntimeError: a size is negative.
    """
    found = whole_numbers(name, args, size)
    if any(s < 0 for s in found):
        raise RuntimeError(f"{name}: Dimension size must be non-negative.")
    return found


def whole_numbers(name: str, args: tuple, size=None) -> tuple[int, ...]:
    """Return what :func:`size_of` does, whatever the sign."""
    if size is None and not args:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    given = args if size is None else size
    if size is None and len(args) == 1 and isinstance(args[0], tuple | list):
        given = args[0]
    for position, item in enumerate(given, 1):
        if not hasattr(item, "__index__"):
            if given is args and position == 1:
                raise bad_argument(name, "size", 1, "tuple of ints", item)
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {position} with "
                f'error "type must be tuple of ints,but got {type(item).__name__}"'
            )
    return tuple(map(operator.index, given))


def _number(name: str, argument: str, position: int, value) -> Any:
    """Return a number argument as a Python number.

    Raises:
        TypeError: it is none.
    """
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and not value.ndim):
        return value.item()
    if isinstance(value, int | float | complex):
        return value
    raise bad_argument(name, argument, position, "Number", value)


# ---- filled ----


@public(method=False)
@filling
@creation
def zeros(*args, size=None, dtype, device) -> Tensor:
    """Return zeros of this size."""
    shape = size_of("zeros", args, size)
    return record_on(place(device), OPS["zeros"], (), (shape, dtype or dtypes.get_default_dtype()))


@public(method=False)
@filling
@creation
def ones(*args, size=None, dtype, device) -> Tensor:
    """Return ones of this size."""
    shape = size_of("ones", args, size)
    return record_on(place(device), OPS["ones"], (), (shape, dtype or dtypes.get_default_dtype()))


@public(method=False)
@filling
@creation
def empty(*args, size=None, dtype, device) -> Tensor:
    """Return a tensor of this size, whose values are of no interest (they are zeros)."""
    shape = size_of("empty", args, size)
    return record_on(place(device), OPS["zeros"], (), (shape, dtype or dtypes.get_default_dtype()))


@public(method=False)
@filling
@creation
def full(size, fill_value, *, dtype, device) -> Tensor:
    """Return ``fill_value`` everywhere; its kind gives the dtype."""
    if not isinstance(size, tuple | list):
        raise bad_argument("full", "size", 1, "tuple of ints", size)
    value = _number("full", "fill_value", 2, fill_value)
    dtype = dtype or dtypes.of_number(type(value))
    return _full(device, size_of("full", (), size), value, dtype)


def _full(device, shape: tuple[int, ...], value, dtype: dtypes.dtype) -> Tensor:
    return record_on(place(device), OPS["full"], (fitting(value, dtype),), (shape, dtype))


@public(method=False)
@creation
def scalar_tensor(s, *, dtype, device) -> Tensor:
    """Return a 0-dimensional tensor of the number ``s``."""
    value = _number("scalar_tensor", "s", 1, s)
    return _full(device, (), value, dtype or dtypes.get_default_dtype())


@public(method=False)
@creation
def empty_strided(size, stride, *, dtype, device) -> Tensor:
    """Return a tensor laid out in memory by ``stride``; its values are of no interest."""
    shape = size_of("empty_strided", (), size)
    if len(shape) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {len(stride)} != {len(shape)}"
        )
    static = (shape, tuple(stride), dtype or dtypes.get_default_dtype())
    return record_on(place(device), OPS["empty_strided"], (), static)


@public(method=False)
@creation
def empty_permuted(size, physical_layout, *, dtype, device) -> Tensor:
    """Return a tensor whose dimensions lie in memory in this order, the slowest first."""
    _check_layout(size, physical_layout)
    stride, step = [0] * len(size), 1
    for d in reversed(physical_layout):
        stride[d] = step
        step *= max(size[d], 1)
    return empty_strided(size, stride, dtype=dtype, device=device)


def _check_layout(size, layout) -> None:
    if len(size) != len(layout):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(size)} is not equal to len(physical_layout) = {len(layout)}"
        )
    for i, d in enumerate(layout):
        if not 0 <= d < len(size):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got "
                f"{d} at index {i}).  NB: negative dims not currently supported; file an issue if "
                "you want it."
            )
        if d in layout[:i]:
            raise RuntimeError("Duplicate dim not allowed")


@public(method=False)
@filling
@creation
def range(start=0, end=None, step=1, *, dtype, device) -> Tensor:
    """Return the numbers from ``start`` up to ``end``, which is included (deprecated)."""
    start, end = (0, start) if end is None else (start, end)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = math.floor((end - start) / step) + 1
    dtype = dtype or dtypes.get_default_dtype()
    return record_on(place(device), OPS["arange"], (start, step), (count, dtype))


@public(method=False)
def frombuffer(
    buffer, *, dtype: dtypes.dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """Return a copy of the numbers in an object that speaks the buffer protocol."""
    array = np.frombuffer(buffer, dtype.numpy, count, offset)
    return Tensor._from_array(array.copy()).requires_grad_(requires_grad)


# ---- like another tensor ----


def _like(name: str, input: Tensor, device, *args) -> Tensor:
    """Record ``name_like`` where ``input`` is, or ``name`` on another device."""
    if not isinstance(input, Tensor):
        raise bad_argument(f"{name}_like", "input", 1, "Tensor", input)
    if device is None or place(device) is input.device:
        return getattr(aten, f"{name}_like")(input.detach(), *args)
    *values, dtype = args
    shape = tuple(input.shape)
    return record_on(place(device), OPS[name], tuple(values), (shape, dtype or input.dtype))


@public(method=False)
@creation
def zeros_like(input: Tensor, *, dtype, device) -> Tensor:
    """Return zeros in the shape of ``input``, with its dtype and device."""
    return _like("zeros", input, device, dtype)


@public(method=False)
@creation
def ones_like(input: Tensor, *, dtype, device) -> Tensor:
    """Return ones in the shape of ``input``, with its dtype and device."""
    return _like("ones", input, device, dtype)


@public(method=False)
@creation
def empty_like(input: Tensor, *, dtype, device) -> Tensor:
    """Return a tensor in the shape of ``input``, whose values are of no interest."""
    return _like("zeros", input, device, dtype)


@public(method=False)
@creation
def full_like(input: Tensor, fill_value, *, dtype, device) -> Tensor:
    """Return ``fill_value`` in the shape of ``input``, with its dtype and device."""
    value = _number("full_like", "fill_value", 2, fill_value)
    dtype = dtype or input.dtype
    return _like("full", input, device, fitting(value, dtype), dtype)


def _of_kind(self: Tensor, dtype, device) -> dict:
    return {"dtype": dtype or self.dtype, "device": self.device if device is None else device}


@public(module=False)
@creation
def new_zeros(self: Tensor, *args, size=None, dtype, device) -> Tensor:
    """Return zeros of this size, with this tensor's dtype and device."""
    return zeros(size_of("new_zeros", args, size), **_of_kind(self, dtype, device))


@public(module=False)
@creation
def new_ones(self: Tensor, *args, size=None, dtype, device) -> Tensor:
    """Return ones of this size, with this tensor's dtype and device."""
    return ones(size_of("new_ones", args, size), **_of_kind(self, dtype, device))


@public(module=False)
@creation
def new_empty(self: Tensor, *args, size=None, dtype, device) -> Tensor:
    """Return a tensor of this size, with this tensor's dtype and device."""
    return zeros(size_of("new_empty", args, size), **_of_kind(self, dtype, device))


@public(module=False)
@creation
def new_empty_strided(self: Tensor, size, stride, *, dtype, device) -> Tensor:
    """Return a tensor laid out by ``stride``, with this tensor's dtype and device."""
    return empty_strided(size, stride, **_of_kind(self, dtype, device))


@public(module=False)
@creation
def new_full(self: Tensor, size, fill_value, *, dtype, device) -> Tensor:
    """Return ``fill_value`` everywhere, with this tensor's dtype and device."""
    return full(size, fill_value, **_of_kind(self, dtype, device))


@public(module=False)
@creation
def new_tensor(self: Tensor, data, *, dtype, device) -> Tensor:
    """Return a copy of ``data``, with this tensor's dtype and device."""
    return tensor(data, **_of_kind(self, dtype, device))


@public(module=False)
def new(self: Tensor, *args) -> Tensor:
    """Return a tensor of this dtype from sizes or from data (the oldest form)."""
    if len(args) == 1 and not isinstance(args[0], int | tuple):
        return new_tensor(self, args[0])
    return new_empty(self, args or (0,))


# ---- counting ----


@public(method=False)
@filling
@creation
def arange(start=None, end=None, step=1, *, dtype, device) -> Tensor:
    """Return the numbers from ``start`` (0) up to ``end``, which is left out.

    Raises:
        RuntimeError: ``step`` is 0 or leads away from ``end``.
        ValueError: ``step`` is 0 as a whole number.
    """
    if end is None:
        start, end = 0, start
    names = ("start", 0 if start is None else start), ("end", end), ("step", step)
    numbers = [_number("arange", n, i, v) for i, (n, v) in enumerate(names, 1)]
    whole = all(isinstance(n, int) for n in numbers)
    dtype = dtype or (dtypes.int64 if whole else dtypes.get_default_dtype())
    if dtype is dtypes.bool_:
        raise NotImplementedError("\"arange_cpu\" not implemented for 'Bool'")
    first, last, by = numbers
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise RuntimeError(f"unsupported range: {first:g} -> {last:g}")
    if (last - first) * by < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is dtypes.int64:  # the only dtype whose numbers are counted as they are made
        first, last, by = map(int, numbers)
        if by == 0:
            raise ValueError("step must be nonzero")
        whole = True
    count = -((first - last) // by) if whole else math.ceil((last - first) / by)
    return record_on(place(device), OPS["arange"], (first, by), (count, dtype))


def _spaced_signatures(name: str) -> tuple[str, ...]:
    base = "float base = 10.0, " if name == "logspace" else ""
    kinds = [("Tensor", "Tensor"), ("Number", "Tensor"), ("Tensor", "Number"), ("Number", "Number")]
    return tuple(
        f"{a} start, {b} end, int steps, {base}*, Tensor out = None, torch.dtype dtype = None, "
        "torch.layout layout = None, torch.device device = None, bool pin_memory = False, bool "
        "requires_grad = False"
        for a, b in kinds
    )


def _spaced(name: str, start, end, steps, dtype) -> tuple:
    if not hasattr(steps, "__index__"):
        raise no_overload(name, (start, end, steps), {}, _spaced_signatures(name))
    given = [(n, x.ndim) for n, x in (("start", start), ("end", end)) if isinstance(x, Tensor)]
    if any(ndim for _, ndim in given):
        found = " and ".join(f"{n} with {ndim} dimension(s)" for n, ndim in given)
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got {found}."
        )
    start, end = _number(name, "start", 1, start), _number(name, "end", 2, end)
    steps = operator.index(steps)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    kind = complex if isinstance(start, complex) or isinstance(end, complex) else float
    return start, end, steps, dtype or dtypes.of_number(kind)


@public(method=False)
@filling
@creation
def linspace(start, end, steps, *, dtype, device) -> Tensor:
    """Return ``steps`` numbers, evenly from ``start`` to ``end``, both included."""
    start, end, steps, dtype = _spaced("linspace", start, end, steps, dtype)
    return record_on(place(device), OPS["linspace"], (start, end), (steps, dtype))


@public(method=False)
@filling
@creation
def logspace(start, end, steps, base=10.0, *, dtype, device) -> Tensor:
    """Return ``base`` to the power of ``steps`` numbers, evenly from ``start`` to ``end``."""
    start, end, steps, dtype = _spaced("logspace", start, end, steps, dtype)
    return record_on(place(device), OPS["logspace"], (start, end, base), (steps, dtype))


# ---- matrices ----


@public(method=False)
@filling
@creation
def eye(n, m=None, *, dtype, device) -> Tensor:
    """Return an ``n`` by ``m`` matrix with ones on the diagonal."""
    sizes = operator.index(n), operator.index(n if m is None else m)
    for name, size in zip("nm", sizes, strict=True):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return record_on(place(device), OPS["eye"], (), (*sizes, dtype or dtypes.get_default_dtype()))


def _indices(find, row: int, col: int, offset: int, dtype, device) -> Tensor:
    for name, size in (("row", row), ("col", col)):
        if size < 0:
            raise RuntimeError(f"{name} must be non-negative, got{size}")
    found = np.stack(find(row, offset, col)).astype(np.int64)
    return tensor(found, dtype=dtype or dtypes.int64, device=device)


@public(method=False)
@creation
def tril_indices(row: int, col: int, offset: int = 0, *, dtype, device) -> Tensor:
    """Return rows and columns of a matrix's lower triangle, ``(2, count)``."""
    return _indices(np.tril_indices, row, col, offset, dtype, device)


@public(method=False)
@creation
def triu_indices(row: int, col: int, offset: int = 0, *, dtype, device) -> Tensor:
    """Return rows and columns of a matrix's upper triangle, ``(2, count)``."""
    return _indices(np.triu_indices, row, col, offset, dtype, device)


@public(method=False)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Return the powers of ``x``, a row per element, the highest first."""
    count = x.shape[0] if N is None else N
    powers = ones_like(x).unsqueeze(-1)[:, :count]
    if count > 1:
        factors = x.unsqueeze(-1).expand(-1, count - 1)
        powers = aten.cat((powers, factors), -1).cumprod(-1)
    return powers if increasing else powers.flip(-1)
