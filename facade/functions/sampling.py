"""Draw from distributions that tensors describe: ``normal``, ``bernoulli``, ``multinomial``, ..."""

import math
import operator
from typing import Any

import numpy as np

from facade import aten, dtypes, mersenne
from facade.avals import aval
from facade.binding import public
from facade.errors import bad_argument, broadcast_shapes
from facade.functions.creation import creation, whole_numbers
from facade.functions.draws import (
    BERNOULLI,
    COUNTABLE,
    NORMAL,
    NoOverload,
    check_generator,
    draw,
    draw_with,
    is_number,
    is_whole,
    one_of,
    overloads,
    put,
    with_zero_grad,
)
from facade.functions.indexing import check_within
from facade.functions.random import DTYPE_AND_DEVICE, Options, create
from facade.mersenne.categorical import check_arguments
from facade.mersenne.checks import require
from facade.outs import write_out
from facade.random import Generator
from facade.tensor import Tensor

_NONE = type(None)

# ---- normal ----


@public(method=False)
@overloads(
    "Tensor mean, Tensor std, *, torch.Generator generator = None, Tensor out = None",
    "Tensor mean, float std = 1, *, torch.Generator generator = None, Tensor out = None",
    "float mean, Tensor std, *, torch.Generator generator = None, Tensor out = None",
    "float mean, float std, tuple of ints size, *, torch.Generator generator = None, "
    f"Tensor out = None, {DTYPE_AND_DEVICE}",
)
def normal(
    mean: Any = None, std: Any = None, size=None, *, generator=None, out=None, **options
) -> Tensor:
    """Return normal numbers of a size, or with a tensor's mean or deviation at each element."""
    one_of(generator, Generator, _NONE)
    one_of(out, Tensor, _NONE)
    if size is not None:
        if not (is_number(mean) and is_number(std)):
            raise NoOverload
        shape = whole_numbers("normal", (), one_of(size, tuple, list))
        return _normal_of_size(
            float(mean), float(std), shape, generator=generator, out=out, **options
        )
    tensors = isinstance(mean, Tensor), isinstance(std, Tensor)
    if options or not any(tensors):
        raise NoOverload
    if not tensors[1]:
        std = 1 if std is None else std
        return _around(mean, _number(std), generator, out)
    return _scaled(mean if tensors[0] else _number(mean), std, generator, out)


def _number(value) -> float:
    if not is_number(value):
        raise NoOverload
    return float(value)


@creation
def _normal_of_size(mean, std, shape, *, generator, out, dtype, device) -> Tensor:
    options = Options(dtype, device, generator, out)
    default = dtypes.get_default_dtype()
    return create("normal", NORMAL, (mean, std), shape, default, options)


def _around(mean: Tensor, std: float, generator, out) -> Tensor:
    """Return numbers around each of ``mean``."""
    where, kind = _place_and_dtype(mean, out)
    z = draw(NORMAL, (0.0, std), aval(tuple(mean.shape), kind), where, generator)
    return _finish("NormalBackward1", (mean,), z.add_(mean.detach()), out)


def _scaled(mean, std: Tensor, generator, out) -> Tensor:
    """Return numbers around ``mean``, a number or a tensor, with each of the deviations."""
    if std.is_complex():
        raise RuntimeError("normal expects standard deviation to be non-complex")
    negative = RuntimeError("normal expects all elements of std >= 0.0")
    check_within(std, 0, math.inf, lambda *_: negative)
    tensors = (mean, std) if isinstance(mean, Tensor) else (std,)
    where, kind = _place_and_dtype(tensors[0], out)
    shape = broadcast_shapes(*(tuple(t.shape) for t in tensors))
    z = draw(NORMAL, (0.0, 1.0), aval(shape, kind), where, generator)
    z = aten.rounded_mul(z, std.detach()).to(kind)
    z = z.add_(mean.detach() if isinstance(mean, Tensor) else mean)
    return _finish(f"NormalBackward{1 + len(tensors)}", tensors, z, out)


def _place_and_dtype(source: Tensor, out: Tensor | None) -> tuple:
    given = source if out is None else out
    return source.device, given.dtype


def _finish(grad_name: str, sources: tuple, value: Tensor, out: Tensor | None) -> Tensor:
    result = with_zero_grad(grad_name, sources, value)
    return result if out is None else write_out("normal", out, result)


# ---- bernoulli ----


@public(method=False)
@overloads(
    "Tensor input, *, torch.Generator generator = None, Tensor out = None",
    "Tensor input, float p, *, torch.Generator generator = None",
)
def bernoulli(input=None, p=None, *, generator=None, out=None) -> Tensor:
    """Return 1 with the probabilities ``input`` (or ``p`` in the shape of ``input``), else 0."""
    if input is None or (p is not None and out is not None):
        raise NoOverload
    if not isinstance(input, Tensor):
        raise bad_argument("bernoulli", "input", 1, "Tensor", input)
    one_of(out, Tensor, _NONE)
    return _bernoulli(input, p, generator, out)


