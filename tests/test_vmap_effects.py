"""What functions under vmap do besides computing: write to tensors outside, draw random numbers."""

from typing import Any

import pytest
from parity import both

import facade


def rows(torch):
    return torch.arange(6.0).reshape(2, 3)


def written(torch, write):
    """Return what ``write(captured, row)`` makes of a captured tensor, and what vmap returns."""
    captured = torch.arange(3.0)

    def function(row):
        write(captured, row)
        return row + captured

    return torch.vmap(function)(rows(torch)), captured


# a tensor outside, a row -> writes to the first
WRITES = {
    "add": lambda c, x: c.add_(x),
    "iadd": lambda c, x: c.__iadd__(x),
    "mul": lambda c, x: c.mul_(x),
    "sub": lambda c, x: c.sub_(x),
    "div": lambda c, x: c.div_(x),
    "pow": lambda c, x: c.pow_(x),
    "copy": lambda c, x: c.copy_(x),
    "item": lambda c, x: c.__setitem__(0, x[0]),
    "slice": lambda c, x: c.__setitem__(slice(0, 2), x[:2]),
    "fill": lambda c, x: c.fill_(x[0]),
    "masked_fill": lambda c, x: c.masked_fill_(x > 1, 0.0),
    "lerp": lambda c, x: c.lerp_(x, 0.5),
    "addcmul": lambda c, x: c.addcmul_(x, x),
    "clamp": lambda c, x: c.clamp_(max=x),
    "the same for all rows": lambda c, x: c.add_(1),
    "zero": lambda c, x: c.zero_(),
    "twice": lambda c, x: c.mul_(2).sub_(1),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_outside(name):
    both(lambda torch: written(torch, WRITES[name]))


# (library, a row) -> random numbers
DRAWS = {
    "randn": lambda torch, x: torch.randn(3),
    "rand": lambda torch, x: torch.rand(3),
    "randint": lambda torch, x: torch.randint(9, (8,)),
    "randperm": lambda torch, x: torch.randperm(6),
    "rand_like": lambda torch, x: torch.rand_like(x),
    "dropout": lambda torch, x: torch.nn.functional.dropout(torch.ones(20)),
    "normal": lambda torch, x: torch.normal(torch.zeros(3), 1.0),
    "bernoulli": lambda torch, x: torch.bernoulli(torch.full((12,), 0.5)),
    "multinomial": lambda torch, x: torch.multinomial(torch.ones(12), 8),
    "poisson": lambda torch, x: torch.poisson(torch.full((8,), 9.0)),
}
OF_ROWS = {
    "bernoulli": lambda torch, x: torch.bernoulli((x[:, None] + 1).expand(3, 9) / 10),
    "multinomial": lambda torch, x: torch.multinomial(x.repeat(4) + 1, 8),
    "poisson": lambda torch, x: torch.poisson(x.repeat(4) + 9),
}


def drawn(torch, draw, randomness):
    """Return the shape of what is drawn, and whether all rows are the same."""
    found = torch.vmap(lambda x: draw(torch, x), randomness=randomness)(rows(torch))
    return found.shape, found.dtype == torch.int64, bool((found == found[:1]).all())


@pytest.mark.parametrize("randomness", ["error", "same", "different"])
@pytest.mark.parametrize("name", DRAWS)
def test_draws(name, randomness):
    both(lambda torch: drawn(torch, DRAWS[name], randomness))


@pytest.mark.parametrize("randomness", ["error", "same", "different"])
@pytest.mark.parametrize("name", OF_ROWS)
def test_draws_that_depend_on_the_row(name, randomness):
    both(lambda torch: drawn(torch, OF_ROWS[name], randomness))


# transformations of a function of one tensor
TRANSFORMED = {
    "jacfwd": lambda torch, f, x: torch.func.jacfwd(f)(x).shape,
    "jacfwd, the same": lambda torch, f, x: torch.func.jacfwd(f, randomness="same")(x).shape,
    "jacrev": lambda torch, f, x: torch.func.jacrev(f)(x).shape,
    "hessian": lambda torch, f, x: torch.func.hessian(f)(x).shape,
    "grad": lambda torch, f, x: torch.func.grad(lambda x: f(x).sum())(x),
    "jvp": lambda torch, f, x: torch.func.jvp(f, (x,), (x,))[1].shape,
    "vmap of grad": lambda torch, f, x: torch.vmap(torch.func.grad(lambda x: f(x).sum()))(x),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_of_random_functions(name):
    def of_random(torch):
        return TRANSFORMED[name](torch, lambda x: x * torch.rand_like(x), rows(torch))

    both(of_random)


def test_draws_in_a_transformation_are_of_their_law():
    def mean(x):
        return facade.bernoulli((x + 0.3).expand(4000)).mean() + 0 * x

    def drawn():
        value: Any = facade.func.grad_and_value(mean)(facade.tensor(0.0))[1]
        return value.item()

    facade.manual_seed(0)
    values = [drawn(), drawn()]
    assert values[0] != values[1]
    assert all(abs(v - 0.3) < 0.05 for v in values)
    facade.manual_seed(0)
    assert drawn() == values[0]


def test_nested_levels_draw_apart():
    def draw(x):
        return facade.bernoulli((x * 0 + 0.5).expand(32))

    nested = facade.vmap(facade.vmap(draw, randomness="different"), randomness="different")
    flat = nested(rows(facade)).reshape(6, 32).tolist()
    assert len({tuple(row) for row in flat}) == 6


def test_a_tape_flushed_meanwhile():
    """What is drawn outside opens a new tape there, which is recorded on afterwards."""
    x = facade.arange(3.0)
    (x * 2).tolist()
    found = facade.vmap(lambda x: facade.randperm(5), randomness="different")(x)
    assert sorted(found[0].tolist()) == [0, 1, 2, 3, 4]
    assert (x + 1).tolist() == [1, 2, 3]


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_same_numbers_as_pytorch(randomness):
    def draw(torch):
        draws = torch.vmap(lambda x: x + torch.randn(3) + torch.randperm(3), randomness=randomness)
        return draws(rows(torch)).contiguous()

    both(draw)
