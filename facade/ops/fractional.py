"""Fractional max pooling: windows at random, nearly even distances."""

import jax
import jax.numpy as jnp

from facade.ops.declare import kernel, refuse_dtype
from facade.ops.registry import Raw, op


def _check(input, random_samples, kernel_size, output_size):
    dims = len(kernel_size)
    name = f"fractional_max_pool{dims}d"
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got: {list(input.shape)}"
        )
    if random_samples.shape[-1] != dims:
        raise RuntimeError(
            f"Expect _random_samples.size(2) equals to {dims}; got {random_samples.shape[-1]}."
        )
    axes = ("time", "height", "width")[-dims:]
    for axis, out, k, size in zip(axes, output_size, kernel_size, input.shape[-dims:], strict=True):
        if out + k - 1 > size:
            raise RuntimeError(
                f"{name}(): pool {axis} {k} too large relative to input {axis} {size}"
            )
    error = kernel(f"{name}_out_frame")
    refuse_dtype(input.dtype, {"bool": error, "integer": error})


def _starts(sample, size: int, kernel: int, out: int):
    """Return where the windows begin; the last one ends with the map."""
    if out == 1:
        return jnp.full(1, size - kernel)
    step = jnp.asarray(size - kernel, sample.dtype) / (out - 1)
    steps = jnp.arange(out, dtype=sample.dtype) + sample
    starts = (steps * step).astype(jnp.int32) - (sample * step).astype(jnp.int32)
    return starts.at[-1].set(size - kernel)


def _pool(x, samples, kernel: tuple, out: tuple):
    """Pool one map ``(*size)`` with one sample per dimension."""
    places = []
    for sample, size, k, o in zip(samples, x.shape, kernel, out, strict=True):
        places.append(_starts(sample, size, k, o)[:, None] + jnp.arange(k))  # (out, k)
    flat = jnp.zeros((1,) * (2 * len(out)), jnp.int32)  # (*out, *kernel)
    for dim, (place, size) in enumerate(zip(places, x.shape, strict=True)):
        shape = [1] * (2 * len(out))
        shape[dim], shape[dim + len(out)] = place.shape
        flat = flat * size + place.reshape(shape)
    flat = flat.reshape(*out, -1)
    values = x.reshape(-1)[flat]
    best = jnp.argmax(jax.lax.stop_gradient(values), -1, keepdims=True)
    chosen = (jnp.take_along_axis(a, best, -1)[..., 0] for a in (values, flat))
    found, at = chosen
    return found, at.astype(jnp.int64)


@op(
    public="", check=_check,
    grad_name=lambda kernel_size: f"FractionalMaxPool{len(kernel_size)}DBackward0",
)  # fmt: skip
def fractional_max_pool(
    input: Raw, random_samples: Raw, kernel_size: tuple[int, ...], output_size: tuple[int, ...]
) -> tuple:
    """Return each window's greatest element and its place in the flattened map.

    Args:
        input: ``(N, C, *size)`` or ``(C, *size)``.
        random_samples: ``(N, C, dims)`` from [0, 1); of two dimensions the last one's come first.
    """
    dims = len(kernel_size)
    maps = input.reshape(-1, *input.shape[-dims:])
    samples = random_samples.reshape(-1, dims)
    samples = samples[:, ::-1] if dims == 2 else samples
    found, at = jax.vmap(lambda x, s: _pool(x, s, kernel_size, output_size))(maps, samples)
    shape = (*input.shape[:-dims], *output_size)
    return found.reshape(shape), at.reshape(shape)
