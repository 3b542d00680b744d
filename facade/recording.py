"""Record an op on the tape: the look-up of its result, its references, its autograd node."""

from typing import Any

import jax

from facade.dtypes import PYTHON_TYPES
from facade.errors import bad_argument
from facade.graph import node_type
from facade.ops.registry import Entry, Kind, OpSpec, infer, infer_function
from facade.size import Size
from facade.storage import OtherDevice, Storage, View, attend, locate, transfer
from facade.tape import ABSENT, SLOT, Tape, state, tape_on

MAX_SIGNATURES = 4096  # per op; the oldest is forgotten

_new = object.__new__


class TensorBase:
    """The part of a tensor that recording knows.

    Attributes:
        _cell: Where the value is: the storage, or a view of it.
        _aval: Shape, dtype, strides.
        _node: ``grad_fn``, or a leaf's :class:`AccumulateGrad`; None without ``requires_grad``.
        _number: Which of the node's results this is.
    """

    __slots__ = ("__dict__", "__weakref__", "_aval", "_cell", "_node", "_number")


def wrap(cell, aval, node=None, number: int = 0) -> Any:
    """Return a tensor of these parts."""
    t = _new(TENSOR_TYPE)
    t._cell = cell
    t._aval = aval
    t._node = node
    t._number = number
    return t


TENSOR_TYPE: type = TensorBase  # facade.tensor puts Tensor here


# record: (op, (tensor | number | None, ...), static arguments in order) -> tensor | tuple
def record(spec: OpSpec, operands: tuple, static: tuple = (), counts: tuple = ()) -> Any:
    """Record one op and return its result; nothing is computed.

    Args:
        operands: Flat; Python numbers stay numbers.
        counts: How many operands each ``tuple[Array, ...]`` parameter has.
    Raises:
        Whatever PyTorch raises for these operands.
    """
    return _record(None, operands, spec, static, counts)


def record_entry(entry: Entry, operands: tuple) -> Any:
    """Record one instruction whose signature is known."""
    return _record(entry, operands, None, (), ())


def _record(entry: Entry | None, operands: tuple, spec, static: tuple, counts: tuple) -> Any:
    # one pass over the operands: this runs for every op of every step
    tape = state.tape
    if tape.attention:
        tape = attend(tape)
    signature: list = [static, counts]
    refs: list[int] = []
    edges, edge_numbers = [], []
    mask, bit = 0, 1  # of the operands that a gradient is wanted for
    try:
        for x in operands:
            if isinstance(x, TensorBase):
                signature.append(x._aval)
                cell = x._cell
                refs.append(cell.ref if cell.tape is tape else _reach(x, tape))
                node = x._node
                if node is not None:
                    mask |= bit
                    edges.append((node, x._number))
                    edge_numbers.append(
                        node.index << 21 | x._number << 1
                        if node.home is tape
                        else tape.source(node, x._number)
                    )
            else:
                signature.append(x.__class__)
                refs.append(ABSENT if x is None else tape.number(x))
            bit <<= 1
        if entry is None:
            entry = spec.memo.get(tuple(signature))
    except OtherDevice:
        tape.take_back(refs)
        return _record(entry, _on_one_device(operands), spec, static, counts)
    except TypeError:  # an argument that isn't hashable, or no number: told apart below
        if entry is not None:
            raise
    if entry is None:
        tape.take_back(refs)
        return record_entry(*_first_sight(spec, operands, static, counts))
    node = None
    if mask and entry.tracks and state.grad:
        kind = entry.node_type or node_type(entry)
        node = kind(entry, tape, len(tape.code), mask, tuple(edges))
        tape.nodes.append(node)
        first = tape.append(entry, tuple(refs), tuple(edge_numbers))
    else:
        first = tape.append(entry, tuple(refs))
    if entry.view is not None:
        result = _view_results(entry, operands, tape, first, node)
    elif entry.single:
        cell = Storage(entry.outputs[0], tape.device, None, tape, first << 2)
        tape.pending.append(cell)
        result = wrap(cell, entry.outputs[0], node)
    else:
        result = _results(entry, tape, first, node)
    if tape.closed:  # flushed by another thread meanwhile; the instruction may have come too late
        return record_entry(entry, operands)
    return result


