"""The dtype of every pair of operands: tensors, 0-dimensional tensors, numbers."""

import itertools

import pytest
import torch
from tables import compare, outcome

import facade

DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128",
)  # fmt: skip
NUMBERS = (True, 2, 2.5, 1j)
BINARY = (
    "a + b", "a * b", "a / b", "a ** b", "a == b", "a < b", "torch.where(m, a, b)",
    "torch.maximum(a, b)", "torch.atan2(a, b)", "a // b", "a & b",
)  # fmt: skip
WITH_NUMBER = (
    "a + n", "n - a", "a * n", "a / n", "n / a", "a ** n", "n ** a", "a == n", "n > a",
    "torch.where(m, a, n)", "torch.where(m, n, a)", "a.clamp(min=n)", "a.clamp(max=n)", "a // n",
    "a % n", "a & n", "torch.full_like(a, n)", "torch.add(a, a, alpha=n)",
)  # fmt: skip
IN_PLACE = ("a.add_(b)", "a.mul_(b)", "a.div_(b)", "a.pow_(b)", "a.eq_(b)", "a.copy_(b)")


def dtype_of(code, module, **names):
    """Return the dtype that an expression has, or its exception."""
    result = outcome(code, {"torch": module, **names})
    return result if isinstance(result, Exception) else repr(result.dtype)


def operand(module, name, shape=(2,)):
    return module.ones(shape, dtype=getattr(module, name))


@pytest.mark.parametrize("code", BINARY)
@pytest.mark.parametrize("second", [(2,), ()], ids=["tensors", "tensor and 0-d"])
def test_pairs(code, second):
    for a, b in itertools.product(DTYPES, DTYPES):
        if second == () and a == "float16" and "complex" in b:
            continue  # complex numbers of two halves, which JAX doesn't have
        found = [
            dtype_of(code, m, a=operand(m, a), b=operand(m, b, second), m=operand(m, "bool"))
            for m in (facade, torch)
        ]
        compare(f"{code} for {a}, {b}", *found)


@pytest.mark.parametrize(
    ("code", "shape"), [(c, (2,)) for c in WITH_NUMBER] + [(c, ()) for c in WITH_NUMBER[:4]]
)
def test_numbers(code, shape):
    for a, n in itertools.product(DTYPES, NUMBERS):
        if a in ("float16", "bfloat16") and isinstance(n, complex):
            continue
        found = [
            dtype_of(code, m, a=operand(m, a, shape), n=n, m=operand(m, "bool", shape))
            for m in (facade, torch)
        ]
        compare(f"{code} for {a}, {n}", *found)


@pytest.mark.parametrize("code", IN_PLACE)
def test_in_place_keeps_the_dtype_or_refuses(code):
    for a, b in itertools.product(
        ("bool", "uint8", "int64", "float16", "float32", "complex64"), repeat=2
    ):
        found = [dtype_of(code, m, a=operand(m, a), b=operand(m, b)) for m in (facade, torch)]
        compare(f"{code} for {a}, {b}", *found)


@pytest.mark.parametrize("code", ["a + b", "a - b", "a * b", "a / b", "a == b", "a < b"])
def test_values_follow_the_common_dtype(code):
    def values(module):
        half = module.tensor([0.1, 2049.0, 60000.0], dtype=module.float16)
        whole = module.tensor([1, 300, 16777217])
        return [
            eval(code, {"a": a, "b": b})
            for a, b in (
                (half, whole),
                (whole, 0.1),
                (half, 0.1),
                (whole.int(), whole),
                (whole, half),
            )
        ]

    for ours, theirs in zip(values(facade), values(torch), strict=True):
        compare(code, ours, theirs)


def test_default_dtype_decides_what_numbers_become():
    def code(module):
        module.set_default_dtype(module.float64)
        try:
            whole = module.tensor([1, 2])
            return [whole + 0.5, whole / 2, whole.exp(), module.ones(2), module.arange(0, 1, 0.5)]
        finally:
            module.set_default_dtype(module.float32)

    for ours, theirs in zip(code(facade), code(torch), strict=True):
        compare("default dtype", ours, theirs)


def test_default_dtype_changes_while_running():
    def code(module):
        whole, results = module.tensor([1, 2]), []
        for kind in (module.float32, module.float64, module.float32):
            module.set_default_dtype(kind)
            results += [whole / 2, whole + 0.5]
        return results

    for ours, theirs in zip(code(facade), code(torch), strict=True):
        compare("default dtype", ours, theirs)
