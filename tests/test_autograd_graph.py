"""torch.autograd.graph and the names around it: the same code under PyTorch and facade."""

import warnings

import pytest
from parity import Cases, both, leaf

import facade

CASES = case = Cases()


def multi_hook(torch, mode):
    seen = []

    def note(found):
        seen.append([g is not None for g in found] if mode == "all" else found.tolist())

    a, b, c, d = (leaf(torch, float(i), 2.0) for i in range(4))
    e = a * b
    tensors = [a, b, c, e] if mode == "all" else [c, a, b]
    handle = torch.autograd.graph.register_multi_grad_hook(tensors, note, mode=mode)
    (e + c * d).sum().backward(retain_graph=True)
    e.sum().backward()
    handle.remove()
    (a * b).sum().backward()
    return seen


@case
def hook_on_all_gradients(torch):
    return multi_hook(torch, "all")


@case
def hook_on_the_first_gradient(torch):
    return [len(found) for found in multi_hook(torch, "any")]


@case
def hook_on_all_gradients_that_grad_asks_for(torch):
    seen = []
    a, b = leaf(torch, 1.0), leaf(torch, 2.0)
    c, d = a * b, a.exp()
    torch.autograd.graph.register_multi_grad_hook(
        [c, d], lambda found: seen.append([g is not None for g in found])
    )
    torch.autograd.grad((c + d).sum(), [b], retain_graph=True)
    torch.autograd.grad((c + d).sum(), [c, d])
    return seen


@case
def hook_on_no_known_mode(torch):
    return multi_hook(torch, "some")


@case
def version_counted_by_hand(torch):
    x = torch.zeros(2)
    torch.autograd.graph.increment_version(x)
    torch.autograd.graph.increment_version([x, x[0]])
    return x._version


class Square:
    """A Function's backward that reads what was saved, in either library."""

    def __new__(cls, torch):
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, gradient):
                return 2 * ctx.saved_tensors[0] * gradient

        return Square


