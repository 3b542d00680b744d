"""Turn a tape into a pure JAX function, and an op into its pullback."""

import contextlib
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from facade.loops import View, repeat
from facade.ops.registry import Entry
from facade.reroll import Fixed, Inner, Listing, Rows, Run, Step
from facade.tape import ABSENT, FLOAT, INT, LEAF, SLOT

MANY = 8  # operands or results of equal shape that are kept as rows of one array


class Pull:
    """The instruction "pull these cotangents back through that instruction".

    Its first reference is the index of an instruction before it on the same tape; the rest are the
    cotangents of that instruction's differentiable results, absent ones being zero. Its results are
    the cotangents of the operands in ``mask``. ``jax.vjp`` runs where the forward instruction is
    lowered, so the forward values of both come out of one call and nothing is computed twice.
    """

    __slots__ = ("forward", "mask", "name", "outputs")

    def __init__(self, forward: Entry, mask: int) -> None:
        self.forward = forward
        self.mask = mask
        self.name = f"{forward.name}_pull"
        self.outputs = tuple(chosen(forward.inputs, mask))


def chosen(operands, mask: int) -> list:
    """Return the operands whose bit is set."""
    return [x for i, x in enumerate(operands) if mask >> i & 1]


def pull_of(entry: Entry, mask: int) -> Pull:
    """Return the one pull instruction of an entry with respect to the operands in ``mask``."""
    found = entry.cache.get(mask)
    if found is None:
        found = entry.cache[mask] = Pull(entry, mask)
    return found


# linearize: (entry, mask) -> (operands -> (results, pull: cotangents -> operand cotangents))
def linearize(entry: Entry, mask: int, operands):
    """Run an entry and return its results with its pullback, a pytree of residuals.

    Cotangents are in PyTorch's convention: for complex values the conjugate of JAX's.
    """

    def differentiable_part(*wanted):
        queue = iter(wanted)
        results = entry.fn(*(next(queue) if mask >> i & 1 else x for i, x in enumerate(operands)))
        return tuple(r for r, d in zip(results, entry.differentiable, strict=True) if d), results

    _, pull, results = jax.vjp(differentiable_part, *chosen(operands, mask), has_aux=True)
    return results, pull


def pull_back(entry: Entry, pull, cotangents):
    """Apply a pullback from :func:`linearize`; None among ``cotangents`` stands for zero."""
    avals = [a for a, d in zip(entry.outputs, entry.differentiable, strict=True) if d]
    full = tuple(
        jnp.zeros(a.shape, a.dtype.numpy) if c is None else _conjugate(c.astype(a.dtype.numpy))
        for a, c in zip(avals, cotangents, strict=True)
    )
    return tuple(_conjugate(g) for g in pull(full))


def _conjugate(x):
    return jnp.conj(x) if jnp.iscomplexobj(x) else x


def vjp_entry(entry: Entry, mask: int, absent: tuple[bool, ...]) -> Entry:
    """Return the backward of an op as an op of its own: operands and cotangents in, gradients out.

    It is what ``create_graph=True`` records, since it can be differentiated again.

    Args:
        absent: Per differentiable result, whether it has no cotangent.
    """
    key = ("vjp", mask, absent)
    found = entry.cache.get(key)
    if found is None:
        count = len(entry.inputs)

        def fn(*values):
            _, pull = linearize(entry, mask, values[:count])
            return pull_back(entry, pull, values[count:])

        cotangents = (a for a, d in zip(entry.outputs, entry.differentiable, strict=True) if d)
        inputs = entry.inputs + tuple(
            None if missing else a for a, missing in zip(cotangents, absent, strict=True)
        )
        found = entry.cache[key] = Entry(
            f"{entry.name}_vjp", fn, inputs, pull_of(entry, mask).outputs,
            grad_name=f"{entry.grad_name.removesuffix('0')}Backward0",
        )  # fmt: skip
    return found


def saved_entry(entry: Entry, mask: int, tree) -> Entry:
    """Return the pullback of an instruction flushed earlier: its residuals and cotangents in."""
    size = tree.num_leaves

    def fn(*values):
        pull = jax.tree_util.tree_unflatten(tree, values[:size])
        return pull_back(entry, pull, values[size:])

    return Entry(f"{entry.name}_pull", fn, (), pull_of(entry, mask).outputs)


def residual_tree(entry: Entry, mask: int):
    """Return the tree of residuals an op's pullback needs, without running the op."""
    key = ("residuals", mask)
    if key not in entry.cache:
        structs = [
            None if a is None else jax.ShapeDtypeStruct(a.shape, a.dtype.numpy)
            for a in entry.inputs
        ]
        with jax.enable_x64(True):
            pull = jax.eval_shape(lambda *x: linearize(entry, mask, x)[1], *structs)
        entry.cache[key] = jax.tree_util.tree_structure(pull)
    return entry.cache[key]


# lower: code -> ((leaves, floats, ints) -> (values of the slots, pullback per saved instruction))
def lower(code, wanted, saved: dict[int, int]):
    """Return the pure function that a tape's code stands for.

    Instructions that no result needs are left out, so an op that can't be lowered harms only what
    depends on it. What repeats becomes a loop. An exception carries the index of its instruction as
    ``instruction``.

    Args:
        code: ``(entry, references, edges)`` per instruction.
        wanted: The slots whose values are results.
        saved: Instructions whose pullback is wanted as a result, with their masks.
    """
    items = _plan(code, wanted, saved)

    def run(leaves, floats, ints):
        values = _Values(leaves, floats, ints)
        for item in items:
            item.apply(values)
        results = {slot: values.read(slot << 2 | SLOT) for slot in wanted}
        return results, [values.pull(i) for i in saved]

    return run


