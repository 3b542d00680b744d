"""L-BFGS: a quasi-Newton method, which evaluates the loss several times in a step."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from facade import aten
from facade.autograd.grad_mode import enable_grad, no_grad
from facade.optim.line_search import Point, strong_wolfe
from facade.optim.optimizer import Optimizer, ParamsT
from facade.optim.options import check_rate
from facade.recording import record_function
from facade.tensor import Tensor


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, 7.2), after minFunc.

    Its conditions are asked of tensors, so a step reads values many times and is several programs.

    Args:
        params: Parameters, in one group.
        lr: Scales the first direction; the first guess of a line search afterwards.
        max_iter, max_eval: Directions taken and losses evaluated in a step, at most.
        tolerance_grad, tolerance_change: A step ends where the largest element of the gradient, or
            of the parameters' or the loss's change, is as small.
        history_size: Directions that are kept.
        line_search_fn: ``"strong_wolfe"``, or None for none.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_rate(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Take up to ``max_iter`` directions; return the loss before them.

        Args:
            closure: Clears the gradients, computes the loss and its gradients, returns the loss.
        """
        group = self.param_groups[0]
        lr = group["lr"].item() if isinstance(group["lr"], Tensor) else group["lr"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        closure = enable_grad()(closure)
        first = closure()
        loss, gradient, evaluated = float(first), self._gradient(), 1
        state["func_evals"] += 1
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first
        for taken in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            begins = state["n_iter"] == 1
            step = min(1.0, 1.0 / gradient.abs().sum()) * lr if begins else lr
            slope = gradient.dot(direction)
            state |= {"d": direction, "t": step, "prev_flat_grad": gradient, "prev_loss": loss}
            if slope > -group["tolerance_change"]:
                break
            before = Point(0, loss, gradient, slope)
            now, count = self._move(closure, before, direction, step, taken, evaluated)
            state["t"], loss, gradient = now.step, now.value, now.gradient
            evaluated += count
            state["func_evals"] += count
            if (
                taken == group["max_iter"]
                or evaluated >= group["max_eval"]
                or gradient.abs().max() <= group["tolerance_grad"]
                or (direction * now.step).abs().max() <= group["tolerance_change"]
                or abs(loss - before.value) < group["tolerance_change"]
            ):
                break
        return first

    def _move(
        self, closure: Callable, before: Point, direction, step, taken: int, evaluated: int
    ) -> tuple[Point, int]:
        """Move the parameters along a direction; return where to, and how often that was asked."""
        group = self.param_groups[0]
        if group["line_search_fn"] is None:
            self._add(direction, step)
            if taken == group["max_iter"]:  # nobody looks at the loss there
                return before._replace(step=step), 0
            return Point(step, float(closure()), self._gradient(), None), 1
        if group["line_search_fn"] != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        start = [p.clone() for p in group["params"]]

        def evaluate(step) -> Point:
            self._add(direction, step)
            value, gradient = float(closure()), self._gradient()
            for p, x in zip(group["params"], start, strict=True):
                p.copy_(x)
            return Point(step, value, gradient, gradient.dot(direction))

        narrow = group["tolerance_change"] / direction.abs().max()
        now, count = strong_wolfe(evaluate, before, step, group["max_eval"] - evaluated, narrow)
        self._add(direction, now.step)
        return now, count

    def _direction(self, state: dict, gradient: Tensor, most: int) -> Tensor:
        """Return minus the inverse Hessian, as the last steps tell it, times the gradient."""
        if state["n_iter"] == 1:
            state |= {"old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
            return gradient.neg()
        changes, steps, scales = state["old_dirs"], state["old_stps"], state["ro"]
        change = gradient - state["prev_flat_grad"]
        step = state["d"] * state["t"]
        product = change.dot(step)
        if product > 1e-10:
            if len(changes) == most:
                for kept in (changes, steps, scales):
                    kept.pop(0)
            changes.append(change)
            steps.append(step)
            scales.append(1.0 / product)
            state["H_diag"] = product / change.dot(change)
        missing = _bucket(len(steps)) - len(steps)
        row, number = [gradient.new_zeros(gradient.shape)], [gradient.new_zeros(())]
        kept = (*changes, *row * missing, *steps, *row * missing, *scales, *number * missing)
        return record_function(_two_loops, (gradient, state["H_diag"], *kept))[0]

    def _gradient(self) -> Tensor:
        """Return all gradients in a row, zero where there is none."""
        return aten.cat(tuple(self._flat_gradients()), 0)

    def _flat_gradients(self) -> Iterator[Tensor]:
        for p in self.param_groups[0]["params"]:
            g = p.new_zeros(p.shape) if p.grad is None else p.grad.to_dense()
            g = aten.view_as_real(g) if g.is_complex() else g
            yield g.reshape(-1)

    def _add(self, direction: Tensor, step) -> None:
        """Add a multiple of a direction to the parameters."""
        start = 0
        for p in self.param_groups[0]["params"]:
            p = aten.view_as_real(p) if p.is_complex() else p
            p.add_(direction[start : start + p.numel()].view_as(p) * step)
            start += p.numel()


def _bucket(count: int) -> int:
    """Return for how many there shall be a program: a power of 2."""
    return max(4, 1 << (count - 1).bit_length())


def _two_loops(gradient, diagonal, *kept):
    """Return minus the product of the inverse Hessian and the gradient ``(n,)``.

    Args:
        diagonal: The inverse Hessian before what is kept is added to it.
        kept: Changes of the gradient, then as many steps, and the inverses of their products; 0
            for those that are not there.
    """
    count = len(kept) // 3
    columns = (kept[:count], kept[count : 2 * count], kept[2 * count :])
    rows = tuple(jnp.stack([x.astype(gradient.dtype) for x in column]) for column in columns)

    def back(found, row):
        change, step, scale = row
        share = jnp.dot(step, found) * scale
        return found - share * change, share

    def forth(found, row):
        (change, step, scale), share = row
        return found + (share - jnp.dot(change, found) * scale) * step, None

    found, shares = jax.lax.scan(back, -gradient, rows, reverse=True)
    found = found * jnp.asarray(diagonal, gradient.dtype)
    return (jax.lax.scan(forth, found, (rows, shares))[0],)
