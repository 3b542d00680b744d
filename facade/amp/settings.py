"""What autocast is set to in this thread, per device type: on or off, its dtype, its cache."""

import warnings
from collections.abc import Callable
from typing import Any

from facade import dtypes
from facade.casts import DEFAULTS, settings, switch
from facade.devices import device
from facade.errors import bad_argument
from facade.tape import state


def is_autocast_available(device_type: str) -> bool:
    """Return whether autocast exists for a device type.

    Raises:
        RuntimeError: there is no such type.
    """
    if not isinstance(device_type, str):
        raise bad_argument("_is_autocast_available", "device_type", 1, "str", device_type)
    return device_type in DEFAULTS or device(device_type).type in DEFAULTS


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Return whether autocast is on for a device type.

    Raises:
        RuntimeError: it has none.
    """
    if not isinstance(device_type, str):
        raise bad_argument("is_autocast_enabled", "device_type", 1, "str", device_type)
    _check(device_type, _UNKNOWN)
    return device_type in state.autocast


def set_autocast_enabled(device_type, enabled: bool | None = None) -> None:
    """Switch autocast on or off for a device type; called with a bool alone, for ``"cuda"``.

    Raises:
        RuntimeError: the device type has no autocast.
    """
    if enabled is None and isinstance(device_type, bool):
        device_type, enabled = "cuda", device_type
    if not isinstance(enabled, bool):
        raise bad_argument("set_autocast_enabled", "enabled", 2, "bool", enabled)
    _check(device_type, _UNKNOWN)
    only = frozenset((device_type,))
    switch(state.autocast | only if enabled else state.autocast - only)


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """Return the narrow dtype that autocast uses on a device type.

    Raises:
        RuntimeError: it has none.
    """
    _check(device_type, "unsupported scalarType")
    return settings.dtypes[device_type]


def set_autocast_dtype(device_type: str, dtype: dtypes.dtype) -> None:
    """Choose the narrow dtype that autocast uses on a device type."""
    if not isinstance(dtype, dtypes.dtype):
        raise bad_argument("set_autocast_dtype", "dtype", 2, "torch.dtype", dtype)
    _check(device_type, _UNKNOWN)
    settings.dtypes[device_type] = dtype


def is_autocast_cache_enabled() -> bool:
    """Return whether a parameter's cast is kept until the outermost region ends."""
    return settings.caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether a parameter's cast is kept until the outermost region ends."""
    settings.caching = enabled


def clear_autocast_cache() -> None:
    """Forget the casts that are kept."""
    settings.kept.clear()


def autocast_increment_nesting() -> int:
    """Count a region that begins; return how many there are."""
    settings.nesting += 1
    return settings.nesting


def autocast_decrement_nesting() -> int:
    """Count a region that ends; return how many are left."""
    settings.nesting -= 1
    return settings.nesting


_UNKNOWN = "unknown device type for autocast in get_autocast_dispatch_key_from_device_type"


def _check(device_type: str, text: str) -> None:
    if device_type not in DEFAULTS:
        device(device_type)  # a string that names no device at all has an error of its own
        raise RuntimeError(text)


# ---- the older names, one per device type ----


def _older(name: str, new: Callable, kind: str, argument: str = "") -> Callable[..., Any]:
    instead = f"torch.{new.__name__}({', '.join(filter(None, (repr(kind), argument)))})"

    def function(*value):
        warnings.warn(
            f"torch.{name}({argument}) is deprecated. Please use {instead} instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        return new(kind, *value)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Deprecated: ``{instead}``."
    return function


is_autocast_cpu_enabled = _older("is_autocast_cpu_enabled", is_autocast_enabled, "cpu")
is_autocast_ipu_enabled = _older("is_autocast_ipu_enabled", is_autocast_enabled, "ipu")
is_autocast_xla_enabled = _older("is_autocast_xla_enabled", is_autocast_enabled, "xla")
set_autocast_cpu_enabled = _older(
    "set_autocast_cpu_enabled", set_autocast_enabled, "cpu", "enabled"
)
set_autocast_ipu_enabled = _older(
    "set_autocast_ipu_enabled", set_autocast_enabled, "ipu", "enabled"
)
set_autocast_xla_enabled = _older(
    "set_autocast_xla_enabled", set_autocast_enabled, "xla", "enabled"
)
get_autocast_cpu_dtype = _older("get_autocast_cpu_dtype", get_autocast_dtype, "cpu")
get_autocast_gpu_dtype = _older("get_autocast_gpu_dtype", get_autocast_dtype, "cuda")
get_autocast_ipu_dtype = _older("get_autocast_ipu_dtype", get_autocast_dtype, "ipu")
get_autocast_xla_dtype = _older("get_autocast_xla_dtype", get_autocast_dtype, "xla")
set_autocast_cpu_dtype = _older("set_autocast_cpu_dtype", set_autocast_dtype, "cpu", "dtype")
set_autocast_gpu_dtype = _older("set_autocast_gpu_dtype", set_autocast_dtype, "cuda", "dtype")
set_autocast_ipu_dtype = _older("set_autocast_ipu_dtype", set_autocast_dtype, "ipu", "dtype")
set_autocast_xla_dtype = _older("set_autocast_xla_dtype", set_autocast_dtype, "xla", "dtype")
