"""What do PyTorch's names in a checkpoint stand for, and what is facade's called there?"""

import _codecs
import importlib
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from facade import dtypes
from facade.devices import device
from facade.layouts import named_layout
from facade.nn.parameter import Parameter
from facade.serialization import storages
from facade.size import Size
from facade.sparse.tensor import rebuild
from facade.tensor import Tensor

# All that a file may name unless the user allows more. Written names are looked up here as well.
GLOBALS: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "_codecs.encode": _codecs.encode,  # protocol 2 writes bytes with it
    "builtins.bytearray": bytearray,
    "builtins.set": set,
    "builtins.complex": complex,
    "torch.nn.parameter.Parameter": Parameter,
    "torch.Tensor": Tensor,
    "torch.Size": Size,
    "torch.device": device,
    "torch.storage.UntypedStorage": storages.UNTYPED,
    "torch._tensor._rebuild_from_type_v2": storages.rebuild_from_type_v2,
    "torch._utils._rebuild_tensor": storages.rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": storages.rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": storages.rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": storages.rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": storages.rebuild_parameter_with_state,
    "torch._utils._rebuild_meta_tensor_no_storage": storages.rebuild_meta_tensor,
    "torch._utils._rebuild_sparse_tensor": rebuild,
    "torch.serialization._get_layout": named_layout,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": storages.rebuild_device_tensor,
}
GLOBALS |= {f"torch.{d.name}": d for d in dtypes.ALL}
GLOBALS |= {f"torch.{kind.name}": kind for kind in storages.TYPED.values()}
_WRITTEN = {id(value): name for name, value in GLOBALS.items() if name.startswith("torch.")}
GLOBALS |= {f"torch.cuda.{kind.name}": kind for kind in storages.TYPED.values()}

UNSUPPORTED = {
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_nested_tensor": "nested",
}

_PACKAGES = {"torch": "facade", "torchvision": "facade.vision"}


def torch_name(value: Any) -> str | None:
    """Return the name PyTorch knows a class or function of facade by; None if it isn't one."""
    if id(value) in _WRITTEN:
        return _WRITTEN[id(value)]
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    for package, own in sorted(_PACKAGES.items(), reverse=True):  # torchvision's is the longer one
        if f"{module}.".startswith(f"{own}."):
            public = _shortest_path(module, name, value, own)
            return public and f"{package}{public.removeprefix(own)}.{name}"
    return None


def _shortest_path(module: str, name: str, value: Any, package: str) -> str | None:
    """Return the outermost package that exports ``value`` under its own name."""
    parts = module.split(".")
    for end in range(package.count(".") + 1, len(parts) + 1):
        path = ".".join(parts[:end])
        try:
            found = attrgetter(name)(sys.modules[path])
        except (AttributeError, KeyError):
            continue
        if found is value:
            return path
    return None


def spellings(module: str, name: str) -> Iterator[str]:
    """Yield the full name, then those it may be exported under by the packages around it.

    ``torch.nn.modules.linear`` ``Linear`` is also ``torch.nn.Linear``.
    """
    yield f"{module}.{name}"
    package = module.rpartition(".")[0]
    if package.partition(".")[0] in _PACKAGES:
        yield f"{package}.{name}"
        yield f"{package.removesuffix('.modules')}.{name}"


def find_class(module: str, name: str) -> Any:
    """Return facade's object for a name of PyTorch or torchvision, importing what it needs.

    Raises:
        AttributeError: facade has no such name.
    """
    for spelling in spellings(module, name):
        if spelling in GLOBALS:
            return GLOBALS[spelling]
        path = spelling.removesuffix(f".{name}")
        package, dot, rest = path.partition(".")
        own = _PACKAGES[package] + dot + rest
        try:
            return attrgetter(name)(importlib.import_module(own))
        except (ImportError, AttributeError):
            continue
    raise AttributeError(f"Can't get attribute '{name}' on module '{module}': facade has none")


def is_torch(module: str) -> bool:
    """Return whether a module's name is one of PyTorch's or torchvision's."""
    return module.partition(".")[0] in _PACKAGES
