"""PyTorch's functions and methods on tensors; importing this package binds them all."""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from facade import ops
from facade.binding import FUNCTIONS, bind_in_place_functions, bind_ops

for package in (ops, importlib.import_module(__name__)):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)

bind_ops()
bind_in_place_functions()
globals().update(FUNCTIONS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Stand for the functions bound above."""
