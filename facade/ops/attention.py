"""Scaled dot-product attention."""

import functools
import math

import jax
import jax.numpy as jnp

from facade.devices import available
from facade.dtypes import C_NAMES, bool_, float32
from facade.errors import broadcast_shapes
from facade.ops.linalg import check_batch_sizes, matmul_precision
from facade.ops.registry import Raw, op


def _check(query, key, value, attn_mask, is_causal, scale, enable_gqa):
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got "
            f"query.dim: {query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got "
            f"query.dtype: {C_NAMES[query.dtype]} key.dtype: {C_NAMES[key.dtype]} and "
            f"value.dtype: {C_NAMES[value.dtype]} instead."
        )
    if attn_mask is not None and attn_mask.dtype not in (bool_, float32, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {C_NAMES[attn_mask.dtype]} and  "
            f"query.dtype: {C_NAMES[query.dtype]} instead."
        )
    if not query.dtype.is_floating_point:
        raise RuntimeError("expected scalar type Float but found Long")
    heads = (query.shape[-3:-2], key.shape[-3:-2])
    if enable_gqa and heads[0] != heads[1] and heads[0][0] % heads[1][0]:
        raise RuntimeError("Number of heads in key and value must divide the number of heads in ")
    _check_sizes(query, key, value, attn_mask, enable_gqa)


def _check_sizes(query, key, value, attn_mask, enable_gqa) -> None:
    if not enable_gqa:
        broadcast_shapes(query.shape[:-2], key.shape[:-2])
    rows = math.prod(query.shape[:-2])
    check_batch_sizes((rows, query.shape[-1]), (rows, key.shape[-1]))
    check_batch_sizes((rows, key.shape[-2]), (rows, value.shape[-2]))
    if attn_mask is not None:
        scores = (*query.shape[:-1], key.shape[-2])
        broadcast_shapes(scores, attn_mask.shape)


def _name(query, key, value, attn_mask) -> str:
    """Return the name of PyTorch's fused kernel, or of the last of the ops in its place."""
    fused = (
        query.ndim == key.ndim == value.ndim == 4
        and query.shape[:1] == key.shape[:1]
        and query.shape[-1] == value.shape[-1]
    )
    if fused:
        return "ScaledDotProductFlashAttentionForCpuBackward0"
    return "MmBackward0" if query.ndim == 2 else "UnsafeViewBackward0"


def _weights(query, key, attn_mask, is_causal: bool, scale: float | None):
    """Return the softmax of the scores; a row with nothing to see is zeros."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    # the root on both sides keeps numbers in range; sums of small floats are wide, and exact
    small = query.dtype.itemsize < 4
    root = 1.0 if small else math.sqrt(abs(scale))
    scores = jnp.einsum(
        "...qd,...kd->...qk", query * root, key * (root if small else math.copysign(root, scale)),
        precision=matmul_precision(query.dtype), preferred_element_type=_wide(query.dtype),
    )  # fmt: skip
    scores = scores * scale if small else scores
    seen = None
    if is_causal:
        seen = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    if attn_mask is not None and attn_mask.dtype == bool:
        seen = attn_mask if seen is None else seen & attn_mask
    elif attn_mask is not None:
        scores = scores + attn_mask.astype(scores.dtype)
    if seen is not None:
        scores = jnp.where(seen, scores, -jnp.inf)
    most = jax.lax.stop_gradient(jnp.max(scores, -1, keepdims=True, initial=-jnp.inf))
    exps = jnp.exp(scores - jnp.where(most == -jnp.inf, 0, most))
    total = jnp.sum(exps, -1, keepdims=True)
    return (exps / jnp.where(total == 0, 1, total)).astype(query.dtype)


def _wide(dtype):
    return jnp.float32 if dtype.itemsize < 4 else dtype


def _repeat_heads(query, key, value, enable_gqa: bool):
    """Give each group of query heads its own copy of the key's and the value's head."""
    if not enable_gqa or query.ndim < 3:
        return key, value
    times = query.shape[-3] // key.shape[-3]
    return jnp.repeat(key, times, -3), jnp.repeat(value, times, -3)


@op(public="", check=_check, grad_name=_name)
def scaled_dot_product_attention(
    query: Raw, key: Raw, value: Raw, attn_mask: Raw | None, is_causal: bool,
    scale: float | None, enable_gqa: bool,
) -> jax.Array:  # fmt: skip
    """Return the values ``(*, S, Ev)``, weighted for each query ``(*, L, E)`` by its keys.

    Args:
        attn_mask: True where a query sees a key, or a number added to the score.
        is_causal: Whether query ``i`` sees keys up to ``i`` only.
        scale: What scores are multiplied by; ``1 / sqrt(E)`` if None.
        enable_gqa: Whether the key has fewer heads, each for a group of query heads.
    """
    key, value = _repeat_heads(query, key, value, enable_gqa)

    def by_products(query, key, value):
        weights = _weights(query, key, attn_mask, is_causal, scale)
        return jnp.matmul(weights, value, precision=matmul_precision(value.dtype))

    if attn_mask is not None or not _cudnn_takes(query, key, value, is_causal):
        return by_products(query, key, value)

    def by_cudnn(query, key, value):
        by_position = (x.swapaxes(1, 2) for x in (query, key, value))
        result = jax.nn.dot_product_attention(
            *by_position, scale=scale, is_causal=is_causal, implementation="cudnn"
        )
        return result.swapaxes(1, 2)

    return jax.lax.platform_dependent(query, key, value, cuda=by_cudnn, default=by_products)


@functools.cache
def _has_cudnn() -> bool:
    """Return whether the first GPU, if any, is one that cuDNN's flash attention is for."""
    if not available("cuda"):
        return False
    capability = getattr(jax.devices("cuda")[0], "compute_capability", "0")
    return float(capability) >= 8


def _cudnn_takes(query, key, value, is_causal: bool) -> bool:
    """Return whether cuDNN's flash attention is for these ``(N, H, L or S, E)``."""
    sizes = query.shape[-1], value.shape[-1]
    return (
        query.dtype in (jnp.bfloat16, jnp.float16)
        and query.ndim == key.ndim == value.ndim == 4
        and query.shape[:2] == key.shape[:2] == value.shape[:2]
        and 0 not in (*query.shape, *key.shape)
        and sizes[0] == sizes[1] <= 128
        and sizes[0] % 8 == 0
        and query.shape[-2] % 2 == key.shape[-2] % 2 == 0  # JAX refuses others
        and not (is_causal and query.shape[-2] != key.shape[-2])
        and _has_cudnn()
    )


@op(public="", check=_check, grad_name="SafeSoftmaxBackward0")
def attention_weights(
    query: Raw, key: Raw, value: Raw, attn_mask: Raw | None, is_causal: bool,
    scale: float | None, enable_gqa: bool,
) -> jax.Array:  # fmt: skip
    """Return the weights of :func:`scaled_dot_product_attention`, which dropout goes on."""
    key, _ = _repeat_heads(query, key, value, enable_gqa)
    return _weights(query, key, attn_mask, is_causal, scale)
