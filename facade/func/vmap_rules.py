"""The ``vmap`` staticmethod of a Function: what it does to all rows at once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from facade.autograd.function import Function
from facade.avals import aval
from facade.func.batching import BatchTrace
from facade.func.run import refill
from facade.func.trace import Input, Trace, Traced, enclosing, record_all
from facade.func.trees import broadcast_prefix, flatten, tensors_of
from facade.tensor import Tensor

_MORE = "For more details, please see https://pytorch.org/docs/main/notes/extending.func.html"
_TWO_RETURNS = (
    "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree "
    "structure compatible with the output. "
)


class VmapInfo(NamedTuple):
    """What ``vmap`` tells the staticmethod.

    Attributes:
        batch_size: How many rows there are.
        randomness: What random functions do.
    """

    batch_size: int
    randomness: str


def batched(cls: type[Function], args: tuple) -> Any:
    """Return ``(results,)`` of a Function by its own rule, None if no rule is asked for.

    The rule belongs to the innermost ``vmap`` that has rows of its own in an argument.

    Raises:
        RuntimeError: it has no rule, or two.
    """
    levels = [t for t in enclosing() if isinstance(t, BatchTrace)]
    for level in levels:
        axes = [level.axis_of(x) if isinstance(x, Tensor) else None for x in args]
        if any(d is not None for d in axes):
            return _checked(cls) and (_by_rule(cls, args, axes, level),)
    return None


def _checked(cls: type[Function]) -> bool:
    """Return whether a Function has a rule of its own."""
    name, own = cls.__name__, cls.vmap is not Function.vmap
    if own and cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it has both generate_vmap_rule=True and an "
            "overridden vmap staticmethod. Please set generate_vmap_rule=False or delete the "
            f"overridden vmap staticmethod to avoid ambiguity. {_MORE}"
        )
    if not own and not cls.generate_vmap_rule:
        raise RuntimeError(
            f"You tried to vmap over {name}, but it does not have vmap support. Please override "
            f"and implement the vmap staticmethod or set generate_vmap_rule=True. {_MORE}"
        )
    return own


def _by_rule(cls: type[Function], args: tuple, axes: list, level: BatchTrace) -> Any:
    """Record what the rule does to all rows as what happens to one."""
    if level.chunk_size is not None:
        raise NotImplementedError(
            f"vmap: {cls.__name__} has a vmap staticmethod, which chunk_size does not work with: "
            "call vmap for each chunk"
        )
    given = [(x, d) for x, d in zip(args, axes, strict=True) if isinstance(x, Tensor)]
    tape = Trace(given[0][0].device, cls.__name__)
    rows = iter([_rows(tape, x, d, level.size) for x, d in given])
    stand_ins = [next(rows) if isinstance(x, Tensor) else x for x in args]
    try:
        with tape.recording(level.outer):
            info = VmapInfo(level.size, level.randomness)
            output, places = _parted(cls.vmap(info, tuple(axes), *stand_ins))
            traced = Traced(tape, tensors_of(output), len(given))
    finally:
        tape.finish()
    key = (cls.__name__, level.size, tuple(d for _, d in given), tuple(places))
    found = record_all(_one_row, key, (traced,), tuple(x for x, _ in given))
    return refill(output, traced.checked(found))


def _rows(tape: Trace, x: Tensor, d: int | None, size: int) -> Tensor:
    shape = x._aval.shape
    known = x._aval if d is None else aval((*shape[:d], size, *shape[d:]), x._aval.dtype)
    return tape.placeholder(known, x, Input(known) if x._fresh_node() is not None else None)


def _parted(result: Any) -> tuple[Any, list]:
    """Return what a rule returned, and where the rows are in each tensor of it."""
    if not isinstance(result, tuple):
        raise RuntimeError(f"{_TWO_RETURNS}Got a {type(result)} instead")
    if len(result) != 2:
        raise RuntimeError(f"{_TWO_RETURNS}Got {len(result)} returns instead")
    output, out_dims = result
    places = broadcast_prefix(out_dims, output)
    if places is None or (isinstance(output, Tensor) and isinstance(out_dims, tuple)):
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) "
            f"tuple. Expected out_dims={out_dims} to be compatible with the structure of `output`. "
            f"out_dims has structure {flatten(out_dims)[1]} but output has structure "
            f"{flatten(output)[1]}. {_MORE}"
        )
    leaves = flatten(output)[0]
    return output, [d for x, d in zip(leaves, places, strict=True) if isinstance(x, Tensor)]


def _one_row(pures: list, name: str, size: int, axes: tuple, places: tuple):
    def combined(inputs, rests):
        whole = jax.custom_batching.custom_vmap(of_row)
        whole.def_vmap(of_rows)
        return whole(tuple(inputs), tuple(rests[0]))

    # run where it turns out that the rows are all the same: the rule knows only `size` of them
    def of_row(inputs, rest):
        found = pures[0]([_repeated(x, d) for x, d in _pairs(inputs)], rest)
        return tuple(r if d is None else jnp.take(r, 0, d) for r, d in _results(found))

    def of_rows(axis_size, is_batched, inputs, rest):
        moved = [
            jnp.moveaxis(x, 0, d) if has and d is not None else _repeated(x, d)
            for (x, d), has in zip(_pairs(inputs), is_batched[0], strict=True)
        ]
        found = list(_results(pures[0](moved, rest)))
        rows = tuple(r if d is None else jnp.moveaxis(r, d, 0) for r, d in found)
        return rows, tuple(d is not None for _, d in found)

    def _pairs(inputs):
        return zip(inputs, axes, strict=True)

    def _results(values):  # what checks look at comes last, of all rows in one
        return zip(values, (*places, *(None,) * (len(values) - len(places))), strict=True)

    def _repeated(x, d):
        return x if d is None else jnp.repeat(jnp.expand_dims(x, d), size, d)

    combined.__name__ = name
    return combined
