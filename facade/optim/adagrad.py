"""Adagrad: steps scaled by the sum of all squared gradients."""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import LATER, check_fused, check_not_negative, check_rate, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class Adagrad(TransformOptimizer):
    """Adagrad.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        lr_decay: Divides the learning rate by 1 + ``lr_decay`` times the steps taken.
        weight_decay: Adds that much of the parameter to its gradient.
        initial_accumulator_value: Where the sum begins.
        eps: Added to the denominator.
        maximize: Goes up instead of down.
        foreach, fused: Accepted; an update is always one instruction.
        differentiable: Records the update for ``backward()``.
    """

    counts = True
    later_options: ClassVar[dict[str, Any]] = {
        **{k: v for k, v in LATER.items() if k != "capturable"},
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_rate(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        for group in self.param_groups:  # here the state exists before the first step
            self._begin_counts(group["params"], group)
            states = [self.state[p] for p in group["params"]]
            self.recipe(group).begin(group["params"], states)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        return Recipe(
            _adagrad,
            {"sum": "total"},
            {name: group[name] for name in ("lr", "lr_decay", "weight_decay", "eps")},
            {
                "decays": is_nonzero(group["weight_decay"]),
                "maximize": group["maximize"],
            },
            starts={"sum": self.defaults["initial_accumulator_value"]},
        )


def _adagrad(lr, lr_decay, weight_decay, eps, *, decays, maximize) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * decays,
        scale_by_total(lr_decay, eps),
        optax.scale_by_learning_rate(lr),
    )


class TotalState(NamedTuple):
    """Steps taken, the sum of the squared gradients."""

    count: Any
    total: Any


def scale_by_total(lr_decay, eps) -> optax.GradientTransformation:
    """Return PyTorch's Adagrad: ``optax.scale_by_rss`` with ``eps`` outside the root, and decay."""

    def init(params):
        return TotalState(0, jnp.zeros_like(params))

    def update(updates, state, params=None):
        total = state.total + updates * updates
        scaled = updates / (jnp.sqrt(total) + eps)
        return scaled / (1 + state.count * lr_decay), TotalState(state.count + 1, total)

    return optax.GradientTransformation(init, update)
