"""Record JAX functions among PyTorch code; show what is recorded as JAX and XLA see it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from facade.recent import Recent
from facade.recording import record_function
from facade.tensor import Tensor

MAX_KEPT = 512

_flat_functions = Recent(MAX_KEPT)


def from_jax(function: Callable) -> Callable:
    """Return a JAX function as a function of tensors, recorded as one differentiable op.

    Arguments and results are pytrees. Tensors and arrays are traced; whatever else is among the
    arguments is given to ``function`` as it is, and a new value compiles anew. As in JAX, the
    function sees 32-bit numbers unless JAX's 64-bit types are on or a tensor is float64.

    Example:
        >>> swish = facade.from_jax(jax.nn.swish)
        >>> swish(x).sum().backward()
    """

    @functools.wraps(function)
    def recorded(*args, **kwargs):
        return call_jax(function, args, kwargs)

    return recorded


def call_jax(function: Callable, args: tuple = (), kwargs: dict | None = None) -> Any:
    """Call a JAX function with tensors; see :func:`from_jax`."""
    leaves, structure = jax.tree_util.tree_flatten(
        (args, kwargs or {}), is_leaf=lambda x: isinstance(x, Tensor)
    )
    leaves = [Tensor._from_array(x) if isinstance(x, _ARRAYS) else x for x in leaves]
    tensors = tuple(x for x in leaves if isinstance(x, Tensor))
    static = tuple(None if isinstance(x, Tensor) else (type(x), x) for x in leaves)
    wide = jax.config.read("jax_enable_x64") or any(x.dtype.name in _WIDE for x in tensors)
    key = (function, structure, static, wide, *[x._aval for x in tensors])
    found = _flat_functions.get(key)
    if found is None:
        found = _flat_functions[key] = _flat(function, structure, static, wide)
    flat, shape = found
    results = record_function(flat, tensors)
    return jax.tree_util.tree_unflatten(shape[0], results)


_ARRAYS = (jax.Array, np.ndarray)
_WIDE = ("float64", "complex128")


def _flat(function: Callable, structure, static: tuple, wide: bool) -> tuple[Callable, list]:
    """Return a function of flat arrays, and a list that gets the structure of its results."""
    shape: list = []

    def flat(*arrays):
        queue = iter(arrays)
        leaves = [_narrow(next(queue), wide) if s is None else s[1] for s in static]
        args, kwargs = jax.tree_util.tree_unflatten(structure, leaves)
        with jax.enable_x64(wide):
            results, found = jax.tree_util.tree_flatten(function(*args, **kwargs))
        shape[:] = [found]
        return tuple(results)

    flat.__name__ = getattr(function, "__name__", "jax_function")
    return flat, shape


def _narrow(x, wide: bool):
    narrow = {"int64": np.int32, "uint64": np.uint32}.get(x.dtype.name)
    return x if wide or narrow is None else x.astype(narrow)
