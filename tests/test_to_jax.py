"""facade.to_jax: the same values, and gradients that stop where PyTorch's do."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.utils.checkpoint

import facade

X = np.array([0.3, -1.2, 2.7], np.float32)


def no_grad(t, x):
    with t.no_grad():
        y = x * x
    return (y * x).sum()


def written_without_grad(t, x):
    y = x * 2
    with t.no_grad():
        z = y * x
        z.mul_(5.0)
    return (y * z).sum()


def straight_through(t, x):
    return ((x + (x.round() - x).detach()) ** 2).sum()


def new_leaf(t, x):
    y = (x * 2).detach().requires_grad_()
    return (y * x).sum()


def detached_in_place(t, x):
    return ((x * 3).detach_() * x).sum()


FUNCTIONS = {
    "detach": lambda t, x: (x * x.detach()).sum(),
    "no_grad": no_grad,
    "written": written_without_grad,
    "data": lambda t, x: (x.data * x + (x + 1).data * x).sum(),
    "straight through": straight_through,
    "new leaf": new_leaf,
    "detached in place": detached_in_place,
    "where": lambda t, x: t.where(x > 0, x, x.detach() * 2).sum(),
    "argument alone": lambda t, x: (x.detach().sin() + x).sum(),
    "loop": lambda t, x: sum((x * k).detach() * x for k in range(30)).sum(),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_gradients(case):
    function = FUNCTIONS[case]
    leaf = torch.tensor(X, requires_grad=True)
    expected = function(torch, leaf)
    expected.backward()
    pure = facade.to_jax(lambda x: function(facade, x))
    value, gradient = jax.value_and_grad(pure)(jnp.array(X))
    np.testing.assert_allclose(value, expected.item(), rtol=1e-6)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-6)
    rows = jnp.stack([jnp.array(X), 2 * jnp.array(X)])
    batched = jax.jit(jax.vmap(jax.grad(pure)))(rows)
    np.testing.assert_allclose(batched[0], leaf.grad.numpy(), rtol=1e-6)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g * 2


class FacadeDoubled(facade.autograd.Function):
    forward, backward = Doubled.forward, Doubled.backward


PIECES = {
    "function": lambda t, x: ((FacadeDoubled, Doubled)[t is torch].apply(x * 3) * x).sum(),
    "checkpoint": lambda t, x: (
        t.utils.checkpoint.checkpoint(lambda y: y.sin() * y, x, use_reentrant=False) ** 2
    ).sum(),
    "embedding": lambda t, x: (
        t.nn.functional.embedding(t.tensor([0, 2, 0]), x[:, None]) ** 2
    ).sum(),
    "index": lambda t, x: (x[t.tensor([0, 2, 0])] ** 2).sum(),
    "sort": lambda t, x: (x.sort().values * t.arange(3)).sum(),
}


@pytest.mark.parametrize("case", PIECES)
def test_gradients_of_pieces(case):
    function = PIECES[case]
    leaf = torch.tensor(X, requires_grad=True)
    function(torch, leaf).backward()
    gradient = jax.grad(facade.to_jax(lambda x: function(facade, x)))(jnp.array(X))
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-6)


def test_a_result_without_history_has_no_gradient():
    pure = facade.to_jax(lambda x: (x * 2, (x * 2).detach()))
    gradient = jax.grad(lambda x: sum(y.sum() for y in pure(x)))(jnp.array(X))
    np.testing.assert_allclose(gradient, [2, 2, 2])


def test_frozen_parameters_get_no_gradient():
    net = facade.nn.Sequential(facade.nn.Linear(3, 4), facade.nn.Tanh(), facade.nn.Linear(4, 1))
    net[0].requires_grad_(False)
    apply, state = facade.to_jax(net)
    grads = jax.grad(lambda s: apply(s, X[None])[0].sum())(state)["parameters"]
    net(facade.tensor(X[None])).sum().backward()
    assert not np.any(grads["0.weight"])
    np.testing.assert_allclose(grads["2.weight"], net[2].weight.grad.numpy(), rtol=1e-5)


def training(seed=0):
    facade.manual_seed(seed)
    net = facade.nn.Sequential(
        facade.nn.Linear(3, 8), facade.nn.BatchNorm1d(8), facade.nn.Tanh(), facade.nn.Linear(8, 1)
    )
    optimizer = facade.optim.AdamW(net.parameters(), lr=0.05)

    def step(x, y):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    generator = np.random.default_rng(0)
    x, y = (generator.normal(size=(8, n)).astype(np.float32) for n in (3, 1))
    return net, step, x, y


def test_a_training_step():
    _, step, x, y = training()
    tensors = facade.tensor(x), facade.tensor(y)
    step(*tensors)
    apply, state = facade.to_jax(step, *tensors)
    jitted = jax.jit(apply)
    losses = []
    for _ in range(4):
        loss, state = jitted(state, x, y)
        losses.append(float(loss))
    expected = [step(*tensors).item() for _ in range(4)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert int(state["counts"][0]) == 5
    many = jax.vmap(apply, in_axes=(None, 0, 0))(state, np.stack([x, 2 * x]), np.stack([y, y]))
    assert many[0].shape == (2,)


def test_a_training_step_with_random_numbers():
    dropout = facade.nn.Dropout(0.5)
    apply, state = facade.to_jax(lambda x: dropout(x) + facade.rand(1000), facade.ones(1000))
    one, after = jax.jit(apply)(state, np.ones(1000, np.float32))
    two, _ = jax.jit(apply)(after, np.ones(1000, np.float32))
    assert 400 < (np.asarray(one) < 1).sum() < 600
    assert not np.array_equal(one, two)
    other = state | {"random": [state["random"][0] + 1, state["random"][1]]}
    assert not np.array_equal(one, apply(other, np.ones(1000, np.float32))[0])


def test_with_optax():
    net, _, x, y = training()
    apply, state = facade.to_jax(net)
    rule = optax.sgd(0.1)

    @jax.jit
    def step(state, moments):
        def loss_of(parameters):
            out, new = apply(state | {"parameters": parameters}, x)
            return ((out - y) ** 2).mean(), new["buffers"]

        (loss, buffers), grads = jax.value_and_grad(loss_of, has_aux=True)(state["parameters"])
        updates, moments = rule.update(grads, moments)
        parameters = optax.apply_updates(state["parameters"], updates)
        return loss, {"parameters": parameters, "buffers": buffers}, moments

    moments, losses = rule.init(state["parameters"]), []
    for _ in range(3):
        loss, state, moments = step(state, moments)
        losses.append(float(loss))
    optimizer = facade.optim.SGD(net.parameters(), lr=0.1)
    expected = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = ((net(facade.tensor(x)) - facade.tensor(y)) ** 2).mean()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


SHARDED = """
import jax, numpy as np, facade
from jax.sharding import Mesh, PartitionSpec as P
mesh = Mesh(np.array(jax.devices()), ("rows",))
facade.manual_seed(0)
apply, state = facade.to_jax(facade.nn.Linear(3, 2))
x = np.arange(12, dtype=np.float32).reshape(4, 3)
def loss(state, x):
    return jax.lax.pmean((apply(state, x)[0] ** 2).mean(), "rows")
