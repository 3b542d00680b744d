"""Derivatives of functions: gradients, products with Jacobians, whole Jacobians."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from facade.func.identity import apply_to_identity
from facade.func.run import Call, argument_numbers, check_outputs, refill, with_auxiliary
from facade.func.trees import flatten, unflatten
from facade.tensor import Tensor


def grad_and_value(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False):
    """Return a function that computes ``(gradient, value)`` of ``func``.

    Args:
        argnums: The arguments the gradient is for: one, or a tuple for a tuple of gradients.
        has_aux: Whether ``func`` returns ``(value, auxiliary)``; the result is then
            ``(gradient, (value, auxiliary))``.
    """
    api = "grad_and_value(f)(*args)"
    part = with_auxiliary(api, has_aux)

    def check(output):
        value, aux = part(output)
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{api}: Expected f(*args) to return a Tensor, got {type(value)}")
        if value.dim() != 0:
            raise RuntimeError(
                f"{api}: Expected f(*args) to return a scalar Tensor, got tensor with "
                f"{value.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        return value, aux

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        chosen = argument_numbers(argnums, len(args))
        call = Call("grad", args, kwargs, chosen)
        traced, value, aux = call.trace(func, check)
        count = len(call.wanted)
        found = traced.record(_gradient, (count,), tuple(call.wanted))
        value, aux = refill((value, aux), found[count:])
        gradients = unflatten(call.structure, found[:count])
        gradients = tuple(gradients) if isinstance(argnums, tuple) else gradients[0]
        return gradients, (value, aux) if has_aux else value

    return wrapper


def grad(func: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Return a function that computes the gradient of ``func``.

    Args:
        argnums, has_aux: As for :func:`grad_and_value`; with ``has_aux`` the result is
            ``(gradient, auxiliary)``.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapper


def _gradient(pure, count: int) -> Callable:
    def grad(*flat):
        inputs, rest = flat[:count], flat[count:]

        def of(wanted):
            results = pure(wanted, rest)
            return _real(results[0]), results

        gradients, results = jax.grad(of, has_aux=True, allow_int=True)(inputs)
        return (*map(_own, gradients, inputs), *results)

    return grad


def _real(x):
    return x.real if jnp.iscomplexobj(x) else x


def _own(gradient, x):
    """Return a gradient in PyTorch's convention: conjugate, and 0 for whole numbers."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return jnp.zeros_like(x)
    return jnp.conj(gradient)


# ---- products with the Jacobian ----


def _outputs_check(api: str, has_aux: bool) -> Callable:
    part = with_auxiliary(api, has_aux)

    def check(output):
        result, aux = part(output)
        check_outputs(flatten(result)[0], api)
        return result, aux

    return check


def vjp(func: Callable, *primals, has_aux: bool = False):
    """Return ``func(*primals)`` and a function that multiplies cotangents with its Jacobian.

    Args:
        has_aux: Whether ``func`` returns ``(result, auxiliary)``; the latter comes third then.
    """
    call = Call("vjp", primals, {}, range(len(primals)))
    traced, output, aux = call.trace(func, _outputs_check("vjp(f, *primals)", has_aux))
    leaves, structure = flatten(output)
    for x in leaves:
        if not (x.is_floating_point() or x.is_complex()):
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                f"Tensor with dtype {x.dtype}"
            )
    wanted, count = tuple(call.wanted), len(call.wanted)
    output, aux = refill((output, aux), traced.record(_values, (count,), wanted))

    def pull(cotangents, retain_graph: bool = True, create_graph: bool | None = None):
        given, shape = flatten(cotangents)
        if shape != structure:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {shape}, primal output: {structure}"
            )
        found = traced.record(_pulled, (count, len(given)), (*wanted, *given))
        return tuple(unflatten(call.structure, found[:count]))

    return (output, pull, aux) if has_aux else (output, pull)


def _values(pure, count: int) -> Callable:
    def values(*flat):
        return tuple(pure(flat[:count], flat[count:]))

    return values


def _pulled(pure, count: int, given: int) -> Callable:
    def vjp(*flat):
        inputs, cotangents, rest = flat[:count], flat[count : count + given], flat[count + given :]
        results, pull, values = jax.vjp(_with_values(pure, rest, given), *inputs, has_aux=True)
        seeds = [jnp.conj(c.astype(r.dtype)) for c, r in zip(cotangents, results, strict=True)]
        return (*map(_own, pull(tuple(seeds)), inputs), *values)

    return vjp


_JVP = "jvp(f, primals, tangents)"


