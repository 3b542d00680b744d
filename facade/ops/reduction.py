"""Reductions: sums, means, variances, extremes, norms over some or all dimensions."""

from functools import partial
from math import inf

import jax
import jax.numpy as jnp
import numpy as np

from facade.avals import Aval
from facade.dtypes import SCALAR_NAMES, dtype
from facade.errors import wrap_dim, wrap_dims
from facade.ops.declare import inexact_only, kernel, refuse, refuse_dtype
from facade.ops.registry import Array, Promote, Scalar, op
from facade.ops.unary import absolute

_MOST_DIMS = 64  # a reduction's dimensions are bits of a word in PyTorch


def _axes(dim, ndim: int) -> tuple[int, ...]:
    """Return the dimensions that ``dim`` (an int, several, none at all for every one) means."""
    if ndim > _MOST_DIMS:
        raise RuntimeError(f"only tensors with up to {_MOST_DIMS} dims are supported")
    if dim is None or dim == ():
        return tuple(range(ndim))
    wrapped = wrap_dims(dim, ndim)
    return wrapped if ndim else ()


def _check_dim(input, dim, **_) -> None:
    _axes(dim, input.ndim)


def _is_whole(x) -> bool:
    return not jnp.issubdtype(x.dtype, jnp.inexact)


def _overload(name: str):
    """Return a grad_name: 0 for the whole tensor, 1 for some dimensions."""
    return lambda dim, keepdim: f"{name}Backward{0 if dim is None and not keepdim else 1}"


# ---- sums and products ----


def summable(input, dtype):
    """Return ``input`` in the dtype it is summed in: ``dtype``, or int64 for integers."""
    if dtype is not None:
        return input.astype(dtype.numpy)
    return input.astype(jnp.int64) if _is_whole(input) else input


def _reduced(reduce, x, dim, keepdim: bool):
    """Return the sum or product in the dtype of ``x``, which jnp widens if it is whole."""
    kind = x.dtype if _is_whole(x) else None
    return reduce(x, _axes(dim, x.ndim), dtype=kind, keepdims=keepdim)


@op(grad_name=_overload("Sum"), check=_check_dim, out=True)
def sum(
    input: Array,
    dim: int | tuple | None = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
):
    """Return the sum over ``dim``, in int64 for bool and integers."""
    return _reduced(jnp.sum, summable(input, dtype), dim, keepdim)


@op(check=_check_dim, out=True)
def nansum(
    input: Array,
    dim: int | tuple | None = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
):
    """Return the sum of what is not nan."""
    numbers = jnp.where(input == input, input, jnp.zeros_like(input))
    return sum(numbers, dim, keepdim, dtype=dtype)


def _check_mean(input, dim, keepdim, dtype) -> None:
    found = dtype or input.dtype
    if not (found.is_floating_point or found.is_complex):
        raise RuntimeError(
            f"mean(): could not infer output dtype. {'Optional' if dtype else 'Input'} dtype must "
            f"be either a floating point or complex dtype. Got: {SCALAR_NAMES[found]}"
        )
    _axes(dim, input.ndim)


@op(grad_name=_overload("Mean"), check=_check_mean, out=True)
def mean(
    input: Array,
    dim: int | tuple | None = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
):
    """Return the mean over ``dim``."""
    input = input if dtype is None else input.astype(dtype.numpy)
    return jnp.mean(input, _axes(dim, input.ndim), keepdims=keepdim)


@op(grad_name=_overload("Prod"), check=_check_dim, out=True)
def prod(
    input: Array,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: dtype | None = None,
):
    """Return the product over ``dim``, in int64 for bool and integers."""
    return _reduced(jnp.prod, summable(input, dtype), dim, keepdim)


@op(differentiable=False, check=_check_dim)
def count_nonzero(input: Array, dim: int | tuple | None = None):
    """Return how many elements are not zero."""
    return jnp.count_nonzero(input, _axes(dim, input.ndim))


def _check_hash(input, dim, keepdim, mode) -> None:
    if mode:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    refuse_dtype(input.dtype, {"complex": kernel("xor_sum_cpu")})
    _axes(dim, input.ndim)
    check_nonempty("hash_tensor", input, dim, call="")


