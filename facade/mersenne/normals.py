"""Normal draws: PyTorch's blocks of 16, and its pairs with one value kept for the next call."""

import functools
import math

import numpy as np

from . import cephes
from .checks import FLOATS, HALVES, real_part, require
from .engine import fill, locked
from .rounding import LIBM, cast, evaluate, fma32, fma64
from .uniforms import unit32, unit64

_BLOCK = 16
_TWO_PI = 2 * math.pi


@locked
def normal(engine, shape, dtype, mean=0.0, std=1.0, contiguous=True):
    """Normal numbers, as ``torch.randn`` and ``Tensor.normal_``.

    Args:
        dtype: Floating or complex; the variance of a complex number is shared by its two parts.
        contiguous: Whether the tensor to fill is; PyTorch draws others one pair at a time.
    Raises:
        RuntimeError: ``std`` is negative.
        NotImplementedError: another dtype.
    """
    dtype = np.dtype(dtype)
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    part = real_part(dtype)
    if part is not None:
        parts = normal(engine, (*shape, 2), part, mean, std / math.sqrt(2), contiguous)
        return parts.view(dtype)[..., 0]
    require(dtype, FLOATS, "normal_kernel_cpu")
    count = math.prod(shape)
    if contiguous and count >= _BLOCK:
        return _in_blocks(engine, count, dtype, mean, std).reshape(shape)
    return _in_pairs(engine, shape, dtype, lambda m, z: m.fma(z, std, mean))


@locked
def log_normal(engine, shape, dtype, mean=1.0, std=2.0):
    """Exponentials of normal numbers, as ``Tensor.log_normal_``.

    Raises:
        RuntimeError: ``std`` is not positive.
        NotImplementedError: ``dtype`` is not floating.
    """
    dtype = np.dtype(dtype)
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    require(dtype, FLOATS, "log_normal_cpu")
    return _in_pairs(engine, shape, dtype, lambda m, z: m.exp(m.fma(z, std, mean)))


# Pairs ------------------------------------------------------------------------------------------


def _in_pairs(engine, shape, dtype, finish):
    """``finish(m, z)`` of standard normals ``z``."""
    return fill(np.empty(shape, dtype), lambda n: _some_pairs(engine, n, dtype, finish))


def _some_pairs(engine, n, dtype, finish):
    """The engine's cached normal first, then new pairs; the last may leave one to be cached."""
    out = np.empty(n, dtype)
    rest = out
    if n and engine.cached_normal is not None:
        out[:1] = evaluate(finish, [np.array([engine.cached_normal])], dtype)
        engine.cached_normal = None
        rest = out[1:]
    pairs = (rest.size + 1) // 2
    u, v = np.ascontiguousarray(unit64(engine, 2 * pairs).reshape(pairs, 2).T)
    rest[::2] = evaluate(lambda m, u, v: finish(m, _cosine_normal(m, u, v)), (u, v), dtype)
    odd = rest.size // 2
    rest[1::2] = evaluate(
        lambda m, u, v: finish(m, _sine_normal(m, u, v)), (u[:odd], v[:odd]), dtype
    )
    if rest.size % 2:
        engine.cached_normal = _sine_normal(LIBM, u[-1:], v[-1:]).item()
    return out


def one_normal(engine, uniform):
    """One standard normal from a function that gives the next uniform: a Python float."""
    if engine.cached_normal is not None:
        z, engine.cached_normal = engine.cached_normal, None
        return z
    angle = _TWO_PI * uniform()
    radius = math.sqrt(-2 * math.log1p(-uniform()))
    engine.cached_normal = radius * math.sin(angle)
    return radius * math.cos(angle)


def _cosine_normal(m, u, v):
    return m.sqrt(-2 * m.log1p(-v)) * m.cos(_TWO_PI * u)


def _sine_normal(m, u, v):
    return m.sqrt(-2 * m.log1p(-v)) * m.sin(_TWO_PI * u)


# Blocks -----------------------------------------------------------------------------------------


def _in_blocks(engine, n, dtype, mean, std):
    """``n >= 16`` normals; what is left over from whole blocks is drawn as the last 16 again."""
    if dtype == np.float64:
        draw = functools.partial(_blocks64, engine, mean=mean, std=std)
    else:
        draw = functools.partial(_blocks32, engine, mean=np.float32(mean), std=np.float32(std))
    whole = n - n % _BLOCK
    out = np.empty(n, dtype)
    fill(out[:whole], lambda n: cast(draw(n), dtype))
    if whole < n:
        if dtype not in HALVES:  # their uniforms are drawn with the rest, and not used
            (unit64 if dtype == np.float64 else unit32)(engine, n - whole)
        out[-_BLOCK:] = cast(draw(_BLOCK), dtype)
    return out


def _blocks32(engine, n, mean, std):
    u, v = _block_halves(unit32(engine, n))
    radius = cephes.log(np.float32(1) - u)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    sin, cos = cephes.sin_cos(v * np.float32(_TWO_PI))
    sin *= radius
    cos *= radius
    return _join_halves(fma32(cos, std, mean), fma32(sin, std, mean))


def _blocks64(engine, n, mean, std):
    u, v = _block_halves(unit64(engine, n))
    radius = np.sqrt(-2 * LIBM.log(1 - u))
    angle = _TWO_PI * v
    cos, sin = radius * LIBM.cos(angle), radius * LIBM.sin(angle)
    return _join_halves(fma64(cos, std, mean), fma64(sin, std, mean))


def _block_halves(u):
    """The first and the second 8 of every 16, each as one contiguous array."""
    return np.ascontiguousarray(u.reshape(-1, 2, 8).swapaxes(0, 1)).reshape(2, -1)


def _join_halves(first, second):
    return np.stack((first.reshape(-1, 8), second.reshape(-1, 8)), 1).reshape(-1)
