"""Transformed functions: facade.func, jax.jit as an expert writes it, torch.func.

Run ``python -m benchmarks.func``; ``ONLY="jacrev;per-sample"`` in the environment chooses the cases
that begin so. ``NPROC=1 OMP_NUM_THREADS=1`` takes processor time on one core, which other programs
disturb less. Every call ends with a number that Python reads, the sum of what was found. Each case
is measured as it is written, and with ``facade.jit`` around it, as JAX has its own.
"""

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import main

SECONDS = float(os.environ.get("SECONDS", "1.5"))
clock = time.process_time if os.environ.get("NPROC") == "1" else time.perf_counter


class Case(NamedTuple):
    """One transformed function.

    Attributes:
        kind: Its name among the functions below, in JAX and in PyTorch's words.
        sizes: The widths of a network's layers; none for the one with convolutions.
        batch: How many rows it is given; 0 for one without a dimension for it.
    """

    kind: str
    sizes: tuple[int, ...]
    batch: int


CASES = {
    "per-sample gradients, MLP 784-256-10, batch 64": Case("per_sample", (784, 256, 10), 64),
    "per-sample gradients, MLP 32-64-10, batch 64": Case("per_sample", (32, 64, 10), 64),
    "per-sample gradients, CNN, batch 64": Case("per_sample", (), 64),
    "Hessian-vector product, MLP 784-256-10, batch 64": Case("hvp", (784, 256, 10), 64),
    "Hessian-vector product, MLP 32-64-10, batch 64": Case("hvp", (32, 64, 10), 64),
    "jacrev, MLP 32-64-32": Case("jacobian", (32, 64, 32), 0),
    "jacrev, MLP 256-512-256": Case("jacobian", (256, 512, 256), 0),
    "hessian, MLP 32-64-1": Case("hessian", (32, 64, 1), 0),
}


IN_JIT = ", in facade.jit"


def twice(seconds: dict[str, float]) -> dict[str, float]:
    """Return the same figures for what has ``facade.jit`` around it in facade."""
    return seconds | {name + IN_JIT: figure for name, figure in seconds.items()}


def cases() -> dict[str, Case]:
    words = tuple(os.environ.get("ONLY", "").split(";"))
    return {name: case for name, case in CASES.items() if name.startswith(words)}


