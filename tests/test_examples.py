"""Run every example as a reader would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(*arguments, cwd=ROOT):
    """Run ``python arguments`` and return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # importing them raises
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_autograd_tutorial_without_torch():
    printed = run("-c", WITHOUT_TORCH, EXAMPLES / "autograd_tutorial.py")
    assert "tensor([-12.,  65.], grad_fn=<SubBackward0>)" in printed
    assert printed.count("tensor([True, True])") == 2
    assert "Does `b` require gradients?: True" in printed
    assert "frozen layers unchanged: True" in printed


def test_autograd_tutorial_notebook(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kept = nbformat.read(EXAMPLES / "autograd_tutorial.ipynb", as_version=4)
    fresh = nbformat.read(EXAMPLES / "autograd_tutorial.ipynb", as_version=4)
    NotebookClient(fresh, timeout=600, kernel_name="python3").execute()
    assert printed(fresh) == printed(kept)
    assert pictures(fresh) == pictures(kept) == 2


def printed(notebook):
    """What the cells print, numbers of the network (which rounding may change) left out."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    # how a stream is cut into outputs depends on the clock
    text = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    results = [o.data["text/plain"] for o in outputs if o.output_type == "execute_result"]
    return text, [re.sub(r"-?\d+\.\d+", "#", r) for r in results]


def pictures(notebook):
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return sum("image/png" in o.get("data", {}) for o in outputs)


def test_leave_to_jax():
    assert "the same losses" in run(EXAMPLES / "leave_to_jax.py")


def test_custom_function():
    printed = run(EXAMPLES / "custom_function.py")
    assert "gradients right: True" in printed
    assert "second gradients right: True" in printed
    assert "[1.0, -1.0, 0.5, 0.0, 0.0, -0.5, 1.0, 0.0]" in printed
    assert "QuantizeBackward" in printed


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--dropout", "0.2"), marks=pytest.mark.slow)]
)
def test_train_digits(tmp_path, options):
    picture = tmp_path / "loss.png"
    shown = run(EXAMPLES / "train_digits.py", "--output", picture, *options)
    accuracy = float(re.search(r"held-out accuracy: ([\d.]+)%", shown)[1])
    assert accuracy >= 97
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_per_sample_gradients():
    assert "found 4 of 4" in run(EXAMPLES / "per_sample_gradients.py")


def test_flax_inside():
    shown = run(EXAMPLES / "flax_inside.py")
    assert float(re.search(r"accuracy: ([\d.]+)%", shown)[1]) > 80


def test_physics_informed(tmp_path):
    picture = tmp_path / "solution.png"
    shown = run(EXAMPLES / "physics_informed.py", "--output", picture)
    assert float(re.search(r"largest error: ([\d.]+)", shown)[1]) < 0.02
    assert picture.read_bytes().startswith(b"\x89PNG")
