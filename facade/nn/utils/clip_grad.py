"""Limit gradients, by their norm or element by element."""

import types
import warnings
from collections.abc import Iterable

from facade import aten, functions
from facade.autograd.grad_mode import no_grad
from facade.functions.construction import tensor
from facade.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def _row(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of all tensors taken together.

    Args:
        norm_type: Which norm; ``inf`` for the largest element.
        error_if_nonfinite: Whether to raise if it is infinite or no number, which reads it.
        foreach: Without effect: the norms are one instruction anyway.
    """
    tensors, norm_type = _row(tensors), float(norm_type)
    if not tensors:
        return tensor(0.0)
    first = tensors[0].device
    with no_grad():
        total = aten.total_norm(tuple(t.to(first) for t in tensors), norm_type)
        if error_if_nonfinite and not bool(functions.isfinite(total)):
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is "
                "non-finite, so it cannot be clipped. To disable this error and scale the "
                "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
            )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the parameters' gradients, whose norm is ``total_norm``, down to ``max_norm``."""
    grads = [p.grad for p in _row(parameters) if p.grad is not None]
    if not grads:
        return
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factor.to(grad.device))


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients down so that their norm, all taken together, is at most ``max_norm``.

    Arguments as :func:`get_total_norm`.

    Returns:
        The norm that they had.
    """
    given = _row(parameters)
    if isinstance(parameters, types.GeneratorType) and not given:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    grads = [p.grad for p in given if p.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(given, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Do what :func:`clip_grad_norm_` does, under its old name."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit each element of the gradients to ``-clip_value ... clip_value``."""
    clip_value = float(clip_value)
    with no_grad():
        for p in _row(parameters):
            if p.grad is not None:
                p.grad.clamp_(-clip_value, clip_value)
