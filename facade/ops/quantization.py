"""Whole numbers that stand for floating ones: ``(code - zero_point) * scale``.

``scale`` and ``zero_point`` are numbers, or arrays that broadcast to the input.
"""

import jax
import jax.numpy as jnp

from facade.dtypes import SCALAR_NAMES, dtype, float16, float32, float64
from facade.ops.registry import Array, Raw, op


def _steps(input, scale):
    return input * (1 / scale).astype(input.dtype)


@op(public="", differentiable=False)
def quantize(
    input: Raw, scale: Array, zero_point: Array, low: int, high: int, kind: dtype
) -> jax.Array:
    """Return the codes nearest to the input, as whole numbers from ``low`` to ``high``."""
    codes = jnp.round(_steps(input, scale) + zero_point)  # half to even
    # float32 has not the largest 32-bit number
    return jnp.clip(codes.astype(jnp.float64), low, high).astype(kind.numpy)


@op(public="", differentiable=False)
def dequantize(codes: Raw, scale: Array, zero_point: Array) -> jax.Array:
    """Return what the codes stand for."""
    return ((codes - zero_point) * scale).astype(jnp.float32)


def _check_fake(input, scale, zero_point, quant_min: int, quant_max: int, name: str) -> None:
    if input.dtype not in (float16, float32, float64):
        raise NotImplementedError(
            '"fake_quantize_tensor_cachemask_kernel_type_handling" not implemented for '
            f"'{SCALAR_NAMES[input.dtype]}'"
        )


@op(public="", check=_check_fake, grad_name=lambda name: name)
def fake_quantize(
    input: Raw, scale: Array, zero_point: Array, quant_min: int, quant_max: int, name: str
) -> jax.Array:
    """Quantize and dequantize; the gradient is that of the identity where no code was cut."""
    codes = jnp.round(_steps(input, scale)) + zero_point  # unlike `quantize`, as in PyTorch
    inside = (codes >= quant_min) & (codes <= quant_max)
    steps = (jnp.clip(codes, quant_min, quant_max) - zero_point).astype(jnp.float32)
    rounded = steps * scale.astype(jnp.float32)
    return _passed_through(input, rounded.astype(input.dtype), inside)


@jax.custom_jvp
def _passed_through(x, result, inside):
    """Return ``result`` with the derivative of ``x`` where that is ``inside``."""
    return result


@_passed_through.defjvp
def _passed_through_jvp(primals, tangents):
    _, result, inside = primals
    return result, jnp.where(inside, tangents[0], 0)
