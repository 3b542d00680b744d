"""Function.vmap and generate_vmap_rule: what vmap, and transformations around it, make of them."""

import pytest
import torch
from parity import both

import facade


def rows(torch):
    return torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])


def scaled(torch, calls=None):
    """A product with a number, whose derivative is ten times what it should be."""

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.factor * 10, None

        @staticmethod
        def vmap(info, in_dims, x, factor):
            if calls is not None:
                calls.append((*info, in_dims, tuple(x.shape), factor))
            return Scaled.apply(x, factor), in_dims[0]

    return lambda x: Scaled.apply(x, 3.0)


def pair(torch, calls=None):
    """A sum and a product, whose rule computes a hundred times the product."""

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x + y, x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g, h):
            x, y = ctx.saved_tensors
            return g + h * y, g + h * x

        @staticmethod
        def vmap(info, in_dims, x, y):
            if calls is not None:
                calls.append((info.batch_size, in_dims, tuple(x.shape), tuple(y.shape)))
            x, y = (
                t.expand(info.batch_size, *t.shape) if d is None else t
                for t, d in zip((x, y), in_dims, strict=True)
            )
            return (x + y, 100 * x * y), (0, 0)

    return Pair.apply


def product(torch):
    """A product whose backward applies it again."""

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(x, y):
            return x * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return Product.apply(g, y), Product.apply(g, x)

        @staticmethod
        def vmap(info, in_dims, x, y):
            return Product.apply(x, y), 0

    return Product.apply


def sort(torch):
    """The example of PyTorch's documentation: a dimension that the rows push aside."""

    class Sort(torch.autograd.Function):
        @staticmethod
        def forward(x, dim):
            places = x.argsort(dim)
            return x.gather(dim, places), places

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.dim = inputs[1]
            ctx.mark_non_differentiable(output[1])
            ctx.save_for_backward(output[1])

        @staticmethod
        def backward(ctx, g, _):
            (places,) = ctx.saved_tensors
            return torch.zeros_like(g).scatter(ctx.dim, places, g), None

        @staticmethod
        def vmap(info, in_dims, x, dim):
            return Sort.apply(x.movedim(in_dims[0], 0), dim + 1), (0, 0)

    return lambda x: Sort.apply(x, 0)


def doubled(torch, **attributes):
    """A function with neither rule, or with these attributes."""

    def forward(x):
        return x * 2

    def setup_context(ctx, inputs, output):
        """Keep nothing."""

    def backward(ctx, g):
        return g * 2

    own = {
        "forward": staticmethod(forward),
        "setup_context": staticmethod(setup_context),
        "backward": staticmethod(backward),
    }
    return type("Doubled", (torch.autograd.Function,), own | attributes).apply


def ruled(torch, rule):
    return doubled(torch, vmap=staticmethod(rule))


