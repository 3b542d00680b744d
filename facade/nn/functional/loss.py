"""Losses."""

import math
import warnings

from facade import aten, functions
from facade.autograd.grad_mode import no_grad
from facade.binding import public
from facade.casts import arguments
from facade.errors import broadcast_shapes
from facade.functions.indexing import check_within, exactly_at_hand
from facade.nn.functional.activation import logsigmoid
from facade.nn.functional.distance import cosine_similarity, pairwise_distance
from facade.nn.functional.reduction import resolve
from facade.tensor import Tensor


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


# ---- differences ----


def _warn_sizes(input: Tensor, target: Tensor, stacklevel: int = 3) -> None:
    if input._aval.shape != target._aval.shape:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=stacklevel,
        )


def _weighted(loss: Tensor, weight: Tensor, input: Tensor, reduction: str) -> Tensor:
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.sum()
    return _reduce(loss, reduction)


def mse_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the squared difference."""
    _warn_sizes(input, target)
    reduction = resolve(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(aten.mse_loss(input, target, "none"), weight, input, reduction)
    return aten.mse_loss(input, target, reduction)


def l1_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the absolute difference."""
    _warn_sizes(input, target)
    reduction = resolve(reduction, size_average, reduce)
    input, target = arguments("l1_loss", input, target)
    loss = (input - target).abs()
    return _reduce(loss, reduction) if weight is None else _weighted(loss, weight, input, reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """Return the squared difference where it is below ``beta``, the absolute one above."""
    _warn_sizes(input, target)
    reduction = resolve(reduction, size_average, reduce)
    if beta == 0.0:
        input, target = arguments("smooth_l1_loss", input, target)
        return _reduce((input - target).abs(), reduction)
    return aten.smooth_l1_loss(input, target, reduction, float(beta))


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return half the squared difference up to ``delta``, then a line."""
    _warn_sizes(input, target)
    reduction = resolve(reduction)
    if weight is not None:
        loss = aten.huber_loss(input, target, "none", float(delta))
        return _weighted(loss, weight, input, reduction)
    return aten.huber_loss(input, target, reduction, float(delta))


# ---- classes ----


def check_classes(target: Tensor, classes: int, ignore_index: int | None = None) -> None:
    """Check the classes: now if they are at hand, else once they are computed.

    Raises:
        IndexError: there is no such class.
    """
    check_within(target, 0, classes - 1, _no_class, ignore_index)


def _no_class(place: int, value: int) -> IndexError:
    return IndexError(f"Target {value} is out of bounds.")


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average=None,
    ignore_index: int = -100, reduce=None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return the negative log-probability of the right class.

    Args:
        input: ``(N, C, *)`` log-probabilities, or ``(C,)``.
        target: ``(N, *)`` classes, or ``()``.
        weight: ``(C,)``, a factor for each class.
        ignore_index: The class that counts for nothing.
    Raises:
        IndexError: there is no such class.
    """
    reduction = resolve(reduction, size_average, reduce)
    loss = aten.nll_loss(input, target, weight, reduction, ignore_index)
    check_classes(target, input.shape[min(input.ndim, 2) - 1], ignore_index)
    return loss


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average=None,
    ignore_index: int = -100, reduce=None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Return the cross entropy of scores with classes or with probabilities.

    Args:
        input: ``(N, C, *)`` scores, or ``(C,)``.
        target: ``(N, *)`` classes, or probabilities of the input's shape.
        weight: ``(C,)``, a factor for each class.
        ignore_index: The class that counts for nothing.
        label_smoothing: How much of the target is spread over all classes.
    Raises:
        IndexError: there is no such class.
    """
    reduction = resolve(reduction, size_average, reduce)
    if label_smoothing > 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    dim = min(input.ndim, 2) - 1
    input, target, weight = arguments("cross_entropy", input, target, weight)
    if target._aval.shape == input._aval.shape and (input.ndim != 1 or target.is_floating_point()):
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        logs = input if not input.ndim else aten.log_softmax(input, dim)
        return aten.soft_cross_entropy(logs, target, weight, reduction, label_smoothing)
    if label_smoothing > 0.0:
        logs = aten.log_softmax(input, dim)
        loss = aten.smoothed_nll_loss(
            logs, target, weight, reduction, ignore_index, label_smoothing
        )
    elif input.dtype.itemsize == 2:  # PyTorch rounds the logarithms
        logs = aten.log_softmax(input, dim)
        loss = aten.nll_loss(logs, target, weight, reduction, ignore_index)
    else:
        loss = aten.cross_entropy(input, target, weight, reduction, ignore_index)
    check_classes(target, input.shape[dim], ignore_index)
    return loss


def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average=None, reduce=None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return how far other classes come within ``margin`` of the right one, to the power ``p``."""
    reduction = resolve(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    loss = aten.multi_margin_loss(input, target, int(p), margin, weight, reduction)
    _check_range(target, 0, input.shape[-1] if input.ndim else 1, "target out of range")
    return loss


def _check_range(target: Tensor, least: int, end: int, text: str) -> None:
    check_within(target, least, end - 1, lambda _, value: RuntimeError(text))


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean"
) -> Tensor:
    """Return how far other classes come within 1 of the right ones, listed up to the first -1."""
    reduction = resolve(reduction, size_average, reduce)
    loss = aten.multilabel_margin_loss(input, target, reduction)
    _check_range(target, -1, input.shape[-1] if input.ndim else 1,
                 "argument #2 'target' is out of range")  # fmt: skip
    return loss


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average=None, reduce=None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return the mean over the classes of a yes-or-no cross entropy for each."""
    reduction = resolve(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    loss = loss.sum(dim=input.dim() - 1) / input.size(input.dim() - 1)
    return _reduce(loss, reduction)


# ---- yes or no ----


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average=None, reduce=None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return the cross entropy between probabilities and targets from 0 to 1.

    Raises:
        ValueError: the sizes differ.
        RuntimeError: a number at hand is outside [0, 1].
    """
    reduction = resolve(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(_expandable(target, weight))
    loss = aten.binary_cross_entropy(input, target, weight, reduction)
    for name, tensor in (("input", input), ("target", target)):
        _check_range(tensor, 0, 2, f"all elements of {name} should be between 0 and 1")
    return loss


def _expandable(target: Tensor, weight: Tensor) -> tuple[int, ...]:
    shape = tuple(target.shape)
    for dim, size in enumerate(reversed(weight.shape), 1):
        if dim <= len(shape) and size not in (1, shape[-dim]):
            raise RuntimeError(
                f"Attempting to broadcast a dimension of length {size} at {-dim}! Mismatching "
                f"argument at index 1 had {weight.shape}; but expected shape should be "
                f"broadcastable to {list(shape)}"
            )
    return broadcast_shapes(shape, tuple(weight.shape))


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average=None, reduce=None,
    reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the cross entropy between scores, through a sigmoid, and targets from 0 to 1.

    Args:
        pos_weight: A factor for the positive targets of each class.
    Raises:
        ValueError: the sizes differ.
    """
    reduction = resolve(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    return aten.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


@public(method=False)
def kl_div(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:  # fmt: skip
    """Return ``target * (log(target) - input)``; ``input`` is a logarithm.

    Args:
        reduction: Also "batchmean", the sum divided by the number of rows.
        log_target: Whether the target is a logarithm too.
    """
    if reduction == "batchmean":
        total = aten.kl_div(input, target, "sum", log_target)
        return total / input.size(0) if input.dim() else total
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=2,
        )
    reduction = resolve(reduction, size_average, reduce)
    return aten.kl_div(input, target, reduction, log_target)


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average=None, reduce=None, reduction: str = "mean"
) -> Tensor:
    """Return ``log(1 + exp(-target * input))``; targets are 1 or -1."""
    return aten.soft_margin_loss(input, target, resolve(reduction, size_average, reduce))


# ---- margins ----


@public(method=False)
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average=None,
    reduce=None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return ``max(0, margin - target * (input1 - input2))``; targets are 1 or -1."""
    reduction = resolve(reduction, size_average, reduce)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    input1, input2, target = arguments("margin_ranking_loss", input1, input2, target)
    return _reduce((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@public(method=False)
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average=None, reduce=None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return ``input`` where the target is 1 and ``max(0, margin - input)`` where it is -1."""
    reduction = resolve(reduction, size_average, reduce)
    input, target = arguments("hinge_embedding_loss", input, target)
    apart = (margin - input).clamp_min(0).masked_fill(target == 1, 0)
    return _reduce(apart + input.masked_fill(target == -1, 0), reduction)


@public(method=False)
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average=None,
    reduce=None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return ``1 - cos`` where the target is 1 and ``max(0, cos - margin)`` where it is -1."""
    reduction = resolve(reduction, size_average, reduce)
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if not input1.dim() == input2.dim() == target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    input1, input2, target = arguments("cosine_embedding_loss", input1, input2, target)
    cosine = _cosine(input1, input2, target.dim())
    near = (1 - cosine).masked_fill(target != 1, 0)
    far = (cosine - margin).clamp_min(0).masked_fill(target != -1, 0)
    return _reduce(near + far, reduction)


def _cosine(a: Tensor, b: Tensor, dim: int) -> Tensor:
    if a.is_floating_point() or b.is_floating_point():
        return cosine_similarity(a, b, dim, _cosine_eps(a))
    product, first, second = ((x * y).sum(dim) for x, y in ((a, b), (a, a), (b, b)))
    return product / ((first + 1e-12) * (second + 1e-12)).sqrt()


def _cosine_eps(input: Tensor) -> float:
    return 1e-12 if input.dtype.itemsize > 2 else 1e-6


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, size_average=None, reduce=None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return how much less than ``margin`` nearer the positive is than the negative."""
    reduction = resolve(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = (anchor.dim(), positive.dim(), negative.dim())
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative "
            f"{dims[2]}D inputs"
        )

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    anchor, positive, negative = arguments("triplet_margin_loss", anchor, positive, negative)
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction) -> Tensor:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = functions.minimum(far, distance(positive, negative))
    return _reduce((margin + near - far).clamp_min(0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function=None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return :func:`triplet_margin_loss` by another distance."""
    reduction = resolve(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    dims = (anchor.ndim, positive.ndim, negative.ndim)
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative "
            f"{dims[2]}D inputs"
        )
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


# ---- distributions and sequences ----


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average=None,
    eps: float = 1e-8, reduce=None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return the negative log-likelihood of counts under Poisson distributions.

    Args:
        log_input: Whether the input is the logarithm of the rate.
        full: Whether to add Stirling's approximation of the constant.
    """
    reduction = resolve(reduction, size_average, reduce)
    input, target = arguments("poisson_nll_loss", input, target)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return the negative log-likelihood of numbers under normal distributions.

    Args:
        var: The variances, of the input's shape or without its last dimension, at least ``eps``.
        full: Whether to add the constant.
    """
    if isinstance(var, float | int):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        ones: Tensor = functions.ones_like(input)
        var = ones * var
    else:
        negative = ValueError("var has negative entry/entries")
        # no comparison is true of a NaN, which may pass
        check_within(var, 0, math.inf, lambda *_: negative, nan=True)
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not (input.size()[:-1] == var.size()[:-1] and var.size(-1) == 1):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with no_grad():  # the gradient is as if it were not moved
        var.clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce(loss, reduction)


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths, target_lengths, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Return the negative log-probability of label sequences under any alignment.

    Args:
        log_probs: ``(T, N, C)`` or ``(T, C)``.
        targets: ``(N, S)``, or all of them in a row.
        input_lengths, target_lengths: ``(N,)``, tensors or tuples.
        zero_infinity: Whether an impossible sequence costs nothing.
    """
    reduction = resolve(reduction)
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    lengths, counts = (
        row if isinstance(row, Tensor) else functions.tensor(row)
        for row in (input_lengths, target_lengths)
    )
    known = exactly_at_hand(counts)
    if targets.dim() == 1:  # the result's shape depends on the lengths
        targets = _padded(targets, (counts if known is None else known).reshape(-1).tolist())
    width = targets.size(1)

    def too_short(_, value: int) -> RuntimeError:
        longest = value if known is None else known.max()
        return RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size {width} "
            "for argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)"
        )

    check_within(counts, 0, width, too_short)
    lengths, counts = lengths.reshape(-1), counts.reshape(-1)
    loss = aten.ctc_loss(log_probs, targets, lengths, counts, blank, zero_infinity)
    if reduction == "mean":
        return (loss / counts.clamp(min=1)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)


def _padded(targets: Tensor, counts: list[int]) -> Tensor:
    """Return targets given in a row as ``(N, longest)``."""
    rows = targets.split(counts)
    longest = max(counts, default=0)
    filled = [functions.cat([row, row.new_zeros(longest - len(row))]) for row in rows]
    return functions.stack(filled)
