"""Run the autograd graph backwards, recording each node's pullback on the tape."""

import heapq
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from facade import aten
from facade.autograd.anomaly_mode import examine
from facade.autograd.anomaly_mode import mode as anomaly
from facade.avals import Aval
from facade.graph import AccumulateGrad, Node, node_type
from facade.ops.registry import OPS, Entry, infer
from facade.outline import first_slots, sources
from facade.program import Segment, flush
from facade.pullback import Pull, pull_of, read_by, vjp_entry
from facade.recording import pending_tensor, record_entry, wrap
from facade.storage import Storage, attend, locate
from facade.tape import ABSENT, FLOAT, LEAF, MAX_GRAPH_BYTES, SLOT, Tape, state, tape_on
from facade.tensor import Tensor

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you "
    "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
    "through the graph a second time or if you need to access saved tensors after calling backward."
)


class _Running(threading.local):
    """The calls that a thread is in, innermost last."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []


_running = _Running()


class Task:
    """One call of ``backward()`` or ``grad()``.

    Nodes run from the latest to the earliest recorded one: by then all their consumers have run,
    so no dependencies need counting, and no depth of the graph needs a stack.

    A cotangent is a tensor, or the bare reference to a slot of ``self.tape`` while that can't be
    flushed, which is as long as no Python of the user's runs.
    """

    def __init__(self, keep_graph: bool, create_graph: bool, targets: dict | None) -> None:
        self.keep_graph = keep_graph
        self.create_graph = create_graph
        # (node, number) -> what arrived there; None: accumulate in leaves
        self.targets: Any = targets
        self.needed: Any = None  # the nodes that lead to targets, if there are targets
        self.rows: dict = {}  # node -> cotangent per result
        self.heap: list = []
        self.leaves: dict = {}  # AccumulateGrad -> cotangent
        self.tape = state.tape
        self.recording: Recorded | None = None
        self.accumulated = False  # whether a leaf had a gradient before
        self.reached: set = set()  # leaves without one before; of the outermost call

    def run(self, roots: Sequence[tuple], cotangents: Sequence[Tensor | None]) -> None:
        """Push the cotangents through the graph that ends in ``roots``, ``(node, number)`` each.

        A root of one element may have the cotangent None, which is 1.
        """
        if self.targets is not None:
            self.needed = _leading_to(roots, self.targets)
        elif not (self.create_graph or anomaly.enabled) and self._repeat(roots, cotangents):
            return
        was, state.grad = state.grad, self.create_graph
        _running.tasks.append(self)
        try:
            for edge, cotangent in zip(roots, cotangents, strict=True):
                self._arrive(edge, self._one(edge) if cotangent is None else cotangent)
            while self.heap:
                node = heapq.heappop(self.heap)[1]
                self._run_node(node, self.rows.pop(node))
            if self.recording is not None:
                self.recording.finish(self.tape, self.leaves)
            for node, cotangent in self.leaves.items():
                self._finish_leaf(node, cotangent)
        finally:
            state.grad = was
            _running.tasks.pop()
        self._end(self.tape)

    def _end(self, tape: Tape) -> None:
        """Run a micro-batch whose gradients are accumulated, so that one graph is held at a time.

        The first time that is noticed at the second backward, from then on at the first.
        """
        if _running.tasks:  # a part of another backward, which goes on
            _running.tasks[-1].accumulated |= self.accumulated
            return
        tape.backward_pending = True
        end = tape.backward_end
        if end is None:
            end = tape.backward_end = tape.path
        if self.accumulated:
            end.accumulates = True
        if end.accumulates and tape.path.bytes > MAX_GRAPH_BYTES:
            flush(tape)

    def _note(self, node: AccumulateGrad, leaf) -> None:
        """Notice whether a leaf that a gradient has come to had one before the outermost call."""
        reached = (_running.tasks or [self])[0].reached
        if leaf._grad is None:
            reached.add(node)
        elif node not in reached:
            self.accumulated = True

    @staticmethod
    def current() -> "Task":
        """Return the call that Python code in the graph runs in."""
        return _running.tasks[-1]

    def _repeat(self, roots, cotangents) -> bool:
        """Record what this backward put on an equal tape; return whether that was known."""
        tape = self.tape
        if tape.attention:
            return False
        edges = tape.edges(roots)
        refs = tuple([None if c is None else locate(c._cell, tape) for c in cotangents])
        path = tape.path
        known = path.backwards.get((edges, refs))
        if known is None or not known.fits(tape):
            self.recording = Recorded(tape, (edges, refs))
            return False
        was, state.grad = state.grad, False
        try:
            for node, ref in known.record(tape, self.keep_graph):
                leaf = node.leaf()
                if leaf is None:
                    continue
                gradient = pending_tensor(tape, ref, leaf._aval)
                if _running.tasks or leaf._grad is not None:
                    self._note(node, leaf)
                if leaf._grad is None:
                    leaf._grad = gradient
                else:
                    accumulate(leaf, gradient, False)
        finally:
            state.grad = was
        self._end(tape)
        return True

    def _one(self, edge: tuple):
        """Return the cotangent 1 of a root."""
        node, number = edge
        aval = node.outputs[number]
        if self.recording is not None:
            return self.tape.append(_constant_one(aval), ()).first << 2
        return wrap(Storage(aval, self.tape.device, np.ones(aval.shape, aval.dtype.numpy)), aval)

    def _arrive(self, edge: tuple, cotangent) -> None:
        node, number = edge
        if self.needed is not None and node not in self.needed and edge not in self.targets:
            return
        if type(node) is AccumulateGrad:
            held = self.leaves.get(node)
            if held is not None:
                cotangent = self._sum(held, cotangent, node.outputs[0])
            self.leaves[node] = cotangent
            return
        row: list | None = self.rows.get(node)
        if row is None:
            row = self.rows[node] = [None] * len(node.outputs)
            heapq.heappush(self.heap, (-node.sequence, node))
        elif row[number] is not None:
            cotangent = self._sum(row[number], cotangent, node.outputs[number])
        row[number] = cotangent

    def _sum(self, a, b, aval: Aval):
        if type(a) is int and type(b) is int:
            return self.tape.append(_addition(aval), (a, b, ABSENT)).first << 2
        return aten.add(self._tensor(a, aval), self._tensor(b, aval))

    def _tensor(self, cotangent, aval: Aval) -> Any:
        """Return a cotangent as a tensor."""
        if type(cotangent) is not int:
            return cotangent
        return pending_tensor(self.tape, cotangent, aval)

    def _row(self, node, row: list) -> list:
        return [self._tensor(c, a) for c, a in zip(row, node.outputs, strict=True)]

    def _hold(self) -> None:
        """Turn all references into tensors, since the tape may be flushed now."""
        self.recording = None
        for node, row in self.rows.items():
            self.rows[node] = self._row(node, row)
        for node, cotangent in self.leaves.items():
            self.leaves[node] = self._tensor(cotangent, node.outputs[0])

    def _run_node(self, node, row: list) -> None:
        if node.hooks is not None or self.create_graph or not isinstance(node, Node):
            row = self._row(node, row)
            self._hold()
            if node.hooks is not None:
                row = _run_tensor_hooks(node, row)
        if self.targets is not None:
            for number, cotangent in enumerate(row):
                if (node, number) in self.targets:
                    self.targets[node, number] = self._tensor(cotangent, node.outputs[number])
            if node not in self.needed:
                return
        if not isinstance(node, Node):
            gradients = node.backward(row, self.create_graph)
        elif node.hooks is not None and node.hooks.saved is not None:
            gradients = node.hooks.saved.pull(row)
        elif self.create_graph:
            gradients = _pull_differentiably(node, row)
        else:
            gradients = self._pull(node, row)
        if anomaly.enabled:
            gradients = self._examined(node, gradients)
        if not self.keep_graph:
            node.release()
        if node.hooks is not None and node.hooks.post:
            if isinstance(node, Node):
                outputs = pull_of(node.entry, node.mask).outputs
                gradients = [self._tensor(g, a) for g, a in zip(gradients, outputs, strict=True)]
            gradients = _run_post_hooks(node, gradients, row)
        for edge, gradient in zip(node.edges, gradients, strict=True):
            if edge is not None and gradient is not None:
                self._arrive(edge, gradient)

    def _examined(self, node, gradients: list) -> list:
        """Return a node's gradients as tensors, looked at for nan."""
        avals = [e[0].outputs[e[1]] for e in node.edges if e is not None]
        if isinstance(node, Node):
            gradients = [self._tensor(g, a) for g, a in zip(gradients, avals, strict=True)]
        self._hold()
        examine(node, gradients)
        return gradients

    def _pull(self, node: Node, row: list):
        """Record the pullback of a node as one instruction; return its results.

        Raises:
            RuntimeError: an earlier ``backward()`` has freed what the node had saved.
        """
        entry, home, tape = node.entry, node.home, self.tape
        if home is not tape or tape.attention:
            row = self._row(node, row)
            self._hold()
            tape = self.tape = _open_tape(node, row)
            home = node.home
        if home is tape:
            pull, refs = pull_of(entry, node.mask), [node.index]
        elif home is not None:
            pull = home.pull(node.path)
            refs = [tape.array(x) for x in home.residuals[node.index]]
        else:
            pull, numbers = _free_pull(node)
            refs = [tape.number(n) for n in numbers]
        for cotangent, differentiable in zip(row, entry.differentiable, strict=True):
            if type(cotangent) is int:
                refs.append(cotangent)
            elif cotangent is not None:
                refs.append(locate(cotangent._cell, tape))
            elif differentiable:
                refs.append(ABSENT)
        if self.recording is not None:
            self.recording.nodes.append(node)
        path = tape.append(pull, tuple(refs))
        gradients = [slot << 2 for slot in range(path.first, path.end)]
        if self.recording is None:  # a sum of two may flush the tape before the third arrives
            return [self._tensor(g, a) for g, a in zip(gradients, pull.outputs, strict=True)]
        return gradients

    def _finish_leaf(self, node: AccumulateGrad, gradient) -> None:
        if node.hooks is not None:
            self._hold()
            (gradient,) = _run_tensor_hooks(node, [self._tensor(gradient, node.outputs[0])])
        if self.targets is not None:
            if (node, 0) in self.targets:
                self.targets[node, 0] = self._tensor(gradient, node.outputs[0])
            return
        leaf = node.leaf()
        if leaf is None:
            return
        self._note(node, leaf)
        if type(gradient) is int and leaf._grad is None:
            leaf._grad = self._tensor(gradient, leaf._aval)
        else:
            accumulate(leaf, self._tensor(gradient, leaf._aval), self.create_graph)
        if node.hooks is not None:
            for hook in list(node.hooks.accumulated.values()):
                hook(leaf)


