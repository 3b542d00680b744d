"""The autograd graph: what each ``grad_fn`` knows. Running it backwards is ``autograd/engine.py``."""

import itertools
import weakref

from facade.hooks import RemovableHandle
from facade.lower import residual_tree, saved_entry
from facade.ops.registry import Entry
from facade.tape import Tape

_sequence = itertools.count(1)


class Node:
    """The backward of one recorded op.

    While the tape is not flushed the node only points at its instruction; the flush then gives it
    the residuals of its pullback, if somebody may still call ``backward()``.

    Attributes:
        edges: Per operand of the op ``(node, result number)``, None where no gradient is wanted.
        mask: Which operands those are.
        tape, index: Its instruction, while that is not flushed.
        segment, position, residuals: After the flush, what it left behind.
        freed: Whether ``backward()`` has consumed it.
        sequence: Later ops have higher numbers.
        hooks: The hooks, by kind; None while there are none.
    """

    __slots__ = (
        "__weakref__", "edges", "entry", "freed", "hooks", "index", "metadata_", "position",
        "residuals", "segment", "sequence", "tape",
    )  # fmt: skip

    def __init__(self, entry: Entry, tape: Tape | None, index: int, edges: tuple) -> None:
        self.entry = entry
        self.tape = tape
        self.index = index
        self.edges = edges
        self.segment = None
        self.freed = False
        self.sequence = next(_sequence)
        self.hooks: Hooks | None = None

    @property
    def mask(self) -> tuple[bool, ...]:
        return tuple(e is not None for e in self.edges)

    @property
    def outputs(self):
        """Avals of the op's results."""
        return self.entry.outputs

    def save(self, segment, position: int, residuals: list) -> None:
        """Keep what a flush computed for this node."""
        self.tape = None
        self.segment, self.position, self.residuals = segment, position, residuals

    def release(self) -> None:
        """Let go of everything but the graph's shape."""
        self.freed = True
        self.tape = self.segment = self.residuals = None

    def saved_pull(self) -> Entry:
        """Return the instruction that takes this node's residuals and cotangents."""
        program = self.segment.program
        found = program.entries.get(self.position)
        if found is None:
            tree = program.trees[self.position]
            found = program.entries[self.position] = saved_entry(self.entry, self.mask, tree)
        return found

    def pull_without_residuals(self) -> Entry:
        """Return the pullback of a freed node that had nothing to free."""
        key = ("free", self.mask)
        if key not in self.entry.cache:
            tree = residual_tree(self.entry, self.mask)
            self.entry.cache[key] = saved_entry(self.entry, self.mask, tree)
        return self.entry.cache[key]

    def needs_nothing_saved(self) -> bool:
        """Return whether the backward has no residuals, so that it can run any number of times."""
        return residual_tree(self.entry, self.mask).num_leaves == 0

    # What a user sees of it.

    def register_hook(self, hook) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after the node has run."""
        return _register(hooks_of(self).post, hook)

    def register_prehook(self, hook) -> RemovableHandle:
        """Call ``hook(grad_outputs)`` before the node runs."""
        return _register(hooks_of(self).pre, hook)

    def name(self) -> str:
        """Return the name PyTorch prints, such as ``AddBackward0``."""
        return self.entry.grad_name

    @property
    def next_functions(self) -> tuple:
        """``(node, result number)`` per operand, ``(None, 0)`` where no gradient flows."""
        return tuple(e or (None, 0) for e in self.edges)

    @property
    def metadata(self) -> dict:
        """A dictionary for the user's own notes."""
        if not hasattr(self, "metadata_"):
            self.metadata_ = {}
        return self.metadata_

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"


def _register(hooks: dict, hook) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class AccumulateGrad:
    """The end of the graph at a leaf: adds what arrives to ``variable.grad``.

    Holds its leaf weakly: the leaf holds the node, and a gradient nobody can read is not missed.
    """

    __slots__ = ("__weakref__", "hooks", "leaf", "metadata")
    sequence = 0  # runs after every other node
    freed = False
    next_functions = ()
    edges = ()

    def __init__(self, leaf) -> None:
        self.leaf = weakref.ref(leaf)
        self.hooks: Hooks | None = None
        self.metadata: dict = {}

    @property
    def variable(self):
        """The leaf."""
        return self.leaf()

    @property
    def outputs(self):
        leaf = self.leaf()
        return (leaf._aval,) if leaf is not None else (None,)

    def name(self) -> str:
        return "struct torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


class Hooks:
    """The hooks of a node.

    Attributes:
        tensor: Per result number, hooks on its gradient, and a tensor that retains it.
        pre, post: Hooks on the node: before it runs, and after.
        accumulated: After a leaf's gradient was added.
    """

    def __init__(self) -> None:
        self.tensor: dict[int, dict] = {}
        self.retain: dict = {}
        self.pre: dict = {}
        self.post: dict = {}
        self.accumulated: dict = {}


def hooks_of(node) -> Hooks:
    """Return a node's hooks, made on first use."""
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks
