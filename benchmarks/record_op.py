"""What recording one op costs, against PyTorch's eager dispatch of it on a tiny tensor.

Run ``python -m benchmarks.record_op``. The recorded instructions are dropped between batches, so
nothing but the recording is timed.
"""

import time

from benchmarks.harness import main

BATCH, BATCHES = 500, 100


def measure(torch, drop) -> dict[str, float]:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    w = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    cases = {
        "x + x": lambda: x + x,
        "x * 2.5": lambda: x * 2.5,
        "x.exp()": lambda: x.exp(),
        "w * x, recorded for backward": lambda: w * x,
        "w @ x, recorded for backward": lambda: w @ x,
        "w.sum(1), recorded for backward": lambda: w.sum(1),
        "w.reshape(4), recorded for backward": lambda: w.reshape(4),
        "torch.relu(w), recorded for backward": lambda: torch.relu(w),
    }
    return {name: best(run, drop) for name, run in cases.items()}


def best(run, drop) -> float:
    found = float("inf")
    for _ in range(BATCHES):
        start = time.perf_counter()
        for _ in range(BATCH):
            run()
        found = min(found, (time.perf_counter() - start) / BATCH)
        drop()
    return found


def run_facade() -> dict[str, float]:
    import facade
    from facade.tape import state

    def drop():
        for cell in state.tape.leaf_cells:
            cell.tape = None
        state.tape.closed = state.tape.attention = True

    return measure(facade, drop)


def run_torch() -> dict[str, float]:
    import torch

    return measure(torch, lambda: None)


if __name__ == "__main__":
    main("benchmarks.record_op", {"facade": run_facade, "torch": run_torch})
