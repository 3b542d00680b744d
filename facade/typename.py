"""Name the type of an object as PyTorch's messages do."""

from typing import Any


def typename(obj: Any) -> str:
    """Return ``"torch.FloatTensor"`` for a tensor, else the full name of a class or function.

    Any other object is named by its class, as ``"package.module.Class"``.
    """
    kind = type(obj)
    if hasattr(kind, "dtype") and hasattr(kind, "type"):  # a tensor: this file lies below Tensor
        return obj.type()
    named = obj if hasattr(obj, "__qualname__") else kind
    module = getattr(named, "__module__", None) or ""
    return named.__qualname__ if module in ("", "builtins") else f"{module}.{named.__qualname__}"
