"""torch.func and torch.vmap against PyTorch."""

import gc
import re

import pytest
from counting import compilations
from parity import both

import facade
from facade import deferred
from facade.export import hlo
from facade.func.trace import Trace


def weights(torch):
    return torch.linspace(-1, 1, 12).reshape(4, 3)


def rows(torch):
    return torch.arange(15.0).reshape(5, 3) / 7


def net(torch, *layers):
    torch.manual_seed(3)
    return torch.nn.Sequential(*(layers or (torch.nn.Linear(3, 4), torch.nn.Tanh())))


def squared(torch):
    return lambda w, x: ((x @ w.t()).sin() ** 2).sum()


def with_detached(torch):
    return lambda x: (x.detach() * x * 3).sum() + (x.sin().detach() ** 2).sum()


def without_grad(torch):
    def f(x):
        with torch.no_grad():
            y = x * 2
        return (x * y).sum()

    return f


def in_place(torch):
    def f(x):
        y = x * 2
        y[0] = y[1] * 3
        y.mul_(x)
        return y.sum()

    return f


GRADIENTS = {
    "one argument": lambda t: t.func.grad(squared(t))(weights(t), rows(t)),
    "argnums": lambda t: t.func.grad(squared(t), argnums=(0, -1))(weights(t), rows(t)),
    "and value": lambda t: t.func.grad_and_value(squared(t))(weights(t), rows(t)),
    "auxiliary": lambda t: t.func.grad(lambda x: ((x**2).sum(), {"a": x.sin()}), has_aux=True)(
        rows(t)
    ),
    "auxiliary and value": lambda t: t.func.grad_and_value(
        lambda x: ((x**2).sum(), x.sin()), has_aux=True
    )(rows(t)),
    "dict": lambda t: t.func.grad(lambda p: (p["w"] * p["b"][0]).sum())(
        {"w": rows(t), "b": [t.tensor(2.0)]}
    ),
    "detach": lambda t: t.func.grad(with_detached(t))(rows(t)),
    "no_grad": lambda t: t.func.grad(without_grad(t))(rows(t)),
    "in place": lambda t: t.func.grad(in_place(t))(rows(t)),
    "no_grad outside": lambda t: t.no_grad()(t.func.grad(squared(t)))(weights(t), rows(t)),
    "keyword": lambda t: t.func.grad(lambda x, *, scale: (x**2 * scale).sum())(rows(t), scale=3.0),
    "twice": lambda t: t.func.grad(t.func.grad(lambda x: x.sin() * x))(t.tensor(0.7)),
    "complex": lambda t: t.func.grad(lambda x: (x * x.conj()).real.sum())(t.tensor([1 + 2j, 3j])),
    "inner autograd": lambda t: t.func.grad(
        lambda x: t.autograd.grad((x**3).sum(), x, create_graph=True)[0].sum()
    )(rows(t)),
    "unused": lambda t: t.func.grad(lambda x, y: y.sum(), argnums=0)(rows(t), rows(t)),
}
JACOBIANS = {
    "vjp": lambda t: t.func.vjp(lambda x: x.sin(), rows(t))[1](rows(t)),
    "vjp of two": lambda t: t.func.vjp(lambda x, y: (x * y, x.sum()), rows(t), rows(t))[1](
        (rows(t), t.tensor(2.0))
    ),
    "vjp auxiliary": lambda t: t.func.vjp(lambda x: (x.sin(), x.cos()), rows(t), has_aux=True)[::2],
    "jvp": lambda t: t.func.jvp(lambda x: x.sin() * x, (rows(t),), (rows(t),)),
    "jvp auxiliary": lambda t: t.func.jvp(
        lambda x: (x.sin(), x.cos()), (rows(t),), (rows(t),), has_aux=True
    ),
    "linearize": lambda t: t.func.linearize(lambda x: x.exp(), rows(t))[1](rows(t)),
    "jacrev": lambda t: t.func.jacrev(lambda x: weights(t) @ x.sin())(rows(t)[1]),
    "jacrev in chunks": lambda t: t.func.jacrev(lambda x: weights(t) @ x.sin(), chunk_size=3)(
        rows(t)[1]
    ),
    "jacrev of two": lambda t: t.func.jacrev(lambda x, y: {"a": x * y, "b": x.sum()}, (0, 1))(
        rows(t)[1], rows(t)[2]
    ),
    "jacrev auxiliary": lambda t: t.func.jacrev(lambda x: (x**2, x.cos()), has_aux=True)(
        rows(t)[1]
    ),
    "jacfwd": lambda t: t.func.jacfwd(lambda x: weights(t) @ x.sin())(rows(t)[1]),
    "jacfwd of two": lambda t: t.func.jacfwd(lambda x, y: x * y, (0, 1))(rows(t)[1], rows(t)[2]),
    "hessian": lambda t: t.func.hessian(lambda x: (x**3).prod())(rows(t)[1]),
    "hessian of two": lambda t: t.func.hessian(lambda x, y: (x**3 * y).sum(), (0, 1))(
        rows(t)[1], rows(t)[2]
    ),
    "products with the identity": lambda t: [
        transform(lambda x, part=part: part(x, weights(t)))(rows(t)[1])
        for transform in (t.func.jacrev, t.func.jacfwd, t.func.hessian)
        for part in (
            lambda x, w: w @ (w @ x).tanh(),
            lambda x, w: (x @ w.T).tanh() @ w,
            lambda x, w: w @ x + x,
            lambda x, w: (w @ x, w @ (w @ x).sin(), x.sum()),
            lambda x, w: (w @ x.double(), x[None] @ w.T),
            lambda x, w: t.outer(w @ x, x @ w),
        )
    ],
    "hessian, forward over forward": lambda t: t.func.jacfwd(
        t.func.jacfwd(lambda x: x.sin().sum())
    )(rows(t)[1]),
}
BATCHES = {
    "rows": lambda t: t.vmap(lambda x: x.sum() * x)(rows(t)),
    "two": lambda t: t.vmap(t.dot)(rows(t), rows(t)),
    "in_dims": lambda t: t.vmap(lambda x, y: x * y, in_dims=(1, None))(rows(t), t.arange(5.0)),
    "nested in_dims": lambda t: t.vmap(lambda d: d["a"] @ d["b"], in_dims=({"a": 0, "b": None},))(
        {"a": rows(t), "b": rows(t)[0]}
    ),
    "out_dims": lambda t: t.vmap(lambda x: (x, x.sum()), out_dims=(1, 0))(rows(t)),
    "negative out_dims": lambda t: t.vmap(lambda x: x[:2], out_dims=-1)(rows(t)).contiguous(),
    "index": lambda t: t.vmap(lambda x, i: x[i] * x[1, i[None]], in_dims=(None, 0))(
        rows(t), t.tensor([2, 0, -1])
    ),
    "index written": lambda t: t.vmap(lambda x, i: t.index_put(x, (i,), x.sum()))(
        rows(t), t.tensor([2, 0, 1, 1, 0])
    ),
    "twice": lambda t: t.vmap(t.vmap(lambda x, y: x - y), in_dims=(None, 0))(
        rows(t), rows(t)[:, None].expand(5, 5, 3)
    ),
    "chunks": lambda t: t.vmap(lambda x: x.sin().sum(), chunk_size=2)(rows(t)),
    "unbatched result": lambda t: t.vmap(lambda x: t.ones(2))(rows(t)),
    "in place": lambda t: t.vmap(lambda x: x.clone().mul_(2).add_(x))(rows(t)),
    "where": lambda t: t.vmap(lambda x: t.where(x.sum() > 2, x, -x))(rows(t)),
    "per-sample gradients": lambda t: t.vmap(t.func.grad(squared(t)), in_dims=(None, 0))(
        weights(t), rows(t)
    ),
    "jacobian by hand": lambda t: t.vmap(t.func.vjp(lambda x: x**2, rows(t)[1])[1])(t.eye(3)),
    "gradient of a batch": lambda t: t.func.grad(
        lambda w: t.vmap(lambda x: (w @ x).sin())(rows(t)).sum()
    )(weights(t)),
    "linear": lambda t: t.vmap(net(t))(rows(t)).detach(),
    "pytree out": lambda t: t.vmap(lambda x: {"a": x, "b": [x.sum()]})(rows(t)),
}
RANDOM = {
    "different": lambda t: t.vmap(lambda x: x + t.rand(3), randomness="different")(rows(t)),
    "same": lambda t: t.vmap(lambda x: x + t.randn(3), randomness="same")(rows(t)),
    "dropout": lambda t: t.vmap(lambda x: t.nn.functional.dropout(x), randomness="different")(
        rows(t)
    ),
    "same dropout": lambda t: t.vmap(lambda x: t.nn.functional.dropout(x), randomness="same")(
        rows(t)
    ),
}


