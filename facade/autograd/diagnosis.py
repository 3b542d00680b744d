"""Where nan comes from: the first op whose result is not a number, its line and its values."""

from typing import Any

from facade import aten
from facade.autograd.anomaly_mode import mode
from facade.autograd.saved_values import operands, results
from facade.graph import Node
from facade.tensor import Tensor


def diagnose(node: Any, gradients: list) -> str:
    """Return what to tell of a node whose gradients are nan.

    That is the first op before it whose result has a nan its operands don't have; if there is none,
    the node itself.
    """
    for earlier in sorted(_before(node), key=lambda n: n.sequence):
        made = results(earlier)
        if any(map(_has_nan, made)):
            given = operands(earlier)
            if not any(map(_has_nan, given)):
                return _told(
                    "nan was first the result of", earlier, {"operand": given, "result": made}
                )
    parts = {"gradient": gradients}
    if isinstance(node, Node):
        parts = {"operand": operands(node), "result": results(node)} | parts
    return _told("nan was first a gradient of", node, parts)


mode.diagnose = diagnose


def _before(node: Any) -> list[Node]:
    """Return the nodes of ops that lead to ``node``, with that one."""
    found: list[Any] = [node]
    seen = {node}
    for each in found:
        for edge in each.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                found.append(edge[0])
    return [n for n in found if isinstance(n, Node) and n.home is not None]


def _has_nan(x: Any) -> bool:
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
        return False
    return bool(aten.any(aten.isnan(x.detach())).item())


def _told(what: str, node: Any, parts: dict[str, list]) -> str:
    op = node.entry.name if isinstance(node, Node) else node.name()
    lines = [f"{what} {op} ({node.name()}), recorded at"]
    made = node.metadata.get("traceback_") or ["  an unknown line: anomaly detection was off\n"]
    lines.append(made[-1].rstrip("\n"))
    for kind, values in parts.items():
        for i, x in enumerate(values):
            shown = x.detach() if isinstance(x, Tensor) else x
            lines.append(f"  {kind} {i}: {shown}")
    return "\n".join(lines)
