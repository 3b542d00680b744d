"""gradcheck and gradgradcheck: gradients compared with differences of the function's values."""

import warnings
from collections.abc import Callable
from typing import Any

from facade.autograd.derivatives import grad
from facade.autograd.forward_ad import dual_level, make_dual, unpack_dual
from facade.autograd.function import FunctionNode
from facade.autograd.jacobians import (
    GradcheckError,
    Options,
    Pair,
    Problem,
    as_tuple,
    is_checked,
)
from facade.dtypes import complex128, float64, promote_types
from facade.tensor import Tensor
from facade.torch_function import namespace


def gradcheck(
    func: Callable,
    inputs,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare a function's Jacobians with central differences of its values.

    Args:
        inputs: A tensor or a sequence; the tensors that require grad are checked.
        eps: The step of the differences.
        atol, rtol: They may differ by ``atol + rtol * |difference|``.
        raise_exception: False returns False where a gradient is wrong.
        nondet_tol: How much two runs of the backward may differ.
        check_undefined_grad: Whether a backward must take absent gradients for zeros.
        check_grad_dtypes: Whether a tangent must be complex exactly where its result is; gradients
            have the dtype of their input in any case.
        check_batched_grad, check_batched_forward_grad: Whether to compare with ``vmap``, too.
        check_forward_ad, check_backward_ad: Which Jacobians to check.
        fast_mode: Compare one random combination of each Jacobian's elements.
        masked: Whether a gradient of zeros need only be close to zero.
    Raises:
        GradcheckError: a gradient is wrong.
        ValueError: no input requires grad.
        RuntimeError: an input has elements that share memory.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    given = as_tuple(inputs)
    options = Options(eps, atol, rtol, nondet_tol, check_grad_dtypes, fast_mode)
    try:
        _check_inputs(given)
        outputs = _differentiable(func(*given))
        if check_backward_ad:
            _compare_backward(func, given, outputs, options)
        if check_forward_ad:
            _compare_forward(func, given, options)
        if check_batched_forward_grad:
            _check_batched_tangents(func, given)
        if check_backward_ad:
            for i, y in enumerate(outputs if check_batched_grad else ()):
                _check_batched(given, y, i)
            _check_zeros(outputs, given, masked)
            if check_undefined_grad:
                _check_absent_gradients(func, given)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs,
    grad_outputs=None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the gradients of the gradients; as :func:`gradcheck`.

    Args:
        grad_outputs: The cotangents of the results; random ones from -1 to 1 unless given.
        gen_non_contig_grad_outputs: Whether those lie with gaps in memory.
        check_fwd_over_rev, check_rev_over_rev: Which Jacobians of the gradients to check.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    for name, wanted in (("undefined", check_undefined_grad), ("batched", check_batched_grad)):
        if wanted and not check_rev_over_rev:
            raise AssertionError(
                f"Setting check_{name}_grad=True requires check_rev_over_rev to be True"
            )
    given = as_tuple(inputs)
    if grad_outputs is None:
        results = _differentiable(func(*given))
        cotangents = tuple(_random_cotangent(y, gen_non_contig_grad_outputs) for y in results)
    else:
        cotangents = as_tuple(grad_outputs)
    checked = [is_checked(x) for x in given]
    weighted = [g.requires_grad for g in cotangents]

    def gradients(*arguments):
        # detached by forward mode, they must require grad again
        xs = _requiring(arguments[: len(given)], checked)
        weights = _requiring(arguments[len(given) :], weighted)
        outputs = _differentiable(func(*xs))
        wanted = [x for x, c in zip(xs, checked, strict=True) if c]
        found = grad(outputs, wanted, weights, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients, given + cotangents, eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev, fast_mode=fast_mode, masked=masked,
    )  # fmt: skip


def _requiring(tensors: tuple, wanted: list[bool]) -> tuple:
    return tuple(t.requires_grad_() if w else t for t, w in zip(tensors, wanted, strict=True))


def _random_cotangent(y: Tensor, gaps: bool) -> Tensor:
    gaps = gaps and y.ndim > 0
    real = y.dtype.to_real()
    shape = (*y.shape[:-1], 2 * y.shape[-1]) if gaps else y.shape
    made = y.detach().new_empty(shape, dtype=real).uniform_(-1, 1)
    if y.is_complex():
        made = made + 1j * y.detach().new_empty(shape, dtype=real).uniform_(-1, 1)
    return (made[..., ::2] if gaps else made).requires_grad_()


# ---- what is checked ----------------------------------------------------------------------------


def _differentiable(results) -> tuple:
    return tuple(y for y in as_tuple(results) if y.requires_grad)


def _check_inputs(inputs: tuple) -> None:
    for i, x in enumerate(inputs):
        if not is_checked(x):
            continue
        if x.dtype not in (float64, complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=3,
            )
        if any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients "
                "correctly. You should call .contiguous on the input before passing it to "
                "gradcheck."
            )
    if not any(map(is_checked, inputs)):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of them have requires_grad=True."
        )