class Recorded:
    """What a backward put on the tape, kept at the path where it started.

    The next tape that takes this path, which means the same instructions with the same graph, has
    its backward recorded in one go.

    Attributes:
        nodes: The nodes that ran; later their positions in ``tape.nodes``.
        path: Where the tape stands after it.
        leaves: ``(position in tape.sources, reference to the gradient)``.
    """

    def __init__(self, tape: Tape, key: tuple) -> None:
        self.begins = tape.path
        self.key = key
        self.nodes: list = []

    def finish(self, tape: Tape, leaves: dict) -> None:
        at = {node: i for i, node in enumerate(tape.nodes)}
        self.nodes = [at[node] for node in self.nodes]
        self.path = tape.path
        self.leaves = [(tape.source_of[node], ref) for node, ref in leaves.items()]
        if all(type(ref) is int for _, ref in self.leaves):
            self.begins.backwards[self.key] = self

    def fits(self, tape: Tape) -> bool:
        """Return whether nothing on this tape asks for more: hooks, nodes freed or flushed."""
        for i in self.nodes:
            node = tape.nodes[i]
            if node.home is not tape or node.hooks is not None:
                return False
        ends = [tape.sources[i] for i, _ in self.leaves]
        return all(type(end) is AccumulateGrad and end.hooks is None for end in ends)

    def record(self, tape: Tape, keep_graph: bool) -> list[tuple]:
        """Record it; return the leaves with the references to their gradients."""
        tape.advance(self.path)
        if not keep_graph:
            for i in self.nodes:
                tape.nodes[i].home = None
        return [(tape.sources[i], ref) for i, ref in self.leaves]


