"""Symmetric matrices that need not be definite: their factors, and equations by the factors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from facade.dtypes import SCALAR_NAMES
from facade.errors import no_dimension
from facade.ops.matrices import check_system, column_strides
from facade.ops.registry import Raw, op

# How much smaller than its column a pivot may be before it needs a block of two (Bunch, Kaufman)
_ALPHA = (1 + math.sqrt(17)) / 8


def _check_matrices(name: str, a) -> None:
    place = f"torch.linalg.{name}"
    if a.ndim < 2:
        raise RuntimeError(f"{place}: The input tensor A must have at least 2 dimensions.")
    rows, columns = a.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{place}: A must be batches of square matrices, "
            f"but they are {rows} by {columns} matrices"
        )
    if not (a.dtype.is_floating_point or a.dtype.is_complex):
        raise RuntimeError(
            f"{place}: Expected a floating point or complex tensor as input. "
            f"Got {SCALAR_NAMES[a.dtype]}"
        )
    if a.dtype.itemsize < 4:
        raise NotImplementedError(
            f'"{name.removesuffix("_ex")}_kernel_cpu" not implemented for '
            f"'{SCALAR_NAMES[a.dtype]}'"
        )


def _check_factor(input, hermitian) -> None:
    _check_matrices("ldl_factor_ex", input)


def _factor_strides(operands, hermitian):
    return [column_strides(operands[0].shape), None, None]


@op(public="", check=_check_factor, strides=_factor_strides, differentiable=False)
def linalg_ldl_factor_ex(input: Raw, hermitian: bool) -> tuple:
    """Return L and D in one matrix, the rows swapped, and a zero pivot's place.

    Swapped rows count from 1; a pair of negative ones marks a block of two in D.
    """
    shape = input.shape
    if not input.size:
        return input, jnp.zeros(shape[:-1], jnp.int32), jnp.zeros(shape[:-2], jnp.int32)
    matrices = input.reshape(-1, *shape[-2:])
    packed, pivots, info = jax.vmap(lambda a: _factor(a, hermitian))(matrices)
    return packed.reshape(shape), pivots.reshape(shape[:-1]), info.reshape(shape[:-2])


def _size(x):
    return abs(x.real) + abs(x.imag) if jnp.iscomplexobj(x) else abs(x)


def _factor(a, hermitian: bool):
    """Return what LAPACK's sytrf and hetrf do, ``a (n, n)`` given by its lower triangle."""
    count, conj = len(a), jnp.conj if hermitian else lambda x: x
    lower = jnp.tril(a, -1)
    diagonal = jnp.diagonal(a).real.astype(a.dtype) if hermitian else jnp.diagonal(a)
    places = jnp.arange(count, dtype=jnp.int32)

    def step(carry):
        k, a, pivots, info = carry
        swapped, pair, nothing = _pivot(a, k, places)
        a = _swapped(a, k, k + pair, swapped, places)
        single = _one(a, k, places, conj, nothing)
        a = jnp.where(pair, _two(a, jnp.minimum(k, count - 2), places, conj, hermitian), single)
        sign = jnp.where(pair, -1, 1)
        here = (places == k) | (pair & (places == k + 1))
        pivots = jnp.where(here, sign * (swapped + 1), pivots)
        info = jnp.where(nothing & (info == 0), k + 1, info)
        return k + 1 + pair, a, pivots, info

    start = (jnp.int32(0), lower + conj(lower).T + jnp.diag(diagonal), places, jnp.int32(0))
    _, a, pivots, info = lax.while_loop(lambda carry: carry[0] < count, step, start)
    return jnp.tril(a), pivots, info


def _pivot(a, k, places):
    """Return the row to swap with, whether two columns are taken, and whether column k is zero."""
    own = _size(a[k, k])
    column = jnp.where(places > k, _size(a[:, k]), 0)
    best = jnp.argmax(column).astype(jnp.int32)
    most = column[best]
    row = jnp.where((places >= k) & (places != best), _size(a[best]), 0).max()
    nothing = jnp.maximum(own, most) == 0
    stays = nothing | (own >= _ALPHA * most) | (own * row >= _ALPHA * most * most)
    pair = ~stays & (_size(a[best, best]) < _ALPHA * row)
    return jnp.where(stays, k, best), pair, nothing


def _swapped(a, k, one, other, places):
    """Return ``a`` with two rows and columns swapped, in what is left from ``k`` on."""
    order = jnp.where(places == one, other, jnp.where(places == other, one, places))
    left = places >= k
    return jnp.where(left[:, None] & left, a[order][:, order], a)


def _one(a, k, places, conj, nothing):
    """Return ``a`` with one column taken."""
    below = places > k
    pivot = jnp.where(nothing, 1, a[k, k])
    taken = jnp.where(below, a[:, k] / pivot, 0)
    rest = a - pivot * jnp.outer(taken, conj(taken))
    return jnp.where((places == k) & below[:, None], taken[:, None], rest)


