"""to_jax of functions that look up places: derivatives that JAX takes without 64-bit types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import facade
from facade.nn import functional as F

X = np.arange(24.0, dtype=np.float32).reshape(4, 6) + 0.5
at = facade.tensor


def unpooled(x):
    y, places = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y, places, 2)


# tensor -> tensor
FUNCTIONS = {
    "index": lambda x: x[at([0, 2, 2])],
    "two indices": lambda x: x[at([0, 1]), at([2, 3])],
    "position": lambda x: x[1],
    "last": lambda x: x[-1],
    "slice": lambda x: x[1:3],
    "steps": lambda x: x[:, 1:6:2],
    "gather": lambda x: x.gather(1, at([[0, 1]] * 4)),
    "index_select": lambda x: x.index_select(0, at([1, 1])),
    "take": lambda x: x.take(at([0, 5])),
    "scatter_add": lambda x: x.scatter_add(1, at([[0, 0]] * 4), x),
    "index_add": lambda x: x.index_add(0, at([0]), x[:1]),
    "index_put": lambda x: x.index_put((at([0]),), x[1]),
    "embedding": lambda x: F.embedding(at([0, 1, 3]), x),
    "cross_entropy": lambda x: F.cross_entropy(x, at([0, 1, 2, 3]), ignore_index=2),
    "ctc_loss": lambda x: F.ctc_loss(
        x[:, None].log_softmax(2), at([[1, 2]]), at([4]), at([2])
    ),
    "max_pool2d": lambda x: F.max_pool2d(x[None], 2, return_indices=True)[0],
    "max_unpool2d": lambda x: unpooled(x[None]),
    "max": lambda x: x.max(1).values,
    "sort": lambda x: x.sort(1).values,
    "topk": lambda x: x.topk(2).values,
    "mode": lambda x: x.mode(1).values,
    "unfold": lambda x: x.unfold(1, 2, 1),
    "grid_sample": lambda x: F.grid_sample(
        x[None, None], facade.zeros(1, 2, 2, 2), align_corners=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name):
    """jax.grad, its compilation and its batches agree with backward()."""
    function = FUNCTIONS[name]
    t = facade.tensor(X, requires_grad=True)
    (function(t) ** 2).sum().backward()
    expected = t.grad
    assert expected is not None
    pure = facade.to_jax(function)
    gradient = jax.grad(lambda x: jnp.sum(pure(x) ** 2))
    many = jnp.stack([X, X])
    for found in (gradient(X), jax.jit(gradient)(X), jax.vmap(gradient)(many)[1]):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_traces_one_after_the_other():
    """Numbers that a program keeps on the device are nobody's tracers."""
    double = facade.to_jax(lambda x: x * 2 + 1)
    for _ in range(3):
        assert jax.jit(lambda x: double(x))(X).shape == X.shape
    np.testing.assert_allclose(double(X), X * 2 + 1)
