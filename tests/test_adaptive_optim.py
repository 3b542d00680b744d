"""Adam and its kin, trained side by side with PyTorch's.

What all optimizers share is in test_optim.
"""

import copy
import pickle

import pytest
import torch
from parity import assert_same, both, outcome, to_numpy
from test_optim import compilations, loss_of, numpy_parameters, parameters, train

import facade

__all__ = ["compilations"]  # the fixture

OPTIONS = {
    "Adam": [
        {},
        {"amsgrad": True, "lr": 0.1},
        {"weight_decay": 0.1, "betas": (0.5, 0.6), "maximize": True, "eps": 0.01},
        {"weight_decay": 0.1, "amsgrad": True, "decoupled_weight_decay": True},
        {"fused": True, "lr": 0},
    ],
    "AdamW": [{}, {"weight_decay": 0.3, "amsgrad": True, "lr": 0.1}, {"weight_decay": 0}],
    "RMSprop": [
        {},
        {"momentum": 0.9},
        {"centered": True, "alpha": 0.5, "eps": 0.01},
        {"momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True, "eps": 0.1},
    ],
    "Adagrad": [
        {},
        {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "weight_decay": 0.1},
        {"maximize": True, "eps": 0.1},
    ],
    "Adadelta": [{}, {"weight_decay": 0.1, "rho": 0.5, "maximize": True, "eps": 0.01}],
    "Adamax": [{}, {"weight_decay": 0.1, "betas": (0.5, 0.6), "maximize": True, "eps": 0.01}],
    "RAdam": [
        {"lr": 0.1},
        {"weight_decay": 0.1, "betas": (0.5, 0.9), "maximize": True, "eps": 0.01},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    "NAdam": [
        {},
        {"weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True, "betas": (0.7, 0.8)},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    "Rprop": [{}, {"etas": (0.3, 1.4), "step_sizes": (0.001, 0.015), "maximize": True}],
    "ASGD": [{}, {"t0": 3, "lambd": 0.1, "weight_decay": 0.1, "alpha": 0.5, "maximize": True}],
}
CASES = [(name, options) for name, cases in OPTIONS.items() for options in cases]
EVERY = list(OPTIONS)


@pytest.mark.parametrize(("name", "options"), CASES, ids=repr)
def test_options(name, options):
    def code(torch):
        params = parameters(torch)
        optimizer = getattr(torch.optim, name)(params, **options)

        def change(step):
            optimizer.param_groups[0]["lr"] *= 0.9

        return train(torch, optimizer, params, 8, change), repr(optimizer)

    both(code)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*[(name, "float64") for name in EVERY], ("AdamW", "complex64"), ("NAdam", "complex64")],
)
def test_dtypes(name, dtype):
    def code(torch):
        params = parameters(torch, dtype)
        return train(torch, getattr(torch.optim, name)(params), params, 3)[1:]

    both(code)


def test_bfloat16():
    def code(torch):
        params = parameters(torch, "bfloat16")
        return train(torch, torch.optim.AdamW(params, lr=0.1, eps=1e-3), params, 2)[1:]

    both(code)


@pytest.mark.parametrize("name", ["Adam", "Adagrad", "ASGD"])
def test_groups_that_come_late(name):
    """Parameters of one group may have taken different numbers of steps."""

    def code(torch):
        params = parameters(torch)
        optimizer = getattr(torch.optim, name)(params[:1])
        first = train(torch, optimizer, params, 1)[1]
        optimizer.add_param_group({"params": params[1:], "lr": 0.05})
        for step in range(3):
            optimizer.zero_grad()
            loss_of(torch, params).backward()
            params[step].grad = None
            optimizer.step()
        return first, params, optimizer.state_dict()

    both(code)


@pytest.mark.parametrize("name", ["Adam", "Adagrad", "NAdam", "ASGD"])
def test_pytorchs_state_dict(name):
    """A checkpoint that PyTorch wrote goes on in facade as it does in PyTorch."""
    theirs = parameters(torch)
    optimizer = getattr(torch.optim, name)(theirs)
    train(torch, optimizer, theirs)
    saved = optimizer.state_dict()
    state = {
        k: {n: facade.tensor(to_numpy(t)) for n, t in s.items()} for k, s in saved["state"].items()
    }
    ours = [facade.tensor(p.detach().numpy(), requires_grad=True) for p in theirs]
    restored = getattr(facade.optim, name)(ours)
    restored.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    assert_same(train(facade, restored, ours), train(torch, optimizer, theirs))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.Adam(params)
        train(torch, optimizer, params)
        twin = copied(optimizer)
        own = twin.param_groups[0]["params"]
        return train(torch, twin, own)[1:], params, optimizer.state_dict()

    both(code)


def test_state_of_older_versions():
    """Steps used to be numbers, and options were fewer."""

    def code(torch):
        params = parameters(torch)
        optimizer = torch.optim.AdamW(params)
        train(torch, optimizer, params)
        state = copy.deepcopy(optimizer.state_dict())
        for each in state["state"].values():
            each["step"] = each["step"].item()
        for option in ("maximize", "foreach", "capturable", "fused", "decoupled_weight_decay"):
            del state["param_groups"][0][option]
        optimizer.load_state_dict(state)
        restored = sorted(optimizer.param_groups[0])
        return train(torch, optimizer, params)[:3], restored, optimizer.state_dict()["state"]

    both(code)


def test_step_of_a_double_model():
    def code(torch):
        torch.set_default_dtype(torch.float64)
        try:
            params = parameters(torch, "float64")
            return train(torch, torch.optim.Adam(params), params, 2)[3]
        finally:
            torch.set_default_dtype(torch.float32)

    both(code)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "ASGD"])