def _two(a, k, places, conj, hermitian: bool):
    """Return ``a`` with two columns taken; they are scaled as LAPACK does, against overflow."""
    below = places > k + 1
    x, y = (jnp.where(below, a[:, i], 0) for i in (k, k + 1))
    b = a[k + 1, k]
    scale = jnp.abs(b).astype(a.dtype) if hermitian else b
    turn = b / scale
    d11, d22 = a[k + 1, k + 1] / scale, a[k, k] / scale
    factor = 1 / (d11 * d22 - 1) / scale
    first = factor * (d11 * x - turn * y)
    second = factor * (d22 * y - conj(turn) * x)
    rest = a - jnp.outer(x, conj(first)) - jnp.outer(y, conj(second))
    for at, taken in ((k, first), (k + 1, second)):
        rest = jnp.where((places == at) & below[:, None], taken[:, None], rest)
    return rest


def _check_solve(input, pivots, other, hermitian) -> None:
    _check_matrices("ldl_solve", input)
    if other.ndim < 2:
        raise no_dimension(-2, other.ndim)
    check_system("torch.linalg.ldl_solve", other, input)
    if pivots.shape != input.shape[:-1]:
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected LD.shape[:-1] and pivots.shape to be the same, but "
            f"got pivots with shape {list(pivots.shape)} instead"
        )
    if pivots.dtype.is_floating_point or pivots.dtype.is_complex:
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected pivots to be integers. "
            f"Got {SCALAR_NAMES[pivots.dtype]}"
        )


def _solve_strides(operands, hermitian):
    batch = np.broadcast_shapes(operands[0].shape[:-2], operands[2].shape[:-2])
    return column_strides((*batch, *operands[2].shape[-2:]))


@op(public="", check=_check_solve, strides=_solve_strides, differentiable=False)
def linalg_ldl_solve(input: Raw, pivots: Raw, other: Raw, hermitian: bool) -> jax.Array:
    """Return X of ``A @ X = other``, A given by the factors of :func:`linalg_ldl_factor_ex`."""
    batch = jnp.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    if not other.size:
        return jnp.zeros((*batch, *other.shape[-2:]), other.dtype)
    operands = [
        jnp.broadcast_to(x, batch + x.shape[len(x.shape) - own :]).reshape(-1, *x.shape[-own:])
        for x, own in ((input, 2), (pivots, 1), (other, 2))
    ]
    solved = jax.vmap(lambda a, p, b: _solve(a, p.astype(jnp.int32), b, hermitian))(*operands)
    return solved.reshape(*batch, *other.shape[-2:])


def _solve(a, pivots, b, hermitian: bool):
    """Return what LAPACK's sytrs and hetrs do: each column of L, and then each row, in turn."""
    count, conj = len(a), jnp.conj if hermitian else lambda x: x
    places = jnp.arange(count, dtype=jnp.int32)
    second = _second_of_pairs(pivots)
    first = (pivots < 0) & ~second
    lower = jnp.where((places == places[:, None] - 1) & first, 0, jnp.tril(a, -1))
    other = jnp.where(pivots > 0, pivots, -pivots) - 1

    def swapped(b, k):
        one = jnp.where(first[k], k + 1, k)
        order = jnp.where(places == one, other[k], jnp.where(places == other[k], one, places))
        return jnp.where(second[k], b, b[order])

    # the rows of a block are swapped before its first column is taken, and after its first row
    def down(k, b):
        b = swapped(b, k)
        return b - jnp.outer(lower[:, k], b[k])

    def up(i, b):
        k = count - 1 - i
        return swapped(b.at[k].add(-conj(lower[:, k]) @ b), k)

    b = lax.fori_loop(0, count, down, b)
    return lax.fori_loop(0, count, up, _solve_blocks(a, b, first, second, conj))


def _second_of_pairs(pivots):
    """Return which columns end a block of two; a negative pivot begins one or ends one."""

    def follow(before, pivot):
        now = (pivot < 0) & ~before
        return now, before

    return lax.scan(follow, jnp.bool_(False), pivots)[1]


def _solve_blocks(a, b, first, second, conj):
    """Return ``D^-1 @ b``, D having blocks of one and of two on its diagonal."""
    own = jnp.diagonal(a)
    below = jnp.append(jnp.diagonal(a, -1), 0) if len(a) else own
    after, before = (jnp.roll(b, step, 0) for step in (-1, 1))
    off = jnp.where(first, below, 1)
    scale = jnp.where(second, jnp.roll(off, 1), off)[:, None]
    partner = jnp.where(first, jnp.roll(own, -1), jnp.roll(own, 1))[:, None] / scale
    mixed = jnp.where(first[:, None], after, before)
    # [[d, conj(e)], [e, f]]^-1, scaled by e against overflow
    turned = conj(scale) / scale
    determinant = (own[:, None] / scale) * partner - turned
    weight = jnp.where(first[:, None], turned, 1)
    pair = (partner * b - weight * mixed) / determinant / scale
    return jnp.where((first | second)[:, None], pair, b / own[:, None])
