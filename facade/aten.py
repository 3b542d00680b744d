"""Every declared op as a function on tensors: ``aten.add(x, y)`` records, nothing else."""

import inspect
import typing
from collections.abc import Callable

from facade.casts import LISTED, casted, switched_on
from facade.ops.registry import OPS, Kind, OpSpec, Param
from facade.recording import record


def recorder(spec: OpSpec) -> Callable:
    """Return the function that records ``spec``, with the signature of its declaration.

    Written as source, as dataclasses are, so that a call unpacks no arguments by hand.
    """
    signature = inspect.signature(spec.fn)
    operands = "".join(
        (f"*{p.name}, " if p.many else f"{p.name}, ")
        for p in spec.params
        if p.kind is not Kind.STATIC
    )
    static = "".join(f"{_canonical(p)}, " for p in spec.static_params)
    counts = [f"len({p.name})" for p in spec.params if p.many]
    # 2 and 2.0 and True are one key to a dictionary, but not one exponent
    counts += [f"{p.name}.__class__" for p in spec.static_params if _is_number(p)]
    tail = f", ({', '.join(counts)},)" if counts else ""
    source = f"def {spec.name}({_parameters(signature)}):\n"
    if spec.name in LISTED:
        cast = f"casted('{spec.name}', ({operands}), ({static}))"
        source += f"    if switched_on: return record(spec, {cast}, ({static}){tail})\n"
    source += f"    return record(spec, ({operands}), ({static}){tail})\n"
    scope = {"record": record, "spec": spec, "casted": casted, "switched_on": switched_on}
    scope |= {f"_{n}": p.default for n, p in signature.parameters.items()}
    exec(source, scope)
    function = scope[spec.name]
    function.__doc__ = spec.fn.__doc__
    function.__signature__ = signature
    function.__module__ = "facade"
    return function


def _parameters(signature: inspect.Signature) -> str:
    parts, starred = [], False
    for name, p in signature.parameters.items():
        if p.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        parts.append(name if p.default is inspect.Parameter.empty else f"{name}=_{name}")
    return ", ".join(parts)


def _canonical(p: Param) -> str:
    if "tuple" in str(p.annotation):
        return f"tuple({p.name}) if {p.name}.__class__ is list else {p.name}"
    return p.name


def _is_number(p: Param) -> bool:
    members = typing.get_args(p.annotation) or (p.annotation,)
    return float in members or complex in members


def __getattr__(name: str) -> Callable:
    """Make the recorder of an op when it is first asked for."""
    spec = OPS.get(name)
    if spec is None:
        raise AttributeError(f"no op is called {name}")
    made = globals()[name] = recorder(spec)
    return made
