"""Export functions and training steps to StableHLO; show what is recorded as JAX and XLA see it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from facade.interop.pure import to_jax
from facade.lower import lower
from facade.nn.module import Module
from facade.storage import View
from facade.tape import SLOT
from facade.tensor import Tensor


class Exported:
    """A program that needs no facade.

    Attributes:
        program: The :class:`jax.export.Exported` of ``(state, *args) -> (result, state)``.
        state: What to call it with first, a pytree of arrays.

    Example:
        >>> facade.export(step, (x, y)).save("step.bin")
        >>> jax.config.update("jax_enable_x64", True)  # int64 is a real type
        >>> program = jax.export.deserialize(open("step.bin", "rb").read())  # in any process
        >>> loss, state = program.call(state, x, y)
    """

    def __init__(self, program: jax.export.Exported, state: Any) -> None:
        self.program, self.state = program, state

    def serialize(self) -> bytes:
        """Return the program as bytes, for ``jax.export.deserialize``."""
        return bytes(self.program.serialize())

    def save(self, path: str | Path) -> None:
        """Write the program to a file."""
        Path(path).write_bytes(self.serialize())

    def save_state(self, path: str | Path) -> None:
        """Write the state's arrays to an ``.npz`` file, in the order of ``jax.tree.leaves``."""
        np.savez(path, *map(np.asarray, jax.tree.leaves(self.state)))

    @property
    def stablehlo(self) -> str:
        """The program's text."""
        return self.program.mlir_module()

    def __call__(self, state: Any, *args: Any) -> Any:
        with jax.enable_x64(True):
            return self.program.call(state, *map(_array, args))


def export(
    target: Callable | Module, args: Sequence[Any], *, platforms: Sequence[str] | None = None
) -> Exported:
    """Export a module, a function of tensors, or a whole training step.

    Args:
        target: A step reads and writes what :func:`facade.jit` would; run it once before, so that
            its optimizer has a state.
        args: Arguments of the shapes to come.
        platforms: Such as ``("cpu", "cuda")``; this machine's unless given.
    Raises:
        RuntimeError: the function can't run without its Python, or its optimizer has no state yet.
    """
    function, state = to_jax(target, *(() if isinstance(target, Module) else args))
    arrays = [_array(x) for x in args]
    with jax.enable_x64(True):
        made = jax.export.export(jax.jit(function), platforms=platforms)
        return Exported(made(*jax.tree.map(_struct, (state, *arrays))), state)


def _array(x: Any) -> Any:
    return x.__jax_array__() if isinstance(x, Tensor) else np.asarray(x)


def _struct(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(jnp.shape(x), jnp.asarray(x).dtype)


# ---- what is recorded ----


def jaxpr(*tensors: Tensor) -> Any:
    """Return the jaxpr of what is recorded and not run yet for these tensors."""
    run, operands = _pending(tensors)
    with jax.enable_x64(True):
        return jax.make_jaxpr(run)(*operands)


def hlo(*tensors: Tensor, optimized: bool = False) -> str:
    """Return the HLO text of what is recorded for these tensors, as XLA gets it or leaves it."""
    run, operands = _pending(tensors)
    with jax.enable_x64(True):
        lowered = jax.jit(run).lower(*operands)
        made = lowered.compile().as_text() if optimized else lowered.as_text("hlo")
    return made or ""


def _pending(tensors: Sequence[Tensor]) -> tuple[Callable, tuple]:
    tapes = {id(t._cell.storage.tape): t._cell.storage.tape for t in tensors}
    tape = next(iter(tapes.values()))
    waiting = all(t._cell.storage.array is None for t in tensors)
    if len(tapes) != 1 or not waiting or any(type(t._cell) is View for t in tensors):
        raise RuntimeError("expected tensors that wait for one tape: computed on, not read yet")
    slots = [t._cell.storage.ref >> 2 for t in tensors if t._cell.storage.ref & 3 == SLOT]
    body = lower(tuple(tape.code), slots, {})

    def run(leaves, floats, ints):
        values, _ = body(leaves, floats, ints)
        return [values[slot] for slot in slots]

    return run, (tape.leaves, np.array(tape.floats), np.array(tape.ints, np.int64))


__all__ = ["Exported", "export", "hlo", "jaxpr"]
