"""torch.autograd.graph: the nodes of the graph, hooks on gradients, and on what nodes save."""

import abc
import functools
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from facade import graph
from facade.autograd.engine import Task, reached_from
from facade.autograd.saved import (
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from facade.hooks import RemovableHandle
from facade.tensor import Tensor


class Node(abc.ABC):
    """What every ``grad_fn`` is an instance of."""

    @abc.abstractmethod
    def name(self) -> str:
        """Return PyTorch's name of it."""


for _kind in (graph.Node, graph.PythonNode, graph.AccumulateGrad):
    Node.register(_kind)


class GradientEdge(NamedTuple):
    """A place in the graph where a gradient arrives.

    Attributes:
        node: The node.
        output_nr: Which of its results.
    """

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Return where the gradient of a tensor arrives.

    Raises:
        RuntimeError: it requires none.
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients",
        )
    return GradientEdge(tensor._node, tensor._number)


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Count one more write to tensors."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._cell.storage.version += 1


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all"
) -> RemovableHandle:
    """Call ``fn`` once per backward, when the gradients of several tensors are there.

    Args:
        mode: "all": ``fn(gradients)`` after the last of them, None standing for those that this
            backward does not compute; "any": ``fn(gradient)`` of the first.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of {('all', 'any')} but got {mode}")
    if mode == "any":
        called: weakref.WeakSet[Task] = weakref.WeakSet()  # the backwards that have called `fn`

        @functools.wraps(fn)
        def first(gradient) -> None:
            if Task.current() not in called:
                called.add(Task.current())
                fn(gradient)

        return _MultiHandle([t.register_hook(first) for t in tensors if t.requires_grad])
    nodes = [t._fresh_node() for t in tensors]
    # backward -> how many gradients are to come, those that are there
    waiting: weakref.WeakKeyDictionary[Task, list] = weakref.WeakKeyDictionary()

    def arrived(number: int, gradient: Tensor) -> None:
        task = Task.current()
        if task not in waiting:
            to_come = _to_come(task, nodes[number])
            waiting[task] = [sum(node in to_come for node in nodes), [None] * len(nodes)]
        state = waiting[task]
        state[0] -= 1
        state[1][number] = gradient
        if not state[0]:
            del waiting[task]
            fn(state[1])

    return _MultiHandle(
        [t.register_hook(functools.partial(arrived, i)) for i, t in enumerate(tensors)]
    )


def _to_come(task: Task, node: Any) -> set:
    """Return the nodes that a backward which stands at ``node`` will run, with that one."""
    reached = reached_from((node, *task.rows, *task.leaves))
    if task.targets is None:
        return reached
    return {n for n in reached if n in task.needed} | {n for n, _ in task.targets} & reached


class _MultiHandle(RemovableHandle):
    """Unhooks several hooks at once."""

    def __init__(self, handles: list[RemovableHandle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __getstate__(self):
        return self.handles

    def __setstate__(self, state) -> None:
        self.handles = state


__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks",
    "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu",
    "saved_tensors_hooks",
]  # fmt: skip