@op(differentiable=False, check=_check_hash, out=True)
def hash_tensor(
    input: Array, dim: int | tuple | None = None, *, keepdim: bool = False, mode: int = 0
):
    """Return the exclusive or of the bits of the elements, as uint64."""
    wide = input.astype(jnp.int64 if _is_whole(input) else jnp.float64)
    bits = jax.lax.bitcast_convert_type(wide, jnp.uint64)
    axes = _axes(dim, input.ndim)
    mixed = jax.lax.reduce(bits, jnp.uint64(0), jax.lax.bitwise_xor, axes)
    return jnp.expand_dims(mixed, axes) if keepdim else mixed


def _truth(input, result):
    return result.astype(jnp.uint8) if input.dtype == jnp.uint8 else result


@op(differentiable=False, check=_check_dim, out=True)
def all(input: Array, dim: int | tuple | None = None, keepdim: bool = False):
    """Return whether no element is zero."""
    return _truth(input, jnp.all(input, _axes(dim, input.ndim), keepdims=keepdim))


@op(differentiable=False, check=_check_dim, out=True)
def any(input: Array, dim: int | tuple | None = None, keepdim: bool = False):
    """Return whether some element is not zero."""
    return _truth(input, jnp.any(input, _axes(dim, input.ndim), keepdims=keepdim))


# ---- variance ----


def _check_var(input, dim, **_) -> None:
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError("std and var only support floating point and complex dtypes")
    _axes(dim, input.ndim)


def _wide(x):
    """Return ``x`` in the dtype that sums are accumulated in."""
    return x.astype(jnp.float32) if x.dtype.itemsize == 2 else x


def _freedom(x, axes, correction) -> float:
    count = np.prod([x.shape[a] for a in axes])
    return max(float(count) - correction, 0.0)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _variance(x, axes, correction):
    squares = jnp.square(jnp.abs(x - jnp.mean(x, axes, keepdims=True)))
    total = jnp.sum(squares, axes, keepdims=True)
    return total / jnp.asarray(_freedom(x, axes, correction), total.dtype)


@_variance.defjvp
def _variance_jvp(axes, correction, primals, tangents):
    # the mean's own derivative sums to zero: leaving it out saves a reduction
    (x,), (t,) = primals, tangents
    centered = x - jnp.mean(x, axes, keepdims=True)
    total = jnp.sum((jnp.conj(centered) * t).real, axes, keepdims=True)
    scale = 2 / jnp.asarray(_freedom(x, axes, correction), total.dtype)
    return _variance(x, axes, correction), scale * total


def _moments(input, dim, correction, keepdim, finish=lambda v: v):
    """Return (``finish`` of the variance, the mean)."""
    x, axes = _wide(input), _axes(dim, input.ndim)
    spread = finish(_variance(x, axes, correction))
    results = spread, jnp.mean(x, axes, keepdims=True)
    if not keepdim:
        results = tuple(jnp.squeeze(r, axes) for r in results)
    real = input.real.dtype
    return results[0].astype(real), results[1].astype(input.dtype)


