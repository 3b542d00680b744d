"""Functions that make tensors: values, dtypes, strides, options, errors."""

import numpy as np
import pytest
import torch
from tables import check, same

import facade
from facade.program import program_count


def operands(module):
    f = module.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    return {"f": f, "t": f.t(), "i": f.long(), "np": np}


FILLED = (
    "torch.zeros(2, 3)", "torch.zeros((2, 3))", "torch.zeros([2])", "torch.zeros(())",
    "torch.zeros(2, dtype=torch.int64)", "torch.zeros(torch.tensor(2))",
    "torch.zeros(torch.Size([2]))", "torch.zeros(size=(2,))",
    "torch.zeros(2, requires_grad=True)", "torch.ones(2, device='cpu')",
    "torch.ones(2, 3, dtype=torch.bool)", "torch.ones(0, 3)", "torch.empty(2, 0)",
    "torch.empty(0)", "torch.full((2,), 3)", "torch.full((2,), 3.0)", "torch.full((2,), True)",
    "torch.full((2,), 1j)", "torch.full((2,), 3, dtype=torch.float16)",
    "torch.full((2,), torch.tensor(3.0))", "torch.full((), 7)", "torch.full((2,), 2**40)",
    "torch.full((2,), -1, dtype=torch.uint8)", "torch.full((2,), 2.7, dtype=torch.int32)",
    "torch.full((2,), inf)", "torch.full(size=(1,), fill_value=2)",
    "torch.zeros((2, 3), dtype=float)", "torch.zeros((2,), dtype=int)",
    "torch.eye(2, dtype=bool)", "torch.zeros([2, torch.tensor(3)])", "torch.zeros(np.int64(3))",
    "torch.full((np.int32(2),), 1.0)", "torch.full((2,), np.float32(1.5))",
    "torch.full((2,), np.int64(1))", "torch.scalar_tensor(3)",
    "torch.scalar_tensor(3, dtype=torch.int64)", "torch.zeros(2, pin_memory=False)",
    "torch.zeros(2, out=torch.empty(2))", "torch.full((2,), 2.5, out=i.new_empty(0))",
    "torch.zeros(2, out=torch.empty(0), requires_grad=True)", "torch.eye(2, out=i.new_empty(0))",
    "torch.arange(0, 6.5, 1.5, out=i.new_empty(0))", "torch.linspace(0, 3, 4, out=i.new_empty(0))",
)  # fmt: skip
LIKE = (
    "torch.zeros_like(t)", "torch.zeros_like(f, dtype=torch.int64)", "torch.ones_like(t)",
    "torch.full_like(t, 2)", "torch.full_like(i, 2.5)", "torch.full_like(f, True)",
    "torch.zeros_like(t, requires_grad=True)", "torch.zeros_like(f[:, ::2])",
    "torch.empty_like(t).shape", "torch.zeros_like(f.expand(2, 2, 3))",
    "torch.ones_like(f[0].expand(4, 3))", "torch.zeros_like(f, device='cpu')", "f.new_zeros(2)",
    "f.new_zeros(2, 3)", "i.new_zeros([2])", "f.new_zeros((2,), dtype=torch.int64)",
    "f.new_ones([2])", "i.new_full((2,), 3)", "i.new_full((2,), 2.5)",
    "f.new_full((2,), 3.0, dtype=torch.int64)", "f.new_tensor([1, 2])", "i.new_tensor(3.0)",
    "f.new_empty((2,)).dtype", "f.new([1, 2])", "f.new()", "f.new(2, 3).shape",
    "f.new_zeros(2, requires_grad=True)",
)  # fmt: skip
COUNTING = (
    "torch.linspace(4.3, -3, 50, dtype=torch.int64)", "torch.linspace(0, 2.7, 1, dtype=torch.int8)",
    "torch.linspace(50, 1, 50, dtype=torch.int32)", "torch.logspace(0, 1.2, 2, dtype=torch.int32)",
    "torch.logspace(0, 1.2, 4, 5.0, dtype=torch.int64)",
    "torch.logspace(4.3, -3, 1, dtype=torch.bfloat16)",
    "torch.logspace(0, 4.3, 3, dtype=torch.bfloat16)",
    "torch.arange(3)", "torch.arange(1, 3)", "torch.arange(1.0, 2, 0.3)",
    "torch.arange(3, 0, -1)", "torch.arange(0, 1, 0.25, dtype=torch.float64)",
    "torch.arange(3.0)", "torch.arange(end=3)", "torch.arange(start=1, end=3)",
    "torch.arange(0, 3, step=2)", "torch.arange(5, dtype=torch.float32)",
    "torch.arange(torch.tensor(3))", "torch.arange(True)", "torch.arange(0.1, 0.5, 0.1)",
    "torch.arange(-3, 3, 2, dtype=torch.int32)", "torch.arange(0, 10, 2.5)",
    "torch.arange(1, 2.5)", "torch.arange(10, 0, -3)", "torch.arange(0.5)",
    "torch.arange(np.int64(3))", "torch.arange(np.float32(3))", "torch.arange(0, 1, 0.1)",
    "torch.arange(0, 5, 0.37)", "torch.arange(0)", "torch.arange(3, dtype=torch.bfloat16)",
    "torch.arange(0, 2, 0.5, requires_grad=True)", "torch.linspace(0, 1, 5)",
    "torch.linspace(0, 1, 1)", "torch.linspace(0, 1, 0)",
    "torch.linspace(3, 10, 4, dtype=torch.int64)",
    "torch.linspace(0, 1, steps=3, dtype=torch.float64)",
    "torch.linspace(start=-1, end=1, steps=3)",
    "torch.linspace(torch.tensor(0.0), torch.tensor(1.0), 3)", "torch.linspace(0, 1j, 3)",
    "torch.linspace(-3.7, 12.1, 101)", "torch.linspace(5, -5, 11)", "torch.logspace(0, 2, 3)",
    "torch.logspace(0, 2, 3, base=2)", "torch.logspace(0, 1, 3, dtype=torch.int64)",
    "torch.eye(2)", "torch.eye(2, 3)", "torch.eye(3, 2, dtype=torch.int64)", "torch.eye(0)",
    "torch.tril_indices(3, 3)", "torch.tril_indices(3, 4, -1)", "torch.triu_indices(2, 4, 1)",
    "torch.triu_indices(3, 3, offset=-1)", "torch.vander(i[0])",
    "torch.vander(f[0], 2, increasing=True)", "torch.vander(f[0], 1)",
    "torch.arange(0, 6.5, 1.5, dtype=torch.int64)", "torch.arange(0.5, 0.6, dtype=torch.int64)",
    "torch.arange(0, 6.5, 1.5, dtype=torch.int32)", "torch.arange(-1.5, 1.5, dtype=torch.uint8)",
)  # fmt: skip
WINDOWS = (
    "torch.hann_window(4)", "torch.hann_window(5, periodic=False)", "torch.hann_window(1)",
    "torch.hann_window(0)", "torch.hamming_window(5)", "torch.hamming_window(4, True, alpha=0.5)",
    "torch.blackman_window(4, periodic=False)", "torch.bartlett_window(4)",
    "torch.bartlett_window(5, False, dtype=torch.float64)",
)  # fmt: skip
ERRORS = (
    "torch.zeros()", "torch.zeros(-1)", "torch.zeros(2.0)", "torch.zeros('a')",
    "torch.zeros(2, 3.0)", "torch.zeros(2, foo=1)", "torch.zeros(2, dtype='float32')",
    "torch.full(2, 3)", "torch.zeros(2, dtype=torch.int64, requires_grad=True)",
    "torch.full((2,), 'a')", "torch.full((2,), torch.tensor([1.0, 2.0]))",
    "torch.full((2,), 300, dtype=torch.uint8)", "torch.full((2,), 1e40)",
    "torch.full((2,), 1j, dtype=torch.float32)", "torch.zeros_like(3)",
    "torch.full_like(f, 'a')", "torch.arange(3, 1)", "torch.arange(1, 3, 0)",
    "torch.arange(0, -3)", "torch.arange(0.0, inf)", "torch.arange(3, dtype=torch.bool)",
    "torch.linspace(0, 1, -1)", "torch.eye(-1)", "torch.tril_indices(-1, 2)",
    "torch.arange(1, 2, dtype=torch.int64, requires_grad=True)",
    "torch.arange(0, 3, 0.5, dtype=torch.int64)", "torch.arange(0, 3, 0.5, out=i.new_empty(0))",
    "torch.zeros(3, out=i.new_empty(0), dtype=torch.float32)",
    "torch.eye(3, out=i.new_empty(0), device='meta')",
)  # fmt: skip


