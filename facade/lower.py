"""Turn a tape into a pure JAX function: single instructions and loops, one after the other."""

import contextlib
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from facade.loops import View, repeat
from facade.outline import Outline
from facade.pullback import Pull, linearize, pull_back
from facade.reroll import Fixed, Inner, Rows, Run
from facade.tape import ABSENT, FLOAT, INT, LEAF, SLOT

MANY = 8  # operands or results of equal shape that are kept as rows of one array


# lower: code -> ((leaves, floats, ints) -> (values of the slots, pullback per saved instruction))
def lower(code, wanted, saved: dict[int, int], lengths: Any = None):
    """Return the pure function that a tape's code stands for.

    Instructions that no result needs are left out, so an op that can't be lowered harms only what
    depends on it. What repeats becomes a loop. An exception carries the index of its instruction as
    ``instruction``.

    Args:
        code: ``(entry, references, edges)`` per instruction.
        wanted: The slots whose values are results.
        saved: Instructions whose pullback is wanted as a result, with their masks.
        lengths: The :class:`facade.lengths.Lengths` of the tape, if the function is for any
            lengths. Numbers are packed as they say.
    """
    outline = Outline(code, wanted, saved)
    items = _plan(outline, wanted, saved, lengths)

    def run(leaves, floats, ints):
        values = _Values(leaves, floats, ints, lengths)
        for item in items:
            item.apply(values)
        results = {slot: values.read(slot << 2 | SLOT) for slot in wanted}
        return results, [values.pull(i) for i in saved]

    return run


def _plan(outline: Outline, wanted, saved: dict[int, int], lengths) -> list:
    """Return what is to be done, in order: single instructions and loops."""
    runs = outline.runs() if lengths is None else lengths.runs
    other = {} if lengths is None else lengths.entries
    order = outline.order
    code = {i: (other.get(i, outline.code[i][0]), outline.code[i][1]) for i in order}
    loops = [_Loop(outline, code, run, number) for number, run in enumerate(runs)]
    in_loops = set(saved).union(*(loop.pulls for loop in loops))
    wide = {i for i in order if i not in in_loops and _is_wide(code[i][0])}
    items: list = []
    at = 0
    for loop in [*loops, None]:
        stop = len(order) if loop is None else loop.run.start
        for i in order[at:stop]:
            entry, refs = code[i]
            of_wide = type(entry) is Pull and refs[0] in wide
            kind = _Wide if i in wide or of_wide else _Single
            mask = entry.mask if type(entry) is Pull else outline.masks.get(i)
            items.append(kind(i, entry, refs, outline.firsts[i], mask))
        if loop is not None:
            items.append(loop)
            at = loop.run.stop
    read = {slot << 2 | SLOT for slot in wanted}.union(*(item.reads for item in items))
    pulled = set(saved).union(*(item.pulls for item in items))
    for loop in loops:
        loop.keep(read, pulled)
    return items


class _Values:
    """What is known while a tape is lowered.

    Attributes:
        slots: Slot -> its value, or ``(view, row)``.
        pulls: Instruction -> its pullback, or ``(tree, residuals, row)`` in a loop, where a
            residual is a view, or an array if it is the same in every iteration.
    """

    def __init__(self, leaves, floats, ints, lengths) -> None:
        self.leaves = leaves
        self.numbers = {FLOAT: View(floats), INT: View(ints)}
        self.ints, self.lengths = ints, lengths
        self.slots: dict = {}
        self.pulls: dict = {}

    def place(self, ref: int):
        """Return what a reference stands for: an array, or ``(view, row)``."""
        kind, index = ref & 3, ref >> 2
        if kind == SLOT:
            return self.slots[index]
        if kind == LEAF:
            return self.leaves[index]
        at = index if self.lengths is None else self.lengths.places[kind][index]
        return self.numbers[kind], at

    def size(self, number: int, count: int):
        """Return a length: how much this tape has, how much there is room for."""
        if self.lengths is None:
            return count, count
        at = self.lengths.first_size + number
        return lax.index_in_dim(self.ints, at, keepdims=False), self.lengths.rooms[number]

    def read(self, ref: int) -> Any:
        if ref == ABSENT:
            return None
        found = self.place(ref)
        return found[0].at(found[1]) if type(found) is tuple else found

    def rows(self, refs) -> View:
        """Return these values as rows."""
        return _joined([self.place(ref) for ref in refs])

    def pull(self, i: int):
        found = self.pulls[i]
        if type(found) is not tuple:
            return found
        tree, residuals, row = found
        leaves = [x.at(row) if type(x) is View else x for x in residuals]
        return jax.tree_util.tree_unflatten(tree, leaves)

    def pull_rows(self, instructions) -> tuple:
        """Return the tree of these pullbacks, which are of one loop, and their residuals."""
        tree, residuals, _ = self.pulls[instructions[0]]
        rows = [self.pulls[i][2] for i in instructions]
        return tree, [
            _joined([(x, row) for row in rows]) if type(x) is View else x for x in residuals
        ]