def twice_cosine(torch, *, once=False):
    """sin with a derivative that isn't its own: 2 cos, from what is saved in several ways."""

    class Sine(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, scale=1.0):
            return x.sin() * scale, x.cos() * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.scale = inputs
            ctx.mark_non_differentiable(output[1])
            ctx.save_for_backward(x, output[1])
            ctx.save_for_forward(x)

        @staticmethod
        def backward(ctx, g, _):
            x, c = ctx.saved_tensors
            return (g * x.cos() * 2 if not once else g * c) * ctx.scale, None

        @staticmethod
        def jvp(ctx, t, _):
            (x,) = ctx.saved_tensors
            return t * x.cos() * 3 * ctx.scale, None

    return lambda x, scale=1.0: Sine.apply(x, scale)[0]


def exponential(torch):
    class Exp(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x, y):
            return x.exp() * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(output, inputs[1])

        @staticmethod
        def backward(ctx, g):
            out, y = ctx.saved_tensors
            return g * out, g * out / y * 5

    return Exp.apply


def no_forward_mode(torch):
    return torch.func.jvp(exponential(torch), (rows(torch), rows(torch)), (rows(torch),) * 2)


FUNCTIONS = {
    "grad": lambda t: t.func.grad(lambda x: twice_cosine(t)(x, 0.5).sum())(rows(t)),
    "grad from a result": lambda t: t.func.grad(lambda x: twice_cosine(t, once=True)(x).sum())(
        rows(t)
    ),
    "vmap": lambda t: t.vmap(twice_cosine(t))(rows(t)),
    "vmap of grad": lambda t: t.vmap(t.func.grad(lambda x: twice_cosine(t)(x).sum()))(rows(t)),
    "grad of vmap": lambda t: t.func.grad(
        lambda x: t.vmap(exponential(t), in_dims=(0, None))(x, rows(t)[1]).sum()
    )(rows(t)),
    "vjp of vmap": lambda t: t.func.vjp(t.vmap(exponential(t)), rows(t), rows(t) + 1)[1](rows(t)),
    "jacrev": lambda t: t.func.jacrev(twice_cosine(t))(rows(t)[1]),
    "jvp": lambda t: t.func.jvp(twice_cosine(t), (rows(t),), (rows(t),)),
    "jacfwd": lambda t: t.func.jacfwd(twice_cosine(t))(rows(t)[1]),
    "grad of grad": lambda t: t.func.grad(
        lambda x: t.func.grad(lambda x: twice_cosine(t)(x).sum())(x).sum()
    )(rows(t)),
    "two arguments": lambda t: t.func.grad(lambda x, y: exponential(t)(x, y).sum(), (0, 1))(
        rows(t), rows(t) + 1
    ),
    "second derivative of two": lambda t: t.func.grad(
        lambda x, y: t.func.grad(lambda x: exponential(t)(x, y).sum())(x).sum(), (0, 1)
    )(rows(t), rows(t) + 1),
    "no jvp": no_forward_mode,
}
ERRORS = {
    "random": lambda t: t.vmap(lambda x: x + t.rand(3))(rows(t)),
    "randomness": lambda t: t.vmap(lambda x: x, randomness="no"),
    "no inputs": lambda t: t.vmap(lambda: 1)(),
    "in_dims": lambda t: t.vmap(lambda x: x, in_dims=[0])(rows(t)),
    "not a dimension": lambda t: t.vmap(lambda x: x, in_dims=2)(rows(t)),
    "not a tensor": lambda t: t.vmap(lambda x, y: x)(rows(t), 2),
    "nothing mapped": lambda t: t.vmap(lambda x: x, in_dims=None)(rows(t)),
    "sizes": lambda t: t.vmap(lambda x, y: x)(rows(t), weights(t)),
    "result": lambda t: t.vmap(lambda x: 2.0)(rows(t)),
    "not scalar": lambda t: t.func.grad(lambda x: x)(rows(t)),
    "no tensor": lambda t: t.func.grad(lambda x: 2)(rows(t)),
    "no pair": lambda t: t.func.grad(lambda x: x.sum(), has_aux=True)(rows(t)),
    "argnums": lambda t: t.func.grad(lambda x: x.sum(), argnums=3)(rows(t)),
    "no argnums": lambda t: t.func.grad(lambda x: x.sum(), argnums=())(rows(t)),
    "argnums twice": lambda t: t.func.grad(lambda x, y: x.sum(), argnums=(0, 0))(rows(t), rows(t)),
    "vjp result": lambda t: t.func.vjp(lambda x: None, rows(t)),
    "vjp of whole numbers": lambda t: t.func.vjp(lambda x: x.long(), rows(t)),
    "primals": lambda t: t.func.jvp(lambda x: x, rows(t), rows(t)),
    "complex": lambda t: t.func.jacrev(lambda x: x)(t.tensor([1j])),
    "chunks": lambda t: t.func.jacrev(lambda x: x, chunk_size=0),
    "no models": lambda t: t.func.stack_module_state([]),
    "modes": lambda t: t.func.stack_module_state([net(t), net(t).eval()]),
    "classes": lambda t: t.func.stack_module_state([net(t), t.nn.Linear(2, 2)]),
    "dicts": lambda t: t.func.functional_call(net(t), 3, rows(t)),
    "twice": lambda t: t.func.functional_call(net(t), ({"a": 1}, {"a": 2}), rows(t)),
    "strict": lambda t: t.nn.utils.stateless.functional_call(
        net(t), {"x": 1}, rows(t), strict=True
    ),
}
TABLE = {
    f"{name}: {case}": code
    for name, table in {
        "gradient": GRADIENTS, "jacobian": JACOBIANS, "batch": BATCHES, "random": RANDOM,
        "function": FUNCTIONS, "error": ERRORS,
    }.items()
    for case, code in table.items()
}  # fmt: skip


