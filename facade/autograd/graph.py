"""torch.autograd.graph: the nodes of the graph, and hooks on what they save."""

from typing import Any, NamedTuple

from facade.autograd.saved import (
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)
from facade.graph import Node
from facade.tensor import Tensor


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


__all__ = [
    "GradientEdge", "Node", "disable_saved_tensors_hooks", "get_gradient_edge", "save_on_cpu",
    "saved_tensors_hooks",
]  # fmt: skip