def without_setup(torch):
    class Old(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    return Old.apply


def seen(torch, function, transform, *args, **kwargs):
    """Return what a transformed function returns, and what its rule was told."""
    calls = []
    return transform(function(torch, calls), **kwargs)(*args), calls


def backward_through(torch, function, *more):
    x = rows(torch).requires_grad_()
    y = torch.vmap(function)(x, *more)
    (y[1] if isinstance(y, tuple) else y).sum().backward()
    return x.grad


CASES = {
    "one level": lambda t: seen(t, scaled, t.vmap, rows(t)),
    "another dimension": lambda t: seen(t, scaled, t.vmap, rows(t), in_dims=1, out_dims=1),
    "randomness": lambda t: seen(t, scaled, t.vmap, rows(t), randomness="same"),
    "two levels": lambda t: seen(t, scaled, lambda f: t.vmap(t.vmap(f)), rows(t)),
    "nothing mapped": lambda t: t.vmap(lambda y: scaled(t)(rows(t)) + y)(rows(t)[:, 0]),
    "mapped outside": lambda t: t.vmap(lambda y: t.vmap(lambda z: pair(t)(y, y)[1] + z)(rows(t)))(
        rows(t)
    ),
    "grad of vmap": lambda t: t.func.grad(lambda x: t.vmap(scaled(t))(x).sum())(rows(t)),
    "vmap of grad": lambda t: t.vmap(t.func.grad(lambda x: scaled(t)(x).sum()))(rows(t)),
    "two rows": lambda t: seen(t, pair, t.vmap, rows(t), rows(t) + 1),
    "one row": lambda t: seen(t, pair, t.vmap, rows(t), rows(t)[0], in_dims=(0, None)),
    "the other row": lambda t: seen(t, pair, t.vmap, rows(t), rows(t)[0], in_dims=(None, 0)),
    "the rule is differentiated": lambda t: t.func.grad(
        lambda x: t.vmap(pair(t))(x, x + 1)[1].sum()
    )(rows(t)),
    "the function is differentiated": lambda t: t.vmap(
        t.func.grad(lambda x: pair(t)(x, x + 1)[1].sum())
    )(rows(t)),
    "jvp of vmap": lambda t: t.func.jvp(t.vmap(pair(t)), (rows(t),) * 2, (rows(t),) * 2),
    "backward": lambda t: backward_through(t, scaled(t)),
    "backward of the rule": lambda t: backward_through(t, pair(t), rows(t)),
    "backward of what applies itself": lambda t: backward_through(t, product(t), rows(t)),
    "sort": lambda t: t.vmap(sort(t))(rows(t)),
    "sort of columns": lambda t: [x.contiguous() for x in t.vmap(sort(t), 1)(rows(t))],
    "gradient of sort": lambda t: t.vmap(
        t.func.grad(lambda x: (sort(t)(x)[0] * t.arange(3.0)).sum())
    )(rows(t)),
    "backward applies it": lambda t: t.vmap(t.func.grad(lambda x: product(t)(x, x * 2).sum()))(
        rows(t)
    ),
    "twice": lambda t: t.vmap(
        t.func.grad(lambda x: t.func.grad(lambda x: product(t)(x, x * x).sum())(x).sum())
    )(rows(t)),
    "a captured factor": lambda t: t.vmap(t.func.grad(lambda x: product(t)(x, rows(t)[0]).sum()))(
        rows(t)
    ),
    "three levels": lambda t: t.vmap(t.vmap(t.func.grad(scaled(t))))(rows(t)),
    "grad between": lambda t: t.vmap(t.func.grad(lambda x: t.vmap(scaled(t))(x).sum()))(rows(t)),
    "captured by the rule": lambda t: t.vmap(
        ruled(t, lambda info, in_dims, x: (x * rows(t)[0], 0))
    )(rows(t)),
    "a result without rows": lambda t: t.vmap(ruled(t, lambda info, in_dims, x: (x.sum(0), None)))(
        rows(t)
    ).contiguous(),
    "a generated rule": lambda t: t.vmap(doubled(t, generate_vmap_rule=True))(rows(t)),
    "no rule": lambda t: t.vmap(doubled(t))(rows(t)),
    "no rule under grad": lambda t: t.vmap(t.func.grad(lambda x: doubled(t)(x).sum()))(rows(t)),
    "two rules": lambda t: t.vmap(
        doubled(t, generate_vmap_rule=True, vmap=staticmethod(lambda info, in_dims, x: (x, 0)))
    )(rows(t)),
    "no setup_context": lambda t: t.vmap(without_setup(t))(rows(t)),
    "no setup_context under grad": lambda t: t.func.grad(lambda x: without_setup(t)(x).sum())(
        rows(t)
    ),
    "reentrant checkpoint under grad": lambda t: t.func.grad(
        lambda x: t.utils.checkpoint.checkpoint(t.sin, x, use_reentrant=True).sum()
    )(rows(t)),
    "one return": lambda t: t.vmap(ruled(t, lambda info, in_dims, x: (x,)))(rows(t)),
}


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name):
    both(CASES[name])


def test_no_dimensions_of_a_result():
    rule = ruled(facade, lambda info, in_dims, x: (x, (0, 1)))
    with pytest.raises(RuntimeError, match="vmap staticmethod returned an incompatible"):
        facade.vmap(rule)(rows(facade))


def test_derivatives_beyond_those_traced():
    x = rows(facade).requires_grad_()
    y = facade.vmap(product(facade))(x, x)
    (y,) = facade.autograd.grad(y.sum(), x, create_graph=True)
    assert y.tolist() == (2 * rows(facade)).tolist()
    with pytest.raises(NotImplementedError, match="Product: its backward applies Product again"):
        for _ in range(4):
            (y,) = facade.autograd.grad((y**3).sum(), x, create_graph=True)
        y.tolist()


def test_a_rule_in_a_compiled_function():
    step = facade.jit(lambda x: facade.vmap(pair(facade))(x, x)[1])
    for _ in range(3):
        assert step(rows(facade)).tolist() == (100 * rows(torch) ** 2).tolist()
