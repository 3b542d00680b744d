"""Adadelta: steps scaled by running averages of squared gradients and of squared updates."""

from typing import Any, ClassVar

import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class Adadelta(TransformOptimizer):
    """Adadelta.

    Args:
        params: Parameters or parameter groups.
        lr: Scales the update.
        rho: What part of the running averages is kept in a step.
        eps: Added to both averages.
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
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        return Recipe(
            _adadelta,
            {"square_avg": "e_g", "acc_delta": "e_x"},
            {name: group[name] for name in ("lr", "rho", "eps", "weight_decay")},
            {
                "decays": is_nonzero(group["weight_decay"]),
                "maximize": group["maximize"],
            },
        )


def _adadelta(lr, rho, eps, weight_decay, *, decays, maximize) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * decays,
        optax.scale_by_adadelta(rho, eps),
        optax.scale_by_learning_rate(lr),
    )
