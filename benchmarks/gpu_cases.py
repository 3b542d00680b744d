"""The training steps of :mod:`benchmarks.gpu`: their sizes, and the programs in PyTorch's words."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ResNet:
    """A ResNet-50, or a toy with the same layers.

    Attributes:
        blocks: How many bottlenecks each stage has.
        width: Of the stem; stage ``s`` is ``4 * width * 2**s`` wide.
    """

    batch: int = 128
    size: int = 224
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000


@dataclass(frozen=True)
class GPT:
    """A GPT-2 of 124 million parameters, its embedding tied to its head, or a toy."""

    batch: int = 16
    length: int = 512
    layers: int = 12
    width: int = 768
    heads: int = 12
    vocabulary: int = 50257


@dataclass(frozen=True)
class Case:
    """A network, and whether its products are bfloat16 (under autocast) or TF32."""

    name: str
    network: ResNet | GPT
    bfloat16: bool


CASES = {
    "resnet-tf32": Case("ResNet-50, batch 128, float32 (TF32)", ResNet(), False),
    "resnet-bf16": Case("ResNet-50, batch 128, bfloat16", ResNet(), True),
    "gpt2-bf16": Case("GPT-2 124M, 16x512 tokens, bfloat16", GPT(), True),
}
_TOY_RESNET = ResNet(batch=2, size=16, blocks=(1,), width=8, classes=10)
_TOY_GPT = GPT(batch=2, length=16, layers=1, width=32, heads=2, vocabulary=101)
TOYS = {
    "resnet-tf32": Case("toy ResNet, float32 (TF32)", _TOY_RESNET, False),
    "resnet-bf16": Case("toy ResNet, bfloat16", _TOY_RESNET, True),
    "gpt2-bf16": Case("toy GPT, bfloat16", _TOY_GPT, True),
}


def resnet(torch, sizes: ResNet) -> Any:
    """Return the network as an ordinary PyTorch module."""
    nn = torch.nn

    def conv(i: int, o: int, kernel: int, stride: int = 1):
        layer = nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(o))

    class Bottleneck(nn.Module):
        def __init__(self, inputs: int, width: int, stride: int):
            super().__init__()
            self.conv1 = conv(inputs, width, 1)
            self.conv2 = conv(width, width, 3, stride)
            self.conv3 = conv(width, 4 * width, 1)
            same = stride == 1 and inputs == 4 * width
            self.shortcut = nn.Identity() if same else conv(inputs, 4 * width, 1, stride)
            self.relu = nn.ReLU()

        def forward(self, x):
            y = self.relu(self.conv1(x))
            y = self.relu(self.conv2(y))
            return self.relu(self.conv3(y) + self.shortcut(x))

    layers = [conv(3, sizes.width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = sizes.width
    for stage, count in enumerate(sizes.blocks):
        width = sizes.width << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(inputs, width, stride))
            inputs = 4 * width
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, sizes.classes)
    return nn.Sequential(*layers, *head)


def gpt(torch, sizes: GPT) -> Any:
    """Return the network as an ordinary PyTorch module."""
    nn, F = torch.nn, torch.nn.functional
    width = sizes.width

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = self.qkv(self.ln_1(x)).split(c, dim=2)
            q, k, v = (y.view(b, t, sizes.heads, -1).transpose(1, 2) for y in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.projection(y.transpose(1, 2).reshape(b, t, c))
            return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(sizes.vocabulary, width)
            self.position = nn.Embedding(sizes.length, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(sizes.layers)])
            self.ln = nn.LayerNorm(width)
            self.head = nn.Linear(width, sizes.vocabulary, bias=False)
            nn.init.normal_(self.token.weight, std=0.02)
            self.head.weight = self.token.weight

        def forward(self, i):
            x = self.token(i) + self.position(torch.arange(i.shape[1], device=i.device))
            return self.head(self.ln(self.blocks(x)))

    return Model()


def program(torch, case: Case, device: str, compiled: bool = False):
    """Return the training step and what waits for it, the same code for PyTorch and facade."""
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU
    sizes = case.network
    with torch.device(device):
        if isinstance(sizes, ResNet):
            model = resnet(torch, sizes).to(memory_format=torch.channels_last)
            x = torch.randn(sizes.batch, 3, sizes.size, sizes.size)
            x = x.contiguous(memory_format=torch.channels_last)
            y = torch.randint(0, sizes.classes, (sizes.batch,))
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        else:
            model = gpt(torch, sizes)
            text = torch.randint(0, sizes.vocabulary, (sizes.batch, sizes.length + 1))
            x, y = text[:, :-1].contiguous(), text[:, 1:].reshape(-1)
            optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=case.bfloat16):
            z = forward(x)
            loss = torch.nn.functional.cross_entropy(z.reshape(-1, z.shape[-1]), y)
        loss.backward()
        optimizer.step()

    first = next(model.parameters())
    return step, lambda: first.detach().sum().item()
