"""Random programs: views, writes, indexing, reductions, Python's own decisions, gradients."""

import copy
import warnings

import pytest
from parity import Cases, both, leaf
from random_programs import check, program

KEPT = Cases()  # what programs found, without the steps that didn't matter


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("number", range(60))
def test_programs(number):
    check(program(number))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(100))
def test_many_programs(chunk):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(100 * chunk, 100 * chunk + 100):
            check(program(number))


@pytest.mark.parametrize("write", ["x[0] = 2", "x.view(-1)[::2].fill_(2)", "x[:, 1] += 1"])
def test_leaf_that_is_a_view_is_not_written(write):
    both(lambda torch: exec(write, {"x": torch.arange(12.0).reshape(3, 4).requires_grad_()}))


@KEPT
def part_of_overlapping_windows_written(torch):
    x = torch.arange(5.0)
    x.unfold(0, 2, 1)[1].fill_(9)
    x.unfold(0, 3, 1)[:, 1][0] = 7
    return x


@KEPT
def one_of_expanded_rows_written(torch):
    x = torch.arange(3)
    x.expand(2, 3)[1][1] = 9
    return x


@KEPT
def gradient_through_a_part_of_overlapping_windows(torch):
    x, y = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 5.0, 7.0)
    z = x * 2
    z.unfold(0, 2, 1)[1].mul_(y)
    return z, torch.autograd.grad((z * z).sum(), (x, y))


@KEPT
def view_detached_in_place(torch):
    return torch.arange(3.0)[1:].detach_()


@KEPT
def deepcopy_of_a_column(torch):
    return copy.deepcopy(torch.arange(6.0).reshape(3, 2)[:, 1])


@KEPT
def deepcopy_of_aliases(torch):
    x = torch.arange(6.0)
    x, view, alias = copy.deepcopy([x, x[2:4], x.detach()])
    alias.fill_(3)
    return x, view, alias


@KEPT
def assigned_from_a_part_of_itself(torch):
    x = torch.arange(4)
    x[torch.tensor([0, 1])] = x[:2]


@KEPT
def assigned_where_its_own_values_say(torch):
    x = torch.tensor([1, 0])
    x[x] = 2


@KEPT
def masked_by_one_of_its_own_elements(torch):
    x = torch.arange(4.0)
    x[x > 1] = x[1:2]
    return x


@KEPT
def view_read_between_a_write_and_its_gradient(torch):
    y = leaf(torch, 1.0, 2.0, 3.0)
    x = y * 2
    view = x[1:]
    x[1] = 5.0
    return view.tolist(), view * 1, torch.autograd.grad((view * view).sum(), y)


@KEPT
def detached_piece_written(torch):
    x, y = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 4.0)
    piece = x.split(2)[0].detach()
    piece.view(2).mul_(y)
    return piece * 1, torch.autograd.grad(piece.sum(), y)


@KEPT
def piece_of_a_detached_one_written(torch):
    x, y = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 4.0)
    x.split(2)[0].detach().unbind()[0].mul_(y)


@KEPT
def strides_of_a_broadcast_transposed_operand(torch):
    x, y = torch.arange(6.0).reshape(3, 2).t(), torch.ones(2, 2, 3)
    return x + y, y + x, torch.arange(3).expand(2, 3) * x


@KEPT
def strided_view_of_overlapping_windows(torch):
    x = torch.arange(6.0).requires_grad_()
    windows = x.as_strided((2, 2), (1, 1), 1)
    again = windows.as_strided((2, 2), (1, 1), 1)
    return again, torch.autograd.grad((again * again).sum(), x)


@KEPT
def only_piece_written(torch):
    (leaf(torch, 1.0, 2.0) * 2).split(2)[0].mul_(2)


@KEPT
def strided_view_of_a_piece_written(torch):
    (leaf(torch, 1.0, 2.0) * 2).view(1, 2).unbind(1)[0].as_strided((2,), (1,), 0).mul_(2)


@KEPT
def second_derivative_of_atan2_at_nothing(torch):
    x, y = leaf(torch, 0.0, 1.0), leaf(torch, 0.0, 2.0)
    first = torch.autograd.grad(torch.atan2(x, y).square().sum(), (x, y), create_graph=True)
    return [g * 1 for g in first], torch.autograd.grad(first[0].sum() + first[1].sum(), (x, y))


@KEPT
def write_through_a_view_gone_through_twice(torch):
    x = leaf(torch, 1.0, 2.0) * 2
    x[1] = 0
    x.sum().backward()
    x.sum().backward()


@KEPT
def joined_with_ambiguous_strides(torch):
    x = torch.arange(6.0).reshape(2, 3).unsqueeze(0).transpose(0, -1).unsqueeze(0)
    return torch.cat([x, x], 1) * 1


GRADIENTS = [
    "x.sum()", "x.mean(0)", "x.clone().zero_()", "x.round()", "x * 3", "x[1]", "x * x", "x.exp()",
    "torch.cat([x, x])", "x @ x.t()", "x.relu()", "x.clone().fill_(2)", "x.abs()",
]  # fmt: skip


@pytest.mark.parametrize("expression", GRADIENTS)
def test_gradient_of_a_gradient_is_tracked_if_it_depends_on_something(expression):
    def tracked(torch):
        x = torch.arange(6.0).reshape(2, 3).clone().requires_grad_()
        y = eval(expression)
        (found,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (more,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
        return found.requires_grad, found.detach() * 1, more.requires_grad, more.detach() * 1

    both(tracked)


SAVING_NOTHING = [
    "x[1]", "x[1:]", "x[:, ::2]", "x.as_strided((2, 2), (1, 1))", "x.unfold(1, 2, 1)",
    "x.diagonal()", "x.unbind()[1]", "x.cumsum(0)", "x.tril()",
    "torch.nn.functional.pad(x, (1, 1), value=2.0)",
]  # fmt: skip


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("expression", SAVING_NOTHING)
def test_what_saved_nothing_is_gone_through_twice(expression, flushed):
    def twice(torch):
        x = torch.arange(6.0).reshape(2, 3).clone().requires_grad_()
        y = eval(expression)
        y.sum().backward()
        if flushed:
            x.grad.sum().item()
        (first,) = torch.autograd.grad((y * y * y).sum(), x, create_graph=True)
        first.sum().backward()
        return first * 1, x.grad  # the node of a gradient has another name

    both(twice)


@pytest.mark.parametrize("name", KEPT)
def test_found_by_a_program(name):
    both(KEPT[name])
