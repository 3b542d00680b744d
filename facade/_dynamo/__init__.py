"""``torch._dynamo``: the names that programs use; there is no bytecode to look at here."""

from facade._dynamo import config as config
from facade.compiler import InvalidBackend as InvalidBackend
from facade.compiler import OptimizedModule as OptimizedModule
from facade.compiler import allow_in_graph as allow_in_graph
from facade.compiler import assume_constant_result as assume_constant_result
from facade.compiler import compile as _compile
from facade.compiler import disable as disable
from facade.compiler import is_compiling as is_compiling
from facade.compiler import list_backends as list_backends
from facade.compiler import reset as reset
from facade.compiler import set_stance as set_stance
from facade.compiler import substitute_in_graph as substitute_in_graph

disallow_in_graph = forbid_in_graph = nonstrict_trace = run = allow_in_graph


def optimize(backend="inductor", **options):
    """Return the decorator ``torch.compile(backend=backend)``."""
    return _compile(backend=backend)


def optimize_assert(backend="inductor", **options):
    """Return the decorator ``torch.compile(backend=backend, fullgraph=True)``."""
    return _compile(backend=backend, fullgraph=True)


def graph_break(msg: str = "") -> None:
    """End a graph here; programs end where values are read."""


def mark_dynamic(t, index, **options) -> None:
    """Say that a size varies; a program is compiled per shape."""


def mark_static(t, index=None) -> None:
    """Say that a size doesn't vary."""


maybe_mark_dynamic = mark_dynamic
mark_static_address = mark_static
