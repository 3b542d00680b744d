"""Tapes run op by op: when, at what cost, and with what results."""

import gc
import itertools
import threading
import time
import weakref

import jax
import pytest
import torch
from counting import compilations
from parity import assert_same

import facade
from facade import mappings, op_tier, program
from facade.recent import Recent
from facade.recording import record_function
from facade.tape import state


@pytest.fixture(autouse=True)
def fresh_tape():
    program.flush(state.tape)


def chain(module, x, length: int):
    """Return an expression of ``length`` different ops; what repeats would become a loop."""
    for name in ("tanh", "exp", "cos", "sigmoid", "atan", "sin", "neg", "erf")[:length]:
        x = getattr(module, name)(x)
    return x


def train(module, length: int, x, w):
    loss = chain(module, x @ w, length).square().mean()
    loss.backward()
    with module.no_grad():
        w -= 0.1 * w.grad
    w.grad = None
    return loss


def leaves(module):
    x = module.arange(6.0).reshape(2, 3) / 6
    w = (module.arange(9.0).reshape(3, 3) / 9).requires_grad_()
    return x, w


def test_expressions_of_known_ops_compile_nothing():
    x = facade.ones(3, 5)
    for name in ("tanh", "exp", "cos", "sigmoid", "atan", "sum"):
        for _ in range(2):
            getattr(x, name)().tolist()
    for length in range(2, 6):
        with compilations() as count:
            chain(facade, x, length).sum().tolist()
        assert count == [0]


def test_a_tape_that_comes_again_gets_a_program():
    x = facade.full((7,), 0.5)
    for length in (4, 5):
        chain(facade, x + 1, length).tolist()
    program.clear()  # of a full cache the count would say nothing
    chain(facade, x, 5).tolist()
    assert program.program_count() == 0
    found = []
    for _ in range(4):
        with compilations() as count:
            chain(facade, x, 5).tolist()
        found += count
    assert found[1:] == [0, 0, 0]
    assert program.program_count() > 0


def test_training_steps_of_ever_new_shape_become_cheap():
    x, w = leaves(facade)
    found = []
    for length in range(8, 0, -1):
        with compilations() as count:
            train(facade, length, x, w)
            w.tolist()
        found += count
    assert sum(found[4:]) == 0


def test_results_agree_with_pytorch(monkeypatch):
    monkeypatch.setattr(op_tier.Chooser, "by_ops", lambda *_: True)
    ours, theirs = [], []
    for module, results in ((facade, ours), (torch, theirs)):
        x, w = leaves(module)
        for length in (1, 3, 2, 3):
            results += [train(module, length, x, w).item(), w.detach().clone()]
    assert_same(tuple(ours), tuple(theirs))


def test_backward_through_what_was_run_op_by_op(monkeypatch):
    monkeypatch.setattr(op_tier.Chooser, "by_ops", lambda *_: True)
    results = []
    for module in (facade, torch):
        x, w = leaves(module)
        y = (x @ w).exp()
        y.sum().item()
        (y * y).sum().backward(retain_graph=True)
        (first,) = module.autograd.grad((y * x.mean()).sum(), w, create_graph=True)
        first.square().sum().backward()
        results.append((w.grad, first.detach()))
    assert_same(*results)


def test_an_error_names_its_instruction(monkeypatch):
    monkeypatch.setattr(op_tier.Chooser, "by_ops", lambda *_: True)
    calls = []

    def explode(a):
        calls.append(1)
        if len(calls) > 1:  # the first trace infers the shape
            raise ValueError("no such thing")
        return (a * 2,)

    x = facade.ones(3, requires_grad=True)
    good = x + 1
    (bad,) = record_function(explode, (x,))
    with pytest.raises(ValueError, match="no such thing"):
        bad.tolist()
    assert good.tolist() == [2.0] * 3