def _root(x):
    """Return the square root, whose derivative at 0 is 0."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


@op(public="", check=_check_var)
def var(input: Array, dim: int | tuple | None, correction: float, keepdim: bool):
    """Return the variance, dividing by the count less ``correction``."""
    return _moments(input, dim, correction, keepdim)[0]


@op(public="", check=_check_var)
def std(input: Array, dim: int | tuple | None, correction: float, keepdim: bool):
    """Return the standard deviation."""
    return _moments(input, dim, correction, keepdim, _root)[0]


@op(public="", check=_check_var)
def var_mean(input: Array, dim: int | tuple | None, correction: float, keepdim: bool):
    """Return the variance and the mean."""
    return _moments(input, dim, correction, keepdim)


@op(public="", check=_check_var)
def std_mean(input: Array, dim: int | tuple | None, correction: float, keepdim: bool):
    """Return the standard deviation and the mean."""
    return _moments(input, dim, correction, keepdim, _root)


# ---- extremes ----


def _first(x, axis: int, extreme):
    """Return where along ``axis`` the extreme, or the first nan, comes first.

    Two vectorised passes: XLA's own argmax is several times slower on a CPU.
    """
    position = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
    found = (x == extreme(x, axis, keepdims=True)) | (x != x)
    last = x.shape[axis] - 1
    return jnp.min(jnp.where(found, position, last), axis, keepdims=True)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _extreme(x, axis, extreme):
    """Return the extreme values and their first places; the gradient goes to that place."""
    return extreme(x, axis, keepdims=True), _first(x, axis, extreme)


@_extreme.defjvp
def _extreme_jvp(axis, extreme, primals, tangents):
    (x,), (t,) = primals, tangents
    values, index = _extreme(x, axis, extreme)
    chosen = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis) == index
    tangent = jnp.sum(jnp.where(chosen, t, jnp.zeros_like(t)), axis, keepdims=True)
    return (values, index), (tangent, np.zeros(index.shape, jax.dtypes.float0))


@jax.custom_jvp
def evenly(x, value):
    """Return ``value``; the gradient is shared by the elements of ``x`` that equal it."""
    return value


@evenly.defjvp
def _evenly_jvp(primals, tangents):
    x, value = primals
    equal = (x == value) | ((x != x) & (value != value))
    share = equal / jnp.sum(equal)
    return value, jnp.sum(tangents[0] * share.astype(x.dtype))


def check_nonempty(name: str, input: Aval, dim: int | tuple | None, call: str = "()") -> None:
    """Raise PyTorch's error where a reduction without identity meets no elements."""
    if dim is None or dim == ():
        if not input.numel:
            raise RuntimeError(
                f"{name}{call}: Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return
    for d in wrap_dims(dim, input.ndim):
        if input.ndim and not input.shape[d]:
            raise IndexError(f"{name}{call}: Expected reduction dim {d} to have non-zero size.")


def _extreme_check(name: str, **errors):
    def check(input, dim=None, **_) -> None:
        refuse_dtype(input.dtype, errors)
        check_nonempty(name, input, dim)

    return check


def _declare_extreme(name: str, extreme) -> None:
    """Declare the four forms of ``max`` or ``min``: all, along a dim, ``amax``, ``argmax``."""
    no_complex = RuntimeError, f"{name}(): does not support complex input"
    title = name.title()

    def over_all(input: Array):
        return evenly(input, jax.lax.stop_gradient(extreme(input)))

    def along(input: Array, dim: int, keepdim: bool = False):
        if not input.ndim:
            return input, jnp.zeros((), jnp.int64)
        axis = wrap_dim(dim, input.ndim)
        values, index = _extreme(input, axis, extreme)
        index = index.astype(jnp.int64)
        return (values, index) if keepdim else (values.squeeze(axis), index.squeeze(axis))

    def a_form(input: Array, dim: int | tuple | None = None, keepdim: bool = False):
        return extreme(input, _axes(dim, input.ndim), keepdims=keepdim)

    def arg_form(input: Array, dim: int | None = None, keepdim: bool = False):
        if dim is None or not input.ndim:
            ones = (1,) * input.ndim if keepdim else ()
            return _first(input.reshape(-1), 0, extreme).reshape(ones).astype(jnp.int64)
        axis = wrap_dim(dim, input.ndim)
        index = _first(input, axis, extreme).astype(jnp.int64)
        return index if keepdim else index.squeeze(axis)

    forms = {
        f"{name}_all": (over_all, f"Return the {name}imum.", {
            "public": "", "grad_name": f"{title}Backward1",
            "check": _extreme_check(name, complex=kernel(f"{name}_all")),
        }),
        f"{name}_dim": (along, f"Return the {name}ima along ``dim`` and their places.", {
            "public": "", "grad_name": f"{title}Backward0",
            "check": _extreme_check(name, complex=no_complex),
        }),
        f"a{name}": (a_form, f"Return the {name}imum over ``dim``; ties share the gradient.", {
            "out": True, "check": _extreme_check(f"a{name}", complex=kernel(f"{name}_values_cpu")),
        }),
        f"arg{name}": (arg_form, f"Return where the {name}imum first is.", {
            "out": True, "differentiable": False, "check": _arg_check(f"arg{name}"),
        }),
    }  # fmt: skip
    for own_name, (function, doc, traits) in forms.items():
        function.__name__ = function.__qualname__ = own_name
        function.__doc__ = doc
        op(function, **traits)


def _arg_check(name: str):
    errors: dict[str, tuple[type[Exception], str]] = {
        kind: (RuntimeError, f"{name}(): does not support {kind} input")
        for kind in ("complex", "bool")
    }

    def check(input, dim, keepdim) -> None:
        refuse_dtype(input.dtype, errors)
        if dim is None and not input.numel:
            raise IndexError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        check_nonempty(name, input, dim)

    return check


_declare_extreme("max", jnp.max)
_declare_extreme("min", jnp.min)


def _check_aminmax(input, dim, keepdim) -> None:
    if dim is None and not input.numel:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    check_nonempty("aminmax", input, dim, call="")


@op(public="", check=_check_aminmax)
def aminmax(input: Array, dim: int | None, keepdim: bool):
    """Return the minimum and the maximum; ties share the gradient."""
    axes = _axes(dim, input.ndim)
    return jnp.min(input, axes, keepdims=keepdim), jnp.max(input, axes, keepdims=keepdim)


# ---- norms ----


@op(promotes=Promote.FLOAT, check=_check_dim, out=True)
def logsumexp(input: Array, dim: int | tuple, keepdim: bool = False):
    """Return ``log(sum(exp(input)))`` over ``dim``."""
    return jax.scipy.special.logsumexp(input, _axes(dim, input.ndim), keepdims=keepdim)


def p_norm(x, p: float, axes: tuple[int, ...], keepdim: bool):
    """Return the ``p``-norm over ``axes``; its gradient at 0 is 0."""
    size = absolute(x)
    if p == 0:
        return jnp.sum(size != 0, axes, keepdims=keepdim).astype(size.dtype)
    if p == 1:
        return jnp.sum(size, axes, keepdims=keepdim)
    if p == 2:
        return _root(jnp.sum((x * jnp.conj(x)).real, axes, keepdims=keepdim))
    if abs(p) == inf:
        return (jnp.max if p > 0 else jnp.min)(size, axes, keepdims=keepdim)
    zero = size == 0
    powers = jnp.where(zero, 0 if p > 0 else inf, jnp.where(zero, 1, size) ** p)
    total = jnp.sum(powers, axes, keepdims=keepdim)
    none = total == 0
    return jnp.where(none, 0, jnp.where(none, 1, total) ** (1 / p))


def _check_norm(input, ord, dim, keepdim, dtype) -> None:
    inexact_only("vector_norm", input.dtype)
    axes = _axes(dim, input.ndim)
    empty = not input.numel and (dim is None or 0 in [input.shape[a] for a in axes])
    if empty and (ord < 0 or ord == inf):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord:g} norm on an empty tensor because the "
            "operation does not have an identity"
        )


