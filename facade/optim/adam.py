"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import (
    LATER,
    check_betas,
    check_fused,
    check_not_negative,
    is_nonzero,
)
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class Adam(TransformOptimizer):
    """Adam.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        betas: What part of the running averages of gradient and square is kept in a step.
        eps: Added to the denominator.
        weight_decay: Adds that much of the parameter to its gradient.
        amsgrad: Divides by the largest average so far.
        maximize: Goes up instead of down.
        decoupled_weight_decay: Takes the decay from the parameter instead, as AdamW.
        foreach, fused, capturable: Accepted; an update is always one instruction.
        differentiable: Records the update for ``backward()``.
    """

    counts = True
    later_options: ClassVar[dict[str, Any]] = LATER | {
        "amsgrad": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_tensor("lr", lr, foreach and not capturable)
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        if not any(all(isinstance(b, kind) for b in betas) for kind in (float, Tensor)):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            _check_tensor(f"betas[{i}]", beta, foreach and not capturable)
        defaults = {
            "lr": lr,
            "betas": tuple(b.squeeze() if isinstance(b, Tensor) else b for b in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        beta1, beta2 = group["betas"]
        largest = {"max_exp_avg_sq": "largest"} if group["amsgrad"] else {}
        return Recipe(
            _adam,
            {"exp_avg": "mu", "exp_avg_sq": "nu", **largest},
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
                "amsgrad": group["amsgrad"],
                "maximize": group["maximize"],
            },
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter and leaves the running averages alone."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


def _check_tensor(name: str, value, foreach: bool | None) -> None:
    if not isinstance(value, Tensor):
        return
    if foreach:
        raise ValueError(
            f"{name} as a Tensor is not supported for capturable=False and foreach=True"
        )
    if value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")


def _adam(
    lr, beta1, beta2, eps, weight_decay, *, decays, decoupled, amsgrad, maximize
) -> optax.GradientTransformation:
    scale = scale_by_amsgrad if amsgrad else optax.scale_by_adam
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * (decays and not decoupled),
        scale(beta1, beta2, eps),
        *[optax.add_decayed_weights(weight_decay)] * (decays and decoupled),
        optax.scale_by_learning_rate(lr),
    )


class AmsgradState(NamedTuple):
    """Steps taken, the running averages of gradient and square, the largest of the latter."""

    count: Any
    mu: Any
    nu: Any
    largest: Any


def scale_by_amsgrad(beta1, beta2, eps) -> optax.GradientTransformation:
    """Return PyTorch's amsgrad; ``optax.scale_by_amsgrad`` compares averages corrected for bias."""

    def init(params):
        zeros = jnp.zeros_like(params)
        return AmsgradState(0, zeros, zeros, zeros)

    def update(updates, state, params=None):
        count = state.count + 1
        mu = optax.tree.update_moment(updates, state.mu, beta1, 1)
        nu = optax.tree.update_moment(updates, state.nu, beta2, 2)
        largest = jnp.maximum(state.largest, nu)
        above = optax.tree.bias_correction(mu, beta1, count)
        below = jnp.sqrt(optax.tree.bias_correction(largest, beta2, count)) + eps
        return above / below, AmsgradState(count, mu, nu, largest)

    return optax.GradientTransformation(init, update)
