"""Losses that compare a result with a target, element by element or class by class."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import Aval
from facade.dtypes import SCALAR_NAMES, int64, uint8
from facade.errors import broadcast_shapes
from facade.ops.activation import check_softmax
from facade.ops.declare import expected_type, kernel, refuse, refuse_dtype
from facade.ops.registry import Array, Promote, Raw, Scalar, op


def reduce(loss, reduction: str):
    """Return the mean, the sum or, for "none", all of the losses."""
    return {"mean": jnp.mean, "sum": jnp.sum, "none": lambda x: x}[reduction](loss)


def _refuse_integers(name: str):
    error = kernel(name)
    return refuse(bool=error, integer=error, complex=error)


# ---- differences ----


@op(public="", promotes=Promote.SAME, check=_refuse_integers("mse_cpu"))
def mse_loss(input: Array, target: Array, reduction: str):
    """Return the squared difference."""
    return reduce(jnp.square(input - target), reduction)


def _check_smooth_l1(input, target, reduction, beta):
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    _refuse_integers("smooth_l1_cpu")(input=input, target=target)


@op(public="", promotes=Promote.SAME, check=_check_smooth_l1, grad_name="SmoothL1LossBackward0")
def smooth_l1_loss(input: Array, target: Array, reduction: str, beta: float):
    """Return ``d**2 / (2 beta)`` for a difference below ``beta`` and ``d - beta / 2`` above."""
    size = jnp.abs(input - target)
    return reduce(jnp.where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta), reduction)


def _check_huber(input, target, reduction, delta):
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    _refuse_integers("huber_cpu")(input=input, target=target)


@op(public="", promotes=Promote.SAME, check=_check_huber)
def huber_loss(input: Array, target: Array, reduction: str, delta: float):
    """Return ``d**2 / 2`` for a difference up to ``delta`` and ``delta (d - delta / 2)`` above."""
    size = jnp.abs(input - target)
    loss = jnp.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))
    return reduce(loss, reduction)


@op(public="", promotes=Promote.SAME, check=_refuse_integers("soft_margin_loss"))
def soft_margin_loss(input: Array, target: Array, reduction: str):
    """Return ``log(1 + exp(-target * input))``."""
    return reduce(_softplus(-target * input), reduction)


def _softplus(x):
    """Return ``log(1 + exp(x))`` without overflow."""
    positive = jnp.where(x > 0, x, 0)
    return positive + jnp.log1p(jnp.exp(jnp.where(x > 0, -x, x)))


# ---- classes ----


def _check_class_dtype(target) -> None:
    if target.dtype not in (int64, uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {SCALAR_NAMES[target.dtype]}"
        )


def check_class_shapes(input, target) -> None:
    """Check that there is a class for each element of a batch.

    Raises:
        ValueError: the batches differ, or there is no class dimension.
        RuntimeError: the sizes after it differ.
    """
    if not input.ndim:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.ndim == 1:
        return
    found = target.shape[0] if target.ndim else 0
    if input.shape[0] != found:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({found})."
        )
    if input.ndim == 2 and target.ndim != 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input.ndim == 4 and target.ndim != 3:
        raise RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: "
            f"{target.ndim}"
        )
    wanted, given = [input.shape[0], *input.shape[2:]], list(target.shape)
    if wanted != given and input.ndim == 4:
        raise RuntimeError(f"size mismatch (got input: {list(input.shape)} , target: {given}")
    if wanted != given:
        raise RuntimeError(f"Expected target size {wanted}, got {given}")


def _check_class_weight(input, weight) -> None:
    if weight is None:
        return
    classes = input.shape[min(input.ndim, 2) - 1]
    if weight.shape != (classes,):
        if input.ndim > 2:
            raise RuntimeError("weight tensor should be defined either for all or no classes")
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype is not input.dtype:
        raise expected_type(input, weight)


def _check_nll(input, target, weight, reduction, ignore_index):
    check_class_shapes(input, target)
    _check_class_dtype(target)
    _check_class_weight(input, weight)
    _refuse_integers("nll_loss_out_frame")(input=input)


def _nll_name(input, reduction) -> str:
    if input.ndim <= 2:
        return "NllLossBackward0"
    if reduction == "none" and input.ndim != 4:
        return "ViewBackward0"
    return "NllLoss2DBackward0"


def _at_class(x, target):
    """Return ``x``'s element of the target's class along dimension 1.

    A masked sum instead of a gather: it fuses with the softmax around it, and so does its
    derivative, which would be a scatter.
    """
    classes = lax.broadcasted_iota(target.dtype, (1, x.shape[1], *(1,) * (x.ndim - 2)), 1)
    return jnp.sum(jnp.where(classes == target[:, None], x, 0), 1)


def _class_weights(target, weight, ignore_index: int, dtype):
    """Return the weight of each element; it is 0 where the class is ignored."""
    counts = (target != ignore_index).astype(dtype)
    return counts if weight is None else counts * jnp.take(weight, target, mode="clip")


def _batched(x, target):
    """Return both with a batch dimension."""
    return (x[None], target.reshape(1)) if x.ndim == 1 else (x, target)


@op(public="", check=_check_nll, grad_name=_nll_name)
def nll_loss(
    input: Raw, target: Raw, weight: Raw | None, reduction: str, ignore_index: int
) -> jax.Array:
    """Return the negative log-probability of each class.

    Args:
        input: ``(N, C, *)`` or ``(C,)``.
        target: ``(N, *)`` or ``()``.
        weight: ``(C,)``.
        ignore_index: The class that counts for nothing.
    """
    x, classes = _batched(input, target)
    kept = jnp.where(classes == ignore_index, 0, classes)
    return nll(_at_class(x, kept), classes, weight, reduction, ignore_index, target.shape)


def nll(logs, classes, weight, reduction: str, ignore_index: int, shape: tuple):
    """Return the loss from the logarithm of each class's probability."""
    weights = _class_weights(classes, weight, ignore_index, logs.dtype)
    # a class that counts for nothing gives 0 even if its probability is 0 as well
    loss = jnp.where(weights == 0, 0, -logs * weights)
    if reduction == "none":
        return loss.reshape(shape)
    return jnp.sum(loss) / jnp.sum(weights) if reduction == "mean" else jnp.sum(loss)


