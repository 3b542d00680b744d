"""Training steps of a ResNet-18, a small GPT and an LSTM: facade, plain jax and lax, PyTorch eager.

Run ``python -m benchmarks.networks``; ``ONLY`` and ``NPROC`` as in :mod:`benchmarks.kernels`. As in
:mod:`benchmarks.train_step`, PyTorch and facade run the same program, and the JAX program is one
jitted function that donates its state.
"""

from typing import Any

from benchmarks.harness import main
from benchmarks.kernels import timed
from benchmarks.network_shapes import (
    GPT,
    HEADS,
    LAYERS,
    LENGTH,
    LSTM,
    LSTM_LAYERS,
    RESNETS,
    STAGES,
    VOCABULARY,
    WIDTH,
    chosen,
    images,
    sequences,
    tokens,
)  # fmt: skip
from benchmarks.networks_jax import jax_gpt, jax_lstm, jax_measured, jax_resnet

# ---- PyTorch and facade ----


def resnet(torch) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.shortcut = nn.Identity()
            if stride != 1 or inputs != width:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
                )

        def forward(self, x):
            y = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    inputs = 64
    for width, stride in STAGES:
        layers += [Block(inputs, width, stride), Block(width, width, 1)]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def gpt(torch) -> Any:
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.projection = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = self.qkv(self.ln_1(x)).split(c, dim=2)
            q, k, v = (y.view(b, t, HEADS, c // HEADS).transpose(1, 2) for y in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.projection(y.transpose(1, 2).reshape(b, t, c))
            return x + self.down(F.gelu(self.up(self.ln_2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(VOCABULARY, WIDTH)
            self.position = nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.ln, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

        def forward(self, i):
            x = self.token(i) + self.position(torch.arange(i.shape[1]))
            return self.head(self.ln(self.blocks(x)))

    return Model()


def lstm(torch) -> Any:
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(WIDTH, WIDTH, LSTM_LAYERS, batch_first=True)
            self.head = nn.Linear(WIDTH, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    return Model()


def imperative(torch, measure=timed) -> dict[str, float]:
    """The PyTorch program, for PyTorch and for facade; ``measure(step)`` returns a figure."""
    F, seconds = torch.nn.functional, {}
    for name, shape in RESNETS.items():
        if chosen(name):
            model = resnet(torch)
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
            x, y = map(torch.from_numpy, images(shape))
            seconds[name] = measured(measure, model, optimizer, x, y, F.cross_entropy)
    if chosen(GPT):
        model = gpt(torch)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        x, y = map(torch.from_numpy, tokens())
        y = y.reshape(-1)
        seconds[GPT] = measured(
            measure, model, optimizer, x, y,
            lambda z, y: F.cross_entropy(z.reshape(-1, VOCABULARY), y),
        )  # fmt: skip
    if chosen(LSTM):
        model = lstm(torch)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
        x, y = map(torch.from_numpy, sequences())
        seconds[LSTM] = measured(measure, model, optimizer, x, y, F.cross_entropy)
    return seconds


def measured(measure, model, optimizer, x, y, criterion) -> float:
    def step():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        first.detach().sum().item()  # waits for the step

    first = next(model.parameters())
    return measure(step)


def run_facade(measure=timed) -> dict[str, float]:
    import facade

    return imperative(facade, measure)


def run_torch(measure=timed) -> dict[str, float]:
    import torch

    return imperative(torch, measure)


# ---- JAX ----


def run_jax(measure=timed) -> dict[str, float]:
    import optax

    seconds = {}
    for name, shape in RESNETS.items():
        if chosen(name):
            sgd = optax.sgd(1e-2, momentum=0.9)
            seconds[name] = jax_measured(measure, *jax_resnet(), sgd, *images(shape))
    if chosen(GPT):
        adamw = optax.adamw(1e-3, weight_decay=1e-2)
        seconds[GPT] = jax_measured(measure, *jax_gpt(), adamw, *tokens())
    if chosen(LSTM):
        sgd = optax.sgd(1e-2, momentum=0.9)
        seconds[LSTM] = jax_measured(measure, *jax_lstm(), sgd, *sequences())
    return seconds


ENGINES = {"facade": run_facade, "jax": run_jax, "torch": run_torch}

if __name__ == "__main__":
    main("benchmarks.networks", ENGINES)