def _joined(places: list) -> View:
    """Return values, each an array or ``(view, row)``, as rows; in place if they lie in a row."""
    pieces = []
    for view, group in itertools.groupby(places, lambda p: p[0] if type(p) is tuple else None):
        if view is None:
            pieces.append(jnp.stack(list(group)))
            continue
        rows = [row for _, row in group]
        steps = {b - a for a, b in itertools.pairwise(rows)} or {1}
        if len(steps) == 1:
            part = view.part(rows[0], steps.pop())
            if len(rows) == len(places):
                return part
            pieces.append(part.stacked(len(rows)))
        else:
            pieces.append(jnp.stack([view.at(row) for row in rows]))
    return View(jnp.concatenate(pieces) if len(pieces) > 1 else pieces[0])


class _Single:
    """One instruction, done once.

    Attributes:
        reads: The references to its operands.
        pulls: The instruction that it pulls back through, if it is a pull.
    """

    def __init__(self, i: int, entry, refs, first: int, mask: Any) -> None:
        self.i, self.entry, self.first, self.mask = i, entry, first, mask
        count = type(entry) is Pull
        self.pulls, self.reads = refs[:count], refs[count:]

    def apply(self, values: _Values) -> None:
        with _naming(self.i, self.entry):
            values.slots.update(enumerate(self.results(values), self.first))

    def results(self, values: _Values):
        operands = [values.read(r) for r in self.reads]
        pull = values.pull(self.pulls[0]) if self.pulls else None
        results, made = _do(self.entry, self.mask, operands, pull)
        if made is not None:
            values.pulls[self.i] = made
        return results


def _do(entry, mask: int | None, operands: list, pull) -> tuple:
    """Return the results of an instruction, and its pullback if there is a mask."""
    if type(entry) is Pull:
        return pull_back(entry.forward, pull, operands), None
    return (entry.fn(*operands), None) if mask is None else linearize(entry, mask, operands)


@contextlib.contextmanager
def _naming(i: int, entry):
    """Give an instruction's name and index to what XLA makes of it, and its index to an exception.

    A profiler finds the instruction by them, so a program is the same with and without one.
    """
    try:
        with jax.named_scope(f"{entry.name}.{i}"):
            yield
    except Exception as error:
        error.instruction = i  # type: ignore[attr-defined]
        raise