@jax.custom_jvp
def log_probability(x, target):
    """Return the logarithm of the softmax along dimension 1 at the target's class."""
    shifted, _, total = _exponentials(x)
    return _of_class(shifted, target) - jnp.log(total)


@log_probability.defjvp
def _log_probability_jvp(primals, tangents):
    # the exponentials are kept: making them again would take longer than all the rest
    (x, target), dx = primals, tangents[0]
    shifted, exps, total = _exponentials(x)
    change = _of_class(dx, target) - jnp.sum(exps * dx, 1) / total
    return _of_class(shifted, target) - jnp.log(total), change


def _exponentials(x):
    """Return ``x`` less its maximum along dimension 1, the exponentials and their sum."""
    most = lax.stop_gradient(jnp.max(x, 1, keepdims=True))
    # the choice changes no value, but keeps XLA from storing the differences by themselves
    most = jnp.where(most != most, jnp.nan, most)
    exps = jnp.exp(x - most)
    return x - most, exps, jnp.sum(exps, 1)


def _of_class(x, target):
    return jnp.take_along_axis(x, target[:, None], 1, mode="promise_in_bounds")[:, 0]


_check_scores = check_softmax("log_softmax")


def check_cross_entropy(input, target, weight, reduction, ignore_index):
    _check_scores(input, min(input.ndim, 2) - 1, None)
    _check_nll(input, target, weight, reduction, ignore_index)


@op(public="", check=check_cross_entropy, grad_name=_nll_name)
def cross_entropy(
    input: Raw, target: Raw, weight: Raw | None, reduction: str, ignore_index: int
) -> jax.Array:
    """Return :func:`nll_loss` of the log-softmax along the classes, without storing that."""
    x, classes = _batched(input, target)
    kept = jnp.where(classes == ignore_index, 0, classes)
    return nll(log_probability(x, kept), classes, weight, reduction, ignore_index, target.shape)


