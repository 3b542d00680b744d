"""Loops of Python that repeat instructions become loops of the program, with the same results."""

import jax
import numpy as np
import pytest
import torch
from counting import compilations
from parity import assert_same

import facade
from facade import program, reroll
from facade.lower import lower
from facade.outline import Outline, repeats
from facade.recording import record_function
from facade.tape import state

pytestmark = pytest.mark.programs


@pytest.fixture(autouse=True)
def fresh_tape():
    program.flush(state.tape)


@pytest.fixture
def runs(monkeypatch):
    """Give the ``(period, count)`` of every loop found while the test runs."""
    program.clear()  # a program that is known is not searched for loops again
    found = []
    search = reroll.Listing.search

    def noting(listing):
        result = search(listing)
        if listing.least is reroll.LEAST:
            found.extend((run.period, run.count) for run in result)
        return result

    monkeypatch.setattr(reroll.Listing, "search", noting)
    return found


def arrays(module, *shapes, grad=False, dtype=np.float32):
    rng = np.random.default_rng(len(shapes))
    return [
        module.from_numpy((rng.standard_normal(s) * 0.5).astype(dtype)).requires_grad_(grad)
        for s in shapes
    ]


T, B, D, H = 20, 2, 3, 4


def cell(module, gates=1):
    return arrays(module, (D, gates * H), (H, gates * H), (gates * H,), grad=True)


def inputs(module, *shape):
    return arrays(module, shape or (T, B, D))[0]


def tanh_step(module, params, x, h):
    wx, wh, b = params
    return module.tanh(x @ wx + h @ wh + b)


def gradients(module, loss, params):
    loss.backward()
    return loss.detach(), [p.grad for p in params]


# ---- bodies of loops: each returns what is compared ------------------------------------------