@overloads(
    "*, torch.Generator generator = None", "float p, *, torch.Generator generator = None",
    method="bernoulli",
)  # fmt: skip
def _bernoulli_method(self: Tensor, p=None, *, generator=None) -> Tensor:
    """Return 1 with this tensor's probabilities (or ``p`` in its shape), else 0."""
    return _bernoulli(self, p, generator, None)


public(_bernoulli_method, name="bernoulli", module=False)


def _bernoulli(input: Tensor, p, generator, out) -> Tensor:
    one_of(generator, Generator, _NONE)
    if p is not None:
        a = aval(tuple(input.shape), input.dtype)
        return draw(BERNOULLI, (_number(p),), a, input.device, generator)
    drawn = draw_bernoulli(input, (out if out is not None else input).dtype, generator)
    result = with_zero_grad("BernoulliBackward0", (input,), drawn)
    return result if out is None else write_out("bernoulli", out, result)


def draw_bernoulli(p: Tensor, kind: dtypes.dtype, generator, order: list | None = None) -> Tensor:
    """Return 1 with the probabilities ``p``, else 0.

    Args:
        order: The dimensions in the order in which the elements are drawn, if another.
    Raises:
        RuntimeError: a probability is not in [0, 1].
    """

    def on_host(engine, p):
        require(np.dtype(kind.numpy), COUNTABLE, "bernoulli_tensor_cpu_self_")
        drawn = mersenne.bernoulli_array(engine, p if order is None else p.transpose(order))
        drawn = drawn if order is None else drawn.transpose(np.argsort(order))
        return drawn.astype(kind.numpy)

    return draw_with(p.device, generator, on_host, "draw_bernoulli", (p,), (kind,))


# ---- categories and counts ----


@public
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator=None, out=None
) -> Tensor:
    """Return indices drawn with the weights ``input``, per row if there are two dimensions.

    Args:
        input: ``(C,)`` or ``(N, C)``, floating; not negative, and not all zero.
    Returns:
        ``(num_samples,)`` or ``(N, num_samples)``, int64.
    Raises:
        RuntimeError: bad weights, or more samples than categories without replacement.
    """
    _check_multinomial(input, num_samples, replacement, generator, out)
    count = operator.index(num_samples)
    a = input._aval
    check_arguments(np.broadcast_to(np.zeros((), a.dtype.numpy), a.shape), count, replacement)
    by_column = a.ndim == 2 and not a.contiguous and a.strides[0] < a.strides[1]

    def on_host(engine, weights):
        return mersenne.multinomial(engine, weights, count, replacement, by_column)

    static = (count, replacement)
    made = draw_with(input.device, generator, on_host, "draw_categories", (input,), static)
    return put(out, made)


def _check_multinomial(input, num_samples, replacement, generator, out) -> None:
    if not isinstance(input, Tensor):
        raise bad_argument("multinomial", "input", 1, "Tensor", input)
    if not is_whole(num_samples):
        raise bad_argument("multinomial", "num_samples", 2, "int", num_samples)
    if not isinstance(replacement, bool):
        raise bad_argument("multinomial", "replacement", 3, "bool", replacement)
    check_generator("multinomial", generator)
    if out is not None and out.dtype is not dtypes.int64:
        name = dtypes.SCALAR_NAMES[out.dtype]
        raise RuntimeError(f"multinomial expects Long tensor out, got: {name}")


@public(method=False)
def poisson(input: Tensor, generator=None) -> Tensor:
    """Return Poisson numbers of the rates ``input``.

    Raises:
        RuntimeError: a rate is negative.
    """
    if not isinstance(input, Tensor):
        raise bad_argument("poisson", "input", 1, "Tensor", input)
    check_generator("poisson", generator)
    drawn = draw_with(input.device, generator, mersenne.poisson, "draw_poisson", (input,))
    return with_zero_grad("PoissonBackward0", (input,), drawn)


@public(method=False)
def binomial(count: Tensor, prob: Tensor, generator=None) -> Tensor:
    """Return the successes in ``count`` trials of probability ``prob``; no gradients flow.

    Raises:
        RuntimeError: ``prob`` has another dtype, or a shape that doesn't expand to ``count``'s.
    """
    for position, (name, t) in enumerate((("count", count), ("prob", prob)), 1):
        if not isinstance(t, Tensor):
            raise bad_argument("binomial", name, position, "Tensor", t)
    check_generator("binomial", generator)
    if count.dtype is not prob.dtype:
        names = dtypes.SCALAR_NAMES
        raise RuntimeError(f"Found dtype {names[prob.dtype]} but expected {names[count.dtype]}")
    broadcast_shapes(tuple(count.shape), tuple(prob.shape))
    sources = (count, prob.expand(count.shape))
    return draw_with(count.device, generator, mersenne.binomial, "draw_binomial", sources)
