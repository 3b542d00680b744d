"""Switches that programs set and that mean nothing here, or what they mean everywhere."""

import os
import warnings

_THREADS = {"intra": os.cpu_count() or 1, "inter": os.cpu_count() or 1}
_MODES = {"deterministic": 0, "warn_always": False}
_DEBUG_MODES = ("default", "warn", "error")


def get_num_threads() -> int:
    """Return how many threads a CPU op may use; XLA has its own pool, which this doesn't bound."""
    return _THREADS["intra"]


def set_num_threads(num: int) -> None:
    """Accepted for PyTorch's sake: XLA's thread pool is as large as the machine.

    Raises:
        RuntimeError: ``num`` is not positive.
    """
    _set_threads("intra", "set_num_threads", num)


def get_num_interop_threads() -> int:
    """Return what :func:`set_num_interop_threads` was told."""
    return _THREADS["inter"]


def set_num_interop_threads(num: int) -> None:
    """Accepted for PyTorch's sake.

    Raises:
        RuntimeError: ``num`` is not positive.
    """
    _set_threads("inter", "set_num_interop_threads", num)


def _set_threads(kind: str, name: str, num: int) -> None:
    if isinstance(num, bool) or not isinstance(num, int):
        raise RuntimeError(f"{name} expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError(f"{name} expects a positive integer")
    _THREADS[kind] = num


def set_flush_denormal(mode: bool) -> bool:
    """Return False: XLA decides about denormal numbers."""
    return False


# ---- determinism: programs compiled by XLA for the CPU are deterministic anyway ----


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic algorithms; on a GPU ``XLA_FLAGS`` decides."""
    _MODES["deterministic"] = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Return whether deterministic algorithms were asked for."""
    return _MODES["deterministic"] > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Return whether a warning was asked for where there is no deterministic algorithm."""
    return _MODES["deterministic"] == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set the mode by number or name: 0 "default", 1 "warn", 2 "error".

    Raises:
        RuntimeError: there is no such mode.
        TypeError: it is neither a number nor a string.
    """
    if not isinstance(debug_mode, int | str):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = _DEBUG_MODES.index(debug_mode)
    elif not 0 <= debug_mode < len(_DEBUG_MODES):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _MODES["deterministic"] = debug_mode


def get_deterministic_debug_mode() -> int:
    """Return the number of the mode."""
    return _MODES["deterministic"]


# ---- warnings ----


def set_warn_always(b: bool) -> None:
    """Show every warning each time it is given."""
    _MODES["warn_always"] = b
    if b:
        warnings.simplefilter("always", UserWarning)


def is_warn_always_enabled() -> bool:
    """Return what :func:`set_warn_always` was told."""
    return bool(_MODES["warn_always"])
