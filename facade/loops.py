"""Run a JAX function again and again in one loop, keeping per iteration only what varies."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from facade.jaxprs import function_of


class View:
    """Rows of an array: row ``k`` lies at ``start + step * k``.

    Attributes:
        ends: Where the number of rows is known only when the program runs: how many there were when
            it was made, how many there are. Rows then count from the end that they were nearer to.
    """

    __slots__ = ("array", "ends", "start", "step")

    def __init__(self, array, start=0, step: int = 1, ends: tuple | None = None) -> None:
        self.array = array
        self.start = start
        self.step = step
        self.ends = ends

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.array.shape[1:]

    @property
    def dtype(self):
        return self.array.dtype

    def ending(self, had: int, has) -> "View":
        """Return the same rows, with ``ends``."""
        return View(self.array, self.start, self.step, (had, has))

    def row(self, k):
        """Return row ``k``, any index."""
        return lax.dynamic_index_in_dim(self.array, self.start + self.step * k, keepdims=False)

    def at(self, row: int):
        """Return one row, numbered as when the program was made."""
        return self.row(self._now(row))

    def part(self, first: int, step: int = 1) -> "View":
        """Return the rows from ``first`` on, ``step`` apart, numbered likewise."""
        return View(self.array, self.start + self.step * self._now(first, step), self.step * step)

    def _now(self, row: int, step: int = 1):
        if self.ends is None or not from_end(row, self.ends[0], step):
            return row
        return row - self.ends[0] + self.ends[1]

    def stacked(self, count: int):
        """Return the first ``count`` rows as an array."""
        if self.step == 1:
            return lax.dynamic_slice_in_dim(self.array, self.start, count)
        if self.step == -1:
            return lax.dynamic_slice_in_dim(self.array, self.start - count + 1, count)[::-1]
        return self.array[self.start + self.step * jnp.arange(count)]


def from_end(row: int, count: int, step: int = 1) -> bool:
    """Return whether a row, from which others follow ``step`` apart, counts from the end."""
    return step < 0 or 2 * row >= count


# repeat: ((fixed, rows, carried) -> (carried, results)), count -> (carried, [View | array])
def repeat(
    body: Callable, count, room: int, fixed: list, rows: list[View], carried: list
) -> tuple[list, list]:
    """Return what is carried after ``count`` iterations, and each result of all iterations.

    A result that is the same in every iteration comes back as an array, others as a view of what
    was kept of them. Nothing is kept twice, nor is what was a row or a carried value already.

    Args:
        body: Lists of arrays in, lists of arrays out. Traced once.
        count: A number, or a traced one of at most ``room``.
        fixed: What each iteration reads.
        rows: What each iteration reads one row of.
        carried: What an iteration leaves to the next; here what the first one reads.
    """
    traced = _Traced(body, fixed, rows, carried)
    same = traced.same_results(fixed)
    known: dict = dict(zip(traced.rows, rows, strict=True))
    keep, leading = traced.to_keep()
    buffers = []
    for x in keep:
        old = leading.get(x)
        buffer = jnp.zeros((room + (old is not None), *x.aval.shape), x.aval.dtype)
        if old is not None:
            buffer = buffer.at[0].set(carried[old])
        buffers.append(buffer)
    run = traced.function([*traced.new, *keep])
    first = [int(x in leading) for x in keep]

    def step(k, state):
        carried, buffers = state
        done = run(*fixed, *[v.row(k) for v in rows], *carried)
        return done[: len(carried)], [
            lax.dynamic_update_index_in_dim(buffer, x, k + at, 0)
            for buffer, x, at in zip(buffers, done[len(carried) :], first, strict=True)
        ]

    carried, buffers = lax.fori_loop(0, count, step, (carried, buffers))
    for x, buffer, at in zip(keep, buffers, first, strict=True):
        known[x] = View(buffer, at)
        if at:
            known[traced.carried[leading[x]]] = View(buffer)
    return carried, [known[x] if traced.varies(x) else next(same) for x in traced.results]


class _Traced:
    """A loop's body as a jaxpr.

    Attributes:
        rows, carried: Its variables for these inputs.
        new, results: For these outputs.
    """

    def __init__(self, body: Callable, fixed: list, rows: list[View], carried: list) -> None:
        inputs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (*fixed, *rows, *carried)]
        a, b = len(fixed), len(fixed) + len(rows)

        def flat(*values):
            new, results = body(values[:a], values[a:b], values[b:])
            # a carried value keeps its type; strong, too
            new = [lax.convert_element_type(x, y.dtype) for x, y in zip(new, carried, strict=True)]
            return [*new, *results]

        self.closed = jax.make_jaxpr(flat)(*inputs)
        jaxpr = self.closed.jaxpr
        self.inputs = inputs[a:]
        self.rows, self.carried = jaxpr.invars[a:b], jaxpr.invars[b:]
        self.new, self.results = jaxpr.outvars[: len(carried)], jaxpr.outvars[len(carried) :]
        self.varying = {*self.rows, *self.carried}
        for eqn in jaxpr.eqns:
            if any(map(self.varies, eqn.invars)):
                self.varying.update(eqn.outvars)

    def varies(self, x) -> bool:
        return not hasattr(x, "val") and x in self.varying  # literals have a value, and no hash

    def function(self, outputs: list, eqns=None) -> Callable:
        """Return the function from all inputs to these variables."""
        eqns = self.closed.jaxpr.eqns if eqns is None else eqns
        return function_of(self.closed, outvars=outputs, eqns=eqns)

    def same_results(self, fixed: list):
        """Iterate over the results that don't vary, computed outside the loop."""
        same = [x for x in self.results if not self.varies(x)]
        if not same:
            return iter(())
        eqns = [e for e in self.closed.jaxpr.eqns if not any(map(self.varies, e.outvars))]
        unused = [jnp.zeros(x.shape, x.dtype) for x in self.inputs]
        return iter(self.function(same, eqns)(*fixed, *unused))

    def to_keep(self) -> tuple[list, dict]:
        """Return the results to keep of each iteration.

        What enters an iteration has left the one before: where both are results, one buffer holds
        both, led by what the first iteration reads. Such results are also keys of the second value,
        which says what enters them.
        """
        wanted = {x: None for x in self.results if self.varies(x) and x not in self.rows}
        leading = {}
        for i, (x, new) in enumerate(zip(self.carried, self.new, strict=True)):
            if x in wanted and self.varies(new) and new in wanted and new not in leading:
                leading[new] = i
                del wanted[x]
        return list(wanted), leading
