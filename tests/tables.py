"""Tables of expressions run under PyTorch and facade: many in one program, compiled once."""

import math
import warnings

import torch
from parity import assert_same, assert_same_error

import facade

WORDS = {"inf": math.inf, "nan": math.nan}


def check(codes, names):
    """Compare each expression's result or exception.

    Args:
        names: Called with the module, returns what the expressions may use beside ``torch``.
    """
    for code, ours, theirs in zip(
        codes, run(codes, names, facade), run(codes, names, torch), strict=True
    ):
        compare(code, ours, theirs)


def same(function):
    """Compare what ``function`` returns or raises under both modules."""
    compare(function.__name__, *(called(function, module) for module in (facade, torch)))


def called(function, module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(module)
        except Exception as error:
            return error


def run(codes, names, module):
    """Return each expression's result or exception; they share their operands."""
    scope = {"torch": module, **WORDS, **names(module)}
    return [outcome(code, scope) for code in codes]


def outcome(code, scope):
    return called(lambda module: eval(code, scope), None)


def compare(code, ours, theirs):
    """Compare two outcomes and say in the failure which expression it was."""
    try:
        if isinstance(ours, Exception) or isinstance(theirs, Exception):
            assert_same_error(ours, theirs)
        else:
            assert_same(ours, theirs)
    except AssertionError as error:
        error.add_note(f"expression: {code}")
        raise


def check_gradients(cases):
    """Compare results and gradients.

    Args:
        cases: Of ``(expression, values of x, of y, of z)``; only what the expression uses.
    """
    for case, ours, theirs in zip(
        cases, differentiate(cases, facade), differentiate(cases, torch), strict=True
    ):
        compare(case, ours, theirs)


def differentiate(cases, module):
    """Return per case its first result and the gradients of that result's weighted sum.

    One backward serves all cases. The weights differ by element, so that a gradient put at the
    wrong place shows.
    """
    rows, total = [], 0
    for code, *values in cases:
        inputs = [module.tensor(v, requires_grad=True) for v in values]
        result = eval(code, {"torch": module, **WORDS, **dict(zip("xyz", inputs, strict=False))})
        result = result[0] if isinstance(result, tuple) else result
        weights = module.arange(1, result.numel() + 1, dtype=result.dtype).reshape(result.shape)
        total = total + (result * weights).sum()
        rows.append([result, *inputs])
    total.backward()
    # PyTorch's gradient of a step function is a "zero tensor", which numpy() refuses: add 0
    return [
        [result, *(None if x.grad is None else x.grad + 0 for x in inputs)]
        for result, *inputs in rows
    ]