class _Loop:
    """Instructions that repeat, as one loop."""

    def __init__(self, outline: Outline, code: dict, run: Run, number: int) -> None:
        self.run, self.number, self.firsts = run, number, outline.firsts
        order = outline.order
        self.order = order[run.start : run.stop]
        self.block = [(i, code[i][0], outline.masks.get(i)) for i in self.order[: run.period]]
        sources = {s: None for operands in run.operands for s in operands}
        self.fixed = [s for s in sources if type(s) is Fixed and s.ref != ABSENT]
        self.rows = [s for s in sources if type(s) is Rows]
        self.carried = [s for s in sources if type(s) is Inner and s.lag]
        # index of a pull -> the instruction it goes back through, per iteration
        self.forwards = {
            index: [order[p] for p in (f.refs if type(f) is Rows else (f.ref,) * run.count)]
            for index, f in enumerate(run.forwards)
            if type(f) in (Fixed, Rows)
        }
        self.reads = [s.ref for s in self.fixed]
        self.reads += [r for s in self.rows for r in s.refs]
        self.reads += [r for s in self.carried for r in s.initial]
        self.pulls = [i for f in self.forwards.values() for i in f]

    def keep(self, read: set, pulled: set) -> None:
        """Note what is read from outside.

        Attributes:
            last: Results of which the last iteration's is read: ``(index, number)``.
            every: Results of which others are read, too.
            kept_pulls: Indices of the instructions that are pulled back through.
        """
        self.last, self.every, self.kept_pulls = [], [], []
        for index, (_, entry, _) in enumerate(self.block):
            instructions = self._instructions(index)
            if not pulled.isdisjoint(instructions):
                self.kept_pulls.append(index)
            for number in range(len(entry.outputs)):
                found = [self.firsts[i] + number << 2 | SLOT in read for i in instructions]
                if any(found[:-1]):
                    self.every.append((index, number))
                elif found[-1]:
                    self.last.append((index, number))

    def apply(self, values: _Values) -> None:
        fixed = [values.read(s.ref) for s in self.fixed]
        rows = [values.rows(s.refs) for s in self.rows]
        pulls = self._pulls(values, fixed, rows)
        trees: list = []
        count, room = values.size(self.number, self.run.count)
        body = functools.partial(self._iteration, pulls, trees)
        carried, results = repeat(body, count, room, fixed, rows, self._initial(values))
        if values.lengths is not None:
            ends = self.run.count, count
            results = [x.ending(*ends) if type(x) is View else x for x in results]
        done = iter(results)
        for index, number in self.every:
            value = next(done)
            for row, i in enumerate(self._instructions(index)):
                slot = self.firsts[i] + number
                values.slots[slot] = (value, row) if type(value) is View else value
        for (index, number), value in zip(self.last, reversed(carried), strict=False):
            values.slots[self.firsts[self._instructions(index)[-1]] + number] = value
        for index, tree in zip(self.kept_pulls, trees, strict=True):
            residuals = [next(done) for _ in range(tree.num_leaves)]
            for row, i in enumerate(self._instructions(index)):
                values.pulls[i] = (tree, residuals, row)

    def _instructions(self, index: int) -> list[int]:
        """Return an instruction of the block in all iterations."""
        return self.order[index :: self.run.period]

    def _initial(self, values: _Values) -> list:
        """Return what the first iteration finds: ``lag`` values per carried source, ``last``."""
        found = []
        for s in self.carried:
            dtype = self.block[s.position][1].outputs[s.number].dtype.numpy
            found += [lax.convert_element_type(values.read(r), dtype) for r in s.initial]
        last = [self.block[index][1].outputs[number] for index, number in reversed(self.last)]
        return found + [jnp.zeros(a.shape, a.dtype.numpy) for a in last]

    def _pulls(self, values: _Values, fixed: list, rows: list[View]) -> dict:
        """Return the pullbacks from outside: index -> tree, and where the residuals are.

        Those are appended to the inputs: ``(True, index among rows)``, ``(False, among fixed)``.
        """
        found = {}
        for index, forward in self.forwards.items():
            if len(set(forward)) == 1:
                residuals, tree = jax.tree_util.tree_flatten(values.pull(forward[0]))
            else:
                tree, residuals = values.pull_rows(forward)
            places = []
            for x in residuals:
                inputs = rows if type(x) is View else fixed
                places.append((inputs is rows, len(inputs)))
                inputs.append(x)
            found[index] = tree, places
        return found

    def _iteration(self, outer_pulls: dict, trees: list, fixed, rows, carried) -> tuple:
        """Do one iteration; ``trees`` gets the trees of the pullbacks among the results."""
        known: dict = {Fixed(ABSENT): None}
        known.update(zip(self.fixed, fixed, strict=False))
        known.update(zip(self.rows, rows, strict=False))
        at = 0
        for s in self.carried:
            known[s] = carried[at]
            at += s.lag
        made: list = []
        pulls: list = []
        for index, (i, entry, mask) in enumerate(self.block):
            operands = [
                made[s.position][s.number] if type(s) is Inner and not s.lag else known[s]
                for s in self.run.operands[index]
            ]
            forward = self.run.forwards[index]
            pull = pulls[forward] if type(forward) is int else None
            if index in outer_pulls:
                tree, places = outer_pulls[index]
                leaves = [rows[k] if varies else fixed[k] for varies, k in places]
                pull = jax.tree_util.tree_unflatten(tree, leaves)
            with _naming(i, entry):
                results, own_pull = _do(entry, mask, operands, pull)
            made.append(results)
            pulls.append(own_pull)
        new = []
        at = 0
        for s in self.carried:
            new += [*carried[at + 1 : at + s.lag], made[s.position][s.number]]
            at += s.lag
        new += [made[index][number] for index, number in reversed(self.last)]
        results = [made[index][number] for index, number in self.every]
        for index in self.kept_pulls:
            residuals, tree = jax.tree_util.tree_flatten(pulls[index])
            trees.append(tree)
            results += residuals
        return new, results


def _is_wide(entry) -> bool:
    """Return whether an instruction joins or parts many equal arrays, which stay rows of one."""
    if entry.name not in ("stack", "cat", "unbind"):
        return False
    pieces, whole = entry.inputs, entry.outputs
    if entry.name == "unbind":
        pieces, whole = whole, pieces
    same = len({(a.shape, a.dtype) for a in pieces}) == 1
    return len(pieces) >= MANY and same and pieces[0].dtype is whole[0].dtype


class _Wide(_Single):
    """A stack, a cat, an unbind or the pull of one: their pieces are rows of one array."""

    def results(self, values: _Values):
        entry = self.entry.forward if self.pulls else self.entry
        parts = entry.name == "unbind"
        pieces, whole = (entry.outputs, entry.inputs) if parts else (entry.inputs, entry.outputs)
        count, piece, ndim = len(pieces), pieces[0], whole[0].ndim
        dim = entry.static["dim"] % ndim
        if parts == bool(self.pulls):
            zeros = jnp.zeros(piece.shape, piece.dtype.numpy)
            places = [zeros if r == ABSENT else values.place(r) for r in self.reads]
            rows = jnp.moveaxis(_joined(places).stacked(count), 0, dim)
            return (rows.reshape(whole[0].shape),)
        x = values.read(self.reads[0])
        size = (whole[0].shape[dim] // count,) if entry.name == "cat" else ()
        shape = (*x.shape[:dim], count, *size, *x.shape[dim + 1 :])
        view = View(jnp.moveaxis(x.reshape(shape), dim, 0))
        if values.lengths is not None and self.i in values.lengths.entries:
            at = values.lengths.long[self.reads[0] >> 2][1]
            had = values.lengths.sizes[at]
            view, count = view.ending(had, values.size(at, had)[0]), had
        return [(view, row) for row in range(count) if not self.pulls or self.mask >> row & 1]
