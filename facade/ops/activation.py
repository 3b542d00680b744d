"""Activation functions: softmax and the many shapes of a neuron's response."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy import special

from facade.dtypes import SCALAR_NAMES, dtype, finfo
from facade.errors import wrap_dim
from facade.ops.declare import kernel, refuse, refuse_dtype
from facade.ops.registry import Array, Promote, Raw, Scalar, backward_name, op


def _wide(x):
    """Return small floats in float32, in which PyTorch computes them."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def _floating(name: str):
    error = kernel(name)

    def check(input, **_):
        refuse_dtype(input.dtype, {"bool": error, "integer": error, "complex": error})

    return check


def _declare(name: str, function, doc: str, kernel_name: str = "", **traits) -> None:
    """Declare ``function`` of each element, computed in float32 or wider."""

    def call(input: Array):
        return function(_wide(input)).astype(input.dtype)

    call.__doc__ = doc
    check = _floating(kernel_name or f"{name}_cpu")
    op(call, **{"name": name, "public": "", "promotes": Promote.SAME, "check": check} | traits)


# ---- softmax ----


def check_softmax(name: str):
    """Return the check of a softmax called ``name``: floating dtypes only."""

    def check(input, dim, dtype):
        last = wrap_dim(dim, input.ndim) == max(input.ndim, 1) - 1
        error = kernel(f"{name}_lastdim_kernel_impl" if last else f"{name}_kernel_impl")
        refuse_dtype(dtype or input.dtype, {"bool": error, "integer": error, "complex": error})

    return check


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _softmax(x, dim):
    exps = jnp.exp(x - jnp.max(x, dim, keepdims=True, initial=-jnp.inf))
    return exps / jnp.sum(exps, dim, keepdims=True)


@_softmax.defjvp
def _softmax_jvp(dim, primals, tangents):
    y = _softmax(*primals, dim)
    (dx,) = tangents
    return y, y * (dx - jnp.sum(y * dx, dim, keepdims=True))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _log_softmax(x, dim):
    shifted = x - jnp.max(x, dim, keepdims=True, initial=-jnp.inf)
    return shifted - jnp.log(jnp.sum(jnp.exp(shifted), dim, keepdims=True))


@_log_softmax.defjvp
def _log_softmax_jvp(dim, primals, tangents):
    # the exponentials are kept: making them again takes longer than reading them
    (x,), (dx,) = primals, tangents
    most = jnp.max(x, dim, keepdims=True, initial=-jnp.inf)
    # the choice changes no value, but keeps XLA from storing the differences by themselves
    shifted = x - jnp.where(most != most, jnp.nan, most)
    exps = jnp.exp(shifted)
    total = jnp.sum(exps, dim, keepdims=True)
    return shifted - jnp.log(total), dx - jnp.sum(exps / total * dx, dim, keepdims=True)


def _along(function, x, dim: int, to: dtype | None):
    x = x if to is None else x.astype(to.numpy)
    whole = _wide(x).reshape(x.shape or (1,))
    return function(whole, wrap_dim(dim, x.ndim)).reshape(x.shape).astype(x.dtype)


@op(check=check_softmax("softmax"), out=True)
def softmax(input: Raw, dim: int, dtype: dtype | None = None) -> jax.Array:
    """Return exponentials along ``dim``, scaled so that they sum to 1."""
    return _along(_softmax, input, dim, dtype)


@op(check=check_softmax("log_softmax"), out=True)
def log_softmax(input: Raw, dim: int, dtype: dtype | None = None) -> jax.Array:
    """Return the logarithm of the softmax along ``dim``."""
    return _along(_log_softmax, input, dim, dtype)


def _check_softmax_backward(name: str):
    check = check_softmax(name)

    def checked(grad_output, output, dim, input_dtype):
        check(grad_output, dim, None)

    return checked


@op(
    name="_softmax_backward_data", public="function",
    check=_check_softmax_backward("softmax"), grad_name="SoftmaxBackwardDataBackward0",
)  # fmt: skip
def softmax_backward(grad_output: Raw, output: Raw, dim: int, input_dtype: dtype) -> jax.Array:
    """Return the gradient at the input of the softmax that gave ``output``."""
    y, dy = _wide(output), _wide(grad_output)
    dx = y * (dy - jnp.sum(y * dy, wrap_dim(dim, y.ndim), keepdims=True))
    return dx.astype(input_dtype.numpy)