def dense(result):
    """Results lie in rows; PyTorch's are views with other strides here and there."""
    if isinstance(result, tuple | list):
        return type(result)(map(dense, result))
    if isinstance(result, dict):
        return {k: dense(x) for k, x in result.items()}
    return result.contiguous() if hasattr(result, "contiguous") else result


@pytest.mark.parametrize("case", TABLE)
def test_as_pytorch(case):
    both(lambda torch: dense(TABLE[case](torch)))


@pytest.mark.parametrize("transform", ["jacrev", "jacfwd"])
def test_no_product_with_the_identity(transform):
    """The Jacobian of two layers is one product of matrices, where JAX has two."""
    v, w, x = facade.rand(5, 4), facade.rand(4, 3), facade.rand(3)
    matrix = getattr(facade.func, transform)(lambda x: v @ (w @ x).tanh())(x)
    products = re.findall(r"f32\[([\d,]+)\]\S* dot\(", hlo(matrix))
    assert [shape for shape in products if "," in shape] in (["5,3"], ["3,5"])


# ---- inside a loss, and with modules -------------------------------------------------------------


def network(torch):
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
    )  # fmt: skip


def images(torch):
    torch.manual_seed(5)
    return torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])


def evaluated(torch):
    return per_sample(torch, network(torch).eval())


