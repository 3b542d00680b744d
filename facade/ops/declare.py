"""What op declarations share: errors, sizes, strides, names by operand, elementwise functions."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from facade.avals import Aval, elementwise_strides
from facade.dtypes import SCALAR_NAMES, bool_, dtype
from facade.errors import bad_argument
from facade.ops.registry import Array, Promote, op, promote

_KINDS = {
    "bool": lambda d: d is bool_,
    "integer": lambda d: not (d is bool_ or d.is_floating_point or d.is_complex),
    "floating": lambda d: d.is_floating_point,
    "complex": lambda d: d.is_complex,
    "half": lambda d: d.is_floating_point and d.itemsize < 4,
}


def short(places, within):
    """Return places in an array as int32, if they can't be beyond.

    With 64 bits, some of JAX's own rules fail where its 64-bit types are off: in gradients and
    batches that somebody else takes of what facade recorded.
    """
    wide = max(within.shape, default=0) >= 1 << 31
    return places if wide else lax.convert_element_type(places, jnp.int32)


def kernel(name: str) -> tuple[type[Exception], str]:
    """Return the error of a kernel that lacks a dtype."""
    return NotImplementedError, f"\"{name}\" not implemented for '{{}}'"


def refuse(numbers: str = "", **errors: tuple[type[Exception], str]) -> Callable:
    """Return a check that refuses kinds of dtypes.

    Args:
        numbers: The op's name as its message has it, if all its operands must be tensors.
        errors: Per kind ("bool", "integer", "floating", "half", "complex") of the operands' common
            dtype an exception class and its text, where ``{}`` stands for the dtype's name.
    """

    def check(**arguments) -> None:
        operands = {n: a for n, a in arguments.items() if isinstance(a, Aval | type)}
        if numbers:
            tensors_only(numbers, operands)
        refuse_dtype(promote(Promote.SAME, list(operands.values())), errors)

    return check


def pair_overloads(other: str = "other", number_first: str = "") -> tuple[str, ...]:
    """Return the signatures of a function of a tensor and another tensor or a number.

    Args:
        other: The second parameter.
        number_first: "plain" if a number may come first, "out" if that form has ``out=``.
    """
    out = ", *, Tensor out = None"
    turned = f"Number self, Tensor {other}{out if number_first == 'out' else ''}"
    return (
        f"Tensor input, Tensor {other}{out}",
        *([turned] if number_first else []),
        f"Tensor input, Number {other}{out}",
    )


def tensors_only(op_name: str, operands: dict, first: int = 1) -> None:
    """Raise PyTorch's error if one of the operands, counted from ``first``, is a number."""
    for position, (name, operand) in enumerate(operands.items(), first):
        if isinstance(operand, type):
            raise bad_argument(op_name, name, position, "Tensor", operand())


def refuse_dtype(found: dtype, errors: dict[str, tuple[type[Exception], str]]) -> None:
    """Raise the error given for ``found``'s kind, if there is one."""
    for kind, (error, text) in errors.items():
        if _KINDS[kind](found):
            raise error(text.format(SCALAR_NAMES[found]))


def expected_type(wanted: Aval, found: Aval) -> RuntimeError:
    """Return the error of a tensor whose dtype is another than its neighbour's."""
    names = SCALAR_NAMES[wanted.dtype], SCALAR_NAMES[found.dtype]
    return RuntimeError("expected scalar type {} but found {}".format(*names))


def spread(sizes: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return one size per dimension; a single one stands for all."""
    row = (sizes,) if isinstance(sizes, int) else sizes
    return row * count if len(row) == 1 else row


def like_first(operands: list[Aval], **_) -> tuple[int, ...]:
    """Return the strides of an elementwise result of the first operand."""
    return elementwise_strides(operands[0].shape, operands[:1])


def inexact_only(name: str, found: dtype) -> None:
    """Raise the error of the linalg function ``name`` for integers and bools."""
    if not (found.is_floating_point or found.is_complex):
        raise RuntimeError(
            f"linalg.{name}: Expected a floating point or complex tensor as input. "
            f"Got {SCALAR_NAMES[found]}"
        )


def by_number(parameter: str, number: str, tensor: str) -> Callable:
    """Return a grad_name: ``number`` if that operand is a Python number, else ``tensor``."""
    return lambda **arguments: number if isinstance(arguments[parameter], type) else tensor


def declare_unary(name: str, function: Callable, doc: str, **traits) -> None:
    """Declare the op ``name``: ``function`` of each element."""

    def call(input: Array):
        return function(input)

    _declare(name, call, doc, {"check": refuse(name)} | traits)


def declare_binary(name: str, function: Callable, doc: str, **traits) -> None:
    """Declare the op ``name``: ``function`` of each two elements."""

    def call(input: Array, other: Array):
        return function(input, other)

    _declare(name, call, doc, traits)


def _declare(name: str, call: Callable, doc: str, traits: dict) -> None:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    op(call, **{"promotes": Promote.SAME, "inplace": True, "out": True} | traits)