def _check_smoothed(input, target, weight, reduction, ignore_index, label_smoothing):
    check_class_shapes(input, target)
    _check_class_dtype(target)
    _check_class_weight(input, weight)


@op(public="", check=_check_smoothed, grad_name="AddBackward0")
def smoothed_nll_loss(
    input: Raw, target: Raw, weight: Raw | None, reduction: str, ignore_index: int,
    label_smoothing: Scalar,
) -> jax.Array:  # fmt: skip
    """Return :func:`nll_loss` with a part of each target spread over all classes."""
    x, classes = _batched(input, target)
    smoothing = label_smoothing.astype(x.dtype)
    weights = _class_weights(classes, weight, ignore_index, x.dtype)
    column = 1 if weight is None else weight.reshape(-1, *(1,) * (x.ndim - 2))
    spread = jnp.where(classes == ignore_index, 0, -jnp.sum(x * column, 1))
    if reduction == "none":
        spread = spread.reshape(target.shape)
    else:
        spread = jnp.sum(spread)
        spread = spread / jnp.sum(weights) if reduction == "mean" else spread
    exact = nll_loss(input, target, weight, reduction, ignore_index)
    return (1 - smoothing) * exact + spread * (smoothing / x.shape[1])


def _check_probabilities(input, target, weight, reduction, label_smoothing):
    if isinstance(target, Aval) and not target.dtype.is_floating_point:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{SCALAR_NAMES[target.dtype]}"
        )
    _check_class_weight(input, weight)


@op(
    public="", check=_check_probabilities,
    grad_name=lambda reduction: "DivBackward1" if reduction == "mean" else "NegBackward0",
)  # fmt: skip
def soft_cross_entropy(
    input: Raw, target: Raw, weight: Raw | None, reduction: str, label_smoothing: Scalar
) -> jax.Array:
    """Return the cross entropy of log-probabilities with target probabilities of their shape."""
    dim = min(input.ndim, 2) - 1
    smoothing = label_smoothing.astype(target.dtype)
    target = target * (1 - smoothing) + smoothing / input.shape[dim]
    if weight is not None:
        input = input * weight.reshape(-1, *(1,) * max(input.ndim - 2, 0))
    loss = -jnp.sum(input * target, dim)
    if reduction == "mean":
        return jnp.sum(loss) / max(input.size // input.shape[dim], 1)
    return reduce(loss, reduction)


def _empty(input) -> RuntimeError:
    return RuntimeError(
        "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
        f"{list(input.shape)}"
    )


def _check_multi_margin(input, target, p, margin, weight, reduction):
    shape = list(input.shape)
    if input.ndim > 2 or 0 in shape[-1:]:
        raise _empty(input)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    count, classes = (1, 1, *shape)[-2:]
    if target.ndim > 1 or target.numel != count:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of "
            f"input samples (batch size). Expected target size [{count}], but got "
            f"{list(target.shape)}. Input has shape {shape}."
        )
    if weight is not None and weight.numel != classes:
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    _check_long(target)


@op(public="", check=_check_multi_margin)
def multi_margin_loss(
    input: Raw, target: Raw, p: int, margin: Scalar, weight: Raw | None, reduction: str
) -> jax.Array:
    """Return how far other classes come within a margin of the right one, to the power ``p``."""
    x, classes = input.reshape((1, 1, *input.shape)[-2:]), target.reshape(-1)
    gap = margin.astype(x.dtype) - _at_class(x, classes)[:, None] + x
    loss = jnp.where(gap > 0, gap**p, 0)
    if weight is not None:
        loss = loss * jnp.take(weight, classes, mode="clip")[:, None]
    loss = jnp.where(jnp.arange(x.shape[1]) == classes[:, None], 0, loss)
    loss = jnp.sum(loss, 1) / x.shape[1]
    return reduce(loss.reshape(target.shape) if target.ndim == 0 else loss, reduction)


