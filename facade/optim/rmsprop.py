"""RMSprop: steps scaled by a running average of the squared gradient."""

from typing import Any, ClassVar

import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class RMSprop(TransformOptimizer):
    """RMSprop.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        alpha: What part of the running averages is kept in a step.
        eps: Added to the denominator.
        weight_decay: Adds that much of the parameter to its gradient.
        momentum: What part of the last update's direction is kept.
        centered: Divides by the standard deviation instead of the root of the mean square.
        maximize: Goes up instead of down.
        foreach, capturable: Accepted; an update is always one instruction.
        differentiable: Records the update for ``backward()``.
    """

    counts = True
    later_options: ClassVar[dict[str, Any]] = LATER | {"momentum": 0, "centered": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate(lr)
        check_not_negative(eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        moves, centered = group["momentum"] > 0, group["centered"]
        return Recipe(
            _rmsprop,
            {
                "square_avg": "nu",
                **({"momentum_buffer": "trace"} if moves else {}),
                **({"grad_avg": "mu"} if centered else {}),
            },
            {name: group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum")},
            {
                "decays": is_nonzero(group["weight_decay"]),
                "moves": moves,
                "centered": centered,
                "maximize": group["maximize"],
            },
        )


def _rmsprop(
    lr, alpha, eps, weight_decay, momentum, *, decays, moves, centered, maximize
) -> optax.GradientTransformation:
    scale = optax.scale_by_stddev if centered else optax.scale_by_rms
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * decays,
        scale(alpha, eps, eps_in_sqrt=False),
        *[optax.trace(momentum)] * moves,
        optax.scale_by_learning_rate(lr),
    )
