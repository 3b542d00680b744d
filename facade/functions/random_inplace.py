"""Fill tensors with random numbers in place: ``normal_``, ``uniform_``, ``random_``, and more."""

import operator

from facade.binding import public
from facade.functions.draws import (
    BERNOULLI,
    CAUCHY,
    EXPONENTIAL,
    FULL_RANGE,
    GEOMETRIC,
    INTEGERS,
    LOG_NORMAL,
    NORMAL,
    UNIFORM,
    NoOverload,
    check_generator,
    is_number,
    is_whole,
    memory_order,
    number,
    one_of,
    overloads,
    overwrite,
    with_zero_grad,
)
from facade.functions.sampling import draw_bernoulli
from facade.ops.registry import backward_name
from facade.random import Generator
from facade.tensor import Tensor

_NONE = type(None)


def _fill(self: Tensor, name: str, law, parameters: dict, generator) -> Tensor:
    """Overwrite a tensor with numbers of a law whose parameters are floats."""
    numbers = [number(name, p, i, value) for i, (p, value) in enumerate(parameters.items(), 1)]
    check_generator(name, generator)
    return overwrite(self, law, tuple(numbers), generator, backward_name(name))


@public(module=False)
def normal_(self: Tensor, mean=0, std=1, *, generator=None) -> Tensor:
    """Fill with normal numbers."""
    return _fill(self, "normal_", NORMAL, {"mean": mean, "std": std}, generator)


@public(module=False)
def log_normal_(self: Tensor, mean=1, std=2, *, generator=None) -> Tensor:
    """Fill with exponentials of normal numbers with this mean and deviation."""
    return _fill(self, "log_normal_", LOG_NORMAL, {"mean": mean, "std": std}, generator)


@public(module=False)
def exponential_(self: Tensor, lambd=1, *, generator=None) -> Tensor:
    """Fill with exponential numbers of the rate ``lambd``."""
    return _fill(self, "exponential_", EXPONENTIAL, {"lambd": lambd}, generator)


@public(module=False)
def cauchy_(self: Tensor, median=0, sigma=1, *, generator=None) -> Tensor:
    """Fill with Cauchy numbers."""
    return _fill(self, "cauchy_", CAUCHY, {"median": median, "sigma": sigma}, generator)


@public(module=False)
def geometric_(self: Tensor, p, *, generator=None) -> Tensor:
    """Fill with the number of trials up to the first success, each of probability ``p``."""
    return _fill(self, "geometric_", GEOMETRIC, {"p": p}, generator)


@public(module=False)
def uniform_(self: Tensor, *bounds, generator=None, **named) -> Tensor:
    """Fill with uniform numbers from ``[from, to)``, ``[0, 1)`` unless given."""
    low, high = _from_and_to("uniform_", bounds, named, (0, 1))
    return _fill(self, "uniform_", UNIFORM, {"from": low, "to": high}, generator)


@public(module=False)
@overloads(
    "*, torch.Generator generator = None",
    "int from, int to, *, torch.Generator generator = None",
    "int to, *, torch.Generator generator = None",
    method="random_",
)
def random_(self: Tensor, *bounds, generator=None, **named) -> Tensor:
    """Fill with whole numbers: all that the dtype has exactly, those below ``to``, or a range.

    Called as ``random_()``, ``random_(to)`` or ``random_(from, to)``, where ``to`` may be None.
    """
    one_of(generator, Generator, _NONE)
    if not bounds and not named:
        return overwrite(self, FULL_RANGE, (), generator, "RandomBackward2")
    if len(bounds) == 1 and not named:
        bounds, named = (), {"to": bounds[0]}
    low, high = _from_and_to("random_", bounds, named, (None, None))
    whole = [x is None or is_whole(x) for x in (low, high)]
    if not all(whole) or (high is None and (low is None or len(bounds) < 2)):
        raise NoOverload
    name = "RandomBackward1" if low is None else "RandomBackward0"
    low, high = (None if x is None else operator.index(x) for x in (low, high))
    return overwrite(self, INTEGERS, (low or 0, high), generator, name)


def _from_and_to(name: str, bounds: tuple, named: dict, default: tuple) -> tuple:
    """Return the two bounds, by place or by name (``from`` is no name in Python's own syntax).

    Raises:
        TypeError: there are more of them, or others.
    """
    if len(bounds) > 2:
        raise TypeError(
            f"{name}() takes from 0 to 2 positional arguments but {len(bounds)} were given"
        )
    given = dict(zip(("from", "to"), default, strict=True))
    given.update(zip(given, bounds, strict=False))
    for key, value in named.items():
        if key not in given:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        given[key] = value
    return given["from"], given["to"]


@public(module=False)
@overloads(
    "Tensor p, *, torch.Generator generator = None",
    "float p = 0.5, *, torch.Generator generator = None",
    method="bernoulli_",
)
def bernoulli_(self: Tensor, p=0.5, *, generator=None) -> Tensor:
    """Fill with 1 with probability ``p``, a number or a tensor of them, else with 0."""
    one_of(generator, Generator, _NONE)
    if isinstance(p, Tensor):
        return _bernoulli_of(self, p, generator)
    if not is_number(p):
        raise NoOverload
    return overwrite(self, BERNOULLI, (float(p),), generator, "BernoulliBackward2")


def _bernoulli_of(self: Tensor, p: Tensor, generator) -> Tensor:
    self._check_writable(self)
    p = p.expand(self.shape)
    order = None if self._aval.contiguous else memory_order(self._aval)
    drawn = draw_bernoulli(p, self.dtype, generator, order)
    return self.write(with_zero_grad("BernoulliBackward1", (self, p), drawn))
