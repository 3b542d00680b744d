"""Backwards that PyTorch refuses, since it knows no derivative."""

import functools
from collections.abc import Callable

from facade.graph import PythonNode
from facade.tape import state


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


def underived_result(result, operands: tuple, name: str):
    """Return a result without history with a backward as :func:`underived` gives."""
    error = RuntimeError(f"derivative for aten::{name} is not implemented")
    return _refuse(result, operands, NotImplemented, "torch::autograd::NotImplemented", error)


def refused_result(result, operands: tuple, name: str, grad_name: str):
    """Return a result without history with a backward as :func:`refuse_backward` gives."""
    error = NotImplementedError(f"the derivative for '{name}' is not implemented.")
    return _refuse(result, operands, type(grad_name, (Refusal,), {}), grad_name, error)


def _refuse(result, operands: tuple, kind: type[Refusal], shown: str, error: Exception):
    edges = [(x._fresh_node(), x._number) for x in operands if x is not None and x.requires_grad]
    if edges and state.grad:
        source = PythonNode(tuple(edges), (result._aval,))
        result._node, result._number = kind(source, shown, error), 0
    return result
