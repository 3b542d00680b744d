"""The cross entropy of a linear map's results, of which few exist at a time."""

import jax
import jax.numpy as jnp
from jax import lax

from facade.avals import aval
from facade.dtypes import dtype
from facade.ops.linalg import product
from facade.ops.loss import check_cross_entropy, log_probability, nll
from facade.ops.registry import Raw, op


def _check(input, linear_weight, target, linear_bias, weight, reduction, ignore_index, **_):
    scores = aval((input.shape[0], linear_weight.shape[0]), input.dtype)
    check_cross_entropy(scores, target, weight, reduction, ignore_index)


def _name(reduction) -> str:
    kind = "_no_reduction" if reduction == "none" else ""
    name = f"linear_cross_entropy_batch_chunked{kind}"
    return f"GeneratedBackwardFor_torch_nn__{name}_defaultBackward"


@op(public="", check=_check, grad_name=_name)
def linear_cross_entropy(
    input: Raw, linear_weight: Raw, target: Raw, linear_bias: Raw | None, weight: Raw | None,
    reduction: str, ignore_index: int, rows: int, wide: dtype,
) -> jax.Array:  # fmt: skip
    """Return the cross entropy of ``input @ linear_weight.T + linear_bias``.

    Args:
        input: ``(N, features)``.
        linear_weight, linear_bias: ``(C, features)`` and ``(C,)``.
        target: ``(N,)``.
        rows: How many rows of results are made at a time, and again for their gradient.
        wide: The dtype to compute in.
    """
    matrix = linear_weight.astype(wide.numpy).T
    bias, weight = (None if a is None else a.astype(wide.numpy) for a in (linear_bias, weight))

    @jax.checkpoint
    def logs(piece):
        x, classes = piece
        scores = product(x.astype(wide.numpy), matrix)
        return log_probability(scores if bias is None else scores + bias, classes)

    count = input.shape[0]
    more = -count % rows
    kept = jnp.where(target == ignore_index, 0, target)
    padded = (jnp.pad(input, ((0, more), (0, 0))), jnp.pad(kept, (0, more)))
    found = lax.map(logs, tuple(a.reshape(-1, rows, *a.shape[1:]) for a in padded))
    loss = nll(found.reshape(-1)[:count], target, weight, reduction, ignore_index, target.shape)
    return loss.astype(input.dtype)
