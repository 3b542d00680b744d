"""A Flax module inside a PyTorch network, trained by one ordinary loop.

Run it by ``python examples/flax_inside.py``.
"""

import jax.numpy as jnp
from flax import linen
from sklearn.datasets import load_digits

import facade as torch
from facade import nn
from facade.interop.flax import from_flax


class Mixer(linen.Module):
    """Mix the rows of a digit, then its columns: written in Flax."""

    @linen.compact
    def __call__(self, x):  # (N, 8, 8)
        x = x + linen.Dense(8)(linen.gelu(linen.Dense(32)(linen.LayerNorm()(x))))
        x = jnp.swapaxes(x, 1, 2)
        return x + linen.Dense(8)(linen.gelu(linen.Dense(32)(linen.LayerNorm()(x))))


if __name__ == "__main__":
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images.reshape(-1, 8, 8) / 16, dtype=torch.float32)
    labels = torch.tensor(labels)

    torch.manual_seed(0)
    net = nn.Sequential(from_flax(Mixer(), images[:1]), nn.Flatten(), nn.Linear(64, 10))
    print("parameters:", *[name for name, _ in net.named_parameters()][:4], "...")
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(200):
        rows = torch.randint(0, 1500, (64,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step:3d}  loss {loss.item():.3f}")
    with torch.no_grad():
        right = (net(images[1500:]).argmax(1) == labels[1500:]).float().mean()
    print(f"held-out accuracy: {100 * right.item():.1f}%")