def data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels; images for the network with convolutions."""
    rng = np.random.default_rng(0)
    shape = case.sizes[:1] or (1, 16, 16)
    rows = (case.batch,) if case.batch else ()
    x = rng.standard_normal((*rows, *shape)).astype(np.float32)
    return x, rng.integers(0, 10, rows)


def timed(run: Callable[[], object]) -> float:
    """Return the median seconds of one call."""
    for _ in range(5):
        run()
    found: list[float] = []
    end = clock() + SECONDS
    while clock() < end or len(found) < 5:
        start = clock()
        run()
        found.append(clock() - start)
    return sorted(found)[len(found) // 2]


# ---- in PyTorch's words --------------------------------------------------------------------------


def imperative(torch, wraps: dict[str, Callable]) -> dict[str, float]:
    """The PyTorch program, for PyTorch and for facade, in everything that is put around it."""
    seconds = {}
    for name, case in cases().items():
        torch.manual_seed(0)
        net = network(torch, case.sizes)
        parameters = {name: p.detach() for name, p in net.named_parameters()}
        x, y = map(torch.from_numpy, map(np.asarray, data(case)))
        run = globals()[case.kind](torch, net, parameters, x, y)

        def step(run=run):
            found = list(run())
            first, *others = (t.sum() for t in found)
            return found, sum(others, first)

        for words, wrap in wraps.items():
            wrapped: Any = wrap(step)

            def read(wrapped=wrapped):
                _found, total = wrapped()  # alive at the read, so that it is computed, as in JAX
                return total.item()

            seconds[name + words] = timed(read)
    return seconds


def network(torch, sizes: tuple[int, ...]):
    nn = torch.nn
    if not sizes:
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(-3), nn.Linear(2048, 10),
        )  # fmt: skip
    layers = [layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def loss_of(torch, net):
    def loss(parameters, x, y):
        logits = torch.func.functional_call(net, parameters, (x,))
        return torch.nn.functional.cross_entropy(logits, y)

    return loss


def per_sample(torch, net, parameters, x, y):
    loss = loss_of(torch, net)
    gradients = torch.vmap(
        torch.func.grad(lambda p, x, y: loss(p, x[None], y[None])), in_dims=(None, 0, 0)
    )
    return lambda: gradients(parameters, x, y).values()


def hvp(torch, net, parameters, x, y):
    gradient = torch.func.grad(loss_of(torch, net))
    tangents = {name: torch.ones_like(p) for name, p in parameters.items()}

    def run():
        return torch.func.jvp(lambda p: gradient(p, x, y), (parameters,), (tangents,))[1].values()

    return run


def jacobian(torch, net, parameters, x, y):
    del parameters, y
    matrix = torch.func.jacrev(net)
    return lambda: [matrix(x).detach()]


def hessian(torch, net, parameters, x, y):
    del parameters, y
    matrix = torch.func.hessian(lambda x: net(x)[0])
    return lambda: [matrix(x).detach()]


def run_facade() -> dict[str, float]:
    import facade

    return imperative(facade, {"": lambda step: step, IN_JIT: facade.jit})


def run_torch() -> dict[str, float]:
    import torch

    return twice(imperative(torch, {"": lambda step: step}))


# ---- in JAX --------------------------------------------------------------------------------------


def run_jax() -> dict[str, float]:
    """The same as an expert writes it: one jitted function."""
    import jax

    kinds = {
        "per_sample": jax_per_sample, "hvp": jax_hvp, "jacobian": jax_jacobian,
        "hessian": jax_hessian,
    }  # fmt: skip
    seconds = {}
    for name, case in cases().items():
        weights = jax.tree.map(jax.numpy.asarray, jax_weights(case.sizes))
        x, y = map(jax.numpy.asarray, data(case))
        transformed = kinds[case.kind](jax_network if case.sizes else jax_convolutions)

        @jax.jit
        def run(weights, x, y, transformed=transformed):
            found = jax.tree.leaves(transformed(weights, x, y))
            return found, sum(t.sum() for t in found)

        seconds[name] = timed(lambda run=run, given=(weights, x, y): float(run(*given)[1]))
    return twice(seconds)


def jax_weights(sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    shapes = [(o, i) for i, o in pairwise(sizes)] or [(16, 1, 3, 3), (32, 16, 3, 3), (10, 2048)]
    return [
        (rng.uniform(-1, 1, s).astype(np.float32) / np.prod(s[1:]) ** 0.5, np.zeros(s[0], "f4"))
        for s in shapes
    ]


def jax_network(weights, x):
    import jax.numpy as jnp

    for w, b in weights[:-1]:
        x = jnp.tanh(x @ w.T + b)
    w, b = weights[-1]
    return x @ w.T + b


def jax_convolutions(weights, x):
    import jax
    from jax import lax

    (w1, b1), (w2, b2), (w, b) = weights
    x = jax.nn.relu(lax.conv(x, w1, (1, 1), "SAME") + b1[:, None, None])
    x = lax.reduce_window(x, -jax.numpy.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = jax.nn.relu(lax.conv(x, w2, (1, 1), "SAME") + b2[:, None, None])
    return x.reshape(len(x), -1) @ w.T + b


def jax_loss_of(net):
    import optax

    def loss(weights, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(net(weights, x), y).mean()

    return loss


def jax_per_sample(net):
    import jax

    loss = jax_loss_of(net)
    gradient = jax.grad(lambda w, x, y: loss(w, x[None], y[None]))
    return jax.vmap(gradient, in_axes=(None, 0, 0))


def jax_hvp(net):
    import jax

    gradient = jax.grad(jax_loss_of(net))

    def run(weights, x, y):
        tangents = jax.tree.map(jax.numpy.ones_like, weights)
        return jax.jvp(lambda w: gradient(w, x, y), (weights,), (tangents,))[1]

    return run


def jax_jacobian(net):
    import jax

    return lambda weights, x, y: jax.jacrev(lambda x: net(weights, x))(x)


def jax_hessian(net):
    import jax

    return lambda weights, x, y: jax.hessian(lambda x: net(weights, x)[0])(x)


if __name__ == "__main__":
    engines = {"facade": run_facade, "jax": run_jax, "torch": run_torch}
    main("benchmarks.func", engines, rounds=5)
