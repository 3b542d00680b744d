"""Rprop: steps whose size follows the gradient's sign alone."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_rate
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class Rprop(TransformOptimizer):
    """Resilient backpropagation.

    Args:
        params: Parameters or parameter groups.
        lr: The first step size.
        etas: Scales a step size after the gradient's sign changed, and after it stayed.
        step_sizes: The smallest and the largest step.
        maximize: Goes up instead of down.
        foreach, capturable: Accepted; an update is always one instruction.
        differentiable: Records the update for ``backward()``.
    """

    counts = True
    later_options: ClassVar[dict[str, Any]] = LATER

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        return Recipe(
            _rprop,
            {"prev": "previous", "step_size": "size"},
            {
                "shrink": shrink,
                "grow": grow,
                "smallest": smallest,
                "largest": largest,
            },
            {"maximize": group["maximize"]},
            starts={"step_size": group["lr"]},
        )


def _rprop(shrink, grow, smallest, largest, *, maximize) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        step_by_sign(shrink, grow, smallest, largest),
        optax.scale(-1),
    )


class SignState(NamedTuple):
    """The last gradient, 0 where it turned, and the step sizes."""

    previous: Any
    size: Any


def step_by_sign(shrink, grow, smallest, largest) -> optax.GradientTransformation:
    """Return PyTorch's Rprop, which ``optax.scale_by_rprop`` takes one step later."""

    def init(params):
        return SignState(jnp.zeros_like(params), jnp.zeros_like(params))

    def update(updates, state, params=None):
        sign = jnp.sign(updates * state.previous)
        factor = jnp.where(sign > 0, grow, jnp.where(sign < 0, shrink, 1.0))
        size = jnp.clip(state.size * factor, smallest, largest)
        kept = jnp.where(sign < 0, 0.0, updates)
        return jnp.sign(kept) * size, SignState(kept, size)

    return optax.GradientTransformation(init, update)
