"""``grad_fn._saved_self`` and its like: what PyTorch's nodes save, found on the tape on demand.

Ops here save inside their program; a value is taken from the instruction's operands and results, or
recorded once more if the tape has run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from facade.autograd.engine import SECOND_TIME, replay
from facade.graph import AccumulateGrad, Node
from facade.ops.registry import OPS, Entry, Kind
from facade.pullback import read_by_pullback
from facade.recording import pending_tensor, wrap
from facade.storage import Storage, attend
from facade.tape import ABSENT, FLOAT, LEAF, SLOT, Tape, state, tape_on
from facade.tensor import Tensor

# what nodes save -> the nodes: "Exp" stands for ExpBackward0 and 1
_NAMES = {
    "self": """
        Abs Acos Acosh Asin Asinh Atan Atanh Cos Cosh Digamma Erf Erfc Gelu Hardsigmoid Hardswish
        Lgamma Log Log10 Log1P Log2 Logit Mish Sgn Silu Sin Sinh Softplus LeakyRelu LogSigmoid
        Hardtanh Clamp
    """,
    "result": "Exp Exp2 Expm1 Reciprocal Relu Rsqrt Sigmoid Sqrt Tan Tanh",
    "dim result": "LogSoftmax Softmax",
    "self result": "ProdBackward0 MaxBackward1 MinBackward1",
    "dim keepdim self result": "ProdBackward1 Logsumexp Amax Amin Std",
    "dim self result": "Cumprod",
    "dim keepdim indices self_sym_sizes": "MaxBackward0 MinBackward0",
    "dim keepdim self": "Var",
    "dim keepdim self ord result": "LinalgVectorNorm",
    "dim": "Cat Cumsum Stack Unsqueeze Squeeze",
    "dim index": "Gather Scatter",
    "dim index self_sym_sizes": "Select IndexSelect",
    "self_sym_sizes": "SumBackward0 MeanBackward0 View Expand",
    "dim keepdim self_sym_sizes": "SumBackward1 MeanBackward1",
    "self_sym_numel": "Mean",
    "indices": "Embedding",
    "indices self_sym_sizes": "Index",
    "padding_idx scale_grad_by_freq": "Embedding",
    "approximate": "Gelu",
    "min max": "Clamp",
    "self other": "Atan2 Div Maximum Minimum Mul",
    "self tensor": "Dot",
    "self mat2": "Bmm Mm",
    "self vec": "Mv",
    "mat1 mat2 alpha beta": "Addmm",
    "batch1 batch2 alpha beta": "Baddbmm",
    "tensor1 tensor2 value": "Addcmul Addcdiv",
    "weight": "Lerp",
    "self exponent": "PowBackward0",
    "self exponent result": "PowBackward1",
    "self target reduction": "MseLoss",
    "self target": "HuberLoss SmoothL1Loss",
    "padding kernel_size stride dilation ceil_mode self": "MaxPool2DWithIndices",
    "input weight": "Convolution NativeLayerNorm NativeBatchNorm",
    "result1 result2": "NativeLayerNorm NativeBatchNorm",
    "bias normalized_shape": "NativeLayerNorm",
    "eps running_mean running_var training": "NativeBatchNorm",
    "dilation groups output_padding padding stride transposed": "Convolution",
    "mask": "MaskedFill",
    "condition": "Where",
    "query key value is_causal": "ScaledDotProductFlashAttentionForCpu",
}
# Of two factors, one is saved only if the other has a gradient
_PRODUCTS = {"mul", "div", "matmul", "mm", "bmm", "mv", "dot", "linear", "addmm", "baddbmm"}
# PyTorch's names of operands that have another name here
_ALSO = {
    "self": "input", "mat1": "input", "mat2": "other", "vec": "other", "batch1": "input",
}  # fmt: skip
# nodes whose "dim" is a tuple, however it was given
_SEVERAL_DIMS = ("Sum", "Mean", "Logsumexp", "Amax", "Amin", "Var", "Std")
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}
# what nodes keep of a Python number as a number, not as a tensor
_NUMBERS = {"alpha", "beta", "value", "min", "max", "index", "weight"}


def _unsigned(number: Any) -> Any:
    """Return a number as PyTorch's nodes show it, who keep it without its sign."""
    if isinstance(number, tuple):
        return tuple(map(_unsigned, number))
    return number % 2**64 if type(number) is int else number


