"""backward(), grad(), hooks, modes: the same code under PyTorch and facade."""

import gc
import weakref

import pytest
from parity import Cases, both, leaf

import facade
from facade.tape import state

CASES = case = Cases()


@case
def tutorial(torch):
    a, b = leaf(torch, 2.0, 3.0), leaf(torch, 6.0, 4.0)
    q = 3 * a**3 - b**2
    q.backward(gradient=torch.tensor([1.0, 1.0]))
    return repr(q), a.grad, b.grad, 9 * a**2 == a.grad


@case
def accumulates(torch):
    x = leaf(torch, 1.0, 2.0)
    for _ in range(3):
        (x * x).sum().backward()
    return x.grad


@case
def grad_keeps_its_identity(torch):
    x = leaf(torch, 1.0, 2.0)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    return first is x.grad, first


@case
def shared_subexpression(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x.exp()
    z = y * y + y
    z.sum().backward()
    return x.grad


@case
def one_of_two_equal_operands_is_detached(torch):
    x = leaf(torch, 1.0, 2.0)
    gradients = []
    for a, b in ((x, x.detach()), (x.detach(), x)):
        x.grad = None
        (a - 2 * b).sum().backward()
        gradients.append(x.grad)
        torch.sub(a, b).sum().backward()
        gradients.append(x.grad.tolist())
    return gradients


@case
def a_leaf_used_twice_is_gone(torch):
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    y = x * w + w.exp()
    del w
    y.sum().backward()
    return x.grad


@case
def repeated_where_a_leaf_stood_before(torch):
    x = leaf(torch, 1.0, 2.0)
    for y in (x, x.exp(), x.sin()):
        y.detach().tolist()
        (y * torch.tensor([1.0, 2.0])).sum().backward()
        x.grad.tolist()
    return x.grad


@case
def twice_without_retain(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    y.backward()


@case
def twice_where_nothing_is_saved(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


@case
def twice_with_retain(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@case
def read_before_backward(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x.exp() * x).sum()
    value = y.item()
    y.backward()
    return value, x.grad


@case
def read_between_two_backwards(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x.exp() * x).sum()
    y.item()
    y.backward(retain_graph=True)
    first = x.grad.tolist()
    y.backward()
    return first, x.grad


@case
def read_in_the_middle(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x.sin()
    y.tolist()
    z = y * x
    z.tolist()
    z.sum().backward()
    return x.grad


@case
def create_graph(torch):
    x = leaf(torch, 1.0, 2.0)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    h.sum().backward()
    return g.detach(), h.detach(), x.grad


@case
def create_graph_after_a_read(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x.exp() * x).sum()
    y.item()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    g.tolist()
    (h,) = torch.autograd.grad(g.sum(), x)
    return g.detach(), h


@case
def gradient_penalty(torch):
    x = leaf(torch, 1.0, 2.0)
    w = leaf(torch, 0.5, -0.5)
    y = (w * x).tanh().sum()
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    ((g.norm() - 1) ** 2).backward()
    return w.grad


@case
def grad_of_several_roots(torch):
    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    return torch.autograd.grad([(x * y).sum(), (x * 2).sum()], [x, y])


@case
def backward_of_several_roots(torch):
    x = leaf(torch, 1.0, 2.0)
    torch.autograd.backward([(x * 2).sum(), x * x], [None, torch.tensor([1.0, 10.0])])
    return x.grad


@case
def grad_at_a_non_leaf(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    return torch.autograd.grad(z, [y, x])


@case
def grad_leaves_other_leaves_alone(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    torch.autograd.grad((x * y).sum(), x)
    return x.grad, y.grad


@case
def unused_input(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    torch.autograd.grad((x * 2).sum(), y)


@case
def allow_unused(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    return torch.autograd.grad((x * 2).sum(), [x, y], allow_unused=True)


@case
def materialize_grads(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    return torch.autograd.grad((x * 2).sum(), [x, y], materialize_grads=True)


@case
def materialize_grads_against_allow_unused(torch):
    x = leaf(torch, 1.0)
    torch.autograd.grad(x.sum(), x, allow_unused=False, materialize_grads=True)


@case
def backward_inputs(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    (x * y).sum().backward(inputs=[x])
    return x.grad, y.grad


@case
def backward_inputs_empty(torch):
    leaf(torch, 1.0).sum().backward(inputs=[])


@case
def backward_of_a_vector(torch):
    (leaf(torch, 1.0, 2.0) * 2).backward()


@case
def backward_without_grad(torch):
    torch.tensor([1.0]).sum().backward()


@case
def backward_with_wrong_shape(torch):
    (leaf(torch, 1.0, 2.0) * 2).backward(torch.ones(3))


@case
def backward_of_a_leaf(torch):
    x = torch.tensor(2.0, requires_grad=True)
    x.backward()
    return x.grad


@case
def gradient_is_not_aliased(torch):
    x = leaf(torch, 1.0, 2.0)
    g = torch.tensor([1.0, 1.0])
    x.backward(g)
    x.grad.add_(1)
    return g, x.grad


@case
def retain_grad(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    return y.grad, y.retains_grad, x.retains_grad


@case
def retain_grad_without_grad(torch):
    torch.tensor([1.0]).retain_grad()


@case
def hook_sees_and_replaces(torch):
    x = leaf(torch, 1.0, 2.0)
    seen = []
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    first = x.grad.tolist()
    handle.remove()
    x.grad = None
    y = x * 3
    (y * y).sum().backward()
    return seen, first, x.grad


@case
def hook_on_a_leaf(torch):
    x = leaf(torch, 1.0, 2.0)
    x.register_hook(lambda g: g + 1)
    (x * 2).sum().backward()
    return x.grad


@case
def post_accumulate_hook(torch):
    x = leaf(torch, 1.0, 2.0)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * 2).sum().backward()
    return seen


@case
def post_accumulate_hook_on_non_leaf(torch):
    (leaf(torch, 1.0) * 2).register_post_accumulate_grad_hook(print)


@case
def node_hooks(torch):
    x = leaf(torch, 1.0, 2.0)
    log = []
    y = x * 3
    y.grad_fn.register_prehook(lambda go: log.append(["pre", go[0].tolist()]))
    y.grad_fn.register_hook(lambda gi, go: log.append(["post", gi[0].tolist(), go[0].tolist()]))
    y.sum().backward()
    return log, x.grad


@case
def hook_without_grad(torch):
    torch.tensor([1.0]).register_hook(print)


@case
def walk_the_graph(torch):
    x, y = leaf(torch, 1.0), leaf(torch, 2.0)
    z = (x * y + 1).sum()

    def walk(node):
        if node is None:
            return None
        return [node.name(), [[walk(n), i] for n, i in node.next_functions]]

    return walk(z.grad_fn), z.grad_fn.next_functions[0][0].next_functions[0][0].next_functions[0][
        0
    ].variable is x


@case
def no_grad(torch):
    x = leaf(torch, 1.0)
    with torch.no_grad():
        y = x * 2
        with torch.enable_grad():
            z = x * 2
    return y, z, torch.is_grad_enabled()


@case
def no_grad_decorator(torch):
    x = leaf(torch, 1.0)

    @torch.no_grad()
    def f():
        return x * 2

    @torch.no_grad
    def g():
        return x * 3

    return f(), g(), x * 4


@case
def no_grad_generator(torch):
    x = leaf(torch, 1.0)

    @torch.no_grad()
    def f():
        yield x * 2
        yield x * 3

    found = []
    for y in f():
        found.append(y.requires_grad)
        found.append((x * 2).requires_grad)
    return found


@case
def set_grad_enabled(torch):
    x = leaf(torch, 1.0)
    torch.set_grad_enabled(False)
    y = x * 2
    torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        z = x * 2
    return y, z, x * 2


@case
def inference_mode(torch):
    x = leaf(torch, 1.0)
    with torch.inference_mode():
        y = x * 2
        inside = torch.is_inference_mode_enabled()
    return y.requires_grad, inside, torch.is_inference_mode_enabled()


@case
def detach(torch):
    x = leaf(torch, 1.0, 2.0)
    y = (x * 2).detach()
    (y * x).sum().backward()
    return y, x.grad


@case
def data(torch):
    x = leaf(torch, 1.0, 2.0)
    x.data.mul_(3)
    x.data = x.data + 1
    return x, x.data


@case
def requires_grad_on_a_non_leaf(torch):
    (leaf(torch, 1.0) * 2).requires_grad_(False)


@case
def requires_grad_on_integers(torch):
    torch.tensor([1]).requires_grad_()


@case
def leaves(torch):
    x = leaf(torch, 1.0)
    y = x * 2
    return x.is_leaf, y.is_leaf, y.detach().is_leaf, torch.tensor(1).is_leaf, x.grad_fn


@case
def assign_grad(torch):
    x = leaf(torch, 1.0, 2.0)
    x.grad = torch.tensor([5.0, 6.0])
    (x * 2).sum().backward()
    return x.grad


@case
def assign_grad_of_wrong_size(torch):
    leaf(torch, 1.0, 2.0).grad = torch.tensor([5.0])


@case
def assign_grad_of_wrong_dtype(torch):
    leaf(torch, 1.0).grad = torch.tensor([5.0], dtype=torch.float64)


@case
def hand_written_sgd(torch):
    w = leaf(torch, 1.0, 2.0)
    for _ in range(5):
        loss = ((w - 3) ** 2).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()
    return w, w.grad


@case
def old_fashioned_sgd(torch):
    w = leaf(torch, 1.0, 2.0)
    for _ in range(5):
        ((w - 3) ** 2).sum().backward()
        w.data -= 0.1 * w.grad.data
        w.grad.data.zero_()
    return w


@case
def complex_gradient(torch):
    z = torch.tensor([1.0 + 2.0j, 0.5 - 1.0j], requires_grad=True)
    (z * z * (2 - 1j)).abs().sum().backward()
    return z.grad


@case
def deep_graph(torch):
    x = leaf(torch, 1.0)
    y = x
    for _ in range(300):
        y = y * 1.001
    y.sum().backward()
    return x.grad


@case
def wide_fan_in(torch):
    x = leaf(torch, 1.0, 2.0)
    sum(x * i for i in range(20)).sum().backward()
    return x.grad


@case
def frozen_operand(torch):
    w, f = leaf(torch, 1.0, 2.0), torch.tensor([3.0, 4.0])
    (w * f).sum().backward()
    return w.grad, f.grad


@case
def deepcopy_of_a_non_leaf(torch):
    import copy

    copy.deepcopy(leaf(torch, 1.0) * 2)


@case
def deepcopy_and_pickle(torch):
    import copy
    import pickle

    x = leaf(torch, 1.0, 2.0)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    y.data.add_(1)
    z = pickle.loads(pickle.dumps(x))
    return x, y, y.grad, z


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])


def test_a_backward_lets_go_of_its_tape():
    def step():
        w = facade.ones(3, requires_grad=True)
        (w * 2).sum().backward()
        tape = weakref.ref(state.tape)
        w.grad.tolist()
        return tape

    gc.collect()
    gc.disable()
    try:
        ended = step()
        facade.ones(1) + 1  # the thread's tape is another now
        assert ended() is None
    finally:
        gc.enable()
