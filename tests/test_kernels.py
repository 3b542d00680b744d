"""Ops with algorithms of their own: values, gradients and rounding against PyTorch."""

import math

import numpy as np
import pytest
import torch
from parity import assert_same, grads

import facade


def normal(*shape, offset=0.0):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32) + np.float32(offset)


# ---- rounding: no further from float64 than PyTorch's own float32 ----

ROUNDED = {
    "layer norm": (lambda t, x: t.nn.functional.layer_norm(x, (256,)), normal(64, 256)),
    "layer norm, large": (lambda t, x: t.nn.functional.layer_norm(x, (512,)), normal(4096, 512)),
    "layer norm, far from 0": (
        lambda t, x: t.nn.functional.layer_norm(x, (256,)), normal(64, 256, offset=100)
    ),
    "batch norm": (
        lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
        normal(8, 16, 12, 12),
    ),
    "batch norm, far from 0": (
        lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
        normal(8, 16, 12, 12, offset=100),
    ),
    "gelu": (lambda t, x: t.nn.functional.gelu(x), normal(64, 256)),
    "gelu, tanh": (lambda t, x: t.nn.functional.gelu(x, approximate="tanh"), normal(64, 256)),
    "softmax": (lambda t, x: t.nn.functional.softmax(x, -1), normal(64, 1000)),
    "log softmax": (lambda t, x: t.nn.functional.log_softmax(x, -1), normal(64, 1000)),
    "cross entropy": (
        lambda t, x: t.nn.functional.cross_entropy(x, t.arange(64), reduction="none"),
        normal(64, 1000),
    ),
    "cumsum, last": (lambda t, x: t.cumsum(x, 1), normal(300, 700)),
    "cumsum, first": (lambda t, x: t.cumsum(x, 0), normal(700, 300)),
    "cumsum, one row": (lambda t, x: t.cumsum(x, 0), normal(20_000)),
}  # fmt: skip


def distance(found, exact) -> float:
    """Return the root of the mean square, which one unlucky element doesn't decide."""
    return float(np.sqrt(np.mean(np.square(np.asarray(found, np.float64) - exact))))


@pytest.mark.parametrize("name", ROUNDED)
def test_no_further_from_float64_than_pytorch(name):
    function, values = ROUNDED[name]
    runs = [
        run(module, function, values.astype(dtype))
        for module, dtype in (
            (torch, np.float64), (torch, np.float32), (facade, np.float32)
        )
    ]  # fmt: skip
    for exact, theirs, ours in zip(*runs, strict=True):
        # Which way a mean or a sum is rounded is chance, and decides the error of all that it is
        # taken from; half a unit is what storing the result costs.
        storing = np.finfo(np.float32).eps / 2 * float(np.sqrt(np.mean(np.square(exact))))
        assert distance(ours, exact) <= 2.5 * distance(theirs, exact) + storing


def run(module, function, values):
    """Return the result and the gradient of a weighted sum of it."""
    x = module.from_numpy(values).requires_grad_()
    result = function(module, x)
    weights = np.random.default_rng(1).standard_normal(tuple(result.shape)).astype(values.dtype)
    result.backward(module.from_numpy(weights))
    return result.detach().numpy(), x.grad.numpy()


# ---- the same values and gradients ----


def same(function, *arrays, tolerance=None):
    """Compare ``function(torch, *tensors)`` and its gradients."""
    outcomes = [
        grads(
            lambda *x, module=module: function(module, *x),
            *(module.from_numpy(a).requires_grad_() for a in arrays),
        )
        for module in (facade, torch)
    ]
    assert_same(outcomes[0], outcomes[1], tolerance)


@pytest.mark.parametrize("shape", [(1, 4), (3, 5, 8), (4096, 512), (4099, 512)])
def test_layer_norm(shape):
    def function(torch, x, w, b):
        return torch.nn.functional.layer_norm(x, shape[-1:], w, b) / x.numel()

    same(function, normal(*shape), normal(shape[-1]), normal(shape[-1]), tolerance=(1e-4, 2e-5))


def test_layer_norm_of_two_dimensions_and_without_parameters():
    same(lambda torch, x: torch.nn.functional.layer_norm(x, (3, 4)), normal(2, 3, 4))


RUNNING = [((7,), 0), ((1,), 0), ((2, 0), 1), ((700,), 0), ((40, 33), 0), ((40, 33), 1),
           ((3, 50, 4), 1), ((600, 300), -1), ((5000, 2), 0)]  # fmt: skip