def without_statistics(torch):
    return per_sample(torch, torch.func.replace_all_batch_norm_modules_(network(torch)))


def per_sample(torch, net):
    """Gradients of each image's loss, batch norm included."""
    state = {k: p.detach() for k, p in net.named_parameters()}
    buffers = dict(net.named_buffers())

    def loss(state, x, y):
        out = torch.func.functional_call(net, (state, buffers), x[None])
        return torch.nn.functional.cross_entropy(out, y[None])

    return torch.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(state, *images(torch))


def inside_a_loss(torch):
    """A penalty on the gradient at the inputs, whose gradient the weights get."""
    net = torch.nn.Linear(3, 2)
    with torch.no_grad():
        net.weight.copy_(weights(torch)[:2])
        net.bias.zero_()
    slopes = torch.vmap(torch.func.grad(lambda x: net(x).sin().sum()))(rows(torch))
    (net(rows(torch)).mean() + (slopes**2).sum()).backward()
    return [p.grad for p in net.parameters()]


def hessian_vector_product(torch):
    w = weights(torch).requires_grad_()
    f = torch.func.grad(lambda x: (w @ x).sin().sum())
    product = torch.func.jvp(f, (rows(torch)[1],), (rows(torch)[2],))[1]
    product.sum().backward()
    return product.detach(), w.grad


