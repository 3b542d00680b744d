"""``grad_fn._saved_self`` and its like: what PyTorch's nodes save, found on the tape on demand.

Ops here save inside their program; a value is taken from the instruction's operands and results, or
recorded once more if the tape has run.
"""

from typing import Any

import numpy as np

from facade.autograd.engine import SECOND_TIME, replay
from facade.graph import SAVED, AccumulateGrad, Node
from facade.ops.registry import OPS, Kind
from facade.recording import pending_tensor, wrap
from facade.storage import Storage, attend
from facade.tape import ABSENT, FLOAT, LEAF, SLOT, Tape, state, tape_on
from facade.tensor import Tensor

# what nodes save -> the nodes
_NAMES = {
    "self": """
        Abs Acos Acosh Asin Asinh Atan Atanh Cos Cosh Digamma Erf Erfc Gelu Hardsigmoid Hardswish
        Lgamma Log Log10 Log1P Log2 Logit Mish Sgn Silu Sin Sinh Softplus LeakyRelu LogSigmoid
        Hardtanh Prod
    """,
    "result": """
        Exp Exp2 Expm1 LogSoftmax Reciprocal Relu Rsqrt Sigmoid Softmax Sqrt Tan Tanh
    """,
    "self other": "Atan2 Div Maximum Minimum Mul",
    "self tensor": "Dot",
    "self mat2": "Bmm Mm",
    "self vec": "Mv",
    "mat1 mat2": "Addmm",
    "batch1 batch2": "Baddbmm",
    "self exponent": "Pow",
    "self target": "HuberLoss MseLoss SmoothL1Loss",
    "input weight": "Convolution",
    "mask": "MaskedFill",
    "condition": "Where",
    "index": "Gather Scatter IndexSelect",
}
# Of two factors, one is saved only if the other has a gradient
_PRODUCTS = {"mul", "matmul", "mm", "bmm", "mv", "dot", "linear", "addmm", "baddbmm"}
# PyTorch's names of operands that have another name here
_ALSO = {
    "self": "input", "mat1": "input", "mat2": "other", "vec": "other", "batch1": "input",
}  # fmt: skip


def _saved(name: str) -> property:
    def get(node: Node) -> Any:
        if node.home is None:
            raise RuntimeError(SECOND_TIME)
        return results(node)[0] if name == "result" else _argument(node, name)

    return property(get, doc=f"What PyTorch's node saves as ``{name}``.")


SAVED.update(
    {
        f"{kind}Backward{number}": {f"_saved_{name}": _saved(name) for name in names.split()}
        for names, kinds in _NAMES.items()
        for kind in kinds.split()
        for number in (0, 1)
    }
)


def _argument(node: Node, name: str) -> Any:
    """Return an operand or static argument of a node's op.

    Raises:
        AttributeError: the op has none of that name.
    """
    entry = node.entry
    spec = OPS.get(entry.name)
    params = [p.name for p in spec.params if p.kind is not Kind.STATIC] if spec else []
    own_name = name if name in params or name in entry.static else _ALSO.get(name, name)
    if own_name in entry.static:
        return entry.static[own_name]
    if own_name not in params:
        raise AttributeError(f"'{node.name()}' of {entry.name} keeps no value called '{name}'")
    position = params.index(own_name)
    if entry.name in _PRODUCTS and not node.mask & ~(1 << position):
        return None
    return operands(node)[position]


def operands(node: Node) -> list:
    """Return the operands of a node's instruction: tensors with their history, None if absent."""
    tape, refs = _located(node)
    edges = iter(node.edges)
    return [
        _operand(tape, ref, aval, next(edges) if node.mask >> i & 1 else None)
        for i, (ref, aval) in enumerate(zip(refs, node.entry.inputs, strict=True))
    ]


def _operand(tape: Tape, ref: int, aval: Any, edge: tuple[Any, int] | None) -> Any:
    kind, at = ref & 3, ref >> 2
    if ref == ABSENT:
        return None
    node, number = edge or (None, 0)
    if kind == SLOT:
        return pending_tensor(tape, ref, aval, node, number)
    if kind != LEAF:
        return Tensor._from_array(np.asarray((tape.floats if kind == FLOAT else tape.ints)[at]))
    leaf = node.leaf() if type(node) is AccumulateGrad else None
    if leaf is not None and leaf._cell.array is tape.leaves[at]:
        return leaf
    return wrap(Storage(aval, tape.device, tape.leaves[at]), aval, node, number)


def results(node: Node) -> list[Tensor]:
    """Return the results of a node's instruction."""
    tape, refs = _located(node)
    path = node.path if node.home is tape else tape.append(node.entry, tuple(refs))
    return [
        pending_tensor(tape, path.first + i << 2, aval, node, i)
        for i, aval in enumerate(node.entry.outputs)
    ]


def _located(node: Node) -> tuple[Tape, Any]:
    """Return a tape that holds a node's operands, and the references to them."""
    home: Any = node.home
    if type(home) is Tape:
        return home, node.path.step[1]
    tape = tape_on(state.tape.device)
    if tape.attention:
        tape = attend(tape)
    return tape, replay(home, node.index, tape)
