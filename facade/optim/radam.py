"""RAdam: Adam that waits with scaling until the mean square is known well enough."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_betas, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class RAdam(TransformOptimizer):
    """Rectified Adam.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: What part of the running averages of gradient and square is kept in a step.
        eps: Added to the denominator.
        weight_decay: Adds that much of the parameter to its gradient.
        decoupled_weight_decay: Takes the decay from the parameter instead, as AdamW.
        maximize: Goes up instead of down.
        foreach, capturable: Accepted; an update is always one instruction.
        differentiable: Records the update for ``backward()``.
    """

    counts = True
    later_options: ClassVar[dict[str, Any]] = LATER | {"decoupled_weight_decay": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        beta1, beta2 = group["betas"]
        return Recipe(
            _radam,
            {"exp_avg": "mu", "exp_avg_sq": "nu"},
            {
                "lr": group["lr"],
                "beta1": beta1,
                "beta2": beta2,
                "eps": group["eps"],
                "weight_decay": group["weight_decay"],
            },
            {
                "decays": is_nonzero(group["weight_decay"]),
                "decoupled": group["decoupled_weight_decay"],
                "maximize": group["maximize"],
            },
        )


def _radam(
    lr, beta1, beta2, eps, weight_decay, *, decays, decoupled, maximize
) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * (decays and not decoupled),
        scale_by_radam(beta1, beta2, eps),
        *[optax.add_decayed_weights(weight_decay)] * (decays and decoupled),
        optax.scale_by_learning_rate(lr),
    )


class RadamState(NamedTuple):
    """Steps taken, the running averages of gradient and square."""

    count: Any
    mu: Any
    nu: Any


def scale_by_radam(beta1, beta2, eps) -> optax.GradientTransformation:
    """Return PyTorch's RAdam: ``optax.scale_by_radam`` with ``eps`` before the bias correction."""

    def init(params):
        return RadamState(0, jnp.zeros_like(params), jnp.zeros_like(params))

    def update(updates, state, params=None):
        count = state.count + 1
        mu = optax.tree.update_moment(updates, state.mu, beta1, 1)
        nu = optax.tree.update_moment(updates, state.nu, beta2, 2)
        correction = 1 - beta2**count
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * count * beta2**count / correction
        known = length > 5.0
        length = jnp.where(known, length, 5.0)  # the root below is of a positive number
        rectified = (length - 4) * (length - 2) * longest
        rectified = jnp.sqrt(rectified / ((longest - 4) * (longest - 2) * length))
        scale = rectified * jnp.sqrt(correction) / (jnp.sqrt(nu) + eps)
        direction = optax.tree.bias_correction(mu, beta1, count)
        return direction * jnp.where(known, scale, 1.0), RadamState(count, mu, nu)

    return optax.GradientTransformation(init, update)
