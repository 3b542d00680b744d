"""What this build is made of, as text."""

from importlib.metadata import version

import jax
import numpy as np


def show() -> str:
    """Return the versions of what facade runs on."""
    lines = [f"JAX {jax.__version__}", f"jaxlib {version('jaxlib')}", f"NumPy {np.__version__}"]
    return "facade built with:\n" + "".join(f"  - {line}\n" for line in lines)


def parallel_info() -> str:
    """Return what runs in parallel: XLA's own threads, on these devices."""
    return f"XLA devices: {', '.join(map(str, jax.devices()))}\n"
