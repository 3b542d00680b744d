"""JAX functions and Flax modules inside facade, and facade modules inside Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from counting import compilations
from flax import linen, nnx

import facade as torch
from facade.interop import from_jax
from facade.interop.flax import from_flax, to_linen, to_nnx

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


class TestFromJax:
    def test_value_and_gradients(self):
        f = from_jax(lambda x, y: {"a": jnp.sin(x) * y, "b": (x.sum(),)})
        x = torch.tensor(X, requires_grad=True)
        y = torch.tensor(2.0, requires_grad=True)
        out = f(x, y)
        (out["a"].sum() + out["b"][0]).backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(X) + 1, rtol=1e-6)
        np.testing.assert_allclose(y.grad.item(), np.sin(X).sum(), rtol=1e-5)

    def test_second_order_and_vmap(self):
        f = from_jax(lambda x: (x**3).sum())
        found = torch.func.hessian(f)(torch.tensor(X[0]))
        np.testing.assert_allclose(found.numpy(), np.diag(6 * X[0]), rtol=1e-6)
        rows = torch.vmap(torch.func.grad(f))(torch.tensor(X))
        np.testing.assert_allclose(rows.numpy(), 3 * X**2, rtol=1e-6)

    def test_static_arguments_and_keywords(self):
        f = from_jax(lambda x, axis, scale=1: jnp.sum(x, axis) * scale)
        assert f(torch.tensor(X), 0).shape == (3,)
        assert f(torch.tensor(X), 1, scale=2).shape == (8,)

    def test_numbers_stay_narrow(self):
        f = from_jax(lambda x, i: (jnp.linspace(0, 1, 3) * x, jnp.arange(3) + i))
        a, b = f(torch.tensor(X), torch.tensor(2))
        assert (a.dtype, b.dtype) == (torch.float32, torch.int32)
        assert f(torch.tensor(X).double(), torch.tensor(2))[0].dtype is torch.float64

    @pytest.mark.programs
    def test_repeated_calls_compile_once(self):
        f = from_jax(lambda x: jnp.tanh(x).sum())
        for _ in range(2):
            f(torch.tensor(X)).item()
        with compilations() as count:
            f(torch.tensor(X)).item()
        assert count == [0]


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x, train=True):
        x = linen.Dense(4)(x)
        x = linen.BatchNorm(use_running_average=not train)(x)
        return linen.Dense(1)(jnp.tanh(x))


class NNXNet(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(4, 1, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(jnp.tanh(self.norm(self.first(x)))))


def trained(net, steps=3):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (net(torch.tensor(X)) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_linen_module_trained_by_facade():
    module = LinenNet()
    net = from_flax(module, X)
    losses = trained(net)

    variables = module.init(jax.random.key(0), X)
    params, stats = variables["params"], variables["batch_stats"]

    def loss_of(params, stats):
        out, new = module.apply(
            {"params": params, "batch_stats": stats}, X, mutable=["batch_stats"]
        )
        return (out**2).mean(), new["batch_stats"]

    expected = []
    for _ in range(3):
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        expected.append(float(loss))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    names = dict(net.named_parameters())
    assert set(names) >= {"Dense_0.kernel", "Dense_0.bias", "BatchNorm_0.scale"}
    found = dict(net.named_buffers())["batch_stats.BatchNorm_0.mean"]
    np.testing.assert_allclose(found.numpy(), stats["BatchNorm_0"]["mean"], rtol=1e-5, atol=1e-6)
    before = found.clone()
    net.eval()(torch.tensor(X), train=False)
    assert torch.equal(found, before)


def test_an_nnx_module_trained_by_facade():
    net = from_flax(NNXNet(nnx.Rngs(0)))
    assert {"first.kernel", "norm.scale", "last.bias"} <= set(dict(net.named_parameters()))
    mean = dict(net.named_buffers())["norm.mean"]
    losses = trained(net, 5)
    assert np.isfinite(losses).all()
    assert mean.abs().sum() > 0
    x = torch.tensor(X)
    assert not torch.equal(net(x), net(x)), "dropout draws anew"
    net.eval()
    assert torch.equal(net(x), net(x))


def facade_net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 1)
    )


def test_a_facade_module_in_linen():
    net = facade_net()
    module = to_linen(net)
    variables = module.init(jax.random.key(0), X)
    assert set(variables["params"]) == set(dict(net.named_parameters()))
    out, changed = module.apply(variables, X, mutable=["buffers"])
    np.testing.assert_allclose(out, net(torch.tensor(X)).detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        changed["buffers"]["1.running_mean"], net[1].running_mean.numpy(), rtol=1e-5, atol=1e-6
    )


def test_a_facade_module_in_nnx():
    net = facade_net()
    module = to_nnx(net)
    optimizer = nnx.Optimizer(module, optax.sgd(0.1), wrt=nnx.Param)

    @nnx.jit
    def step(module, optimizer):
        loss, grads = nnx.value_and_grad(lambda m: (m(X) ** 2).mean())(module)
        optimizer.update(module, grads)
        return loss

    found = [float(step(module, optimizer)) for _ in range(3)]
    np.testing.assert_allclose(found, trained(net), rtol=1e-4)
