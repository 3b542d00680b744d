"""Normalization: by the statistics of a batch, a layer, a group, an instance, or by given ones."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from facade.dtypes import dtype, finfo, float32, from_numpy
from facade.errors import wrap_dim
from facade.ops import norm_algorithms
from facade.ops.declare import kernel, refuse_dtype
from facade.ops.registry import Raw, Scalar, op


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _standardize(x, axes, eps):
    """Return ``x`` with mean 0 and variance 1 over ``axes``, the mean and the variance.

    The variance is that of the differences from the mean, which loses no digits; the second pass
    costs a sixth of a millisecond per 4 MB on a CPU.
    """
    mean = jnp.mean(x, axes, keepdims=True)
    var = jnp.mean(jnp.square(x - mean), axes, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + eps), mean, var


@_standardize.defjvp
def _standardize_jvp(axes, eps, primals, tangents):
    # written out, so that its transpose is the closed form with two sums and no more
    (dx,) = tangents
    y, mean, var = _standardize(*primals, axes, eps)
    scale = jax.lax.rsqrt(var + eps)
    dmean = jnp.mean(dx, axes, keepdims=True)
    slope = jnp.mean(y * dx, axes, keepdims=True)
    return (y, mean, var), (scale * (dx - dmean - y * slope), dmean, 2 * slope / scale)


def _wide(*arrays) -> tuple[Any, ...]:
    """Return the arrays in the precision they are computed in: float32 for the small floats."""
    return tuple(
        a.astype(jnp.float32) if a is not None and a.dtype.itemsize < 4 else a for a in arrays
    )


def _scale(y, weight, bias, shape):
    """Multiply by ``weight`` and add ``bias``, both given in ``shape``, where there are any."""
    if weight is not None:
        y = y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def _running(old, new, momentum):
    """Return the statistics after one more batch."""
    momentum = momentum.astype(old.dtype)
    return (1 - momentum) * old + momentum * jax.lax.stop_gradient(new.astype(old.dtype))


def _by_channel(ndim: int) -> tuple:
    return (1, -1, *(1,) * (ndim - 2))


# ---- errors ----


def _check_floating(name: str, input) -> None:
    error = kernel(name)
    refuse_dtype(input.dtype, {"bool": error, "integer": error, "complex": error})


def _check_parameters(input, *parameters) -> None:
    """Check that parameters have the input's dtype, or float32 next to a smaller one."""
    present = [p for p in parameters if p is not None]
    if all(p.dtype is input.dtype for p in present):
        return
    if any(p.dtype is not float32 for p in present):
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
    if input.dtype.itemsize != 2:
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _check_elements(count: int, **parameters) -> None:
    for name, value in parameters.items():
        if value is not None and value.numel != count:
            raise RuntimeError(f"{name} should contain {count} elements not {value.numel}")


def _check_batch(input, weight, bias, running_mean, running_var, training, momentum, eps):
    wrap_dim(1, input.ndim)
    if not training:
        for name, value in (("running_mean", running_mean), ("running_var", running_var)):
            if value is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    _check_elements(
        input.shape[1], running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    _check_floating("batch_norm", input)
    _check_parameters(input, weight, bias, running_mean, running_var)


def _check_instance(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps):
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    # torch counts the repetitions for each instance of the batch
    instances, channels = input.shape[:2]
    given = {"running_mean": running_mean, "running_var": running_var}
    for name, value in (given | {"weight": weight, "bias": bias}).items():
        if value is not None and value.numel != channels:
            raise RuntimeError(
                f"{name} should contain {instances * channels} elements "
                f"not {instances * value.numel}"
            )
    _check_floating("batch_norm", input)
    _check_parameters(input, weight, bias, running_mean, running_var)


def _check_normalized_shape(input, normalized_shape, star: str = "*, ") -> None:
    if not normalized_shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, but got normalized_shape = []"
        )
    if input.shape[-len(normalized_shape) :] != normalized_shape:
        shown = ", ".join(map(str, normalized_shape))
        raise RuntimeError(
            f"Given normalized_shape={list(normalized_shape)}, expected input with shape "
            f"[{star}{shown}], but got input of size{list(input.shape)}"
        )


def _check_affine(normalized_shape, **parameters) -> None:
    for name, value in parameters.items():
        if value is not None and value.shape != normalized_shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                f"shape {list(value.shape)} and normalized_shape = {list(normalized_shape)}"
            )


def _check_layer(input, normalized_shape, weight, bias, eps):
    if normalized_shape:
        _check_affine(normalized_shape, weight=weight, bias=bias)
    _check_normalized_shape(input, normalized_shape)
    _check_parameters(input, weight, bias)
    _check_floating("LayerNormKernelImpl", input)


def _check_rms(input, normalized_shape, weight, eps):
    if normalized_shape:
        _check_affine(normalized_shape, weight=weight)
    _check_normalized_shape(input, normalized_shape, "*")
    refuse_dtype(input.dtype, {"bool": kernel("rms_norm"), "integer": kernel("rms_norm")})


def _check_group(input, num_groups, weight, bias, eps):
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if input.shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != input.shape[1:2]:
            shown = list((value if weight is None else weight).shape)  # PyTorch shows this one
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in "
                f"input, but got {name} of shape {shown} and input of shape "
                f"{list(input.shape)}"
            )
    _check_parameters(input, weight, bias)
    _check_floating("GroupNormKernelImpl", input)


