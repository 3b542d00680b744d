"""What ops save for backward: grad_fn._saved_*, and hooks that pack and unpack it."""

import numpy as np
import pytest
import torch
from parity import Cases, assert_same, both, leaf, to_numpy

import facade

case = CASES = Cases()


def operands(torch, **kwargs):
    """Return two vectors and two matrices, the last of which has no gradient."""
    matrix = torch.arange(1.0, 10.0, **kwargs).reshape(3, 3)
    return (
        leaf(torch, 0.2, 0.4, 0.6, **kwargs),
        leaf(torch, 2.0, 3.0, 4.0, **kwargs),
        (matrix**2 % 7 / 9 + 0.1).requires_grad_(),
        matrix + 2,
    )


def written_row(torch, m, b):
    z = m * 1
    z[0].mul_(b)
    return z


# (library, its functional, a, b, m, n) -> result
SAME_PACKED = {
    "mul": lambda torch, F, a, b, m, n: a * b,
    "a factor that is a constant": lambda torch, F, a, b, m, n: m * n,
    "a number": lambda torch, F, a, b, m, n: (a * 2 + 1) / 3,
    "div": lambda torch, F, a, b, m, n: a / b,
    "a constant divisor": lambda torch, F, a, b, m, n: m / n,
    "power": lambda torch, F, a, b, m, n: a**2,
    "exp": lambda torch, F, a, b, m, n: a.exp(),
    "exp2 and expm1": lambda torch, F, a, b, m, n: a.exp2() + b.expm1(),
    "reciprocal and tan": lambda torch, F, a, b, m, n: a.reciprocal() + b.tan(),
    "sqrt and rsqrt": lambda torch, F, a, b, m, n: a.sqrt() + b.rsqrt(),
    "activations": lambda torch, F, a, b, m, n: (m - 0.3).relu() + m.sigmoid() + m.tanh(),
    "softmax": lambda torch, F, a, b, m, n: m.softmax(-1),
    "log_softmax": lambda torch, F, a, b, m, n: m.log_softmax(0),
    "mm": lambda torch, F, a, b, m, n: m @ n,
    "mm with itself": lambda torch, F, a, b, m, n: m @ m,
    "mv": lambda torch, F, a, b, m, n: m @ a,
    "addmm": lambda torch, F, a, b, m, n: torch.addmm(a, m, n, alpha=2),
    "bmm": lambda torch, F, a, b, m, n: torch.bmm(m[None], m[None]),
    "convolution": lambda torch, F, a, b, m, n: F.conv1d(m[None], m[None], a),
    "nothing": lambda torch, F, a, b, m, n: torch.cat([m.sum(1), m.mean(0), a + b, m[0].neg()]),
    "indices": lambda torch, F, a, b, m, n: m[torch.tensor([0, 0, 2])] + m.index_select(
        0, torch.tensor([1, 1, 1])
    ),
    "embedding": lambda torch, F, a, b, m, n: F.embedding(torch.tensor([0, 1]), m),
    "where": lambda torch, F, a, b, m, n: torch.where(a > 0.3, a, b),
    "masked_fill": lambda torch, F, a, b, m, n: m.masked_fill(m > 0.5, 0.0),
    "mse_loss": lambda torch, F, a, b, m, n: F.mse_loss(m, n),
    "gelu and silu": lambda torch, F, a, b, m, n: F.gelu(m) + F.silu(m),
    "clamp": lambda torch, F, a, b, m, n: a.clamp(0.3, 0.5),
    "in place": lambda torch, F, a, b, m, n: (a * 1).mul_(b).exp_(),
    "a written view": lambda torch, F, a, b, m, n: written_row(torch, m, b),
}  # fmt: skip
# ops that pack other values here than in PyTorch, or fewer
ALSO_DIFFERENTIATED = {
    "power of a tensor": lambda torch, F, a, b, m, n: a**b,
    "linear": lambda torch, F, a, b, m, n: F.linear(m, m, b),
    "layer_norm": lambda torch, F, a, b, m, n: F.layer_norm(m, (3,), a, b),
    "batch_norm": lambda torch, F, a, b, m, n: F.batch_norm(m, None, None, a, b, True),
    "cross_entropy": lambda torch, F, a, b, m, n: F.cross_entropy(m, torch.tensor([0, 1, 2])),
    "max": lambda torch, F, a, b, m, n: m.max(1).values,
    "norm": lambda torch, F, a, b, m, n: m.norm() + m.std() + m.var(),
    "prod": lambda torch, F, a, b, m, n: a.prod() + b.cumprod(0),
    "logsumexp": lambda torch, F, a, b, m, n: m.logsumexp(1),
    "gather": lambda torch, F, a, b, m, n: m.gather(1, torch.tensor([[0], [2], [1]])),
    "max_pool2d": lambda torch, F, a, b, m, n: F.max_pool2d(m[None], 2),
    "a complex exp": lambda torch, F, a, b, m, n: torch.complex(a, b).exp().abs(),
    "einsum": lambda torch, F, a, b, m, n: torch.einsum("ij,kj->ik", m, n),
}


