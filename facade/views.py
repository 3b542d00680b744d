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
    steps = [(entry, len(numbers), number) for entry, numbers, number in chain]

    def fn(base, value, *numbers):
        values, groups, at = [base], [], 0
        for entry, count, number in steps:
            groups.append(numbers[at : at + count])
            at += count
            values.append(entry.fn(values[-1], *groups[-1])[number])
        for (entry, _, number), group, source in zip(
            reversed(steps), reversed(groups), reversed(values[:-1]), strict=True
        ):
            value = _put(entry, source, value, group, number)
        return (value,)

    inputs = (base_aval, value_aval, *[a for entry, _, _ in chain for a in entry.inputs[1:]])
    return Entry("copy_slices", fn, inputs, (base_aval,), single=True, grad_name="CopySlices")


def _put(entry: Entry, source, value, numbers, number: int):
    """Return ``source`` with the elements that one view op shows replaced by ``value``."""
    spec = entry.view
    if spec.write is not None:
        names = [p.name for p in spec.params if p.kind is Kind.SCALAR]
        scalars = dict(zip(names, numbers, strict=True))
        if len(entry.outputs) > 1:
            scalars["number"] = number
        return spec.write(source, value, **scalars, **entry.static)
    places = jnp.arange(source.size).reshape(source.shape)
    shown = entry.fn(places, *numbers)[number]
    return source.reshape(-1).at[shown.reshape(-1)].set(value.reshape(-1)).reshape(source.shape)
