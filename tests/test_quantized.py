"""Quantized tensors and what pretends to quantize behave as PyTorch's."""

import copy
import pickle

import pytest
from parity import both
from tables import check

import facade


def tensors(torch):
    """Return what the expressions below may name."""
    x = torch.tensor([[-1.0, 0.0, 0.26], [1.0, 2.0, 30.0]])
    scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([0, 3])

    def per_tensor(*arguments, dtype=torch.quint8):
        return torch.quantize_per_tensor(x, *arguments, dtype)

    def gradient(function):
        leaf = x.clone().requires_grad_()
        result = function(leaf)
        (result * torch.arange(1.0, 7.0).reshape(2, 3)).sum().backward()
        return result, leaf.grad

    def fake(*arguments):
        return gradient(lambda x: torch.fake_quantize_per_tensor_affine(x, *arguments))

    def fake_channels(*arguments):
        return gradient(lambda x: torch.fake_quantize_per_channel_affine(x, *arguments))

    return {
        "x": x,
        "per_tensor": per_tensor,
        "fake": fake,
        "fake_channels": fake_channels,
        "scales": scales,
        "zeros": zeros,
        "int_zeros": zeros.int(),
        "q": per_tensor(0.1, 10),
        "p": torch.quantize_per_channel(x, scales, zeros, 0, torch.qint8),
        "halves": torch.tensor([0.5, 1.5, 2.5, -0.5, 3.5, 4.5]),
    }


CODES = """
    q p per_tensor(.1,0,dtype=torch.qint8) per_tensor(.1,0,dtype=torch.qint32) str(q) f"{p}"
    per_tensor(.1,-7,dtype=torch.qint8) per_tensor(torch.tensor(.1),torch.tensor(10)).q_scale()
    per_tensor(.1,10).int_repr() p.int_repr() torch.int_repr(q) q.dequantize() p.dequantize()
    torch.dequantize(q) torch.dequantize(x) x.dequantize()
    torch.quantize_per_tensor(halves,1.,1,torch.qint8).int_repr()
    torch.quantize_per_tensor(torch.tensor(1.),.1,10,torch.quint8)
    torch.quantize_per_tensor(torch.empty(0,2),.1,10,torch.quint8)
    torch.quantize_per_tensor(torch.rand(40,40).mul(0),.5,10,torch.quint8)
    (q.q_scale(),q.q_zero_point(),repr(q.qscheme()),q.is_quantized,q.dtype,q.shape,q.stride())
    (q.element_size(),q.numel(),q.dim(),q.layout,q.requires_grad,x.is_quantized,q.size(1),len(q))
    (p.q_per_channel_scales(),p.q_per_channel_zero_points(),p.q_per_channel_axis())
    [repr(p.qscheme()),repr(torch.per_channel_symmetric),repr(torch.per_tensor_symmetric)]
    (torch.quint8,torch.qint8,torch.qint32,torch.qint32.itemsize)
    q.q_per_channel_scales() p.q_scale() p.q_zero_point() q.numpy() q.requires_grad_()
    torch.quantize_per_channel(x,torch.tensor([.1,.2,.3]),torch.tensor([0,3,1]),1,torch.quint8)
    torch.quantize_per_channel(x,torch.tensor([.1,.2,.3]),torch.tensor([0,3,1]),-1,torch.quint8)
    torch.quantize_per_channel(x,scales[:1],zeros,0,torch.qint8)
    torch.quantize_per_channel(x,scales[:1],zeros[:1],0,torch.qint8)
    per_tensor(.1,300) per_tensor(.1,-1) per_tensor(.1,1,dtype=torch.float32)
    torch.quantize_per_tensor(x.long(),.1,1,torch.quint8)
    torch.quantize_per_tensor(x.double(),.1,1,torch.quint8)
    q.relu() torch.relu(q) q.view(-1) q.reshape(3,2) q.t() q.transpose(0,1) q[0] q[0,1]
    q.clone() p.clone() q.detach() q.unsqueeze(0) q.squeeze() q.flatten() q.permute(1,0)
    q.contiguous() q==q q>q q[0,0].item() q==0.
"""


def test_codes():
    check(CODES.split(), tensors)


FAKE = """
    fake(.1,0,0,255) fake(.1,100,0,255) fake(torch.tensor(.1),torch.tensor(0).int(),-128,127)
    torch.fake_quantize_per_tensor_affine(halves,1.,1,-8,7)
    fake(.3,7,0,15) fake_channels(scales,int_zeros,0,0,255) fake_channels(scales,zeros*1.,0,0,255)
    fake(.1,300,0,255) fake(.1,3,255,0) fake_channels(scales,zeros,0,0,255)
    fake_channels(scales[:1],int_zeros,0,0,255) fake_channels(scales.double(),int_zeros,0,0,255)
    fake_channels(scales,int_zeros*100,0,0,255) fake_channels(scales,int_zeros,2,0,255)
    fake_channels(torch.ones(3)/7,torch.zeros(3).int(),1,-8,7)
    torch.fake_quantize_per_tensor_affine(x.long(),.1,0,0,255)
    torch.fake_quantize_per_tensor_affine(x.double(),.1,0,0,255)
    torch.fake_quantize_per_tensor_affine(x.half(),.1,0,0,255)
"""


def test_pretending():
    check(FAKE.split(), tensors)


def test_copies():
    def code(torch):
        q, p = (tensors(torch)[name] for name in "qp")
        return copy.deepcopy(q), copy.deepcopy(p)

    both(code)
    q = tensors(facade)["q"]
    assert repr(pickle.loads(pickle.dumps(q))) == repr(q)


@pytest.mark.parametrize(
    "code, op",
    [
        ("q + q", "add"),
        ("q @ q.t()", "matmul"),
        ("q.sin()", "sin"),
        ("p.t()", "t"),
        ("torch.stack([q, q])", "stack"),
        ("q.tolist()", "this operation"),
        ("q.zero_()", "zero_"),
    ],
)
def test_what_is_missing_is_named(code, op):
    with pytest.raises(NotImplementedError) as caught:
        eval(code, {"torch": facade, **tensors(facade)})
    text = f"{op} is not implemented for a quantized tensor; use x.dequantize() first"
    assert str(caught.value) == text