def packed_and_differentiated(torch, function, **kwargs):
    """Return what is packed as arrays, and first and second gradients from what is unpacked."""
    seen = []

    def pack(t):
        seen.append((t.requires_grad, t.detach().contiguous()))
        return t.detach().numpy().copy()

    a, b, m, n = operands(torch, **kwargs)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda array: torch.tensor(array)):
        y = function(torch, torch.nn.functional, a, b, m, n)
    first = torch.autograd.grad((y * y * y).sum(), (a, b, m), create_graph=True, allow_unused=True)
    total = sum((g**2).sum() for g in first if g is not None)
    second = torch.autograd.grad(total, (a, b, m), allow_unused=True)
    zero = torch.zeros(())
    plain = [[zero if g is None else g.detach().contiguous() for g in x] for x in (first, second)]
    return seen, plain


@pytest.mark.parametrize("name", SAME_PACKED)
def test_ops_pack_what_they_save(name):
    both(lambda torch: packed_and_differentiated(torch, SAME_PACKED[name]))


@pytest.mark.parametrize("name", ALSO_DIFFERENTIATED)
def test_every_op_is_differentiated_from_what_is_unpacked(name):
    theirs, ours = (
        packed_and_differentiated(module, ALSO_DIFFERENTIATED[name], dtype=module.float64)
        for module in (torch, facade)
    )
    assert ours[0]
    assert_same(ours[1], theirs[1], (1e-9, 1e-9))


@case
def what_is_unpacked_counts(torch):
    results = []
    for function in (lambda x: x.exp(), lambda x: x * x.detach(), lambda x: x.sin()):
        x = leaf(torch, 1.0, 2.0)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t * 2):
            y = function(x)
        y.sum().backward()
        results.append(x.grad)
    return results


@case
def unpacked_in_every_backward(torch):
    calls = []
    x = leaf(torch, 1.0, 2.0)
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: calls.append("pack") or t, lambda t: calls.append("unpack") or t
    )
    with hooks:
        y = (x * x).exp()
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return calls, x.grad


@case
def packed_once_freed(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x.exp()
    y.sum().backward()
    y.sum().backward()


@case
def innermost_hooks_count(torch):
    x, seen = leaf(torch, 2.0), []
    hooks = torch.autograd.graph.saved_tensors_hooks
    with hooks(lambda t: seen.append("outer") or t, lambda t: t):
        a = x.exp()
        with hooks(lambda t: seen.append("inner") or t, lambda t: t):
            b = a.exp()
        c = b.exp()
    c.exp().backward()
    return seen, x.grad


@case
def unpacked_to_something_else(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    y.sum().backward()


@case
def written_while_packed(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t):
        x.detach() * x


@case
def hooks_of_one_saved_tensor(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x.exp()
    y.grad_fn._raw_saved_result.register_hooks(lambda t: t, lambda t: t * 5)
    y.sum().backward()
    return x.grad


@case
def hooks_of_one_factor(torch):
    a, b = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = a * b
    y.grad_fn._raw_saved_self.register_hooks(lambda t: t.tolist(), lambda t: torch.tensor(t) * 5)
    y.sum().backward()
    return a.grad, b.grad


@case
def two_hooks_of_one_saved_tensor(torch):
    saved = leaf(torch, 1.0, 2.0).exp().grad_fn._raw_saved_result
    for _ in range(2):
        saved.register_hooks(lambda t: t, lambda t: t)


@case
def saved_values_are_unpacked(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t * 2):
        y, z = x.exp(), x * x
    return y.grad_fn._saved_result, z.grad_fn._saved_self


@case
def a_layer_saved_on_the_cpu(torch):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 2), torch.ones(4, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6.0).reshape(2, 3))
        layer.bias.zero_()
    with torch.autograd.graph.save_on_cpu():
        loss = layer(x).softmax(1).log().square().mean()
    loss.backward()
    return loss, layer.weight.grad, layer.bias.grad


@case
def hooks_refused(torch):
    with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)
        with hooks:
            leaf(torch, 1.0).exp()


@case
def hooks_around_a_transform(torch):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        torch.func.grad(torch.sin)(torch.tensor(1.0))


@case
def hooks_in_a_transform(torch):
    def function(x):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            return x.sin().sum()

    torch.func.jacrev(function)(torch.ones(2))


@case
def hooks_around_a_forward_transform(torch):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        return torch.vmap(torch.func.jacfwd(torch.sin))(torch.ones(2))


