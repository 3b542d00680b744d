"""backward() and grad(): arguments checked, then handed to the engine."""

from collections.abc import Sequence
from typing import Any

from facade import aten
from facade.autograd.engine import Task, accumulate
from facade.autograd.graph import GradientEdge
from facade.binding import public
from facade.composed import ComposedTensor
from facade.tensor import Tensor

Tensors = Tensor | GradientEdge | Sequence[Tensor] | Sequence[GradientEdge]


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
    given = grad_tensors if grad_variables is None else grad_variables
    cotangents = _cotangents(roots, given)
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
    inputs: Tensors | dict[str, Tensor],
    grad_outputs: Tensors | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Return the gradients of ``outputs`` at ``inputs``, a tuple; nobody's ``grad`` changes.

    Args:
        inputs: A dictionary gives a dictionary.
        is_grads_batched: The first dimension of the cotangents, and of the gradients, is a batch
            of calls.
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
    names = list(inputs) if isinstance(inputs, dict) else None
    roots = _tuple(outputs)
    wanted = _tuple(list(inputs.values()) if isinstance(inputs, dict) else inputs)
    if retain_graph is None:
        retain_graph = create_graph
    call = _batched if is_grads_batched else _single
    found = call(roots, grad_outputs, wanted, retain_graph, create_graph)
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
    return tuple(found) if names is None else dict(zip(names, found, strict=True))


def _single(roots, cotangents, wanted, retain_graph: bool, create_graph: bool) -> list:
    return _run_to(roots, _cotangents(roots, cotangents), wanted, retain_graph, create_graph)


def _batched(roots, cotangents, wanted, retain_graph: bool, create_graph: bool) -> list:
    """Run backward once per row of the cotangents; a long batch compiles as a loop."""
    given = [None] * len(roots) if cotangents is None else list(_tuple(cotangents))
    for i, (root, g) in enumerate(zip(roots, given, strict=True)):
        if g is not None and g.shape[1:] != root.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{i}] has a shape of {g.shape[2:]} and output[{i}] has a shape of "
                f"{root.shape}. If you only want some tensors in `grad_output` to be considered "
                "batched, consider using vmap."
            )
    size = next(len(g) for g in given if g is not None)
    rows = []
    for i in range(size):
        row = [g if g is None else g[i] for g in given]
        keep = retain_graph or i < size - 1
        rows.append(_single(roots, row, wanted, keep, create_graph))
    return [None if column[0] is None else aten.stack(column) for column in zip(*rows, strict=True)]


def _run_to(roots, cotangents, wanted, retain_graph: bool, create_graph: bool) -> list:
    for x in wanted:
        if isinstance(x, Tensor) and not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    edges = [_edge(x) for x in wanted]
    targets: dict = dict.fromkeys(edges)
    Task(retain_graph, create_graph, targets).run(_edges(roots), cotangents)
    return [_shown(x, targets[e]) for x, e in zip(wanted, edges, strict=True)]


def _shown(x, gradient: Tensor | None):
    """Return what arrived at a tensor's node as its gradient."""
    if gradient is None or isinstance(x, GradientEdge):
        return gradient
    return x._shown_gradient(gradient)


def _tuple(tensors: Any) -> tuple[Any, ...]:
    return (tensors,) if isinstance(tensors, Tensor | GradientEdge) else tuple(tensors)


def _edge(x) -> tuple:
    return x[:2] if isinstance(x, GradientEdge) else (x._node, x._number)


def _edges(roots) -> list[tuple]:
    for i, t in enumerate(roots):
        if isinstance(t, Tensor) and not t.requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
    return [_edge(t) for t in roots]


def _cotangents(roots, given) -> list[Tensor | None]:
    given = (None,) * len(roots) if given is None else _tuple(given)
    if len(given) != len(roots):
        raise RuntimeError(f"got {len(roots)} tensors and {len(given)} gradients")
    pairs = map(_as_elements, roots, given)
    return [_cotangent(i, root, g) for i, (root, g) in enumerate(pairs)]


def _as_elements(root, given) -> tuple:
    """Return a root and its cotangent, or their elements, which the graph is about."""
    if isinstance(root, ComposedTensor) and isinstance(given, Tensor):
        return root.elements, root.own_gradient(given)
    return root, given


def _cotangent(i: int, root, given: Tensor | None) -> Tensor | None:
    edge = isinstance(root, GradientEdge)
    aval = root.node.outputs[root.output_nr] if edge else root._aval
    if given is None:
        if not (edge or root.requires_grad):
            _edges([root])
        if aval.numel != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if not aval.dtype.is_floating_point:
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {aval.dtype}"
            )
        return None
    if not isinstance(given, Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
    if given.shape != aval.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and "
            f"output[{i}] has a shape of {aval.size}."
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


__all__ = ["backward", "grad"]
