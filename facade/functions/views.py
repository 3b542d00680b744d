"""Views: other shapes and parts of a tensor that share its storage."""

from itertools import pairwise

from facade import aten
from facade.binding import public
from facade.dtypes import dtype as dtype_class
from facade.errors import bad_argument, broadcast_shapes, no_overload, wrap_dim
from facade.ops.view import resolve_size, view_strides
from facade.tensor import Tensor


def sizes(given: tuple, named: dict, function: str, name: str = "size") -> tuple:
    """Return the ints of ``f(2, 3)``, ``f((2, 3))`` or ``f(size=(2, 3))``.

    Raises:
        TypeError: there are none, or another keyword.
    """
    if given and type(given[0]) is int:
        return given
    if named and not given:
        given = (named.pop(name, None),)
    if not given or given[0] is None:
        raise TypeError(f'{function}() missing 1 required positional arguments: "{name}"')
    if named:
        raise TypeError(f"{function}() got an unexpected keyword argument '{next(iter(named))}'")
    if len(given) == 1 and not hasattr(given[0], "__index__"):
        return tuple(given[0])
    return given


# ---- other sizes ----


@public(module=False)
def view(self: Tensor, *size, **named) -> Tensor:
    """View the elements in another size, or their bits as another dtype.

    Raises:
        RuntimeError: strides can't describe that.
    """
    if size and type(size[0]) is int:
        return aten.view(self, size)
    dtype = named["dtype"] if "dtype" in named else size[0] if size else None
    if isinstance(dtype, dtype_class):
        return aten.view_dtype(self, dtype, self._aval.dtype)
    nothing = not size and not named
    wanted = () if nothing else sizes(size, named, "view")
    if nothing or not all(hasattr(s, "__index__") for s in wanted):
        kinds = ", ".join(type(s).__name__ for s in size)
        raise TypeError(
            f"view() received an invalid combination of arguments - got ({kinds}), but expected "
            "one of:\n * (torch.dtype dtype)\n * (tuple of ints size)\n"
        )
    return aten.view(self, wanted)


@public(module=False)
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """View the elements in ``other``'s size."""
    return aten.view(self, other._aval.shape)


@public
def reshape(input: Tensor, *shape, **named) -> Tensor:
    """Return the elements in another size: a view where strides allow it, else a copy."""
    wanted = sizes(shape, named, "reshape", "shape")
    known = input._aval
    if known.contiguous:
        return aten.view(input, wanted)
    if view_strides(known.shape, known.strides, resolve_size(wanted, known.numel)) is None:
        return aten.reshape_copy(input, wanted)
    return aten._reshape_alias(input, wanted)


@public(module=False)
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """Return the elements in ``other``'s size."""
    return reshape(self, other._aval.shape)


@public
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Make one dimension of those from ``start_dim`` to ``end_dim``."""
    shape = input._aval.shape
    if not shape:
        return reshape(input, (1,))
    first, last = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if first == last:
        return input
    length = 1
    for size in shape[first : last + 1]:
        length *= size
    return reshape(input, (*shape[:first], length, *shape[last + 1 :]))


@public
def unflatten(input: Tensor, dim: int, sizes) -> Tensor:
    """Cut one dimension into several.

    Raises:
        RuntimeError: the sizes don't multiply to the dimension's.
    """
    dim = wrap_dim(dim, input.ndim)
    parts, length = tuple(sizes), input._aval.shape[dim] if input.ndim else 1
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = resolve_size(parts, length)
    except RuntimeError:
        if parts.count(-1) > 1:
            raise
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {dim} "
            f"({length}) in the input tensor"
        ) from None
    shape = input._aval.shape
    return aten.view(input, (*shape[:dim], *parts, *shape[dim + 1 :]))


@public
def squeeze(input: Tensor, *dim, **named) -> Tensor:
    """Drop dimensions of size 1: all, one, or several."""
    return aten.squeeze(input, squeeze_dim(dim, named))


def squeeze_dim(dim: tuple, named: dict):
    """Return None, an int or a tuple: ``squeeze()``, ``squeeze(0)``, ``squeeze((0, 1))``."""
    given = named["dim"] if named else dim[0] if len(dim) == 1 else dim or None
    return tuple(given) if isinstance(given, list) else given


# ---- other orders ----


@public
def permute(input: Tensor, *dims, **named) -> Tensor:
    """Put the dimensions in another order."""
    return aten.permute(input, sizes(dims, named, "permute", "dims"))


@public(aliases=("moveaxis",))
def movedim(input: Tensor, source, destination) -> Tensor:
    """Move dimensions to other places; the rest keep their order.

    Raises:
        RuntimeError: a dimension is named twice, or the lists differ in length.
    """
    source, destination = ((d,) if isinstance(d, int) else tuple(d) for d in (source, destination))
    size = max(input.ndim, 1)
    if len(source) != len(destination):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should "
            "contain the same number of dims as destination "
            f"({list(destination)} dims)"
        )
    at = [wrap_dim(d, size) for d in source]
    to = [wrap_dim(d, size) for d in destination]
    for name, wrapped, given in (("source", at, source), ("destination", to, destination)):
        if len(set(wrapped)) < len(wrapped):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    if not input.ndim:
        return aten.alias(input)
    order = [d for d in range(input.ndim) if d not in at]
    for place, dim in sorted(zip(to, at, strict=True)):
        order.insert(place, dim)
    return aten.permute(input, tuple(order))


def _reversed_dims(input: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return aten.permute(input, tuple(range(input.ndim))[::-1])


def _matrix_transpose(input: Tensor, name: str = "mT") -> Tensor:
    """The last two dimensions swapped."""
    if input.ndim == 1:
        raise RuntimeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return aten.transpose(input, -2, -1) if input.ndim else input


def _conjugate_transpose(input: Tensor, name: str = "mH") -> Tensor:
    """The last two dimensions swapped, and the conjugate."""
    swapped = _matrix_transpose(input, name)
    return aten.conj(swapped) if swapped.dtype.is_complex else swapped


def _matrix_conjugate_transpose(input: Tensor) -> Tensor:
    """A matrix's conjugate transpose."""
    if input.ndim not in (0, 2):
        batched = " For batches of matrices, consider using tensor.mH" if input.ndim > 2 else ""
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {input.ndim}-D tensor."
            f"{batched}"
        )
    return _conjugate_transpose(input, "H")


