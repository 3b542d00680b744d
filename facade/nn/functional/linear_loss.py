"""The cross entropy of a linear map's results, whole or in chunks."""

import math
import warnings
from dataclasses import dataclass

from facade import aten, dtypes
from facade.nn.functional.convolution import linear
from facade.nn.functional.loss import check_classes, cross_entropy
from facade.tensor import Tensor

_POLICIES = ("auto", "accurate", "balanced", "compact")
_ACCUMULATED = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)


@dataclass
class LinearCrossEntropyOptions:
    """How :func:`linear_cross_entropy` goes through a batch in chunks.

    Attributes:
        allow_retain_graph: Accepted; a graph may always be retained here.
        batch_chunk_size: How many rows of scores exist at a time.
        chunking_method: "aspect_ratio", or "aspect_ratio:N" for N times smaller chunks, makes the
            scores of a chunk as large as the input; "auto" chooses N.
        acc_policy: Accepted; ``acc_dtype`` alone says here how precisely is computed.
        acc_dtype: What is computed in: float32 by default, float64 for a float64 input.
    Raises:
        ValueError: a value is none of these.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: dtypes.dtype | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, colon, factor = self.chunking_method.partition(":")
            if name != "aspect_ratio" or (colon and not (factor.isdigit() and int(factor))):
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype is not None and self.acc_dtype not in _ACCUMULATED:
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
                f"torch.float64}}, got {self.acc_dtype!r}. Pass acc_dtype=None to let the op pick "
                "automatically."
            )

    def _rows(self, batch: int, features: int, classes: int, halves: bool) -> int:
        """Return how many rows to take at a time."""
        method, size = self.chunking_method, self.batch_chunk_size
        if method == "auto":
            method = None if size else "aspect_ratio" if halves else "aspect_ratio:2"
        if method is None:
            return max(1, min(size or batch, batch))
        factor = int(method.partition(":")[2] or 1)
        wanted = -(-batch // -(-classes // features))
        found = min((1 << (wanted - 1).bit_length()) // factor, batch)
        if size not in (None, found):
            raise ValueError(
                f"batch_chunk_size (={size}) and chunking_method ('{method}') give different chunk "
                f"sizes ({size} vs {found}); pass only one."
            )
        return max(1, found)


def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0, options: LinearCrossEntropyOptions | None = None,
) -> Tensor:  # fmt: skip
    """Return :func:`cross_entropy` of :func:`linear`'s result.

    Args:
        input: ``(N, features)`` or ``(features,)``.
        linear_weight: ``(C, *, features)``.
        target: Classes, or probabilities of the scores' shape, ``(N, C, *)``.
        linear_bias: ``(C, *)``.
        options: How to go through the batch in chunks, so that scores need little memory.
    Raises:
        RuntimeError: shapes that don't fit.
    """
    shape = _scores_shape(input, linear_weight, linear_bias)
    if target.shape == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    if options is not None:
        whole = shape[input.dim() :]
        if not (whole or label_smoothing or target.dtype is not dtypes.int64):
            return _chunked(
                input, linear_weight, target, linear_bias, weight, reduction, ignored, options
            )
        _warn_ignored(reduction, label_smoothing, target, whole, linear_bias)
    count = math.prod(linear_weight.shape[:-1])
    flat_bias = None if linear_bias is None else linear_bias.reshape(count)
    scores = linear(input, linear_weight.reshape(count, -1), flat_bias)
    return cross_entropy(
        scores.reshape(shape), target, weight, reduction=reduction, ignore_index=ignored,
        label_smoothing=label_smoothing,
    )  # fmt: skip


def _scores_shape(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> tuple:
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    *batch, features = input.shape
    *scores, given = linear_weight.shape
    if features != given:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {features} and {given}, respectively"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != tuple(scores):
        raise RuntimeError(
            f"expected linear_bias shape {tuple(scores)}, got {tuple(linear_bias.shape)}"
        )
    if len(scores) > 1 and not batch:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {features}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    return (*batch, *scores)


def _warn_ignored(reduction, label_smoothing, target: Tensor, whole: tuple, bias) -> None:
    shape = None if bias is None else tuple(bias.shape)
    warnings.warn(
        "linear_cross_entropy: ``options`` ignored; chunked path needs reduction in "
        "{'mean','sum','none'}, label_smoothing == 0, target.dtype == int64, out_features == (). "
        f"Got reduction={reduction!r}, label_smoothing={label_smoothing}, "
        f"target.dtype={target.dtype}, out_features={whole}, tracing=False, "
        f"linear_bias.shape={shape}.",
        stacklevel=3,
    )


def _chunked(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias, weight, reduction: str,
    ignore_index: int, options: LinearCrossEntropyOptions,
) -> Tensor:  # fmt: skip
    if input.dim() == 1:
        found = _chunked(
            input.unsqueeze(0), linear_weight, target.unsqueeze(0), linear_bias, weight, reduction,
            ignore_index, options,
        )  # fmt: skip
        return found.squeeze(0)
    classes, features = linear_weight.shape
    halves = input.dtype.itemsize == 2
    wide = options.acc_dtype or (dtypes.float32 if halves else input.dtype)
    rows = options._rows(input.shape[0], features, classes, halves)
    found = aten.linear_cross_entropy(
        input, linear_weight, target, linear_bias, weight, reduction, ignore_index, rows, wide
    )
    check_classes(target, classes, ignore_index)
    return found
