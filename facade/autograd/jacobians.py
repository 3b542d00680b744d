"""The Jacobians that gradcheck compares: by differences of values, and by differentiation."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from facade.autograd.derivatives import grad
from facade.autograd.forward_ad import dual_level, make_dual, unpack_dual
from facade.random import Generator
from facade.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient is wrong."""


class Options(NamedTuple):
    """How to compare; see :func:`facade.autograd.gradcheck`."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_grad_dtypes: bool
    fast: bool


class Pair(NamedTuple):
    """Two Jacobians that should agree.

    Attributes:
        output, input: Their numbers among the differentiable ones.
        scale: How much of the absolute tolerance they have.
    """

    output: int
    input: int
    numerical: Tensor
    analytical: Tensor
    scale: float = 1.0


class Problem:
    """A function of real results (of real inputs in forward mode), and where to look at it."""

    def __init__(self, func: Callable, inputs: tuple, options: Options, forward=False) -> None:
        self.func, self.inputs, self.options, self.forward = func, inputs, options, forward
        self.results = as_tuple(func(*inputs))
        self.checked = [x for x in inputs if is_checked(x)]
        self.at = [i for i, y in enumerate(self.results) if y.requires_grad]
        self.outputs = [self.results[i] for i in self.at]

    def numerical(self, x: Tensor, real: np.ndarray, imaginary=None) -> list[np.ndarray]:
        """Return the derivative of each result along a direction, by central differences.

        Args:
            real: The direction; of the real part only, if ``x`` is complex.
            imaginary: That of the imaginary part, the same unless given.
        """
        found = self._differences(x, real)
        if x.is_complex():
            turned = self._differences(x, 1j * (real if imaginary is None else imaginary))
            found = [a + 1j * b for a, b in zip(found, turned, strict=True)]
        return found

    def _differences(self, x: Tensor, direction: np.ndarray) -> list[np.ndarray]:
        eps, cell = self.options.eps, x._cell
        start = x.detach().numpy()
        step = (eps * direction).astype(start.dtype)
        sides = []
        try:
            for moved in (start - step, start + step):
                x._cell = Tensor._from_array(moved, x.device)._cell  # no write: it has no version
                sides.append([y.detach().clone() for y in as_tuple(self.func(*self.inputs))])
        finally:
            x._cell = cell
        for a, b in zip(*sides, strict=True):
            for kind in ("shape", "dtype"):
                if getattr(a, kind) != getattr(b, kind):
                    raise AssertionError(
                        f"Expected `func` to return outputs with the same {kind} when inputs are "
                        f"perturbed {self._place(direction)}by {eps}, but got: {kind}s "
                        f"{getattr(a, kind)} and {getattr(b, kind)}."
                    )
        return [(_array(b) - _array(a)) / (2 * eps) for a, b in zip(*sides, strict=True)]

    def _place(self, direction: np.ndarray) -> str:
        at = tuple(int(i[0]) for i in direction.nonzero())
        return "" if self.options.fast else f"on index {at} "

    def gradients(self, y: Tensor, cotangent: np.ndarray) -> list[np.ndarray]:
        """Return the gradients of a result at the checked inputs, flat."""
        weight = Tensor._from_array(cotangent.astype(y.dtype.numpy).reshape(y.shape), y.device)
        found = grad(y, self.checked, weight, retain_graph=True, allow_unused=True)
        return [
            np.zeros(x.numel(), x.dtype.numpy) if g is None else _array(g)
            for g, x in zip(found, self.checked, strict=True)
        ]

    def tangents(self, number: int, direction: np.ndarray) -> list[np.ndarray]:
        """Return the tangents of the differentiable results along a direction of one input."""
        with dual_level():
            duals: list[Any] = list(self.inputs)
            places = [i for i, x in enumerate(self.inputs) if is_checked(x)]
            for place, x in zip(places, self.checked, strict=True):
                along = direction if x is self.checked[number] else np.zeros(x.shape)
                tangent = Tensor._from_array(along.astype(x.dtype.numpy).reshape(x.shape), x.device)
                duals[place] = make_dual(x.detach(), tangent)
            results = as_tuple(self.func(*duals))
            pairs = [unpack_dual(results[i]) for i in self.at]
        for value, tangent in pairs:
            mixed = tangent is not None and tangent.is_complex() != value.is_complex()
            if mixed and self.options.check_grad_dtypes:
                raise GradcheckError("Forward AD gradient has dtype mismatch.")
        return [
            np.zeros(value.numel(), value.dtype.numpy) if tangent is None else _array(tangent)
            for value, tangent in pairs
        ]

    def check_zero(self) -> None:
        """Check that values don't change, for a function without differentiable results."""
        tolerance = self.options.nondet_tol if self.options.fast else 0
        for x in self.checked:
            for direction in _basis(x):
                if any(abs(d).max(initial=0) > tolerance for d in self.numerical(x, direction)):
                    raise GradcheckError("Numerical gradient for function expected to be zero")

    # ---- whole Jacobians: a row per element of the input, a column per one of the result --------

    def whole(self) -> Iterator[Pair]:
        """Yield the Jacobians of each result by each input."""
        numerical = [[self.numerical(x, e) for e in _basis(x)] for x in self.checked]
        for i, y in enumerate(self.outputs):
            analytical = self._forward(i) if self.forward else self._backward(y)
            for j, x in enumerate(self.checked):
                columns = [row[self.at[i]] for row in numerical[j]]
                yield Pair(i, j, _matrix(columns, x, y), _tensor(analytical[j]))

    def _forward(self, i: int) -> list[np.ndarray]:
        y = self.outputs[i]
        return [
            np.array([self.tangents(j, e)[i] for e in _basis(x)]).reshape(x.numel(), y.numel())
            for j, x in enumerate(self.checked)
        ]

    def _backward(self, y: Tensor) -> list[np.ndarray]:
        return self._twice(
            lambda: [
                np.array(rows).reshape(y.numel(), x.numel()).T
                for rows, x in zip(self._rows(y), self.checked, strict=True)
            ]
        )

    def _rows(self, y: Tensor) -> list:
        rows = [self.gradients(y, e) for e in _basis(y)]
        return [[row[j] for row in rows] for j in range(len(self.checked))]

    def _twice(self, run: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
        """Return what ``run()`` does, if it does the same again."""
        first, again = run(), run()
        tolerance = self.options.nondet_tol
        if any(abs(a - b).max(initial=0) > tolerance for a, b in zip(first, again, strict=True)):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and "
                "grad_output multiple times gives different values, although analytical gradient "
                "matches numerical gradient."
                f"The tolerance for nondeterminism was {tolerance}."
            )
        return first

    # ---- one combination of each Jacobian's elements ---------------------------------------------

    def combined(self) -> Iterator[Pair]:
        """Yield random combinations: of the rows in forward mode, else of all elements."""
        generator = Generator()  # of our own, so that the user's has the numbers it would have
        us = [[_random(x, generator) for _ in range(1 + x.is_complex())] for x in self.checked]
        vs = [np.ones(1)] * len(self.outputs)
        if not self.forward:
            vs = [_random(y, generator).ravel() for y in self.outputs]
            weighted = [
                self._twice(lambda y=y, v=v: self.gradients(y, v))
                for y, v in zip(self.outputs, vs, strict=True)
            ]
        for j, (x, u) in enumerate(zip(self.checked, us, strict=True)):
            numerical = self.numerical(x, *u)
            for i, v in enumerate(vs):
                n = numerical[self.at[i]]
                scale = float(sum(part.sum() for part in u)) * float(v.sum())
                if self.forward:
                    yield Pair(i, j, _tensor(n), _tensor(self.tangents(j, u[0])[i]), scale)
                    continue
                g = weighted[i][j]
                a = np.real(g) @ u[0].ravel()
                if x.is_complex():
                    a = a + 1j * (np.imag(g) @ u[1].ravel())
                yield Pair(i, j, _tensor((v * n).sum()), _tensor(a), scale)


