"""vmap: run a function on all rows of its arguments at once."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from facade import aten
from facade.avals import aval
from facade.func.run import device_of, refill
from facade.func.trace import Input, Trace, Traced
from facade.func.trees import broadcast_prefix, flatten, tensors_of, unflatten
from facade.functions.draws import draw as draw_law
from facade.pullback import Pull
from facade.storage import Storage
from facade.tape import LEAF, SLOT
from facade.tensor import Tensor

_SAME = (
    "Vmap does not currently support same randomness with a batched tensor input. Please file an "
    "issue with functorch"
)
_IN_PLACE = (
    "vmap: {name}(self, *extra_args) is not possible because there exists a Tensor `other` in "
    "extra_args that has more elements than `self`. This happened due to `other` being vmapped "
    "over but `self` not being vmapped over {where}. Please try to use out-of-place operators "
    "instead of {name}. If said operator is being called inside the PyTorch framework, please file "
    "a bug report instead."
)
_ARITHMETIC = ("copy_", "div_", "masked_fill_", "mul_", "sub_")
_BY_NAME = ("fill_", "index_add_", "index_put_")


class BatchTrace(Trace):
    """The tape of a function of one row.

    Attributes:
        size: How many rows there are.
        axes: Per leaf the dimension with the rows, None where all rows have the same.
    """

    __slots__ = ("axes", "chunk_size", "first_shape", "size")

    def __init__(self, device, size: int, randomness: str, chunk_size: int | None) -> None:
        super().__init__(device, "vmap")
        self.size, self.randomness, self.chunk_size = size, randomness, chunk_size
        self.axes: dict[int, int] = {}
        self.first_shape: list[int] = []  # of the first tensor outside that was written

    def row_of(self, x: Tensor, axis: int) -> Tensor:
        """Return a placeholder for one row of a tensor."""
        self.axes[len(self.operands)] = axis
        shape = x._aval.shape[:axis] + x._aval.shape[axis + 1 :]
        known = aval(shape, x._aval.dtype)
        node = Input(known) if x._fresh_node() is not None else None
        return self.placeholder(known, x, node)

    def draw(self, draw: Callable, *arguments) -> Tensor:
        """Draw random numbers: refused, the same for all rows, or different ones."""
        if self.randomness != "different":
            return super().draw(draw, *arguments)
        if draw is not draw_law:
            with self.outside():
                drawn = aten.stack(tuple(draw(*arguments) for _ in range(self.size)))
            return self.row_of(drawn, 0)
        law, parameters, known, *others = arguments
        rows = aval((self.size, *known.shape), known.dtype)
        with self.outside():
            drawn = draw(law, parameters, rows, *others)
        return self.row_of(drawn, 0)

    def draw_like(self, draw: Callable, engine, *arguments) -> Tensor:
        if self.randomness == "same" and any(self.axis_of(x) is not None for x in arguments[4]):
            raise RuntimeError(_SAME)
        return super().draw_like(draw, engine, *arguments)

    def axis_of(self, x: Tensor) -> int | None:
        """Return where the rows are in a tensor, None if it is the same for all of them."""
        storage = x._cell.storage
        if storage.tape is self and storage is x._cell and storage.ref & 3 == LEAF:
            return self.axes.get(storage.ref >> 2)
        return 0 if _depends(storage, self) else None

    def will_write(self, t: Tensor) -> None:
        if t._cell.storage.tape is not self and not self.first_write:
            self.first_shape = list(t.shape)
        super().will_write(t)

    def check_written(self, value: Tensor) -> None:
        """Check that what was written to a tensor outside is the same for all rows.

        Raises:
            RuntimeError: it isn't.
        """
        if self.axis_of(value) is None:
            return
        name = self.first_write.removeprefix("aten::").partition(".")[0]
        if name == "add_":
            raise RuntimeError(
                f"output with shape {self.first_shape} doesn't match the broadcast shape "
                f"{[self.size, *self.first_shape]}"
            )
        shown = name if name in _BY_NAME else f"aten::{name}"
        plain = name in _ARITHMETIC
        raise RuntimeError(
            _IN_PLACE.format(
                name="inplace arithmetic" if plain else shown,
                where="in a vmap" if plain or name in _BY_NAME else "at level 1",
            )
        )


def _depends(storage: Storage, level: BatchTrace) -> bool:
    tape = storage.tape
    if not isinstance(tape, Trace):
        return False
    leaves = _leaves_behind(tape, storage.ref)
    if tape is level:
        return not level.axes.keys().isdisjoint(leaves)
    outside = [tape.operands[i] for i in leaves]
    return any(x is None or _depends(x._cell.storage, level) for x in outside)


def _leaves_behind(tape: Trace, ref: int) -> set[int]:
    """Return the leaves of a tape that a value depends on."""
    wanted, pulled, path = {ref}, set(), tape.path
    while path.step is not None:
        entry, refs, _ = path.step
        slots = {slot << 2 | SLOT for slot in range(path.first, path.end)}
        if path.length - 1 in pulled or not slots.isdisjoint(wanted):
            if type(entry) is Pull:
                pulled.add(refs[0])
                refs = refs[1:]
            wanted.update(refs)
        path = path.parent
    return {r >> 2 for r in wanted if r >= 0 and r & 3 == LEAF}


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """Return ``func`` as a function of tensors with one more dimension, whose rows it runs on.

    Args:
        in_dims: Which dimension of each argument has the rows; None for an argument that all rows
            share. One for all, or nested like the arguments.
        out_dims: Where the rows are in the results.
        randomness: What random functions do: ``"error"``, ``"same"``, or ``"different"`` rows.
        chunk_size: How many rows are computed at once; all unless given.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. "
            f"Got {randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        leaves, structure = flatten(args)
        axes = _in_axes(name, in_dims, args, leaves, structure)
        size = _size(leaves, axes)
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        tape = BatchTrace(device_of(tensors), size, randomness, chunk_size)
        rows = [x if d is None else tape.row_of(x, d) for x, d in zip(leaves, axes, strict=True)]
        operands = tuple(x for x, d in zip(leaves, axes, strict=True) if d is not None)
        try:
            with tape.recording():
                output = func(*unflatten(structure, rows), **kwargs)
                results = tensors_of(output)
            outside = tape.written_outside()
            for _, value in outside:
                tape.check_written(value)
            pairs = zip(leaves, rows, axes, strict=True)
            written = [
                (x, tape.value_of(row._cell), d)
                for x, row, d in pairs
                if d is not None and row._cell.written
            ]
            written += [(x, value, None) for x, value in outside]
            traced = Traced(tape, results, len(operands), [w[:2] for w in written])
        finally:
            tape.finish()
        places = _out_axes(name, out_dims, output) + [d for *_, d in written]
        return refill(output, _record(traced, tape, places, operands, chunk_size))

    return wrapped


