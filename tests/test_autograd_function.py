"""autograd.Function: the same functions under PyTorch and facade."""

import gc
import weakref

import pytest
from counting import compilations
from parity import Cases, both, leaf

import facade
from facade import program

CASES = case = Cases()


def make(torch, forward, backward=None, **others):
    """Return a Function of these static methods."""
    methods = {"forward": forward, "backward": backward} | others
    body = {name: staticmethod(f) for name, f in methods.items() if f is not None}
    return type("Mine", (torch.autograd.Function,), body)


def exponential(torch):
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, gradient):
            (y,) = ctx.saved_tensors
            return gradient * y

    return Exp


def cube(torch):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(x, scale=1.0):
            return scale * x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.scale = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * ctx.scale * 3 * x**2, None

    return Cube


def double(ctx, x, *others):
    return x * 2


@case
def a_saved_result(torch):
    x = leaf(torch, 0.5, -1.0)
    y = exponential(torch).apply(x)
    (y * y).sum().backward()
    return y, y.grad_fn.name(), type(y.grad_fn).__name__, x.grad


@case
def setup_context_and_defaults(torch):
    x = leaf(torch, 0.5, -1.0)
    a, b = cube(torch).apply(x), cube(torch).apply(x, scale=3.0)
    (a * b).sum().backward()
    return a, b, x.grad


@case
def differentiated_twice(torch):
    x = leaf(torch, 0.5, -1.0, dtype=torch.float64)
    y = cube(torch).apply(exponential(torch).apply(x), 2.0)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x)
    return first.detach(), second.detach(), third


@case
def what_the_context_knows(torch):
    seen = []

    def backward(ctx, gradient):
        seen.extend([ctx.needs_input_grad, ctx.note, len(ctx.saved_tensors)])
        return gradient * 2, None, None

    def forward(ctx, x, y, n):
        ctx.note = n
        ctx.save_for_backward(x, None)
        return x * 2

    y = make(torch, forward, backward).apply(leaf(torch, 1.0), torch.ones(1), 7)
    y.sum().backward()
    return seen, y.grad_fn.note, type(y.grad_fn).__name__


@case
def nodes_are_walked(torch):
    x = leaf(torch, 1.0, 2.0)
    node = make(torch, double).apply(x * 3, torch.ones(2), 5, x).grad_fn
    names = [child and child.name() for child, _ in node.next_functions]
    return names, node.next_functions[2][0].variable is x


@case
def several_results_and_absent_gradients(torch):
    seen = []

    def backward(ctx, g, h):
        seen.extend([g.clone(), h.clone()])
        return g + h

    x = leaf(torch, 1.0, 2.0)
    a, b = make(torch, lambda ctx, x: (x * 1, x + 1), backward).apply(x)
    b.sum().backward()
    return a, b, x.grad, seen


@case
def absent_gradients_not_materialized(torch):
    seen = []

    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 1, x + 1

    def backward(ctx, g, h):
        seen.append((g is None, h.clone()))
        return h

    x = leaf(torch, 1.0, 2.0)
    make(torch, forward, backward).apply(x)[1].sum().backward()
    return x.grad, seen


@case
def results_without_gradient(torch):
    seen = []

    def forward(ctx, x):
        flat = x.floor()
        ctx.mark_non_differentiable(flat)
        return x * 2, flat, x.long()

    def backward(ctx, *gradients):
        seen.extend(g.clone() for g in gradients)
        return gradients[0] * 2

    x = leaf(torch, 1.5, 2.5)
    results = make(torch, forward, backward).apply(x)
    results[0].sum().backward()
    return results, x.grad, seen


@case
def results_that_are_no_tensors(torch):
    return make(torch, lambda ctx, x: (x * 2, "text", None, 3)).apply(leaf(torch, 1.0))


@case
def a_list_is_returned_as_it_is(torch):
    return make(torch, lambda ctx, x: [x * 2, x]).apply(leaf(torch, 1.0))


@case
def an_input_returned(torch):
    x = leaf(torch, 1.0, 2.0)
    y = make(torch, lambda ctx, x: x, lambda ctx, g: g * 5).apply(x)
    y.sum().backward()
    return y, y is x, x.grad


def doubled_in_place(torch):
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    return make(torch, forward, lambda ctx, g: g * 2)


@case
def an_input_written(torch):
    x = leaf(torch, 1.0, 2.0)
    a = x.clone()
    b = doubled_in_place(torch).apply(a)
    (a * b).sum().backward()
    return a, b is a, x.grad