@case
def hooks_around_a_checkpoint(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = torch.utils.checkpoint.checkpoint(lambda x: (x * x).exp(), x, use_reentrant=False)
    y.sum().backward()
    return x.grad


@case
def two_steps_with_hooks(torch):
    w = leaf(torch, 1.0, 2.0)
    optimizer = torch.optim.SGD([w], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), torch.tensor):
            loss = (w * w).sigmoid().sum()
        loss.backward()
        optimizer.step()
    return w


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])


# (library, its functional, a, b, m, n) -> result; what its node saves, by PyTorch's names
SAVED = {
    "self_sym_sizes": [
        lambda torch, F, a, b, m, n: m.sum(),
        lambda torch, F, a, b, m, n: m.view(9),
        lambda torch, F, a, b, m, n: m[0],
    ],
    "dim keepdim self_sym_sizes": [
        lambda torch, F, a, b, m, n: m.sum(-1),
        lambda torch, F, a, b, m, n: m.mean((0, 1), keepdim=True),
    ],
    "self_sym_numel": [lambda torch, F, a, b, m, n: m.mean()],
    "dim": [
        lambda torch, F, a, b, m, n: torch.cat([m, m], -1),
        lambda torch, F, a, b, m, n: torch.stack([m, m], -1),
        lambda torch, F, a, b, m, n: m.unsqueeze(-1),
        lambda torch, F, a, b, m, n: m.cumsum(-1),
    ],
    "dim result": [lambda torch, F, a, b, m, n: m.softmax(-1)],
    "dim keepdim self result": [
        lambda torch, F, a, b, m, n: m.logsumexp(-1),
        lambda torch, F, a, b, m, n: m.amax(1),
        lambda torch, F, a, b, m, n: m.prod(1),
    ],
    "dim keepdim indices": [lambda torch, F, a, b, m, n: m.max(1).values],
    "dim index": [lambda torch, F, a, b, m, n: m.gather(-1, torch.tensor([[0]]))],
    "indices self_sym_sizes": [lambda torch, F, a, b, m, n: m[:, torch.tensor([0, 2])]],
    "indices padding_idx": [lambda torch, F, a, b, m, n: F.embedding(torch.tensor([0]), m)],
    "exponent self result": [lambda torch, F, a, b, m, n: a**b],
    "self other": [
        lambda torch, F, a, b, m, n: m / n,
        lambda torch, F, a, b, m, n: m * n,
        lambda torch, F, a, b, m, n: a / b,
    ],
    "alpha beta mat1 mat2": [
        lambda torch, F, a, b, m, n: torch.addmm(a, m, n),
        lambda torch, F, a, b, m, n: torch.addmm(a, m, n, alpha=2, beta=0.5),
    ],
    "min max self": [
        lambda torch, F, a, b, m, n: a.clamp(0.3, 0.5),
        lambda torch, F, a, b, m, n: torch.clamp(m, min=a),
    ],
    "self approximate": [lambda torch, F, a, b, m, n: F.gelu(m)],
    "self target reduction": [lambda torch, F, a, b, m, n: F.mse_loss(m, n)],
    "input weight stride padding dilation groups transposed output_padding": [
        lambda torch, F, a, b, m, n: F.conv2d(m[None, None], m[None, None], padding=1),
    ],
    "input weight bias normalized_shape result1 result2": [
        lambda torch, F, a, b, m, n: F.layer_norm(m, (3,), a, b),
    ],
    "input weight eps training running_mean result1 result2": [
        lambda torch, F, a, b, m, n: F.batch_norm(m, None, None, a, b, True),
        lambda torch, F, a, b, m, n: F.batch_norm(m, n[0], n[1], a, b),
    ],
    "kernel_size stride padding ceil_mode self": [
        lambda torch, F, a, b, m, n: F.max_pool2d(m[None], 2, padding=1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("names", SAVED)
def test_nodes_show_what_they_save(names):
    def shown(torch):
        nodes = [f(torch, torch.nn.functional, *operands(torch)).grad_fn for f in SAVED[names]]
        return [(n.name(), [getattr(n, f"_saved_{x}") for x in names.split()]) for n in nodes]

    both(shown)


def test_nothing_is_kept_for_what_is_packed():
    """A node whose tensors are packed elsewhere keeps no residuals of its own."""
    x = facade.tensor([1.0, 2.0], requires_grad=True)
    with facade.autograd.graph.saved_tensors_hooks(to_numpy_of_detached, facade.tensor):
        y = x.exp()
    assert y.grad_fn.home is None
    y.sum().backward()
    np.testing.assert_allclose(to_numpy(x.grad), np.exp([1.0, 2.0]), rtol=1e-6)


def to_numpy_of_detached(t):
    return t.detach().numpy()
