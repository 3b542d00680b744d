"""Flax modules inside facade, and facade modules inside Flax; parameters keep their names."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx, traverse_util

from facade import functions
from facade.autograd.grad_mode import no_grad
from facade.interop.functions import call_jax
from facade.interop.pure import to_jax
from facade.nn.module import Module
from facade.nn.parameter import Parameter
from facade.tensor import Tensor

SEPARATOR = "."


def from_flax(module: Any, *example: Any, seed: int = 0, **options: Any) -> Module:
    """Return a Flax module as an ``nn.Module`` that a facade loop trains.

    Args:
        module: An NNX module, or a Linen module.
        example: Arguments a Linen module is initialised with.
        seed: Of a Linen module's parameters.
        options: Keyword arguments for a Linen module's initialisation.
    """
    if isinstance(module, linen.Module):
        variables = module.init(jax.random.key(seed), *map(_array, example), **options)
        return FromLinen(module, variables)
    return FromNNX(module)


def _array(x: Any) -> Any:
    return x.__jax_array__() if isinstance(x, Tensor) else x


class FlaxModule(Module):
    """A module whose parameters and buffers have the names of a Flax module's variables."""

    def _adopt(self, parameters: dict[str, Any], buffers: dict[str, Any]) -> None:
        """Register arrays; a dot in a name becomes a module of modules."""
        for name, array in parameters.items():
            owner, last = self._owner(name)
            owner.register_parameter(last, Parameter(Tensor._from_array(array)))
        for name, array in buffers.items():
            owner, last = self._owner(name)
            owner.register_buffer(last, Tensor._from_array(array))

    def _owner(self, name: str) -> tuple[Module, str]:
        owner: Module = self
        *path, last = name.split(SEPARATOR)
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, Module())
            owner = owner.get_submodule(part)
        return owner, last

    def _write(self, values: dict[str, Tensor]) -> None:
        buffers = dict(self.named_buffers())
        with no_grad():
            for name, value in values.items():
                buffers[name].copy_(value.detach())


def _names(tree: Any) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep=SEPARATOR)


def _nested(named: dict[str, Any]) -> Any:
    return traverse_util.unflatten_dict(named, sep=SEPARATOR)


# ---- Linen ----


class FromLinen(FlaxModule):
    """A Linen module. In training mode its other collections, such as batch statistics, change.

    Random layers get a key per call, drawn from facade's generator.
    """

    def __init__(self, module: linen.Module, variables: Any) -> None:
        super().__init__()
        self.flax_module = module
        others = {kind: tree for kind, tree in variables.items() if kind != "params"}
        self.collections = tuple(others)
        self._adopt(_names(variables.get("params", {})), _names(others))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        mutable = self.collections if self.training else ()
        seed = functions.randint(0, 2**31 - 1, ()) if self.training else None
        named = dict(self.named_parameters()), dict(self.named_buffers())
        result, changed = call_jax(
            _apply_linen, (self.flax_module, mutable, seed, *named, args, kwargs)
        )
        self._write(changed)
        return result


def _apply_linen(module, mutable: tuple, seed, parameters, buffers, args, kwargs):
    variables = {"params": _nested(parameters), **_nested(buffers)}
    rngs = None if seed is None else {"dropout": jax.random.key(seed)}
    result = module.apply(variables, *args, mutable=list(mutable) or False, rngs=rngs, **kwargs)
    result, changed = result if mutable else (result, {})
    return result, _names(changed)


# ---- NNX ----


