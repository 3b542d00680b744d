"""torch.utils.checkpoint: keep less for backward by computing it again there."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax import lax

from facade import autograd
from facade.autograd.engine import SECOND_TIME, Task
from facade.autograd.forward_ad import is_level_open
from facade.autograd.function import Function
from facade.autograd.grad_mode import enable_grad, no_grad
from facade.autograd.saved import without_hooks
from facade.devices import CPU, META
from facade.graph import AccumulateGrad, PythonNode
from facade.nn.containers import Sequential
from facade.random import default_generator, generator_of
from facade.recording import record_function, wrap
from facade.tape import state
from facade.tensor import Tensor
from facade.utils.selective import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)


class CheckpointError(RuntimeError):
    """The function did something else when it ran again."""


def noop_context_fn() -> tuple:
    """Return two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Return ``function(*args, **kwargs)``; ``backward()`` runs the function once more.

    Nothing that the function computes on its way is kept until then. Both runs are part of the same
    program, held apart by a barrier that the compiler doesn't look across.

    Args:
        use_reentrant: True: the second run gets a graph of its own, as in PyTorch's older variant.
        preserve_rng_state: Whether the second run draws the same random numbers; True unless given.
        context_fn: Returns a context for either run.
        determinism_check: "default" compares the ops of both runs, their shapes and dtypes.
        debug: Whether an error lists the ops of both runs.
        early_stop: Accepted: the compiler leaves out what the second run needn't compute.
    """
    if use_reentrant is None:
        warnings.warn(_EXPLICITLY, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if not use_reentrant:
        if determinism_check not in ("default", "none"):
            raise ValueError(
                f"determinism_check should be one of ['default', 'none'], but got "
                f"{determinism_check}"
            )
        compare = None
        if determinism_check == "default":
            compare = _Comparison(debug if _settings.debug is None else _settings.debug)
        return _checkpoint(function, args, kwargs, preserve, context_fn, compare)
    if _is_traced():
        return _checkpoint(function, args, kwargs, preserve, noop_context_fn, None)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if context_fn is not noop_context_fn or debug is not False:
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    return CheckpointFunction.apply(function, preserve, *args)


def _is_traced() -> bool:
    """Return whether JAX differentiates what is recorded now, so that no ``backward()`` comes.

    The transformations of ``func`` have their own word for the reentrant variant.
    """
    plain = "to_jax" if state.tape.pure else "jit"
    return getattr(state.tape, "transform", plain) in ("to_jax", "cond", "while_loop", "scan")


def checkpoint_sequential(functions, segments: int, input, use_reentrant=None, **kwargs):
    """Run functions one after the other, each of ``segments`` parts but the last checkpointed."""
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            "passed. use_reentrant=False is recommended, but if you need to preserve the current "
            "default behavior, you can pass use_reentrant=True. Refer to docs for more details on "
            "the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children() if isinstance(functions, Sequential) else functions)
    size = len(functions) // segments
    last = size * (segments - 1)
    for start in range(0, last, size):
        part = functions[start : start + size]
        input = checkpoint(
            _in_a_row(part), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return _in_a_row(functions[last:])(input)


_EXPLICITLY = (
    "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting "
    "in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception. "
    "use_reentrant=False is recommended, but if you need to preserve the current default behavior, "
    "you can pass use_reentrant=True. Refer to docs for more details on the differences between "
    "the two variants."
)


def _in_a_row(functions: list) -> Callable:
    def run(input):
        for function in functions:
            input = function(input)
        return input

    return run


# ---- the second run ----------------------------------------------------------------------------


def _barrier(*arrays):
    return lax.optimization_barrier(arrays)


def barrier(tensors: list[Tensor]) -> list[Tensor]:
    """Return the same values, of which the compiler does not know that they are.

    All of them are there once all are computed: what is computed from an input here waits for the
    cotangents, so it takes no memory before its turn in the backward.
    """
    return list(record_function(_barrier, tuple(tensors))) if tensors else []


class _Surroundings:
    """What a function reads besides its arguments: random states, and whether autocast is on."""

    def __init__(self, tensors: list[Tensor], preserve: bool) -> None:
        devices = dict.fromkeys(t.device for t in tensors) if preserve else ()
        self.generators = [default_generator] if preserve else []
        self.generators += [generator_of(d) for d in devices if d not in (CPU, META)]
        self.states = [g.get_state() for g in self.generators]
        self.autocast = state.autocast

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """Have everything as it was, and put it back afterwards."""
        states = [g.get_state() for g in self.generators]
        autocast, state.autocast = state.autocast, self.autocast
        try:
            for generator, was in zip(self.generators, self.states, strict=True):
                generator.set_state(was)
            yield
        finally:
            state.autocast = autocast
            for generator, was in zip(self.generators, states, strict=True):
                generator.set_state(was)


class CheckpointFunction(Function):
    """The reentrant variant: ``backward()`` calls ``backward()``."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        tensors = [x for x in args if isinstance(x, Tensor)]
        if not any(x.requires_grad for x in tensors):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4
            )
        ctx.run_function = run_function
        ctx.surroundings = _Surroundings(tensors, preserve_rng_state)
        ctx.inputs = [None if isinstance(x, Tensor) else x for x in args]
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
        ctx.save_for_backward(*tensors)
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *gradients):
        if Task.current().targets is not None:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        saved = ctx.saved_tensors
        values = barrier([x.detach() for x in (*saved, *gradients)])
        inputs = list(ctx.inputs)
        for i, x, old in zip(ctx.places, values, saved, strict=False):
            inputs[i] = x.requires_grad_(old.requires_grad)
        with ctx.surroundings.again(), enable_grad():
            results = ctx.run_function(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        pairs = [
            (x, g)
            for x, g in zip(results, values[len(saved) :], strict=True)
            if isinstance(x, Tensor) and x.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        outputs, weights = zip(*pairs, strict=True)
        autograd.backward(outputs, weights)
        return None, None, *(x.grad if isinstance(x, Tensor) else None for x in inputs)


def _checkpoint(function, args, kwargs, preserve: bool, context_fn, compare: Any):
    """Run the function, and put one node in the place of the graph that this makes."""
    first, second = context_fn()
    inputs, tree = _flat((args, kwargs))
    places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    surroundings = _Surroundings([inputs[i] for i in places], preserve)
    start = PythonNode((), ()).sequence
    with first, without_hooks():  # the second run saves again
        result = function(*args, **kwargs)
    flat, result_tree = _flat(result)
    tracked = [i for i, x in enumerate(flat) if _made_since(x, start)]
    if not tracked or is_level_open():  # tangents are computed along the graph
        return result

    def again(cotangents: list[Tensor], create_graph: bool):
        given = [inputs[i] for i in places]
        if create_graph:  # apart, or the cotangents would be part of the results' graph
            values, held = barrier(given), cotangents
        else:
            values = barrier([x.detach() for x in (*given, *cotangents)])
            values, held = values[: len(given)], values[len(given) :]
            for x, old in zip(values, given, strict=True):
                x.requires_grad_(old.requires_grad)
        replaced = list(inputs)
        for i, x in zip(places, values, strict=True):
            replaced[i] = x
        new_args, new_kwargs = jax.tree.unflatten(tree, replaced)
        begin = PythonNode((), ()).sequence
        with surroundings.again(), enable_grad(), second:
            results, _ = _flat(function(*new_args, **new_kwargs))
        if compare is not None:
            compare(made, _made_by([results[i] for i in tracked], begin))
        # an input that required grad is a leaf of the second graph
        leaves = [
            ((old._node, old._number), (new._node, new._number))
            for old, new in zip(given, values, strict=True)
            if old.requires_grad and not create_graph
        ]
        return [results[i] for i in tracked], held, leaves

    roots = [flat[i] for i in tracked]
    made = _made_by(roots, start)
    node = CheckpointBackward(again, _edges_leaving(roots, start), roots)
    for number, i in enumerate(tracked):
        flat[i] = wrap(flat[i].detach()._cell, flat[i]._aval, node, number)
    return jax.tree.unflatten(result_tree, flat)


class CheckpointBackward(PythonNode):
    """Stands for the graph of a function that backward runs again.

    Attributes:
        again: Runs it: ``(cotangents, create_graph)`` -> its results, the cotangents to use, and
            for each input that required grad its edge and the one that stands for it.
    """

    def __init__(self, again: Callable, edges: tuple, results: list[Tensor]) -> None:
        super().__init__(edges, tuple(x._aval for x in results))
        self.again: Callable | None = again

    def release(self) -> None:
        self.again = None

    def backward(self, cotangents: list, create_graph: bool) -> list:
        if self.again is None:
            raise RuntimeError(SECOND_TIME)
        present = [i for i, c in enumerate(cotangents) if c is not None]
        results, held, leaves = self.again([cotangents[i] for i in present], create_graph)
        roots = [(results[i]._node, results[i]._number) for i in present]
        targets = dict.fromkeys([*self.edges, *(new for _, new in leaves)])
        Task(create_graph, create_graph, targets).run(roots, held)
        for old, new in leaves:
            parts = [g for g in (targets[old], targets[new]) if g is not None]
            targets[old] = sum(parts[1:], parts[0]) if parts else None
        return [targets[edge] for edge in self.edges]


def _flat(tree) -> tuple[list, Any]:
    return jax.tree.flatten(tree, is_leaf=lambda x: x is None or isinstance(x, Tensor))


def _made_since(x, start: int) -> bool:
    return isinstance(x, Tensor) and x.requires_grad and x._node.sequence > start


def _edges_leaving(roots: list[Tensor], start: int) -> tuple:
    """Return the edges by which the graph made since ``start`` reads what was there before."""
    leaving: dict[tuple, None] = {}
    stack = [x._node for x in roots]
    seen = set(stack)
    while stack:
        for edge in filter(None, stack.pop().edges):
            if type(edge[0]) is AccumulateGrad or edge[0].sequence <= start:
                leaving[edge] = None
            elif edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return tuple(leaving)


def _made_by(roots: list[Tensor], start: int) -> list[tuple]:
    """Return what the graph since ``start`` consists of: each node's name and results."""
    found: set[Any] = {x._node for x in roots if _made_since(x, start)}
    stack = list(found)
    while stack:
        for edge in filter(None, stack.pop().edges):
            inside = type(edge[0]) is not AccumulateGrad and edge[0].sequence > start
            if inside and edge[0] not in found:
                found.add(edge[0])
                stack.append(edge[0])
    nodes = sorted(found, key=lambda node: node.sequence)
    return [(node.name(), node.outputs) for node in nodes]


class _Comparison(NamedTuple):
    """Compares what two runs have made."""

    debug: bool

    def __call__(self, first: list[tuple], second: list[tuple]) -> None:
        """Raise CheckpointError if they have not made the same."""
        lists = ""
        if self.debug:
            names = ["\n".join(name for name, _ in made) for made in (first, second)]
            lists = f"\nOperations of the forward pass:\n{names[0]}\nOf the second:\n{names[1]}"
        pairs = enumerate(zip(first, second, strict=False))
        unlike = [(i, a, b) for i, (a, b) in pairs if _described(a) != _described(b)]
        if len(second) < len(first) or (len(second) > len(first) and not unlike):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of operations during forward: "
                f"{len(first)}\nNumber of operations during recomputation: {len(second)}.{lists}"
            )
        if unlike:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n"
                + "".join(
                    f"tensor at position {i}:\nsaved metadata: {_described(a)}\n"
                    f"recomputed metadata: {_described(b)}\n"
                    for i, a, b in unlike
                )
                + lists
            )


