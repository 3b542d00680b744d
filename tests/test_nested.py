"""Nested tensors behave as PyTorch's, and say what they can't do."""

import copy
import pickle

import pytest
from parity import both
from tables import check

import facade


def tensors(torch):
    """Return what the expressions below may name."""

    def nest(requires_grad=False):
        pieces = [torch.arange(6.0).reshape(2, 3) / 4, torch.arange(3.0).reshape(1, 3) - 1]
        return torch.nested.nested_tensor(pieces, requires_grad=requires_grad)

    def squares(x):
        return (x.to_padded_tensor(0.0) ** 2).sum()

    def gradient(function):
        x = nest(True)
        function(x).backward()
        return x.grad

    def gradients(function):
        """The gradients of what is nested, with its history, and of a weight."""
        x, y = torch.arange(6.0).reshape(2, 3).requires_grad_(), torch.ones(1, 3).requires_grad_()
        w = torch.arange(12.0).reshape(4, 3).requires_grad_()
        squares(function(torch.nested.as_nested_tensor([x, y]), w)).backward()
        return x.grad, y.grad, w.grad

    return {
        "gradient": gradient,
        "gradients": gradients,
        "squares": squares,
        "a": nest(),
        "r": nest(True),
        "x": torch.arange(6.0).reshape(2, 3).requires_grad_(),
        "y": torch.ones(1, 3),
        "w": torch.arange(12.0).reshape(4, 3),
        "nest": nest,
        "nested": torch.nested.nested_tensor,
        "F": torch.nn.functional,
    }


EXPRESSIONS = """
    a r str(a) f"{r}" torch.nested.as_nested_tensor([x,y]) nested([x,y]) nested([[1,2],[3]])
    nested([]) nested([torch.tensor(1.)]) nested([torch.ones(2),torch.ones(2,2)])
    nested([[1,2],[3]],dtype=torch.float64) nested(torch.ones(2,2))
    nested([[1],[2]]).to_padded_tensor(0)
    torch.nested.as_nested_tensor(torch.ones(2,2)) nested([[1,2],[3]],requires_grad=True)
    torch.nested.to_padded_tensor(a,-1.) a.to_padded_tensor(0.,(2,3,4)) r.to_padded_tensor(0.)
    a.to_padded_tensor(0.,(2,1,4)) a.unbind() r.unbind() torch.unbind(r) a.unbind(1) a[0] r[1]
    a[1,0] a[-1] a[2] a.size() a.shape a.size(0) a.size(1) a.size(2) a.size(3) a.size(-1) a.stride()
    (a.dim(),a.ndim,a.numel(),a.is_nested,a.dtype,a.device,a.layout,r.requires_grad,r.is_leaf)
    x.is_nested a.values() a._nested_tensor_size()
    -a a.abs() a.sin() a.cos() a.relu() a.tanh() r.sqrt() F.silu(a) F.gelu(r) F.relu(r)
    a*2 2*a a+1 a+a r*r a-a a-1 a/2 a/a a*torch.tensor(2.) r+r r-1 r/2
    a+torch.ones(3) a*torch.ones(3) a+nested([torch.ones(1,3),torch.ones(2,3)])
    F.linear(a,w) F.linear(r,w,torch.ones(4)) torch.matmul(a,w.t()) torch.matmul(r,r.transpose(1,2))
    repr(a.transpose(1,2)) r.clone() r.detach() r.double() a.to(torch.int32) torch.softmax(r,-1)
    torch.zeros_like(a) torch.ones_like(a) torch.cat([a,a]) a.clone().mul_(2) a.clone().fill_(1)
    a.clone().add_(1.) a.item() nest().requires_grad_()
"""
GRADIENTS = """
    squares(x) squares(x*3) squares(x.relu()) squares(F.linear(x,w)) (x.unbind()[0]**2).sum()
    squares(x+x) squares(x*x) squares(torch.softmax(x,-1))
    squares(torch.matmul(x,x.transpose(1,2)))
"""


def test_expressions():
    check(EXPRESSIONS.split(), tensors)


def test_gradients_are_nested():
    check([f"gradient(lambda x: {code})" for code in GRADIENTS.split()], tensors)
    check(["gradients(lambda x, w: x)", "gradients(F.linear)"], tensors)


def test_backward_from_nested_results():
    def code(torch):
        x = tensors(torch)["nest"](True)
        (x * 3).backward(x.detach())
        return x.grad

    both(code)
    x = tensors(facade)["r"]
    with pytest.raises(NotImplementedError, match="a gradient of other sizes"):
        (x * 3).backward(facade.ones(2, 2, 3))


def test_copies():
    x = tensors(facade)["r"]
    assert repr(copy.deepcopy(x)) == repr(x)
    assert repr(pickle.loads(pickle.dumps(x))) == repr(x)


def test_iterating():
    assert [tuple(piece.shape) for piece in tensors(facade)["a"]] == [(2, 3), (1, 3)]


@pytest.mark.parametrize(
    "code, op",
    [
        ("a.cumsum(0)", "cumsum"),
        ("a.sum()", "sum"),
        ("a.view(2, -1, 3)", "view"),
        ("a[0:1]", "indexing but by a number"),
        ("torch.where(a, a, a)", "where"),
        ("a.numpy()", "this operation"),
    ],
)
def test_what_is_missing_is_named(code, op):
    with pytest.raises(NotImplementedError) as caught:
        eval(code, {"torch": facade, **tensors(facade)})
    advice = "use x.to_padded_tensor(0.) or x.unbind() first"
    assert str(caught.value) == f"{op} is not implemented for a nested tensor; {advice}"


def test_jagged_is_refused():
    with pytest.raises(NotImplementedError, match=r"layout torch\.jagged are not implemented"):
        facade.nested.nested_tensor([[1.0], [2.0]], layout=facade.jagged)
