"""Per-sample gradients, and what they are good for: spotting wrong labels.

``vmap(grad(loss))`` gives the gradient of every image's own loss, at the price of one batch. An
image whose label is wrong pulls harder than others. Run it by
``python examples/per_sample_gradients.py``.
"""

from sklearn.datasets import load_digits

import facade as torch
import facade.nn.functional as F
from facade import nn
from facade.func import functional_call, grad

CHECKED, WRONG, STEPS = 32, 4, 100


def digits():
    """Return images ``(N, 1, 8, 8)`` and labels."""
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy((images.reshape(-1, 1, 8, 8) / 16).astype("float32")), torch.tensor(
        labels
    )


def trained(images, labels):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(STEPS):
        rows = torch.randint(CHECKED, len(images), (64,))
        optimizer.zero_grad()
        F.cross_entropy(net(images[rows]), labels[rows]).backward()
        optimizer.step()
    return net.eval()


def gradient_norms(net, images, labels):
    """Return the norm of each image's gradient."""
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    buffers = dict(net.named_buffers())

    def loss(parameters, image, label):
        logits = functional_call(net, (parameters, buffers), image[None])
        return F.cross_entropy(logits, label[None])

    gradients = torch.vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    return sum((g**2).flatten(1).sum(1) for g in gradients.values()).sqrt()


if __name__ == "__main__":
    images, labels = digits()
    net = trained(images, labels)
    some, given = images[:CHECKED], labels[:CHECKED].clone()
    wrong = torch.arange(0, CHECKED, CHECKED // WRONG)
    given[wrong] = (given[wrong] + 1) % 10
    norms = gradient_norms(net, some, given)
    suspects = norms.argsort(descending=True)[:WRONG].sort().values
    print(f"labels made wrong:     {wrong.tolist()}")
    print(f"largest gradient norm: {suspects.tolist()}")
    print(f"found {len(set(wrong.tolist()) & set(suspects.tolist()))} of {WRONG}")