def ensemble(torch):
    nets = [torch.nn.Linear(3, 2) for _ in range(3)]
    for i, net in enumerate(nets):
        with torch.no_grad():
            net.weight.fill_(i + 1.0)
            net.bias.fill_(i)
    parameters, buffers = torch.func.stack_module_state(nets)
    out = torch.vmap(
        lambda p, b, x: torch.func.functional_call(nets[0], (p, b), (x,)), in_dims=(0, 0, None)
    )(parameters, buffers, rows(torch))
    out.sum().backward()
    return out.detach(), {k: p.grad for k, p in parameters.items()}, buffers


def training_batch_norm(torch):
    net = network(torch)
    x, y = images(torch)
    state = {name: p.detach() for name, p in net.named_parameters()}
    buffers = dict(net.named_buffers())

    def loss(state, buffers):
        out = torch.func.functional_call(net, (state, buffers), x)
        return torch.nn.functional.cross_entropy(out, y), buffers

    found, (value, seen) = torch.func.grad_and_value(loss, has_aux=True)(state, buffers)
    return found, value, seen, buffers


def statistics_under_vmap(torch):
    return per_sample(torch, network(torch))


def with_group_norm(torch):
    torch.manual_seed(3)
    layers = torch.nn.Conv2d(1, 2, 3), torch.nn.GroupNorm(1, 2), torch.nn.Flatten()
    return per_sample(torch, net(torch, *layers, torch.nn.Linear(8, 3)))


def tied(torch):
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    new = torch.arange(4.0).reshape(2, 2)
    given = {"0.weight": new, "0.bias": new[0], "1.bias": new[1]}
    return torch.func.functional_call(net, given, torch.ones(1, 2))


@pytest.mark.parametrize(
    "code",
    [
        evaluated, without_statistics, statistics_under_vmap, with_group_norm, inside_a_loss,
        hessian_vector_product, ensemble, training_batch_norm, tied,
    ],
)  # fmt: skip
def test_with_modules(code):
    both(lambda torch: dense(code(torch)))


# ---- writes --------------------------------------------------------------------------------------


def written(torch, transform, x=None):
    """The result and what was written, which is the caller's own tensor."""
    x = rows(torch).clone() if x is None else x
    return transform(x), x


def captured(torch, write):
    total = torch.zeros(3)
    transformed = torch.func.grad(lambda x: (write(total, x) * x).sum())
    return transformed(rows(torch)[1])


def argument(torch):
    """A second argument is written, with a value that depends on a weight outside."""
    w, total = torch.ones(3, requires_grad=True), torch.zeros(3)
    slopes = torch.func.grad(lambda x, y: (y.add_(x * w) * x).sum())(rows(torch)[1], total)
    slopes.sum().backward()
    return slopes.detach(), w.grad, total.detach()


WRITES = {
    "vmap": lambda t: written(t, t.vmap(lambda row: row.mul_(2))),
    "vmap of columns": lambda t: written(t, t.vmap(lambda row: row.mul_(2), in_dims=1)),
    "vmap of a view": lambda t: written(t, lambda x: t.vmap(lambda row: row.mul_(2))(x[1:])),
    "vmap of vmap": lambda t: written(t, t.vmap(t.vmap(lambda x: x.add_(1)))),
    "jvp": lambda t: written(t, lambda x: t.func.jvp(lambda x: x.mul_(3) * x, (x,), (x + 1,))),
    "jacfwd": lambda t: written(t, t.func.jacfwd(lambda x: x.mul_(3).sum())),
    "argument": argument,
    "grad": lambda t: written(t, t.func.grad(lambda x: x.mul_(2).sum())),
    "grad, view": lambda t: written(t, t.func.grad(lambda x: x[0].mul_(2).sum())),
    "vjp": lambda t: written(t, lambda x: t.func.vjp(lambda x: x.mul_(2), x)),
    "jacrev": lambda t: written(t, t.func.jacrev(lambda x: x.mul_(2))),
    "captured, number": lambda t: captured(t, lambda total, x: total.add_(1)),
    "captured, tensor": lambda t: captured(t, lambda total, x: total.mul_(x)),
    "captured, copy": lambda t: captured(t, lambda total, x: total.copy_(x.sin())),
    "captured, unary": lambda t: captured(t, lambda total, x: total.exp_()),
}


