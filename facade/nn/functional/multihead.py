"""Multi-head attention: projections, masks and heads around scaled dot-product attention."""

import math
import warnings

from facade import functions
from facade.dtypes import bool_
from facade.nn.functional.activation import softmax
from facade.nn.functional.attention import scaled_dot_product_attention
from facade.nn.functional.convolution import linear
from facade.nn.functional.dropout import dropout
from facade.nn.functional.vision import pad
from facade.tensor import Tensor


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise AssertionError(text)


# ---- errors ----


def _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads: int) -> bool:
    """Return whether the inputs have a batch dimension; they must agree on it."""
    dims = query.dim()
    _require(
        dims in (2, 3),
        f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor",
    )
    kind = "batched (3-D)" if dims == 3 else "unbatched (2-D)"
    _require(
        key.dim() == value.dim() == dims,
        f"For {kind} `query`, expected `key` and `value` to be {dims}-D"
        f" but found {key.dim()}-D and {value.dim()}-D tensors respectively",
    )
    if key_padding_mask is not None:
        _require(
            key_padding_mask.dim() == dims - 1,
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D"
            f" but found {key_padding_mask.dim()}-D tensor instead",
        )
    if attn_mask is not None:
        _require(
            attn_mask.dim() in (2, 3),
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D"
            f" but found {attn_mask.dim()}-D tensor instead",
        )
        expected = (num_heads, query.shape[0], key.shape[0])
        _require(
            dims == 3 or attn_mask.dim() == 2 or attn_mask.shape == expected,
            f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}",
        )
    return dims == 3


def _check_sizes(query, key, value, expected: int, num_heads: int, separate: bool) -> None:
    embed_dim = query.shape[-1]
    _require(
        embed_dim == expected,
        f"was expecting embedding dimension of {expected}, but got {embed_dim}",
    )
    _require(
        embed_dim % num_heads == 0, f"embed_dim {embed_dim} not divisible by num_heads {num_heads}"
    )
    if separate:
        _require(
            key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}",
        )
    else:
        _require(
            key.shape == value.shape,
            f"key shape {key.shape} does not match value shape {value.shape}",
        )


# ---- masks: numbers that are added to the scores ----


def additive_mask(
    mask: Tensor | None, name: str, dtype, other: Tensor | None = None, other_name: str = ""
) -> Tensor | None:
    """Return a mask in which True has become -inf and False 0.

    Args:
        other: Another mask, which should have the same dtype.
    """
    if mask is None:
        return None
    known = mask.dtype is bool_ or mask.is_floating_point()
    _require(known, f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype is not mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. "
            "Use same type for both instead.",
            stacklevel=4,
        )
    if mask.is_floating_point():
        return mask
    return functions.zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)


def _check_mask_size(mask: Tensor, length: int, source: int, rows: int) -> Tensor:
    """Return the mask as ``(rows or 1, length, source)``."""
    expected = (length, source) if mask.dim() == 2 else (rows, length, source)
    if mask.shape != expected:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {expected}."
        )
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _merged(attn_mask, padding, batch: int, heads: int, source: int) -> Tensor | None:
    """Return both masks as one that broadcasts to ``(batch * heads, length, source)``."""
    if padding is None:
        return attn_mask
    for dim, size in enumerate((batch, source)):
        _require(
            padding.shape[dim] == size,
            f"Expected key_padded_mask.shape[{dim}] to be {size}, but got {padding.shape[dim]}",
        )
    rows = padding.view(batch, 1, 1, source).expand(-1, heads, -1, -1)
    rows = rows.reshape(batch * heads, 1, source)
    return rows if attn_mask is None else attn_mask + rows


# ---- projections and heads ----


def _project(query, key, value, weights: tuple, bias: Tensor | None) -> list[Tensor]:
    """Return query, key and value by their own matrices."""
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]


