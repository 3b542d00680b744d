"""utils.checkpoint: values and behaviour as in PyTorch, and memory saved in the program."""

import functools
import warnings

import jax
import pytest
import torch
from parity import Cases, both, leaf

import facade
import facade.utils.checkpoint
from facade import program
from facade.lower import lower

CASES = case = Cases()


def block(torch):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))


@case
def a_module(torch, reentrant):
    model, x = block(torch), leaf(torch, 1.0, 2.0, 3.0)
    y = torch.utils.checkpoint.checkpoint(model, x * 1, use_reentrant=reentrant)
    (y * y).sum().backward()
    return y.detach(), x.grad, [p.grad for p in model.parameters()]


@case
def runs_twice(torch, reentrant):
    calls = []

    def function(x):
        calls.append(torch.is_grad_enabled())
        return x.sin()

    x = leaf(torch, 1.0)
    torch.utils.checkpoint.checkpoint(function, x, use_reentrant=reentrant).sum().backward()
    return calls, x.grad


@case
def the_same_random_numbers(torch, reentrant):
    x = torch.ones(50, requires_grad=True)
    drop = torch.nn.functional.dropout
    y = torch.utils.checkpoint.checkpoint(lambda x: drop(x * x), x, use_reentrant=reentrant)
    after = torch.rand(2)
    y.sum().backward()
    return y.detach(), x.grad, after, torch.rand(2)


@case
def other_random_numbers(torch, reentrant):
    x = torch.ones(50, requires_grad=True)
    drop = torch.nn.functional.dropout
    y = torch.utils.checkpoint.checkpoint(
        lambda x: drop(x * x), x, use_reentrant=reentrant, preserve_rng_state=False
    )
    y.sum().backward()
    return y.detach(), x.grad


@case
def arguments_that_are_no_tensors(torch, reentrant):
    def function(x, scale, names, y):
        return x * scale * len(names), y + 1

    x, y = leaf(torch, 1.0, 2.0), leaf(torch, 3.0)
    a, b = torch.utils.checkpoint.checkpoint(
        function, x, 3.0, ("a", "b"), y, use_reentrant=reentrant
    )
    (a.sum() * b).backward()
    return a.detach(), b.detach(), x.grad, y.grad


@case
def in_a_row(torch, reentrant):
    model, x = block(torch), leaf(torch, 1.0, 2.0, 3.0)
    run = torch.utils.checkpoint.checkpoint_sequential
    y = run(model, 2, x, use_reentrant=reentrant)
    y.sum().backward()
    return y.detach(), x.grad, [p.grad for p in model.parameters()]


@case
def nested(torch, reentrant):
    checkpoint = torch.utils.checkpoint.checkpoint

    def outer(x):
        return checkpoint(lambda x: x.sin() * x, x * 2, use_reentrant=reentrant).exp()

    x = leaf(torch, 0.5, 1.0)
    checkpoint(outer, x, use_reentrant=reentrant).sum().backward()
    return x.grad


@case
def autograd_grad(torch, reentrant):
    x = leaf(torch, 0.5, 1.0)
    y = torch.utils.checkpoint.checkpoint(lambda x: x * x, x, use_reentrant=reentrant)
    return torch.autograd.grad(y.sum(), x)


@case
def backward_twice(torch, reentrant):
    x = leaf(torch, 0.5, 1.0)
    function = torch.utils.checkpoint.checkpoint
    y = function(lambda x: x * x, x, use_reentrant=reentrant).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@case
def no_input_requires_grad(torch, reentrant):
    w = leaf(torch, 2.0)
    x = torch.ones(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = torch.utils.checkpoint.checkpoint(lambda x: x * w, x, use_reentrant=reentrant)
    return y.requires_grad


@case
def keyword_arguments(torch, reentrant):
    x = leaf(torch, 2.0)
    y = torch.utils.checkpoint.checkpoint(
        lambda x, power: x**power, x, power=3, use_reentrant=reentrant
    )
    y.sum().backward()
    return x.grad


@case
def in_no_grad(torch, reentrant):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.utils.checkpoint.checkpoint(
            lambda x: x * x, leaf(torch, 2.0), use_reentrant=reentrant
        )


@case
def a_value_read_before_backward(torch, reentrant):
    model, x = block(torch), leaf(torch, 1.0, 2.0, 3.0)
    y = torch.utils.checkpoint.checkpoint(model, x, use_reentrant=reentrant).sum()
    value = y.item()
    y.backward()
    return value, x.grad, model[0].weight.grad


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name, reentrant):
    both(lambda torch: CASES[name](torch, reentrant))


