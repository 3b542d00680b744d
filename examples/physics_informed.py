"""Solve u'' + u = 0, u(0) = 0, u'(0) = 1 by a network that never sees the solution, sin(x).

The loss is the differential equation itself: derivatives of the network with respect to its input
come from ``torch.func.grad``, taken twice, and ``backward()`` differentiates through them. The
whole step is one XLA program. Run it by ``python examples/physics_informed.py --output pinn.png``.
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import facade as torch
from facade import nn
from facade.func import grad

STEPS, POINTS, END = 1500, 64, 3.0


def new_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )


def solve():
    """Return the trained solution, a function of one point."""
    net = new_network()

    def u(x):
        """The initial conditions hold by construction: u(0) = 0, u'(0) = 1."""
        return x + x**2 * net(x.reshape(1) / END)[0]

    def residual(x):
        return grad(grad(u))(x) + u(x)

    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    x = torch.linspace(0, END, POINTS)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = (torch.vmap(residual)(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 300 == 0:
            print(f"step {step:4d}  residual {loss.item():.2e}")
    return u


def draw(x, found, path):
    plt.plot(x, x.sin(), color="0.7", linewidth=5, label="sin(x)")
    plt.plot(x, found, "--", color="tab:blue", label="network")
    plt.xlabel("x")
    plt.ylabel("u")
    plt.legend()
    plt.tight_layout()
    plt.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default="pinn.png")
    path = parser.parse_args().output
    solution = solve()
    x = torch.linspace(0, END, 200)
    with torch.no_grad():
        found = torch.vmap(solution)(x)
    print(f"largest error: {(found - x.sin()).abs().max().item():.4f}")
    draw(x, found, path)