def as_tuple(x) -> tuple:
    """Return a tuple of these: of one, or of a sequence."""
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def is_checked(x: Any) -> bool:
    """Return whether this is a tensor that requires grad."""
    return isinstance(x, Tensor) and x.requires_grad


def _array(t: Tensor) -> np.ndarray:
    return t.detach().resolve_conj().numpy().ravel()


def _tensor(values) -> Tensor:
    return Tensor._from_array(np.asarray(values))


def _matrix(rows: list[np.ndarray], x: Tensor, y: Tensor) -> Tensor:
    dtype = x.dtype if x.is_complex() else y.dtype
    return _tensor(np.array(rows).reshape(x.numel(), y.numel()).astype(dtype.numpy))


def _basis(t: Tensor) -> Iterator[np.ndarray]:
    """Yield the arrays of a tensor's shape that are 1 at one element and 0 elsewhere."""
    for k in range(t.numel()):
        e = np.zeros(t.numel())
        e[k] = 1
        yield e.reshape(t.shape)


def _random(t: Tensor, generator: Generator) -> np.ndarray:
    """Return a random direction of length 1 in a tensor's shape, as PyTorch draws it."""
    drawn = Tensor._from_array(np.zeros(t.numel(), np.float32)).uniform_(generator=generator)
    real = drawn.numpy().astype(t.dtype.to_real().numpy)
    return (real / np.linalg.norm(real)).reshape(t.shape)