@case
def saved_tensor_written(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x * 1
    z = Square(torch).apply(y)
    y.add_(5)
    z.sum().backward()


@case
def saved_tensor_written_where_it_may(torch):
    x = leaf(torch, 1.0, 2.0)
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        y = x * 1
        z = Square(torch).apply(y)
        y.add_(5)
        w = (y**2).sum()
        y.sin_()
        (z.sum() + w).backward()
    return x.grad


@case
def mutation_allowed_twice(torch):
    allowed = torch.autograd.graph.allow_mutation_on_saved_tensors
    with allowed(), allowed():
        pass


@case
def hooks_refused_by_a_decorator(torch):
    @torch.autograd.graph.disable_saved_tensors_hooks("not here")
    def refuses():
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass

    refuses()


@case
def nodes(torch):
    x = leaf(torch, 1.0)
    y = x * 2
    kind = torch.autograd.graph.Node
    ends = [f for f, _ in y.grad_fn.next_functions if f is not None]
    return isinstance(y.grad_fn, kind), issubclass(type(ends[0]), kind), isinstance(x, kind)


@case
def views_know_that_they_are(torch):
    x = torch.zeros(2, 2)
    return x._is_view(), x[0]._is_view(), x.t()._is_view(), x.detach()._is_view()


@case
def anomaly_switches(torch):
    def now():
        return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()

    found = [now()]
    for arguments in ((True, False), (True,), (False,)):
        torch.set_anomaly_enabled(*arguments)
        found.append(now())
    return found


@case
def variables(torch):
    kind = torch.autograd.Variable
    x = leaf(torch, 1.0, 2.0)
    made = kind(x), kind(x * 2, requires_grad=True)
    made[0].data[0] = 5
    return made, x, isinstance(x, kind), type(made[0]) is torch.Tensor


@case
def variable_of_a_list(torch):
    torch.autograd.Variable([1.0])


@case
def detached_by_function(torch):
    return torch.detach(leaf(torch, 1.0) * 2)


# ---- what nodes save ----

UNARY = ("relu", "sigmoid", "tanh", "exp", "sin", "log", "abs", "rsqrt", "softmax", "log_softmax")


def saved(node):
    """Return what a node saves of its operands and results, by PyTorch's names."""
    names = ("self", "result", "other", "mat2", "vec", "tensor", "input", "weight", "mask")
    names = [f"_saved_{name}" for name in names]
    return {name: getattr(node, name) for name in names if name in dir(node)}


@case
def saved_by_functions_of_one_tensor(torch):
    x = leaf(torch, 1.0, 2.0)
    results = [getattr(x, name)(*((0,) if "softmax" in name else ())) for name in UNARY]
    return [saved(y.grad_fn) for y in results]


@case
def saved_by_products(torch):
    x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
    m, n = torch.outer(x, w), torch.outer(w, x)
    made = [x * w, x * w.detach(), x / w, x * 2, m @ n, m @ n.detach(), m @ x, x.dot(w)]
    return [saved(y.grad_fn) for y in made]


@case
def saved_by_layers(torch):
    x, w = torch.ones(1, 2, 3), torch.ones(4, 2, 1, requires_grad=True)
    y = torch.nn.functional.conv1d(x, w)
    z = x.masked_fill(x > 0, 2.0) * w[0, 0]
    return [saved(y.grad_fn), saved(y.masked_fill(y > 1, 0.0).grad_fn), saved(z.grad_fn)]


@case
def saved_tensors_are_the_tensors_themselves(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x.exp()
    z = y * x
    kept = z.grad_fn._saved_self, y.grad_fn._saved_result
    return (
        x.pow(2).grad_fn._saved_self is x,
        x.pow(2).grad_fn._saved_exponent,
        z.grad_fn._saved_other is x,
        [t.grad_fn is y.grad_fn for t in kept],
        torch.autograd.grad(kept[0].sum(), x),
    )


@case
def saved_tensors_after_a_read(torch):
    x = leaf(torch, 1.0, 2.0)
    y = x.exp()
    z = y * x
    z.sum().item()
    return z.grad_fn._saved_self, z.grad_fn._saved_other is x, y.grad_fn._saved_result


@case
def saved_tensors_freed(torch):
    y = leaf(torch, 1.0, 2.0).exp()
    y.sum().backward()
    return y.grad_fn._saved_result


@case
def nothing_saved(torch):
    return saved((leaf(torch, 1.0) + 1).grad_fn)


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    both(CASES[name])


# ---- where nan comes from ----


def notes_of(step):
    """Return the warnings, and the notes on the error, of a step that gives nan."""
    with warnings.catch_warnings(record=True) as told, facade.autograd.detect_anomaly():
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="returned nan values") as caught:
            step()
    return str(told[-1].message), "\n".join(caught.value.__notes__)


def test_first_nan_of_the_forward_is_named():
    def step():
        x = leaf(facade, -1.0, 2.0)
        y = x.log()  # this one
        loss = (y * y).sum()
        loss.backward()

    told, note = notes_of(step)
    assert told.startswith("Error detected in MulBackward0.")
    assert told.rstrip().endswith("loss = (y * y).sum()")
    assert note.startswith("nan was first the result of log (LogBackward0), recorded at")
    assert "y = x.log()  # this one" in note
    assert "operand 0: tensor([-1.,  2.])\n  result 0: tensor([   nan, 0.6931])" in note


def test_nan_of_the_backward_is_named():
    def step():
        x = leaf(facade, 0.0, 1.0)
        (x.sqrt() * 0).sum().backward()

    _, note = notes_of(step)
    assert note.startswith("nan was first a gradient of sqrt (SqrtBackward0), recorded at")
    assert "gradient 0: tensor([nan, 0.])" in note


def test_error_in_a_backward_is_warned_of():
    class Fails(facade.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("no")

    with (
        pytest.warns(UserWarning, match="Error detected in FailsBackward"),
        facade.autograd.set_detect_anomaly(True),
        pytest.raises(RuntimeError, match=r"^no$"),
    ):
        Fails.apply(leaf(facade, 1.0)).sum().backward()