@op(
    name="_log_softmax_backward_data", public="function",
    check=_check_softmax_backward("log_softmax"), grad_name="LogSoftmaxBackwardDataBackward0",
)  # fmt: skip
def log_softmax_backward(grad_output: Raw, output: Raw, dim: int, input_dtype: dtype) -> jax.Array:
    """Return the gradient at the input of the log-softmax that gave ``output``."""
    y, dy = _wide(output), _wide(grad_output)
    dx = dy - jnp.exp(y) * jnp.sum(dy, wrap_dim(dim, y.ndim), keepdims=True)
    return dx.astype(input_dtype.numpy)


# ---- functions of one number ----


@jax.custom_jvp
def _gelu(x):
    return x * _normal_below(x)


@_gelu.defjvp
def _gelu_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    below = _normal_below(x)
    density = jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return x * below, dx * (below + x * density)


def _normal_below(x):
    """Return the probability that a standard normal number is less than ``x``."""
    return 0.5 * (1 + special.erf(x * math.sqrt(0.5)))


def _gelu_tanh(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1 + jnp.tanh(inner))


def _log_sigmoid(x):
    small = jnp.where(x < 0, x, 0)
    return small - jnp.log1p(jnp.exp(-jnp.where(x < 0, -x, x)))


def _mish(x):
    return x * jnp.tanh(jnp.where(x > 20, x, jnp.log1p(jnp.exp(jnp.where(x > 20, 0, x)))))


def _hardswish(x):
    return jnp.where(x <= -3, 0, jnp.where(x < 3, x * (x / 6 + 0.5), x))


_declare(
    "silu", lambda x: x * jax.lax.logistic(x), "Return ``x * sigmoid(x)``.",
    check=refuse(bool=kernel("silu_cpu"), integer=kernel("silu_cpu")),
)  # fmt: skip
_declare("mish", _mish, "Return ``x * tanh(softplus(x))``.")
_declare("log_sigmoid", _log_sigmoid, "Return ``log(sigmoid(x))``.")
_declare(
    "hardsigmoid", lambda x: jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, x / 6 + 0.5)),
    "Return the sigmoid's chords: 0 below -3, 1 above 3, a line between.",
)  # fmt: skip
_declare("hardswish", _hardswish, "Return ``x * hardsigmoid(x)``.")


def _check_gelu(input, approximate):
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    _floating("GeluKernelImpl")(input=input)


@op(public="", promotes=Promote.SAME, check=_check_gelu)
def gelu(input: Array, approximate: str = "none"):
    """Return ``x`` times the normal distribution's function at ``x``."""
    function = _gelu if approximate == "none" else _gelu_tanh
    return function(_wide(input)).astype(input.dtype)


# ---- functions with parameters ----


def _cast(x, *numbers):
    return (_wide(x), *(n.astype(_wide(x).dtype) for n in numbers))


def _exponential_below(x, alpha, scale, rate):
    """Return ``scale * x`` above 0 and ``scale * alpha * (exp(rate * x) - 1)`` from there down."""
    below = jnp.where(x > 0, 0, x)
    return scale * jnp.where(x > 0, x, alpha * jnp.expm1(rate * below))


def _elu(input: Raw, alpha: Scalar, scale: Scalar, input_scale: Scalar):
    """Return ``x`` above 0 and ``alpha * (exp(x) - 1)`` below, scaled."""
    x, alpha, scale, rate = _cast(input, alpha, scale, input_scale)
    return _exponential_below(x, alpha, scale, rate).astype(input.dtype)


def _celu(input: Raw, alpha: Scalar):
    """Return ``x`` above 0 and ``alpha * (exp(x / alpha) - 1)`` below."""
    x, alpha = _cast(input, alpha)
    return _exponential_below(x, alpha, 1, 1 / alpha).astype(input.dtype)


def _leaky_relu(input: Raw, negative_slope: Scalar):
    """Return ``x`` above 0 and ``negative_slope * x`` below."""
    x, slope = _cast(input, negative_slope)
    return jnp.where(x > 0, x, x * slope).astype(input.dtype)


