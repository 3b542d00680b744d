"""autograd.forward_ad: tangents, compared with PyTorch's and with the other mode."""

import pytest
from parity import Cases, both

CASES = case = Cases()


def dual(torch, x=(0.5, -1.0, 2.0), t=(1.0, 2.0, -3.0)):
    kind = {"dtype": torch.float64}
    return torch.autograd.forward_ad.make_dual(torch.tensor(x, **kind), torch.tensor(t, **kind))


def tangent(torch, y):
    value, t = torch.autograd.forward_ad.unpack_dual(y)
    return value.detach(), None if t is None else t.detach()


@case
def pointwise(torch):
    return tangent(torch, dual(torch).sin() * 3)


@case
def two_duals(torch):
    return tangent(torch, dual(torch) * dual(torch, t=(0.0, 1.0, 0.0)).exp())


@case
def matrices(torch):
    a = dual(torch, ((1.0, 2.0), (3.0, 4.0)), ((1.0, 0.0), (0.0, 1.0)))
    return tangent(torch, torch.linalg.inv(a) @ a.T + a.softmax(1))


@case
def views_and_reductions(torch):
    x = dual(torch)
    return tangent(torch, torch.stack([x[:2].sum(), x.prod(), x.max()]))


@case
def several_results(torch):
    values, _ = dual(torch).sort()
    return tangent(torch, values)


@case
def the_dual_itself(torch):
    return tangent(torch, dual(torch))


@case
def a_constant(torch):
    return tangent(torch, torch.ones(2))


@case
def a_value_read_in_between(torch):
    y = dual(torch).exp()
    value = y.sum().item()
    return value, tangent(torch, y * y)


@case
def a_function_with_jvp(torch):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_forward(*inputs)

        @staticmethod
        def jvp(ctx, t):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * t

    return tangent(torch, Cube.apply(dual(torch)) * 2)


@case
def a_function_without_jvp(torch):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    return tangent(torch, Double.apply(dual(torch)))


@case
def hooks_of_tensors(torch):
    """They see the gradient, and leave the tangent alone."""
    fw = torch.autograd.forward_ad
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    seen = []
    y = fw.make_dual(x, torch.tensor([1.0, -1.0])) ** 2
    y.register_hook(lambda g: seen.append(g) or g * 2)
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    z = y.sin()
    t = fw.unpack_dual(z).tangent
    z.sum().backward()
    return t.detach(), x.grad, seen


@case
def hooks_of_modules(torch):
    """What a hook makes of a result has a tangent, too."""
    net = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Softplus())
    net[0].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    net[1].register_forward_hook(lambda module, args, y: y * args[0])
    return tangent(torch, net(dual(torch)))


@case
def hooks_of_what_is_saved(torch):
    """The tangent does not come from what they give back."""
    fw = torch.autograd.forward_ad
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach(), lambda t: t * 3):
        y = fw.make_dual(x, torch.tensor([1.0, -1.0])).sin()
    t = fw.unpack_dual(y).tangent
    y.sum().backward()
    return t.detach(), x.grad


@case
def under_checkpoint(torch):
    fw = torch.autograd.forward_ad
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    d = fw.make_dual(x, torch.tensor([1.0, -1.0]))
    y = torch.utils.checkpoint.checkpoint(lambda x: x.sin() * x, d, use_reentrant=False)
    t = fw.unpack_dual(y).tangent
    y.sum().backward()
    return t.detach(), x.grad


@case
def tangent_of_another_shape(torch):
    dual(torch, t=(1.0, 2.0))


@case
def nested(torch):
    with torch.autograd.forward_ad.dual_level():
        pass


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    def run(torch):
        with torch.autograd.forward_ad.dual_level():
            return CASES[name](torch)

    both(run)


def test_outside_a_level():
    both(lambda torch: dual(torch))


def test_backward_through_a_dual():
    def run(torch):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        with torch.autograd.forward_ad.dual_level():
            y = torch.autograd.forward_ad.make_dual(x, torch.ones(2)) ** 2
            y.sum().backward()
        return x.grad

    both(run)
