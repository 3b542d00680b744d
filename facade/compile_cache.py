"""Keep compiled programs on disk, so that a second process starts fast.

JAX's own persistent cache, in a directory of facade's. JAX has one for the whole process: it is
switched on around facade's compilations only, and not at all where the user has chosen a directory.
"""

import contextlib
import os
import threading
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

VARIABLE = "FACADE_CACHE_DIR"  # another directory, or "off"
MAX_BYTES = 1 << 30  # the least recently used programs are dropped
LEAST_SECONDS = 0.05  # of compiling, for a program to be kept

_SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
)
_lock = threading.RLock()


def directory() -> Path | None:
    """Return where programs are kept: in the platform's cache folder; None if nowhere."""
    chosen = os.environ.get(VARIABLE)
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_dir  # not needed before something is compiled

    return Path(user_cache_dir("facade")) / "programs"


@contextlib.contextmanager
def on_disk():
    """Look up on disk, and keep there, what is compiled inside."""
    where = directory()
    others = getattr(jax.config, _SETTINGS[0]) not in (None, str(where))
    if where is None or others or not _usable(where):
        yield
        return
    with _lock:
        before = [(name, getattr(jax.config, name)) for name in _SETTINGS]
        _set(zip(_SETTINGS, (str(where), MAX_BYTES, LEAST_SECONDS), strict=True))
        try:
            yield
        finally:
            _set(before)


def _set(settings) -> None:
    for name, value in settings:
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX looks at the settings once


def _usable(where: Path) -> bool:
    """Return whether files can be kept there: a home may be missing, or not writable."""
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(where, os.W_OK)