def _reach(x: TensorBase, tape: Tape) -> int:
    """Return the reference to an operand that is not pending on ``tape``."""
    cell = x._cell
    if type(cell) is View and cell.seen != cell.storage.version:
        refresh(x)
    return locate(x._cell, tape)


def _results(entry: Entry, tape: Tape, first: int, node) -> tuple:
    return tuple(
        pending_tensor(tape, first + i << 2, aval, node if entry.differentiable[i] else None, i)
        for i, aval in enumerate(entry.outputs)
    )


def pending_tensor(tape: Tape, ref: int, aval, node=None, number: int = 0) -> Any:
    """Return a tensor whose value waits for a slot of ``tape``."""
    cell = Storage(aval, tape.device, None, tape, ref)
    tape.pending.append(cell)
    return wrap(cell, aval, node, number)


def _view_results(entry: Entry, operands: tuple, tape: Tape, first: int, node):
    base, *numbers = operands
    cell = base._cell
    chain = cell.chain if type(cell) is View else ()
    root = cell.base if type(cell) is View else base
    if base._node is not None and node is None:
        root = None  # made under no_grad: shares the storage, has no part in the history
    results = []
    for i, aval in enumerate(entry.outputs):
        view = View(aval, cell.storage, (*chain, (entry, tuple(numbers), i)), root)
        view.cached_tape, view.cached_ref = tape, first + i << 2 | SLOT
        results.append(wrap(view, aval, node, i))
    return results[0] if entry.single else tuple(results)


def refresh(t) -> None:
    """Derive a view anew, value and history, after its storage was written."""
    view = t._cell
    if view.base is None or (t._node is None and view.base._node is None):
        return  # only the value is stale, and `locate` sees to that
    was, state.grad = state.grad, True
    try:
        current = view.base
        for entry, numbers, number in view.chain:
            out = record_entry(entry, (current, *numbers))
            current = out if entry.single else out[number]
    finally:
        state.grad = was
    new = current._cell
    view.seen, view.array = new.seen, None
    view.cached_tape, view.cached_ref = new.cached_tape, new.cached_ref
    t._node, t._number = current._node, current._number


def record_on(device, spec: OpSpec, operands: tuple, static: tuple = (), counts: tuple = ()) -> Any:
    """Record an op without tensor operands on a device's tape."""
    tape_on(device)
    return record(spec, operands, static, counts)


def _on_one_device(operands: tuple) -> tuple:
    """Open the tape of the operands' device; 0-dimensional CPU tensors may come along.

    Raises:
        RuntimeError: they live on two devices.
    """
    tensors = [x for x in operands if isinstance(x, TensorBase)]
    target = tensors[0]._cell.device
    for t in tensors:
        d = t._cell.device
        if d is not target and target.type == "cpu":
            target = d
    for t in tensors:
        d = t._cell.device
        if d is not target and (d.type != "cpu" or t._aval.ndim):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{target} and {d}!"
            )
    tape_on(target)
    return tuple(
        wrap(transfer(x._cell, target), x._aval, x._node, x._number)
        if isinstance(x, TensorBase) and x._cell.device is not target
        else x
        for x in operands
    )


_functions: dict = {}


def record_function(fn, operands: tuple, key: tuple = ()):
    """Record a JAX function as one instruction.

    Args:
        fn: Flat arrays in, a tuple of arrays out; Python numbers arrive as 0-d float64 or int64.
            The same object each time, since it is part of the program's key.
        operands: Tensors, Python numbers (a new value never recompiles) or None.
        key: Static arguments of ``fn``, given to it by keyword: ``((name, value), ...)``.
    Returns:
        A tuple of tensors.
    """
    avals = [x._aval if isinstance(x, TensorBase) else x.__class__ for x in operands]
    return record_entry(_function_entry(fn, avals, key), operands)


