"""facade.jit and torch.compile: the same results, and Python is skipped."""

import importlib
import io

import numpy as np
import pytest
from counting import compilations
from parity import both

import facade as torch
from facade.capture import jit


def setup(kind, **options):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.3), torch.nn.Linear(4, 1)
    )
    optimizer = kind(net.parameters(), **options)
    calls = io.StringIO()

    def step(x, y):
        print("called", file=calls)
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return net, optimizer, step, calls


def number_of(calls):
    return calls.getvalue().count("called")


def batches(n=6):
    generator = np.random.default_rng(0)
    for _ in range(n):
        yield tuple(
            torch.from_numpy(generator.normal(size=(8, k)).astype(np.float32)) for k in (3, 1)
        )


OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (torch.optim.Adam, {"lr": 0.01}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS)
def test_a_training_step(kind, options):
    results = []
    for compiled in (False, True):
        net, optimizer, step, calls = setup(kind, **options)
        f = jit(step) if compiled else step
        losses = [f(x, y).item() for x, y in batches()]
        state = {k: v.tolist() for k, v in net.state_dict().items()}
        grads = [p.grad.tolist() for p in net.parameters()]
        steps = [s["step"].item() for s in optimizer.state.values() if "step" in s]
        results.append((losses, state, grads, steps))
        assert number_of(calls) == (2 if compiled else 6)
    for a, b in zip(*results, strict=True):
        _close(a, b)


def _close(a, b):
    if isinstance(a, dict):
        a, b = list(a.values()), list(b.values())
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=1e-6)


@pytest.mark.programs
def test_a_learning_rate_is_looked_up_by_every_call():
    found = []
    for compiled in (True, False):
        net, optimizer, step, calls = setup(torch.optim.SGD, lr=0.1)
        f = jit(step) if compiled else step
        torch.manual_seed(1)
        data = list(batches(6))
        for x, y in data[:4]:
            f(x, y)
        optimizer.param_groups[0]["lr"] = 0.02
        before = number_of(calls)
        with compilations() as count:
            f(*data[4]), f(*data[5])
        if compiled:
            assert count == [0]
            assert number_of(calls) == before == 2
        found.append(net[0].weight.tolist())
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_numbers_and_closures():
    scale, calls = 2.0, io.StringIO()

    def f(x, power):
        print("called", file=calls)
        return (x**power * scale).sum()

    g = jit(f)
    x = torch.tensor([1.0, 2.0])
    assert [g(x, 2).item() for _ in range(4)] == [10.0] * 4
    assert number_of(calls) == 2
    assert [g(x, 3).item() for _ in range(3)] == [18.0] * 3
    scale = 3.0
    assert g(x, 2).item() == 15.0
    scale = 2.0
    assert g(x, 2).item() == 10.0


def test_another_tensor_in_the_same_place():
    w = torch.ones(2)
    g = jit(lambda x: x * w)
    found = [g(torch.ones(2)).tolist() for _ in range(3)]
    w = torch.full((2,), 5.0)
    assert [*found, g(torch.ones(2)).tolist()] == [[1, 1]] * 3 + [[5, 5]]


def test_new_shapes():
    g = jit(lambda x: x.sum(0) * 2)
    for shape in ((2, 3), (4, 3), (2, 3), (4, 3), (2, 3)):
        assert g(torch.ones(shape)).tolist() == [2.0 * shape[0]] * 3


def test_gradients_flow_through():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    g = jit(lambda x: {"y": (x * w).sin()})
    x = torch.tensor([0.3, 0.4])
    for _ in range(3):
        w.grad = None
        g(x)["y"].sum().backward()
        np.testing.assert_allclose(w.grad.numpy(), x.numpy() * np.cos(x.numpy() * [1, 2]), 1e-5)


def is_there(x):
    return x._cell.array is not None


