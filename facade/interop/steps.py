"""A training step as a pure JAX function of its state."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from facade.capture import Capture
from facade.func.run import refill
from facade.func.trees import flatten
from facade.tensor import Tensor
from facade.watching import Seen

_ARRAYS = (jax.Array, np.ndarray)


def step_to_jax(function: Callable, example: tuple) -> tuple[Callable, Any]:
    """Return ``apply(state, *args) -> (result, state)`` and the state of a function.

    The state has what the function reads and writes outside: ``tensors`` (parameters, buffers,
    optimizer state), ``options`` (learning rates and such), ``counts`` of steps, and ``random``
    (the seed, and how many draws were made).

    Raises:
        RuntimeError: the function can't be run without its Python, or its optimizer has no state.
    """
    leaves, structure = flatten((example, {}))
    leaves = [Tensor._from_array(x) if isinstance(x, _ARRAYS) else x for x in leaves]
    capture = Capture(function, leaves, structure, Seen(), alone=True)
    capture.check_exportable()
    tensors = [at for at, x in enumerate(leaves) if isinstance(x, Tensor)]
    places = [tensors[at] for at in capture.places.values()]
    pure, tape, following = capture.traced.pure(), capture.tape, capture.next_state()
    numbers = [*map(np.float64, tape.floats), *map(np.int64, tape.ints)]
    held = capture.state()
    names = {id(x): i for i, x in held["tensors"].items()}

    def apply(state: Any, *args: Any) -> tuple[Any, Any]:
        given, _ = flatten((args, {}))
        now = {i: x for kind, xs in held.items() for i, x in zip(xs, state[kind], strict=True)}
        with jax.enable_x64(True):
            values = pure([given[at] for at in places], [*[now[i] for i in sorted(now)], *numbers])
            for i, (kind, by) in following.items():
                now[i] = values[by] if kind == "result" else now[i] + by
        computed = iter(values)

        def shown(source: Any) -> Any:
            if source is None:
                return next(computed)
            if isinstance(source, int):
                return given[tensors[source]]
            return now[names[id(source)]] if id(source) in names else _array(source)

        result = refill(capture.result, map(shown, capture.sources))
        return result, {kind: [now[i] for i in xs] for kind, xs in held.items()}

    return apply, {kind: [_array(x) for x in xs.values()] for kind, xs in held.items()}


def _array(x: Any) -> Any:
    return x.__jax_array__() if isinstance(x, Tensor) else np.asarray(x)


__all__ = ["step_to_jax"]