@pytest.mark.skipif(not mappings.LIMIT, reason="there is no limit to mappings here")
def test_mappings_of_compiled_code_are_bounded(monkeypatch):
    program.clear()
    program.forget_choices()
    gc.collect()
    before = mappings.count()
    monkeypatch.setattr(mappings, "LIMIT", before + 400)
    monkeypatch.setattr(mappings, "_ceiling", 0)
    most, made = 0, 0
    w = facade.ones(3, 3, requires_grad=True)
    for n in range(1, 60):
        programs = program.program_count()
        (facade.ones(n, 3) @ w).tanh().softmax(1).sort(1)[0].norm().backward()
        w.grad.tolist()
        made += program.program_count() != programs
        most = max(most, mappings.count())
    assert made > 20
    assert most - before < 1200


def test_a_transformed_function_is_not_compiled_alone():
    """The first tape has the weights as well, the second is of the kind that comes again."""
    x, w = facade.ones(4, 3), facade.ones(3)
    gradients = facade.vmap(facade.func.grad(lambda w, x: (w * x).tanh().cos().sum()), (None, 0))
    with compilations() as found:
        for _ in range(4):
            (gradients(w, x) * 2).sum().item()
    assert found == [2]


def test_an_op_forgotten_is_freed(monkeypatch):
    """Also where its function is kept, which JAX would keep what it compiled for."""
    monkeypatch.setattr(op_tier.Chooser, "by_ops", lambda *_: True)
    monkeypatch.setattr(op_tier, "_kept", Recent(64))
    client = jax.devices()[0].client

    def live() -> int:
        gc.collect()
        return len(client.live_executables())

    before = live()
    for n in range(20, 30):
        (facade.ones(n, 3) * 2).sort(1)[0].tolist()
    assert live() >= before + 10
    op_tier._kept.clear()
    assert live() <= before + 2


class Tick(int):
    """A time that takes long to compare, so that another thread comes in between."""

    def __lt__(self, other):
        time.sleep(1e-2)
        return int(self) < int(other)


def test_threads_keep_programs_at_the_same_time(monkeypatch):
    program.clear()
    monkeypatch.setattr(program, "MAX_PROGRAMS", 3)
    monkeypatch.setattr(program, "_clock", map(Tick, itertools.count()))
    monkeypatch.setattr(op_tier.Chooser, "by_ops", lambda *_: False)
    errors = []

    def work(first):
        try:
            for n in range(first, first + 20, 2):
                facade.ones(n).tanh().mean().mul(3).tolist()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert program.program_count() <= 3


def test_what_is_used_is_remembered():
    recent = Recent(2)
    recent["a"], recent["b"] = 1, 2
    assert recent.get("a") == 1
    recent["c"] = 3
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    recent.forget_half()
    assert [recent.get(key) for key in "ac"] == [None, 3]


def test_programs_and_compiled_ops_are_bounded(monkeypatch):
    program.clear()
    # by length alone: which ops were seen before depends on the tests that ran before
    monkeypatch.setattr(op_tier.Chooser, "by_ops", lambda self, path, code, trains: len(code) <= 2)
    monkeypatch.setattr(program, "MAX_PROGRAMS", 3)
    monkeypatch.setattr(op_tier, "_kept", Recent(4))
    refs = []
    keep = program._keep

    def kept(key, made):
        refs.append(weakref.ref(made))
        return keep(key, made)

    monkeypatch.setattr(program, "_keep", kept)
    for n in range(1, 12):
        assert facade.ones(n).sin().sum().add(n).mul(2).item() == pytest.approx(2 * n * 1.8414710)
        x = facade.ones(n)
        assert [x.tan().tolist(), x.cos().tolist()]
    gc.collect()
    assert len(refs) == 11
    alive = [ref() for ref in refs if ref() is not None]
    assert len(alive) <= program.MAX_PROGRAMS
    assert set(alive) <= set(program._programs.values())
    assert len(op_tier._kept) <= 4
