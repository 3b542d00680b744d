"""Functions that ``torch`` itself offers, whose arguments are in the order of PyTorch's kernels."""

import math

from facade import aten, functions
from facade.avals import aval, elementwise_strides
from facade.binding import public
from facade.dtypes import bool_, float64
from facade.functions.draws import BERNOULLI, draw
from facade.nn.functional import loss, sparse, vision
from facade.nn.functional.normalization import by_batch, write_statistics
from facade.tensor import Tensor

# ---- normalization ----


@public(method=False)
def batch_norm(
    input: Tensor, weight, bias, running_mean, running_var, training: bool, momentum: float,
    eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """Normalize each channel as :func:`facade.nn.functional.batch_norm`."""
    return by_batch(input, weight, bias, running_mean, running_var, training, momentum, eps)


@public(method=False)
def instance_norm(
    input: Tensor, weight, bias, running_mean, running_var, use_input_stats: bool,
    momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """Normalize each channel of each instance as :func:`facade.nn.functional.instance_norm`."""
    found = aten.instance_norm(
        input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps
    )
    return write_statistics(found, running_mean, running_var)


@public(method=False)
def layer_norm(
    input: Tensor, normalized_shape, weight=None, bias=None, eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """Normalize over the last dimensions as :func:`facade.nn.functional.layer_norm`."""
    return aten.layer_norm(input, tuple(normalized_shape), weight, bias, eps)


@public(method=False, out=True)
def native_batch_norm(
    input: Tensor, weight, bias, running_mean, running_var, training: bool, momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return :func:`batch_norm`'s result, and in training the batch's mean and 1 / deviation."""
    known = _statistics_dtype(input, weight)
    size = input.shape
    if training:
        axes = (0, *range(2, len(size)))
        mean, rstd = aten.statistics(input.detach(), tuple(size), axes, eps, False, known)
    else:
        mean, rstd = (functions.empty(0, dtype=known, device=input.device) for _ in range(2))
    result = by_batch(input, weight, bias, running_mean, running_var, training, momentum, eps)
    return result, mean, rstd


@public(method=False)
def native_layer_norm(
    input: Tensor, normalized_shape, weight, bias, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return :func:`layer_norm`'s result, and each row's mean and 1 / deviation."""
    shape = tuple(normalized_shape)
    result = aten.layer_norm(input, shape, weight, bias, eps)
    axes = tuple(range(input.ndim - len(shape), input.ndim))
    known = _statistics_dtype(input, weight, bias)
    mean, rstd = aten.statistics(input.detach(), tuple(input.shape), axes, eps, True, known)
    return result, mean, rstd


@public(method=False)
def native_group_norm(
    input: Tensor, weight, bias, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return :func:`group_norm`'s result, and each group's mean and 1 / deviation ``(N, group)``.

    Args:
        N, C, HxW: The input's first two sizes, and how many elements a channel has.
    """
    result = aten.group_norm(input, group, weight, bias, eps)
    known = _statistics_dtype(input, weight, bias)
    rows = (N, group, C // group * HxW)
    mean, rstd = aten.statistics(input, rows, (2,), eps, False, known)
    return result, mean, rstd


def _statistics_dtype(input: Tensor, *parameters):
    """Return the parameters' dtype, which may be float32 next to a smaller input."""
    return next((p.dtype for p in parameters if p is not None), input.dtype)


@public(method=False)
def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Return the norm over all dimensions but one; over all of them if ``dim`` is -1."""
    ones = (1,) * (v.ndim - 1)
    if dim == -1:
        return v.norm(pow)
    if dim == 0:
        return v.reshape(v.shape[0], -1).norm(pow, 1).view(-1, *ones)
    if dim == v.ndim - 1:
        return v.reshape(-1, v.shape[dim]).norm(pow, 0).view(*ones, -1)
    return norm_except_dim(v.transpose(0, dim), pow, 0).transpose(0, dim)


# ---- dropout ----


@public(method=False)
def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Return :func:`dropout`'s result and the mask of what was kept."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
    known = input._aval
    a = aval(known.shape, bool_, elementwise_strides(known.shape, [known]))
    if train is False or p == 0 or not input.numel():
        mask = functions.ones(tuple(input.shape), dtype=bool_, device=input.device)
        return aten.native_dropout(input, mask, 1.0), mask
    mask = draw(BERNOULLI, (1 - p,), a, input.device)
    return aten.native_dropout(input, mask, 0.0 if p == 1 else 1 / (1 - p)), mask


@public(method=False)
def native_dropout_backward(grad_output: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Return the gradient at :func:`native_dropout`'s input."""
    return grad_output * mask * scale


# ---- maps ----

_GRID_MODES = ("bilinear", "nearest", "bicubic")
_GRID_PADDINGS = ("zeros", "border", "reflection")


def _sample(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """Read maps as :func:`facade.nn.functional.grid_sample`; modes are numbers."""
    mode, padding = _GRID_MODES[interpolation_mode], _GRID_PADDINGS[padding_mode]
    return aten.grid_sampler(input, grid, mode, padding, align_corners)


public(_sample, name="grid_sampler", method=False)
public(_sample, name="grid_sampler_2d", method=False)
public(_sample, name="grid_sampler_3d", method=False)


@public(method=False)
def affine_grid_generator(theta: Tensor, size, align_corners: bool) -> Tensor:
    """Return a grid of affine maps as :func:`facade.nn.functional.affine_grid`."""
    return vision.affine_grid(theta, size, align_corners)


@public(method=False)
def _upsample_bilinear2d_aa(
    input: Tensor, output_size, align_corners: bool, scales_h=None, scales_w=None, *,
    scale_factors=None,
) -> Tensor:  # fmt: skip
    """Return ``(N, C, H, W)`` smoothed at another size.

    Args:
        scales_h: The factor of the height, or both factors, from which the size follows.
    """
    factors = scales_h if isinstance(scales_h, tuple | list) else scale_factors
    if factors is not None:
        output_size = tuple(
            math.floor(n * f) for n, f in zip(input.shape[2:], factors, strict=True)
        )
    scales = tuple(factors or (scales_h, scales_w))
    return aten.upsample(input, tuple(output_size), "bilinear", align_corners, scales, True)


# ---- look-up tables ----


@public(method=False)
def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Return rows as :func:`facade.nn.functional.embedding`; a ``padding_idx`` of -1 is none."""
    padding = None if padding_idx < 0 else padding_idx
    return _embedding(indices, weight, padding, None, 2.0, scale_grad_by_freq, sparse)


_embedding = sparse.embedding


@public(method=False)
def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scale the rows of ``input`` at ``indices`` down to ``max_norm`` where they are longer."""
    sparse.renormalize(input, indices, max_norm, norm_type)
    return input


_MODES = ("sum", "mean", "max")


@public(method=False)
def embedding_bag(
    weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False,
    mode: int = 0, sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return bags as :func:`facade.nn.functional.embedding_bag`, and what they were made of.

    Args:
        mode: 0 for sums, 1 for means, 2 for maxima.
    Returns:
        The bags; the bag of each index; each bag's size; the row of each maximum. Where the
        gradient needs none of the latter, they are zeros, or empty.
    """
    if mode not in range(3):
        raise RuntimeError("`mode` must be sum, mean, or max.")
    result = _embedding_bag(
        indices, weight, offsets, scale_grad_by_freq=scale_grad_by_freq, mode=_MODES[mode],
        per_sample_weights=per_sample_weights, include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )  # fmt: skip
    starts = offsets[:-1] if include_last_offset else offsets
    padding = -1 if padding_idx is None else padding_idx % weight.shape[0]
    bags, sizes, rows = aten.bag_parts(weight.detach(), indices, starts, padding, mode == 2)
    if mode == 0:
        sizes = rows = functions.zeros_like(starts)
        if padding_idx is None and weight.dtype is not float64:
            bags = bags[:0]
    return result, bags, sizes, sizes if mode == 1 else rows


_embedding_bag = sparse.embedding_bag


# ---- losses ----

# By default none, though PyTorch's own signatures say that it is the mean
_REDUCTIONS = ("none", "mean", "sum")


@public(method=False)
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight=None, pos_weight=None, reduction: int = 0
) -> Tensor:
    """As :func:`facade.nn.functional.binary_cross_entropy_with_logits`."""
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_REDUCTIONS[reduction], pos_weight=pos_weight
    )


@public(method=False)
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """As :func:`facade.nn.functional.poisson_nll_loss`."""
    return loss.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=_REDUCTIONS[reduction]
    )


@public(method=False)
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: int = 0,
) -> Tensor:  # fmt: skip
    """As :func:`facade.nn.functional.triplet_margin_loss`."""
    return loss.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_REDUCTIONS[reduction]
    )


@public(method=False)
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths, target_lengths, blank: int = 0,
    reduction: int = 0, zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """As :func:`facade.nn.functional.ctc_loss`."""
    return loss.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _REDUCTIONS[reduction],
        zero_infinity,
    )  # fmt: skip
