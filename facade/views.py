"""Write through a view: put the viewed elements back into the base, view op by view op."""

import jax.numpy as jnp

from facade.ops.registry import Entry, Kind
from facade.recording import record_entry
from facade.storage import View

_entries: dict = {}


def copy_slices(base, view: View, value):
    """Record the base with the elements that ``view`` shows replaced by ``value``.

    Args:
        base: The tensor that owns the storage.
        value: Shape and dtype of the view.
    Returns:
        A new tensor, shape and dtype of the base, differentiable in both.
    """
    entries = tuple((entry, number) for entry, _, number in view.chain)
    key = (base._aval, entries)
    found = _entries.get(key)
    if found is None:
        found = _entries[key] = _copy_slices_entry(base._aval, view.aval, view.chain)
    numbers = [n for _, numbers, _ in view.chain for n in numbers]
    return record_entry(found, (base, value, *numbers))


def _copy_slices_entry(base_aval, value_aval, chain) -> Entry:
    steps = _joined([(entry, len(numbers), number) for entry, numbers, number in chain])

    def fn(base, value, *numbers):
        sources, groups, at, source = [], [], 0, base
        for step in steps:
            sources.append(source)
            groups.append([])
            for entry, count, number in step:
                groups[-1].append(numbers[at : at + count])
                at += count
                source = entry.fn(source, *groups[-1][-1])[number]
        for step, group, source in zip(
            reversed(steps), reversed(groups), reversed(sources), strict=True
        ):
            value = _put(step, source, value, group)
        return (value,)

    inputs = (base_aval, value_aval, *[a for entry, _, _ in chain for a in entry.inputs[1:]])
    return Entry("copy_slices", fn, inputs, (base_aval,), single=True, grad_name="CopySlices")


def _joined(chain: list) -> list[list]:
    """Return the steps that a write goes back by: view ops, and those joined that must be one.

    Where a view shows one place several times, a part of it may show the place once: only the part
    tells which places are written. (Not through another dtype, where places are not the same.)
    """
    steps: list[list] = []
    for entry, count, number in chain:
        follows = bool(steps) and steps[-1][0][0].view.write is None
        if follows and entry.outputs[0].dtype is entry.inputs[0].dtype:
            steps[-1].append((entry, count, number))
        else:
            steps.append([(entry, count, number)])
    return steps


def _put(step: list, source, value, groups: list):
    """Return ``source`` with the elements that one step shows replaced by ``value``."""
    entry, _, number = step[0]
    spec = entry.view
    if spec.write is not None:
        names = [p.name for p in spec.params if p.kind is Kind.SCALAR]
        scalars = dict(zip(names, groups[0], strict=True))
        if len(entry.outputs) > 1:
            scalars["number"] = number
        return spec.write(source, value, **scalars, **entry.static)
    places = jnp.arange(source.size).reshape(source.shape)
    for (entry, _, number), numbers in zip(step, groups, strict=True):
        places = entry.fn(places, *numbers)[number]
    return source.reshape(-1).at[places.reshape(-1)].set(value.reshape(-1)).reshape(source.shape)