@pytest.mark.parametrize(
    "codes",
    [FILLED, LIKE, COUNTING, WINDOWS, ERRORS],
    ids=["filled", "like", "counting", "windows", "errors"],
)
def test_creation(codes):
    check(codes, operands)


def test_what_is_made_can_be_written_and_learnt():
    def code(module):
        w = module.ones(3, requires_grad=True)
        z = module.zeros(2, 3)
        z[0] = 2
        z += 1
        loss = (z * w).sum() + (module.arange(3.0) * w).sum()
        loss.backward()
        return [z, w.grad, module.zeros_like(w).requires_grad]

    same(code)


@pytest.mark.programs
def test_changing_numbers_are_one_program():
    counts = []
    for value in (1.0, 1.0, 2.0, 0.0, 0.5):
        made = facade.full((2,), value) + facade.arange(value, value + 2)
        assert made.tolist() == [2 * value, 2 * value + 1]
        counts.append(program_count())
    assert len(set(counts)) == 1


def test_long_ranges_are_exact():
    ours, theirs = (m.arange(2**24 - 2, 2**24 + 3) for m in (facade, torch))
    assert ours.tolist() == theirs.tolist()
    ours, theirs = (m.linspace(0, 1, 1000) for m in (facade, torch))
    np.testing.assert_array_almost_equal_nulp(ours.numpy(), theirs.numpy(), nulp=2)
