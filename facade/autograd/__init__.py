"""torch.autograd: gradients of tensors, by the graph that recording leaves."""

from collections.abc import Sequence

from facade import aten
from facade.autograd import function as function
from facade.autograd import graph as graph
from facade.autograd.engine import Task, accumulate
from facade.autograd.function import Function as Function
from facade.autograd.grad_mode import enable_grad as enable_grad
from facade.autograd.grad_mode import inference_mode as inference_mode
from facade.autograd.grad_mode import no_grad as no_grad
from facade.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from facade.binding import public
from facade.graph import AccumulateGrad
from facade.tensor import Tensor

Tensors = Tensor | Sequence[Tensor]


def backward(
    tensors: Tensors,
    grad_tensors: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables=None,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradients of ``tensors`` to the ``grad`` of the leaves they depend on.

    Args:
        tensors: The roots.
        grad_tensors: Their cotangents, each of its root's shape; None for a root of one element.
        retain_graph: Keep the graph for another call; ``create_graph`` unless given.
        create_graph: Record the backward too, so that gradients can be differentiated.
        inputs: The tensors whose ``grad`` is filled; all leaves unless given.
    Raises:
        RuntimeError: a root requires no grad, cotangents don't fit, or the graph is freed.
    """
    roots = _tuple(tensors)
    cotangents = _cotangents(roots, grad_tensors)
    if retain_graph is None:
        retain_graph = create_graph
    if inputs is None:
        Task(retain_graph, create_graph, None).run(_edges(roots), cotangents)
        return
    wanted = _tuple(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    found = _run_to(roots, cotangents, wanted, retain_graph, create_graph)
    for leaf, gradient in zip(wanted, found, strict=True):
        if gradient is not None:
            accumulate(leaf, gradient, create_graph)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of ``outputs`` at ``inputs``; nobody's ``grad`` changes.

    Args:
        allow_unused: Give None for an input the outputs don't depend on instead of raising.
        materialize_grads: Give zeros there.
    Raises:
        RuntimeError: as :func:`backward`, or an input is unused.
    """
    if materialize_grads:
        if allow_unused is False:
            raise ValueError(
                "Expected allow_unused to be True or not passed when materialize_grads=True, "
                "but got: allow_unused=False."
            )
        allow_unused = True
    roots, wanted = _tuple(outputs), _tuple(inputs)
    if retain_graph is None:
        retain_graph = create_graph
    found = _run_to(roots, _cotangents(roots, grad_outputs), wanted, retain_graph, create_graph)
    if not allow_unused and None in found:
        raise RuntimeError(
            f"The differentiated Tensor at index {found.index(None)} appears to not have been used "
            "in the graph. Set allow_unused=True if this is the desired behavior."
        )
    if materialize_grads:
        found = [
            aten.fill(x.detach(), 0.0) if g is None else g
            for g, x in zip(found, wanted, strict=True)
        ]
    return tuple(found)


def _run_to(roots, cotangents, wanted, retain_graph: bool, create_graph: bool) -> list:
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    edges = [(x._node, x._number) for x in wanted]
    targets: dict = dict.fromkeys(edges)
    Task(retain_graph, create_graph, targets).run(_edges(roots), cotangents)
    return [targets[e] for e in edges]


def _tuple(tensors: Tensors) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _edges(roots) -> list[tuple]:
    for i, t in enumerate(roots):
        if not t.requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
    return [(t._node, t._number) for t in roots]


def _cotangents(roots, given) -> list[Tensor | None]:
    given = (None,) * len(roots) if given is None else _tuple(given)
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    return [_cotangent(i, root, g) for i, (root, g) in enumerate(zip(roots, given, strict=True))]


def _cotangent(i: int, root: Tensor, given: Tensor | None) -> Tensor | None:
    if given is None:
        if not root.requires_grad:
            _edges([root])
        if root.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if not (root.dtype.is_floating_point):
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {root.dtype}"
            )
        return None
    if not isinstance(given, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
    if given.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and "
            f"output[{i}] has a shape of {root.shape}."
        )
    return given


@public(name="backward", module=False)
def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Compute the gradients of this tensor; see :func:`facade.autograd.backward`."""
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


__all__ = [
    "AccumulateGrad", "backward", "enable_grad", "grad", "inference_mode", "no_grad",
    "set_grad_enabled",
]  # fmt: skip
