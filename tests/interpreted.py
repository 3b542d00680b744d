"""Run ops by numpy, one primitive after the other, so that a test of many shapes compiles little.

A primitive without a rule here is run by JAX, which compiles it once per shape.
"""

import functools
from collections.abc import Callable

import jax
import numpy as np
from jax import tree_util
from jax.extend.core import ClosedJaxpr, Literal
from jax.lax import GatherScatterMode

from facade import op_tier
from facade.ops.registry import OPS, Entry


def interpret_ops(patch: Callable) -> None:
    """Have every tape run op by op, and each op interpreted.

    Args:
        patch: ``(object, attribute, value)``: sets an attribute, as ``monkeypatch.setattr`` does.
    """
    patch(op_tier.Chooser, "by_ops", lambda *_: True)
    patch(op_tier, "_compiled", _interpreted)


_interpreters: dict[tuple, Callable] = {}


def _interpreted(entry, key, function: Callable) -> Callable:
    """Return ``function``, which is made of an op and kept as ``key``, to be interpreted."""
    place = _likeness(entry), key
    if place not in _interpreters:
        traced = functools.cache(functools.partial(_trace, function))

        def interpreter(*operands):
            flat, tree = tree_util.tree_flatten(operands)
            flat = [np.asarray(x) for x in flat]
            jaxpr, results = traced(tree, tuple((x.shape, x.dtype) for x in flat))
            return tree_util.tree_unflatten(results, evaluate(jaxpr, flat))

        _interpreters[place] = interpreter
    return _interpreters[place]


def _likeness(entry: Entry):
    """Return what entries that compute the same have in common: all but strides."""
    if entry.name not in OPS:
        return entry
    avals = [(a and (a.shape, a.dtype)) for a in (*entry.inputs, *entry.outputs)]
    return entry.name, tuple(entry.static.items()), tuple(avals)


def _trace(function: Callable, tree, kinds: tuple):
    """Return the jaxpr of a function, and the tree of its results."""
    structs = [jax.ShapeDtypeStruct(*kind) for kind in kinds]
    traced = jax.jit(function).trace(*tree_util.tree_unflatten(tree, structs))
    return traced.jaxpr, tree_util.tree_structure(traced.out_info)


def evaluate(closed: ClosedJaxpr, operands: list[np.ndarray]) -> list[np.ndarray]:
    """Return the results of a jaxpr."""
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.constvars, map(np.asarray, closed.consts), strict=True))
    known.update(zip(jaxpr.invars, operands, strict=True))

    def read(atom):
        return np.asarray(atom.val) if isinstance(atom, Literal) else known[atom]

    with np.errstate(all="ignore"):
        for equation in jaxpr.eqns:
            values = [read(x) for x in equation.invars]
            results = _run(equation, values)
            known.update(
                (v, np.asarray(r, v.aval.dtype))
                for v, r in zip(equation.outvars, results, strict=True)
            )
    return [read(x) for x in jaxpr.outvars]


def _run(equation, values: list) -> list:
    """Return what one equation computes."""
    name, params = equation.primitive.name, equation.params
    if name in INNER:
        return evaluate(params[INNER[name]], values)
    rule = RULES.get(name)
    result = None if rule is None else rule(*values, **params)
    if result is None:
        result = _by_jax(equation, values)
    return result if equation.primitive.multiple_results else [result]


def _by_jax(equation, values: list):
    params = equation.primitive.get_bind_params(equation.params)
    return equation.primitive.bind(*map(jax.numpy.asarray, values), **params)


# ---- primitives; None: left to JAX ----

INNER = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}


def _select(which, *cases, **_):
    if which.dtype == bool:
        return np.where(which, cases[1], cases[0])
    return np.choose(which, cases)


def _broadcast(x, *, shape, broadcast_dimensions, **_):
    own = [1] * len(shape)
    for dim, size in zip(broadcast_dimensions, x.shape, strict=True):
        own[dim] = size
    return np.broadcast_to(x.reshape(own), shape)


def _slice(x, *, start_indices, limit_indices, strides):
    strides = strides or (1,) * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, strides))]


def _window(shape, sizes, starts) -> tuple:
    """Return the place of a window, moved inside as XLA does."""
    starts = [min(max(int(s), 0), n - m) for s, n, m in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(s, s + m) for s, m in zip(starts, sizes, strict=True))


def _update(x, update, *starts, **_):
    x = x.copy()
    x[_window(x.shape, update.shape, starts)] = update
    return x


def _pad(x, value, *, padding_config):
    if min((min(low, high) for low, high, _ in padding_config), default=0) < 0:
        return None
    shape = [
        low + high + n + max(n - 1, 0) * inner
        for n, (low, high, inner) in zip(x.shape, padding_config, strict=True)
    ]
    padded = np.full(shape, value)
    places = [
        slice(low, low + max(n - 1, 0) * (inner + 1) + (n > 0), inner + 1)
        for n, (low, _, inner) in zip(x.shape, padding_config, strict=True)
    ]
    padded[tuple(places)] = x
    return padded


def _starts(
    index, b: tuple, ndim: int, mapped: tuple, batched: tuple, of_index: tuple
) -> list[int]:
    """Return where the window of batch index ``b`` starts in an operand."""
    starts = [0] * ndim
    for dim, start in zip(mapped, index[b], strict=True):
        starts[dim] = int(start)
    for dim, at in zip(batched, of_index, strict=True):
        starts[dim] = b[at]
    return starts


