"""Record an op on the tape: the look-up of its result, its references, its autograd node."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import jax

from facade import program
from facade.dtypes import PYTHON_TYPES
from facade.errors import bad_argument, no_overload
from facade.graph import node_type
from facade.ops.registry import Entry, Kind, OpSpec, infer, infer_function
from facade.parts import OtherLayout
from facade.recent import forget_first
from facade.size import Size
from facade.storage import OtherDevice, Storage, View, attend, locate, transfer
from facade.tape import ABSENT, SLOT, Path, Tape, state, tape_on

MAX_SIGNATURES = 4096  # per op; the oldest is forgotten

_new = object.__new__
observers: tuple = ()  # each is told of every instruction's entry, operands and result


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
    # one pass over the operands: this runs for every op of every step
    tape = state.tape
    if tape.attention:
        tape = attend(tape)
    tracks = state.grad
    # an operand is its aval and reference, and its edge if a gradient is wanted for it
    key: list = [spec.signatures, static, counts]
    edges = []
    try:
        for x in operands:
            if isinstance(x, TensorBase):
                key.append(x._aval)
                cell = x._cell
                key.append(cell.ref if cell.tape is tape else _reach(x, tape))
                node = x._node
                if node is not None and tracks:
                    edges.append((node, x._number))
                    key.append(
                        node.path.length << 21 | x._number << 1
                        if node.home is tape
                        else tape.source(node, x._number)
                    )
            else:
                key.append(x.__class__)
                if x is not None:
                    key.append(tape.number(x))
        path = tape.path.next.get(tuple(key))
    except OtherDevice:
        tape.take_back(_number_refs(key))
        return record(spec, _on_one_device(operands), static, counts)
    except OtherLayout as other:
        tape.take_back(_number_refs(key))
        return other.answer(spec, operands, static)
    except TypeError:  # an argument that isn't hashable, or no number: told apart below
        path = None
    if path is None:
        entry = _known(spec, key, static, counts)
        if entry is None:
            tape.take_back(_number_refs(key))
            return record_entry(*_first_sight(spec, operands, static, counts))
        path = _new_path(tape.path, entry, key, operands, tracks)
    tape.advance(path)
    return _results(tape, path, operands, edges)


def record_entry(entry: Entry, operands: tuple) -> Any:
    """Record one instruction whose signature is known."""
    tape = state.tape
    if tape.attention:
        tape = attend(tape)
    refs, edges, mask = [], [], 0
    try:
        for i, x in enumerate(operands):
            if isinstance(x, TensorBase):
                cell = x._cell
                refs.append(cell.ref if cell.tape is tape else _reach(x, tape))
                if x._node is not None and state.grad and entry.tracks:
                    mask |= 1 << i
                    edges.append((x._node, x._number))
            else:
                refs.append(ABSENT if x is None else tape.number(x))
    except OtherDevice:
        tape.take_back(refs)
        return record_entry(entry, _on_one_device(operands))
    except OtherLayout as other:
        tape.take_back(refs)
        raise other.cell.refusal(entry.name) from None
    path = tape.append(entry, tuple(refs), tape.edges(edges), mask)
    return _results(tape, path, operands, edges)


def _results(tape: Tape, path: Path, operands: tuple, edges: list) -> Any:
    """Return the tensors that an instruction just recorded stands for."""
    entry = path.step[0]
    node = None
    if path.mask:
        node = (entry.node_type or node_type(entry))(path, tape, tuple(edges))
        tape.nodes.append(node)
    if entry.view is not None:
        result = _view_results(entry, operands, tape, path.first, node)
    elif entry.single:
        result = pending_tensor(tape, path.first << 2, entry.outputs[0], node)
    else:
        result = tuple(
            pending_tensor(
                tape, path.first + i << 2, aval, node if entry.differentiable[i] else None, i
            )
            for i, aval in enumerate(entry.outputs)
        )
    if tape.closed:  # flushed by another thread meanwhile; the instruction may have come too late
        return record_entry(entry, operands)
    for observer in observers:
        observer(entry, operands, result)
    return result


_observing: list[Callable] = []  # an observer stands here as often as it was asked for
_observing_lock = threading.Lock()


def observe(observer: Callable) -> None:
    """Tell ``observer(entry, operands, result)`` of what any thread records, from now on."""
    _change_observers(_observing.append, observer)


def unobserve(observer: Callable) -> None:
    """Undo one :func:`observe`."""
    _change_observers(_observing.remove, observer)


def _change_observers(change: Callable, observer: Callable) -> None:
    global observers
    with _observing_lock:
        change(observer)
        observers = tuple(dict.fromkeys(_observing))


def _number_refs(key: list) -> list[int]:
    """Return the references to Python numbers in a key that :func:`record` made."""
    pairs = itertools.pairwise(key[3:])
    return [ref for kind, ref in pairs if isinstance(kind, type) and type(ref) is int]


def _known(spec: OpSpec, key: list, static: tuple, counts: tuple) -> Entry | None:
    """Return the entry of a key that :func:`record` made, if the op was seen at its signature."""
    kinds = [x for x in key[3:] if type(x) is not int]
    try:
        return spec.memo.get((static, counts, *kinds))
    except TypeError:
        return None


def _new_path(parent: Path, entry: Entry, key: list, operands: tuple, tracks: bool) -> Path:
    """Return the path that an instruction leads to which was not recorded at this place before."""
    items = iter(key[3:])
    refs, edges, mask = [], [], 0
    for i, x in enumerate(operands):
        next(items)
        refs.append(ABSENT if x is None else next(items))
        if tracks and isinstance(x, TensorBase) and x._node is not None:
            edges.append(next(items))
            mask |= 1 << i
    if not entry.tracks:
        edges, mask = [], 0
    path = parent.next[tuple(key)] = parent.child(entry, tuple(refs), tuple(edges), mask)
    return path


def _reach(x: TensorBase, tape: Any) -> int:
    """Return the reference to an operand that is not pending on ``tape``."""
    cell = x._cell
    if type(cell) is View and cell.known != cell.storage.version:
        refresh(x)
    if type(tape) is not Tape:
        return tape.reach(x)  # a function being traced finds out what it reads from outside
    return locate(x._cell, tape)


def pending_tensor(tape: Tape, ref: int, aval, node=None, number: int = 0) -> Any:
    """Return a tensor whose value waits for a slot of ``tape``."""
    cell = Storage(aval, tape.device, None, tape, ref)
    tape.pending.append(cell)
    t = _new(TENSOR_TYPE)  # as `wrap` does, without another call for every op
    t._cell = cell
    t._aval = aval
    t._node = node
    t._number = number
    return t


def _view_results(entry: Entry, operands: tuple, tape: Tape, first: int, node):
    base, *numbers = operands
    if node is not None:
        node.numbers = tuple(numbers)
    cell = base._cell
    chain, root, several = (), base, False
    if type(cell) is View:
        chain, root, several = cell.chain, cell.base, cell.several
    if base._node is not None and node is None:
        root = None  # made under no_grad: shares the storage, has no part in the history
    results = []
    for i, aval in enumerate(entry.outputs):
        view = View(aval, cell.storage, (*chain, (entry, tuple(numbers), i)), root)
        view.cached_tape, view.cached_ref = tape, first + i << 2 | SLOT
        view.several = several or not entry.single
        results.append(wrap(view, aval, node, i))
    return results[0] if entry.single else tuple(results)


def refresh(t) -> None:
    """Derive a view anew, value and history, after its storage was written."""
    view = t._cell
    if view.base is None or view.base._node is None:
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
    view.seen = view.known = new.seen
    view.array = None
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


def run_function(fn, operands: tuple) -> tuple | None:
    """Run a JAX function now, instead of recording it, if nothing is lost by that.

    Args:
        fn, operands: As for :func:`record_function`, without None.
    Returns:
        A tuple of tensors; None if an operand is still to be computed, or there is something to
        note of what is recorded: a gradient, say.
    """
    tape = state.tape
    if type(tape) is not Tape or tape.pure or observers or program.observer is not None:
        return None
    device, arrays, numbers, at, avals = None, [], [], [], []
    for i, x in enumerate(operands):
        if not isinstance(x, TensorBase):
            numbers.append(x)
            at.append(i)
            avals.append(x.__class__)
            continue
        cell = x._cell
        tracked = x._node is not None and state.grad
        if tracked or type(cell) is not Storage or not isinstance(cell.array, jax.Array):
            return None
        if device not in (None, cell.device):
            return None
        device = cell.device
        arrays.append(cell.array)
        avals.append(x._aval)
    if device is None:
        return None
    entry = _function_entry(fn, avals, ())
    results = program.run_alone(entry, device, arrays, numbers, at)
    return tuple(
        wrap(Storage(aval, device, array), aval)
        for aval, array in zip(entry.outputs, results, strict=True)
    )


def record_update(fn, operands: tuple, targets: list, key: tuple = ()) -> list:
    """Record a JAX function whose results overwrite tensors, outside the autograd graph.

    Args:
        fn, operands, key: As for :func:`record_function`.
        targets: Per result the tensor that takes it, of its shape and dtype; None for a new tensor,
            which then stands here.
    Returns:
        The targets.
    """
    tape = state.tape
    if tape.attention:
        tape = attend(tape)
    refs, avals = [], []
    try:
        for x in operands:
            if isinstance(x, TensorBase):
                cell = x._cell
                refs.append(cell.ref if cell.tape is tape else _reach(x, tape))
                avals.append(x._aval)
            else:
                refs.append(ABSENT if x is None else tape.number(x))
                avals.append(x.__class__)
    except OtherDevice:
        tape.take_back(refs)
        return record_update(fn, _on_one_device(operands), targets, key)
    entry = _function_entry(fn, avals, key)
    ref = tape.append(entry, tuple(refs)).first << 2
    if tape.closed:  # flushed by another thread meanwhile
        return record_update(fn, operands, targets, key)
    for i, target in enumerate(targets):
        if target is None:
            targets[i] = pending_tensor(tape, ref, entry.outputs[i])
        elif type(target._cell) is Storage:
            target._cell.rebind_slot(tape, ref)
        else:
            target.write(pending_tensor(tape, ref, entry.outputs[i]))
        ref += 1 << 2
    return targets


def _function_entry(fn, avals: list, key: tuple) -> Entry:
    signature = (fn, key, *avals)
    entry = _functions.get(signature)
    if entry is None:
        inputs = [None if a is type(None) else a for a in avals]
        entry = _functions[signature] = infer_function(fn, inputs, dict(key))
        if len(_functions) > MAX_SIGNATURES:
            forget_first(_functions)
    return entry


# ---- the first time an op is seen with these operands ----------------------------------------


def _first_sight(spec: OpSpec, operands: tuple, static: tuple, counts: tuple):
    """Validate the arguments, infer the result and remember it; return also the clean operands."""
    if spec.overloads:
        refuse_misfits(spec.name, operands, spec.overloads)
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
            forget_first(spec.memo)
    return entry, operands


def refuse_misfits(op: str, operands: tuple, signatures: tuple[str, ...]) -> None:
    """Raise PyTorch's list of ``signatures`` if tensors and numbers come as in none of them.

    Raises:
        TypeError: they do.
    """
    kinds = tuple(map(_operand_kind, operands))
    for signature in signatures:
        required = [p for p in signature.partition("*")[0].split(", ") if p and "=" not in p]
        if kinds[: len(required)] == tuple(p.split()[0] for p in required):
            return
    raise no_overload(op, tuple(x for x in operands if x is not None), {}, signatures)


def _operand_kind(x) -> str:
    if isinstance(x, TensorBase) or getattr(x, "shape", ()) != ():
        return "Tensor"
    return "Number" if isinstance(x, int | float | complex) or hasattr(x, "dtype") else ""


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