for _name, _function in {
    "T": _reversed_dims, "mT": _matrix_transpose, "mH": _conjugate_transpose,
    "H": _matrix_conjugate_transpose,
}.items():  # fmt: skip
    setattr(Tensor, _name, property(_function, doc=_function.__doc__))


@public
def adjoint(input: Tensor) -> Tensor:
    """Return the conjugate transpose of the matrices in the last two dimensions."""
    return _conjugate_transpose(input, "adjoint()")


# ---- repeated ----


@public(module=False)
def expand(self: Tensor, *size, implicit: bool = False, **named) -> Tensor:
    """Repeat dimensions of size 1 and prepend new ones; -1 keeps a size."""
    return aten.expand(self, sizes(size, named, "expand"))


@public(module=False)
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expand to ``other``'s size."""
    return aten.expand(self, other._aval.shape)


@public
def broadcast_to(input: Tensor, size) -> Tensor:
    """Expand to ``size``."""
    return aten.expand(input, tuple(size))


@public(method=False)
def broadcast_tensors(*tensors) -> tuple[Tensor, ...]:
    """Expand tensors to their common size; one that has it already is returned itself."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*(t._aval.shape for t in tensors))
    return tuple(t if t._aval.shape == shape else aten.expand(t, shape) for t in tensors)


@public(method=False)
def meshgrid(*tensors, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Expand vectors to the grid that they span, one dimension each.

    Args:
        indexing: ``"ij"``, the default, or ``"xy"``, which swaps the first two dimensions.
    Raises:
        RuntimeError: a tensor has two dimensions or more.
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for t in tensors:
        if t.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t}"
            )
        if t.dtype is not tensors[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    places = list(range(len(tensors)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    shape = [tensors[p].numel() for p in places]
    return tuple(
        aten.expand(aten.view(t, [-1 if d == p else 1 for d in range(len(shape))]), shape)
        for t, p in zip(tensors, places, strict=True)
    )


def _at_least(ndim: int):
    def function(*tensors):
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return raised(tensors[0], ndim)
        given = tensors[0] if len(tensors) == 1 else tensors
        return tuple(raised(t, ndim) for t in given)

    function.__name__ = f"atleast_{ndim}d"
    function.__doc__ = f"Give tensors {ndim} dimensions if they have fewer."
    return function


def raised(t: Tensor, ndim: int) -> Tensor:
    """Return ``t`` with at least ``ndim`` dimensions, as ``atleast_1d`` and its kin do."""
    if t.ndim >= ndim:
        return t
    if not t.ndim:
        return reshape(t, (1,) * ndim)
    if t.ndim == 1:
        t = aten.unsqueeze(t, 0)
    return t if t.ndim == ndim else aten.unsqueeze(t, -1)


for _ndim in (1, 2, 3):
    public(_at_least(_ndim), method=False)


# ---- parts ----


@public
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """View one position along ``dim``.

    Raises:
        IndexError: there is no such position or dimension.
    """
    return aten.select(input, *position(input, dim, index))


def position(input: Tensor, dim: int, index: int) -> tuple[int, int]:
    """Return a dimension and a position in it, both counted from the front.

    Raises:
        IndexError: there is no such position or dimension.
    """
    shape = input._aval.shape
    if not shape:
        return dim, index  # the op says what is wrong
    dim, index = wrap_dim(dim, len(shape)), int(index)
    if not -shape[dim] <= index < shape[dim]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} "
            f"at dimension {dim}"
        )
    return dim, index + shape[dim] if index < 0 else index


def span(input: Tensor, dim: int, start, end, step: int) -> tuple[int, int, int, int]:
    """Return the dimension, start, length and step of the positions ``start:end:step``.

    Raises:
        RuntimeError: the step isn't positive.
    """
    if not input.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    dim = wrap_dim(dim, input.ndim)
    first, stop, step = slice(start, end, step).indices(input._aval.shape[dim])
    return dim, first, max(0, -(-(stop - first) // step)), step


def _narrowed(input: Tensor, dim: int, start, length: int) -> tuple[int, int]:
    """Return ``dim`` and ``start`` counted from the front.

    Raises:
        RuntimeError, IndexError: the part isn't inside.
    """
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    dim, start = wrap_dim(dim, input.ndim), int(start)
    size = input._aval.shape[dim]
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [-{size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if length < 0 or start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return dim, start


@public
def narrow(input: Tensor, dim: int, start, length: int) -> Tensor:
    """View ``length`` positions along ``dim`` from ``start``."""
    if not hasattr(start, "__index__"):
        kinds = (f"Tensor input, int dim, {kind} start, int length" for kind in ("Tensor", "int"))
        raise no_overload("narrow", (input, dim, start, length), {}, tuple(kinds))
    if input.ndim and length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if isinstance(start, Tensor) and (start.ndim or start.dtype.numpy.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    dim, start = _narrowed(input, dim, start, length)
    return aten.slice(input, dim, start, length, 1)


@public(out=True)
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Copy ``length`` positions along ``dim`` from ``start``."""
    if dim >= input.ndim > 0:
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  "
            "(Could this error message be improved?  If so, please report an enhancement request "
            "to PyTorch.)"
        )
    whole = not (isinstance(start, Tensor) and start.is_floating_point())
    if not (whole and hasattr(start, "__index__")):
        raise bad_argument("narrow_copy", "start", 3, "int", start)
    dim, start = _narrowed(input, dim, start, length)
    return aten.narrow_copy(input, dim, start, length)