def _dim(node: Node) -> Any:
    dim = node.entry.static["dim"]
    several = type(dim) is int and node.entry.grad_name.startswith(_SEVERAL_DIMS)
    return _unsigned((dim,) if several else dim)


def _per_dimension(name: str) -> Callable:
    def get(node: Node) -> tuple:
        entry = node.entry
        pools = "dims" in entry.static
        dimensions = entry.static["dims"] if pools else entry.inputs[1].ndim - 2
        value = entry.static[name]
        return value if isinstance(value, tuple) else (value,) * dimensions * (value is not None)

    return get


def _moments(node: Node) -> tuple[Tensor, Tensor]:
    """Return the mean, and one over the deviation, that a norm divides by."""
    x, static = operands(node)[0].detach(), node.entry.static
    if node.entry.name == "batch_norm":
        if not static["training"]:
            return x.new_empty(0), x.new_empty(0)
        dims, keepdim = [d for d in range(x.dim()) if d != 1], False
    else:
        dims, keepdim = list(range(-len(static["normalized_shape"]), 0)), True
    variance = x.var(dims, correction=0, keepdim=keepdim)
    return x.mean(dims, keepdim), (variance + static["eps"]).rsqrt()


def _indices(node: Node) -> Any:
    if node.entry.name == "embedding":
        return _argument(node, "indices")
    if node.entry.name != "index":
        return results(node)[1].detach()
    given = dict(zip(node.entry.static["dims"], operands(node)[1:], strict=True))
    return tuple(given.get(d) for d in range(max(given) + 1))


# what is no operand or static argument, or looks different there
_DERIVED: dict[str, Callable[[Node], Any]] = {
    "result": lambda node: results(node)[0],
    "indices": _indices,
    "result1": lambda node: _moments(node)[0],
    "result2": lambda node: _moments(node)[1],
    "self_sym_sizes": lambda node: tuple(node.entry.inputs[0].shape),
    "self_sym_numel": lambda node: node.entry.inputs[0].numel,
    "dim": _dim,
    "reduction": lambda node: _REDUCTIONS[node.entry.static["reduction"]],
    "padding_idx": lambda node: _unsigned(node.entry.static["padding_idx"]),
} | {
    name: _per_dimension(name)
    for name in ("dilation", "kernel_size", "output_padding", "padding", "stride")
}


def _full_names(kinds: str) -> list[str]:
    return [
        name
        for kind in kinds.split()
        for name in ([kind] if "Backward" in kind else [f"{kind}Backward0", f"{kind}Backward1"])
    ]


SAVED_BY: dict[str, list[str]] = {}  # the other way round
for _names, _kinds in _NAMES.items():
    for _kind in _full_names(_kinds):
        SAVED_BY.setdefault(_kind, []).extend(_names.split())


def saved_value(node: Node, name: str) -> Any:
    """Return what PyTorch's node saves under a name.

    Raises:
        RuntimeError: it is freed.
        AttributeError: the op has nothing like it.
    """
    if node.home is None:
        raise RuntimeError(SECOND_TIME)
    return _DERIVED[name](node) if name in _DERIVED else _argument(node, name)


def _own_names(entry: Entry) -> list[str]:
    """Return a name per flat operand: that of its parameter, numbered if that takes many."""
    spec = OPS.get(entry.name)
    if spec is None:
        return [f"operand{i}" for i in range(len(entry.inputs))]
    many = len(entry.inputs) - len(spec.operand_params) + 1
    return [
        name
        for p in spec.operand_params
        for name in ([f"{p.name}{i}" for i in range(many)] if p.many else [p.name])
    ]


def operand_names(entry: Entry) -> list[str]:
    """Return PyTorch's names of the flat operands, as far as they are known."""
    own = _own_names(entry)
    theirs = {_ALSO[name]: name for name in SAVED_BY.get(entry.grad_name, ()) if name in _ALSO}
    theirs = {"input": "self"} | {a: b for a, b in theirs.items() if b not in own}
    return [theirs.get(name, name) for name in own]


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
    if name in ("alpha", "beta") and entry.inputs[position] is None:
        return 1
    read = read_by_pullback(entry, node.mask) >> position & 1
    if entry.name in _PRODUCTS and name not in _NUMBERS and not read:
        return None
    found, ref = operands(node)[position], _located(node)[1][position]
    return found.item() if name in _NUMBERS and ref >= 0 and ref & 3 >= FLOAT else found


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