@pytest.mark.parametrize(("shape", "dim"), RUNNING)
def test_running_sums_and_products(shape, dim):
    values = normal(*shape)
    same(lambda torch, x: torch.cumsum(x, dim), values, tolerance=(1e-4, 1e-3))
    near_one = 1 + values / 100
    same(lambda torch, x: torch.cumprod(x, dim) / 1000, near_one, tolerance=(1e-4, 1e-3))


def test_running_product_with_zeros():
    same(lambda torch, x: torch.cumprod(x, 0), np.array([2, 0, 3, 0, 4], np.float32))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "bfloat16", "float64"])
def test_running_sums_of_other_dtypes(dtype):
    outcomes = []
    for module in (facade, torch):
        x = module.arange(1000).reshape(4, 250).remainder(7).to(getattr(module, dtype))
        outcomes.append((x.cumsum(1), x.cumsum(0), x.cumprod(0)))
    assert_same(*outcomes)


def test_running_sum_goes_on_from_what_is_not_finite():
    values = normal(600)
    values[[100, 300]] = math.inf, -math.inf
    ours, theirs = (m.cumsum(m.from_numpy(values), 0) for m in (facade, torch))
    assert_same(ours, theirs, (1e-4, 1e-4))


SORTED = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "uint8", "int8",
          "bool"]  # fmt: skip


@pytest.mark.parametrize("dtype", SORTED)
@pytest.mark.parametrize("dim", [0, 1])
def test_sort_is_stable(dtype, dim):
    values = np.round(normal(40, 70) * 2)
    values[0, :4] = math.nan, math.inf, -math.inf, math.nan
    values[5:9, 3] = 0.0, -0.0, 0.0, -0.0
    if not dtype.startswith(("float", "bfloat")):
        values = np.abs(np.nan_to_num(values, nan=1, posinf=9, neginf=2))
    outcomes = []
    for module in (facade, torch):
        x = module.from_numpy(values).to(getattr(module, dtype))
        rows = [module.sort(x, dim=dim, descending=d, stable=True) for d in (False, True)]
        outcomes.append([part for row in rows for part in row])
    assert_same(*outcomes)


def test_gradient_of_sort():
    same(lambda torch, x: torch.sort(x, 1, descending=True).values, normal(30, 50))
    same(lambda torch, x: torch.sort(x, 0).values, normal(30, 50))


ENTROPIES = {
    "mean": (lambda F, x, y: F.cross_entropy(x, y), (6, 9), (6,)),
    "sum": (lambda F, x, y: F.cross_entropy(x, y, reduction="sum"), (6, 9), (6,)),
    "none": (lambda F, x, y: F.cross_entropy(x, y, reduction="none"), (6, 9), (6,)),
    "ignored": (lambda F, x, y: F.cross_entropy(x, y, ignore_index=1), (6, 9), (6,)),
    "spatial": (lambda F, x, y: F.cross_entropy(x, y), (2, 9, 3, 4), (2, 3, 4)),
    "three dimensions": (
        lambda F, x, y: F.cross_entropy(x, y, reduction="none"), (2, 9, 3), (2, 3)
    ),
    "one sample": (lambda F, x, y: F.cross_entropy(x, y), (9,), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", ENTROPIES)
def test_cross_entropy(name):
    function, shape, classes = ENTROPIES[name]
    y = np.random.default_rng(0).integers(0, shape[min(len(shape), 2) - 1], classes)
    same(
        lambda torch, x: function(torch.nn.functional, x, torch.from_numpy(np.asarray(y))),
        normal(*shape),
    )


def test_cross_entropy_with_weights_and_masked_scores():
    scores = normal(5, 4)
    scores[0, 2] = -math.inf
    scores[1, 3] = 1000
    same(
        lambda torch, x, w: torch.nn.functional.cross_entropy(
            x, torch.tensor([1, 3, 0, -100, 2]), w.detach()
        ),
        scores, np.array([1, 0.5, 2, 3], np.float32),
    )  # fmt: skip


def test_second_derivatives():
    def second(module, function, values):
        x = module.from_numpy(values).requires_grad_()
        (first,) = module.autograd.grad(function(module, x), x, create_graph=True)
        (found,) = module.autograd.grad(first.square().sum(), x)
        return found

    functions = [
        lambda t, x: t.nn.functional.cross_entropy(x, t.tensor([1, 3, 0])),
        lambda t, x: t.nn.functional.layer_norm(x, (6,)).pow(3).sum(),
        lambda t, x: t.cumsum(x, 1).pow(3).sum(),
        lambda t, x: t.log_softmax(x, 1).pow(3).sum(),
    ]
    for function in functions:
        ours, theirs = (second(m, function, normal(3, 6)) for m in (facade, torch))
        assert_same(ours.detach(), theirs.detach(), (1e-4, 1e-4))
