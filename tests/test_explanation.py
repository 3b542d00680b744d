"""explain() names the line, the change and what to do; no_flush() raises where the tape runs."""

from pathlib import Path

import pytest

import facade
from facade import program
from facade.tape import state

pytestmark = pytest.mark.programs


@pytest.fixture(autouse=True)
def nothing_known():
    program.flush(state.tape)
    program.births.clear()


def line_of(text: str) -> int:
    """Return the number of this file's line that ends in the mark."""
    lines = Path(__file__).read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.endswith(f"# {text}"))


def sites(report):
    return [(p.site.line, p.site.call) for p in report.programs if p.site.file == __file__]


def test_lines_runs_and_shapes():
    model = facade.nn.Linear(5, 3)
    model.weight.tolist()
    program.births.clear()
    optimizer = facade.optim.SGD(model.parameters(), lr=0.1)
    for size in (8, 8, 8, 6):
        x = facade.zeros(size, 5)
        x.tolist()
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()  # here the step runs
    report = facade.explain()
    steps = [p for p in report.programs if p.site.line == line_of("here the step runs")]
    assert [p.site.call for p in steps] == ["Optimizer.step"] * 2
    assert [p.runs for p in steps] == [3, 1]
    assert "operand 0 is float32[6,5], was float32[8,5]" in steps[1].change
    assert "drop_last" in steps[1].advice
    assert all(p.seconds > 0 for p in report.programs)
    assert f"{__file__}:{steps[0].site.line}" in str(report)


def test_a_static_argument():
    x = facade.full((3,), 2.0)
    x.tolist()
    for exponent in (2.5, 3.5):
        (x**exponent).cos().tolist()
    change, advice = facade.explain().programs[-1][4:]
    assert "exponent is 3.5, was 2.5" in change
    assert "part of the program" in advice


def test_another_way_through_python():
    x = facade.full((3,), 2.0)
    x.tolist()
    for op in (facade.sin, facade.cos):
        op(x.exp() + 1).tanh().tolist()
    change = facade.explain().programs[-1].change
    assert "instruction 2 is `cos`" in change and "was `sin`" in change


def test_results_that_live_longer():
    x = facade.full((3,), 2.0)
    x.tolist()
    kept = []
    for _ in range(2):
        y = x.exp()
        (y + 1).tolist()
        kept.append(y)
        y = None
        x.exp().add(1).tolist()
    assert any("results alive" in p.change for p in facade.explain().programs)


def test_no_flush():
    x = facade.ones(3)
    with facade.no_flush():
        y = x + 1
        with pytest.raises(RuntimeError, match=r"Tensor.tolist\(\) makes the tape run"):
            y.tolist()
        with pytest.raises(RuntimeError, match="no_flush"):
            print(y)
    assert y.tolist() == [2.0] * 3
