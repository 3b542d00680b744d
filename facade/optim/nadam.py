"""NAdam: Adam with Nesterov's momentum."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_betas, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class NAdam(TransformOptimizer):
    """Adam with Nesterov's momentum.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: What part of the running averages of gradient and square is kept in a step.
        eps: Added to the denominator.
        weight_decay: Adds that much of the parameter to its gradient.
        momentum_decay: How fast the momentum approaches ``betas[0]``.
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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        beta1, beta2 = group["betas"]
        return Recipe(
            _nadam,
            {"mu_product": "product", "exp_avg": "mu", "exp_avg_sq": "nu"},
            {
                "lr": group["lr"],
                "beta1": beta1,
                "beta2": beta2,
                "eps": group["eps"],
                "weight_decay": group["weight_decay"],
                "momentum_decay": group["momentum_decay"],
            },
            {
                "decays": is_nonzero(group["weight_decay"]),
                "decoupled": group["decoupled_weight_decay"],
                "maximize": group["maximize"],
            },
            starts={"mu_product": 1.0},
            scalars=("mu_product",),
        )


def _nadam(
    lr, beta1, beta2, eps, weight_decay, momentum_decay, *, decays, decoupled, maximize
) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * (decays and not decoupled),
        scale_by_nadam(beta1, beta2, eps, momentum_decay),
        *[optax.add_decayed_weights(weight_decay)] * (decays and decoupled),
        optax.scale_by_learning_rate(lr),
    )


class NadamState(NamedTuple):
    """Steps taken, the product of all momenta, the running averages of gradient and square."""

    count: Any
    product: Any
    mu: Any
    nu: Any


def scale_by_nadam(beta1, beta2, eps, momentum_decay) -> optax.GradientTransformation:
    """Return PyTorch's NAdam, whose momentum changes from step to step."""

    def momentum(count):
        return beta1 * (1.0 - 0.5 * 0.96 ** (count * momentum_decay))

    def init(params):
        return NadamState(0, 1.0, jnp.zeros_like(params), jnp.zeros_like(params))

    def update(updates, state, params=None):
        count = state.count + 1
        now, then = momentum(count), momentum(count + 1)
        kept = state.product * now  # float32, whatever the parameter is
        product = kept.astype(updates.dtype)
        mu = optax.tree.update_moment(updates, state.mu, beta1, 1)
        nu = optax.tree.update_moment(updates, state.nu, beta2, 2)
        below = jnp.sqrt(optax.tree.bias_correction(nu, beta2, count)) + eps
        ahead = updates * (1.0 - now) / (1.0 - product) + mu * then / (1.0 - product * then)
        return ahead / below, NadamState(count, kept, mu, nu)

    return optax.GradientTransformation(init, update)