def _record(traced: Traced, tape: BatchTrace, places: list, operands: tuple, chunk_size):
    count = len(tape.operands) + len(tape.floats) + len(tape.ints)
    ins = tuple(tape.axes.get(i) for i in range(count))
    places = places + [0] * len(traced.errors)
    outs = tuple(
        d if d is None else d % (known.ndim + 1)
        for d, known in zip(places, traced.avals, strict=True)
    )
    found = traced.record(_batched, (len(operands), ins, outs, chunk_size), operands)
    # what has no history inside has none outside
    return [x if t else x.detach() for x, t in zip(found, traced.tracked, strict=False)]


def _batched(pure, count: int, ins: tuple, outs: tuple, chunk_size: int | None) -> Callable:
    def of_row(*flat):
        return tuple(pure(flat[:count], flat[count:]))

    def vmap(*flat):
        if chunk_size is None:
            return jax.vmap(of_row, in_axes=ins, out_axes=outs)(*flat)
        rows = [jnp.moveaxis(x, d, 0) for x, d in zip(flat, ins, strict=True) if d is not None]

        def of_rows(rows):
            queue = iter(rows)
            return of_row(
                *(x if d is None else next(queue) for x, d in zip(flat, ins, strict=True))
            )

        found = jax.lax.map(of_rows, rows, batch_size=chunk_size)
        return tuple(
            x[0] if d is None else jnp.moveaxis(x, 0, d) for x, d in zip(found, outs, strict=True)
        )

    return vmap


# ---- in_dims and out_dims ----


def _in_axes(name: str, in_dims, args: tuple, leaves: list, structure) -> list[int | None]:
    if not isinstance(in_dims, int | tuple):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
            "(potentially nested) tuple matching the structure of inputs, got: "
            f"{type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    axes = broadcast_prefix(in_dims, args)
    call = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): "
    if axes is None:
        raise ValueError(
            f"{call}in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {flatten(in_dims)[1]} but inputs has structure {structure}."
        )
    return [_in_axis(call, x, d) for x, d in zip(leaves, axes, strict=True)]


def _in_axis(call: str, x: Any, d: Any) -> int | None:
    if d is None:
        return None
    if not isinstance(d, int):
        raise ValueError(
            f"{call}Got in_dim={d} for an input but in_dim must be either an integer dimension or "
            "None."
        )
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{call}Got in_dim={d} for an input but the input is of type {type(x)}. We cannot "
            "vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    if not -x.dim() <= d < x.dim():
        raise ValueError(
            f"{call}Got in_dim={d} for some input, but that input is a Tensor of dimensionality "
            f"{x.dim()} so expected in_dim to satisfy -{x.dim()} <= in_dim < {x.dim()}."
        )
    return d % x.dim()


def _size(leaves: list, axes: list[int | None]) -> int:
    sizes = [x.shape[d] for x, d in zip(leaves, axes, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


def _out_axes(name: str, out_dims, output) -> list[int | None]:
    leaves, structure = flatten(output)
    if isinstance(output, Tensor) and isinstance(out_dims, tuple) and len(out_dims) == 1:
        out_dims = out_dims[0]
    axes = broadcast_prefix(out_dims, output)
    if axes is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`. out_dims has structure {flatten(out_dims)[1]} but "
            f"outputs has structure {structure}."
        )
    for x, d in zip(leaves, axes, strict=True):
        if not isinstance(x, Tensor) and d is not None:
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(x)}. "
                "Did you mean to set out_dims= to None for output?"
            )
    return [d for x, d in zip(leaves, axes, strict=True) if isinstance(x, Tensor)]
