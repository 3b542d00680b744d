"""Random tensors: PyTorch's numbers and generator states bit for bit, its errors, its gradients."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import parity
import pytest
import torch

import facade

DTYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
WHOLE = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"]


def run(code, module, seed=0):
    """Return what a line of code gives from a seed, or its exception, and the states afterwards."""
    module.manual_seed(seed)
    scope = {
        "torch": module,
        "g": module.Generator().manual_seed(7),
        "w": module.tensor([0.1, 0.2, 0.7]),
        "x": module.ones(3, requires_grad=True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = eval(code, scope)
        except Exception as error:
            result = error
    return result, [state_of(module.default_generator), state_of(scope["g"])]


def state_of(generator):
    return generator.get_state().numpy().tobytes()


def assert_same_run(code, seed=0):
    """The same line under both: same bits or same error, and the same generators afterwards."""
    (theirs, their_states), (ours, our_states) = run(code, torch, seed), run(code, facade, seed)
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        parity.assert_same_error(ours, theirs)
    else:
        parity.assert_same(ours, theirs, tolerance=(0, 0))
    assert our_states == their_states, "the generators differ"


VALUES = """\
torch.rand(3)
torch.rand(2, 3)
torch.rand((2, 3), generator=g)
torch.rand([2, 3], dtype=torch.float64)
torch.rand(size=(2, 3))
torch.rand(())
torch.rand([])
torch.rand(torch.Size([2]))
torch.rand(0, 3)
torch.rand(100, generator=None)
torch.rand(3, requires_grad=True)
torch.rand(3, dtype=torch.bfloat16, requires_grad=True)
torch.rand(3, device="cpu", layout=torch.strided, pin_memory=False)
torch.rand(3, out=torch.empty(3, dtype=torch.float64))
torch.rand(3, out=torch.empty(4))
torch.rand(3, out=torch.empty(0))
torch.rand(3, out=torch.empty(3), requires_grad=True)
torch.rand(3, 4, out=torch.empty(4, 3).t())
torch.randn(3, 5)
torch.randn(4, 5, generator=g)
torch.randn(17, dtype=torch.float16)
torch.randn(17, dtype=torch.complex64)
torch.randn(5, 5, out=torch.empty(5, 5).t())
torch.randint(10, (3,))
torch.randint(3, 10, (3, 2))
torch.randint(high=10, size=(3,))
torch.randint(low=3, high=10, size=(3,))
torch.randint(10, size=(3,))
torch.randint(3, 10, size=(3,), dtype=torch.uint8)
torch.randint(-5, 2**40, [3], generator=g)
torch.randint(0, 10, (3,), dtype=torch.float32, requires_grad=True)
torch.randint(0, 10, (3,), out=torch.empty(3))
torch.randint(0, 10, (3,), out=torch.empty(4))
torch.randint(torch.tensor(10), (3,))
torch.randint(10, (), dtype=torch.int8)
torch.randint(2, (100,), dtype=torch.bool)
torch.randperm(10)
torch.randperm(10, dtype=torch.int32)
torch.randperm(4, dtype=torch.float32, requires_grad=True)
torch.randperm(4, out=torch.empty(4))
torch.randperm(5, out=torch.empty(3, dtype=torch.int64))
torch.randperm(torch.tensor(4), generator=g)
torch.randperm(0)
torch.randperm(n=300, dtype=torch.float16)
torch.rand_like(torch.ones(3, dtype=torch.int64), dtype=torch.float32)
torch.rand_like(x)
torch.rand_like(x, requires_grad=True, generator=g)
torch.rand_like(torch.ones(2, 3).t())
torch.rand_like(torch.ones(2, 3).t(), memory_format=torch.contiguous_format)
torch.rand_like(torch.ones(4, 6).t()[::2])
torch.rand_like(torch.ones(3, 1).expand(3, 4))
torch.randn_like(torch.ones(2, 3, 4, 5), memory_format=torch.channels_last)
torch.randn_like(torch.ones(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))
torch.randn_like(torch.ones(2, 3, 4, 5).permute(2, 0, 3, 1))
torch.randn_like(torch.ones(3), generator=g)
torch.randint_like(torch.ones(3), 10)
torch.randint_like(torch.ones(3), 3, 10)
torch.randint_like(torch.ones(3), low=3, high=10)
torch.randint_like(torch.ones(3), high=10, generator=g)
torch.randint_like(torch.ones(3), torch.tensor(10))
torch.randint_like(torch.ones(2, 3).t(), 10, dtype=torch.int64)
torch.normal(0.0, 1.0, (3,))
torch.normal(2, 3, (3, 4), dtype=torch.float64, generator=g)
torch.normal(mean=1.0, std=2.0, size=(20,))
torch.normal(0.0, 1.0, (3,), out=torch.empty(3, dtype=torch.float64))
torch.normal(0.0, 1.0, (3,), dtype=torch.float16, requires_grad=True)
torch.normal(torch.arange(3.0))
torch.normal(torch.arange(20.0), 2.5)
torch.normal(1.5, torch.arange(20.0))
torch.normal(torch.arange(20.0), torch.arange(20.0) * 0.15625)
torch.normal(torch.arange(20.0) * 0.375, (torch.arange(20.0) * 0.15625).double(), generator=g)
torch.normal(mean=torch.arange(2.0).reshape(2, 1), std=torch.full((3,), 0.3))
torch.normal(torch.ones(2, 3).t(), torch.ones(3, 2))
torch.normal(1.0, torch.ones(2, 3).t())
torch.normal(torch.zeros(3), torch.ones(3), out=torch.empty(3, dtype=torch.float64))
torch.normal(torch.zeros(3), torch.ones(3), out=torch.empty(4))
torch.normal(torch.ones(()), torch.ones(()), (3,))
torch.normal(torch.zeros(3, dtype=torch.complex64), torch.ones(3))
torch.normal(x, 1.0)
torch.normal(1.0, x)
torch.normal(x, x)
torch.bernoulli(w)
torch.bernoulli(w, 0.3)
torch.bernoulli(w, p=0.3, generator=g)
torch.bernoulli(torch.rand(3, 4).t())
torch.bernoulli(torch.rand(100, dtype=torch.float64))
torch.bernoulli(torch.ones(2, 3, dtype=torch.int64).t(), 0.3)
torch.bernoulli(w, out=torch.empty(3, dtype=torch.int64))
torch.bernoulli(w, out=torch.empty(4))
torch.bernoulli(x * 0.5)
w.bernoulli()
w.bernoulli(0.3)
w.bernoulli(p=0.3, generator=g)
torch.multinomial(w, 2)
torch.multinomial(w, 20, True)
torch.multinomial(w, num_samples=2, replacement=True, generator=g)
torch.multinomial(torch.rand(4, 3), 2)
torch.multinomial(torch.rand(4, 3).t(), 2)
torch.multinomial(torch.rand(4, 3).t(), 1, True)
torch.multinomial(torch.rand(4, 3).t(), 5, True)
torch.multinomial(torch.rand(0, 3), 2)
torch.multinomial(w, 2, out=torch.empty(2, dtype=torch.int64))
torch.multinomial(w, 2, out=torch.empty(3, dtype=torch.int64))
torch.multinomial(x * 2, torch.tensor(2))
w.multinomial(2, True)
torch.poisson(torch.rand(3, 4) * 30)
torch.poisson(torch.rand(3, 4).t() * 5, generator=g)
torch.poisson(x)
torch.binomial(torch.full((3,), 50.0), w)
torch.binomial(torch.full((4, 3), 5.0).t(), torch.rand(3, 4))
torch.binomial(torch.full((3,), 5.0), torch.tensor(0.3))
torch.rand(3, device="meta").shape
torch.randint(10, (3,), device="meta").dtype
torch.randperm(3, device="meta").shape
torch.multinomial(torch.ones(2, 3, device="meta"), 2).shape
torch.poisson(torch.ones(3, device="meta")).shape
torch.bernoulli(torch.ones(3, device="meta")).shape
torch.empty(3, device="meta").normal_().shape
torch.rand(3, generator=torch.Generator(), device="meta").shape
""".splitlines()


@pytest.mark.parametrize("code", VALUES)
def test_values(code):
    assert_same_run(code)


IN_PLACE = [
    "normal_()", "normal_(1.5, 0.3)", "normal_(std=2, generator=g)",
    "normal_(torch.tensor(1.0), 2)",
    "uniform_()", "uniform_(-0.3, 0.5)", "uniform_(to=0.5)", "uniform_(-1)",
    "uniform_(**{'from': 1, 'to': 2}, generator=g)",
    "random_()", "random_(7)", "random_(2, 2**20)", "random_(-3, None)", "random_(to=3)",
    "random_(**{'from': 1, 'to': 3}, generator=g)", "random_(torch.tensor(4))",
    "random_(-2**63, None)",
    "bernoulli_()", "bernoulli_(0.3, generator=g)", "bernoulli_(p=torch.tensor(0.7))",
    "bernoulli_(torch.linspace(0, 1, 5).reshape(1, 5, 1))",
    "bernoulli_(torch.linspace(0, 1, 5, dtype=torch.float64).reshape(1, 5, 1))",
    "exponential_()", "exponential_(lambd=2)", "geometric_(0.3)", "geometric_(p=0.01, generator=g)",
    "cauchy_()", "cauchy_(median=1, sigma=3)", "log_normal_()", "log_normal_(0.5, 0.25)",
]  # fmt: skip

# Tensors of (2, 5, 3) to fill, by how their elements lie in memory.
TARGETS = {
    "contiguous": "torch.zeros(2, 5, 3, dtype={0})",
    "transposed": "torch.zeros(3, 5, 2, dtype={0}).permute(2, 1, 0)",
    "every other": "torch.zeros(4, 5, 6, dtype={0})[::2, :, ::2]",
    "channels last": "torch.zeros(2, 3, 5, dtype={0}).permute(0, 2, 1)",
    "part of a transposed": "torch.zeros(3, 5, 4, dtype={0}).permute(2, 1, 0)[1:3]",
    "at an offset": "torch.zeros(4, 5, 3, dtype={0})[1:3]",
}


@pytest.mark.parametrize("dtype", [*DTYPES, *WHOLE])
def test_in_place(dtype):
    for call in IN_PLACE:
        assert_same_run(TARGETS["contiguous"].format(f"torch.{dtype}") + f".{call}")


@pytest.mark.parametrize("target", list(TARGETS)[1:])
def test_in_place_in_memory_order(target):
    for call in IN_PLACE:
        assert_same_run(TARGETS[target].format("torch.float32") + f".{call}")
    for dtype in ("float64", "float16", "complex64"):
        assert_same_run(TARGETS[target].format(f"torch.{dtype}") + ".normal_(1, 2)")


ERRORS = """\
torch.rand()
torch.rand(-1)
torch.rand(2.5)
torch.rand('a')
torch.rand((2, 'a'))
torch.rand((2,), (3,))
torch.rand(2, 3, size=(2,))
torch.rand(3, dtype=torch.int64)
torch.rand(3, dtype=torch.bool)
torch.rand(3, generator=3)
torch.rand(3, out=3)
torch.rand(3, device='cuda')
torch.rand(3, out=torch.empty(3, dtype=torch.float64), dtype=torch.float32)
torch.rand(3, out=torch.empty(3), device='meta')
torch.rand(3, out=torch.empty(3, requires_grad=True))
torch.rand(3, out=torch.empty(3, dtype=torch.int64))
torch.randn()
torch.randn(-1)
torch.randn(3, dtype=torch.int64)
torch.randint()
torch.randint(10)
torch.randint(10, 3)
torch.randint(2.0, (3,))
torch.randint(high=2)
torch.randint(size=(2,))
torch.randint(3, 10, 5)
torch.randint(3, 'a', (5,))
torch.randint(3, 10, (5, 'a'))
torch.randint(0, 2.5, (3,))
torch.randint(10, 3, (3,))
torch.randint(0, 0, (3,))
torch.randint(0, 300, (3,), dtype=torch.uint8)
torch.randint(0, 10, (3,), requires_grad=True)
torch.randint(0, 10, (-3,))
torch.randint(0, 1, (2,), dtype=torch.complex64)
torch.randint(10, (3,), generator=3)
torch.randint(0, 10, (3,), out=torch.empty(3), dtype=torch.int64)
torch.randperm()
torch.randperm(-1)
torch.randperm(2.5)
torch.randperm('a')
torch.randperm(True)
torch.randperm(300, dtype=torch.uint8)
torch.randperm(3000, dtype=torch.float16)
torch.randperm(4, dtype=torch.bool)
torch.randperm(2, dtype=torch.uint16)
torch.randperm(4, dtype=torch.complex64)
torch.randperm(4, dtype=torch.int32, requires_grad=True)
torch.randperm(4, generator=3)
torch.randperm(4, out=torch.empty(4), dtype=torch.int64)
torch.rand_like()
torch.rand_like(3)
torch.rand_like(w, generator=3)
torch.rand_like(torch.ones(3, dtype=torch.int64))
torch.randn_like(torch.ones(3, dtype=torch.uint8))
torch.randn_like(w, memory_format=torch.channels_last)
torch.randint_like(w)
torch.randint_like(w, 2.5)
torch.randint_like(w, 1, 2, 3)
torch.randint_like(3, 5)
torch.randint_like(torch.ones(3, dtype=torch.uint8), 3000)
torch.normal()
torch.normal(0.0, 1.0)
torch.normal(0.0, 1.0, 3)
torch.normal(0.0, 1.0, size=3)
torch.normal(0.0, 1.0, (-3,))
torch.normal('a', 1.0)
torch.normal(mean=0.0, std='a')
torch.normal(w, size=(3,))
torch.normal(w, 1.0, (3,))
torch.normal(w, w, (3,))
torch.normal(1.0, w, (3,))
torch.normal(w, generator=3)
torch.normal(torch.zeros(2), torch.ones(3))
torch.normal(w, -1.0)
torch.normal(w, torch.tensor([0.1, 0.2, -0.7]))
torch.normal(0.0, -1.0, (3,))
torch.normal(torch.zeros(3, dtype=torch.int64), 1.0)
torch.normal(1.0, torch.ones(3, dtype=torch.int64))
torch.normal(w, torch.ones(3, dtype=torch.complex64))
torch.normal(0.0, 1.0, (3,), dtype=torch.int64)
torch.normal(w, w, out=torch.empty(2, dtype=torch.int64))
torch.normal(0.0, 1.0, (3,), out=torch.empty(3, dtype=torch.float64), dtype=torch.float32)
torch.bernoulli()
torch.bernoulli(3)
torch.bernoulli(w, w)
torch.bernoulli(-w)
torch.bernoulli(torch.ones(3, dtype=torch.int64))
torch.bernoulli(w, 0.3, out=torch.empty(3))
torch.bernoulli(w, generator=3)
w.bernoulli(2)
w.bernoulli('a')
torch.multinomial(3, 2)
torch.multinomial(w, 5)
torch.multinomial(w, 0)
torch.multinomial(w, 'a')
torch.multinomial(w, 2.5)
torch.multinomial(w, True)
torch.multinomial(w, 2, 1)
torch.multinomial(w, 2, 'a')
torch.multinomial(w, 2, generator=3)
torch.multinomial(w, 2, out=torch.empty(2))
torch.multinomial(-w, 2)
torch.multinomial(w * 0, 2)
torch.multinomial(torch.ones(2, 3, 4), 2)
torch.multinomial(torch.ones(0), 2)
torch.multinomial(torch.ones(3, dtype=torch.int64), 2)
torch.poisson(3)
torch.poisson(-w)
torch.poisson(w, generator=3)
torch.poisson(torch.ones(3, dtype=torch.int64))
torch.binomial(3, w)
torch.binomial(w, w, generator=3)
torch.binomial(torch.ones(3) * 5, torch.tensor([0.1, 0.2]))
torch.binomial(torch.ones(3) * 5, torch.tensor(0.1, dtype=torch.float64))
x.normal_()
x[:2].normal_()
torch.ones(1).expand(3).normal_()
torch.ones(1).expand(3).bernoulli_()
w.normal_('a')
w.normal_(1, 'a')
w.normal_(None)
w.normal_(1j)
w.normal_(torch.ones(3))
w.normal_(torch.ones((), requires_grad=True))
w.normal_(generator=3)
w.normal_(0, -1)
w.uniform_('a')
w.uniform_(0, 'a')
w.uniform_(1, 0)
w.uniform_(0, 1, 2)
w.uniform_(a=1)
w.uniform_(generator='a')
w.random_(0)
w.random_(3, 1)
w.random_(2.5)
w.random_('a')
w.random_(True)
w.random_(None)
w.random_(generator=3)
w.random_(**{'from': 3})
w.bernoulli_(2)
w.bernoulli_('a')
w.bernoulli_(None)
w.bernoulli_(generator=3)
w.bernoulli_(-w)
w.bernoulli_(torch.ones(2) * 0.5)
w.bernoulli_(torch.ones(3, dtype=torch.int64))
w.exponential_(0)
w.exponential_('a')
w.geometric_(2)
w.geometric_('a')
w.cauchy_(median=0, sigma=-1)
w.log_normal_(mean=0, std=-1)
""".splitlines()


@pytest.mark.parametrize("code", ERRORS)
def test_errors(code):
    assert_same_run(code)


# ---- values that stay the same from version to version ----

GOLDEN = [
    (42, "torch.empty(2, dtype=torch.int64).random_()", [6909045637428952499, 8314211556539077902]),
    (0, "torch.rand(4)", [0.4962566, 0.7682218, 0.08847743, 0.13203049]),
    (42, "torch.rand(4)", [0.88226926, 0.91500396, 0.38286376, 0.95930564]),
    (-1, "torch.rand(2)", [0.9937994, 0.57130635]),
    (
        0,
        "torch.rand(3, dtype=torch.float64)",
        [0.9700530018065531, 0.707819864399788, 0.45938294312745087],
    ),
    (0, "torch.rand(3, dtype=torch.float16)", [0.4963379, 0.7680664, 0.08850098]),
    (0, "torch.rand(3, dtype=torch.bfloat16)", [0.49609375, 0.76953125, 0.088378906]),
    (
        0,
        "torch.empty(4).uniform_(-0.3, 0.5)",
        [0.09700526, 0.31457743, -0.22921807, -0.19437562],
    ),
    (0, "torch.randn(3)", [1.5409961, -0.2934289, -2.1787894]),
    (
        0,
        "torch.randn(3, dtype=torch.float64)",
        [1.5409961082440433, -0.2934289057609464, -2.1787893820745574],
    ),
    (0, "torch.randn(16)[:4]", [-1.1258398, -1.1523602, -0.25057858, -0.4338788]),
    (0, "torch.randn(17)[:3]", [-1.1258398, -1.6959312, 0.5666506]),
    (0, "torch.randn(17)[15:]", [-0.84367675, 0.9318266]),
    (42, "torch.randn(1000)[:3]", [1.9269153, 1.4872841, 0.9007172]),
    (42, "torch.randn(1000)[997:]", [-0.036269914, -0.3797594, -0.8534544]),
    (
        0,
        "torch.randn(16, dtype=torch.float64)[:3]",
        [-2.310411800234176, -0.3732508612577643, -1.0608166785462863],
    ),
    (0, "torch.randn(17, dtype=torch.float16)[15:]", [0.94628906, -0.84375]),
    (0, "torch.empty(20).normal_(1.5, 0.3)[:3]", [1.162248, 1.1542919, 1.4248264]),
    (
        0,
        "torch.empty(4, 5).t().normal_()[0]",
        [1.5409961, -1.3985955, -0.59663534, 0.12270124],
    ),
    (0, "torch.randint(0, 10, (8,))", [4, 9, 3, 0, 3, 9, 7, 3]),
    (0, "torch.randint(0, 2**28, (3,))", [130329135, 136432832, 195187451]),
    (0, "torch.randint(-5, 2**40, (2,))", [741234585336, 506077272957]),
    (0, "torch.randperm(10)", [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]),
    (42, "torch.randperm(5)", [2, 4, 3, 0, 1]),
    (0, "torch.empty(8).bernoulli_(0.3)", [0, 0, 0, 0, 0, 0, 1, 0]),
    (0, "torch.bernoulli(torch.full((8,), 0.3))", [0, 0, 1, 1, 0, 0, 0, 0]),
    (0, "torch.dropout(torch.ones(8), 0.5, True)", [0, 0, 2, 0, 0, 0, 2, 2]),
    (0, "torch.empty(3).exponential_()", [3.5083263, 1.2303847, 0.6150441]),
    (0, "torch.empty(3).cauchy_()", [10.59773, 0.7647673, -0.12829934]),
    (0, "torch.empty(6).geometric_(0.3)", [1, 1, 3, 1, 2, 1]),
    (0, "torch.empty(3).log_normal_()", [59.263416, 1.51156, 0.03481946]),
    (0, "torch.poisson(torch.full((6,), 4.0))", [7, 3, 5, 4, 6, 3]),
    (0, "torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 3)", [2, 1, 3]),
    (
        0,
        "torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4]), 8, True)",
        [3, 3, 2, 3, 3, 3, 1, 2],
    ),
]


@pytest.mark.parametrize(("seed", "code", "expected"), GOLDEN)
def test_golden_values(seed, code, expected):
    assert_same_run(code, seed)
    result, _ = run(code, facade, seed)
    expected = np.array(expected).astype(result.dtype.numpy)
    assert parity.to_numpy(result).tolist() == expected.tolist()


GOLDEN_LAYERS = [
    ("Linear(4, 3)", "weight", [-0.00374341, 0.2682218, -0.41152257, -0.3679695]),
    ("Linear(4, 3)", "bias", [-0.47767425, -0.33114105, -0.20611155]),
    ("Conv2d(3, 8, 3)", "weight", [-0.0014408393, 0.10323862, -0.15839511]),
]


@pytest.mark.parametrize(("layer", "name", "expected"), GOLDEN_LAYERS)
def test_golden_initial_weights(layer, name, expected):
    import facade.nn

    facade.manual_seed(0)
    weights = getattr(eval(f"facade.nn.{layer}"), name).detach().reshape(-1)
    assert weights[: len(expected)].tolist() == np.float32(expected).tolist()


LAYERS = [
    "Linear(4, 3)", "Linear(5, 3, bias=False)", "Linear(300, 200)",
    "Linear(4, 3, dtype=torch.float64)", "Linear(4, 3, device='meta')",
    "Conv1d(3, 4, 5)", "Conv2d(3, 8, 3)", "Conv2d(4, 8, 3, groups=2, bias=False)",
    "Conv3d(2, 3, 2)", "BatchNorm1d(4)", "BatchNorm2d(4)", "LayerNorm(5)",
    "Embedding(10, 3)", "Embedding(10, 3, padding_idx=2)", "Embedding(100, 17)", "Dropout(0.5)",
    "Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))",
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_initial_weights(layer):
    import facade.nn

    assert facade.nn
    (theirs, their_states), (ours, our_states) = (
        run(f"torch.nn.{layer}", module) for module in (torch, facade)
    )
    assert our_states == their_states
    if "meta" not in layer:
        parity.assert_same(ours.state_dict(), theirs.state_dict(), tolerance=(0, 0))


INIT = [
    "xavier_normal_(torch.empty(4, 5))", "xavier_uniform_(torch.empty(4, 5, 3))",
    "kaiming_normal_(torch.empty(64, 3, 7, 7), mode='fan_out', nonlinearity='relu')",
    "kaiming_uniform_(torch.empty(4, 5), generator=g)", "normal_(torch.empty(3), 1.0, 2.0)",
    "trunc_normal_(torch.empty(4, 5), 0, 1, 1, 4)", "trunc_normal_(torch.empty(4, 5), std=0.02)",
    "normal_(torch.empty(3, requires_grad=True))",
]  # fmt: skip


@pytest.mark.parametrize("code", INIT)
def test_init(code):
    import facade.nn

    assert facade.nn
    assert_same_run(f"torch.nn.init.{code}")


# ---- gradients, views, versions ----

GRADIENTS = {
    "normal_": lambda torch, x: (x * 2).normal_(),
    "uniform_": lambda torch, x: (x * 2).uniform_(),
    "random_": lambda torch, x: (x * 2).random_(),
    "random_ to": lambda torch, x: (x * 2).random_(3),
    "random_ from to": lambda torch, x: (x * 2).random_(1, 3),
    "bernoulli_": lambda torch, x: (x * 2).bernoulli_(),
    "bernoulli_ of a tensor": lambda torch, x: (x * 2).bernoulli_(torch.full((4,), 0.5)),
    "bernoulli_ of what needs a gradient": lambda torch, x: torch.zeros(4).bernoulli_(x * 0.2),
    "exponential_": lambda torch, x: (x * 2).exponential_(),
    "geometric_": lambda torch, x: (x * 2).geometric_(0.3),
    "cauchy_": lambda torch, x: (x * 2).cauchy_(),
    "log_normal_": lambda torch, x: (x * 2).log_normal_(),
    "bernoulli": lambda torch, x: torch.bernoulli(x * 0.2),
    "poisson": lambda torch, x: torch.poisson(x),
    "normal around": lambda torch, x: torch.normal(x, 1.0),
    "normal scaled": lambda torch, x: torch.normal(1.0, x),
    "normal both": lambda torch, x: torch.normal(x, x),
    "times noise": lambda torch, x: x * torch.randn_like(x),
    "half of it": lambda torch, x: _fill_half(x * 2),
    "dropout": lambda torch, x: torch.dropout(x, 0.5, True),
    "dropout_": lambda torch, x: torch.dropout_(x * 1, 0.5, True),
    "dropout of all": lambda torch, x: torch.dropout(x, 1, True),
    "dropout of none": lambda torch, x: torch.dropout(x, 0, True) * 1,
    "dropout in evaluation": lambda torch, x: torch.dropout(x, 0.5, False) * 1,
    "alpha_dropout": lambda torch, x: torch.alpha_dropout(x, 0.3, True),
    "feature_dropout": lambda torch, x: torch.feature_dropout(x.reshape(2, 2, 1), 0.5, True),
    "feature_alpha_dropout_": lambda torch, x: torch.feature_alpha_dropout_(
        x.reshape(1, 4) * 2, 0.5, True
    ),
}


def _fill_half(y):
    y[:2].normal_()
    return y


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    def code(torch):
        x = torch.tensor([0.5, 1.0, 2.0, 4.0], requires_grad=True)
        return parity.grads(lambda x: GRADIENTS[name](torch, x), x)

    parity.both(code)
    assert state_of(facade.default_generator) == state_of(torch.default_generator)


DROPOUT = """\
torch.dropout(torch.ones(4, 5).t(), 0.3, True)
torch.dropout(torch.ones(2, 3, 4, 5).contiguous(memory_format=torch.channels_last), 0.3, True)
torch.dropout(torch.rand(100), 0.1, True)
torch.dropout(torch.rand(100, dtype=torch.float64), 0.1, True)
torch.dropout(torch.rand(100, dtype=torch.float16), 0.1, True)
torch.dropout(torch.rand(100, dtype=torch.bfloat16), 0.1, True).tolist()
torch.dropout(torch.ones(3), 1, True)
torch.dropout(torch.ones(3), 0, True)
torch.dropout(torch.ones(3), 0.5, False)
torch.dropout(torch.ones(0), 0.5, True)
torch.feature_dropout(torch.ones(3, 4, 2), 0.5, True)
torch.feature_dropout(torch.ones(3), 0.5, True)
torch.dropout(torch.ones(3), 2, True)
torch.dropout(torch.ones(3), 'a', True)
torch.dropout(3, 0.5, True)
torch.dropout(torch.ones(3, dtype=torch.int64), 0.5, True)
torch.dropout(torch.ones(3, dtype=torch.complex64), 0.5, True)
torch.dropout_(x, 0.5, True)
""".splitlines()


@pytest.mark.parametrize("code", DROPOUT)
def test_dropout(code):
    assert_same_run(code)


DROPOUT_LAYERS = """\
torch.nn.functional.dropout(torch.ones(8))
torch.nn.functional.dropout(x, 0.3)
torch.nn.functional.dropout(torch.ones(4, 5).t(), 0.3, inplace=True)
torch.nn.functional.dropout(x, 2)
torch.nn.functional.alpha_dropout(torch.ones(3, 4), 0.3, True)
torch.nn.functional.dropout1d(torch.ones(3, 4, 2), 0.3)
torch.nn.functional.dropout2d(torch.ones(3, 4, 2, 2), 0.3)
torch.nn.functional.dropout3d(torch.ones(3, 4, 2, 2, 2), 0.3)
torch.nn.Dropout(0.3)(torch.ones(20))
torch.nn.Dropout(0.3).eval()(torch.ones(20))
torch.nn.Dropout(0)(torch.ones(20))
torch.nn.Dropout(1)(torch.ones(20))
torch.nn.Dropout2d(0.3)(torch.ones(3, 4, 2, 2))
""".splitlines()


@pytest.mark.parametrize("code", DROPOUT_LAYERS)
def test_dropout_layers(code):
    import facade.nn

    assert facade.nn
    assert_same_run(code)


def test_writes_through_views_and_counts_versions():
    def code(torch):
        x = torch.zeros(4, 6)
        part, alias, turned = x[1:3, ::2], x.detach(), x.t()
        part.normal_()
        turned[0].uniform_()
        alias[3].random_(5)
        return x, part, turned, [t._version for t in (x, part, alias)]

    parity.both(code)


def test_a_leaf_is_filled_under_no_grad():
    def code(torch):
        x = torch.zeros(20, requires_grad=True)
        with torch.no_grad():
            x.normal_()
        x.data[:3].uniform_()
        (x * x).sum().backward()
        return x, x.grad, x.is_leaf

    parity.both(code)


def test_numbers_are_of_the_moment_of_the_call():
    facade.manual_seed(0)
    first = facade.zeros(20).normal_()
    second = first * 2
    first.uniform_()
    facade.manual_seed(0)
    assert second.tolist() == (facade.randn(20) * 2).tolist()
    assert first.tolist() == facade.rand(20).tolist()


# ---- generators ----

GENERATORS = """\
torch.Generator().initial_seed()
torch.Generator().device
torch.Generator('cpu').device
torch.Generator(device=torch.device('cpu')).device
torch.Generator(None).device
torch.Generator('meta')
torch.Generator(5)
torch.Generator(3.5)
g.manual_seed(3) is g
g.manual_seed(-1).initial_seed()
g.manual_seed(2**64 - 1).initial_seed()
g.manual_seed(2**64)
g.manual_seed(-2**63 - 1)
g.manual_seed('a')
g.manual_seed(1.5)
g.manual_seed(True)
g.manual_seed(torch.tensor(3))
g.get_state()
g.set_state(g.get_state()) is g
g.set_state(3)
g.set_state(torch.zeros(3))
g.set_state(torch.zeros(3, dtype=torch.uint8))
g.set_state(torch.zeros(5056, dtype=torch.uint8))
g.get_offset()
g.set_offset(3)
g.clone_state().initial_seed()
torch.manual_seed(3) is torch.default_generator
torch.manual_seed('7').initial_seed()
torch.manual_seed(1.5).initial_seed()
torch.manual_seed(torch.tensor(4)).initial_seed()
torch.manual_seed(-3).initial_seed()
torch.manual_seed(2**64)
torch.manual_seed(-2**63 - 1)
torch.manual_seed('a')
torch.manual_seed(None)
torch.initial_seed()
torch.random.initial_seed()
torch.get_rng_state()
torch.random.get_rng_state()
torch.set_rng_state(g.get_state())
torch.set_rng_state(3)
torch.random.set_rng_state(torch.zeros(3))
torch.cuda.is_available()
torch.cuda.device_count()
torch.cuda.current_device()
torch.cuda.synchronize()
torch.cuda.empty_cache()
torch.cuda.get_rng_state()
torch.cuda.get_rng_state_all()
torch.cuda.set_rng_state(torch.get_rng_state())
torch.cuda.manual_seed(3)
torch.cuda.manual_seed_all(3)
torch.cuda.seed()
torch.cuda.seed_all()
torch.cuda.initial_seed()
""".splitlines()


@pytest.mark.parametrize("code", GENERATORS)
def test_generators(code):
    assert_same_run(code)


@pytest.mark.parametrize(
    "duplicate", [lambda g: g.clone_state(), copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_a_copy_goes_on_alone(duplicate):
    generator = facade.Generator().manual_seed(5)
    facade.randn(3, generator=generator)  # leaves one normal for later
    other = duplicate(generator)
    expected = facade.randn(5, generator=generator).tolist()
    facade.randn(5, generator=generator)
    assert facade.randn(5, generator=other).tolist() == expected
    assert other.initial_seed() == 5


def test_a_state_goes_from_pytorch_to_facade_and_back():
    facade.set_rng_state(facade.tensor(torch.manual_seed(9).get_state().numpy()))
    assert facade.initial_seed() == 9
    ours, theirs = facade.randn(5), torch.randn(5)
    assert ours.tolist() == theirs.tolist()
    torch.set_rng_state(torch.tensor(facade.get_rng_state().numpy()))
    assert torch.randn(5).tolist() == facade.randn(5).tolist()


def test_seed_reseeds_from_the_system():
    seeds = {facade.seed(), facade.seed(), facade.Generator().seed(), facade.random.seed()}
    assert len(seeds) == 4
    assert facade.initial_seed() in seeds


def test_fork_rng_puts_the_state_back():
    facade.manual_seed(0)
    before = state_of(facade.default_generator)
    with pytest.raises(KeyError), facade.random.fork_rng():
        facade.rand(3)
        raise KeyError
    assert state_of(facade.default_generator) == before
    with facade.random.fork_rng(devices=[]):
        facade.manual_seed(3)
    assert state_of(facade.default_generator) == before
    with facade.random.fork_rng(enabled=False):
        facade.rand(3)
    assert state_of(facade.default_generator) != before


def test_generators_are_used_by_several_threads_at_once():
    import threading

    facade.manual_seed(0)
    drawn = []
    threads = [
        threading.Thread(target=lambda: drawn.append(facade.rand(50_000).numpy())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facade.manual_seed(0)
    expected = facade.rand(200_000).numpy()
    assert sorted(np.concatenate(drawn)) == sorted(expected)


def test_steps_with_dropout_compile_once():
    import facade.program

    x, w = facade.ones(8, 8), facade.ones(8, 8, requires_grad=True)
    counts, losses = [], []
    for _ in range(4):
        loss = facade.dropout(x @ w, 0.5, True).sum()
        loss.backward()
        losses.append(loss.item())
        w.grad = None
        counts.append(facade.program.program_count())
    assert counts[1] == counts[-1]
    assert len(set(losses)) > 1


# ---- other devices ----


def test_on_a_device():
    """The device's own draws, in a process where JAX has two devices."""
    source = os.path.join(os.path.dirname(__file__), "random_on_a_device.py")
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    done = subprocess.run(
        [sys.executable, source],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
