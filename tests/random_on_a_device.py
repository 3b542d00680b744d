"""Random numbers on a device that is not the CPU; run by ``test_random.py`` on a made-up one."""

import math

import numpy as np
import pytest

import facade as torch
from facade import devices, program

# JAX's second CPU device plays a TPU.
devices._PLATFORMS["tpu"] = "cpu"
DEVICE = "tpu:1"
N = 40_000

# code -> mean and variance of its numbers
MOMENTS = {
    "torch.rand(N, device=d)": (0.5, 1 / 12),
    "torch.rand(N, device=d, dtype=torch.float64)": (0.5, 1 / 12),
    "torch.rand(N, device=d, dtype=torch.bfloat16).float()": (0.5, 1 / 12),
    "torch.randn(N, device=d)": (0, 1),
    "torch.randn(N, device=d, dtype=torch.float16)": (0, 1),
    "torch.randn(N, device=d, dtype=torch.complex64).real": (0, 0.5),
    "torch.rand(N, device=d, dtype=torch.complex64).imag": (0.5, 1 / 12),
    "torch.empty(N, device=d).normal_(3, 2)": (3, 4),
    "torch.empty(N, device=d).uniform_(-2, 4)": (1, 3),
    "torch.empty(N, device=d).exponential_(2)": (0.5, 0.25),
    "torch.empty(N, device=d).log_normal_(0.5, 0.25).log()": (0.5, 0.0625),
    "torch.empty(N, device=d).geometric_(0.25)": (4, 12),
    "torch.empty(N, device=d).bernoulli_(0.3)": (0.3, 0.21),
    "torch.empty(N, device=d, dtype=torch.int64).bernoulli_(0.3)": (0.3, 0.21),
    "torch.empty(N, device=d).cauchy_(1, 2).sub(1).abs().gt(2).float()": (0.5, 0.25),
    "torch.empty(N, device=d).bernoulli_(torch.full((N,), 0.3, device=d))": (0.3, 0.21),
    "torch.bernoulli(torch.full((N,), 0.3, device=d))": (0.3, 0.21),
    "torch.poisson(torch.full((N,), 4.0, device=d))": (4, 4),
    "torch.binomial(*[torch.full((N,), v, device=d) for v in (10.0, 0.3)])": (3, 2.1),
    "torch.randint(3, 7, (N,), device=d)": (4.5, 1.25),
    "torch.randint(-2, 2, (N,), device=d, dtype=torch.int8)": (-0.5, 1.25),
    "torch.empty(N, device=d).random_(5)": (2, 2),
    "torch.empty(N, device=d, dtype=torch.bool).random_()": (0.5, 0.25),
    "torch.empty(N, device=d, dtype=torch.uint8).random_()": (127.5, (256**2 - 1) / 12),
    "torch.empty(N, device=d, dtype=torch.int64).random_() / 2.0**63": (0.5, 1 / 12),
    "torch.empty(N, device=d, dtype=torch.int64).random_(-2**63, None) / 2.0**63": (0, 1 / 3),
    "torch.randperm(N, device=d) / N": (0.5, 1 / 12),
    "torch.multinomial(torch.tensor([1.0, 1, 2], device=d), N, True)": (1.25, 0.6875),
    "torch.normal(torch.full((N,), 3.0, device=d), torch.full((N,), 2.0, device=d))": (3, 4),
    "torch.normal(1.0, torch.full((N,), 2.0, device=d))": (1, 4),
    "torch.rand_like(torch.ones(200, 200, device=d).t())": (0.5, 1 / 12),
    "torch.dropout(torch.ones(N, device=d), 0.25, True)": (1, 1 / 3),
}


