"""A file imports only from lower levels, or from its own level what is listed before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "facade"

# Lowest first; on one level, in the order in which they may import each other.
LEVELS = [
    [
        *("errors", "dtypes", "devices", "size", "layouts", "deferred", "typename", "avals"),
        *("settings", "accelerator", "__config__", "sites", "allocation", "mappings"),
        *("recent",),
        *("hooks", "printing", "return_types", "mersenne"),
    ],
    ["ops"],
    ["tape"],
    [
        "pullback",
        "reroll",
        "outline",
        "jaxprs",
        "loops",
        "lower",
        "lengths",
        "op_tier",
        "compile_cache",
        "program",
    ],
    ["graph", "storage", "parts", "explanation"],
    ["recording", "views", "torch_function", "tensor", "composed", "overlap", "_C", "overrides"],
    ["casts", "aten", "underived", "outs", "binding", "random", "autograd", "functions"],
    [
        *("sparse", "nested", "quantized"),
        *("linalg", "masked", "fft", "signal", "special", "nn", "serialization", "hub", "optim"),
        *("utils", "func", "_higher_order_ops"),
        *("amp", "cpu", "cuda", "backends", "profiler"),
    ],
    [
        *("vision", "watching", "step_trace", "capture", "interop", "compiler", "export"),
        *("_dynamo", "_inductor", "onnx"),
    ],
    ["__init__", "__main__"],
]
RANK = {name: (level, i) for level, names in enumerate(LEVELS) for i, name in enumerate(names)}
FILES = sorted(p for p in ROOT.rglob("*.py"))


def unit(path: Path) -> str:
    """Return the top-level file or package a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path):
    """Yield every facade module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "facade":
                yield from (f"facade.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_lower_levels(path):
    own = unit(path)
    assert own in RANK, f"{own} has no level yet"
    for module in imports(path):
        if module.split(".")[0] != "facade" or module == "facade":
            continue
        other = module.split(".")[1]
        if other != own and other in RANK:
            assert RANK[other] < RANK[own], f"{own} imports {other}, which lies above it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_first_line_says_what_the_file_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "no docstring"


def test_nothing_imports_torch():
    for path in FILES:
        assert not {m for m in imports(path) if m.split(".")[0] in ("torch", "torchvision")}, path


def test_only_the_tiers_call_jit():
    for path in FILES:
        names = {
            n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)
        }
        assert "jit" not in names or path.name in ("program.py", "op_tier.py", "export.py"), path


def test_importing_loads_nothing_heavy_besides_jax_and_optax():
    """The rest is imported where it is used."""
    script = (
        "import sys, jax, optax; before = set(sys.modules); import facade; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - {'facade'}),"
        " *[m for m in set(sys.modules) - before if m.startswith('jax')])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    small = {"pickletools", "urllib"}  # of the standard library
    assert set(found.stdout.split()) <= small