def test_learning_rate_as_tensor(name):
    def code(torch):
        params = parameters(torch)
        rate = torch.tensor(0.01)
        optimizer = getattr(torch.optim, name)(params, lr=rate)
        return train(torch, optimizer, params, each=lambda step: rate.mul_(0.5))

    both(code)


def test_betas_as_tensors():
    def code(torch):
        params = parameters(torch)
        betas = torch.tensor([0.9]), torch.tensor(0.99)
        optimizer = torch.optim.Adam(params, betas=betas)
        return train(torch, optimizer, params)

    both(code)


def leaf(torch):
    return torch.ones(2, requires_grad=True)


ERRORS = [
    *[
        lambda torch, name=name: getattr(torch.optim, name)([leaf(torch)], lr=-1.0)
        for name in OPTIONS
    ],
    *[
        lambda torch, name=name: getattr(torch.optim, name)([leaf(torch)], lr=torch.ones(2))
        for name in OPTIONS
    ],
    *[
        lambda torch, name=name: getattr(torch.optim, name)([leaf(torch)], eps=-1e-3)
        for name in ("Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "RAdam", "NAdam")
    ],
    *[
        lambda torch, name=name: getattr(torch.optim, name)([leaf(torch)], betas=(0.9, 1.0))
        for name in ("Adam", "AdamW", "Adamax", "RAdam", "NAdam")
    ],
    *[
        lambda torch, name=name: getattr(torch.optim, name)([leaf(torch)], weight_decay=-0.1)
        for name in OPTIONS
        if name != "Rprop"
    ],
    lambda torch: torch.optim.Adam([leaf(torch)], betas=(0.9, torch.tensor(0.9))),
    lambda torch: torch.optim.Adam([leaf(torch)], betas=(torch.tensor([0.9]), torch.ones(2) / 2)),
    lambda torch: torch.optim.Adam([leaf(torch)], lr=torch.tensor(0.1), foreach=True),
    lambda torch: torch.optim.Adam([leaf(torch)], fused=True, foreach=True),
    lambda torch: torch.optim.Adam([leaf(torch)], fused=True, differentiable=True),
    lambda torch: torch.optim.RMSprop([leaf(torch)], momentum=-1),
    lambda torch: torch.optim.RMSprop([leaf(torch)], alpha=-1),
    lambda torch: torch.optim.Adagrad([leaf(torch)], lr_decay=-1),
    lambda torch: torch.optim.Adagrad([leaf(torch)], initial_accumulator_value=-1),
    lambda torch: torch.optim.Adadelta([leaf(torch)], rho=2),
    lambda torch: torch.optim.NAdam([leaf(torch)], momentum_decay=-1),
    lambda torch: torch.optim.Rprop([leaf(torch)], etas=(0.5, 0.9)),
]


@pytest.mark.parametrize("code", ERRORS)
def test_errors(code):
    assert isinstance(outcome(code, torch), Exception)
    both(code)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "NAdam"])
def test_one_program_per_step(name, compilations):
    params = numpy_parameters()
    optimizer = getattr(facade.optim, name)(params, lr=0.1)
    counts = []

    def change(step):
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 2)
        counts.append(len(compilations))

    train(facade, optimizer, params, 5, change)
    assert counts == [1] * 5


def test_steps_are_counted_without_running_anything(compilations):
    params = parameters(facade)
    optimizer = facade.optim.Adam(params)
    train(facade, optimizer, params, 3)
    before = len(compilations)
    assert [optimizer.state[p]["step"].item() for p in params[:3]] == [3.0] * 3
    assert len(compilations) == before
