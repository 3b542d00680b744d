"""The benchmarks run, and compare what they say they compare."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import jax
import numpy as np
import pytest
import torch

import benchmarks.__main__ as suite
import facade
from benchmarks import gpu, gpu_cases, gpu_jax

ROOT = Path(__file__).parent.parent


def test_gpu_at_toy_size():
    """One command: a row per engine, and a reason where one can't run."""
    command = "--device cpu --toy --minutes 5 --cases gpt2-bf16 --engines facade,jax,nothing"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *command.split()],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    rows = {
        row[2].strip(): row for row in (r.split("|") for r in done.stdout.split("\n")) if row[5:]
    }
    for engine in ("facade", "jax"):
        assert " ms (" in rows[engine][3], done.stdout
        assert float(rows[engine][4]) > 0
    assert "no engine is called nothing" in rows["nothing"][3]


def size_of(module, case):
    build = gpu_cases.resnet if isinstance(case.network, gpu_cases.ResNet) else gpu_cases.gpt
    return sum(p.numel() for p in build(module, case.network).parameters())


@pytest.mark.parametrize("case", gpu_cases.TOYS)
def test_engines_train_the_same_network(case):
    """Equally many parameters in JAX and in PyTorch's words."""
    case = gpu_cases.TOYS[case]
    rng = np.random.default_rng(0)
    if isinstance(case.network, gpu_cases.ResNet):
        params, _ = gpu_jax.resnet_params(case.network, rng)
    else:
        params = gpu_jax.gpt_params(case.network, rng)
    count = size_of(facade, case)
    assert count == size_of(torch, case)
    assert count == sum(x.size for x in jax.tree.leaves(params))


def test_sizes_are_those_of_the_originals():
    with torch.device("meta"):
        counts = {name: size_of(torch, case) for name, case in gpu_cases.CASES.items()}
    assert counts["resnet-tf32"] == counts["resnet-bf16"] == 25_557_032
    assert counts["gpt2-bf16"] == pytest.approx(124e6, rel=0.01)


def test_time_that_is_up_is_reported():
    options = Namespace(device="cpu", toy=True, seconds=0.1)
    assert gpu.in_its_own_process("jax", "gpt2-bf16", options, 0) == {
        "failed": "not run: the time was up"
    }


class TestSuite:
    def test_a_row_per_case(self):
        part = suite.SUITE["rerolled_loops"]
        times = {"rnn": {"facade": [1.0, 3.0, 2.0], "unrolled": [8.0] * 3, "pytorch": [4.0] * 3}}
        assert suite.rows_of(part, times) == [
            f"| {part.title} | rnn | 2.00 s (1.00 .. 3.00) |  | 4.00 s (4.00 .. 4.00) |  "
            "| 0.50 (0.25 .. 0.75) |",
            f"| {part.title} | rnn, unrolled | 8.00 s (8.00 .. 8.00) |  |  |  |  |",
        ]
        assert "failed: no jax" in suite.rows_of(part, "no jax")[0]

    def test_every_row_has_all_columns(self):
        text = suite.section(suite.rows_of(suite.SUITE["kernels"], "why"))
        assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {8}

    def test_what_stands_between_the_markers_is_replaced(self):
        page = f"a\n{suite.BEGIN}\nold\n{suite.END}\nb"
        assert suite.with_section(page, "new") == f"a\n{suite.BEGIN}\nnew\n{suite.END}\nb"
        with pytest.raises(ValueError, match="has no lines"):
            suite.with_section("a", "new")

    def test_the_page_has_the_markers(self):
        page = suite.PAGE.read_text()
        assert page.count(suite.BEGIN) == page.count(suite.END) == 1
