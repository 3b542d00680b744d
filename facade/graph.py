"""The autograd graph: what each ``grad_fn`` knows. ``autograd/engine.py`` runs it backwards."""

import itertools
import weakref
from collections import OrderedDict
from typing import Any

from facade.hooks import RemovableHandle, add_hook
from facade.ops.registry import Entry
from facade.pullback import free_entry
from facade.tape import Path, Tape

_sequence = itertools.count(1)


class Node:
    """The backward of one recorded op.

    While the tape is not flushed the node only points at its instruction; the flush then keeps the
    residuals of its pullback, if somebody may still call ``backward()``.

    Attributes:
        home: The tape it is recorded on; after the flush the :class:`Segment` that this left
            behind; None once ``backward()`` has consumed it.
        path: Its place on that tape.
        edges: ``(node, result number)`` of each operand that a gradient is wanted for.
        sequence: Later ops have higher numbers.
        hooks: The hooks, by kind; None while there are none.
        numbers: What a view op got besides the tensor.
    """

    __slots__ = (
        "__weakref__", "edges", "home", "hooks", "metadata_", "numbers", "path", "sequence",
    )  # fmt: skip

    def __init__(self, path: Path, tape: Tape, edges: tuple) -> None:
        self.path = path
        self.home: Any = tape
        self.edges = edges
        self.sequence = next(_sequence)
        self.hooks: Hooks | None = None
        self.numbers: tuple = ()

    @property
    def entry(self) -> Entry:
        """The op."""
        return self.path.step[0]

    @property
    def index(self) -> int:
        """The number of its instruction on the tape."""
        return self.path.length - 1

    @property
    def mask(self) -> int:
        """Which operands a gradient is wanted for: bit i stands for operand i."""
        return self.path.mask

    @property
    def outputs(self):
        """Avals of the op's results."""
        return self.path.step[0].outputs

    def release(self) -> None:
        """Let go of everything but the graph's shape."""
        if self.hooks is not None:
            self.hooks.saved = None
        if type(self.home) is not Tape and self.home is not None:
            self.home.residuals.pop(self.index, None)
        self.home = None

    def free_pull(self) -> tuple[Entry, tuple] | None:
        """Return the pullback of a node that had nothing to free, and the numbers that go in first.

        None if it had: values of operands.
        """
        pull = free_entry(self.entry, self.mask)
        return None if pull is None else (pull, self.numbers)

    # What a user sees of it.

    def register_hook(self, hook) -> RemovableHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after the node has run."""
        return add_hook(hooks_of(self).post, hook)

    def register_prehook(self, hook) -> RemovableHandle:
        """Call ``hook(grad_outputs)`` before the node runs."""
        return add_hook(hooks_of(self).pre, hook)

    def name(self) -> str:
        """Return PyTorch's name of it, such as ``AddBackward0``."""
        name = self.entry.grad_name
        return f"torch::autograd::{name}" if name in _WRITTEN_BY_HAND else name

    @property
    def next_functions(self) -> tuple:
        """``(node, result number)`` per operand, ``(None, 0)`` where no gradient flows."""
        edges = iter(self.edges)
        return tuple(
            next(edges) if self.mask >> i & 1 else (None, 0)
            for i, a in enumerate(self.entry.inputs)
            if a is not None
        )

    @property
    def metadata(self) -> dict:
        """A dictionary for the user's own notes."""
        if not hasattr(self, "metadata_"):
            self.metadata_ = {}
        return self.metadata_

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"


_WRITTEN_BY_HAND = ("CopySlices", "CopyBackwards")  # in PyTorch's C++, so with their namespace
_node_types: dict[str, type[Node]] = {}
SAVED: dict[str, dict[str, property]] = {}  # name of a node -> attributes; autograd fills it


def node_type(entry: Entry) -> type[Node]:
    """Return the class of an entry's nodes: its name is what ``grad_fn`` prints."""
    name = entry.grad_name
    if name not in _node_types:
        _node_types[name] = type(name, (Node,), {"__slots__": ()} | SAVED.get(name, {}))
    entry.node_type = _node_types[name]
    return _node_types[name]


class PythonNode:
    """A backward written in Python: subclasses give ``backward`` and perhaps ``name``.

    Attributes:
        outputs: Avals of its results.
        edges: ``(node, result number)`` per operand, None where no gradient flows.
        sequence, hooks: As in :class:`Node`.
    """

    home = None

    def __init__(self, edges: tuple, outputs: tuple) -> None:
        self.edges = edges
        self.outputs = outputs
        self.sequence = next(_sequence)
        self.hooks: Hooks | None = None
        self.metadata: dict = {}

    def backward(self, cotangents: list, create_graph: bool) -> list:
        """Return a gradient or None per edge, given a tensor or None per result."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what the backward needs: here nothing."""

    def name(self) -> str:
        return type(self).__name__

    @property
    def next_functions(self) -> tuple:
        return tuple(e or (None, 0) for e in self.edges)

    register_hook = Node.register_hook
    register_prehook = Node.register_prehook
    __repr__ = Node.__repr__


class AccumulateGrad:
    """The end of the graph at a leaf: adds what arrives to ``variable.grad``.

    Holds its leaf weakly: the leaf holds the node, and a gradient nobody can read is not missed.
    """

    __slots__ = ("__weakref__", "aval", "hooks", "leaf", "metadata")
    sequence = 0  # runs after every other node
    home = None
    next_functions = ()
    edges = ()

    def __init__(self, leaf) -> None:
        self.leaf = weakref.ref(leaf)
        self.aval = leaf._aval  # for when it is gone
        self.hooks: Hooks | None = None
        self.metadata: dict = {}

    @property
    def variable(self):
        """The leaf."""
        return self.leaf()

    @property
    def outputs(self) -> tuple[Any, ...]:
        leaf = self.leaf()
        return (self.aval if leaf is None else leaf._aval,)

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


class Hooks:
    """The hooks of a node.

    Attributes:
        tensor: Per result number, hooks on its gradient, and a tensor that retains it.
        pre, post: Hooks on the node: before it runs, and after.
        accumulated: After a leaf's gradient was added.
        saved: What hooks packed of the operands, which the backward then computes from.
    """

    def __init__(self) -> None:
        self.tensor: dict[int, OrderedDict] = {}
        self.retain: dict = {}
        self.pre: OrderedDict = OrderedDict()
        self.post: OrderedDict = OrderedDict()
        self.accumulated: OrderedDict = OrderedDict()
        self.saved: Any = None


def hooks_of(node) -> Hooks:
    """Return a node's hooks, made on first use."""
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks
