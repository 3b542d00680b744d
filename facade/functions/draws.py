"""Draw random numbers for a tensor: on the host for the CPU, on the tape for other devices."""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType
from typing import Any, SupportsIndex, TypeGuard

import numpy as np

from facade import aten, dtypes, mersenne
from facade.avals import Aval, aval
from facade.devices import CPU, META, device
from facade.errors import bad_argument, no_overload
from facade.mersenne.checks import require
from facade.mersenne.whole_numbers import bounds
from facade.ops.registry import OPS
from facade.random import Generator, default_generator, engine_for
from facade.recording import record_on, wrap
from facade.storage import Storage
from facade.tape import Tape, state
from facade.tensor import Tensor

# ---- laws ----


@dataclass(frozen=True, eq=False)
class Law:
    """How independent numbers are drawn.

    Attributes:
        host: ``(engine, shape, numpy dtype, *parameters) -> array``, with PyTorch's errors.
        device: The law's name in ``ops/random.py``.
        operands: ``(numpy dtype, *parameters)`` -> the two numbers that the op takes.
        scattered: What ``host`` is for a tensor that isn't contiguous, if another.
    """

    host: Callable
    device: str
    operands: Callable = lambda dtype, first, second=0.0: (float(first), float(second))
    scattered: Callable | None = None


# The dtypes that Bernoulli draws fill.
COUNTABLE = frozenset(
    np.dtype(d.numpy)
    for d in dtypes.ALL
    if not d.is_complex and d not in (dtypes.uint16, dtypes.uint32, dtypes.uint64)
)


def _bernoulli(engine, shape, dtype, p: float) -> np.ndarray:
    require(np.dtype(dtype), COUNTABLE, "bernoulli_scalar_cpu_")
    return mersenne.bernoulli_scalar(engine, shape, p).astype(dtype)


def _dropout_noise(engine, shape, dtype, keep: float) -> np.ndarray:
    require(np.dtype(dtype), COUNTABLE, "bernoulli_scalar_cpu_")
    return mersenne.bernoulli_scalar(engine, shape, keep) * _scale(dtype, keep)


def _scale(dtype, keep: float):
    """Return what dropout multiplies the kept elements by, rounded as PyTorch rounds it.

    Raises:
        RuntimeError: the dtype is a whole number's.
    """
    known = dtypes.from_numpy(dtype)
    if not (known.is_floating_point or known.is_complex):
        name = dtypes.SCALAR_NAMES[known]
        raise RuntimeError(f"result type Float can't be cast to the desired output type {name}")
    wide = np.float64 if known in (dtypes.float64, dtypes.complex128) else np.float32
    return (wide(1) / wide(keep)).astype(dtype)


def _first_and_count(dtype, low: int = 0, high: int | None = None) -> tuple[int, int]:
    """Return the numbers that the op draws from; a count of 2**64 is 0."""
    first, last = bounds(np.dtype(dtype), low, high)
    count = last - first + 1
    return first, (count + (1 << 63)) % (1 << 64) - (1 << 63)


UNIFORM = Law(mersenne.uniform, "uniform")
NORMAL = Law(
    mersenne.normal, "normal", scattered=functools.partial(mersenne.normal, contiguous=False)
)
LOG_NORMAL = Law(mersenne.log_normal, "log_normal")
EXPONENTIAL = Law(mersenne.exponential, "exponential")
CAUCHY = Law(mersenne.cauchy, "cauchy")
GEOMETRIC = Law(mersenne.geometric, "geometric")
BERNOULLI = Law(_bernoulli, "bernoulli", lambda dtype, p: (p, 1.0))
DROPOUT_NOISE = Law(_dropout_noise, "bernoulli", lambda dtype, keep: (keep, 1 / keep))
INTEGERS = Law(mersenne.integers, "integers", _first_and_count)
FULL_RANGE = Law(mersenne.random_full_range, "integers", _first_and_count)


# ---- drawing ----


def draw(law: Law, parameters: tuple, a: Aval, where: device, generator=None) -> Tensor:
    """Return a new tensor on ``where`` of independent numbers.

    Args:
        a: Its shape, dtype and strides; numbers are drawn in the order of memory.
        generator: The device's default one unless given.
    Raises:
        Whatever PyTorch raises for these parameters and this dtype.
    """
    if where is META:
        return record_on(where, OPS["zeros"], (), (a.shape, a.dtype))
    if is_traced(where):  # the function says which numbers it gets
        return _source(where).draw(draw, law, parameters, a, where, generator)
    engine = engine_for(where, generator)
    if where is CPU:
        return leaf(_draw_on_host(law, parameters, a, engine), a)
    law.host(_UNUSED, (0,), a.dtype.numpy, *parameters)  # for its errors
    return record_draw(engine.advance(), law, parameters, a, where)


def record_draw(numbers: tuple, law: Law, parameters: tuple, a: Aval, where: device) -> Tensor:
    """Record a draw that the program makes, of ``numbers``: a seed, and how many came before."""
    operands = (*numbers, *law.operands(a.dtype.numpy, *parameters))
    static = (law.device, a.shape, None if a.contiguous else a.strides, a.dtype)
    return record_on(where, OPS["draw"], operands, static)


def record_draw_like(numbers: tuple, where: device, name: str, sources, static: tuple) -> Tensor:
    """Record a draw that the program makes, and that depends on tensors: by the op ``name``."""
    return record_on(where, OPS[name], (*numbers, *map(_detached, sources)), static)


def short_seed() -> int:
    """Return the default seed in as many bits as JAX has by default."""
    return default_generator.initial_seed() % 2**31


def is_traced(where: device) -> bool:
    """Return whether a function is being traced, so that there are no values on ``where``."""
    return _source(where) is not None


