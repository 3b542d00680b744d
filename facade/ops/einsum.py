"""einsum: read the equation, refuse what PyTorch refuses, contract."""

import string
from collections import Counter
from itertools import pairwise

import jax
import jax.numpy as jnp

from facade.ops.declare import expected_type
from facade.ops.linalg import matmul_precision
from facade.ops.registry import Raw, op


def _check_einsum(equation, operands) -> None:
    inputs, _ = parse_einsum(equation, [o.ndim for o in operands])
    sizes: dict[str, int] = {}
    for number, (labels, operand) in enumerate(zip(inputs, operands, strict=True)):
        own: dict[str, int] = {}
        for label, size in zip(labels, operand.shape, strict=True):
            if own.setdefault(label, size) != size:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand {number} but the sizes "
                    f"don't match, {size} != {own[label]}"
                )
            seen = sizes.setdefault(label, size)
            if seen == 1:
                sizes[label] = size
            elif size not in (1, seen):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {size} for operand {number} which does "
                    f"not broadcast with previously seen size {seen}"
                )
    for first, second in pairwise(operands):
        if first.dtype is not second.dtype:
            raise expected_type(first, second)


def parse_einsum(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return the labels of every operand and of the result, ellipses spelt out.

    Raises:
        RuntimeError: the equation doesn't fit operands of these numbers of dimensions.
    """
    left, arrow, right = equation.partition("->")
    terms = left.replace(" ", "").split(",")
    right = right.replace(" ", "")
    for at, letter in enumerate(left.replace("...", "   ")):
        if letter not in string.ascii_letters + " ,":
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {at} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )
    if len(terms) != len(ndims):
        more = "fewer" if len(terms) > len(ndims) else "more"
        raise RuntimeError(
            f"einsum(): {more} operands were provided than specified in the equation"
        )
    spare = [c for c in string.ascii_letters if c not in equation]
    covered = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True)]
    for number, (term, rest, ndim) in enumerate(zip(terms, covered, ndims, strict=True)):
        if rest < 0 or (rest and "..." not in term):
            ellipsis = "" if "..." in term else " and no ellipsis was given"
            raise RuntimeError(
                "einsum(): the number of subscripts in the equation "
                f"({len(term.replace('...', ''))}) does not match the number of dimensions "
                f"({ndim}) for operand {number}{ellipsis}"
            )
    dots = max((n for t, n in zip(terms, covered, strict=True) if "..." in t), default=0)
    fill = "".join(spare[:dots])
    inputs = [
        t.replace("...", fill[dots - n :]) if "..." in t else t
        for t, n in zip(terms, covered, strict=True)
    ]
    if not arrow:
        letters = "".join(terms).replace(".", "")
        return inputs, fill + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    for label in right.replace("...", ""):
        if right.count(label) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if label not in left:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any "
                "input operand"
            )
    return inputs, right.replace("...", fill)


def _einsum_name(equation, operands) -> str:
    inputs, output = parse_einsum(equation, [o.ndim for o in operands])
    return "ViewBackward0" if set("".join(inputs)) - set(output) else "MulBackward0"


@op(public="", check=_check_einsum, grad_name=_einsum_name)
def einsum(equation: str, operands: tuple[Raw, ...]) -> jax.Array:
    """Sum products over the labels that the result lacks; a size of 1 is repeated."""
    inputs, output = parse_einsum(equation, [o.ndim for o in operands])
    sizes: dict[str, int] = {}
    for labels, x in zip(inputs, operands, strict=True):
        for label, size in zip(labels, x.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 0)) if size else 0
    full = [
        jnp.broadcast_to(x, tuple(sizes[label] for label in labels))
        for labels, x in zip(inputs, operands, strict=True)
    ]
    if full[0].dtype.kind in "iub" and _sums_one(inputs, output, sizes):
        full[0] = full[0].astype(jnp.int64)
    precision = matmul_precision(full[0].dtype)
    return jnp.einsum(f"{','.join(inputs)}->{output}", *full, precision=precision)


def _sums_one(inputs: list[str], output: str, sizes: dict[str, int]) -> bool:
    """Return whether an operand alone is summed along a label, which makes integers int64."""
    counts = Counter(label for labels in inputs for label in set(labels))
    return any(n == 1 != sizes[x] for x, n in counts.items() if x not in output)
