"""vmap: run a function on all rows of its arguments at once."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from facade.avals import aval
from facade.func.run import device_of, refill
from facade.func.trace import Input, Trace, Traced
from facade.func.trees import broadcast_prefix, flatten, tensors_of, unflatten
from facade.tensor import Tensor

_RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
)
_MUTATED = (
    "vmap: the function writes in place to a Tensor from outside. Please pass it to the function "
    "and return the new value, or use an out-of-place operator."
)


class BatchTrace(Trace):
    """The tape of a function of one row.

    Attributes:
        size: How many rows there are.
        axes: Per leaf the dimension with the rows, None where all rows have the same.
    """

    __slots__ = ("axes", "chunk_size", "randomness", "size")

    def __init__(self, device, size: int, randomness: str, chunk_size: int | None) -> None:
        super().__init__(device, "vmap")
        self.size, self.randomness, self.chunk_size = size, randomness, chunk_size
        self.axes: dict[int, int] = {}

    def row_of(self, x: Tensor, axis: int) -> Tensor:
        """Return a placeholder for one row of a tensor."""
        self.axes[len(self.operands)] = axis
        shape = x._aval.shape[:axis] + x._aval.shape[axis + 1 :]
        known = aval(shape, x._aval.dtype)
        node = Input(known) if x._fresh_node() is not None else None
        return self.placeholder(known, x, node)

    def draw(self, draw: Callable, law, parameters, known, where, generator=None) -> Tensor:
        """Draw random numbers: refused, the same for all rows, or different ones."""
        if self.randomness == "error":
            raise RuntimeError(_RANDOM)
        if self.randomness == "same":
            return super().draw(draw, law, parameters, known, where, generator)
        rows = aval((self.size, *known.shape), known.dtype)
        drawn = super().draw(draw, law, parameters, rows, where, generator)
        return self.row_of(drawn, 0)


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
            if tape.written_outside():
                raise RuntimeError(_MUTATED)
            pairs = zip(leaves, rows, axes, strict=True)
            written = [
                (x, tape.value_of(row._cell), d)
                for x, row, d in pairs
                if d is not None and row._cell.written
            ]
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