class _Given(threading.local):
    """Who gives a thread random numbers while JAX traces what it runs, if somebody does."""

    source: Any = None


given = _Given()


def _source(where: device) -> Any:
    tape = state.tapes.get(where)
    return given.source if type(tape) in (Tape, NoneType) else tape


_UNUSED = mersenne.MersenneTwister()


def _draw_on_host(law: Law, parameters: tuple, a: Aval, engine) -> np.ndarray:
    if a.contiguous:
        return law.host(engine, a.shape, a.dtype.numpy, *parameters)
    order = memory_order(a)
    shape = tuple(a.shape[dim] for dim in order)
    drawn = (law.scattered or law.host)(engine, shape, a.dtype.numpy, *parameters)
    return drawn.transpose(np.argsort(order))


def memory_order(a: Aval) -> list[int]:
    """Return the dimensions from the slowest to the fastest moving in memory."""
    return sorted(range(a.ndim), key=lambda dim: -a.strides[dim])


def leaf(array: np.ndarray, a: Aval | None = None) -> Tensor:
    """Return a CPU tensor that holds an array."""
    known = a or aval(array.shape, dtypes.from_numpy(array.dtype))
    return wrap(Storage(known, CPU, array), known)


def draw_with(
    where: device, generator, on_host: Callable, name: str, sources: tuple, static: tuple = ()
) -> Tensor:
    """Return what is no row of independent numbers of one law.

    Args:
        on_host: ``(engine, *arrays) -> array``, for the CPU.
        name: The op for other devices; it takes the seed, the offset, ``sources``, ``static``.
        sources: Tensors that the numbers depend on.
    """
    if where is META:
        return record_draw_like((0, 0), where, name, sources, static)
    engine = engine_for(where, generator)
    arguments = (where, engine, on_host, name, sources, static)
    if is_traced(where):
        return _source(where).draw_like(_drawn, engine, *arguments)
    return _drawn(*arguments)


def _drawn(where: device, engine, on_host: Callable, name: str, sources, static) -> Tensor:
    if where is CPU:
        return leaf(on_host(engine, *(s._host() for s in sources)))
    return record_draw_like(engine.advance(), where, name, sources, static)


def _detached(x):
    return x.detach() if isinstance(x, Tensor) else x


# ---- writing ----


def overwrite(target: Tensor, law: Law, parameters: tuple, generator, grad_name: str) -> Tensor:
    """Fill a tensor with new numbers in place; return it.

    Raises:
        RuntimeError: autograd forbids to write it, or several elements share their memory.
    """
    target._check_writable(target)  # before a number is drawn
    value = draw(law, parameters, target._aval, target.device, generator)
    return target.write(with_zero_grad(grad_name, (target,), value))


def refill(out: Tensor, law: Law, parameters: tuple, shape: tuple, generator) -> Tensor:
    """Fill ``out=`` of a creation function, resized if need be; the numbers have its dtype."""
    if out.shape == shape:
        return overwrite(out, law, parameters, generator, "")
    out.data = draw(law, parameters, aval(shape, out.dtype), out.device, generator)
    return out


def put(out: Tensor | None, made: Tensor) -> Tensor:
    """Return ``made``, or ``out`` with its values and its size."""
    if out is None:
        return made
    if out.shape == made.shape:
        return out.write(made)
    out.data = made
    return out


def with_zero_grad(grad_name: str, sources: tuple, value: Tensor) -> Tensor:
    """Return ``value`` with sources in its history, to which it passes gradients of zero."""
    if not state.grad or all(s._fresh_node() is None for s in sources):
        return value
    return aten.random_result(sources, value, grad_name)


# ---- arguments ----


class NoOverload(Exception):
    """The arguments fit none of a function's signatures."""


def overloads(*signatures: str, method: str | None = None):
    """Make a function that raises :class:`NoOverload` raise PyTorch's list of ``signatures``.

    Args:
        method: The name of the method it is; PyTorch doesn't name ``self`` then.
    """

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            try:
                return function(*args, **kwargs)
            except NoOverload:
                given = args[1:] if method else args
                error = no_overload(method or function.__name__, given, kwargs, signatures)
            raise error

        return call

    return decorate


def check_generator(name: str, generator) -> None:
    """Check a ``generator=`` argument.

    Raises:
        TypeError: it is none.
    """
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(
            f"{name}(): argument 'generator' must be torch.Generator, "
            f"not {type(generator).__name__}"
        )


def one_of(value: Any, *kinds: type) -> Any:
    """Return ``value`` if it is of one of these types.

    Raises:
        NoOverload: it is not.
    """
    if not isinstance(value, kinds):
        raise NoOverload
    return value


def number(name: str, argument: str, position: int, value) -> float:
    """Return a real number.

    Raises:
        TypeError: it is none.
    """
    if is_number(value):
        return float(value)
    raise bad_argument(name, argument, position, "float", value)


def is_number(value) -> bool:
    """Return whether PyTorch takes ``value`` where it wants a float."""
    if isinstance(value, Tensor):
        return not (value.ndim or value.requires_grad or value.is_complex())
    return isinstance(value, int | float | np.integer | np.floating) or (
        isinstance(value, np.ndarray) and not value.ndim
    )


def is_whole(value) -> TypeGuard[SupportsIndex]:
    """Return whether PyTorch takes ``value`` where it wants an int."""
    if isinstance(value, Tensor):
        return not (value.ndim or value.is_floating_point() or value.is_complex())
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def unsigned_sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of a tensor.

    Raises:
        RuntimeError: one is negative.
    """
    for size in shape:
        if size < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {size}: {list(shape)}"
            )
    return shape