# ---- ops ----


def _moved(mean, var, count, running_mean, running_var, momentum):
    """Return the running statistics moved towards a batch's; the variance is the unbiased one."""
    unbiased = var * (count / max(count - 1, 1))
    return tuple(
        None if old is None else _running(old, new, momentum)
        for old, new in ((running_mean, mean), (running_var, unbiased))
    )


def _results(y, statistics) -> tuple:
    return (y, *(s for s in statistics if s is not None))


@op(public="", check=_check_batch, formats=(0,), grad_name="NativeBatchNormBackward0")
def batch_norm(
    input: Raw, weight: Raw | None, bias: Raw | None, running_mean: Raw | None,
    running_var: Raw | None, training: bool, momentum: Scalar, eps: float,
) -> tuple:  # fmt: skip
    """Normalize each channel by its batch, or by the running statistics.

    Args:
        input: ``(N, C, *)``.
        weight, bias, running_mean, running_var: ``(C,)``.
        momentum: The weight of the new statistics.
    Returns:
        The result; in training also the new running statistics, as many as are given.
    """
    x, weight, bias = _wide(input, weight, bias)
    shape = _by_channel(input.ndim)
    if training:
        axes = (0, *range(2, input.ndim))
        y, mean, var = _standardize(x, axes, eps)
        count = input.size // max(input.shape[1], 1)
        moved = _moved(
            mean.reshape(-1), var.reshape(-1), count, running_mean, running_var, momentum
        )
    else:
        mean, var = _wide(running_mean, running_var)
        y = (x - mean.reshape(shape)) * jax.lax.rsqrt(var + eps).reshape(shape)
        moved = ()
    return _results(_scale(y, weight, bias, shape).astype(input.dtype), moved)


@op(public="", check=_check_instance, grad_name="ViewBackward0")
def instance_norm(
    input: Raw, weight: Raw | None, bias: Raw | None, running_mean: Raw | None,
    running_var: Raw | None, use_input_stats: bool, momentum: Scalar, eps: float,
) -> tuple:  # fmt: skip
    """Normalize each channel of each instance by itself; arguments as :func:`batch_norm`'s."""
    x, weight, bias = _wide(input, weight, bias)
    shape = _by_channel(input.ndim)
    if use_input_stats:
        y, mean, var = _standardize(x, tuple(range(2, input.ndim)), eps)
        mean, var = (s.reshape(input.shape[:2]).mean(0) for s in (mean, var))
        count = math.prod(input.shape[2:])
        moved = _moved(mean, var, count, running_mean, running_var, momentum)
    else:
        mean, var = _wide(running_mean, running_var)
        y = (x - mean.reshape(shape)) * jax.lax.rsqrt(var + eps).reshape(shape)
        moved = ()
    return _results(_scale(y, weight, bias, shape).astype(input.dtype), moved)


@op(public="", check=_check_layer, grad_name="NativeLayerNormBackward0")
def layer_norm(
    input: Raw, normalized_shape: tuple[int, ...], weight: Raw | None, bias: Raw | None, eps: float
) -> jax.Array:
    """Normalize over the last dimensions; ``weight`` and ``bias`` have their shape."""
    x, weight, bias = _wide(input, weight, bias)
    width = math.prod(normalized_shape)
    weight, bias = (None if p is None else p.reshape(width) for p in (weight, bias))
    rows = math.prod(input.shape[: input.ndim - len(normalized_shape)])
    y = norm_algorithms.layer_norm(x.reshape(rows, width), weight, bias, eps)
    return y.reshape(input.shape).astype(input.dtype)


@op(public="", grad_name="NativeGroupNormBackward0")
def statistics(
    input: Raw, shape: tuple[int, ...], axes: tuple[int, ...], eps: float, keepdim: bool,
    to: dtype,
) -> tuple:  # fmt: skip
    """Return the mean of ``input`` as ``shape`` over ``axes``, and one over its deviation."""
    (x,) = _wide(input)
    _, mean, var = _standardize(x.reshape(shape), axes, eps)
    results = mean, jax.lax.rsqrt(var + eps)
    return tuple((s if keepdim else s.squeeze(axes)).astype(to.numpy) for s in results)


@op(public="", check=_check_rms, grad_name="MulBackward0")
def rms_norm(
    input: Raw, normalized_shape: tuple[int, ...], weight: Raw | None, eps: float | None
) -> jax.Array:
    """Divide by the root of the mean square over the last dimensions."""
    (x,) = _wide(input)
    if eps is None:
        eps = finfo(from_numpy(x.dtype)).eps
    axes = tuple(range(-len(normalized_shape), 0))
    y = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axes, keepdims=True) + eps)
    y = y.astype(input.dtype)
    return y if weight is None else y * weight.reshape(normalized_shape)


@op(public="", check=_check_group, formats=(0,), grad_name="NativeGroupNormBackward0")
def group_norm(
    input: Raw, num_groups: int, weight: Raw | None, bias: Raw | None, eps: float
) -> jax.Array:
    """Normalize ``(N, C, *)`` over groups of channels; ``weight`` and ``bias`` are ``(C,)``."""
    x, weight, bias = _wide(input, weight, bias)
    rows = (x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    y, _, _ = _standardize(x.reshape(rows), (2,), eps)
    return _scale(y.reshape(x.shape), weight, bias, _by_channel(x.ndim)).astype(input.dtype)
