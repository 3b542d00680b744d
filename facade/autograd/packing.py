"""``grad_fn._saved_self`` and its like, and what hooks make of them until the backward.

Without hooks an op saves inside the compiled program, as little as the compiler finds needed.
"""

from collections.abc import Callable
from typing import Any

from facade.autograd import saved
from facade.autograd.engine import own
from facade.autograd.forward_ad import is_level_open
from facade.autograd.function import SavedTensor
from facade.autograd.saved_values import SAVED_BY, operand_names, operands, results, saved_value
from facade.graph import SAVED, AccumulateGrad, Node, hooks_of
from facade.ops.registry import Entry
from facade.pullback import read_by_pullback, vjp_entry
from facade.recording import record_entry, wrap
from facade.tape import Tape, state
from facade.tensor import Tensor

# op -> its gradient, from that of its result and the result, which is all that PyTorch saves
FROM_RESULT: dict[str, Callable[..., Tensor]] = {
    "exp": lambda g, r: g * r.conj(),
    "exp2": lambda g, r: g * r.conj() * 0.6931471805599453,
    "expm1": lambda g, r: g * (r.conj() + 1),
    "log_softmax": lambda g, r, dim: g - r.exp() * g.sum(dim, True),
    "reciprocal": lambda g, r: -g * (r * r).conj(),
    "relu": lambda g, r: g * (r > 0),
    "rsqrt": lambda g, r: -0.5 * g * (r * r * r).conj(),
    "sigmoid": lambda g, r: g * ((1 - r) * r).conj(),
    "softmax": lambda g, r, dim: r * (g - (g * r).sum(dim, True)),
    "sqrt": lambda g, r: g / (2 * r.conj()),
    "tan": lambda g, r: g * (1 + r * r).conj(),
    "tanh": lambda g, r: g * (1 - r * r).conj(),
}


class Packed:
    """What a node keeps as hooks made it, and its backward, which computes from that.

    Attributes:
        tensors: By PyTorch's name, in the order in which they are packed and unpacked.
        numbers: Operands that are Python numbers, by their position.
    """

    def __init__(self, node: Node, given: tuple, made: list[Tensor]) -> None:
        entry = self.entry = node.entry
        self.mask = node.mask
        self.tensors: dict[str, SavedTensor] = {}
        self.numbers: dict[int, Any] = {}
        self.names = operand_names(entry)
        if entry.name in FROM_RESULT:
            self.tensors["result"] = SavedTensor(_as_it_is(made[0]), node)
            return
        read = read_by_pullback(entry, self.mask)
        tensors = {}
        for i, x in enumerate(given):
            if isinstance(x, Tensor) and read >> i & 1:
                tensors[self.names[i]] = _as_it_is(x)
            elif not isinstance(x, Tensor) and x is not None:
                self.numbers[i] = x
        self.tensors = {name: SavedTensor(tensors[name], node) for name in sorted(tensors)}

    def pull(self, cotangents: list) -> list:
        """Return the gradients of the operands that want one."""
        entry = self.entry
        kept = {name: x.unpack() for name, x in self.tensors.items()}
        if "result" in kept:
            gradient = FROM_RESULT[entry.name](cotangents[0], kept["result"], **_dim(entry))
            return [gradient.to(entry.inputs[0].dtype)]
        flat = [kept.get(name, self.numbers.get(i)) for i, name in enumerate(self.names)]
        given = sum((x is not None) << i for i, x in enumerate(flat))
        wanted = [c for c, d in zip(cotangents, entry.differentiable, strict=True) if d]
        backward = vjp_entry(entry, self.mask, tuple(c is None for c in wanted), given)
        return list(record_entry(backward, (*flat, *wanted)))


def _as_it_is(x: Tensor) -> Tensor:
    """Return a tensor that stays what it is when the op that saves it turns out to write to it."""
    if type(x._node) is AccumulateGrad:  # can't be written
        return x
    return wrap(own(x)._cell, x._aval, x._node, x._number)


def _dim(entry: Entry) -> dict:
    return {"dim": entry.static["dim"]} if "dim" in entry.static else {}


def _pack(entry: Entry, given: tuple, result: Any) -> None:
    """Pack what an op saves that was just recorded, if there are hooks in this thread."""
    if saved.hooks_for_saved() is None or type(state.tape) is not Tape or state.tape.pure:
        return
    made = list(result) if isinstance(result, tuple) else [result]
    node = next((x._node for x in made if isinstance(x._node, Node)), None)
    if node is None or node.entry is not entry:
        return
    packed = Packed(node, given, made)
    if packed.tensors:
        hooks_of(node).saved = packed
        if not is_level_open():  # a tangent comes from the operands themselves
            node.home = None  # so that its tape keeps nothing for it


def _saved(name: str) -> property:
    def get(node: Node) -> Any:
        packed = node.hooks and node.hooks.saved
        if packed and name in packed.tensors:
            return packed.tensors[name].unpack()
        return saved_value(node, name)

    return property(get, doc=f"What PyTorch's node saves as ``{name}``.")


def _raw_saved(name: str) -> property:
    def get(node: Node) -> SavedTensor:
        if node.hooks is None or node.hooks.saved is None:
            hooks_of(node).saved = Packed(node, tuple(operands(node)), results(node))
        return hooks_of(node).saved.tensors[name]

    return property(get, doc=f"What stands for ``{name}``, which can have hooks of its own.")


saved.packer = _pack
SAVED.update(
    {
        kind: {f"_saved_{name}": _saved(name) for name in names}
        | {f"_raw_saved_{name}": _raw_saved(name) for name in names}
        for kind, names in SAVED_BY.items()
    }
)
