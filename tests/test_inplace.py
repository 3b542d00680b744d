"""Writes, aliases, views and version counters under PyTorch and facade."""

import pytest
from parity import Cases, both

CASES = case = Cases()


@case
def write_through_a_view(torch):
    x = torch.zeros(2, 3)
    x.view(6)[0] = 5
    x.t()[0, 1] = 7
    x[1][2] = 9
    return x


@case
def views_see_the_write(torch):
    x = torch.arange(6.0)
    v, w = x[1:3], x.view(2, 3)
    x.mul_(10)
    w[0, 0] = -1
    return x, v, w, w.t()


@case
def view_of_a_view(torch):
    x = torch.zeros(3, 4)
    x[1:].t()[::2].fill_(3)
    return x


@case
def detached_alias_shares(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.detach().add_(1)
    (y * y).sum().backward()
    return y, x.grad


@case
def write_into_a_non_leaf(torch):
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y[0] = 0
    y.sum().backward()
    return y, x.grad


@case
def write_a_tracked_value(torch):
    x = torch.zeros(3)
    w = torch.tensor(2.0, requires_grad=True)
    x[1] = w * 3
    (x * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    return x, w.grad


@case
def view_made_before_the_base_is_tracked(torch):
    x = torch.zeros(3)
    v = x[1:]
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x.add_(w)
    v.sum().backward()
    return v.requires_grad, v.is_leaf, w.grad


@case
def inplace_on_a_view_reaches_the_base(torch):
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = w * 1
    y[1:].mul_(10)
    y.sum().backward()
    return y, w.grad


@case
def grad_fn_of_a_written_base(torch):
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = w * 1
    y[1:].mul_(10)
    return y


@case
def inplace_on_a_leaf(torch):
    torch.tensor([1.0], requires_grad=True).add_(1)


@case
def inplace_on_a_view_of_a_leaf(torch):
    torch.tensor([1.0, 2.0], requires_grad=True)[0].add_(1)


@case
def setitem_on_a_leaf(torch):
    torch.tensor([1.0, 2.0], requires_grad=True)[0] = 1


@case
def inplace_on_an_expanded_tensor(torch):
    torch.zeros(1).expand(3).add_(1)


@case
def wrong_shape(torch):
    torch.zeros(3).add_(torch.zeros(2, 3))


@case
def wrong_dtype(torch):
    torch.tensor([1, 2]).add_(0.5)


@case
def integer_division_in_place(torch):
    torch.tensor([1, 2]).div_(2)


@case
def keeps_the_dtype(torch):
    x = torch.tensor([1.0, 2.0])
    x += torch.tensor([1.0, 2.0], dtype=torch.float64)
    y = torch.tensor([1, 2], dtype=torch.int32)
    y += torch.tensor([1, 2])
    return x, y


@case
def identity(torch):
    x = y = torch.tensor([1.0, 2.0])
    x += 1
    return x is y, x.add_(1) is x, y


@case
def versions(torch):
    x = torch.zeros(3)
    v = x[0]
    before = x._version
    x.add_(1)
    v.mul_(2)
    return before, x._version, v._version, x.detach()._version


@case
def base(torch):
    x = torch.zeros(2, 3)
    return x._base, x[0]._base is x, x[0][1]._base is x, x.t().shape


@case
def zero_and_fill_keep_the_graph(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.zero_()
    z = x * 3
    z.fill_(4)
    (y + z).sum().backward()
    return y.detach(), z.detach(), x.grad


@case
def copy(torch):
    x = torch.zeros(2, 3)
    x.copy_(torch.tensor([1, 2, 3]))
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = torch.zeros(2, 3)
    y.copy_(w)
    (y * x).sum().backward()
    return x, y, w.grad


@case
def clone_is_apart(torch):
    x = torch.tensor([1.0, 2.0])
    y = x.clone()
    y.add_(1)
    return x, y


@case
def swap_through_a_temporary(torch):
    x = torch.arange(4.0)
    t = x[0].clone()
    x[0] = x[3]
    x[3] = t
    return x


@case
def overlapping_shift(torch):
    x = torch.arange(6.0)
    y = x.clone()
    y[1:] = x[:-1]
    return y


@case
def out(torch):
    x = torch.empty(2)
    y = torch.add(torch.tensor([1.0, 2.0]), 1, out=x)
    return x is y, x


@case
def out_of_wrong_dtype(torch):
    torch.add(torch.tensor([1.5]), 1, out=torch.empty(1, dtype=torch.int64))


@case
def out_with_grad(torch):
    torch.add(torch.tensor([1.5], requires_grad=True), 1, out=torch.empty(1))


@case
def running_statistics(torch):
    running = torch.zeros(3)
    for i in range(4):
        batch = torch.tensor([1.0, 2.0, 3.0]) * i
        running.mul_(0.9).add_(batch, alpha=0.1)
    return running


@case
def saved_value_written_later(torch):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x + 0
    z = y * 3
    y.add_(1)
    z.sum().backward()
    return x.grad


@case
def unbind_and_write_under_no_grad(torch):
    x = torch.zeros(2, 2)
    with torch.no_grad():
        for i, row in enumerate(x):
            row.fill_(i + 1)
    return x


@case
def storage_offset_and_strides(torch):
    x = torch.zeros(3, 4, 5)
    v = x[1, :, 2:]
    return v.storage_offset(), v.stride(), v.is_contiguous(), x.permute(2, 0, 1).stride()


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])
