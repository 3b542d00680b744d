"""Run the autograd graph backwards, recording each node's pullback on the tape."""

import heapq
from collections.abc import Sequence

from facade import aten
from facade.graph import AccumulateGrad, Node
from facade.lower import Pull, pull_of, vjp_entry
from facade.ops.registry import Entry
from facade.program import Segment, flush
from facade.recording import wrap
from facade.storage import Storage, attend, locate
from facade.tape import ABSENT, FLOAT, LEAF, SLOT, Tape, state, tape_on
from facade.tensor import Tensor

_SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you "
    "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
    "through the graph a second time or if you need to access saved tensors after calling backward."
)


class Task:
    """One call of ``backward()`` or ``grad()``.

    Nodes run from the latest to the earliest recorded one: by then all their consumers have run,
    so no dependencies need counting, and no depth of the graph needs a stack.
    """

    def __init__(self, keep_graph: bool, create_graph: bool, targets: dict | None) -> None:
        self.keep_graph = keep_graph
        self.create_graph = create_graph
        self.targets = targets  # (node, number) -> what arrived there; None: accumulate in leaves
        self.needed: set | None = None
        self.cotangents: dict = {}  # node -> list per result
        self.heap: list = []
        self.leaves: dict = {}  # AccumulateGrad -> what arrived

    def run(self, roots: Sequence[tuple], cotangents: Sequence[Tensor]) -> None:
        """Push the cotangents through the graph that ends in ``roots``, ``(node, number)`` each."""
        if self.targets is not None:
            self.needed = _leading_to(roots, self.targets)
        was, state.grad = state.grad, self.create_graph
        try:
            for edge, cotangent in zip(roots, cotangents, strict=True):
                self._arrive(edge, cotangent)
            while self.heap:
                _, node = heapq.heappop(self.heap)
                self._run_node(node, self.cotangents.pop(node))
            for node, gradient in self.leaves.items():
                self._finish_leaf(node, gradient)
        finally:
            state.grad = was
        state.tape.backward_pending = True

    def _arrive(self, edge: tuple, cotangent: Tensor) -> None:
        node, number = edge
        if self.needed is not None and node not in self.needed and edge not in self.targets:
            return
        if type(node) is AccumulateGrad:
            held = self.leaves.get(node)
            self.leaves[node] = cotangent if held is None else aten.add(held, cotangent)
            return
        row = self.cotangents.get(node)
        if row is None:
            row = self.cotangents[node] = [None] * len(node.outputs)
            heapq.heappush(self.heap, (-node.sequence, node))
        row[number] = cotangent if row[number] is None else aten.add(row[number], cotangent)

    def _run_node(self, node, row: list) -> None:
        if node.hooks is not None:
            row = _run_tensor_hooks(node, row)
        if self.targets is not None:
            for number, cotangent in enumerate(row):
                if (node, number) in self.targets:
                    self.targets[node, number] = cotangent
            if node not in self.needed:
                return
        gradients = apply(node, row, self.create_graph)
        if not self.keep_graph:
            node.release()
        if node.hooks is not None:
            gradients = _run_post_hooks(node, gradients, row)
        for edge, gradient in zip(node.edges, gradients, strict=True):
            if edge is not None and gradient is not None:
                self._arrive(edge, gradient)

    def _finish_leaf(self, node: AccumulateGrad, gradient: Tensor) -> None:
        if node.hooks is not None:
            (gradient,) = _run_tensor_hooks(node, [gradient])
        if self.targets is not None and (node, 0) in self.targets:
            self.targets[node, 0] = gradient
            return
        leaf = node.leaf()
        if leaf is None or self.targets is not None:
            return
        accumulate(leaf, gradient, self.create_graph)
        if node.hooks is not None:
            for hook in list(node.hooks.accumulated.values()):
                hook(leaf)


def _leading_to(roots, targets: dict) -> set:
    """Return the nodes from which a target is reached."""
    wanted = {node for node, _ in targets}
    reached = {node for node, _ in roots}
    stack = list(reached)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge[0] not in reached:
                reached.add(edge[0])
                stack.append(edge[0])
    needed: set = set()
    for node in sorted(reached, key=lambda n: n.sequence):
        if any(e is not None and (e[0] in needed or e[0] in wanted) for e in node.edges):
            needed.add(node)
    return needed