def _fits(starts: list, sizes, shape) -> bool:
    return all(0 <= s <= n - m for s, m, n in zip(starts, sizes, shape, strict=True))


def _gather(x, index, *, dimension_numbers, slice_sizes, mode, **_):
    d = dimension_numbers
    dropped = {*d.collapsed_slice_dims, *d.operand_batching_dims}
    kept = [size for dim, size in enumerate(slice_sizes) if dim not in dropped]
    batch = index.shape[:-1]
    out = np.empty((*batch, *kept), x.dtype)
    for b in np.ndindex(*batch):
        starts = _starts(index, b, x.ndim, d.start_index_map, d.operand_batching_dims,
                         d.start_indices_batching_dims)  # fmt: skip
        if mode == GatherScatterMode.FILL_OR_DROP and not _fits(starts, slice_sizes, x.shape):
            return None
        out[b] = x[_window(x.shape, slice_sizes, starts)].reshape(kept)
    return np.moveaxis(out, range(len(batch), out.ndim), d.offset_dims)


def _scatter(combine):
    def rule(x, index, updates, *, dimension_numbers, mode, **_):
        d, x = dimension_numbers, x.copy()
        windows = np.moveaxis(updates, d.update_window_dims, range(-len(d.update_window_dims), 0))
        batch = index.shape[:-1]
        inner = iter(windows.shape[len(batch) :])
        single = {*d.inserted_window_dims, *d.operand_batching_dims}
        sizes = [1 if dim in single else next(inner) for dim in range(x.ndim)]
        for b in np.ndindex(*batch):
            starts = _starts(index, b, x.ndim, d.scatter_dims_to_operand_dims,
                             d.operand_batching_dims, d.scatter_indices_batching_dims)  # fmt: skip
            if mode == GatherScatterMode.FILL_OR_DROP and not _fits(starts, sizes, x.shape):
                continue
            place = _window(x.shape, sizes, starts)
            x[place] = combine(x[place], windows[b].reshape(sizes))
        return x

    return rule


def _iota(*, dtype, shape, dimension, **_):
    own = [1] * len(shape)
    own[dimension] = shape[dimension]
    return np.broadcast_to(np.arange(shape[dimension]).reshape(own), shape)


def _split(x, *, sizes, axis):
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _sort(*operands, dimension, is_stable, num_keys):
    keys = operands[:num_keys]
    if num_keys > 1 or keys[0].dtype.kind not in "bi":
        return None  # where NaN and the zeros go is JAX's to say
    order = np.argsort(keys[0], dimension, kind="stable")
    return [np.take_along_axis(x, order, dimension) for x in operands]


def _divide(x, y):
    if x.dtype.kind not in "iu":
        return np.divide(x, y)
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y)) if y.all() else None


def _remainder(x, y):
    return np.fmod(x, y) if x.dtype.kind not in "iu" or y.all() else None


def _reduced(function, **options):
    return lambda x, *, axes, **_: function(x, axis=tuple(axes), **options)


def _sum(x, *, axes, **_):
    wide = np.float32 if x.dtype.itemsize == 2 else x.dtype
    return np.sum(x, axis=tuple(axes), dtype=wide)


def _extreme(function):
    # of nothing numpy has none
    return lambda x, *, axes, **_: function(x, axis=tuple(axes)) if x.size else None


def _power(x, *, y):
    return x**y if y >= 0 else 1 / x**-y


RULES: dict[str, Callable] = {
    **{name: (lambda f: lambda *x, **_: f(*x))(function) for name, function in {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative,
        "add_any": np.add, "max": np.maximum, "min": np.minimum, "abs": np.abs, "sign": np.sign,
        "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
        "gt": np.greater, "ge": np.greater_equal, "is_finite": np.isfinite,
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
        "not": np.invert, "tanh": np.tanh, "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
        "square": np.square, "floor": np.floor, "ceil": np.ceil, "atan2": np.arctan2,
        "copy": np.copy, "copy_p": np.copy, "stop_gradient": np.asarray, "select_n": _select,
    }.items()},
    "div": _divide,
    "rem": _remainder,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "integer_pow": _power,
    "convert_element_type": lambda x, *, new_dtype, **_: (
        x.astype(new_dtype) if x.dtype.kind != "f" or np.dtype(new_dtype).kind not in "iu" else None
    ),
    "broadcast_in_dim": _broadcast,
    "reshape": lambda x, *, new_sizes, **_: x.reshape(new_sizes),
    "squeeze": lambda x, *, dimensions: np.squeeze(x, tuple(dimensions)),
    "expand_dims": lambda x, *, dimensions: np.expand_dims(x, tuple(dimensions)),
    "transpose": lambda x, *, permutation: np.transpose(x, permutation),
    "rev": lambda x, *, dimensions: np.flip(x, tuple(dimensions)),
    "concatenate": lambda *x, dimension: np.concatenate(x, dimension),
    "slice": _slice,
    "dynamic_slice": lambda x, *starts, slice_sizes: x[_window(x.shape, slice_sizes, starts)],
    "dynamic_update_slice": _update,
    "pad": _pad,
    "gather": _gather,
    "scatter": _scatter(lambda old, new: new),
    "scatter-add": _scatter(np.add),
    "iota": _iota,
    "split": _split,
    "sort": _sort,
    "reduce_sum": _sum,
    "reduce_max": _extreme(np.max),
    "reduce_min": _extreme(np.min),
    "reduce_and": _reduced(np.all),
    "reduce_or": _reduced(np.any),
    "cumsum": lambda x, *, axis, reverse: (
        np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis)
    ),
}  # fmt: skip
