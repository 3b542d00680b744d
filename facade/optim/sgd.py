"""SGD: stochastic gradient descent with momentum."""

from typing import Any, ClassVar, NamedTuple

import jax
import optax

from facade.optim.optimizer import ParamsT
from facade.optim.options import check_fused, is_nonzero
from facade.optim.recipe import Recipe
from facade.optim.update import TransformOptimizer
from facade.tensor import Tensor


class SGD(TransformOptimizer):
    """Stochastic gradient descent, with momentum if that is not 0.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate.
        momentum: What part of the last update's direction is kept.
        dampening: What part of the gradient is left out of the momentum, after the first step.
        weight_decay: Adds that much of the parameter to its gradient.
        nesterov: Looks ahead along the momentum.
        maximize: Goes up instead of down.
        foreach, fused: Accepted; an update is always one instruction.
        differentiable: Records the update for ``backward()``.
    """

    later_options: ClassVar[dict[str, Any]] = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def recipe(self, group: dict[str, Any]) -> Recipe:
        moves = is_nonzero(group["momentum"])
        # the first momentum is the gradient: from 0 it becomes that by itself, unless dampened
        plain = not (is_nonzero(group["dampening"]) or group["differentiable"])
        return Recipe(
            _sgd,
            {"momentum_buffer": "buffer"} if moves else {},
            {name: group[name] for name in ("lr", "momentum", "dampening", "weight_decay")},
            {
                "decays": is_nonzero(group["weight_decay"]),
                "moves": moves,
                "nesterov": group["nesterov"],
                "maximize": group["maximize"],
            },
            starts={"momentum_buffer": 0.0 if plain else None},
        )


def _sgd(
    lr, momentum, dampening, weight_decay, *, decays, moves, nesterov, maximize
) -> optax.GradientTransformation:
    return optax.chain(
        *[optax.scale(-1)] * maximize,
        *[optax.add_decayed_weights(weight_decay)] * decays,
        *[heavy_ball(momentum, dampening, nesterov)] * moves,
        optax.scale_by_learning_rate(lr),
    )


class HeavyBallState(NamedTuple):
    """The momentum, None before the first step."""

    buffer: Any


def heavy_ball(momentum, dampening, nesterov: bool) -> optax.GradientTransformation:
    """Return PyTorch's momentum: ``optax.trace``, and dampening from the second step on."""

    def init(params):
        return HeavyBallState(None)

    def update(updates, state, params=None):
        if state.buffer is None:
            buffer = jax.lax.stop_gradient(updates)
        else:
            buffer = momentum * state.buffer + (1 - dampening) * updates
        direction = updates + momentum * buffer if nesterov else buffer
        return direction, HeavyBallState(buffer)

    return optax.GradientTransformation(init, update)
