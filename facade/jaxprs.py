"""A part of a jaxpr as a function."""

from collections.abc import Callable
from typing import Any


def function_of(closed: Any, **part: list) -> Callable:
    """Return the function that a jaxpr computes, with other variables or equations.

    Args:
        closed: What ``jax.make_jaxpr`` returns.
        part: What replaces the jaxpr's own ``invars``, ``outvars`` or ``eqns``.
    """
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun  # slow to import

    jaxpr = closed.jaxpr
    jaxpr = jaxpr.replace(**part, debug_info=jaxpr.debug_info.with_unknown_names())
    return jaxpr_as_fun(ClosedJaxpr(jaxpr, closed.consts))
