"""One SGD-momentum training step of an MLP: facade, hand-written jax.jit with optax, PyTorch.

Run ``python -m benchmarks.train_step``. The loop is the ordinary one in each: the PyTorch program
and the facade program are the same function; the JAX program donates its state.
"""

from itertools import pairwise

import numpy as np

from benchmarks.harness import best_of, main

# sizes, batch
CASES = {
    "MLP 784-512-512-10, batch 64": ((784, 512, 512, 10), 64),
    "MLP 64-64-64-10, batch 32": ((64, 64, 64, 10), 32),
}


def data(sizes: tuple[int, ...], batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    return x, rng.integers(0, sizes[-1], batch)


def imperative(torch) -> dict[str, float]:
    """The PyTorch program, for PyTorch and for facade."""
    seconds = {}
    for name, (sizes, batch) in CASES.items():
        torch.manual_seed(0)
        layers = []
        for i, o in pairwise(sizes):
            layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        criterion = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
        x, y = map(torch.from_numpy, data(sizes, batch))

        def step(model=model, criterion=criterion, optimizer=optimizer, x=x, y=y):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()

        first = next(model.parameters())
        seconds[name] = best_of(step, lambda first=first: first.detach().sum().item())
    return seconds


def run_facade() -> dict[str, float]:
    import facade

    return imperative(facade)


def run_torch() -> dict[str, float]:
    import torch

    return imperative(torch)


def run_jax() -> dict[str, float]:
    """The same step as an expert writes it: one jitted function, its state donated."""
    import functools

    import jax
    import jax.numpy as jnp
    import optax

    seconds = {}
    for name, (sizes, batch) in CASES.items():
        rng = np.random.default_rng(0)
        params = [
            (rng.uniform(-1, 1, (i, o)).astype(np.float32) / i**0.5, np.zeros(o, np.float32))
            for i, o in pairwise(sizes)
        ]
        params = jax.tree.map(jnp.array, params)
        optimizer = optax.sgd(1e-2, momentum=0.9)
        state = optimizer.init(params)
        x, y = map(jnp.array, data(sizes, batch))

        def loss_of(params, x, y):
            for w, b in params[:-1]:
                x = jax.nn.relu(x @ w + b)
            w, b = params[-1]
            return optax.softmax_cross_entropy_with_integer_labels(x @ w + b, y).mean()

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def update(params, state, x, y, loss_of=loss_of, optimizer=optimizer):
            loss, grads = jax.value_and_grad(loss_of)(params, x, y)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state, loss

        held = [params, state]

        def step(held=held, update=update, x=x, y=y):
            held[0], held[1], _ = update(held[0], held[1], x, y)

        seconds[name] = best_of(step, lambda held=held: float(held[0][0][0].sum()))
    return seconds


if __name__ == "__main__":
    main("benchmarks.train_step", {"facade": run_facade, "jax": run_jax, "torch": run_torch})