@case
def a_view_written(torch):
    x = leaf(torch, 1.0, 2.0, 3.0)
    base = x * 1
    doubled_in_place(torch).apply(base[:2])
    (base * base).sum().backward()
    return base.detach(), x.grad


@case
def a_leaf_written(torch):
    return doubled_in_place(torch).apply(leaf(torch, 1.0))


@case
def written_and_not_returned(torch):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x * 2

    return make(torch, forward).apply(leaf(torch, 1.0).clone())


@case
def no_grad_makes_no_node(torch):
    with torch.no_grad():
        return exponential(torch).apply(leaf(torch, 1.0))


@case
def grad_mode_inside(torch):
    seen = []

    def forward(ctx, x):
        seen.append(torch.is_grad_enabled())
        return x * 2

    def backward(ctx, g):
        seen.append(torch.is_grad_enabled())
        return g * 2

    x = leaf(torch, 1.0)
    y = make(torch, forward, backward).apply(x)
    torch.autograd.grad(y, x, retain_graph=True)
    torch.autograd.grad(y, x, create_graph=True)
    return seen


@case
def gradients_are_fitted(torch):
    x, y = leaf(torch, 1.0, 2.0, 3.0), leaf(torch, 1.0)
    Mine = make(torch, double, lambda ctx, g, *_: (g.expand(2, 3), g.double()))
    Mine.apply(x, y).sum().backward()
    return x.grad, y.grad


@case
def surplus_nones_are_dropped(torch):
    x = leaf(torch, 1.0)
    make(torch, double, lambda ctx, g: (g, None, None)).apply(x).sum().backward()
    return x.grad


def wrong_backward(torch, backward, *others):
    x = leaf(torch, 1.0, 2.0, 3.0)
    make(torch, double, backward).apply(x, *others).sum().backward()


@case
def too_many_gradients(torch):
    wrong_backward(torch, lambda ctx, g: (g, g))


@case
def too_few_gradients(torch):
    wrong_backward(torch, lambda ctx, g: g, torch.ones(1))


@case
def a_gradient_that_is_no_tensor(torch):
    wrong_backward(torch, lambda ctx, g: 3)


@case
def a_gradient_of_another_shape(torch):
    wrong_backward(torch, lambda ctx, g: g[:2])


@case
def no_backward(torch):
    wrong_backward(torch, None)


@case
def no_forward(torch):
    type("Mine", (torch.autograd.Function,), {}).apply(leaf(torch, 1.0))


@case
def backward_and_vjp(torch):
    x = leaf(torch, 1.0)
    both_given = make(torch, double, lambda ctx, g: g, vjp=lambda ctx, g: g)
    both_given.apply(x).sum().backward()


@case
def vjp_instead_of_backward(torch):
    x = leaf(torch, 1.0)
    make(torch, double, vjp=lambda ctx, g: g * 7).apply(x).sum().backward()
    return x.grad


@case
def called_on_an_instance(torch):
    Mine = make(torch, double)
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = Mine()
    instance(leaf(torch, 1.0))


@case
def saving_a_number(torch):
    def forward(ctx, x):
        ctx.save_for_backward(x, 3)
        return x * 2

    make(torch, forward).apply(leaf(torch, 1.0))


@case
def a_saved_input_written(torch):
    x = leaf(torch, 1.0, 2.0).clone()
    y = cube(torch).apply(x)
    x.mul_(2)
    y.sum().backward()


@case
def a_saved_result_written(torch):
    y = exponential(torch).apply(leaf(torch, 1.0, 2.0))
    y.mul_(2)
    y.sum().backward()


@case
def backward_twice(torch):
    y = exponential(torch).apply(leaf(torch, 1.0))
    y.backward()
    y.backward()


@case
def backward_twice_with_retain_graph(torch):
    x = leaf(torch, 1.0)
    y = exponential(torch).apply(x)
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@case
def once_differentiable(torch):
    once = torch.autograd.function.once_differentiable

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2 * x

    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)
    y = make(torch, forward, once(backward)).apply(x) * w
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()


