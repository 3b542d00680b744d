"""Two hundred random small expressions, each printed once: facade, jax.numpy, PyTorch.

Run ``python -m benchmarks.expressions``. This is a notebook's worth of work: nothing comes again,
so what counts is how little has to be compiled. Compiling is part of the time.
"""

import contextlib
import io
import random
import time

import numpy as np

from benchmarks.harness import main

COUNT = 200
SHAPES = {"a": (4, 4), "b": (4, 4), "v": (4,)}
UNARY = ("exp", "sin", "cos", "tanh", "abs", "sqrt", "floor", "square")
TEMPLATES = (
    "({} + {})", "({} * {})", "({} - {})", "({} / {})", "({} @ {})", "({} > {})",
    "m.{u}({})", "m.{u}({})", "{}[1]", "{}[:, 0]", "{}.T", "{}.sum()", "{}.mean(0)",
    "{}.reshape(-1)", "{} * {n}", "{} + {n}", "m.where({} > {n}, {}, {})",
)  # fmt: skip


def expressions() -> list[str]:
    """Return expressions in ``m`` (the library) and the arrays, as strings."""
    rng = random.Random(0)

    def grow(depth: int) -> str:
        if not depth:
            return rng.choice(list(SHAPES))
        template = rng.choice(TEMPLATES)
        inner = [grow(rng.randrange(depth)) for _ in range(template.count("{}"))]
        return template.format(*inner, u=rng.choice(UNARY), n=round(rng.uniform(0.5, 3), 1))

    return [grow(rng.randrange(1, 5)) for _ in range(COUNT * 4)]


def seconds(module, make) -> dict[str, float]:
    """Print the expressions that have a meaning; return the time."""
    rng = np.random.default_rng(0)
    arrays = {k: make(rng.uniform(0.5, 2, shape).astype(np.float32)) for k, shape in SHAPES.items()}
    names = {"m": module, **arrays}
    sources = [compile(text, "<expression>", "eval") for text in valid()]
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        for source in sources:
            print(eval(source, names))
    return {f"{COUNT} expressions, printed": time.perf_counter() - start}


def valid() -> list[str]:
    """Return the first expressions that numpy finds a meaning in."""
    names = {"m": np, **{k: np.ones(shape, np.float32) for k, shape in SHAPES.items()}}
    found = []
    for text in expressions():
        with contextlib.suppress(Exception):
            eval(text, names)
            found.append(text)
    return found[:COUNT]


def run_facade() -> dict[str, float]:
    import facade

    return seconds(facade, facade.from_numpy)


def run_jax() -> dict[str, float]:
    import jax.numpy as jnp

    return seconds(jnp, jnp.array)


def run_torch() -> dict[str, float]:
    import torch

    return seconds(torch, torch.from_numpy)


if __name__ == "__main__":
    main("benchmarks.expressions", {"facade": run_facade, "jax": run_jax, "torch": run_torch})