def moments():
    torch.manual_seed(1)
    drawn = {code: eval(code, {"torch": torch, "N": N, "d": DEVICE}) for code in MOMENTS}
    for code, (mean, variance) in MOMENTS.items():
        assert str(drawn[code].device) == DEVICE, code
        values = drawn[code].cpu().numpy().astype(np.float64).reshape(-1)
        scale = math.sqrt(variance)
        # about five standard errors of the mean; the variance's depends on the tails
        assert abs(values.mean() - mean) < 5 * scale / math.sqrt(N) + 1e-3, (code, values.mean())
        assert abs(values.var() / variance - 1) < 0.1, (code, values.var())


def reproduces():
    def draw():
        return torch.randn(5, device=DEVICE).tolist(), torch.rand(5, device=DEVICE).tolist()

    torch.manual_seed(3)
    first, other = draw(), draw()
    assert first != other
    torch.manual_seed(3)
    assert draw() == first
    torch.manual_seed(-(2**63))
    assert draw() != first

    generator = torch.Generator(DEVICE).manual_seed(3)
    assert torch.randn(5, device=DEVICE, generator=generator).tolist() == first[0]
    assert generator.get_offset() == 1
    assert generator.get_state().numel() == 16
    copy = generator.clone_state()
    again = [torch.rand(5, device=DEVICE, generator=g).tolist() for g in (generator, copy)]
    assert again[0] == again[1] == first[1]
    generator.set_offset(0)
    assert torch.randn(5, device=DEVICE, generator=generator).tolist() == first[0]

    torch.manual_seed(3)
    with torch.random.fork_rng(devices=[DEVICE], device_type="tpu"):
        draw()
    assert draw() == first
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator but found"):
        torch.rand(3, generator=generator)
    with pytest.raises(RuntimeError, match="RNG state is wrong size"):
        generator.set_state(torch.get_rng_state())


def permutes():
    assert sorted(torch.randperm(100, device=DEVICE).tolist()) == list(range(100))
    rows = torch.multinomial(torch.ones(50, 6, device=DEVICE), 6).cpu().numpy()
    assert (np.sort(rows, 1) == np.arange(6)).all()
    weights = torch.tensor([0.0, 1.0, 0.0], device=DEVICE)
    assert set(torch.multinomial(weights, 20, True).tolist()) == {1}
    assert torch.multinomial(weights, 1).tolist() == [1]


def lies_in_memory_as_its_model():
    like = torch.ones(2, 3, device=DEVICE).t()
    assert torch.rand_like(like).stride() == (1, 3)
    x = torch.zeros(4, 4, device=DEVICE)
    x[1:3].normal_()
    assert ((x != 0).sum(1).cpu().numpy() == [0, 4, 4, 0]).all()


def raises_as_on_the_cpu():
    for code, error in {
        "torch.randn(3, device=d, dtype=torch.int64)": NotImplementedError,
        "torch.randint(3, 3, (2,), device=d)": RuntimeError,
        "torch.empty(3, device=d).normal_(0, -1)": RuntimeError,
        "torch.multinomial(torch.ones(3, device=d), 5)": RuntimeError,
        "torch.normal(torch.ones(3, device=d), -torch.ones(3, device=d)).tolist()": RuntimeError,
    }.items():
        with pytest.raises(error):
            eval(code, {"torch": torch, "d": DEVICE})


def trains_without_compiling_again():
    x = torch.ones(16, 16, device=DEVICE)
    w = torch.ones(16, 16, device=DEVICE, requires_grad=True)
    counts, losses = [], []
    for step in range(6):
        torch.manual_seed(step) if step == 4 else None
        h = torch.dropout(x @ w, 0.5, True) + torch.randn_like(x)
        loss = (h * torch.bernoulli(torch.full_like(h, 0.5))).sum()
        loss.backward()
        losses.append(loss.item())
        w.grad = None
        counts.append(program.program_count())
    assert len(set(losses)) == 6, losses
    assert counts[1] == counts[-1], counts


for check in (
    moments, reproduces, permutes, lies_in_memory_as_its_model, raises_as_on_the_cpu,
    trains_without_compiling_again,
):  # fmt: skip
    check()
