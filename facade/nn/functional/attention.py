"""Attention."""

from facade import aten, functions
from facade.nn.functional.dropout import dropout
from facade.tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return the values ``(*, S, Ev)``, weighted for each query ``(*, L, E)`` by its keys.

    Args:
        attn_mask: True where a query sees a key, or a number added to the score.
        dropout_p: With what probability a weight is dropped.
        is_causal: Whether query ``i`` sees keys up to ``i`` only.
        scale: What scores are multiplied by; ``1 / sqrt(E)`` if None.
        enable_gqa: Whether the key has fewer heads, each for a group of query heads.
    """
    if dropout_p == 0.0:
        return aten.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal, scale, enable_gqa
        )
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")
    weights = aten.attention_weights(query, key, value, attn_mask, is_causal, scale, enable_gqa)
    if enable_gqa:
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    return functions.matmul(dropout(weights, dropout_p), value)
