"""gradcheck and gradgradcheck of right and wrong derivatives, under PyTorch and facade."""

import re
import warnings

import pytest
import torch

import facade

FAST = {"fast_mode": True}


def tensor(library, *values, dtype="float64"):
    return library.tensor(values, dtype=getattr(library, dtype), requires_grad=True)


def pair(library):
    return tensor(library, 0.5, 1.25), tensor(library, 2.0, -0.75)


def complexes(library):
    return (tensor(library, 0.5 + 1.0j, 0.25 - 1.25j, dtype="complex128"),)


def one(library):
    return (tensor(library, 0.5, 1.25),)


def function(library, name):
    """Return a Function of one argument with a fault, by its name."""

    class Base(library.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            ctx.set_materialize_grads(False)
            return x * x

        @staticmethod
        def backward(ctx, g):
            x = ctx.saved_tensors[0].conj()
            factor = 3 if name == "wrong" else 2
            if g is None:
                if name == "refuses absent":
                    raise RuntimeError("no gradient")
                return x * 1 if name == "makes something of nothing" else None
            if name == "not deterministic":
                Base.runs += 1
                return factor * x * g * (1 + 1e-7 * Base.runs)
            return factor * x * g + (1 if name == "adds" else 0)

        @staticmethod
        def jvp(ctx, t):
            return (3 if name == "wrong forward" else 2) * ctx.saved_tensors[0] * t

    Base.runs = 0
    return Base.apply


# name: (function of the library -> function to check, inputs, options)
CASES = {
    "two inputs, two results": (lambda t: lambda x, y: (x * y, y.sin()), pair, {}),
    "fast": (lambda t: lambda x, y: (x * y, y.sin()), pair, FAST),
    "forward": (
        lambda t: lambda x, y: (x * y, y.sin()),
        pair,
        {"check_forward_ad": True, "check_batched_forward_grad": True},
    ),
    "batched": (lambda t: t.sin, one, {"check_batched_grad": True}),
    "complex": (lambda t: lambda z: z * z, complexes, {}),
    "complex, forward": (lambda t: lambda z: z * z, complexes, {"check_forward_ad": True}),
    "complex, fast": (lambda t: lambda z: z * z.abs(), complexes, FAST),
    "wrong": (lambda t: function(t, "wrong"), one, {}),
    "wrong, fast": (lambda t: function(t, "wrong"), one, FAST),
    "wrong, complex": (lambda t: function(t, "wrong"), complexes, {}),
    "wrong, no exception": (lambda t: function(t, "wrong"), one, {"raise_exception": False}),
    "wrong forward": (lambda t: function(t, "wrong forward"), one, {"check_forward_ad": True}),
    "wrong forward, not asked": (lambda t: function(t, "wrong forward"), one, {}),
    "adds to the gradient": (lambda t: function(t, "adds"), one, {}),
    "refuses absent": (lambda t: function(t, "refuses absent"), one, {}),
    "refuses absent, not asked": (
        lambda t: function(t, "refuses absent"),
        one,
        {"check_undefined_grad": False},
    ),
    "something of nothing": (lambda t: function(t, "makes something of nothing"), one, {}),
    "not deterministic": (lambda t: function(t, "not deterministic"), one, {}),
    "tolerated": (lambda t: function(t, "not deterministic"), one, {"nondet_tol": 1e-3}),
    "no result that requires grad": (lambda t: lambda x: x.detach() * 2, one, {}),
    "results of changing shape": (lambda t: lambda x: x[:1] if x[0] > 0.5 else x, one, {}),
    "no input that requires grad": (
        lambda t: t.sin,
        lambda t: (t.zeros(2, dtype=t.float64),),
        {},
    ),
    "elements that share memory": (
        lambda t: t.sin,
        lambda t: (t.zeros(1, dtype=t.float64).expand(3).requires_grad_(),),
        {},
    ),
    "nothing to check": (lambda t: t.sin, one, {"check_backward_ad": False}),
    "batched without backward": (
        lambda t: t.sin,
        one,
        {"check_backward_ad": False, "check_forward_ad": True, "check_batched_grad": True},
    ),
    "batched without forward": (lambda t: t.sin, one, {"check_batched_forward_grad": True}),
}
SECOND = {
    "second": (lambda t: lambda x, y: (x**3 * y,), pair, {}),
    "second, complex": (lambda t: lambda z: z * z * z, complexes, FAST),
    "second, wrong": (lambda t: function(t, "wrong"), one, {}),
    "second, forward over reverse": (
        lambda t: t.sin,
        one,
        {"check_fwd_over_rev": True, "gen_non_contig_grad_outputs": True},
    ),
    "second, neither": (lambda t: t.sin, one, {"check_rev_over_rev": False}),
    "second, only forward": (
        lambda t: t.sin,
        one,
        {"check_fwd_over_rev": True, "check_rev_over_rev": False},
    ),
}


def outcome(library, check, case):
    """Return what the check returns, or its exception's class and text, numbers shortened."""
    make, inputs, options = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(library.autograd, check)(make(library), inputs(library), **options)
        except (RuntimeError, ValueError, AssertionError) as error:
            text = str(error).split("\n\nNOTE")[0]  # PyTorch's notes for its own contributors
            return type(error).__name__, re.sub(r"(\.\d{4})\d+", r"\1", text)


@pytest.mark.parametrize("name", CASES)
def test_gradcheck(name):
    ours, theirs = (outcome(x, "gradcheck", CASES[name]) for x in (facade, torch))
    assert ours == theirs


@pytest.mark.parametrize("name", SECOND)
def test_gradgradcheck(name):
    ours, theirs = (outcome(x, "gradgradcheck", SECOND[name]) for x in (facade, torch))
    assert ours == theirs


def test_single_precision_is_warned_of():
    for library in (facade, torch):
        x = tensor(library, 0.5, dtype="float32")
        with pytest.warns(UserWarning, match="^Input #0 requires gradient and is not a double"):
            library.autograd.gradcheck(library.neg, (x,), atol=1.0)