def _check_long(target) -> None:
    if target.dtype is not int64:
        found = SCALAR_NAMES[target.dtype]
        raise RuntimeError(f"expected scalar type Long but found {found}")


def _check_multilabel(input, target, reduction):
    if input.ndim > 2 or 0 in input.shape[-1:]:
        raise _empty(input)
    if input.shape != target.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    _check_long(target)


@op(public="", check=_check_multilabel)
def multilabel_margin_loss(input: Raw, target: Raw, reduction: str) -> jax.Array:
    """Return how far other classes come within 1 of the right ones, listed up to the first -1."""
    x = input.reshape(-1, input.shape[-1] if input.ndim else 1)
    listed = target.reshape(x.shape)
    listed = jnp.where(jnp.cumsum(listed < 0, 1) > 0, -1, listed)
    classes = jnp.arange(x.shape[1])
    right = jnp.any(listed[:, :, None] == classes, 1)  # (N, C)
    own = jnp.take_along_axis(x, jnp.maximum(listed, 0), 1, mode="clip")
    gap = 1 - own[:, :, None] + x[:, None, :]  # (N, listed, C)
    counts = (listed >= 0)[:, :, None] & ~right[:, None, :] & (gap > 0)
    loss = jnp.sum(jnp.where(counts, gap, 0), (1, 2)) / x.shape[1]
    return reduce(loss.reshape(input.shape[:-1]), reduction)


# ---- probabilities ----


def _check_bce(input, target, weight, reduction):
    _refuse_integers("binary_cross_entropy")(input=input)
    if target.dtype is not input.dtype:
        names = (SCALAR_NAMES[a.dtype] for a in (target, input))
        raise RuntimeError("Found dtype {} but expected {}".format(*names))


def _logs(x):
    """Return ``log(x)`` and ``log(1 - x)``, neither below -100."""
    return jnp.maximum(jnp.log(x), -100), jnp.maximum(jnp.log1p(-x), -100)


@jax.custom_jvp
def _bce(x, target):
    yes, no = _logs(x)
    return (target - 1) * no - target * yes


@_bce.defjvp
def _bce_jvp(primals, tangents):
    # PyTorch's derivative goes on where the logarithms are cut off
    (x, target), (dx, dtarget) = primals, tangents
    yes, no = _logs(x)
    slope = (x - target) / jnp.maximum(x * (1 - x), 1e-12)
    return _bce(x, target), dx * slope + dtarget * (no - yes)


@op(public="", check=_check_bce)
def binary_cross_entropy(input: Raw, target: Raw, weight: Raw | None, reduction: str) -> jax.Array:
    """Return the cross entropy between probabilities and targets from 0 to 1."""
    loss = _bce(input, target)
    return reduce(loss if weight is None else loss * weight, reduction)


def _check_bce_logits(input, target, weight, pos_weight, reduction):
    error = kernel("log_sigmoid_cpu")
    refuse_dtype(input.dtype, {"bool": error, "integer": error})
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            f"result type {SCALAR_NAMES[input.dtype]} can't be cast to the desired output type "
            f"{SCALAR_NAMES[target.dtype]}"
        )
    if pos_weight is not None:
        broadcast_shapes(pos_weight.shape, target.shape)
    if weight is not None:
        broadcast_shapes(input.shape, weight.shape)


@op(public="", check=_check_bce_logits)
def binary_cross_entropy_with_logits(
    input: Raw, target: Raw, weight: Raw | None, pos_weight: Raw | None, reduction: str
) -> jax.Array:
    """Return the cross entropy between scores, through a sigmoid, and targets from 0 to 1."""
    slack = _softplus(-input)
    if pos_weight is not None:
        slack = slack * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * input + slack
    return reduce(loss if weight is None else loss * weight, reduction)


def _check_kl(input, target, reduction, log_target):
    if not all(a.dtype.is_floating_point for a in (input, target)):
        raise RuntimeError("kl_div: Integral inputs not supported.")


def _kl_name(reduction, log_target) -> str:
    if reduction == "none":
        return "MulBackward0" if log_target else "SubBackward0"
    return "MeanBackward0" if reduction == "mean" else "SumBackward0"


