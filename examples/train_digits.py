"""Train ResNet-18 on real handwritten digits: an ordinary PyTorch program, on facade.

The 1,797 digits that scikit-learn ships are 8x8 images; they are enlarged to 32x32 and classified
by the network that was made for photographs. Run ``python examples/train_digits.py``; it draws the
loss curve and prints the accuracy on digits it has not seen.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import facade as torch
import facade.nn.functional as F
from facade import nn
from facade.vision.models import resnet18

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def digits(device):
    """Return training and held-out ``(images (N, 3, 32, 32), labels (N,))``."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    images = images.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)  # (N, 1, 32, 32)
    images = (images - images.mean()) / images.std()
    images = images.expand(-1, 3, -1, -1)
    train, test = train_test_split(np.arange(len(labels)), test_size=360, random_state=0)
    labels = torch.tensor(labels)
    return [(images[i].to(device), labels[i].to(device)) for i in map(torch.tensor, (train, test))]


def train(model, images, labels, epochs: int, batch: int) -> list[float]:
    """Run SGD with momentum and a falling learning rate; return the loss of every step."""
    steps = len(images) // batch
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    losses = []
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images), device=images.device)
        progress = tqdm(range(steps), desc=f"epoch {epoch + 1}/{epochs}")
        for i in progress:
            chosen = order[i * batch : (i + 1) * batch]
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
            if i % 10 == 0:
                progress.set_postfix(loss=f"{loss.item():.3f}")
    return torch.stack(losses).tolist()


@torch.no_grad()
def accuracy(model, images, labels) -> float:
    """Return the share of images that are classified right."""
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "tpu"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--dropout", type=float, default=0.0, help="before the classifier")
    parser.add_argument("--output", type=Path, default=Path("examples/output/digits_loss.png"))
    args = parser.parse_args()

    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    if args.dropout:
        model.fc = nn.Sequential(nn.Dropout(args.dropout), model.fc)
    model.to(args.device)
    (images, labels), held_out = digits(args.device)
    losses = train(model, images, labels, args.epochs, args.batch)
    print(f"held-out accuracy: {accuracy(model, *held_out):.2%}")

    args.output.parent.mkdir(parents=True, exist_ok=True)
    plt.figure(figsize=(6, 3.5))
    plt.semilogy(losses)
    plt.xlabel("step")
    plt.ylabel("cross-entropy")
    plt.title("ResNet-18 on handwritten digits")
    plt.tight_layout()
    plt.savefig(args.output, dpi=120)
    print(f"loss curve: {args.output}")


if __name__ == "__main__":
    main()
