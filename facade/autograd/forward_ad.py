"""torch.autograd.forward_ad: derivatives along a direction, computed with the function.

A dual tensor is the start of a graph. Its tangent is not carried along: when the tangent of a
result is asked for, the graph between is walked forwards, and each instruction's ``jax.jvp`` is
recorded.
"""

from typing import Any, NamedTuple

import jax

from facade.autograd.engine import SECOND_TIME, replay
from facade.graph import AccumulateGrad, Node, PythonNode
from facade.ops.registry import Entry
from facade.program import flush
from facade.pullback import chosen
from facade.recording import pending_tensor, wrap
from facade.storage import attend, locate
from facade.tape import ABSENT, Tape, state, tape_on
from facade.tensor import Tensor

_levels: list["dual_level"] = []


class UnpackedDualTensor(NamedTuple):
    """A tensor's value, and its tangent if it has one."""

    primal: Tensor
    tangent: Tensor | None


class DualBackward(PythonNode):
    """Where a dual tensor begins: the tangent, and the graph of the primal behind it."""

    def __init__(self, primal: Tensor, tangent: Tensor, level: "dual_level") -> None:
        edges = ((primal._node, primal._number),) if primal.requires_grad else ()
        super().__init__(edges, (primal._aval,))
        self.primal, self.tangent, self.level = primal, tangent, level

    def backward(self, cotangents: list, create_graph: bool) -> list:
        return cotangents[: len(self.edges)]


class dual_level:
    """The block in which dual tensors are made and unpacked."""

    def __enter__(self) -> int:
        return enter_dual_level(self)

    def __exit__(self, *exception: object) -> None:
        exit_dual_level()


def enter_dual_level(level: dual_level | None = None) -> int:
    """Begin a level.

    Raises:
        RuntimeError: there is one already.
    """
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append(level or dual_level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level."""
    if not _levels:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This "
            "is not supported."
        )
    _levels.pop()


def is_level_open() -> bool:
    """Return whether a tangent may be asked for."""
    return bool(_levels)


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """Return a tensor of the same value whose uses have derivatives along ``tangent``.

    Raises:
        RuntimeError: outside a level, or the tangent has another shape.
        ValueError: a tensor is not floating point.
    """
    if not _levels:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {t.dtype}")
    if tangent.shape != tensor.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    node = DualBackward(tensor, tangent, _levels[-1])
    return wrap(tensor.detach()._cell, tensor._aval, node)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Return a tensor's value and tangent."""
    if not _levels:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(tensor.detach(), _tangent(tensor))


def _tangent(tensor: Tensor) -> Tensor | None:
    """Walk the graph forwards, from the dual tensors to this one."""
    end = (tensor._fresh_node(), tensor._number)
    if end[0] is None:
        return None
    known: dict[tuple, Any] = {}
    was, state.grad = state.grad, False
    try:
        for node in _from_first(end[0]):
            if type(node) is DualBackward:
                known[node, 0] = node.tangent if node.level is _levels[-1] else None
                continue
            given = [None if e is None else known.get(e) for e in node.edges]
            if any(t is not None for t in given):
                known.update(((node, i), t) for i, t in enumerate(_push(node, given)))
    finally:
        state.grad = was
    return known.get(end)


def _from_first(end) -> list:
    """Return the nodes that lead to ``end``, in the order in which they were recorded."""
    found, stack = {end}, [end]
    while stack:
        node = stack.pop()
        if type(node) is DualBackward:
            continue
        for edge in node.edges:
            if edge is not None and edge[0] not in found and type(edge[0]) is not AccumulateGrad:
                found.add(edge[0])
                stack.append(edge[0])
    return sorted(found, key=lambda n: n.sequence)


def _push(node, tangents: list) -> list:
    """Return the tangents of a node's results."""
    if not isinstance(node, Node):
        return _push_python(node, tangents)
    tape = tape_on(next(t for t in tangents if t is not None).device)
    if tape.attention:
        tape = attend(tape)
    if type(node.home) is Tape and node.home is not tape:
        flush(node.home)
    home: Any = node.home
    if home is None:
        raise RuntimeError(SECOND_TIME)
    refs = node.path.step[1] if home is tape else replay(home, node.index, tape)
    entry = jvp_entry(node.entry, node.mask, tuple(t is None for t in tangents))
    refs = [*refs, *(ABSENT if t is None else locate(t._cell, tape) for t in tangents)]
    path = tape.append(entry, tuple(refs))
    made = [pending_tensor(tape, path.first + i << 2, aval) for i, aval in enumerate(entry.outputs)]
    queue = iter(made)
    return [next(queue) if d else None for d in node.entry.differentiable]


def _push_python(node, tangents: list) -> list:
    if not hasattr(node, "_forward_cls"):
        raise NotImplementedError(f"{node.name()} has no forward derivative")
    given: list = [None] * node.count
    for i, t in zip(node.tensors, tangents, strict=True):
        given[i] = t
    found = node._forward_cls.jvp(node.context, *given)
    return list(found) if isinstance(found, tuple) else [found]


def jvp_entry(entry: Entry, mask: int, absent: tuple[bool, ...]) -> Entry:
    """Return the forward derivative of an op as an op: operands and tangents in, tangents out."""
    key = ("jvp", mask, absent)
    found = entry.cache.get(key)
    if found is not None:
        return found
    count = len(entry.inputs)
    outputs = tuple(a for a, d in zip(entry.outputs, entry.differentiable, strict=True) if d)

    def fn(*values):
        operands = values[:count]

        def differentiable_part(*wanted):
            queue = iter(wanted)
            results = entry.fn(
                *(next(queue) if mask >> i & 1 else x for i, x in enumerate(operands))
            )
            return tuple(r for r, d in zip(results, entry.differentiable, strict=True) if d)

        primals = chosen(operands, mask)
        tangents = [
            jax.numpy.zeros_like(x) if t is None else t.astype(x.dtype)
            for x, t in zip(primals, values[count:], strict=True)
        ]
        return jax.jvp(differentiable_part, tuple(primals), tuple(tangents))[1]

    inputs = entry.inputs + tuple(
        None if missing else a
        for a, missing in zip(chosen(entry.inputs, mask), absent, strict=True)
    )
    name, length = f"{entry.name}_jvp", entry.length
    found = entry.cache[key] = Entry(name, fn, inputs, outputs, length=length)
    return found


__all__ = [
    "UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
    "unpack_dual",
]  # fmt: skip
