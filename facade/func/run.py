"""Trace a function of nested arguments: what the transformations have in common."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from facade.autograd.saved import disable_saved_tensors_hooks
from facade.func.trace import Input, Trace, Traced
from facade.func.trees import flatten, tensors_of, unflatten
from facade.tape import state
from facade.tensor import Tensor

REVERSE_MODE = frozenset({"grad", "jacrev", "vjp"})
_MUTATED = (
    "During a grad (vjp, jvp, grad, etc) transform, the function provided attempted to call "
    "in-place operation ({}) that would mutate a captured Tensor. This is not supported; please "
    "rewrite the function being transformed to explicitly accept the mutated Tensor(s) as inputs."
)
_HOOKS = (
    "torch.func.{grad, vjp, jacrev, hessian} don't yet support saved tensor hooks. Please open an "
    "issue with your use case."
)


class Call:
    """One call of a function whose arguments at some positions are differentiated.

    Attributes:
        wanted: The tensors that are differentiated with respect to.
        structure: Of the chosen arguments.
        randomness: What random functions do in it, as ``vmap`` is told.
    """

    randomness = "same"

    def __init__(self, transform: str, args: tuple, kwargs: dict, chosen: Sequence[int]) -> None:
        self.transform, self.args, self.kwargs, self.chosen = transform, args, kwargs, chosen
        self.wanted, self.structure = flatten([args[i] for i in chosen])
        for x in self.wanted:
            if not isinstance(x, Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")

    def trace(self, function: Callable, check: Callable) -> tuple[Traced, Any, Any]:
        """Run the function; return its trace, its result and what else it returned.

        Args:
            check: ``check(what the function returned) -> (result, auxiliary)``, which raises if
                they don't fit. Both are given with tensors of the trace in them.
        """
        tape = Trace(device_of(self.wanted), self.transform)
        tape.randomness = self.randomness
        leaf = self.transform in REVERSE_MODE
        hooks = disable_saved_tensors_hooks(_HOOKS) if leaf else nullcontext()
        inputs = [tape.placeholder(x._aval, x, Input(x._aval, leaf)) for x in self.wanted]
        args = list(self.args)
        for i, x in zip(self.chosen, unflatten(self.structure, inputs), strict=True):
            args[i] = x
        was, state.grad = state.grad, True
        try:
            with tape.recording(), hooks:
                result, aux = check(function(*args, **self.kwargs))
                args.clear()
                found = tensors_of((result, aux))
            written = self._written(tape, inputs)
            return Traced(tape, found, len(self.wanted), written), result, aux
        finally:
            state.grad = was
            tape.finish()

    def _written(self, tape: Trace, inputs: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return the arguments that the function wrote to, with what it wrote.

        Raises:
            RuntimeError: it wrote to something else from outside.
        """
        outside = tape.written_outside()
        given = {x._cell.storage for x in tensors_of((self.args, self.kwargs))}
        if not given.issuperset(x._cell for x, _ in outside):
            raise RuntimeError(_MUTATED.format(tape.first_write))
        pairs = zip(self.wanted, inputs, strict=True)
        return outside + [(x, tape.value_of(i._cell)) for x, i in pairs if i._cell.written]


def device_of(tensors: Sequence[Tensor]):
    """Return the device of the first tensor, or of the tape recorded on now."""
    return tensors[0].device if tensors else state.tape.device


def refill(tree: Any, values) -> Any:
    """Return ``tree`` with its tensors replaced, one after the other."""
    queue = iter(values)
    leaves, structure = flatten(tree)
    return unflatten(structure, [next(queue) if isinstance(x, Tensor) else x for x in leaves])


def argument_numbers(argnums: Any, count: int) -> tuple[int, ...]:
    """Return the positions that ``argnums`` means among ``count`` arguments.

    Raises:
        RuntimeError: they are no positions.
    """
    if not isinstance(argnums, int | tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    given = argnums if isinstance(argnums, tuple) else (argnums,)
    found = tuple(_argument_number(n, count) for n in given)
    if not found:
        raise RuntimeError("argnums must be non-empty")
    if len(set(found)) != len(found):
        raise RuntimeError(f"argnums elements must be unique, got {found}")
    return found


def _argument_number(n: Any, count: int) -> int:
    if not isinstance(n, int):
        raise RuntimeError(f"argnum must be int, got: {type(n)}")
    if not -count <= n < count:
        raise RuntimeError(f"Got argnum={n}, but only {count} positional inputs")
    return n % count


def with_auxiliary(api: str, has_aux: bool) -> Callable:
    """Return the function that parts ``(result, auxiliary)``.

    Raises:
        RuntimeError: (the function returned) there is no such pair.
    """

    def part(output):
        if not has_aux:
            return output, None
        if not (isinstance(output, tuple) and len(output) == 2):
            raise RuntimeError(
                f"{api}: output of function f should be a tuple: (output, aux) if has_aux is True"
            )
        return output

    return part


def check_outputs(outputs: list, api: str) -> None:
    """Check that a function returned tensors.

    Raises:
        RuntimeError: it returned something else, or nothing.
    """
    if not outputs or outputs == [None]:
        raise RuntimeError(
            f"{api}: Expected f to be a function that has non-empty output (got output = {outputs})"
        )
    for x in outputs:
        if not isinstance(x, Tensor):
            raise RuntimeError(
                f"{api}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(x)}"
            )