@op(public="", check=_check_norm)
def linalg_vector_norm(
    input: Array, ord: float, dim: int | tuple | None, keepdim: bool, dtype: dtype | None
):
    """Return the norm of the elements over ``dim``, as if they were one vector."""
    input = input if dtype is None else input.astype(dtype.numpy)
    x = input if jnp.iscomplexobj(input) else _wide(input)
    return p_norm(x, ord, _axes(dim, input.ndim), keepdim).astype(input.real.dtype)


def _check_dist(input, other, p) -> None:
    text = "norm(): input dtype should be either floating point or complex. Got {} instead."
    refuse("dist", bool=(RuntimeError, text), integer=(RuntimeError, text))(
        input=input, other=other
    )


@op(promotes=Promote.SAME, check=_check_dist)
def dist(input: Array, other: Array, p: float = 2):
    """Return the ``p``-norm of the difference."""
    difference = input - other
    wide = difference if jnp.iscomplexobj(difference) else _wide(difference)
    return p_norm(wide, p, tuple(range(wide.ndim)), False).astype(difference.real.dtype)


def _check_renorm(input, p, dim, maxnorm) -> None:
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")


@op(check=_check_renorm, inplace=True, out=True)
def renorm(input: Array, p: float, dim: int, maxnorm: Scalar):
    """Return ``input`` with every slice along ``dim`` scaled down to a norm of ``maxnorm``."""
    axis = wrap_dim(dim, input.ndim)
    length = p_norm(input, p, tuple(a for a in range(input.ndim) if a != axis), True)
    limit = maxnorm.astype(length.dtype)
    return input * jnp.where(length > limit, limit / (length + 1e-7), 1).astype(input.dtype)