def _threshold(input: Raw, threshold: Scalar, value: Scalar):
    """Return ``x`` above the threshold and ``value`` from there down."""
    threshold, value = (n.astype(input.dtype) for n in (threshold, value))
    return jnp.where(input <= threshold, value, input)


def _check_threshold(input, **_):
    refuse_dtype(input.dtype, {"bool": kernel("threshold_cpu")})


# PyTorch tells the in-place forms from the others in the name of grad_fn
for _name, _function, _check in (
    ("elu", _elu, _floating("elu_cpu")),
    ("celu", _celu, _floating("elu_cpu")),
    ("leaky_relu", _leaky_relu, _floating("leaky_relu_cpu")),
    ("threshold", _threshold, _check_threshold),
):
    op(_function, name=_name, public="", check=_check)
    op(_function, name=f"{_name}_", public="", check=_check, grad_name=backward_name(_name, 1))


def _check_hardtanh(input, min_val, max_val):
    refuse_dtype(input.dtype, {"bool": (RuntimeError, "Bool inputs not supported for hardtanh")})


@op(public="", check=_check_hardtanh)
def hardtanh(input: Raw, min_val: Scalar, max_val: Scalar):
    """Return ``x`` moved into the range; the gradient is 0 at its ends."""
    low, high = min_val.astype(input.dtype), max_val.astype(input.dtype)
    return jnp.where(input <= low, low, jnp.where(input >= high, high, input))


@op(check=_floating("hardshrink_cpu"))
def hardshrink(input: Raw, lambd: Scalar = 0.5):
    """Return 0 within ``lambd`` of 0 and ``x`` elsewhere."""
    bound = lambd.astype(input.dtype)
    return jnp.where((input >= -bound) & (input <= bound), 0, input)


def _check_softshrink(input, lambd):
    _floating("softshrink_check")(input=input)
    if lambd < 0:
        most = finfo(input.dtype).max
        raise RuntimeError(
            f"lambda must be in range [0, {most:g}] for input dtype {SCALAR_NAMES[input.dtype]}, "
            f"but found {lambd:g}"
        )


@op(public="", check=_check_softshrink)
def softshrink(input: Raw, lambd: float = 0.5):
    """Move ``x`` towards 0 by ``lambd``, and no further."""
    outside = jnp.where(input < -lambd, input + lambd, 0)
    return jnp.where(input > lambd, input - lambd, outside)


def _check_glu(input, dim):
    if not input.ndim:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    wrapped = wrap_dim(dim, input.ndim)
    if input.shape[wrapped] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {wrapped} is size "
            f"{input.shape[wrapped]}"
        )
    _floating("glu_cpu")(input=input)


@op(public="", check=_check_glu)
def glu(input: Raw, dim: int = -1):
    """Return the first half along ``dim`` times the sigmoid of the second."""
    first, second = jnp.split(_wide(input), 2, dim)
    return (first * jax.lax.logistic(second)).astype(input.dtype)


def _check_prelu(input, weight):
    if input.dtype is not weight.dtype:
        names = " and ".join(SCALAR_NAMES[a.dtype] for a in (input, weight))
        raise RuntimeError(f"prelu: Type promoting not supported. Got {names}")
    if weight.numel != 1:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.numel != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel} and channel size = {channels}."
            )
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    _floating("prelu_cpu")(input=input)


@op(check=_check_prelu, grad_name="PreluKernelBackward0")
def prelu(input: Raw, weight: Raw):
    """Return ``x`` above 0 and ``weight * x`` below; one weight, or one for each channel."""
    if weight.size > 1:
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    else:
        weight = weight.reshape(())
    return jnp.where(input > 0, input, weight * input)


@op(public="", check=_floating("leaky_relu_cpu"), grad_name="RreluWithNoiseBackward0")
def rrelu(input: Raw, noise: Raw):
    """Return ``x`` above 0 and ``noise * x`` below."""
    return jnp.where(input > 0, input, input * noise.astype(input.dtype))


# ---- dropout ----


@op(public="", grad_name="NativeDropoutBackward0")
def native_dropout(input: Raw, mask: Raw, scale: Scalar):
    """Return ``input`` times ``scale`` where ``mask`` is, and 0 elsewhere."""
    return input * mask * scale.astype(input.dtype)