# apply: (node, cotangent | None per result) -> gradient | None per operand
def apply(node, row: list, create_graph: bool) -> list:
    """Return the gradients of a node's operands.

    Raises:
        RuntimeError: an earlier ``backward()`` has freed what the node had saved.
    """
    if not isinstance(node, Node):
        return node.backward(row, create_graph)
    entry = node.entry
    mask = node.mask
    if node.freed and not node.needs_nothing_saved():
        raise RuntimeError(_SECOND_TIME)
    cotangents = [c for c, d in zip(row, entry.differentiable, strict=True) if d]
    if create_graph:
        results = _pull_differentiably(node, entry, mask, cotangents)
    else:
        results = _pull(node, entry, mask, cotangents)
    queue = iter(results)
    return [next(queue) if m else None for m in mask]


def _pull(node: Node, entry: Entry, mask, cotangents: list) -> list:
    """Record the pullback of a node as one instruction."""
    tape = _tape_for(node, cotangents)
    if node.tape is tape:
        pull, head = pull_of(entry, mask), [node.index]
    elif node.segment is not None:
        pull, head = node.saved_pull(), [tape.array(x) for x in node.residuals]
    else:
        pull, head = node.pull_without_residuals(), []
    refs = head + [ABSENT if c is None else locate(c._cell, tape) for c in cotangents]
    return _results(tape, tape.append(pull, tuple(refs)), pull.outputs)


def _pull_differentiably(node: Node, entry: Entry, mask, cotangents: list) -> list:
    """Record the pullback of a node as an op of its operands, so that it can be differentiated."""
    tape = _tape_for(node, cotangents)
    if node.tape is tape:
        refs = tape.code[node.index][1]
    elif node.segment is not None:
        refs = replay(node.segment, node.index, tape)
    else:
        raise RuntimeError(_SECOND_TIME)
    backward = vjp_entry(entry, mask, tuple(c is None for c in cotangents))
    refs = [*refs, *(ABSENT if c is None else locate(c._cell, tape) for c in cotangents)]
    edges = node.edges + tuple(
        None if c is None or c._node is None else (c._node, c._number) for c in cotangents
    )
    made = Node(backward, tape, len(tape.code), edges)
    tape.nodes.append((made.index, made))
    return _results(tape, tape.append(backward, tuple(refs)), backward.outputs, made)


def _results(tape: Tape, first: int, outputs: tuple, node: Node | None = None) -> list:
    results = []
    for i, aval in enumerate(outputs):
        cell = Storage(aval, tape.device, None, tape, first + i << 2 | SLOT)
        tape.pending.append(cell)
        results.append(wrap(cell, aval, node, i))
    return results


def _tape_for(node: Node, cotangents: list) -> Tape:
    """Return the open tape a node's pullback goes on; the node's own, if that is still open."""
    for c in cotangents:
        if c is not None:
            tape = tape_on(c._cell.device)
            break
    else:
        tape = state.tape
    if tape.attention:
        tape = attend(tape)
    if node.tape is not None and node.tape is not tape:
        flush(node.tape)  # recorded by another thread
    return tape


def replay(segment: Segment, index: int, tape: Tape) -> list[int]:
    """Record the flushed instructions that lead to instruction ``index`` again, on ``tape``.

    Returns:
        The references to that instruction's operands.
    """
    if segment.replayed is None or segment.replayed[0] is not tape:
        segment.replayed = (tape, {})
    places = segment.replayed[1]  # instruction of the segment -> instruction on the tape, and slot
    owners = [i for i, (entry, _) in enumerate(segment.code) for _ in entry.outputs]
    firsts = {owner: slot for slot, owner in reversed(list(enumerate(owners)))}

    def sources(i: int):
        entry, refs = segment.code[i]
        if type(entry) is Pull:
            yield refs[0]
            refs = refs[1:]
        yield from (owners[r >> 2] for r in refs if r != ABSENT and r & 3 == SLOT)

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

    needed, stack = set(), list(sources(index))
    while stack:
        i = stack.pop()
        if i not in needed and i not in places:
            needed.add(i)
            stack.extend(sources(i))
    for i in sorted(needed):
        entry, refs = segment.code[i]
        if type(entry) is Pull:
            new = (places[refs[0]][0], *map(moved, refs[1:]))
        else:
            new = tuple(map(moved, refs))
        places[i] = (len(tape.code), tape.append(entry, new))
    return [moved(r) for r in segment.code[index][1]]


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
