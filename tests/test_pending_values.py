"""Indices and classes out of range that are still to be computed: PyTorch's error, when read."""

import pytest
from counting import compilations
from parity import both

import facade
from facade import program


def _functional(m, name):
    return getattr(m.nn.functional, name)


# name -> (module, wrong values) -> a result; the values are one too large or negative somewhere
CASES = {
    "embedding": lambda m, i: _functional(m, "embedding")(i(7), m.ones(4, 2)),
    "embedding_bag": lambda m, i: _functional(m, "embedding_bag")(
        i(7), m.ones(4, 2), m.tensor([0, 2])
    ),
    "gather": lambda m, i: m.ones(4).gather(0, i(5)),
    "index_select": lambda m, i: m.ones(4, 2).index_select(0, i(4)),
    "index": lambda m, i: m.ones(4)[i(4)],
    "index two": lambda m, i: m.ones(2, 4)[:, i(-5)],
    "take": lambda m, i: m.ones(4).take(i(9)),
    "scatter": lambda m, i: m.zeros(4).scatter(0, i(4), 1.0),
    "nll_loss": lambda m, i: _functional(m, "nll_loss")(m.zeros(3, 4), i(4)),
    "nll_loss negative": lambda m, i: _functional(m, "nll_loss")(m.zeros(3, 4), i(-1)),
    "nll_loss ignored": lambda m, i: _functional(m, "nll_loss")(
        m.zeros(3, 4), i(-100), ignore_index=-100
    ),
    "cross_entropy": lambda m, i: _functional(m, "cross_entropy")(m.zeros(3, 4), i(6)),
    "cross_entropy smoothed": lambda m, i: _functional(m, "cross_entropy")(
        m.zeros(3, 4), i(6), label_smoothing=0.1
    ),
    "multi_margin_loss": lambda m, i: _functional(m, "multi_margin_loss")(m.zeros(3, 4), i(5)),
    "multilabel_margin_loss": lambda m, i: _functional(m, "multilabel_margin_loss")(
        m.zeros(3), i(5)
    ),
    "one_hot": lambda m, i: _functional(m, "one_hot")(i(4), 4),
    "one_hot negative": lambda m, i: _functional(m, "one_hot")(i(-1), 4),
    "binary_cross_entropy": lambda m, i: _functional(m, "binary_cross_entropy")(
        i(2).float(), m.ones(3)
    ),
    "max_unpool1d": lambda m, i: _functional(m, "max_unpool1d")(m.ones(1, 3), i(6)[None], 2),
}


@pytest.mark.parametrize("name", CASES)
def test_a_pending_value_out_of_range_raises_when_read(name):
    def run(module):
        def pending(wrong):
            return module.tensor([0, 1, 2]) + module.tensor([0, wrong - 1, 0])

        return CASES[name](module, pending) * 1

    both(lambda module: run(module).tolist())


@pytest.mark.parametrize("name", [name for name in CASES if name != "binary_cross_entropy"])
def test_a_known_value_out_of_range_raises_at_the_call(name):
    both(lambda m: CASES[name](m, lambda wrong: m.tensor([0, wrong, 2])) * 1)


def test_a_part_of_known_values_is_looked_at_exactly():
    def loss(module):
        classes = module.tensor([[9, 0, 1], [9, 2, 3]])[:, 1:]
        return module.nn.functional.cross_entropy(module.zeros(4, 4), classes.reshape(-1))

    both(loss)
    with pytest.raises(IndexError):
        facade.ones(4)[facade.tensor([0, 9, 1])[1:]]


def test_checks_are_part_of_the_one_program_of_a_step(monkeypatch):
    weight = facade.zeros(4, 4, requires_grad=True)
    optimizer = facade.optim.SGD([weight], lr=0.1)
    table = facade.tensor([2, 0, 1])

    def step():
        optimizer.zero_grad()
        target = table + 1
        facade.nn.functional.cross_entropy(weight[target], target).backward()
        optimizer.step()

    for _ in range(3):
        step()
    runs = []
    execute = program._execute
    monkeypatch.setattr(program, "_execute", lambda *args: runs.append(1) or execute(*args))
    with compilations() as compiled:
        for _ in range(3):
            step()
    assert (compiled, len(runs)) == ([0], 3)
