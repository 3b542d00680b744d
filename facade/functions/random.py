"""Make tensors of random numbers: ``rand``, ``randn``, ``randint``, ``randperm``, and their kin."""

import operator
from typing import Any, NamedTuple

import numpy as np

from facade import dtypes, mersenne
from facade.avals import Aval, aval, channels_last_strides, elementwise_strides
from facade.binding import public
from facade.errors import bad_argument
from facade.functions.construction import place
from facade.functions.creation import creation, whole_numbers
from facade.functions.draws import (
    INTEGERS,
    NORMAL,
    UNIFORM,
    Law,
    NoOverload,
    draw,
    draw_with,
    is_whole,
    one_of,
    overloads,
    put,
    refill,
    unsigned_sizes,
)
from facade.functions.fitting import fitting
from facade.layouts import channels_last, channels_last_3d, contiguous_format, preserve_format
from facade.mersenne.checks import require
from facade.outs import check_out
from facade.random import Generator
from facade.tensor import Tensor

_NONE = type(None)

# How PyTorch's messages write what these functions take.
DTYPE_AND_DEVICE = (
    "torch.dtype dtype = None, torch.layout layout = None, torch.device device = None, "
    "bool pin_memory = False, bool requires_grad = False"
)


def _signatures(*own: str, rest: str = f"Tensor out = None, {DTYPE_AND_DEVICE}") -> list[str]:
    """Return what a function takes, each of its ``own`` arguments with a generator and without."""
    return [
        f"{arguments}, *, {generator}{rest}"
        for arguments in own
        for generator in ("torch.Generator generator, ", "")
    ]


class Options(NamedTuple):
    """What the caller of a creation function asked for; None where nothing was."""

    dtype: dtypes.dtype | None
    device: object
    generator: Generator | None
    out: Tensor | None


def create(name: str, law: Law, parameters: tuple, shape, default, options: Options) -> Tensor:
    """Return random numbers in a new tensor, or in ``out``.

    Args:
        default: Their dtype, unless one is asked for.
    """
    dtype, device, generator, out = options
    one_of(generator, Generator, _NONE)
    one_of(out, Tensor, _NONE)
    unsigned_sizes(shape)
    if out is not None:
        check_out(name, out, dtype, device)
        return refill(out, law, parameters, shape, generator)
    return draw(law, parameters, aval(shape, dtype or default), place(device), generator)


# ---- of a size ----


def _standard(name: str, law: Law, args: tuple, size, options: Options) -> Tensor:
    """Return numbers of the law with the parameters 0 and 1."""
    several = len(args) > 1 and any(isinstance(a, tuple | list) for a in args)
    if (size is None) == (not args) or several:
        raise NoOverload
    shape = whole_numbers(name, args, size)
    return create(name, law, (0.0, 1.0), shape, dtypes.get_default_dtype(), options)


@public(method=False)
@overloads(*_signatures("tuple of ints size"))
@creation
def rand(*args, size=None, generator=None, out=None, dtype, device) -> Tensor:
    """Return numbers from the uniform distribution on ``[0, 1)``."""
    return _standard("rand", UNIFORM, args, size, Options(dtype, device, generator, out))


@public(method=False)
@overloads(*_signatures("tuple of ints size"))
@creation
def randn(*args, size=None, generator=None, out=None, dtype, device) -> Tensor:
    """Return numbers from the normal distribution with mean 0 and variance 1."""
    return _standard("randn", NORMAL, args, size, Options(dtype, device, generator, out))


@public(method=False)
@overloads(*_signatures("int high, tuple of ints size", "int low, int high, tuple of ints size"))
@creation
def randint(
    *args, low=None, high=None, size=None, generator=None, out=None, dtype, device
) -> Tensor:
    """Return whole numbers from ``low`` (0) up to ``high``, which is left out.

    Called as ``randint(high, size)`` or ``randint(low, high, size)``.
    """
    if len(args) == 2 and low is high is size is None:
        _check_high_and_size(*args)
    given = list(args)
    if size is None and given:
        size = given.pop()
    bounds = _low_and_high(given, low, high)
    shape = whole_numbers("randint", (), one_of(size, tuple, list))
    options = Options(dtype, device, generator, out)
    return create("randint", INTEGERS, bounds, shape, dtypes.int64, options)


def _check_high_and_size(high, size) -> None:
    if not is_whole(high):
        raise bad_argument("randint", "high", 1, "int", high)
    if not isinstance(size, tuple | list):
        raise bad_argument("randint", "size", 2, "tuple of ints", size)