def reached_from(nodes: Iterable) -> set:
    """Return the nodes that are reached from some, with those."""
    reached = set(nodes)
    stack = list(reached)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge[0] not in reached:
                reached.add(edge[0])
                stack.append(edge[0])
    return reached


def _leading_to(roots, targets: dict) -> set:
    """Return the nodes from which a target is reached."""
    wanted = {node for node, _ in targets}
    needed: set = set()
    for node in sorted(reached_from(node for node, _ in roots), key=lambda n: n.sequence):
        if any(e is not None and (e[0] in needed or e[0] in wanted) for e in node.edges):
            needed.add(node)
    return needed


def _constant_one(aval: Aval) -> Entry:
    found = _ones.get(aval)
    if found is None:

        def one():
            return (jnp.ones(aval.shape, aval.dtype.numpy),)

        found = _ones[aval] = Entry("one", one, (), (aval,))
    return found


def _addition(aval: Aval) -> Entry:
    found = _additions.get(aval)
    if found is None:
        found = _additions[aval] = infer(OPS["add"], [aval, aval, None], {})
    return found


_ones: dict[Aval, Entry] = {}
_additions: dict[Aval, Entry] = {}


def _open_tape(node: Node, row: list) -> Tape:
    """Return the open tape a node's pullback goes on; the node's own, if that is still open."""
    tape = tape_on(next((c._cell.device for c in row if c is not None), state.tape.device))
    if tape.attention:
        tape = attend(tape)
    if type(node.home) is Tape and node.home is not tape:
        flush(node.home)  # recorded by another thread
    return tape


