"""autograd.functional, batched gradients, gradient edges: the same under PyTorch and facade."""

import pytest
from parity import both

FUNCTIONS = ["vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"]


def points(torch, requires_grad=False):
    kind = {"dtype": torch.float64, "requires_grad": requires_grad}
    return torch.tensor([0.5, -1.0, 2.0], **kind), torch.tensor([[1.5], [0.25]], **kind)


def several(x, y):
    return (x.sin() * y).sum(0), (x.exp() * y[0]).sum()


def scalar(x, y):
    return (x.sin() * y * y).sum() + (x * x * x).sum()


def one(x):
    return x * x.exp()


def values(result):
    """Drop the histories, whose names differ where PyTorch takes another way."""
    if isinstance(result, tuple):
        return tuple(values(r) for r in result)
    return result.detach().contiguous(), result.requires_grad


def vectors(torch, name):
    x, y = points(torch)
    if name == "vjp":
        return (x + 1, torch.tensor(2.0, dtype=torch.float64))
    return (x + 1, y - 2)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, create_graph):
    def run(torch):
        inputs = points(torch, requires_grad=create_graph)
        function = getattr(torch.autograd.functional, name)
        if name in ("jacobian", "hessian"):
            func = several if name == "jacobian" else scalar
            return values(function(func, inputs, create_graph=create_graph))
        func = several if name in ("vjp", "jvp") else scalar
        return values(function(func, inputs, vectors(torch, name), create_graph=create_graph))

    both(run)


@pytest.mark.parametrize("name", ["jacobian", "hessian"])
@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_vectorized(name, strategy):
    def run(torch):
        x, _ = points(torch)
        function = getattr(torch.autograd.functional, name)
        option = "strategy" if name == "jacobian" else "outer_jacobian_strategy"
        func = one if name == "jacobian" else lambda x: one(x).sum()
        return function(func, x, vectorize=True, **{option: strategy}).detach().contiguous()

    both(run)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_input(name):
    def run(torch):
        x, _ = points(torch)
        function = getattr(torch.autograd.functional, name)
        func = one if name in ("vjp", "jvp", "jacobian") else lambda x: one(x).sum()
        return values(function(func, x, *([x] if name not in ("jacobian", "hessian") else [])))

    both(run)


def linear(x, y):
    return (x * 2).sum() + (y * 3).sum()


def unused(x, y):
    return (x * x).sum()


def constant(x, y):
    return (x.detach() * 2).sum()


def wrong_result(x, y):
    return 3


@pytest.mark.parametrize("func", [linear, unused, constant, wrong_result])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_strict_and_wrong_results(name, func, strict):
    if func is linear and strict and name in ("vhp", "hvp", "hessian"):
        pytest.skip("the gradient of a linear function is part of facade's graph")

    def run(torch):
        inputs = points(torch)
        function = getattr(torch.autograd.functional, name)
        if name in ("jacobian", "hessian"):
            return values(function(func, inputs, strict=strict))
        v = torch.tensor(1.0, dtype=torch.float64) if name == "vjp" else inputs
        return values(function(func, inputs, v, strict=strict))

    both(run)


WRONG = {
    "no v": lambda f, x: f.vjp(one, x),
    "no v at several elements": lambda f, x: f.jvp(one, x),
    "v of another size": lambda f, x: f.vjp(one, x, x[:2]),
    "v of another length": lambda f, x: f.jvp(several, (x, x), (x,)),
    "v for one tensor": lambda f, x: f.jvp(one, x, (x, x)),
    "an input that is no tensor": lambda f, x: f.jacobian(one, 3),
    "inputs that are no tensors": lambda f, x: f.vjp(one, (x, 3)),
    "a Hessian of several elements": lambda f, x: f.hessian(one, x),
    "a Hessian of several results": lambda f, x: f.hvp(several, (x, x), (x, x)),
    "an unknown strategy": lambda f, x: f.jacobian(one, x, strategy="sideways"),
    "forward mode, one by one": lambda f, x: f.jacobian(one, x, strategy="forward-mode"),
    "strict and vectorized": lambda f, x: f.jacobian(one, x, strict=True, vectorize=True),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name):
    both(lambda torch: WRONG[name](torch.autograd.functional, points(torch)[0]))


@pytest.mark.parametrize("create_graph", [False, True])
def test_batched(create_graph):
    def run(torch):
        x, _ = points(torch, requires_grad=True)
        y = x * x
        basis = torch.eye(3, dtype=torch.float64)
        (g,) = torch.autograd.grad(y, x, basis, is_grads_batched=True, create_graph=create_graph)
        return g.detach(), g.requires_grad

    both(run)


GRAD = {
    "a batch of another shape": lambda torch, x: torch.autograd.grad(
        x * x, x, torch.ones(3, 2), is_grads_batched=True
    ),
    "zeros for what is unused": lambda torch, x: torch.autograd.grad(
        (x * x).sum(), [x, torch.ones(2, requires_grad=True)], materialize_grads=True
    ),
    "unused and refused": lambda torch, x: torch.autograd.grad(
        x.sum(), x, materialize_grads=True, allow_unused=False
    ),
    "inputs by name": lambda torch, x: torch.autograd.grad((x * x).sum(), {"x": x}),
}


@pytest.mark.parametrize("name", GRAD)
def test_grad(name):
    both(lambda torch: GRAD[name](torch, torch.ones(3, requires_grad=True)))


def test_gradient_edges():
    def run(torch):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = x * x
        edge = torch.autograd.graph.get_gradient_edge(y)
        z = (y * 3).sum()
        (by_edge,) = torch.autograd.grad(z, edge, retain_graph=True)
        end = torch.autograd.graph.get_gradient_edge(z)
        (from_edge,) = torch.autograd.grad(end, x)
        return by_edge, from_edge, edge.node is y.grad_fn, edge.output_nr

    both(run)


def test_no_gradient_edge():
    both(lambda torch: torch.autograd.graph.get_gradient_edge(torch.ones(2)))