def jvp(
    func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
):
    """Return ``func(*primals)`` and the Jacobian's product with the tangents.

    Args:
        strict: Raise if a result doesn't depend on the primals.
        has_aux: Whether ``func`` returns ``(result, auxiliary)``; the latter comes third then.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{_JVP}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    given, shape = flatten(tangents)
    flat, structure = flatten(primals)
    if shape != structure:
        raise RuntimeError(
            f"{_JVP}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {structure} and tangents with structure {shape}"
        )
    for name, tensors in (("primals", flat), ("tangents", given)):
        _check_tensors(tensors, name)
    call = Call("jvp", primals, {}, range(len(primals)))
    traced, output, aux = call.trace(func, _outputs_check(_JVP, has_aux))
    count, results = len(flat), len(flatten(output)[0])
    if strict and not all(traced.tracked[:results]):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. "
            "This is not allowed with strict=True."
        )
    found = traced.record(_pushed, (count, results), (*flat, *given))
    tangents = refill(output, found[:results])
    output, aux = refill((output, aux), found[results:])
    return (output, tangents, aux) if has_aux else (output, tangents)


def _check_tensors(tensors: list, name: str) -> None:
    if not tensors:
        raise RuntimeError(f"{_JVP}: Expected {name} to contain at least one Tensor.")
    for x in tensors:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"{_JVP}: Expected {name} to only contain Tensors, got {type(x)}")


def _pushed(pure, count: int, results: int) -> Callable:
    def jvp(*flat):
        inputs, tangents, rest = flat[:count], flat[count : 2 * count], flat[2 * count :]
        seeds = [t.astype(x.dtype) for t, x in zip(tangents, inputs, strict=True)]
        values, moved = jax.jvp(lambda *x: pure(x, rest), inputs, tuple(seeds))
        return (*moved[:results], *values)

    return jvp


def linearize(func: Callable, *primals):
    """Return ``func(*primals)`` and the function that multiplies its Jacobian with tangents."""
    call = Call("linearize", primals, {}, range(len(primals)))
    traced, output, _ = call.trace(func, _outputs_check("linearize(f, *primals)", False))
    wanted, count = tuple(call.wanted), len(call.wanted)
    results = len(flatten(output)[0])
    value = refill(output, traced.record(_values, (count,), wanted))

    def push(*tangents):
        given, shape = flatten(list(tangents))
        if shape != call.structure:
            raise RuntimeError(
                f"Expected the tangents {shape} to have the structure of the primals "
                f"{call.structure}"
            )
        return refill(output, traced.record(_pushed, (count, results), (*wanted, *given))[:results])

    return value, push


# ---- Jacobians ----


def _jacobian(
    api: str, mode: Callable, func, argnums, has_aux: bool, chunk_size: int | None = None,
    randomness: str = "same",
) -> Callable:  # fmt: skip
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        _refuse_complex(api, args, "inputs")
        chosen = argument_numbers(argnums, len(args))
        call = Call(api, args, kwargs, chosen)
        call.randomness = randomness
        inner = "vjp(f, *primals)" if api == "jacrev" else _JVP
        traced, output, aux = call.trace(func, _outputs_check(inner, has_aux))
        _refuse_complex(api, output, "outputs")
        count, leaves = len(call.wanted), flatten(output)[0]
        found = traced.record(mode, (count, len(leaves), chunk_size), tuple(call.wanted))
        rows = [found[i * count : (i + 1) * count] for i in range(len(leaves))]
        matrices = [unflatten(call.structure, row) for row in rows]
        matrices = [tuple(m) if isinstance(argnums, tuple) else m[0] for m in matrices]
        result = refill(output, matrices)
        if not has_aux:
            return result
        return result, refill((output, aux), found[count * len(leaves) :])[1]

    return wrapper


def _refuse_complex(api: str, tree, which: str) -> None:
    for i, x in enumerate(flatten(tree)[0]):
        if isinstance(x, Tensor) and x.is_complex():
            raise RuntimeError(
                f"{api}: Expected all {which} to be real but received complex tensor at flattened "
                f"input idx: {i}"
            )


def jacrev(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable:
    """Return a function that computes the Jacobian of ``func`` row by row, in reverse mode.

    Args:
        argnums, has_aux: As for :func:`grad`.
        chunk_size: How many rows are computed at once; all unless given.
    """
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")
    return _jacobian("jacrev", _by_rows, func, argnums, has_aux, chunk_size)


def jacfwd(
    func: Callable,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable:
    """Return a function that computes the Jacobian of ``func`` column by column, in forward mode.

    Args:
        argnums, has_aux: As for :func:`grad`.
        randomness: Unless "error", what ``func`` draws is the same for all columns.
    """
    return _jacobian("jacfwd", _by_columns, func, argnums, has_aux, None, randomness)


def hessian(func: Callable, argnums: int | tuple[int, ...] = 0) -> Callable:
    """Return a function that computes the matrix of second derivatives of ``func``."""
    return jacfwd(jacrev(func, argnums), argnums)


def _by_rows(pure, count: int, outputs: int, chunk_size: int | None) -> Callable:
    def jacrev(*flat):
        inputs, rest = flat[:count], flat[count:]
        results, pull, values = jax.vjp(_with_values(pure, rest, outputs), *inputs, has_aux=True)
        matrices = []
        for i, result in enumerate(results):
            zeros = [jnp.zeros_like(r) for r in results]

            def one(seed, i=i, zeros=zeros):
                return pull((*zeros[:i], seed, *zeros[i + 1 :]))

            for rows, x in zip(apply_to_identity(one, result, chunk_size), inputs, strict=True):
                matrices.append(rows.reshape(result.shape + x.shape))
        return (*matrices, *values)

    return jacrev


def _with_values(pure, rest, outputs: int) -> Callable:
    def of(*inputs):
        values = pure(inputs, rest)
        return tuple(values[:outputs]), values

    return of


def _by_columns(pure, count: int, outputs: int, _) -> Callable:
    def jacfwd(*flat):
        inputs, rest = flat[:count], flat[count:]
        of = _with_values(pure, rest, outputs)
        results, push, values = jax.linearize(of, *inputs, has_aux=True)
        matrices: list = [None] * (outputs * count)
        for j, x in enumerate(inputs):
            zeros = [jnp.zeros_like(other) for other in inputs]

            def one(seed, j=j, zeros=zeros):
                return push(*zeros[:j], seed, *zeros[j + 1 :])

            for i, columns in enumerate(apply_to_identity(one, x)):
                matrix = jnp.moveaxis(columns, 0, -1)
                matrices[i * count + j] = matrix.reshape(results[i].shape + x.shape)
        return (*matrices, *values)

    return jacfwd