def _project_packed(query, key, value, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """Return query, key and value by one matrix, in one product where they are one tensor."""
    if query is key is value:
        packed = linear(query, weight, bias).unflatten(-1, (3, -1))  # (length, batch, 3, embed)
        return list(packed.permute(2, 0, 1, 3).contiguous().unbind(0))
    return _project(query, key, value, tuple(weight.chunk(3)), bias)


def _heads(x: Tensor, rows: int, width: int) -> Tensor:
    """Return ``(length, batch, embed)`` as ``(rows, length, width)``, a row per head."""
    return x.view(x.shape[0], rows, width).transpose(0, 1)


def _given(name: str, static: Tensor, rows: int, width: int) -> Tensor:
    for dim, size in ((0, rows), (2, width)):
        _require(
            static.size(dim) == size,
            f"expecting {name}.size({dim}) of {size}, but got {static.size(dim)}",
        )
    return static


def _widened(mask: Tensor | None) -> Tensor | None:
    """Return the mask with one more key, which everyone sees."""
    return None if mask is None else pad(mask, (0, 1))


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attend from ``query (L, N, E)`` to ``key`` and ``value (S, N, E)`` in several heads.

    Args:
        key_padding_mask: ``(N, S)``, True (or -inf) where a key counts for nothing.
        attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``, True (or -inf) where not to look.
        is_causal: A hint that ``attn_mask`` is the causal mask.
        need_weights: Whether the weights are wanted, ``(N, L, S)``, or per head.
    Returns:
        ``(L, N, E)`` and the weights or None.
    """
    batched = _check_dims(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same = query is key is value
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key, value = (query, query) if same else (key, value)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. "
            "You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    padding = additive_mask(
        key_padding_mask, "key_padding_mask", query.dtype, attn_mask, "attn_mask"
    )
    if is_causal and padding is None and not need_weights:
        attn_mask = None  # the hint says it all
    else:
        attn_mask = additive_mask(attn_mask, "attn_mask", query.dtype)
        is_causal = is_causal and padding is None
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    length, batch, embed_dim = query.shape
    rows, width = batch * num_heads, embed_dim // num_heads

    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        for name, weight in zip("qkv", weights, strict=True):
            text = f"use_separate_proj_weight is True but {name}_proj_weight is None"
            _require(weight is not None, text)
        q, k, v = _project(query, key, value, weights, in_proj_bias)
    else:
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        q, k, v = _project_packed(query, key, value, in_proj_weight, in_proj_bias)
    if attn_mask is not None:
        attn_mask = _check_mask_size(attn_mask, length, key.shape[0], rows)

    if bias_k is not None and bias_v is not None:
        _require(static_k is None, "bias cannot be added to static key.")
        _require(static_v is None, "bias cannot be added to static value.")
        k = functions.cat([k, bias_k.repeat(1, batch, 1)])
        v = functions.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, padding = _widened(attn_mask), _widened(padding)
    else:
        _require(bias_k is None, "bias_k is set but bias_v is None")
        _require(bias_v is None, "bias_v is set but bias_k is None")
    q = _heads(q, rows, width)
    k = _heads(k, rows, width) if static_k is None else _given("static_k", static_k, rows, width)
    v = _heads(v, rows, width) if static_v is None else _given("static_v", static_v, rows, width)
    if add_zero_attn:
        k, v = (functions.cat([x, x.new_zeros(rows, 1, width)], 1) for x in (k, v))
        attn_mask, padding = _widened(attn_mask), _widened(padding)
    mask = _merged(attn_mask, padding, batch, num_heads, k.size(1))
    drop = dropout_p if training else 0.0

    if need_weights:
        found, attention = _explicit(q, k, v, mask, drop)
        found = found.transpose(0, 1).reshape(length * batch, embed_dim)
        attention = attention.view(batch, num_heads, length, k.size(1))
        attention = attention.mean(dim=1) if average_attn_weights else attention
    else:
        attention = None
        q, k, v = (x.view(batch, num_heads, x.size(1), width) for x in (q, k, v))
        mask = _per_head(mask, batch, num_heads)
        found = scaled_dot_product_attention(q, k, v, mask, drop, is_causal)
        found = found.permute(2, 0, 1, 3).reshape(batch * length, embed_dim)
    found = linear(found, out_proj_weight, out_proj_bias).view(length, batch, -1)
    if batched:
        return found, attention
    return found.squeeze(1), None if attention is None else attention.squeeze(0)


def _per_head(mask: Tensor | None, batch: int, heads: int) -> Tensor | None:
    """Return the mask in four dimensions, as :func:`scaled_dot_product_attention` takes it."""
    if mask is None:
        return None
    if mask.size(0) == 1:
        return mask.unsqueeze(0)
    return mask.view(batch, heads, -1, mask.size(-1))


def _explicit(q, k, v, mask: Tensor | None, drop: float) -> tuple[Tensor, Tensor]:
    """Return the weighted values and the weights, a row per head."""
    scaled, turned = q * math.sqrt(1.0 / q.shape[-1]), k.transpose(-2, -1)
    if mask is None:
        scores = functions.bmm(scaled, turned)
    else:
        scores = functions.baddbmm(mask, scaled, turned)
    attention = softmax(scores, dim=-1)
    if drop > 0.0:
        attention = dropout(attention, drop)
    return functions.bmm(attention, v), attention
