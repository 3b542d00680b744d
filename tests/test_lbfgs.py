"""L-BFGS beside PyTorch's: losses, evaluations, state and parameters, in double precision."""

import numpy as np
import pytest
import torch
from counting import compilations
from parity import assert_same, both

import facade

OPTIONS = [
    {},
    {"line_search_fn": "strong_wolfe"},
    {"lr": 0.1, "max_iter": 4, "history_size": 2, "line_search_fn": "strong_wolfe"},
    {"lr": 0.01, "history_size": 3, "max_eval": 7},
    {"lr": 5.0, "max_iter": 6, "line_search_fn": "strong_wolfe"},
    {"tolerance_grad": 10.0},
    {"tolerance_change": 0.5},
]


def trained(module, **options):
    """Return the losses before each step, and what is left behind."""
    module.manual_seed(0)
    w = module.nn.Linear(5, 3, dtype=module.float64)
    unused = module.nn.Parameter(module.ones(2, dtype=module.float64))
    x = module.linspace(-1, 1, 100, dtype=module.float64).reshape(20, 5).cos()
    y = module.arange(20) % 3
    optimizer = module.optim.LBFGS([*w.parameters(), unused], **options)

    def closure():
        optimizer.zero_grad()
        loss = module.nn.functional.cross_entropy(w(x), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(3)]
    state = optimizer.state_dict()["state"][0]
    return losses, state["func_evals"], state["n_iter"], sorted(state), w.weight, w.bias, unused


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_options(options):
    ours, theirs = trained(facade, **options), trained(torch, **options)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-9)
    assert ours[1:3] == theirs[1:3]
    assert set(ours[3]) == set(theirs[3]) - {"al"}  # PyTorch's buffer of a direction
    for a, b in zip(ours[4:], theirs[4:], strict=True):
        # directions divide by differences of gradients, which magnify the last digit
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9)


def test_complex_parameters():
    def run(module):
        p = module.nn.Parameter(module.tensor([1 + 2j, -1j]))
        optimizer = module.optim.LBFGS([p], max_iter=3)

        def closure():
            optimizer.zero_grad()
            loss = (p * p.conj()).real.sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        return p.detach()

    assert_same(run(facade), run(torch))


@pytest.mark.parametrize(
    "code",
    [
        "torch.optim.LBFGS([p], lr=-1.0)",
        "torch.optim.LBFGS([{'params': [p]}, {'params': [q]}])",
        "torch.optim.LBFGS([p], line_search_fn='armijo').step(lambda: loss(p))",
        "repr(torch.optim.LBFGS([p], lr=0.5))",
    ],
)
def test_words(code):
    def run(module):
        def loss(p):
            p.grad = None
            found = p.square().sum()
            found.backward()
            return found

        p, q = (module.ones(2, requires_grad=True) for _ in range(2))
        return eval(code, {"torch": module, "p": p, "q": q, "loss": loss})

    both(run)


def test_a_state_goes_on():
    def run(module, restarts: bool):
        p = module.nn.Parameter(module.tensor([-1.2, 1.0], dtype=module.float64))

        def closure():
            p.grad = None
            loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
            loss.backward()
            return loss

        optimizer = module.optim.LBFGS([p], 0.5, 5, line_search_fn="strong_wolfe")
        optimizer.step(closure)
        if restarts:
            kept = optimizer.state_dict()
            optimizer = module.optim.LBFGS([p], 0.5, 5, line_search_fn="strong_wolfe")
            optimizer.load_state_dict(kept)
        optimizer.step(closure)
        return p.detach()

    assert_same(run(facade, False), run(torch, False))
    assert_same(run(facade, True), run(torch, True))


def test_a_longer_history_compiles_nothing():
    """But once for each power of 2."""
    p = facade.nn.Parameter(facade.linspace(-1, 2, 40))
    optimizer = facade.optim.LBFGS([p], lr=0.1, max_iter=4, tolerance_change=0)

    def closure():
        optimizer.zero_grad()
        loss = (p**4 - p).sum()
        loss.backward()
        return loss

    counts = []
    for _ in range(8):
        with compilations() as found:
            optimizer.step(closure)
        counts += found
    kept = len(optimizer.state_dict()["state"][0]["old_dirs"])
    assert kept > 16
    assert sum(counts[2:]) <= 6