class FromNNX(FlaxModule):
    """An NNX module; ``train()`` and ``eval()`` reach it."""

    def __init__(self, module: nnx.Module) -> None:
        super().__init__()
        self.flax_module = module
        _, parameters, others = nnx.split(module, nnx.Param, ...)
        self._adopt(_pure_names(parameters), _pure_names(others))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.flax_module.set_attributes(
            deterministic=not self.training, use_running_average=not self.training,
            raise_if_not_found=False,
        )  # fmt: skip
        graph, parameters, others = nnx.split(self.flax_module, nnx.Param, ...)
        trees = jax.tree_util.tree_structure(parameters), jax.tree_util.tree_structure(others)
        named = dict(self.named_parameters()), dict(self.named_buffers())
        paths = tuple(_paths(parameters)), tuple(_paths(others))
        result, changed = call_jax(
            _apply_nnx, (_Static((graph, trees, paths)), *named, args, kwargs)
        )
        if self.training:
            self._write(changed)
        return result


@jax.tree_util.register_static
class _Static:
    """What JAX is not to look into."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.value == other.value


def _apply_nnx(static: _Static, parameters, buffers, args, kwargs):
    graph, trees, paths = static.value
    states = []
    for named, tree, names in zip((parameters, buffers), trees, paths, strict=True):
        leaves = [_as_key(named[n]) if is_key else named[n] for n, is_key in names]
        states.append(jax.tree_util.tree_unflatten(tree, leaves))
    module = nnx.merge(graph, *states)
    result = module(*args, **kwargs)
    return result, _pure_names(nnx.state(module, nnx.Not(nnx.Param)))


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _as_key(x: Any) -> Any:
    return jax.random.wrap_key_data(x.astype(np.uint32))


def _paths(state: Any) -> list[tuple[str, bool]]:
    """Return per leaf its name, and whether it is a random key."""
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    return [(_name(path), _is_key(x)) for path, x in flat]


def _name(path: tuple) -> str:
    parts = [str(getattr(p, "key", getattr(p, "name", getattr(p, "idx", p)))) for p in path]
    return SEPARATOR.join(p for p in parts if p not in ("value", "raw_value"))


def _pure_names(state: Any) -> dict[str, Any]:
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    return {_name(p): jax.random.key_data(x) if _is_key(x) else x for p, x in flat}


# ---- facade modules in Flax ----


def to_linen(module: Module) -> linen.Module:
    """Return a Linen module that computes what ``module`` does, with its values to begin with.

    Buffers are the collection ``"buffers"``; make it mutable to have them updated.
    """
    apply, state = to_jax(module)
    return ToLinen(apply, _Static(state))


class ToLinen(linen.Module):
    """A facade module as a Linen module."""

    apply_module: Any
    start: Any

    @linen.compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        first = self.start.value
        parameters = {
            name: self.param(name, lambda _, n=name: first["parameters"][n])
            for name in first["parameters"]
        }
        held = {
            name: self.variable("buffers", name, lambda n=name: first["buffers"][n])
            for name in first["buffers"]
        }
        buffers = {name: variable.value for name, variable in held.items()}
        state = {"parameters": parameters, "buffers": buffers}
        result, state = self.apply_module(state, *args, **kwargs)
        if self.is_mutable_collection("buffers") and not self.is_initializing():
            for name, variable in held.items():
                variable.value = state["buffers"][name]
        return result


def to_nnx(module: Module) -> nnx.Module:
    """Return an NNX module that computes what ``module`` does, with its values to begin with."""
    return ToNNX(module)


class Buffer(nnx.Variable):
    """A buffer of a facade module."""


class ToNNX(nnx.Module):
    """A facade module as an NNX module; its variables have the parameters' names."""

    def __init__(self, module: Module) -> None:
        self.apply_module, state = to_jax(module)
        self.parameters = nnx.data({k: nnx.Param(x) for k, x in state["parameters"].items()})
        self.buffers = nnx.data({k: Buffer(x) for k, x in state["buffers"].items()})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = {
            "parameters": {k: v[...] for k, v in self.parameters.items()},
            "buffers": {k: v[...] for k, v in self.buffers.items()},
        }
        result, state = self.apply_module(state, *args, **kwargs)
        for name, variable in self.buffers.items():
            variable[...] = state["buffers"][name]
        return result