def test_captured_tensors():
    def run(torch):
        x, w = leaf(torch, 1.0, 2.0), leaf(torch, 3.0, 4.0)
        h = w * w
        y = torch.utils.checkpoint.checkpoint(lambda a: a * h + x, x, use_reentrant=False)
        y.sum().backward()
        return x.grad, w.grad

    both(run)


def test_differentiated_twice():
    def run(torch):
        x, w = leaf(torch, 0.5, 1.0), leaf(torch, 2.0)
        y = torch.utils.checkpoint.checkpoint(lambda x: (x * w).sin(), x, use_reentrant=False)
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (g * g).sum().backward()
        return g.detach(), x.grad, w.grad

    both(run)


def test_contexts():
    def run(torch):
        seen = []

        class Context:
            def __init__(self, name):
                self.name = name

            def __enter__(self):
                seen.append(self.name)

            def __exit__(self, *_):
                pass

        x = leaf(torch, 1.0)
        torch.utils.checkpoint.checkpoint(
            lambda x: x.sin(), x, use_reentrant=False,
            context_fn=lambda: (Context("first"), Context("second")),
        ).sum().backward()  # fmt: skip
        return seen

    both(run)


def test_not_said_which():
    def run(torch):
        with pytest.warns(UserWarning) as warned:
            torch.utils.checkpoint.checkpoint(lambda x: x.sin(), leaf(torch, 1.0))
        return [str(w.message) for w in warned if "use_reentrant" in str(w.message)]

    both(run)


def train(reentrant, depth=16, size=64, **options):
    """Record a training step of layers that are checkpointed, and return its compiled program."""
    weight = facade.full((size, size), 0.01, requires_grad=True)
    x = facade.ones(512, size)

    def layer(h):
        for _ in range(3):
            h = (h @ weight).sin()
        return h

    for _ in range(depth):
        if reentrant is None:
            x = layer(x)
        else:
            x = facade.utils.checkpoint.checkpoint(
                layer, x + 0 * weight[0], use_reentrant=reentrant, **options
            )
    x.sum().backward()
    tape = weight.grad._cell.tape
    body = lower(tuple(tape.code), [weight.grad._cell.ref >> 2], {})
    with jax.enable_x64(True):
        floats, ints = (jax.numpy.array(n) for n in (tape.floats, tape.ints))
        run = jax.jit(lambda *arguments: body(*arguments)[0])
        return run.lower(tape.leaves, floats, ints).compile()


@pytest.mark.parametrize("reentrant", [True, False])
def test_memory(reentrant):
    plain, kept = train(None), train(reentrant)
    sizes: list = [c.memory_analysis() for c in (plain, kept)]
    assert sizes[1].temp_size_in_bytes < sizes[0].temp_size_in_bytes / 2
    costs: list = [c.cost_analysis() for c in (plain, kept)]
    assert costs[1]["flops"] > costs[0]["flops"] * 1.2


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_micro_batch_runs_as_a_whole(reentrant, monkeypatch):
    """Not in parts, one for each checkpoint, where gradients are accumulated."""
    monkeypatch.setattr("facade.autograd.engine.MAX_GRAPH_BYTES", 0)
    layers = [facade.nn.Linear(4, 4) for _ in range(3)]
    runs = []
    monkeypatch.setattr(program, "observer", lambda tape, _: runs.append(tape.path.length))

    def step():
        for _ in range(5):
            x = facade.ones(2, 4, requires_grad=True)
            for layer in layers:
                x = facade.utils.checkpoint.checkpoint(layer, x, use_reentrant=reentrant)
            x.sum().backward()
        layers[0].weight.grad.tolist()
        for layer in layers:
            layer.zero_grad()

    step()
    step()  # from here on known by its first backward
    runs.clear()
    step()
    assert len(runs) == 5


def products_kept(torch):
    """Return the contexts that keep the results of matrix products."""
    make = torch.utils.checkpoint.create_selective_checkpoint_contexts
    return functools.partial(make, [torch.ops.aten.mm.default])


def test_memory_of_a_policy():
    programs = train(None), train(False), train(False, context_fn=products_kept(facade))
    memories: list = [c.memory_analysis() for c in programs]
    plain, none, products = (m.temp_size_in_bytes for m in memories)
    assert none < products < plain
    texts: list = [c.as_text() for c in programs]
    counts = [text.count(" dot(") for text in texts]
    assert counts[1] - counts[2] == 3  # a layer's products, which aren't computed again


