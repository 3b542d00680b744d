"""The pullback of an op: an instruction, an op of its own, or an op of saved residuals."""

import jax
import jax.numpy as jnp
from jax.interpreters.partial_eval import dce_jaxpr

from facade.ops.registry import Entry


class Pull:
    """The instruction "pull these cotangents back through that instruction".

    Its first reference is the index of an instruction before it on the same tape; the rest are the
    cotangents of that instruction's differentiable results, absent ones being zero. Its results are
    the cotangents of the operands in ``mask``. ``jax.vjp`` runs where the forward instruction is
    lowered, so the forward values of both come out of one call and nothing is computed twice.
    """

    __slots__ = ("forward", "mask", "name", "outputs")

    def __init__(self, forward: Entry, mask: int) -> None:
        self.forward = forward
        self.mask = mask
        self.name = f"{forward.name}_pull"
        self.outputs = tuple(chosen(forward.inputs, mask))

    @property
    def length(self) -> int:
        """How many ops it stands for, as :attr:`Entry.length`."""
        return self.forward.length


def chosen(operands, mask: int) -> list:
    """Return the operands whose bit is set."""
    return [x for i, x in enumerate(operands) if mask >> i & 1]


def pull_of(entry: Entry, mask: int) -> Pull:
    """Return the one pull instruction of an entry with respect to the operands in ``mask``."""
    found = entry.cache.get(mask)
    if found is None:
        found = entry.cache[mask] = Pull(entry, mask)
    return found


# linearize: (entry, mask) -> (operands -> (results, pull: cotangents -> operand cotangents))
def linearize(entry: Entry, mask: int, operands):
    """Run an entry and return its results with its pullback, a pytree of residuals.

    Cotangents are in PyTorch's convention: for complex values the conjugate of JAX's.
    """

    def differentiable_part(*wanted):
        queue = iter(wanted)
        results = entry.fn(*(next(queue) if mask >> i & 1 else x for i, x in enumerate(operands)))
        return tuple(r for r, d in zip(results, entry.differentiable, strict=True) if d), results

    _, pull, results = jax.vjp(differentiable_part, *chosen(operands, mask), has_aux=True)
    return results, pull


def pull_back(entry: Entry, pull, cotangents):
    """Apply a pullback from :func:`linearize`; None among ``cotangents`` stands for zero."""
    avals = [a for a, d in zip(entry.outputs, entry.differentiable, strict=True) if d]
    full = tuple(
        jnp.zeros(a.shape, a.dtype.numpy) if c is None else _conjugate(c.astype(a.dtype.numpy))
        for a, c in zip(avals, cotangents, strict=True)
    )
    return tuple(_conjugate(g) for g in pull(full))


def _conjugate(x):
    return jnp.conj(x) if jnp.iscomplexobj(x) else x


def vjp_entry(entry: Entry, mask: int, absent: tuple[bool, ...], given: int = -1) -> Entry:
    """Return the backward of an op as an op of its own: operands and cotangents in, gradients out.

    It is what ``create_graph=True`` records, since it can be differentiated again.

    Args:
        absent: Per differentiable result, whether it has no cotangent.
        given: Which operands it is given; of others the derivative reads no values.
    """
    key = ("vjp", mask, absent, given)
    found = entry.cache.get(key)
    if found is None:
        count = len(entry.inputs)

        def fn(*values):
            operands = [
                jnp.zeros(a.shape, a.dtype.numpy) if x is None and a is not None else x
                for x, a in zip(values, entry.inputs, strict=False)
            ]
            _, pull = linearize(entry, mask, operands)
            return pull_back(entry, pull, values[count:])

        cotangents = (a for a, d in zip(entry.outputs, entry.differentiable, strict=True) if d)
        operands = (a if given >> i & 1 else None for i, a in enumerate(entry.inputs))
        moved = (None if none else a for a, none in zip(cotangents, absent, strict=True))
        found = entry.cache[key] = Entry(
            f"{entry.name}_vjp", fn, (*operands, *moved), pull_of(entry, mask).outputs,
            grad_name=f"{entry.grad_name.removesuffix('0')}Backward0", length=entry.length,
        )  # fmt: skip
    return found


def saved_entry(entry: Entry, mask: int, tree) -> Entry:
    """Return the pullback of an instruction flushed earlier: its residuals and cotangents in."""
    key = ("saved", mask, tree)
    found = entry.cache.get(key)
    if found is not None:
        return found
    size = tree.num_leaves

    def fn(*values):
        pull = jax.tree_util.tree_unflatten(tree, values[:size])
        return pull_back(entry, pull, values[size:])

    outputs = pull_of(entry, mask).outputs
    found = entry.cache[key] = Entry(f"{entry.name}_pull", fn, (), outputs, length=entry.length)
    return found


def read_by_pullback(entry: Entry, mask: int) -> int:
    """Return the operands whose values an op's pullback depends on: bit i stands for operand i."""
    key = ("read", mask)
    if key not in entry.cache:
        entry.cache[key] = _read(lambda *x: linearize(entry, mask, x)[1], entry)
    return entry.cache[key]


def read_by(entry: Entry) -> int:
    """Return the operands that an op's results depend on: bit i stands for operand i."""
    if "read" not in entry.cache:
        entry.cache["read"] = _read(entry.fn, entry)
    return entry.cache["read"]


def _read(function, entry: Entry) -> int:
    """Return which of an entry's operands a function of them reads."""
    with jax.enable_x64(True):
        made = jax.make_jaxpr(function)(*_structs(entry)).jaxpr
    _, used = dce_jaxpr(made, [True] * len(made.outvars))
    queue = iter(used)
    bits = [a is not None and next(queue) for a in entry.inputs]
    return sum(bit << i for i, bit in enumerate(bits))


def _structs(entry: Entry) -> list:
    return [
        None if a is None else jax.ShapeDtypeStruct(a.shape, a.dtype.numpy) for a in entry.inputs
    ]


def free_entry(entry: Entry, mask: int) -> Entry | None:
    """Return the pullback of an op that reads no operand: a view's numbers and cotangents in.

    None if it reads one.
    """
    key = ("free", mask)
    if key not in entry.cache:
        entry.cache[key] = _free_entry(entry, mask)
    return entry.cache[key]


def _free_entry(entry: Entry, mask: int) -> Entry | None:
    if entry.grad_name == "CopySlices":
        return None  # in PyTorch it saves the backward of what was written
    count = 1 if entry.view is not None else len(entry.inputs)
    if read_by_pullback(entry, mask) & ((1 << count) - 1):
        return None
    operands, numbers = entry.inputs[:count], entry.inputs[count:]

    def fn(*values):
        blank = [a if a is None else jnp.zeros(a.shape, a.dtype.numpy) for a in operands]
        _, pull = linearize(entry, mask, (*blank, *values[: len(numbers)]))
        return pull_back(entry, pull, values[len(numbers) :])

    cotangents = [a for a, d in zip(entry.outputs, entry.differentiable, strict=True) if d]
    return Entry(
        f"{entry.name}_pull", fn, (*numbers, *cotangents), pull_of(entry, mask).outputs,
        grad_name=f"{entry.grad_name.removesuffix('0')}Backward0", length=entry.length,
    )  # fmt: skip