def rnn(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
    return gradients(module, h.pow(2).sum(), params)


def lstm(module):
    params, x = cell(module, 4), inputs(module)
    wx, wh, b = params
    h = c = module.zeros(B, H)
    for t in range(T):
        i, f, g, o = (x[t] @ wx + h @ wh + b).chunk(4, 1)
        c = module.sigmoid(f) * c + module.sigmoid(i) * module.tanh(g)
        h = module.sigmoid(o) * module.tanh(c)
    return gradients(module, (h * c).sum(), params)


def gru(module):
    params, x = cell(module, 3), inputs(module)
    wx, wh, b = params
    h = module.zeros(B, H)
    for t in range(T):
        xr, xz, xn = (x[t] @ wx + b).chunk(3, -1)
        hr, hz, hn = (h @ wh).chunk(3, -1)
        r, z = module.sigmoid(xr + hr), module.sigmoid(xz + hz)
        h = (1 - z) * module.tanh(xn + r * hn) + z * h
    return gradients(module, h.sum(), params)


def loss_per_step(module):
    params, x, y, h = cell(module), inputs(module), inputs(module, T, B, H), module.zeros(B, H)
    loss = 0
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        loss = loss + (h - y[t]).pow(2).mean()
    return gradients(module, loss / T, params)


def unbound_and_stacked(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    seen = []
    for row in x.unbind(0):
        h = tanh_step(module, params, row, h)
        seen.append(h)
    out = module.stack(seen, 1)
    weights = inputs(module, B, T, H)
    return gradients(module, (out * weights).sum(), params), out


def iterated_and_concatenated(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    x.requires_grad_()
    seen = []
    for row in x:
        h = tanh_step(module, params, row, h)
        seen.append(h.unsqueeze(1))
    out = module.cat(seen, 1)
    weights = inputs(module, B, T, H)
    return gradients(module, (out * weights).sum(), [*params, x]), out


def list_of_inputs(module):
    params, h = cell(module), arrays(module, (B, H), grad=True)[0]
    start = h
    for x in arrays(module, *[(B, D)] * T):
        h = tanh_step(module, params, x, h)
    return gradients(module, h.sum(), [*params, start])


def every_value_read(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    seen = []
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        seen.append(h)
    loss = sum(s.sum() for s in seen[::3])
    return gradients(module, loss, params), [s.detach() for s in seen]


def changing_number(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t] * (0.9**t), h) * (t + 1) / T - 1.5 / (t + 1)
    return gradients(module, h.sum(), params)


def backwards_in_time(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in reversed(range(T)):
        h = tanh_step(module, params, x[:, t % B][t], h)
    return gradients(module, h.sum(), params)


def two_back(module):
    params, x = cell(module), inputs(module)
    older = old = module.zeros(B, H)
    for t in range(T):
        older, old = old, tanh_step(module, params, x[t], old) + 0.3 * older
    return gradients(module, old.sum(), params)


def alternating(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    other = [p.detach().clone().requires_grad_() for p in params]
    for t in range(T):
        h = tanh_step(module, params if t % 2 else other, x[t], h)
    return gradients(module, h.sum(), params + other)


def nested(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        for _ in range(3):
            h = tanh_step(module, params, x[t], h)
        h = h * 0.5
    return gradients(module, h.sum(), params)


def two_loops(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    (w,) = arrays(module, (H, H), grad=True)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
    for _ in range(T):
        h = h + module.sin(h @ w) * 0.1 - h.mean()
    return gradients(module, h.sum(), [*params, w])


def one_loop_reads_another(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    (w,) = arrays(module, (2 * H, H), grad=True)
    forwards, g = [], module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        forwards.append(h)
    for t in reversed(range(T)):
        g = module.tanh(module.cat([g, forwards[t]], 1) @ w)
    return gradients(module, g.sum(), [*params, w])


def changes_midway(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(2 * T):
        h = tanh_step(module, params, x[t % T], h)
        if t >= T:
            h = h * 0.5 + module.relu(h)
    return gradients(module, h.sum(), params)


def weights_change_midway(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    other = [p.detach().clone().requires_grad_() for p in params]
    for t in range(2 * T):
        h = tanh_step(module, params if t < T else other, x[t % T], h)
    return gradients(module, h.sum(), params + other)


def interrupted(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(2 * T):
        h = tanh_step(module, params, x[t % T], h)
        if t == T:
            h = module.cos(h)
    return gradients(module, h.sum(), params)


def written_in_place(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    out = module.zeros(T, B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        out[t] = h
    return gradients(module, (out * inputs(module, T, B, H)).sum(), params), out


def detached_now_and_then(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    loss = 0
    for t in range(T):
        h = tanh_step(module, params, x[t], h.detach())
        loss = loss + h.sum()
    return gradients(module, loss, params)


def no_grad(module):
    params, x, h = cell(module), inputs(module), arrays(module, (B, H))[0]
    with module.no_grad():
        for t in range(T):
            h = tanh_step(module, params, x[t], h)
    return h


def integers_and_masks(module):
    x, total = inputs(module), module.zeros(B, D)
    count = module.zeros(B, D, dtype=module.int64)
    for t in range(T):
        positive = x[t] > 0
        total = module.where(positive, total + x[t], total * 0.5)
        count = count + positive
        total = total.clamp(max=3.0)
    return total, count


def mixed_dtypes(module):
    params, x = cell(module), inputs(module)
    h = module.zeros(B, H, dtype=module.float64)
    for t in range(T):
        h = tanh_step(module, params, x[t], h.float()).double() + h * 0.25
    return gradients(module, h.sum(), params)


def retained(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    seen = []
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        if t % 7 == 3:
            h.retain_grad()
            seen.append(h)
    return gradients(module, h.sum(), params), [s.grad for s in seen]


def hooked(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        if t == T // 2:
            h.register_hook(lambda g: g * 2)
    return gradients(module, h.sum(), params)


def hooked_everywhere(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        h.register_hook(lambda g: g.clamp(-0.1, 0.1))
    return gradients(module, h.sum(), params)


def read_before_backward(module):
    params, x, y, h = cell(module), inputs(module), inputs(module, T, B, H), module.zeros(B, H)
    loss = 0
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
        loss = loss + (h - y[t]).pow(2).mean()
    return loss.item(), gradients(module, loss, params)


def twice_backwards(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
    loss = h.sum()
    loss.backward(retain_graph=True)
    (loss * 2).backward()
    return [p.grad for p in params]


def double_backward(module):
    params, x, h = cell(module), inputs(module), module.zeros(B, H)
    for t in range(T):
        h = tanh_step(module, params, x[t], h)
    first = module.autograd.grad(h.pow(2).sum(), params, create_graph=True)
    penalty = sum(g.pow(2).sum() for g in first)
    return [g.detach() for g in first], gradients(module, penalty, params)


def inner_optimisation(module):
    (w,) = arrays(module, (D, D), grad=True)
    x = inputs(module, B, D)
    start = w
    for _ in range(T):
        (g,) = module.autograd.grad((x @ w).tanh().pow(2).sum(), [w], create_graph=True)
        w = w - 0.1 * g
    return gradients(module, (x @ w).sum(), [start])


def steps_on_one_tape(module):
    (w,) = arrays(module, (D, D), grad=True)
    x = inputs(module, B, D)
    for _ in range(T):
        (g,) = module.autograd.grad((x @ w).tanh().pow(2).sum(), [w])
        w = (w - 0.1 * g).detach().requires_grad_()
    return w.detach()


LOOPS = [
    rnn, lstm, gru, loss_per_step, unbound_and_stacked, iterated_and_concatenated, list_of_inputs,
    every_value_read, changing_number, backwards_in_time, two_back, alternating, nested, two_loops,
    one_loop_reads_another, changes_midway, weights_change_midway, interrupted, written_in_place,
    detached_now_and_then, no_grad, integers_and_masks, mixed_dtypes, retained, hooked,
    hooked_everywhere, read_before_backward, twice_backwards, double_backward, inner_optimisation,
    steps_on_one_tape,
]  # fmt: skip


@pytest.mark.parametrize("loop", LOOPS, ids=lambda f: f.__name__)
def test_agrees_with_pytorch(loop, runs):
    assert_same(loop(facade), loop(torch), tolerance=(2e-4, 1e-5))
    assert runs, "no loop was found"


# ---- what the program is ----------------------------------------------------------------------


def jaxpr_of(result, grads):
    """Return the text of the program that computes these pending tensors."""
    tape = state.tape
    wanted = [t._cell.ref >> 2 for t in (result, *grads)]
    code, leaves = tuple(tape.code), list(tape.leaves)
    with jax.enable_x64(True):
        numbers = np.array(tape.floats), np.array(tape.ints)
        return str(jax.make_jaxpr(lambda x: lower(code, wanted, {})(x, *numbers)[0])(leaves))


def test_the_program_has_one_loop_forwards_and_one_back():
    assert jaxpr_of(*rnn(facade)).count(" scan[") == 2


def test_a_longer_loop_is_no_larger_program():
    sizes = []
    for length in (20, 40):
        params, x, h = cell(facade), inputs(facade, length, B, D), facade.zeros(B, H)
        for t in range(length):
            h = tanh_step(facade, params, x[t], h)
        sizes.append(jaxpr_of(*gradients(facade, h.sum(), params)).count("\n"))
        program.flush(state.tape)
    assert sizes[0] == sizes[1]


def test_residuals_that_do_not_change_are_kept_once():
    text = jaxpr_of(*rnn(facade))
    assert f"f32[{T - 1},{H},{H}]" not in text  # the recurrent weight, per iteration
    assert f"f32[{T - 1},{B},{H}]" in text


def test_the_second_step_compiles_nothing():
    rnn(facade)[0].item()
    (result, grads) = rnn(facade)
    with compilations() as count:
        values = [result.tolist(), *[g.tolist() for g in grads]]
        (result, grads) = rnn(facade)
        again = [result.tolist(), *[g.tolist() for g in grads]]
    assert count[0] <= 1
    assert values == again


def test_rolled_and_unrolled_agree(monkeypatch):
    rolled = loss_per_step(facade)
    program.flush(state.tape)
    program.clear()
    monkeypatch.setattr(Outline, "runs", lambda *_: [])
    for ours, theirs in zip(rolled[1], loss_per_step(facade)[1], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    program.clear()


def test_layers_with_their_own_weights_stay_unrolled(runs):
    x = inputs(facade, B, H)
    for w in arrays(facade, *[(H, H)] * 40, grad=True):
        x = x + facade.relu(x @ w)
    x.tolist()
    assert not runs


def test_convolutions_stay_unrolled(runs):
    x, w = arrays(facade, (1, 1, 2, 2), (1, 1, 3, 3))
    for _ in range(16):
        x = facade.tanh(facade.nn.functional.conv2d(x, w, padding=1)) + x * 2 - 1
    x.tolist()
    assert not runs


def test_short_loops_stay_unrolled(runs):
    x = inputs(facade, B, H)
    for _ in range(5):
        x = facade.tanh(x) * 0.5
    x.tolist()
    assert not runs


def test_an_error_inside_a_loop_harms_only_what_depends_on_it():
    x = inputs(facade, B, H)
    fine = x * 2
    calls = []

    def explode(a):
        calls.append(1)
        if len(calls) > 1:  # the first trace infers the shape
            raise ValueError("cannot be lowered")
        return (a * 2,)

    y = x
    for _ in range(100):
        y = record_function(explode, (y,))[0] + 1
    with pytest.raises(ValueError, match="cannot be lowered"):
        y.tolist()
    np.testing.assert_allclose(fine.numpy(), 2 * x.numpy())
    with pytest.raises(RuntimeError, match="could not be computed"):
        y.tolist()


def long_rnn(module):
    params, x, h = cell(module), inputs(module, 400, B, D), module.zeros(B, H)
    total = 0
    for t in range(400):
        h = tanh_step(module, params, x[t], h)
        total = total + h.pow(2).mean()
    return gradients(module, total, params)


def test_a_long_loop_is_one_program():
    facade.zeros(1).tolist()
    with compilations() as count:
        ours = as_read(long_rnn(facade))
    assert count == [1]
    assert_same(ours, long_rnn(torch), tolerance=(2e-4, 1e-5))


def test_a_long_tape_is_told_from_a_loop():
    x = facade.zeros(2)
    for choice in np.random.default_rng(0).integers(0, 3, 600):
        x = (x + 1, x * 2, x.tanh())[choice]
    assert not repeats(state.tape.code)
    for _ in range(300):
        x = facade.tanh(x * 2 + 1)
    assert repeats(state.tape.code)


def test_jax_differentiates_a_loop():
    def function(x, w):
        for _ in range(40):
            x = facade.tanh(x @ w) + 0.1
        return x.sum()

    x, w = (np.asarray(t.numpy()) for t in arrays(facade, (B, H), (H, H)))
    ours = jax.grad(facade.to_jax(function), (0, 1))(x, w)

    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w)]
    h = tensors[0]
    for _ in range(40):
        h = torch.tanh(h @ tensors[1]) + 0.1
    h.sum().backward()
    for got, tensor in zip(ours, tensors, strict=True):
        np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-4, atol=1e-5)


# ---- loops of any length ----------------------------------------------------------------------


def classify(module, x, unbind=False, dim=0):
    """Train on one sequence: a hidden state through time, a loss at the end, an update by hand."""
    params = [*cell(module), *arrays(module, (H, 3), (1,), (1,), (1,), grad=True)[:1]]
    wx, wh, b, wo = params
    h = module.zeros(B, H)
    for row in x.unbind(dim) if unbind else (x.select(dim, t) for t in range(x.shape[dim])):
        h = module.tanh(row @ wx + h @ wh + b)
    loss = module.nn.functional.cross_entropy(h @ wo, module.tensor([0, 2]))
    loss.backward()
    with module.no_grad():
        for p in params:
            p -= 0.1 * p.grad
    return loss.detach(), [p.detach() for p in params]


def scaled_by_step(module, x):
    """A Python number of its own per iteration, a loss per step, iterations from the end."""
    params, h, total = cell(module), module.zeros(B, H), 0
    length = x.shape[0]
    for t in reversed(range(length)):
        h = tanh_step(module, params, x[t] * (1 / (t + 1)), h)
        total = total + h.mean() * (t / length)
    return gradients(module, total, params)


def without_gradients(module, x):
    params, h = cell(module), module.zeros(B, H)
    with module.no_grad():
        for row in x:
            h = tanh_step(module, params, row, h)
    return h


def batch_first(module, x):
    """Return a tensor of its own with the first two dimensions swapped."""
    return module.from_numpy(np.ascontiguousarray(x.numpy().swapaxes(0, 1)))


VARYING = {
    "by index": classify,
    "unbound": lambda module, x: classify(module, x, unbind=True),
    "batch first": lambda module, x: classify(module, batch_first(module, x), dim=1),
    "numbers": scaled_by_step,
    "no gradients": without_gradients,
}


def sequences(module, lengths):
    rng = np.random.default_rng(0)
    return [module.from_numpy(rng.standard_normal((n, B, D)).astype(np.float32)) for n in lengths]


class TestAnyLength:
    @pytest.mark.parametrize("case", VARYING, ids=lambda name: name.replace(" ", "-"))
    def test_agrees_with_pytorch(self, case):
        lengths = (30, 21, 7, 64, 70, 21, 1, 5)
        ours = [as_read(VARYING[case](facade, x)) for x in sequences(facade, lengths)]
        theirs = [VARYING[case](torch, x) for x in sequences(torch, lengths)]
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other, tolerance=(2e-4, 1e-5))

    @pytest.mark.parametrize("case", ["by index", "unbound", "numbers"])
    def test_later_lengths_compile_nothing(self, case):
        program.clear()
        code = VARYING[case]
        for x in sequences(facade, (30, 21, 40, 64)):
            as_read(code(facade, x))
        with compilations() as count:
            for x in sequences(facade, (20, 22, 37, 50, 63, 9, 8)):
                as_read(code(facade, x))
        assert count == [0]

    def test_a_longer_one_gets_more_room(self):
        program.clear()
        with compilations() as count:
            for x in sequences(facade, (30, 40, 50, 100, 110, 128, 90)):
                as_read(without_gradients(facade, (x[t] for t in range(len(x)))))
        assert count == [3]  # 30; up to 64; up to 128

    def test_one_length_stays_a_program_of_its_own(self):
        program.clear()
        for x in sequences(facade, (30, 30, 30)):
            as_read(without_gradients(facade, x))
        assert program.program_count() == 1

    def test_short_loops_are_no_loops_of_any_length(self):
        program.clear()
        for length in (4, 5, 6):
            h = facade.ones(B)
            for _ in range(length):
                h = facade.sin(h * 2) + facade.cos(h) - 0.5
            h.tolist()
        assert program.program_count() == 3

    def test_what_depends_on_the_length_is_not_shared(self):
        def stacked(module, x):
            h, seen = module.zeros(B, D), []
            for row in x:
                h = module.tanh(h * 0.5 + row) - 0.1
                seen.append(h)
            return module.stack(seen).cumsum(0)

        lengths = (30, 20, 25)
        for ours, theirs in zip(sequences(facade, lengths), sequences(torch, lengths), strict=True):
            assert_same(stacked(facade, ours), stacked(torch, theirs), tolerance=(1e-4, 1e-5))

    def test_programs_are_forgotten(self, monkeypatch):
        program.clear()
        monkeypatch.setattr(program, "MAX_PROGRAMS", 1)
        for x in sequences(facade, (30, 40, 100, 35, 90)):
            ours = without_gradients(facade, x)
            assert ours.isfinite().all()
        assert program.program_count() <= 1
        program.clear()


def as_read(result):
    """Return a result with every tensor's value there."""
    program.flush(state.tape)
    return result