def _free_pull(node: Node) -> tuple:
    """Return the pullback of a freed node that had nothing to free, and the numbers it takes first.

    Raises:
        RuntimeError: an earlier ``backward()`` has freed what the node had saved.
    """
    found = node.free_pull()
    if found is None:
        raise RuntimeError(SECOND_TIME)
    return found


def _pull_differentiably(node: Node, row: list) -> list:
    """Record the pullback of a node as an op of its operands, so that it can be differentiated.

    Raises:
        RuntimeError: as :meth:`Task._pull`.
    """
    cotangents = [c for c, d in zip(row, node.entry.differentiable, strict=True) if d]
    if node.home is None:
        pull, numbers = _free_pull(node)
        return list(record_entry(pull, (*numbers, *cotangents)))
    tape = _open_tape(node, row)
    refs = node.path.step[1] if node.home is tape else replay(node.home, node.index, tape)
    backward = vjp_entry(node.entry, node.mask, tuple(c is None for c in cotangents))
    refs = [*refs, *(ABSENT if c is None else locate(c._cell, tape) for c in cotangents)]
    operands = [i for i in range(node.mask.bit_length()) if node.mask >> i & 1]
    sources = dict(zip(operands, node.edges, strict=True))
    for i, c in enumerate(cotangents, len(node.entry.inputs)):
        if c is not None and c._node is not None:
            sources[i] = (c._node, c._number)
    read = read_by(backward)
    sources = {i: edge for i, edge in sources.items() if read >> i & 1}
    edges, mask = list(sources.values()), sum(1 << i for i in sources)
    path = tape.append(backward, tuple(refs), tape.edges(edges), mask)
    made = None
    if mask:
        made = node_type(backward)(path, tape, tuple(edges))
        tape.nodes.append(made)
    return [
        pending_tensor(tape, path.first + i << 2 | SLOT, aval, made, i)
        for i, aval in enumerate(backward.outputs)
    ]


