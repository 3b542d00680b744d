"""Tensors that consist of others, of which one has the elements: sparse, nested, quantized."""

import copy
from collections.abc import Callable
from typing import Any

from facade.graph import AccumulateGrad
from facade.parts import Parts
from facade.recording import TensorBase
from facade.tape import state
from facade.tensor import Tensor
from facade.torch_function import disabled


class ComposedTensor(Tensor):
    """A tensor whose elements are those of another, and whose other parts say where they are.

    Attributes:
        elements: It carries the history, so an op that is recorded on it has its gradient without
            more ado, and a leaf's gradient arrives there.
    """

    __torch_function__: Any = staticmethod(disabled)
    elements: Tensor

    @classmethod
    def _bare(cls, cell: Parts, aval, elements: Tensor) -> Any:
        made: Any = TensorBase.__new__(cls)
        made._cell, made._aval, made.elements = cell, aval, elements
        return made

    def like(self, elements: Tensor) -> Any:
        """Return a tensor that consists of other elements and the same rest."""
        raise NotImplementedError

    def moved(self, move: Callable[[Tensor], Tensor]) -> Any:
        """Return this of parts that were moved to another device."""
        return self.like(move(self.elements))

    # ---- history: that of the elements ----

    @property
    def _node(self) -> Any:
        return self.elements._fresh_node()

    @_node.setter
    def _node(self, node: Any) -> None:
        if "elements" not in vars(self):  # made as a Parameter, say, without its parts
            raise self._cell.refusal("a subclass")
        self.elements._node = node

    @property
    def _number(self) -> Any:
        return self.elements._number

    @property
    def _grad(self) -> Any:
        found = self.elements._grad
        return None if found is None else self._shown_gradient(found)

    @_grad.setter
    def _grad(self, value: Tensor | None) -> None:
        self.elements._grad = None if value is None else self.own_gradient(value)

    def _shown_gradient(self, gradient: Tensor) -> Any:
        return self.like(gradient)

    def own_gradient(self, gradient: Tensor) -> Tensor:
        """Return what a gradient for this tensor is for its elements."""
        raise self._cell.refusal("a gradient")

    def requires_grad_(self, requires_grad: bool = True) -> "ComposedTensor":
        """Say whether operations on this leaf are recorded; return it."""
        self.elements.requires_grad_(requires_grad)
        return self

    def retain_grad(self) -> None:
        """Have ``backward()`` fill ``grad`` here too."""
        self.elements.retain_grad()

    def register_hook(self, hook):
        """Call ``hook(grad)`` when the gradient is computed; what it returns replaces it."""

        def call(gradient: Tensor):
            replaced = hook(self._shown_gradient(gradient))
            return None if replaced is None else self.own_gradient(replaced)

        return self.elements.register_hook(call)

    def detach(self) -> Any:
        """Return an alias outside the graph."""
        return self.like(self.elements.detach())

    def write(self, value: Any, expanded: bool = False) -> "ComposedTensor":
        """Make ``value`` this tensor's value: take over its elements, or all its parts."""
        if type(value) is not type(self) or not self._same_size(value):
            raise self._cell.refusal("writing another layout or size into this")
        if state.grad and type(self._node) is AccumulateGrad:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        if value.dtype is not self.dtype:
            value = value.to(self.dtype)
        if self._same_places(value):  # others share the places, but not these elements
            self.elements.data = value.elements
            if state.grad:
                self.elements._take_history(value.elements)
        else:
            vars(self).update(vars(value))
        return self

    def _same_places(self, value: Any) -> bool:
        return False

    def _same_size(self, value: Any) -> bool:
        return value.shape == self.shape

    # ---- printing and copying ----

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec)

    def __deepcopy__(self, memo) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self.like(copy.deepcopy(self.elements, memo))
        return memo[id(self)]