def _described(made: tuple) -> dict:
    aval = made[1][0]
    return {"shape": aval.size, "dtype": aval.dtype}


class _Settings:
    """What blocks around a checkpoint decide, None where it is left to the call."""

    debug: bool | None = None


_settings = _Settings()


class set_checkpoint_debug_enabled:
    """Say whether errors list the ops of both runs; None leaves it to each checkpoint."""

    def __init__(self, enabled: bool | None) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.previous, _settings.debug = _settings.debug, self.enabled

    def __exit__(self, *exception: object) -> None:
        _settings.debug = self.previous


class set_checkpoint_early_stop:
    """Accepted: the compiler leaves out what the second run needn't compute."""

    def __init__(self, enable: bool) -> None:
        self.enable = enable

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None: ...


def check_backward_validity(inputs) -> None:
    """Warn if no input requires grad."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )


def detach_variable(inputs: tuple) -> tuple:
    """Return the inputs, tensors detached and requiring grad as before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs
    )


__all__ = [
    "CheckpointError", "CheckpointFunction", "CheckpointPolicy", "SelectiveCheckpointContext",
    "check_backward_validity", "checkpoint", "checkpoint_sequential",
    "create_selective_checkpoint_contexts", "detach_variable", "noop_context_fn",
    "set_checkpoint_debug_enabled", "set_checkpoint_early_stop",
]  # fmt: skip