SELECTIVE = {
    "listed": lambda torch: products_kept(torch),
    "neither": lambda torch: lambda: torch.utils.checkpoint.create_selective_checkpoint_contexts(3),
}


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("name", SELECTIVE)
def test_policy(name, read):
    def run(torch):
        w, x = leaf(torch, [1.0, 2.0], [0.5, -1.0]), leaf(torch, [1.0, 3.0], [2.0, 1.0])
        y = torch.utils.checkpoint.checkpoint(
            lambda x: (x @ w).sin() @ w, x, use_reentrant=False, context_fn=SELECTIVE[name](torch)
        )
        if read:
            y.tolist()
        y.sum().backward(retain_graph=True)
        return y.detach(), x.grad, w.grad

    both(run)


def test_policy_wants_overloads():
    for library in (facade, torch):
        with pytest.raises(ValueError, match=r"be an OpOverload but got: aten\.mm of"):
            make = library.utils.checkpoint.create_selective_checkpoint_contexts
            make([library.ops.aten.mm])


def test_policy_is_asked():
    def run(torch):
        asked = []
        policy = torch.utils.checkpoint.CheckpointPolicy

        def keep_some(context, op, *args, **kwargs):
            asked.append((str(op), context.is_recompute, context.op_output.shape, len(args)))
            return policy.MUST_SAVE if len(asked) % 2 else policy.PREFER_RECOMPUTE

        # small, since tanh's derivative at large values is rounding
        w, x = torch.ones(2, 2, requires_grad=True), torch.full((3, 2), 0.1)
        make = torch.utils.checkpoint.create_selective_checkpoint_contexts
        y = torch.utils.checkpoint.checkpoint(
            lambda x: (torch.mm(x, w) * w[0]).exp().tanh(), x,
            use_reentrant=False, context_fn=lambda: make(keep_some),
        )  # fmt: skip
        y.sum().backward()
        return [each for each in asked if "select" not in each[0]], w.grad

    both(run)


def test_policy_keeps_for_one_backward():
    def run(torch):
        w = torch.ones(2, 2, requires_grad=True)
        y = torch.utils.checkpoint.checkpoint(
            lambda: (w @ w).sin(), use_reentrant=False, context_fn=products_kept(torch)
        )
        y.sum().backward(retain_graph=True)
        y.sum().backward()

    both(run)


def changing(torch, second, **options):
    """Run the backward of a function that does something else the second time."""
    runs = []

    def function(x):
        runs.append(x)
        return x.exp() * x if len(runs) == 1 else second(torch, x)

    x = leaf(torch, 1.0, 2.0)
    torch.utils.checkpoint.checkpoint(function, x, use_reentrant=False, **options).sum().backward()


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (lambda torch, x: x * 1, "A different number of tensors was saved during the original"),
        (
            lambda torch, x: (torch.cat([x, x]).exp() * torch.cat([x, x]))[:2],
            "Recomputed values for the following tensors have different metadata",
        ),
    ],
)
def test_second_run_differs(second, told):
    for library in (facade, torch):
        with pytest.raises(library.utils.checkpoint.CheckpointError, match=told):
            changing(library, second)


def test_debug_lists_the_ops():
    with pytest.raises(
        facade.utils.checkpoint.CheckpointError, match="ExpBackward0\\nMulBackward0"
    ):
        changing(facade, lambda torch, x: x * 1, debug=True)
    error = facade.utils.checkpoint.CheckpointError
    with facade.utils.checkpoint.set_checkpoint_debug_enabled(True), pytest.raises(error) as told:
        changing(facade, lambda torch, x: x * 1)
    assert "Operations of the forward pass" in str(told.value)


def test_arguments():
    def run(torch):
        found = []
        for options in ({"determinism_check": "some"}, {"early_stop": False}):
            try:
                y = torch.utils.checkpoint.checkpoint(
                    lambda x: x.sin(), leaf(torch, 1.0), use_reentrant=False, **options
                )
                found.append(y.detach())
            except ValueError as error:
                found.append(str(error))
        x = leaf(torch, 1.0)
        found.append(torch.utils.checkpoint.detach_variable((x * 2, 3)))
        with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
            torch.utils.checkpoint.check_backward_validity([x.detach()])
        with pytest.warns(UserWarning, match="In version 2.9 we will raise an exception"):
            torch.utils.checkpoint.checkpoint_sequential([torch.sin, torch.cos], 2, x)
        return found

    both(run)


def test_one_program():
    weight = facade.full((4, 4), 0.1, requires_grad=True)
    optimizer = facade.optim.SGD([weight], lr=0.1)

    def step():
        optimizer.zero_grad()
        h = facade.utils.checkpoint.checkpoint(
            lambda x: (x @ weight).sin(), facade.ones(2, 4), use_reentrant=False
        )
        h.sum().backward()
        optimizer.step()

    step()
    step()
    before = program.program_count()
    step()
    assert program.program_count() == before