class TestWhatOnlyComputes:
    """It runs at once, if its operands are there."""

    def setup_method(self):
        torch.manual_seed(0)
        self.net = torch.nn.Linear(3, 2)
        self.calls = io.StringIO()

        def function(x):
            print("called", file=self.calls)
            return torch.func.jacrev(self.net)(x * 2).detach()

        self.called = jit(function)
        self.x = torch.tensor([1.0, 2.0, 3.0])
        self.x.sum().item()  # on the device
        for _ in range(3):
            self.expected = self.called(self.x).tolist()

    def test_at_once(self):
        before = number_of(self.calls)
        with compilations() as count:
            for _ in range(5):
                y = self.called(self.x)
                assert is_there(y)
                assert y.tolist() == self.expected
                assert y.dtype is torch.float32
                assert not y.requires_grad
        assert count == [0]
        assert number_of(self.calls) == before

    def test_of_what_is_still_to_be_computed(self):
        y = self.called(self.x + 0)
        assert not is_there(y)
        assert y.tolist() == self.expected

    def test_the_same_tensor_twice(self):
        twice = jit(lambda x, y: x * 2 + y)
        x, y = self.x, self.x.clone()
        y.tolist()
        for _ in range(3):
            assert twice(x, x).tolist() == [3.0, 6.0, 9.0]
        assert twice(x, y).tolist() == [3.0, 6.0, 9.0]
        y.zero_().tolist()
        assert twice(x, y).tolist() == [2.0, 4.0, 6.0]

    def test_with_a_gradient(self):
        called = jit(lambda x: self.net(x).sum())
        for _ in range(4):
            y = called(self.x)
            assert not is_there(y)
            assert y.requires_grad
        y.backward()
        assert self.net.bias.grad.tolist() == [1.0, 1.0]

    def test_with_what_is_written(self):
        count = torch.zeros(())

        def step(x):
            count.add_(1)
            return x * count

        called = jit(step)
        assert [called(self.x).tolist() for _ in range(4)][3] == [4.0, 8.0, 12.0]
        assert count.item() == 4

    def test_an_index_out_of_range(self):
        called = jit(lambda x, i: x[i])
        i = torch.tensor([0, 2])
        i.tolist()
        for _ in range(3):
            assert called(self.x, i).tolist() == [1.0, 3.0]
        wrong = torch.tensor([0, 3])
        wrong.tolist()
        with pytest.raises(IndexError, match="out of bounds"):
            called(self.x, wrong).tolist()

    def test_it_is_among_the_programs(self):
        assert "jit" in str(torch.explain())


def sharing_arguments(torch, jit):
    """One is written, and read by another."""

    def function(x, y):
        x.add_(1)
        return x * 2 + y

    called = jit(function)
    for _ in range(3):
        x = torch.ones(3)
        yield called(x, x), called(x, x.view(3)), called(x, torch.ones(3)), called(x, x[:1]), x


def sharing_with_a_variable(torch, jit):
    w = torch.zeros(3)

    def function(x):
        w.add_(1)
        return x + w

    called = jit(function)
    for _ in range(3):
        yield called(torch.ones(3)), called(w), called(w.view(3)), called(w[:1])


def sharing_what_is_only_read(torch, jit):
    w = torch.ones(3)

    def function(x):
        x.mul_(2)
        return x + w

    called = jit(function)
    for _ in range(3):
        yield called(torch.ones(3)), called(w), called(w.view(3)), w


@pytest.mark.filterwarnings("ignore:facade.jit")
@pytest.mark.parametrize(
    "program", [sharing_arguments, sharing_with_a_variable, sharing_what_is_only_read]
)
def test_arguments_that_share_memory(program):
    both(lambda torch: [[x.tolist() for x in made] for made in program(torch, jit_of(torch))])


def jit_of(module):
    return jit if module is torch else lambda function: function