def record_update(fn, operands: tuple, targets: list, key: tuple = ()) -> list:
    """Record a JAX function whose results overwrite tensors, outside the autograd graph.

    Args:
        fn, operands, key: As for :func:`record_function`.
        targets: Per result the tensor that takes it, of its shape and dtype; None for a new tensor.
    Returns:
        The targets, the new tensors in their places.
    """
    tape = state.tape
    if tape.attention:
        tape = attend(tape)
    refs, avals = [], []
    try:
        for x in operands:
            if isinstance(x, TensorBase):
                cell = x._cell
                refs.append(cell.ref if cell.tape is tape else locate(cell, tape))
                avals.append(x._aval)
            else:
                refs.append(ABSENT if x is None else tape.number(x))
                avals.append(x.__class__)
    except OtherDevice:
        tape.take_back(refs)
        return record_update(fn, _on_one_device(operands), targets, key)
    entry = _function_entry(fn, avals, key)
    slot = tape.append(entry, tuple(refs))
    if tape.closed:  # flushed by another thread meanwhile
        return record_update(fn, operands, targets, key)
    written = []
    for target, aval in zip(targets, entry.outputs, strict=True):
        if target is not None and type(target._cell) is Storage:
            target._cell.rebind_slot(tape, slot << 2)
        else:
            new = pending_tensor(tape, slot << 2, aval)
            target = new if target is None else target.write(new)
        written.append(target)
        slot += 1
    return written


def _function_entry(fn, avals: list, key: tuple) -> Entry:
    signature = (fn, key, *avals)
    entry = _functions.get(signature)
    if entry is None:
        inputs = [None if a is type(None) else a for a in avals]
        entry = _functions[signature] = infer_function(fn, inputs, dict(key))
        if len(_functions) > MAX_SIGNATURES:
            del _functions[next(iter(_functions))]
    return entry


# ---- the first time an op is seen with these operands ----------------------------------------


def _first_sight(spec: OpSpec, operands: tuple, static: tuple, counts: tuple):
    """Validate the arguments, infer the result and remember it; return also the clean operands."""
    operands = tuple(
        _operand(spec, p, i, x) for i, (p, x) in enumerate(_named(spec, operands, counts))
    )
    static = tuple(_static(v) for v in static)
    signature = [x._aval if isinstance(x, TensorBase) else x.__class__ for x in operands]
    key = (static, counts, *signature)
    entry = spec.memo.get(key)
    if entry is None:
        avals = [None if a is type(None) else a for a in signature]
        groups, queue, sizes = [], iter(avals), iter(counts)
        for p in spec.operand_params:
            groups.append(tuple(next(queue) for _ in range(next(sizes))) if p.many else next(queue))
        names = [p.name for p in spec.static_params]
        entry = infer(spec, groups, dict(zip(names, static, strict=True)))
        spec.memo[key] = entry
        if len(spec.memo) > MAX_SIGNATURES:
            del spec.memo[next(iter(spec.memo))]
    return entry, operands


def _named(spec: OpSpec, operands: tuple, counts: tuple):
    sizes, queue = iter(counts), iter(operands)
    for p in spec.operand_params:
        for _ in range(next(sizes) if p.many else 1):
            yield p, next(queue)


def _operand(spec: OpSpec, p, position: int, x):
    if isinstance(x, TensorBase):
        return x
    if type(x) in (float, int, bool, complex) and p.kind is not Kind.RAW:
        return x
    if hasattr(x, "dtype") and getattr(x, "shape", None) == ():  # a numpy scalar is its number
        return x.item()
    if isinstance(x, int | float | complex) and p.kind is not Kind.RAW:  # IntEnum, ...
        return type(x).__mro__[-2](x)
    if x is None and p.optional:
        return x
    if hasattr(x, "__jax_array__") or isinstance(x, jax.Array):
        return TENSOR_TYPE._from_array(x)
    expected = "Number" if p.kind is Kind.SCALAR else "Tensor"
    if p.many:
        raise TypeError(
            f"expected Tensor as element {position} in argument 0, but got {type(x).__name__}"
        )
    raise bad_argument(spec.name, p.name, spec.params.index(p) + 1, expected, x)


def _static(value):
    """Return a static argument in hashable, canonical form."""
    if isinstance(value, list | Size | tuple):
        return tuple(_static(v) for v in value)
    if hasattr(value, "dtype") and hasattr(value, "item"):  # a tensor, or a numpy scalar
        return value.item()
    return PYTHON_TYPES[value] if isinstance(value, type) else value