def _low_and_high(given: list, low: Any, high: Any) -> tuple[int, int]:
    """Return the bounds given as ``high``, as ``low, high``, or by name."""
    if high is None and given:
        high = given.pop()
    if low is None:
        low = given.pop() if given else 0
    if given or not (is_whole(low) and is_whole(high)):
        raise NoOverload
    return operator.index(low), operator.index(high)


# ---- permutations ----

_PERMUTED = [
    np.dtype(d.numpy)
    for d in (
        dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64,
        dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64,
    )
]  # fmt: skip


@public(method=False)
@overloads(*_signatures("int n"))
@creation
def randperm(n: Any = None, *, generator=None, out: Tensor | None = None, dtype, device) -> Tensor:
    """Return the numbers from 0 to ``n - 1`` in random order."""
    if n is None:
        raise NoOverload
    if not is_whole(n):
        raise bad_argument("randperm", "n", 1, "int", n)
    one_of(generator, Generator, _NONE)
    one_of(out, Tensor, _NONE)
    (n,) = unsigned_sizes((operator.index(n),))
    if out is not None:
        check_out("randperm", out, dtype, device)
        dtype, device = out.dtype, out.device
    kind = dtype or dtypes.int64
    _check_permuted(n, kind)

    def on_host(engine):
        return mersenne.permutation(engine, n).astype(kind.numpy)

    made = draw_with(place(device), generator, on_host, "draw_permutation", (), (n, kind))
    return put(out, made)


def _check_permuted(n: int, kind: dtypes.dtype) -> None:
    """Check that a dtype can hold the numbers below ``n``.

    Raises:
        RuntimeError, NotImplementedError: it can't.
    """
    if not kind.is_floating_point:
        fitting(n, kind)
    elif n > (most := round(2 / dtypes.finfo(kind).eps) + 1):
        name = dtypes.SCALAR_NAMES[kind]
        raise RuntimeError(f"n cannot be greater than {most} for {name} type.")
    require(np.dtype(kind.numpy), _PERMUTED, "randperm")


# ---- like another tensor ----

_LIKE = f"torch.memory_format memory_format = None, {DTYPE_AND_DEVICE}"


@public(method=False)
@overloads(*_signatures("Tensor input", rest=_LIKE))
@creation
def rand_like(input: Any = None, *, generator=None, dtype, device, memory_format) -> Tensor:
    """Return uniform numbers in the shape of ``input``, with its dtype and device."""
    a = _aval_like(_only_tensor("rand_like", input), dtype, memory_format)
    return _draw_like(input, UNIFORM, (0.0, 1.0), a, device, generator)


@public(method=False)
@overloads(*_signatures("Tensor input", rest=_LIKE))
@creation
def randn_like(input: Any = None, *, generator=None, dtype, device, memory_format) -> Tensor:
    """Return normal numbers in the shape of ``input``, with its dtype and device."""
    a = _aval_like(_only_tensor("randn_like", input), dtype, memory_format)
    return _draw_like(input, NORMAL, (0.0, 1.0), a, device, generator)


@public(method=False)
@overloads(
    *_signatures(
        "Tensor input, int low, int high", "Tensor input, Tensor high", "Tensor input, int high",
        rest=_LIKE,
    )
)  # fmt: skip
@creation
def randint_like(
    input: Any = None, *args, low=None, high=None, generator=None, dtype, device, memory_format
) -> Tensor:
    """Return whole numbers in the shape of ``input``, with its dtype and device.

    Called as ``randint_like(input, high)`` or ``randint_like(input, low, high)``.
    """
    a = _aval_like(one_of(input, Tensor), dtype, memory_format)
    bounds = _low_and_high(list(args), low, high)
    return _draw_like(input, INTEGERS, bounds, a, device, generator)


def _draw_like(input: Tensor, law: Law, parameters: tuple, a: Aval, device, generator) -> Tensor:
    where = input.device if device is None else place(device)
    return draw(law, parameters, a, where, one_of(generator, Generator, _NONE))


def _only_tensor(name: str, input) -> Tensor:
    if input is None:
        raise NoOverload
    if not isinstance(input, Tensor):
        raise bad_argument(name, "input", 1, "Tensor", input)
    return input


def _aval_like(input: Tensor, dtype, memory_format) -> Aval:
    """Return the aval of a new tensor that is shaped and laid out like ``input``."""
    known = input._aval
    if memory_format in (None, preserve_format):
        strides = elementwise_strides(known.shape, [known])
    elif memory_format is contiguous_format:
        strides = None
    else:
        rank = {channels_last: 4, channels_last_3d: 5}[memory_format]
        if known.ndim != rank:
            raise RuntimeError(f"required rank {rank} tensor to use {memory_format.name} format")
        strides = channels_last_strides(known.shape)
    return aval(known.shape, dtype or known.dtype, strides)
