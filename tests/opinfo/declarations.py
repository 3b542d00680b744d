"""How much of an op is declared, and how much is written by hand?"""

import inspect
import statistics
from pathlib import Path

import facade
from facade import binding
from facade.ops.registry import OPS

_OPS = Path(facade.__file__).parent / "ops"


def text() -> list[str]:
    """Return the figures, as lines of the page."""
    sizes = [len(inspect.getsource(spec.fn).splitlines()) for spec in OPS.values()]
    lines = sum(len(path.read_text().splitlines()) for path in _OPS.glob("*.py"))
    methods = {n: getattr(facade.Tensor, n) for n in dir(facade.Tensor) if n[0] != "_"}
    in_place = {n: f for n, f in methods.items() if n[-1] == "_" and callable(f)}
    own = [n for n, f in in_place.items() if not _is_derived(f)]
    outs = {n: f for n, f in binding.FUNCTIONS.items() if _takes_out(f)}
    own_outs = [n for n, f in outs.items() if not _is_derived(f)]
    specs = OPS.values()
    return [
        f"{len(OPS)} ops are declared; the function of one, which is its implementation, shape "
        f"rule and derivative, takes {statistics.median(sizes):.0f} lines in the middle and "
        f"{statistics.mean(sizes):.0f} on average. With checks, derivatives of their own and "
        f"algorithms, `facade/ops` has {lines / len(OPS):.0f} lines for each.",
        "",
        "| trait | forms | derived | written by hand |",
        "| --- | --- | --- | --- |",
        f"| promotion and broadcasting | {sum(s.promotes is not None for s in specs)} | all | |",
        f"| in-place | {len(in_place)} | {len(in_place) - len(own)} | {_listed(own)} |",
        f"| out= | {len(outs)} | {len(outs) - len(own_outs)} | {_listed(own_outs)} |",
        f"| operators | {sum(bool(s.operator) for s in specs)} | all | |",
        "",
        f"{len(binding.FUNCTIONS)} functions and {len(methods)} methods and attributes have names "
        "of PyTorch's.",
    ]


def _is_derived(function) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and Path(code.co_filename).name == "binding.py"


def _takes_out(function) -> bool:
    if _is_derived(function):
        code = function.__code__
        return "out" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return "out" in inspect.signature(function).parameters


def _listed(names: list[str]) -> str:
    return f"{len(names)}: {', '.join(f'`{n}`' for n in sorted(names))}"