def _compare_backward(func, inputs: tuple, outputs: tuple, options: Options) -> None:
    """Compare the Jacobians of ``backward()``; a complex result counts as two real ones."""
    complex_at = [i for i, y in enumerate(outputs) if y.is_complex()]
    if not complex_at:
        _compare(Problem(func, inputs, options))
        return

    def part(name: str) -> Callable:
        return lambda *xs: tuple(
            getattr(y, name) if y.is_complex() else y for y in as_tuple(func(*xs))
        )

    for name, words in _PARTS.items():
        told = f"While considering the {words} part of complex outputs only, "
        _compare(Problem(part(name), inputs, options), dict.fromkeys(complex_at, told))


def _compare_forward(func, inputs: tuple, options: Options) -> None:
    """Compare the Jacobians of dual tensors; a complex input counts as two real ones."""
    complex_at = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.is_complex()]
    if not complex_at:
        _compare(Problem(func, inputs, options, forward=True))
        return

    def of_part(name: str) -> Callable:
        def joined(i: int, x):
            whole = inputs[i]
            return whole.real + x * 1j if name == "imag" else x + whole.imag * 1j

        return lambda *xs: func(*(joined(i, x) if i in complex_at else x for i, x in enumerate(xs)))

    for name, words in _PARTS.items():
        told = f"While considering the {words} part of complex inputs only, "
        parts = tuple(getattr(x, name) if i in complex_at else x for i, x in enumerate(inputs))
        problem = Problem(of_part(name), parts, options, forward=True)
        _compare(problem, dict.fromkeys(complex_at, told))


_PARTS = {"imag": "imaginary", "real": "real"}


def _compare(problem: Problem, told: dict[int, str] | None = None) -> None:
    """Compare the Jacobians of each result by each input.

    Args:
        told: What an error begins with, by the number of the result (the input in forward mode).
    """
    if not problem.outputs:
        problem.check_zero()
        return
    options = problem.options
    for pair in problem.combined() if options.fast else problem.whole():
        if _close(pair, options):
            continue
        prefix = (told or {}).get(pair.input if problem.forward else pair.output, "")
        mode = "computed with forward mode " if problem.forward else ""
        raise GradcheckError(
            f"{prefix}Jacobian {mode}mismatch for output {pair.output} with respect to input "
            f"{pair.input},\nnumerical:{pair.numerical}\nanalytical:{pair.analytical}\n"
            + (_slowly(problem, pair) if options.fast else "")
        )


def _close(pair: Pair, options: Options) -> bool:
    dtype = promote_types(pair.numerical.dtype, pair.analytical.dtype)
    a, b = pair.analytical.to(dtype), pair.numerical.to(dtype)
    return a.allclose(b, options.rtol, options.atol * pair.scale)


def _slowly(problem: Problem, failed: Pair) -> str:
    """Return what the whole Jacobians say about a pair of combinations that disagree."""
    pair = next(p for p in problem.whole() if p[:2] == failed[:2])
    difference = (pair.numerical - pair.analytical).abs().max()
    passes = _close(pair, problem.options)
    return (
        "\nThe above quantities relating the numerical and analytical jacobians are computed \n"
        "in fast mode. See: https://github.com/pytorch/pytorch/issues/53876 for more background \n"
        "about fast mode. Below, we recompute numerical and analytical jacobians in slow mode:\n\n"
        f"Numerical:\n {pair.numerical}\nAnalytical:\n{pair.analytical}\n\n"
        f"The max per-element difference (slow mode) is: {difference}.\n"
    ) + (_ONLY_FAST if passes else "")


_ONLY_FAST = (
    "Fast gradcheck failed but element-wise differences are small. This means that the\n"
    "test might've passed in slow_mode!"
)


# ---- what else a backward must do ---------------------------------------------------------------


