"""Normalization."""

import math

from facade import aten
from facade.binding import public
from facade.errors import bad_argument
from facade.nn.functional.pooling import avg_pool2d, avg_pool3d
from facade.nn.functional.vision import pad
from facade.tensor import Tensor


def write_statistics(found: tuple, running_mean, running_var) -> Tensor:
    """Write new running statistics into the tensors that keep them; return the result."""
    kept = [t for t in (running_mean, running_var) if t is not None]
    for old, new in zip(kept, found[1:], strict=False):
        old.detach().write(new.detach())
    return found[0]


def _check_count(size) -> None:
    if math.prod(size[2:]) * size[0] == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel by its batch; by the running statistics unless ``training``.

    Args:
        input: ``(N, C, *)``.
        running_mean, running_var, weight, bias: ``(C,)``; in training the first two are moved
            towards the batch's statistics.
        momentum: The weight of the new statistics.
    Raises:
        ValueError: in training, a channel has a single value.
    """
    if training:
        _check_count(input.size())
    return by_batch(input, weight, bias, running_mean, running_var, training, momentum, eps)


def by_batch(
    input: Tensor, weight, bias, running_mean, running_var, training: bool, momentum: float,
    eps: float,
) -> Tensor:  # fmt: skip
    """Return :func:`batch_norm`'s result, of a single value in each channel too."""
    if not input.numel():
        scaled = input.clone() if weight is None else input.clone() * weight[0]
        return scaled if bias is None else scaled + bias[0]
    found = aten.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
    return write_statistics(found, running_mean, running_var)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of each instance; arguments as :func:`batch_norm`'s."""
    if use_input_stats and math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.size()}"
        )
    found = aten.instance_norm(
        input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps
    )
    return write_statistics(found, running_mean, running_var)


def _shape(name: str, normalized_shape) -> tuple[int, ...]:
    if not isinstance(normalized_shape, tuple | list):
        raise bad_argument(name, "normalized_shape", 2, "tuple of ints", normalized_shape)
    return tuple(normalized_shape)


def layer_norm(
    input: Tensor, normalized_shape, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize over the last dimensions; ``weight`` and ``bias`` have their shape."""
    shape = _shape("layer_norm", normalized_shape)
    return aten.layer_norm(input, shape, weight, bias, eps)


@public(method=False)
def rms_norm(
    input: Tensor, normalized_shape, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide by the root of the mean square over the last dimensions."""
    return aten.rms_norm(input, _shape("rms_norm", normalized_shape), weight, eps)


@public(method=False)
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize ``(N, C, *)`` over groups of channels; ``weight`` and ``bias`` are ``(C,)``.

    Raises:
        ValueError: a group has a single value.
    """
    if input.dim() > 1:
        n, c, *size = input.shape
        _check_count([n * c // num_groups, num_groups, *size])
    return aten.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide each element by a power of the mean square of ``size`` neighbouring channels."""
    if input.dim() < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          input (got "
            f"{input.dim()} dimensions)"
        )
    if not input.numel():
        return input
    squares = input.mul(input)
    sides = (size // 2, (size - 1) // 2)
    if input.dim() == 3:
        columns = pad(squares.unsqueeze(1), (0, 0, *sides))
        means = avg_pool2d(columns, (size, 1), stride=1).squeeze(1)
    else:
        n, c, first, *rest = input.shape
        columns = pad(squares.view(n, 1, c, first, -1), (0, 0, 0, 0, *sides))
        means = avg_pool3d(columns, (size, 1, 1), stride=1).squeeze(1).view(n, c, first, *rest)
    return input / means.mul(alpha).add(k).pow(beta)


def normalize(
    input: Tensor, p: float = 2.0, dim=1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divide by the ``p``-norm along ``dim``, or by ``eps`` if that is greater."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    found = input / norm
    return found if out is None else out.write(found)
