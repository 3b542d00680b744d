"""torch.autograd.set_detect_anomaly: find the function whose backward gives nan."""

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facade import aten
from facade.graph import Node, PythonNode
from facade.tensor import Tensor


class _Mode:
    """Whether anomalies are looked for, and whether nan is one.

    Attributes:
        diagnose: Says where nan came from, given a node and its gradients; see
            :mod:`facade.autograd.diagnosis`.
    """

    enabled = False
    check_nan = True
    diagnose: Callable[[Any, list], str]


mode = _Mode()
_plain = Node.__init__, PythonNode.__init__


def _tracing(plain):
    def __init__(self, *arguments) -> None:
        plain(self, *arguments)
        self.metadata["traceback_"] = _user_stack()

    return __init__


def _user_stack() -> list[str]:
    """Return the traceback up to the user's line, as text."""
    stack = traceback.extract_stack()
    while stack and (stack[-1].filename == "<string>" or _OURS in Path(stack[-1].filename).parents):
        stack.pop()
    return stack.format()


_OURS = Path(__file__).parent.parent
_traced = _tracing(Node.__init__), _tracing(PythonNode.__init__)


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switch the search for anomalies on or off."""
    mode.enabled, mode.check_nan = enabled, check_nan
    # nodes remember where they were made, at no cost while nobody asks
    Node.__init__, PythonNode.__init__ = _traced if enabled else _plain  # type: ignore[method-assign]


class set_detect_anomaly:
    """Switch the search for anomalies on or off: at once, and for a ``with`` block.

    While it is on, each node's gradients are read as soon as they are recorded.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.previous = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None:
        set_anomaly_enabled(*self.previous)


class detect_anomaly(set_detect_anomaly):
    """Look for anomalies in a ``with`` block; slow."""

    def __init__(self, check_nan: bool = True) -> None:
        self.previous = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        set_anomaly_enabled(True, self.check_nan)


def is_anomaly_enabled() -> bool:
    """Return whether anomalies are looked for."""
    return mode.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Return whether nan is an anomaly."""
    return mode.check_nan


def examine(node: Any, gradients: list) -> None:
    """Look at what a node's backward gave.

    Raises:
        RuntimeError: there is a nan in it.
    """
    if not mode.check_nan:
        return
    for i, g in enumerate(gradients):
        if isinstance(g, Tensor) and aten.any(aten.isnan(g.detach())).item():
            warn(node)
            name = node.name()
            error = RuntimeError(f"Function '{name}' returned nan values in its {i}th output.")
            error.add_note(mode.diagnose(node, gradients))
            raise error


def warn(node: Any) -> None:
    """Warn of an error in a node's backward, with the traceback of the forward call."""
    made = node.metadata.get("traceback_")
    if made is None:
        text = (
            "No forward pass information available. Enable detect anomaly during forward pass for "
            "more information."
        )
    else:
        text = f"Traceback of forward call that caused the error:\n{''.join(made)}"
    warnings.warn(f"Error detected in {node.name()}. {text}", stacklevel=2)


__all__ = [
    "detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_anomaly_enabled",
    "set_detect_anomaly",
]  # fmt: skip
