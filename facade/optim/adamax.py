"""Adamax: Adam with the largest gradient, slowly forgotten, in place of the mean square."""

from typing import Any, ClassVar

import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_betas, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class Adamax(TransformOptimizer):
    """Adamax.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: What part of the average and of the maximum is kept in a step.
        eps: Added to the gradient's size.
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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_rate(lr)
        check_not_negative(eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        beta1, beta2 = group["betas"]
        return Recipe(
            _adamax,
            {"exp_avg": "mu", "exp_inf": "nu"},
            {
                "lr": group["lr"],
                "beta1": beta1,
                "beta2": beta2,
                "eps": group["eps"],
                "weight_decay": group["weight_decay"],
            },
            {
                "decays": is_nonzero(group["weight_decay"]),
                "maximize": group["maximize"],
            },
        )


def _adamax(
    lr, beta1, beta2, eps, weight_decay, *, decays, maximize
) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * decays,
        optax.scale_by_adamax(beta1, beta2, eps),
        optax.scale_by_learning_rate(lr),
    )