@case
def in_the_middle_of_a_network(torch):
    model = torch.nn.Linear(3, 3)
    with torch.no_grad():
        model.weight.fill_(0.1)
    x = torch.ones(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        exponential(torch).apply(model(exponential(torch).apply(model(x)))).mean().backward()
        optimizer.step()
    return model.weight


@case
def a_value_read_before_backward(torch):
    x = leaf(torch, 1.0, 2.0)
    y = exponential(torch).apply(x * 2)
    value = y.sum().item()
    (y * y).sum().backward()
    return value, x.grad


@case
def a_value_read_inside_backward(torch):
    seen = []

    def backward(ctx, g):
        seen.append(g.sum().item())
        return g * 2

    x = leaf(torch, 1.0, 2.0)
    make(torch, double, backward).apply(x * x).sum().backward()
    return x.grad, seen


@case
def hooks_on_the_node(torch):
    seen = []
    x = leaf(torch, 1.0, 2.0)
    y = make(torch, double, lambda ctx, g: g * 2).apply(x)
    y.grad_fn.register_hook(lambda grads, outputs: seen.append((grads, outputs)))
    y.grad_fn.register_prehook(lambda outputs: (outputs[0] * 10,))
    y.sum().backward()
    return x.grad, seen


@case
def saved_tensors_are_packed(torch):
    seen = []

    def pack(x):
        seen.append(("pack", x.detach()))
        return x.numpy() if not x.requires_grad else x.detach().numpy()

    def unpack(array):
        seen.append("unpack")
        return torch.tensor(array)

    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = exponential(torch).apply(x)
    y.sum().backward()
    return x.grad, seen


@case
def saved_on_the_cpu(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.save_on_cpu():
        y = cube(torch).apply(x)
    y.sum().backward()
    return x.grad


@case
def hooks_on_saved_tensors_refused(torch):
    with (
        torch.autograd.graph.disable_saved_tensors_hooks("not here"),
        torch.autograd.graph.save_on_cpu(),
    ):
        pass


@case
def multithreading_switch(torch):
    x = leaf(torch, 3.0)
    with torch.autograd.set_multithreading_enabled(False):
        (x * x).backward()
    return x.grad


def off_by_one(torch):
    return make(torch, lambda ctx, x: x * 2, lambda ctx, g: g * 3)


@case
def gradcheck_passes(torch):
    x = leaf(torch, 0.5, -1.0, dtype=torch.float64)
    check = torch.autograd.gradcheck
    return check(cube(torch).apply, x), check(lambda x, y: (x.sin() * y, x), (x, x * 1))


@case
def gradgradcheck_passes(torch):
    x = leaf(torch, 0.5, -1.0, dtype=torch.float64)
    return torch.autograd.gradgradcheck(cube(torch).apply, (x,)), x


@case
def gradcheck_finds_a_mistake(torch):
    x = leaf(torch, 0.5, -1.0, dtype=torch.float64)
    return torch.autograd.gradcheck(off_by_one(torch).apply, x, raise_exception=False)


@case
def gradcheck_raises(torch):
    x = leaf(torch, 0.5, dtype=torch.float64)
    try:
        torch.autograd.gradcheck(off_by_one(torch).apply, x)
    except RuntimeError as error:
        return type(error).__name__, str(error).split("numerical:")[0]


@case
def gradcheck_without_inputs(torch):
    torch.autograd.gradcheck(lambda x: x, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])


def test_a_saved_result_is_no_cycle():
    Exp = exponential(facade)
    y = Exp.apply(leaf(facade, 1.0))
    node = weakref.ref(y.grad_fn)
    gc.disable()
    try:
        del y
        assert node() is None
    finally:
        gc.enable()


@pytest.mark.programs
def test_a_step_with_a_function_is_one_program():
    Exp = exponential(facade)
    w = leaf(facade, 0.1, 0.2)
    optimizer = facade.optim.SGD([w], lr=0.1)

    def step():
        optimizer.zero_grad()
        Exp.apply(w * 2).sum().backward()
        optimizer.step()

    step()
    step()
    before = program.program_count()
    with compilations() as compiled:
        step()
    assert compiled == [0]
    assert program.program_count() == before


def nan_in_backward(torch, on):
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    with on(torch.autograd):
        y = (x * 0).sqrt() * 0
        y.sum().backward()
    return x.grad


ANOMALY = {
    "found": lambda a: a.set_detect_anomaly(True),
    "off": lambda a: a.set_detect_anomaly(False),
    "nan is none": lambda a: a.set_detect_anomaly(True, check_nan=False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ANOMALY)
def test_anomaly(name):
    both(lambda torch: nan_in_backward(torch, ANOMALY[name]))


def test_anomaly_shows_the_forward_call():
    with pytest.warns(UserWarning) as warned, pytest.raises(RuntimeError, match="SqrtBackward0"):
        nan_in_backward(facade, lambda a: a.detect_anomaly())
    shown = str(warned[-1].message)
    assert shown.startswith("Error detected in SqrtBackward0. Traceback of forward call")
    assert "y = (x * 0).sqrt() * 0" in shown