def test_random_numbers_are_drawn_anew():
    g = jit(lambda x: x + torch.rand(2))
    for _ in range(4):
        torch.manual_seed(7)
        found = g(torch.zeros(2))
        torch.manual_seed(7)
        assert torch.equal(found, torch.rand(2))


def test_what_is_written_outside():
    total = torch.zeros(2)

    def add(x):
        total.add_(x)
        return total * 2

    g = jit(add)
    for i in range(1, 5):
        assert g(torch.ones(2)).tolist() == [2.0 * i] * 2
        assert total.tolist() == [1.0 * i] * 2


def test_a_read_is_refused():
    g = jit(lambda x: x.sum().item())
    g(torch.ones(2))
    with pytest.raises(RuntimeError, match=r"test_jit.py:\d+: jit: .*torch.where"):
        g(torch.ones(2))


def compiled_layer(t):
    return t.compile(t.nn.Sequential(t.nn.Linear(2, 3)), backend="eager")


def attributes(t):
    layer = compiled_layer(t)
    layer.note = 3
    found = layer._orig_mod.note, layer.training, len(layer), layer.eval().training
    return *found, layer._orig_mod.training, isinstance(layer, t.nn.Module)


def switches(t):
    dynamo = importlib.import_module(f"{t.__name__}._dynamo")
    inductor = importlib.import_module(f"{t.__name__}._inductor.config")
    dynamo.config.suppress_errors = True
    inductor.triton.unique_kernel_names = True
    before = dynamo.config.cache_size_limit
    with dynamo.config.patch(cache_size_limit=64):
        inside = dynamo.config.cache_size_limit
    dynamo.reset()
    dynamo.config.suppress_errors = False
    dynamo.mark_dynamic(t.ones(3), 0)
    made = dynamo.optimize("eager")(lambda x: x + 1)(t.ones(2))
    return before, inside, dynamo.config.cache_size_limit, made.tolist()


COMPILE = {
    "plain": lambda t: t.compile(lambda x: x + 1, backend="eager")(t.ones(2)),
    "module": lambda t: t.compile(t.nn.ReLU(), backend="eager")(t.ones(2)),
    "decorator": lambda t: t.compile(backend="eager", dynamic=True, fullgraph=True)(lambda x: -x)(
        t.ones(2)
    ),
    "mode and options": lambda t: t.compile(lambda x: x, mode="default", options={"a": 1}),
    "unknown mode": lambda t: t.compile(lambda x: x, mode="fast"),
    "no function": lambda t: t.compile(3),
    "unknown backend": lambda t: t.compile(lambda x: x, backend="nope"),
    "names": lambda t: list(compiled_layer(t).state_dict()),
    "modules": lambda t: [n for n, _ in compiled_layer(t).named_modules()],
    "printed": lambda t: repr(compiled_layer(t)),
    "attributes": attributes,
    "same function": lambda t: t.compile(len, disable=True) is len,
    "backends": lambda t: t.compiler.list_backends(),
    "switches": switches,
    "disabled": lambda t: t.compiler.disable(lambda x: x * 2)(t.ones(2)),
    "compiling": lambda t: t.compiler.is_compiling(),
}


@pytest.mark.parametrize("case", COMPILE)
def test_compile(case):
    both(COMPILE[case])


def test_every_argument_is_accepted():
    f = torch.compile(
        lambda x: x, fullgraph=True, dynamic=False, backend="inductor", mode="max-autotune",
        name="f", disable=False,
    )  # fmt: skip
    assert f(3) == 3
    assert torch.compile(lambda x: x + 1, backend=lambda graph, example: None)(3) == 4


def test_what_the_compiler_keeps_elsewhere():
    compiler = torch.compiler
    for call in (compiler.save_cache_artifacts, lambda: compiler.load_cache_artifacts(b"")):
        with pytest.raises(NotImplementedError, match="FACADE_CACHE_DIR"):
            call()
    with pytest.raises(NotImplementedError, match="deserialize"):
        compiler.load_compiled_function(None)