@op(public="", promotes=Promote.SAME, check=_check_kl, grad_name=_kl_name)
def kl_div(input: Array, target: Array, reduction: str, log_target: bool):
    """Return ``target * (log(target) - input)``; ``input`` is a logarithm."""
    if log_target:
        return reduce(jnp.exp(target) * (target - input), reduction)
    zero = target == 0
    entropy = jnp.where(zero, 0, target * jnp.log(jnp.where(zero, 1, target)))
    return reduce(entropy - target * input, reduction)


# ---- sequences ----


def _check_ctc(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    refuse_dtype(targets.dtype, {"floating": kernel("ctc_loss")})
    if not 0 <= blank < log_probs.shape[-1]:
        raise RuntimeError("blank must be in label range")


@op(
    public="", check=_check_ctc,
    grad_name=lambda zero_infinity: "WhereBackward0" if zero_infinity else "CtcLossBackward0",
)  # fmt: skip
def ctc_loss(
    log_probs: Raw, targets: Raw, input_lengths: Raw, target_lengths: Raw, blank: int,
    zero_infinity: bool,
) -> jax.Array:  # fmt: skip
    """Return the negative log-probability of each label sequence under any alignment.

    Args:
        log_probs: ``(T, N, C)``.
        targets: ``(N, S)``.
        input_lengths, target_lengths: ``(N,)``.
    Returns:
        ``(N,)``. The gradient is the one before a log-softmax, as PyTorch defines it.
    """
    lengths, target_lengths = input_lengths.astype(jnp.int32), target_lengths.astype(jnp.int32)
    run = partial(_ctc_one, blank=blank)
    loss = jax.vmap(run, (1, 0, 0, 0))(log_probs, targets, lengths, target_lengths)
    inside = jnp.arange(log_probs.shape[0])[:, None] < lengths
    total = jnp.sum(jnp.where(inside[..., None], jnp.exp(log_probs), 0), (0, 2))
    impossible = jnp.isinf(loss)
    loss = loss + jnp.where(impossible, 0, total - lax.stop_gradient(total))
    return jnp.where(impossible, 0, loss) if zero_infinity else loss


def _ctc_one(log_probs, target, length, count, blank: int):
    """Sum over all alignments of one sequence: labels with a blank before, between and after."""
    size = 2 * target.shape[0] + 1
    target = target.astype(jnp.int32)
    labels = jnp.full(size, blank, jnp.int32).at[1::2].set(target)
    before = jnp.concatenate([jnp.full(2, -1, labels.dtype), labels[:-2]])
    may_skip = (labels != blank) & (labels != before)

    def step(state, now):
        t, emitted = now
        shifted = [jnp.pad(state, (k, 0), constant_values=-jnp.inf)[:size] for k in (0, 1, 2)]
        shifted[2] = jnp.where(may_skip, shifted[2], -jnp.inf)
        new = _logsumexp(jnp.stack(shifted)) + emitted[labels]
        return jnp.where(t < length, new, state), None

    start = jnp.full(size, -jnp.inf, log_probs.dtype).at[0].set(0)
    # a first step that may begin at the first label as well
    first = jnp.where(jnp.arange(size) < 2, log_probs[0][labels], -jnp.inf)
    first = jnp.where((jnp.arange(size) == 1) & (count == 0), -jnp.inf, first)
    state = jnp.where(length > 0, first, start)
    steps = (jnp.arange(1, log_probs.shape[0]), log_probs[1:])
    state, _ = lax.scan(step, state, steps)
    last = jnp.where(count > 0, state[2 * count - 1], -jnp.inf)
    return -_logsumexp(jnp.stack([state[2 * count], last]))


def _logsumexp(x):
    """Return the logarithm of the sum of exponentials along dimension 0; all -inf has slope 0."""
    most = lax.stop_gradient(jnp.max(x, 0))
    possible = most > -math.inf
    sums = jnp.sum(jnp.exp(jnp.where(possible, x - most, 0)), 0)
    return jnp.where(possible, jnp.log(sums) + most, -jnp.inf)
