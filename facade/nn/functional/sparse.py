"""Look-up tables."""

from facade import aten
from facade.autograd.grad_mode import no_grad
from facade.errors import bad_argument
from facade.functions import arange, zeros
from facade.functions.indexing import check_range, check_within, exactly_at_hand
from facade.tensor import Tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of ``weight`` at ``input``.

    Args:
        padding_idx: A row that gets no gradient.
        max_norm: Rows that are read and have a larger norm are first scaled down to it.
        scale_grad_by_freq: Whether a row's gradient is divided by how often it was read.
        sparse: Ignored; the gradient is always dense.
    Raises:
        IndexError: there is no such row.
    """
    if not isinstance(input, Tensor):
        raise bad_argument("embedding", "indices", 2, "Tensor", input)
    padding = _padding(padding_idx, weight)
    if max_norm is not None:
        renormalize(weight, input, max_norm, norm_type)
    if not input.is_floating_point() and weight.ndim:
        check_range(input, weight.shape[0], 0, least=0, text="index out of range in self")
    return aten.embedding(weight, input, padding, scale_grad_by_freq)


def _padding(padding_idx: int | None, weight: Tensor) -> int:
    """Return the padding row counted from the front, -1 for none."""
    if padding_idx is None:
        return -1
    rows = weight.size(0)
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % rows


@no_grad()
def renormalize(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    norms = weight.norm(norm_type, 1, keepdim=True)
    read = zeros(weight.size(0), 1, device=weight.device).index_fill_(0, input.reshape(-1), 1)
    too_long = (read > 0) & (norms > max_norm)
    weight.mul_((max_norm / (norms + 1e-7)).where(too_long, norms.new_ones(())))


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return the sum, mean or maximum of the rows of each bag.

    Args:
        input: ``(bags, length)``, or ``(total,)`` with the bags' starts in ``offsets``.
        per_sample_weights: A factor for each row; for ``mode="sum"``.
        include_last_offset: Whether the last offset is the end of the last bag.
    """
    # older programs gave the weight first
    if weight.dtype.name == "int64" and input.is_floating_point():
        input, weight = weight, input
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.size()}) is not None, "
            f"then it must have the same shape as the input ({input.size()})"
        )
    input, offsets, per_sample_weights = _bags(input, offsets, per_sample_weights)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    if include_last_offset:
        offsets = offsets[:-1]
    _check_bags(input, offsets, weight)
    if max_norm is not None:
        renormalize(weight, input, max_norm, norm_type)
    padding = _padding(padding_idx, weight)
    return aten.embedding_bag(
        weight, input, offsets, mode, per_sample_weights, padding, scale_grad_by_freq
    )


def _bags(
    input: Tensor, offsets: Tensor | None, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return flat indices, where the bags start, and flat weights."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        rows, length = input.shape
        starts = arange(rows, device=input.device) * length
        flat = None if weights is None else weights.reshape(-1)
        return input.reshape(-1), starts, flat
    if input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    return input, offsets, weights


def _check_bags(input: Tensor, offsets: Tensor, weight: Tensor) -> None:
    starts = exactly_at_hand(offsets)
    if starts is not None and starts.size:
        if starts.flat[0] != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
                f"from position 0. However, got {starts.flat[0]}"
            )
        if starts.flat[-1] > input.numel():
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {input.numel()} but got "
                f"offsets[-1] of {starts.flat[-1]}"
            )
    rows = weight.size(0)
    check_within(input, 0, rows - 1, lambda place, value: RuntimeError(
        f"Index {place} of input takes value {value} which is not in the valid range [0, {rows})"
    ))  # fmt: skip


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Return rows of zeros with a 1 at each class.

    Args:
        num_classes: The length of a row; -1 finds it from the values.
    """
    if tensor.dtype.name != "int64":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if num_classes == -1:
        if not tensor.numel():
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor._host().max()) + 1
    check_within(tensor, 0, num_classes - 1, _no_class)
    return aten.one_hot(tensor, num_classes)


def _no_class(place: int, value: int) -> RuntimeError:
    relation = "non-negative" if value < 0 else "smaller than num_classes"
    return RuntimeError(f"Class values must be {relation}.")
