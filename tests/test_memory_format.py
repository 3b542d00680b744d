"""Memory formats: which results are channels last, as strides and ``is_contiguous`` show."""

import pytest
from parity import both

FORMS = """
    y
    y.clone()
    y.contiguous()
    y.double()
    y.to(torch.float64, memory_format=torch.preserve_format)
    x.to(torch.float64, memory_format=torch.channels_last)
    x.double(memory_format=torch.channels_last)
    y.cpu(memory_format=torch.contiguous_format)
    y * 2
    y + x
    x + y
    torch.where(y > 0, y, x)
    y.flip(2)
    y.softmax(1)
    torch.cat([y, y], 1)
    torch.zeros_like(y)
    y.sum((2, 3), keepdim=True)
    y.mean(1, keepdim=True)
    y.permute(0, 2, 3, 1)
    y.unsqueeze(0).squeeze(0)
    nn.functional.relu(y)
    nn.functional.gelu(y)
    nn.functional.dropout(y)
    nn.functional.pad(y, (1, 1, 1, 1))
    nn.functional.max_pool2d(y, 2)
    nn.functional.avg_pool2d(y, 2)
    nn.functional.adaptive_avg_pool2d(y, 2)
    nn.functional.adaptive_avg_pool2d(y, 1)
    nn.functional.adaptive_max_pool2d(y, 2)
    nn.functional.interpolate(y, scale_factor=2)
    nn.functional.interpolate(y, scale_factor=2, mode="bilinear")
    nn.functional.group_norm(y, 3)
    nn.functional.instance_norm(y)
    nn.BatchNorm2d(3)(y)
    nn.BatchNorm2d(3).eval()(y)
    nn.Conv2d(3, 4, 3)(y)
    nn.Conv2d(3, 4, 1)(y)
    nn.Conv2d(3, 3, 3, groups=3)(y)
    nn.ConvTranspose2d(3, 4, 2)(y)
    nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last).weight
    nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)(x)
    torch.zeros(2, 3, 4, 4, 4).to(memory_format=torch.channels_last_3d)
    torch.zeros(2, 3, 4).to(memory_format=torch.channels_last)
    torch.zeros(3, 1, 1, 1)
    torch.zeros(0, 3, 2, 2)
"""


@pytest.mark.parametrize("code", FORMS.strip().split("\n"), ids=str.strip)
def test_memory_format(code):
    def shown(torch):
        x = torch.arange(96.0).reshape(2, 3, 4, 4)
        y = x.to(memory_format=torch.channels_last)
        t = eval(code.strip(), {"torch": torch, "nn": torch.nn, "x": x, "y": y})
        last = torch.channels_last
        return t.stride(), t.is_contiguous(), t.is_contiguous(memory_format=last), tuple(t.shape)

    both(shown)


def test_formats_of_gradients():
    def strides(torch):
        net = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        x = torch.ones(2, 3, 5, 5).to(memory_format=torch.channels_last).requires_grad_()
        net(x).sum().backward()
        return x.grad.stride(), net.weight.grad.stride()

    both(strides)


def test_views_of_channels_last():
    both(lambda torch: torch.nn.functional.relu(
        torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    ).view(2, -1))  # fmt: skip
