"""Operands of different dtypes: what results, or PyTorch's error."""

from functools import partial

import pytest
import torch
from parity import assert_same_error, outcome

import facade

DTYPES = ["float32", "float64", "int64", "bool", "float16"]


def _f(m, name):
    return getattr(m.nn.functional, name)


CASES = {
    "inner": lambda m, a, b: m.inner(a(2, 2), b(2, 2)),
    "tensordot": lambda m, a, b: m.tensordot(a(2, 2), b(2, 2)),
    "cross": lambda m, a, b: m.cross(a(3, 3), b(3, 3)),
    "cdist": lambda m, a, b: m.cdist(a(2, 2), b(2, 2)),
    "bilinear": lambda m, a, b: _f(m, "bilinear")(a(2, 2), b(2, 2), m.ones(1, 2, 2)),
    "batch_norm": lambda m, a, b: _f(m, "batch_norm")(a(2, 2), b(2), b(2)),
    "layer_norm": lambda m, a, b: _f(m, "layer_norm")(a(2, 2), (2,), b(2)),
    "group_norm": lambda m, a, b: _f(m, "group_norm")(a(2, 2), 1, b(2)),
    "scatter_add": lambda m, a, b: a(3).scatter_add(0, m.tensor([0, 1, 2]), b(3)),
    "index_add": lambda m, a, b: a(3).index_add(0, m.tensor([0, 1, 2]), b(3)),
    "matmul": lambda m, a, b: m.matmul(a(2, 2), b(2, 2)),
    "mv": lambda m, a, b: m.mv(a(2, 2), b(2)),
    "dot": lambda m, a, b: m.dot(a(2), b(2)),
    "addmm": lambda m, a, b: m.addmm(a(2, 2), b(2, 2), b(2, 2)),
    "linear": lambda m, a, b: _f(m, "linear")(a(2, 2), b(2, 2)),
    "lerp": lambda m, a, b: m.lerp(a(2), b(2), 0.5),
    "addcmul": lambda m, a, b: m.addcmul(a(2), b(2), b(2)),
    "copysign": lambda m, a, b: m.copysign(a(2), b(2)),
    "iadd": lambda m, a, b: a(2).add_(b(2)),
    "idiv": lambda m, a, b: a(2).div_(b(2)),
    "gather": lambda m, a, b: m.gather(a(3), 0, b(3)),
    "index_select": lambda m, a, b: a(3).index_select(0, b(3)),
    "index": lambda m, a, b: a(3)[b(2)] if b(1).dtype != m.bool else a(3)[b(3)],
    "masked_fill": lambda m, a, b: a(3).masked_fill(b(3), 1),
    "where": lambda m, a, b: m.where(a(3), b(3), m.ones(3)),
    "scatter": lambda m, a, b: a(3).scatter(0, m.tensor([0, 1, 2]), b(3)),
    "index_copy": lambda m, a, b: a(3).index_copy(0, m.tensor([0, 1, 2]), b(3)),
    "nll_loss": lambda m, a, b: _f(m, "nll_loss")(a(2, 2), b(2)),
    "searchsorted": lambda m, a, b: m.searchsorted(a(2), b(2)),
}


@pytest.mark.parametrize("name", CASES)
def test_result_dtype_or_error(name):
    for first in DTYPES:
        for second in DTYPES:
            if first == second:
                continue

            def run(module, names=(first, second)):
                kinds = [getattr(module, n) for n in names]
                return CASES[name](module, *(partial(module.ones, dtype=kind) for kind in kinds))

            theirs, ours = outcome(run, torch), outcome(run, facade)
            if isinstance(theirs, Exception) or isinstance(ours, Exception):
                assert_same_error(ours, theirs)
            else:
                assert repr(ours.dtype) == repr(theirs.dtype)
                assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("name", ["scatter_add", "index_add"])
def test_truth_values_add_up_to_any(name):
    values = []
    for module in (torch, facade):
        base = module.tensor([False, True, False])
        index, source = module.tensor([0, 0, 1]), module.tensor([True, True, False])
        values.append(getattr(base, name)(0, index, source).tolist())
    assert values[0] == values[1]
