"""Writes that autograd refuses, and what it makes of those it allows, under PyTorch and facade."""

from itertools import product

import pytest
from parity import Cases, both

CASES = case = Cases()


def leaf(torch, *shape):
    return torch.ones(*shape, requires_grad=True)


def untracked_view(torch, x):
    with torch.no_grad():
        return x[:2]


# Writes to these are refused
TARGETS = {
    "leaf": lambda torch: leaf(torch, 3),
    "slice of a leaf": lambda torch: leaf(torch, 3)[1:],
    "view of a leaf": lambda torch: leaf(torch, 3).view(-1),
    "expanded leaf": lambda torch: leaf(torch, 1).expand(3),
    "real part of a leaf": lambda torch: (
        torch.ones(3, dtype=torch.complex64, requires_grad=True).real
    ),
    "view that is a leaf": lambda torch: torch.ones(3)[:2].requires_grad_(),
    "one of unbind": lambda torch: (leaf(torch, 3, 2) * 2).unbind()[1],
    "one of unbind of a leaf": lambda torch: leaf(torch, 3, 2).unbind()[1],
    "one of split": lambda torch: (leaf(torch, 4) * 2).split(2)[0],
    "one of chunk": lambda torch: (leaf(torch, 4) * 2).chunk(2)[1],
    "slice of one of unbind": lambda torch: (leaf(torch, 3, 2) * 2).unbind()[1][:1],
    "view made under no_grad": lambda torch: untracked_view(torch, leaf(torch, 3) * 2),
    "view of a leaf made under no_grad": lambda torch: untracked_view(torch, leaf(torch, 3)),
    "expanded": lambda torch: (leaf(torch, 1) * 2).expand(3),
}
WRITES = {
    "mul_": lambda torch, t: t.mul_(2),
    "add_": lambda torch, t: t.__iadd__(1),
    "setitem": lambda torch, t: t.__setitem__(0, 1.0),
    "zero_": lambda torch, t: t.zero_(),
}


# PyTorch allows these, or tells of the view of a view that was written
LEFT_OUT = {
    ("expanded", "setitem"),
    ("expanded", "zero_"),
    ("view made under no_grad", "setitem"),
    ("view of a leaf made under no_grad", "setitem"),
    ("view that is a leaf", "setitem"),
}


@pytest.mark.parametrize(
    ("target", "write"), [pair for pair in product(TARGETS, WRITES) if pair not in LEFT_OUT]
)
def test_write_refused(target, write):
    both(lambda torch: WRITES[write](torch, TARGETS[target](torch)))


@case
def gradient_through_one_of_several_views(torch):
    x = torch.ones(3, 2)
    x.unbind()[0].mul_(leaf(torch, 2))


@case
def constants_may_be_written_through_one_of_several_views(torch):
    x = torch.ones(4)
    a, b = x.chunk(2)
    a += b
    return x


@case
def one_of_several_views_written_under_no_grad(torch):
    x = leaf(torch, 4) * 1
    with torch.no_grad():
        x.split(2)[0].mul_(3)
    return x.detach()


@case
def view_and_write_under_no_grad(torch):
    x = leaf(torch, 3)
    with torch.no_grad():
        untracked_view(torch, x).mul_(2)
    return x


@case
def write_to_a_detached_view(torch):
    x = leaf(torch, 3)
    v = x[1:].detach()
    v[0].add_(1)
    v.mul_(2)
    return x, v, v._base, v[:1]._is_view()


@case
def gradient_of_a_write_to_a_detached_view(torch):
    x, w = leaf(torch, 3), leaf(torch, 2)
    v = (x * 2)[1:].detach()
    v.mul_(w)
    v.sum().backward()
    return v.detach(), v.requires_grad, w.grad, x.grad


@case
def leaf_view_of_a_constant_written_elsewhere(torch):
    x = torch.ones(3)
    v = x[:2].requires_grad_()
    x.mul_(2)
    (v * 3).sum().backward()
    return v, v.grad


@case
def leaf_view_of_a_constant_written_under_no_grad(torch):
    x = torch.ones(3)
    v = x[:2].requires_grad_()
    with torch.no_grad():
        v.mul_(2)
    return x, v


@case
def history_of_a_base_written_through_a_view(torch):
    x, w = torch.ones(3), leaf(torch, 2)
    x[:2].mul_(w)
    x.sum().backward()
    return x, w.grad


@case
def detach_a_view(torch):
    (leaf(torch, 3) * 2)[:2].detach_()


@case
def whole_numbers_as_data(torch):
    leaf(torch, 3).data = torch.ones(3, dtype=torch.int64)


@case
def more_elements_as_data(torch):
    x = leaf(torch, 3)
    x.data = torch.ones(4)
    return x


@case
def result_into_a_leaf(torch):
    torch.add(torch.ones(3), 1, out=leaf(torch, 3))


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])
