"""Layers that learn their input's size: parameters before and after the first call."""

import copy

import numpy as np
import pytest
import torch
from parity import both

import facade

LAYERS = [
    ("LazyLinear(4)", (3, 5)),
    ("LazyLinear(4, False)", (3, 5)),
    ("LazyConv1d(4, 3, 1, 1, 1, 1, False)", (2, 3, 8)),
    ("LazyConv2d(4, 3, padding=1, groups=3)", (2, 3, 6, 6)),
    ("LazyConv3d(4, 2)", (3, 4, 4, 4)),
    ("LazyConvTranspose1d(4, 3)", (2, 3, 5)),
    ("LazyConvTranspose2d(4, 3, 2, output_padding=1)", (2, 3, 5, 5)),
    ("LazyConvTranspose3d(4, 2)", (1, 3, 2, 2, 2)),
    ("LazyBatchNorm1d()", (4, 3)),
    ("LazyBatchNorm2d(affine=False)", (4, 3, 2, 2)),
    ("LazyBatchNorm3d(bias=False)", (4, 3, 2, 2, 2)),
    ("LazyInstanceNorm1d(track_running_stats=False)", (4, 3, 5)),
    ("LazyInstanceNorm2d()", (4, 3, 5, 5)),
    ("LazyInstanceNorm3d(affine=False)", (2, 3, 2, 2, 2)),
    ("Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2)).double()", (2, 5)),
]


def made(module, code, shape):
    """Return the layer, an input, and the layer as text before it."""
    module.manual_seed(0)
    layer = eval(f"nn.{code}", {"nn": module.nn})
    x = module.as_tensor(np.random.default_rng(0).standard_normal(shape))
    return layer, x.to(next(iter(layer.parameters()), x.float()).dtype)


@pytest.mark.parametrize(("code", "shape"), LAYERS)
def test_first_call_makes_an_ordinary_layer(code, shape):
    def run(module):
        layer, x = made(module, code, shape)
        before = repr(layer), repr(layer.state_dict())
        y = layer(x)
        after = repr(layer), type(layer).__name__, dict(layer.named_parameters())
        return before, y, after, layer.state_dict(), layer(x)

    both(run)


@pytest.mark.parametrize(("code", "shape"), LAYERS[:2] + LAYERS[3:4] + LAYERS[8:9])
def test_state_is_loaded_before_the_first_call(code, shape):
    def run(module):
        layer, x = made(module, code, shape)
        layer(x)
        fresh, _ = made(module, code, shape)
        return str(fresh.load_state_dict(layer.state_dict())), fresh.state_dict()

    both(run)


def test_a_copy_learns_for_itself():
    layer = facade.nn.LazyLinear(2)
    other = copy.deepcopy(layer)
    other(facade.ones(1, 3))
    assert layer.has_uninitialized_params()
    assert tuple(other.weight.shape) == (2, 3)


@pytest.mark.parametrize(
    "code",
    [
        "nn.LazyLinear(2).weight.shape",
        "nn.LazyLinear(2).weight.share_memory_()",
        "nn.LazyConv2d(2, 3)(torch.ones(3, 3))",
        "nn.LazyConv2d(2, 3, groups=2)(torch.ones(3, 3, 3))",
    ],
)
def test_errors(code):
    both(lambda module: eval(code, {"nn": module.nn, "torch": module}))


def test_cross_map_response_norm():
    def run(module):
        x = module.as_tensor(np.random.default_rng(0).standard_normal((2, 7, 3, 2)))
        layers = [module.nn.CrossMapLRN2d(size, 0.3, 0.7, 2) for size in (1, 3, 4)]
        return [(repr(layer), layer(x)) for layer in layers]

    both(run)
    both(lambda module: module.nn.CrossMapLRN2d(3)(module.ones(2, 3)))


def test_linear_cross_entropy_layer():
    def run(module):
        module.manual_seed(0)
        layer = module.nn.LinearCrossEntropyLoss(4, 3, out_features=(2,), bias=True)
        x = module.as_tensor(np.random.default_rng(0).standard_normal((5, 4))).float()
        return layer(x, module.ones(5, 2, dtype=module.int64)), dict(layer.named_parameters())

    both(run)
    assert repr(torch.nn.LinearCrossEntropyLoss(4, 3)) == repr(
        facade.nn.LinearCrossEntropyLoss(4, 3)
    )