sharded = jax.shard_map(loss, mesh=mesh, in_specs=(P(), P("rows")), out_specs=P())
found = jax.jit(jax.value_and_grad(sharded))(state, x)
plain = jax.value_and_grad(lambda s, x: (apply(s, x)[0] ** 2).mean())(state, x)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, plain)
assert len(jax.devices()) == 2
"""


def test_shard_map():
    flags = "--xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


class Masked(facade.nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout = facade.nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x), facade.bernoulli(x * 0 + 0.5)


class TestRandomNumbers:
    def test_the_seed_is_part_of_the_state(self):
        apply, state = facade.to_jax(Masked())
        step, x = jax.jit(apply), jnp.ones((8, 32))
        (first, drawn), following = step(state, x)
        (again, _), _ = step(state, x)
        (second, _), last = step(following, x)
        other = {**state, "random": {"seed": np.int32(5), "count": np.int32(0)}}
        (third, _), _ = step(other, x)
        np.testing.assert_array_equal(first, again)
        assert (first != second).any() and (first != third).any()
        assert ((first == 0) != (drawn == 0)).any()
        assert set(np.unique(first)) == {0, 2}
        assert [int(s["random"]["count"]) for s in (state, following, last)] == [0, 2, 4]

    def test_seeds_are_batched(self):
        apply, state = facade.to_jax(Masked())

        def masks(seed):
            return apply({**state, "random": {"seed": seed, "count": 0}}, jnp.ones(64))[0][0]

        rows = jax.jit(jax.vmap(masks))(jnp.arange(3))
        assert len(np.unique(rows, axis=0)) == 3

    def test_gradients_see_the_mask(self):
        apply, state = facade.to_jax(Masked())
        x = jnp.ones(64)
        gradient = jax.grad(lambda x: apply(state, x)[0][0].sum())(x)
        np.testing.assert_array_equal(gradient, apply(state, x)[0][0])

    def test_modules_that_draw_none_have_no_seed(self):
        assert "random" not in facade.to_jax(Masked().eval())[1]
        assert "random" not in facade.to_jax(facade.nn.Linear(2, 2))[1]
        assert "random" in facade.to_jax(facade.nn.LSTM(2, 2, 2, dropout=0.5))[1]
        assert "random" in facade.to_jax(facade.nn.Linear(2, 2), random=True)[1]

    def test_draws_that_nobody_expects(self):
        apply, state = facade.to_jax(Masked(), random=False)
        with pytest.raises(RuntimeError, match="random=True"):
            jax.jit(apply)(state, jnp.ones(4))

    def test_numbers_outside_are_untouched(self):
        apply, state = facade.to_jax(Masked())
        facade.manual_seed(0)
        expected = facade.rand(2).tolist()
        facade.manual_seed(0)
        apply(state, jnp.ones(4))
        assert facade.rand(2).tolist() == expected


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_functions(reentrant):
    def f(x):
        return facade.utils.checkpoint.checkpoint(lambda x: x.sin() * x, x, use_reentrant=reentrant)

    found = jax.grad(lambda x: facade.to_jax(f)(x).sum())(X)
    np.testing.assert_allclose(found, np.cos(X) * X + np.sin(X), rtol=1e-5)