def _plan(code, wanted, saved: dict[int, int]) -> list:
    """Return what is to be done, in order: single instructions and loops."""
    order = _needed(code, wanted, saved)
    masks = dict(saved)
    for i in order:
        if type(code[i][0]) is Pull:
            masks[code[i][1][0]] = code[i][0].mask
    firsts = first_slots(code)
    loops = [_Loop(code, masks, firsts, order, run) for run in _runs(code, order, masks, firsts)]
    in_loops = set(saved).union(*(loop.pulls for loop in loops))
    wide = {i for i in order if i not in in_loops and _is_wide(code[i][0])}
    items: list = []
    at = 0
    for loop in [*loops, None]:
        stop = len(order) if loop is None else loop.run.start
        for i in order[at:stop]:
            entry, refs, _ = code[i]
            of_wide = type(entry) is Pull and refs[0] in wide
            kind = _Wide if i in wide or of_wide else _Single
            mask = entry.mask if type(entry) is Pull else masks.get(i)
            items.append(kind(i, entry, refs, firsts[i], mask))
        if loop is not None:
            items.append(loop)
            at = loop.run.stop
    read = {slot << 2 | SLOT for slot in wanted}.union(*(item.reads for item in items))
    pulled = set(saved).union(*(item.pulls for item in items))
    for loop in loops:
        loop.keep(read, pulled)
    return items


def _runs(code, order: list[int], masks: dict[int, int], firsts: list[int]) -> list[Run]:
    """Return the loops among the instructions ``order``."""
    place = {i: at for at, i in enumerate(order)}
    kinds: dict = {}
    steps = []
    for i in order:
        entry, refs, _ = code[i]
        forward = -1
        if type(entry) is Pull:
            forward, refs = place[refs[0]], refs[1:]
        # which operands are absent, and which are numbers
        operands = tuple([r if r == ABSENT else max(r & 3, LEAF) for r in refs])
        key = (entry, masks.get(i), operands) if rolls(entry) else i
        steps.append(Step(kinds.setdefault(key, len(kinds)), refs, forward))
    owner = [place.get(i, -1) for i, (entry, _, _) in enumerate(code) for _ in entry.outputs]
    number = [k for entry, _, _ in code for k in range(len(entry.outputs))]
    return Listing(steps, owner, number).search()


def rolls(entry) -> bool:
    """Return whether an instruction may be in a loop: in XLA's, convolutions collapse on CPU."""
    return "conv" not in entry.name


class _Values:
    """What is known while a tape is lowered.

    Attributes:
        slots: Slot -> its value, or ``(view, row)``.
        pulls: Instruction -> its pullback, or ``(tree, residuals, row)`` in a loop, where a
            residual is a view, or an array if it is the same in every iteration.
    """

    def __init__(self, leaves, floats, ints) -> None:
        self.leaves = leaves
        self.numbers = {FLOAT: View(floats), INT: View(ints)}
        self.slots: dict = {}
        self.pulls: dict = {}

    def place(self, ref: int):
        """Return what a reference stands for: an array, or ``(view, row)``."""
        kind, index = ref & 3, ref >> 2
        if kind == SLOT:
            return self.slots[index]
        return self.leaves[index] if kind == LEAF else (self.numbers[kind], index)

    def read(self, ref: int) -> Any:
        if ref == ABSENT:
            return None
        found = self.place(ref)
        return found[0].row(found[1]) if type(found) is tuple else found

    def rows(self, refs) -> View:
        """Return these values as rows."""
        return _joined([self.place(ref) for ref in refs])

    def pull(self, i: int):
        found = self.pulls[i]
        if type(found) is not tuple:
            return found
        tree, residuals, row = found
        leaves = [x.row(row) if type(x) is View else x for x in residuals]
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
            pieces.append(jnp.stack([view.row(row) for row in rows]))
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
        with _naming(self.i):
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
def _naming(i: int):
    """Give an exception the index of the instruction that it comes from."""
    try:
        yield
    except Exception as error:
        error.instruction = i  # type: ignore[attr-defined]
        raise


class _Loop:
    """Instructions that repeat, as one loop."""

    def __init__(self, code, masks, firsts, order: list[int], run: Run) -> None:
        self.run, self.firsts = run, firsts
        self.order = order[run.start : run.stop]
        self.block = [(i, code[i][0], masks.get(i)) for i in self.order[: run.period]]
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
        carried, results = repeat(
            functools.partial(self._iteration, pulls, trees),
            *(self.run.count, self.run.count, fixed, rows, self._initial(values)),
        )
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
            with _naming(i):
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
        return [(view, row) for row in range(count) if not self.pulls or self.mask >> row & 1]


def first_slots(code) -> list[int]:
    """Return the number of each instruction's first slot."""
    sizes = [len(entry.outputs) for entry, _, _ in code]
    return list(itertools.accumulate(sizes, initial=0))


def _needed(code, wanted, saved) -> list[int]:
    """Return the instructions that the results depend on, in order."""
    owners = [i for i, (entry, _, _) in enumerate(code) for _ in entry.outputs]
    needed = {owners[slot] for slot in wanted} | set(saved)
    for i in range(len(code) - 1, -1, -1):
        if i in needed:
            needed.update(sources(code, owners, i))
    return sorted(needed)


def sources(code, owners: list[int], i: int) -> list[int]:
    """Return the instructions whose results instruction ``i`` reads.

    Args:
        owners: Per slot, the instruction it is a result of.
    """
    entry, refs, _ = code[i]
    found = [refs[0]] if type(entry) is Pull else []
    refs = refs[len(found) :]
    return found + [owners[r >> 2] for r in refs if r != ABSENT and r & 3 == SLOT]
