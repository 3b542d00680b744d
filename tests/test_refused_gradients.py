"""Functions that require grad but have no derivative: their graph, and what backward says."""

import pytest
from parity import both, outcome

CASES = {
    "unique": lambda m, x: m.unique(x),
    "unique unsorted": lambda m, x: m.unique(x, sorted=True, return_inverse=True)[0],
    "unique inverse": lambda m, x: m.unique(x, return_inverse=True)[1],
    "unique dim": lambda m, x: m.unique(x.view(2, 2), dim=0),
    "unique_consecutive": lambda m, x: m.unique_consecutive(x),
    "unique_consecutive counts": lambda m, x: m.unique_consecutive(x, return_counts=True)[0],
    "unique_consecutive dim": lambda m, x: m.unique_consecutive(x.view(2, 2), dim=0),
    "bincount": lambda m, x: m.bincount(m.tensor([0, 1, 1, 0]), x),
    "histogram": lambda m, x: m.histogram(x, 4)[0],
    "histogram edges": lambda m, x: m.histogram(x, 4)[1],
    "histogram given edges": lambda m, x: m.histogram(x, m.tensor([0.0, 1, 2]))[1],
    "histogram weight": lambda m, x: m.histogram(m.arange(4.0), 4, weight=x)[0],
}


@pytest.mark.parametrize("name", CASES)
def test_result_and_backward(name):
    def run(module):
        x = module.tensor([1.0, 1.0, 0.5, 0.25], requires_grad=True)
        with module.no_grad():
            plain = CASES[name](module, x)
        result = CASES[name](module, x)
        refused = outcome(lambda _: result.sum().backward(), module)
        return result, plain, type(refused).__name__, str(refused)

    both(run)


TRAPEZOIDS = {
    "x": lambda m, y: m.trapezoid(y, m.tensor([1.0, 2.0, 4.0])),
    "trapz": lambda m, y: m.trapz(y, m.tensor([1.0, 2.0, 4.0])),
    "dx": lambda m, y: m.trapezoid(y, dx=2.0),
    "default": lambda m, y: m.trapezoid(y),
    "rows": lambda m, y: m.trapezoid(m.stack([y, y * 2]), m.tensor([1.0, 2.0, 4.0]), dim=1),
    "cumulative x": lambda m, y: m.cumulative_trapezoid(y, m.tensor([1.0, 2.0, 4.0])),
    "cumulative": lambda m, y: m.cumulative_trapezoid(y, dx=3.0),
}


@pytest.mark.parametrize("name", TRAPEZOIDS)
def test_trapezoids(name):
    def run(module):
        y = module.tensor([1.0, 3.0, 4.0], requires_grad=True)
        result = TRAPEZOIDS[name](module, y)
        result.sum().backward()
        return result, y.grad

    both(run)
