"""ASGD: stochastic gradient descent that also averages the parameters over the steps."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class ASGD(TransformOptimizer):
    """Averaged stochastic gradient descent; the average is ``state[p]["ax"]``.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        lambd: Takes that much of the parameter away, times the learning rate.
        alpha: The power by which the learning rate falls.
        t0: The step at which averaging begins.
        weight_decay: Adds that much of the parameter to its gradient.
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
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_rate(lr)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        return Recipe(
            _asgd,
            {"eta": "rate", "mu": "share", "ax": "average"},
            {name: group[name] for name in ("lr", "lambd", "alpha", "t0", "weight_decay")},
            {
                "decays": is_nonzero(group["weight_decay"]),
                "maximize": group["maximize"],
            },
            starts={"eta": group["lr"], "mu": 1.0},
            scalars=("eta", "mu"),
        )


def _asgd(lr, lambd, alpha, t0, weight_decay, *, decays, maximize) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * decays,
        descend_and_average(lr, lambd, alpha, t0),
    )


class AverageState(NamedTuple):
    """Steps taken, the next learning rate, the next step's share in the average, the average."""

    count: Any
    rate: Any
    share: Any
    average: Any


def descend_and_average(lr, lambd, alpha, t0) -> optax.GradientTransformation:
    """Return ASGD's step; its rate and share are those that the step before has left."""

    def init(params):
        return AverageState(0, lr, 1.0, params)

    def update(updates, state, params=None):
        count = state.count + 1
        rate, share = (x.astype(updates.dtype) for x in (state.rate, state.share))
        updates = -rate * (lambd * params + updates)
        moved = params + updates
        average = jnp.where(share == 1, moved, state.average + (moved - state.average) * share)
        after = AverageState(
            count,
            jnp.asarray(lr / (1 + lambd * lr * count) ** alpha),
            jnp.asarray(1 / jnp.maximum(1, count - t0)),
            average,
        )
        return updates, after

    return optax.GradientTransformation(init, update)
