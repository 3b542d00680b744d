"""What may be done with tensors made in inference mode, under PyTorch and facade."""

import pytest
from parity import Cases, both

CASES = case = Cases()


def made(torch):
    """Return a tensor made in inference mode."""
    with torch.inference_mode():
        return torch.ones(3) * 2


@case
def facts(torch):
    x = torch.ones(3, requires_grad=True)
    with torch.inference_mode():
        y, view, inside = x * 2, x[:2], torch.is_inference_mode_enabled()
        facts = y.is_inference(), y.requires_grad, torch.is_inference(view), x.is_inference()
    return facts, inside, torch.is_inference_mode_enabled(), made(torch)[1:].is_inference()


@case
def results_outside(torch):
    y = made(torch)
    return (y + 1).is_inference(), y.clone().is_inference(), y.detach().is_inference()


@case
def written_inside(torch):
    x = torch.ones(3)
    with torch.inference_mode():
        y = torch.ones(3)
        y[0] = 4
        y.mul_(2)
        x.add_(1)
    return y, x, x.is_inference()


@case
def written_outside(torch):
    made(torch).add_(1)


@case
def element_written_outside(torch):
    made(torch)[0] = 1


@case
def written_outside_under_no_grad(torch):
    with torch.no_grad():
        made(torch).zero_()


@case
def result_outside(torch):
    torch.add(torch.ones(3), 1, out=made(torch))


@case
def clone_written_outside(torch):
    return made(torch).clone().add_(1)


@case
def normal_tensor_written_with_it(torch):
    return torch.ones(3).add_(made(torch)).mul_(2)


@case
def version(torch):
    return made(torch)._version


@case
def requires_grad_outside(torch):
    made(torch).requires_grad_()


@case
def requires_grad_inside(torch):
    with torch.inference_mode():
        return torch.ones(2).requires_grad_().requires_grad


@case
def clone_requires_grad(torch):
    x = made(torch).clone().requires_grad_()
    (x * x).sum().backward()
    return x.grad


@case
def saved_by_a_function(torch):
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, gradient):
            return gradient, gradient

    Product.apply(torch.ones(3, requires_grad=True), made(torch))


@case
def added_to_what_requires_grad(torch):
    x = torch.ones(3, requires_grad=True)
    (x + made(torch)).sum().backward()
    return x.grad


@case
def mode_off(torch):
    with torch.inference_mode(), torch.inference_mode(False):
        x = torch.ones(2, requires_grad=True)
        return x.is_inference(), (x * 2).requires_grad, torch.is_inference_mode_enabled()


@case
def transforms_inside(torch):
    x = torch.ones(3)
    with torch.inference_mode():
        y = torch.vmap(lambda row: row * 2)(x)
        torch.func.grad(lambda z: (z * z).sum())(x)
    return y, x, x._version


@case
def after_an_exception(torch):
    with pytest.raises(ValueError), torch.inference_mode():
        raise ValueError
    return torch.ones(2).is_inference(), torch.is_grad_enabled()


@case
def decorated(torch):
    @torch.inference_mode()
    def twice(x):
        return x * 2

    return twice(torch.ones(2, requires_grad=True)).is_inference()


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])