@public
def split(
    tensor: Tensor, split_size_or_sections=None, dim: int = 0, *, split_size=None
) -> tuple[Tensor, ...]:
    """View pieces along ``dim``: of one size, or of the sizes in a list."""
    by = split_size_or_sections if split_size is None else split_size
    if isinstance(by, list | tuple):
        return aten.split_with_sizes(tensor, tuple(by), dim)
    return aten.split(tensor, by, dim)


def _chunk_size(input: Tensor, chunks: int, dim: int) -> int:
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input._aval.shape[wrap_dim(dim, input.ndim)]
    return -(-size // chunks)


@public
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """View at most ``chunks`` pieces of one size along ``dim``, the last one smaller."""
    size = _chunk_size(input, chunks, dim)
    if size == 0:
        return aten.split_with_sizes(input, (0,) * chunks, dim)
    return aten.split(input, size, dim)


@public
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Copy the pieces that :func:`chunk` gives."""
    size = _chunk_size(input, chunks, dim)
    if size == 0:
        return aten.unsafe_split_with_sizes(input, (0,) * chunks, dim)
    return aten.unsafe_split(input, size, dim)


@public
def tensor_split(input: Tensor, indices_or_sections, dim: int = 0, **named) -> tuple[Tensor, ...]:
    """View pieces along ``dim``: as many as said, or cut at the places in a list."""
    cuts = named.get("indices", named.get("sections", indices_or_sections))
    if isinstance(cuts, Tensor):
        cuts = cuts.tolist()
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = wrap_dim(dim, input.ndim)
    size = input._aval.shape[dim]
    if isinstance(cuts, int):
        if cuts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {cuts}")
        small, larger = divmod(size, cuts)
        cuts = [i * small + min(i, larger) for i in range(1, cuts)]
    bounds = [0, *(max(min(c + size if c < 0 else c, size), 0) for c in cuts), size]
    return tuple(aten.slice(input, dim, a, max(b - a, 0), 1) for a, b in pairwise(bounds))


def _splitter(name: str, least: int, dim: int):
    def function(input: Tensor, indices_or_sections=None, *more, **named) -> tuple[Tensor, ...]:
        cuts = next(iter(named.values()), indices_or_sections)
        if more:
            cuts = (cuts, *more)
        if not isinstance(cuts, int | list | tuple):
            raise no_overload(name, (input, cuts), {}, (
                "Tensor input, int sections", "Tensor input, tuple of ints indices"
            ))  # fmt: skip
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a "
                f"tensor with {input.ndim} dimensions!"
            )
        at = 0 if input.ndim == 1 else dim
        size = input._aval.shape[at]
        if isinstance(cuts, int) and (size % cuts if cuts else True):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {at}, but the size of the "
                f"dimension {size} is not divisible by the split_size {cuts}!"
            )
        return tensor_split(input, cuts, at)

    function.__name__ = name
    function.__doc__ = f"View pieces along dimension {dim}."
    return function


for _name, _least, _dim in (("hsplit", 1, 1), ("vsplit", 2, 0), ("dsplit", 3, 2)):
    public(_splitter(_name, _least, _dim))
