"""Loops of Python: facade, facade without re-rolling, and PyTorch; first steps and later ones."""

import statistics
import time

import numpy as np

from benchmarks import harness

LENGTHS = (10, 30, 100, 300, 1000)
LONGEST = {"rnn": 100, "lstm": 30, "layers": 100}  # compiling more of it unrolled takes minutes
HIDDEN, BATCH = 64, 32


def weights(torch, *shapes):
    """Return parameters, the same for every engine."""
    rng = np.random.default_rng(0)
    return [
        torch.from_numpy((rng.standard_normal(s) * 0.1).astype(np.float32)).requires_grad_()
        for s in shapes
    ]


def rnn(torch, length: int):
    """Return parameters and loss of a hand-written tanh RNN."""
    params = weights(torch, (HIDDEN, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,))
    wx, wh, b = params
    x, y = torch.randn(length, BATCH, HIDDEN), torch.randn(BATCH, HIDDEN)

    def loss():
        h = torch.zeros(BATCH, HIDDEN)
        for t in range(length):
            h = torch.tanh(x[t] @ wx + h @ wh + b)
        return (h - y).pow(2).mean()

    return params, loss


def lstm(torch, length: int):
    """Return parameters and loss of a hand-written LSTM with a loss at every step."""
    params = weights(torch, (HIDDEN, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN,))
    wx, wh, b = params
    x, y = torch.randn(length, BATCH, HIDDEN), torch.randn(length, BATCH, HIDDEN)

    def loss():
        h, c = torch.zeros(BATCH, HIDDEN), torch.zeros(BATCH, HIDDEN)
        total = 0
        for t in range(length):
            i, f, g, o = (x[t] @ wx + h @ wh + b).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            total = total + (h - y[t]).pow(2).mean()
        return total

    return params, loss


def layers(torch, length: int):
    """Return parameters and loss of a residual network of equal layers with their own weights."""
    params = weights(torch, *[s for _ in range(length) for s in ((HIDDEN, HIDDEN), (HIDDEN,))])
    x = torch.randn(BATCH, HIDDEN)

    def loss():
        h = x
        for w, b in zip(params[::2], params[1::2], strict=True):
            h = h + torch.relu(h @ w + b)
        return h.pow(2).mean()

    return params, loss


CASES = {"rnn": rnn, "lstm": lstm, "layers": layers}


def update(torch, params, loss) -> None:
    """Do one training step by hand and wait for it."""
    loss.backward()
    with torch.no_grad():
        for p in params:
            p -= 0.01 * p.grad
            p.grad = None
    params[0].detach().numpy()


def fixed_lengths(torch, longest: dict[str, int]) -> dict[str, float]:
    """Return the seconds of the first two steps of every case, and of a later one."""
    found = {}
    for name, case in CASES.items():
        for length in LENGTHS:
            if length > longest.get(name, 1000) or (name == "layers" and length > 100):
                continue
            params, loss = case(torch, length)
            start = time.perf_counter()
            update(torch, params, loss())
            update(torch, params, loss())
            found[f"{name} {length}, first two steps"] = time.perf_counter() - start
            samples = []
            end = time.perf_counter() + 1
            while time.perf_counter() < end or len(samples) < 5:
                start = time.perf_counter()
                update(torch, params, loss())
                samples.append(time.perf_counter() - start)
            found[f"{name} {length}, a later step"] = statistics.median(samples)
    return found


def varying_lengths(torch) -> dict[str, float]:
    """Return the seconds of three passes over 100 sequences of random length under 60."""
    params = weights(torch, (32, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN,), (HIDDEN, 4))
    wx, wh, b, wo = params
    found = {}
    for number, name in enumerate(("first", "second", "third")):
        rng = np.random.default_rng(number)
        sequences = [
            (
                torch.from_numpy(rng.standard_normal((n, 8, 32)).astype(np.float32)),
                torch.from_numpy(rng.integers(0, 4, (8,))),
            )
            for n in rng.integers(1, 60, 100)
        ]
        start = time.perf_counter()
        for x, y in sequences:
            h = torch.zeros(8, HIDDEN)
            for t in range(x.shape[0]):
                h = torch.tanh(x[t] @ wx + h @ wh + b)
            update(torch, params, torch.nn.functional.cross_entropy(h @ wo, y))
        found[f"100 sequences of random length, {name} pass"] = time.perf_counter() - start
    return found


def rolled() -> dict[str, float]:
    import facade

    return varying_lengths(facade) | fixed_lengths(facade, {})


def unrolled() -> dict[str, float]:
    import facade
    from facade import outline, storage, tape

    outline.Outline.runs = lambda *_: []
    tape.MAX_INSTRUCTIONS = storage.MAX_LOOPING = 10**6
    facade.tape.state.tape.limit = 10**6
    return fixed_lengths(facade, LONGEST)


def pytorch() -> dict[str, float]:
    import torch

    torch.set_num_threads(1)  # these products are small: more threads only wait for each other
    return varying_lengths(torch) | fixed_lengths(torch, {})


if __name__ == "__main__":
    engines = {"facade": rolled, "unrolled": unrolled, "pytorch": pytorch}
    harness.main("benchmarks.rerolled_loops", engines, rounds=3)
