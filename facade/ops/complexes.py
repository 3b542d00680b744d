"""Complex numbers: put together, taken apart."""

import jax
import jax.numpy as jnp

from facade.avals import Aval
from facade.dtypes import SCALAR_NAMES, float16, float32, float64
from facade.ops.declare import refuse
from facade.ops.registry import Array, Promote, op


def _check_parts(name: str, first: str, second: str):
    def check(**parts) -> None:
        refuse(name)(**parts)
        a, b = parts[first], parts[second]
        if not {a.dtype, b.dtype} <= {float16, float32, float64}:
            raise RuntimeError(
                "Expected both inputs to be Half, Float or Double tensors but got "
                f"{SCALAR_NAMES[a.dtype]} and {SCALAR_NAMES[b.dtype]}"
            )
        if a.dtype is not b.dtype:
            raise RuntimeError(
                f"Expected object of scalar type {SCALAR_NAMES[a.dtype]} but got scalar type "
                f"{SCALAR_NAMES[b.dtype]} for second argument"
            )

    return check


@op(
    public="function", promotes=Promote.SAME, out=True,
    check=_check_parts("complex", "real", "imag"),
)  # fmt: skip
def complex(real: Array, imag: Array):
    """Return ``real + i imag``."""
    return jax.lax.complex(*jnp.broadcast_arrays(real, imag))


@op(
    public="function", promotes=Promote.SAME, out=True,
    check=_check_parts("polar", "abs", "angle"),
)  # fmt: skip
def polar(abs: Array, angle: Array):
    """Return the number of this size and angle."""
    return jax.lax.complex(*jnp.broadcast_arrays(abs * jnp.cos(angle), abs * jnp.sin(angle)))


@op(promotes=Promote.FLOAT, out=True, check=refuse("angle"))
def angle(input: Array):
    """Return the angle in radians; of a real number 0 or pi."""
    if jnp.iscomplexobj(input):
        return jnp.angle(input)
    turned = jnp.where(input < 0, jnp.pi, jnp.zeros_like(input))
    return jnp.where(input == input, turned, jnp.nan)


@op(public="", promotes=Promote.SAME)
def conj(input: Array):
    """Return the conjugate."""
    return jnp.conj(input)


@op(public="", promotes=Promote.SAME)
def conj_physical(input: Array):
    """Return the conjugate, computed."""
    return jnp.conj(input)


def _half(number: int):
    """Return the geometry of the real (0) or imaginary (1) parts inside complex storage."""

    def geometry(shape, strides, offset):
        return shape, tuple(2 * s for s in strides), 2 * offset + number

    return geometry


def _check_imag(input: Aval) -> None:
    if not input.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")


@op(
    public="", grad_name="SelectBackward0", geometry=_half(0),
    write=lambda base, value: jax.lax.complex(value, base.imag),
)  # fmt: skip
def real(input: Array):
    """View the real parts."""
    return input.real


@op(
    public="", grad_name="SelectBackward0", geometry=_half(1), check=_check_imag,
    write=lambda base, value: jax.lax.complex(base.real, value),
)  # fmt: skip
def imag(input: Array):
    """View the imaginary parts."""
    return input.imag