def _check_batched(inputs: tuple, y: Tensor, number: int) -> None:
    """Compare ``vmap`` of a backward with two backwards."""
    checked = [x for x in inputs if is_checked(x)]

    def pulled(v):
        found = grad(y, checked, v, retain_graph=True, allow_unused=True)
        pairs = zip(found, checked, strict=True)
        return tuple(x.new_zeros(x.shape) if g is None else g for g, x in pairs)

    _compare_batched(pulled, y, lambda i: (number, i))


def _check_batched_tangents(func, inputs: tuple) -> None:
    """Compare ``vmap`` of forward mode with two runs of it."""
    for place, x in enumerate(inputs):
        if not is_checked(x):
            continue

        def pushed(tangent, place=place):
            with dual_level():
                duals = [x.detach() if isinstance(x, Tensor) else x for x in inputs]
                duals[place] = make_dual(duals[place], tangent)
                pairs = [unpack_dual(y) for y in as_tuple(func(*duals)) if y is not None]
                return tuple(y.new_zeros(y.shape) if t is None else t for y, t in pairs)

        _compare_batched(pushed, x, lambda i: (i, i))


def _compare_batched(function: Callable, like: Tensor, numbers: Callable) -> None:
    """Compare ``vmap`` of a function with two calls; the vectors are shaped as ``like``."""
    vectors = [like.detach().new_empty(like.shape).normal_() for _ in range(2)]
    expected = [function(v) for v in vectors]
    vmap = namespace("torch.func.vmap").vmap  # lies above this file
    stacked = like.detach().new_empty((2, *like.shape))
    for row, v in zip(stacked, vectors, strict=True):
        row.copy_(v)
    try:
        results = vmap(function)(stacked)
    except RuntimeError as error:
        raise GradcheckError(f"While computing batched gradients, got: {error}") from error
    for i, result in enumerate(results):
        if not all(row.allclose(e[i]) for row, e in zip(result, expected, strict=True)):
            output, input = numbers(i)
            raise GradcheckError(
                f"For output {output} and input {input}:\n\ngradcheck or gradgradcheck failed "
                f"while testing batched gradient computation.\n\nGot:\n{result}\n\nExpected:\n"
                f"{[e[i] for e in expected]}"
            )


def _check_zeros(outputs: tuple, inputs: tuple, masked: bool | None) -> None:
    """Check that gradients are zero where all cotangents are."""
    found = _gradients_of_zeros(outputs, inputs)
    for g in found:
        zero = g.abs().max() if g.numel() else g.sum()
        if not (zero.item() <= 1e-8 if masked else zero.item() == 0):
            raise GradcheckError("backward not multiplied by grad_output")


def _check_absent_gradients(func, inputs: tuple) -> None:
    """Check that a backward takes absent gradients for zeros: all of them, and one at a time."""
    outputs = _differentiable(func(*inputs))
    try:
        found = _from_nothing(outputs)
        if len(outputs) > 1:
            for i in range(len(outputs)):
                outputs = _differentiable(func(*inputs))
                found += _gradients_of_zeros(outputs[:i] + outputs[i + 1 :], inputs)
    except RuntimeError as error:
        warnings.warn(_BREAKING, stacklevel=3)
        raise GradcheckError(
            "Expected backward function to handle undefined output grads. Please look at "
            '"Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
        ) from error
    if any(bool((g != 0).any()) for g in found):
        warnings.warn(_BREAKING, stacklevel=3)
        raise GradcheckError(
            "Expected all input grads to be undefined or zero when all output grads are undefined "
            'or zero. Please look at "Notes about undefined output gradients" in '
            '"tools/autograd/derivatives.yaml"'
        )


_BREAKING = (
    "Backwards compatibility: New undefined gradient support checking feature is enabled by "
    "default, but it may break existing callers of this function. If this is true for you, you can "
    'call this function with "check_undefined_grad=False" to disable the feature'
)


def _gradients_of_zeros(outputs: tuple, inputs: tuple) -> list[Tensor]:
    checked = [x for x in inputs if is_checked(x)]
    weights = [y.detach().new_zeros(y.shape) for y in outputs]
    found = grad(outputs, checked, weights, retain_graph=True, allow_unused=True)
    return [g for g in found if g is not None]


def _from_nothing(outputs: tuple) -> list[Tensor]:
    """Return what the Functions of a graph make of no gradients at all; ops make nothing of it."""
    found: list[Tensor] = []
    nodes: list[Any] = [y._node for y in outputs]
    seen = set(nodes)
    for node in nodes:
        if isinstance(node, FunctionNode):
            made = node.backward([None] * len(node.outputs), False)
            found += [g for g in made if g is not None]
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                nodes.append(edge[0])
    return found


__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