@pytest.mark.parametrize("case", WRITES)
def test_writes(case):
    both(lambda torch: dense(WRITES[case](torch)))


def test_a_captured_tensor_is_not_changed():
    total = facade.zeros(3)

    def f(x):
        total.add_(x)
        return total.sum()

    with pytest.raises(RuntimeError, match="mutate a captured Tensor"):
        facade.func.grad(f)(facade.ones(3))
    assert total.tolist() == [0, 0, 0] and not total.requires_grad
    with pytest.raises(RuntimeError, match="match the broadcast shape"):
        facade.vmap(f)(facade.ones(2, 3))
    assert total.tolist() == [0, 0, 0]


@pytest.mark.parametrize("read", [lambda x: x.item(), bool, lambda x: x.tolist(), print])
@pytest.mark.parametrize("transform", [facade.vmap, facade.func.jacfwd, facade.func.grad])
def test_a_read_names_the_line(transform, read):
    def f(x):
        return read(x.sum()) or x.sum()

    with pytest.raises(RuntimeError, match=r"test_func.py:\d+: .*torch.where") as caught:
        transform(f)(facade.ones(2, 3))
    assert "inside the transformed function" in str(caught.value)


WRONG_INDICES = {
    "vmap": lambda x, i: facade.vmap(lambda row, i: row[i], in_dims=(None, 0))(x, i),
    "cross-entropy": lambda x, i: facade.vmap(
        facade.func.grad(lambda row, i: facade.nn.functional.cross_entropy(row, i))
    )(x, i),
    "vjp": lambda x, i: facade.func.vjp(lambda x: x[i * 1], x)[1](x),
    "jvp": lambda x, i: facade.func.jvp(lambda x: x[i * 1], (x,), (x,)),
    "jacobian": lambda x, i: facade.vmap(
        facade.func.jacrev(lambda x, i: x[i].sin()), in_dims=(None, 0)
    )(x, i),
    "jit": lambda x, i: [facade.jit(lambda x, i: x[i])(x, i * 1) for i in (i * 0, i * 0, i)],
}


@pytest.mark.parametrize("case", WRONG_INDICES)
def test_an_index_out_of_range_is_found_in_a_transform(case):
    """At the next read, as elsewhere; and nothing is left over to be looked at."""
    x, index = facade.ones(3, 3), facade.tensor([0, 5, 1])
    made = WRONG_INDICES[case](x, index)
    with pytest.raises(IndexError, match=r"5 is out of bounds"):
        x.sum().item()
    assert made is not None and not deferred.pending


def test_a_call_leaves_nothing_to_the_garbage_collector():
    """What a trace read would else be kept, and never be donated, until the collector runs."""
    w, x = weights(facade), rows(facade)
    kinds = [
        lambda: facade.vmap(facade.func.grad(squared(facade)), in_dims=(None, 0))(w, x),
        lambda: facade.func.jacrev(lambda w: (w * 2).sin())(w),
        lambda: facade.func.jvp(facade.func.grad(lambda w: w.sin().sum()), (w,), (w,)),
    ]
    for call in kinds:
        call()
    gc.collect()
    gc.disable()
    try:
        for call in kinds:
            call()
        assert not any(issubclass(type(x), Trace) for x in gc.get_objects())
    finally:
        gc.enable()


def test_what_leaves_has_no_value():
    kept = []
    facade.vmap(lambda x: kept.append(x * 2) or x)(facade.ones(2))
    with pytest.raises(RuntimeError, match="tensors have no values"):
        kept[0].item()


@pytest.mark.programs
def test_a_repeated_call_compiles_nothing():
    w = facade.ones(3).requires_grad_()

    def step(scale):
        slopes = facade.vmap(facade.func.grad(lambda x: (w * x * scale).sin().sum()))(
            facade.ones(4, 3)
        )
        slopes.sum().backward()
        return w.grad.sum().item()

    step(1.0), step(2.0)
    with compilations() as count:
        step(3.0)
    assert count == [0]