def replay(segment: Segment, index: int, tape: Tape) -> list[int]:
    """Record the flushed instructions that lead to instruction ``index`` again, on ``tape``.

    Returns:
        The references to that instruction's operands.
    """
    if segment.replayed is None or segment.replayed[0] is not tape:
        segment.replayed = (tape, {})
    places = segment.replayed[1]  # instruction of the segment -> instruction on the tape, and slot
    code = segment.path.code()
    owners = [i for i, (entry, _, _) in enumerate(code) for _ in entry.outputs]
    firsts = first_slots(code)

    def moved(ref: int) -> int:
        kind, at = ref & 3, ref >> 2
        if ref == ABSENT:
            return ref
        if kind == SLOT:
            owner = owners[at]
            return places[owner][1] + at - firsts[owner] << 2 | SLOT
        if kind == LEAF:
            return tape.array(segment.leaves[at])
        return tape.number(segment.floats[at] if kind == FLOAT else segment.ints[at])

    needed, stack = set(), sources(code, owners, index)
    while stack:
        i = stack.pop()
        if i not in needed and i not in places:
            needed.add(i)
            stack.extend(sources(code, owners, i))
    for i in sorted(needed):
        entry, refs, _ = code[i]
        if type(entry) is Pull:
            new = (places[refs[0]][0], *map(moved, refs[1:]))
        else:
            new = tuple(map(moved, refs))
        path = tape.append(entry, new)
        places[i] = (path.length - 1, path.first)
    return [moved(r) for r in code[index][1]]


# ---- leaves and hooks --------------------------------------------------------------------------


def accumulate(leaf: Tensor, gradient: Tensor, create_graph: bool) -> None:
    """Add to ``leaf.grad``, in place when no graph is made (so an alias of it sees the sum)."""
    if leaf._grad is None:
        leaf._grad = gradient if create_graph else own(gradient)
    elif create_graph:
        leaf._grad = aten.add(leaf._grad, gradient)
    else:
        leaf._grad.write(aten.add(leaf._grad, gradient))


def own(t: Tensor) -> Tensor:
    """Return a tensor of the same value with a storage of its own; nothing is copied."""
    if type(t._cell) is not Storage:
        return aten.clone(t.detach())
    storage = Storage(t._aval, t._cell.device)
    storage.rebind(t._cell)
    return wrap(storage, t._aval)


def _run_tensor_hooks(node, row: list) -> list:
    hooks = node.hooks
    row = list(row)
    for number, each in hooks.tensor.items():
        for hook in list(each.values()):
            if row[number] is not None:
                replaced = hook(row[number])
                row[number] = row[number] if replaced is None else replaced
    for hook in list(hooks.pre.values()):
        replaced = hook(tuple(row))
        if replaced is not None:
            row = list(replaced) if isinstance(replaced, tuple | list) else [replaced]
    for number, reference in hooks.retain.items():
        tensor = reference()
        if tensor is not None and row[number] is not None:
            held = tensor._grad
            tensor._grad = row[number] if held is None else aten.add(held, row[number])
    return row


def _run_post_hooks(node, gradients: list, row: list) -> list:
    for hook in list(node.hooks.post.values()):
        replaced = hook(tuple(gradients), tuple(row))
        if replaced is not None:
            gradients = list(replaced) if isinstance(replaced, tuple | list) else [replaced]
    return gradients
