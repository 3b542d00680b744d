"""Backwards that PyTorch refuses, since it knows no derivative."""

import functools
from collections.abc import Callable

from facade.graph import PythonNode


class Refusal(PythonNode):
    """A node whose backward raises."""

    def __init__(self, replaced, shown: str, error: Exception) -> None:
        super().__init__(replaced.edges, replaced.outputs)
        self.shown = shown
        self.error = error

    def backward(self, cotangents: list, create_graph: bool) -> list:
        raise self.error

    def name(self) -> str:
        return self.shown


class NotImplemented(Refusal):
    """The node of an op that has no derivative at all."""


def underived(call: Callable, name: str) -> Callable:
    """Return ``call`` with a backward that says that ``aten::name`` has no derivative."""

    @functools.wraps(call)
    def function(*args, **kwargs):
        result = call(*args, **kwargs)
        if result._node is not None:
            error = RuntimeError(f"derivative for aten::{name} is not implemented")
            result._node = NotImplemented(result._node, "torch::autograd::NotImplemented", error)
        return result

    return function


def refuse_backward(result, name: str):
    """Return ``result`` with a backward that says that the derivative for ``name`` is missing."""
    node = result._node
    if node is not None:
        error = NotImplementedError(f"the derivative for '{name}' is not implemented.")
        kind = type(type(node).__name__, (Refusal,), {})
        result._node = kind(node, type(node).__name__, error)
    return result
