"""gradcheck and gradgradcheck: gradients compared with differences of the function's values."""

import warnings
from typing import Any

import numpy as np

from facade.autograd.derivatives import grad
from facade.autograd.grad_mode import no_grad
from facade.dtypes import float64
from facade.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient is wrong."""


def gradcheck(
    func,
    inputs,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Compare the Jacobian that ``backward()`` gives with central differences; real tensors only.

    Args:
        inputs: A tensor or a sequence of tensors; those that require grad are checked.
        eps: The step of the differences.
        raise_exception: False returns False instead of raising.
        fast_mode: Accepted; every element is checked in any case.
    Raises:
        GradcheckError: they differ by more than ``atol + rtol * |difference|``.
        ValueError: no input requires grad.
    """
    try:
        _check(func, _tuple(inputs), eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    fast_mode: bool = False,
) -> bool:
    """Check the gradients of the gradients; as :func:`gradcheck`.

    Args:
        grad_outputs: The cotangents of the results; fixed random ones unless given.
    """
    inputs = _tuple(inputs)
    if grad_outputs is None:
        random = np.random.default_rng(0)
        results = _results(func, inputs)
        cotangents = tuple(
            Tensor._from_array(random.standard_normal(y.shape).astype(y.dtype.numpy), y.device)
            for y in results
        )
        cotangents = tuple(c.requires_grad_() for c in cotangents)
    else:
        cotangents = _tuple(grad_outputs)

    def gradients(*given):
        xs, weights = given[: len(inputs)], given[len(inputs) :]
        checked = [x for x in xs if _is_checked(x)]
        return grad(_results(func, xs), checked, weights, create_graph=True, allow_unused=True)

    return gradcheck(
        gradients, inputs + cotangents, eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, fast_mode=fast_mode,
    )  # fmt: skip


def _check(func, inputs: tuple, eps: float, atol: float, rtol: float) -> None:
    checked = [x for x in inputs if _is_checked(x)]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of them have requires_grad=True."
        )
    for i, x in enumerate(inputs):
        if _is_checked(x) and x.dtype is not float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=4,
            )
    results = _results(func, inputs)
    analytical = [[_pulled(y, x) for x in checked] for y in results]
    for j, x in enumerate(checked):
        numerical = _differences(func, inputs, x, eps)
        for i, expected in enumerate(numerical):
            found = analytical[i][j]
            if not np.allclose(found, expected, rtol, atol):
                shown = [Tensor._from_array(a) for a in (expected, found)]
                raise GradcheckError(
                    f"Jacobian mismatch for output {i} with respect to input {j},\n"
                    f"numerical:{shown[0]}\nanalytical:{shown[1]}\n"
                )


def _pulled(y: Tensor, x: Tensor) -> np.ndarray:
    """Return the Jacobian by ``backward()``: a row per element of ``x``, a column per one of y."""
    columns = []
    for k in range(y.numel()):
        found = None
        if y.requires_grad:
            (found,) = grad(y.reshape(-1)[k], x, retain_graph=True, allow_unused=True)
        columns.append(np.zeros(x.numel()) if found is None else found.detach().numpy().ravel())
    return np.stack(columns, axis=1) if columns else np.zeros((x.numel(), 0))


def _differences(func, inputs: tuple, x: Tensor, eps: float) -> list[np.ndarray]:
    """Return the Jacobian of each result by ``x``, by central differences."""
    start = x.detach().numpy()
    rows = []
    for k in range(start.size):
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved.reshape(-1)[k] += sign * eps
            with no_grad():
                x.copy_(Tensor._from_array(moved, x.device))
            sides.append([y.detach().numpy().ravel() for y in _results(func, inputs)])
        rows.append([(a - b) / (2 * eps) for a, b in zip(*sides, strict=True)])
    with no_grad():
        x.copy_(Tensor._from_array(start, x.device))
    return [np.stack(row) for row in zip(*rows, strict=True)]


def _results(func, inputs) -> list[Tensor]:
    return [y for y in _tuple(func(*inputs)) if _is_real(y)]


def _is_checked(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _is_real(y: Any) -> bool:
    return isinstance(y, Tensor) and y.dtype.is_floating_point


def _tuple(given) -> tuple:
    return (given,) if isinstance(given, Tensor) else tuple(given)


__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
