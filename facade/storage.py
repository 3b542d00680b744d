"""Cells: where a tensor's value is, an array that exists or a slot that is still to be computed."""

from sys import getrefcount
from typing import Any

import jax
import numpy as np

from facade import deferred, devices
from facade.avals import Aval
from facade.devices import CPU, is_jax_default, jax_device
from facade.outline import repeats
from facade.program import flush
from facade.tape import MAX_LEAVES, MAX_LOOPING, MAX_PINNED_BYTES, SLOT, Tape, state, tape_on


class Storage:
    """The value of a tensor, shared by all its aliases: ``detach()``, ``.data``, views.

    Attributes:
        array: The value, None while it is pending. A numpy array until a tape first reads it.
        tape: The tape that a pending value waits for, or that reads ``array`` as a leaf.
        ref: On that tape.
        aval: Of the tensor that owns the storage.
        version: Counts the writes; below zero if it was made in inference mode.
    """

    __slots__ = ("__weakref__", "array", "aval", "device", "ref", "tape", "version")

    def __init__(
        self, aval: Aval, device: devices.device, array: Any = None, tape: Any = None, ref: int = 0
    ) -> None:
        self.aval = aval
        self.device = device
        self.array = array
        self.tape: Any = tape
        self.ref = ref
        self.version = 0

    storage = property(lambda self: self)

    @property
    def written(self) -> bool:
        """Whether it was written since it was made."""
        return self.version not in (0, INFERENCE)

    def rebind(self, value: "Storage") -> None:
        """Make ``value``'s value this storage's; values never change, so sharing one is safe."""
        if value.array is None:
            self.rebind_slot(value.tape, value.ref)
        else:
            self.version += 1
            self.array, self.tape = value.array, None

    def rebind_slot(self, tape: Tape, ref: int) -> None:
        """Make a result of an instruction on ``tape`` this storage's value."""
        self.version += 1
        if self.tape is not tape:  # else it is among those that wait, or that were read, already
            tape.pending.append(self)
        self.array, self.tape, self.ref = None, tape, ref


INFERENCE = -(1 << 62)  # where the versions of inference tensors begin


def init_in_inference(
    self: Storage, aval: Aval, device: devices.device, array=None, tape=None, ref: int = 0
) -> None:
    """As ``Storage.__init__``, which it is while a thread is in inference mode."""
    self.aval = aval
    self.device = device
    self.array = array
    self.tape = tape
    self.ref = ref
    self.version = INFERENCE if state.inference else 0


class View:
    """The value of a view: a chain of view instructions from the storage it shares.

    The chain's result is remembered while the storage is not written and the tape not flushed.
    ``tape`` is always None here, so that the recorder comes to :func:`locate`.

    Attributes:
        chain: ``(entry, numbers, result number)`` per view op, from the storage outwards.
        base: The tensor that owns the storage and whose history the view continues; None if the
            view was made under ``no_grad``, of a tensor with history.
        detached: Whether it has a base only to continue the history of writes through itself.
        several: Whether it is, or shows a part of, one of several views that an op returned.
        seen: The storage's version when the view's value was last derived.
        known: The same of its history, which the tensor holds.
    """

    __slots__ = (
        "__weakref__", "array", "aval", "base", "cached_ref", "cached_tape", "chain",
        "detached", "device", "known", "seen", "several", "storage",
    )  # fmt: skip
    tape = None

    def __init__(self, aval: Aval, storage: Storage, chain: tuple, base) -> None:
        self.aval = aval
        self.storage = storage
        self.device = storage.device
        self.chain = chain
        self.base = base
        self.detached = self.several = False
        self.seen = self.known = storage.version
        self.array = None
        self.cached_tape: Tape | None = None
        self.cached_ref = 0


class OtherDevice(Exception):
    """An operand lives on another device than the tape recorded on."""

    def __init__(self, device: devices.device) -> None:
        self.device = device


def locate(cell, tape: Tape) -> int:
    """Return the reference to a cell's value on ``tape``.

    Raises:
        OtherDevice: the value lives on another device.
    """
    if cell.device is not tape.device:
        raise OtherDevice(cell.device)
    if type(cell) is View:
        return _locate_view(cell, tape)
    if cell.tape is tape:
        return cell.ref
    if cell.array is None:
        flush(cell.tape)  # pending on another thread's tape
    if type(cell.array) is np.ndarray:
        cell.array = put(cell.array, cell.device)
    return tape.leaf(cell)


def _locate_view(view: View, tape: Tape) -> int:
    if view.seen == view.storage.version:
        if view.cached_tape is tape:
            return view.cached_ref
        if view.array is not None:
            view.cached_tape, view.cached_ref = tape, tape.array(view.array)
            return view.cached_ref
    ref = locate(view.storage, tape)
    for entry, numbers, number in view.chain:
        path = tape.append(entry, (ref, *map(tape.number, numbers)))
        ref = path.first + number << 2 | SLOT
    view.seen, view.array = view.storage.version, None
    view.cached_tape, view.cached_ref = tape, ref
    return ref


def settle(cell) -> None:
    """Make ``cell.array`` the value, by a flush if it is pending."""
    if type(cell) is View:
        if cell.array is None or cell.seen != cell.storage.version:
            tape = tape_on(cell.device)
            want = _Wanted(locate(cell, tape), tape)
            flush(tape, (want,))
            cell.array = want.array
    elif cell.array is None:
        flush(cell.tape)
    if deferred.pending:
        deferred.examine()


class _Wanted:
    """A cell that asks a flush for one slot."""

    def __init__(self, ref: int, tape: Tape) -> None:
        self.ref, self.tape = ref, tape
        self.array = None
        if ref & 3 != SLOT:
            self.array, self.tape = tape.leaves[ref >> 2], None


def put(array: np.ndarray, d: devices.device) -> jax.Array:
    """Copy a host array to a device."""
    with jax.enable_x64(True):
        # JAX may keep a pointer to the memory it is given, so it gets its own
        return jax.device_put(np.array(array), None if is_jax_default(d) else jax_device(d))


def attend(tape: Tape) -> Tape:
    """Return the tape to record on: a new one if this is closed, or flushed to stay small.

    Bounds the tape's length, and the bytes that nothing but the tape keeps alive (parameters and
    data in use don't count).
    """
    if not tape.closed:  # or it stays: somebody may come back to this tape
        tape.attention = False
        if _is_too_long(tape) or _pins_too_much(tape):
            flush(tape)
    return tape_on(tape.device) if tape.closed else tape


def _is_too_long(tape: Tape) -> bool:
    if tape.path.length < tape.limit:
        return False
    if tape.limit < MAX_LOOPING and len(tape.leaves) < MAX_LEAVES and repeats(tape.code):
        tape.limit = MAX_LOOPING
        return False
    return True


def _pins_too_much(tape: Tape) -> bool:
    if tape.pinned_bytes <= tape.bytes_checked:
        return False
    cells = tape.leaf_cells
    # 2: the list and the call's argument
    tape.leaf_cells = [cells[i] for i in range(len(cells)) if getrefcount(cells[i]) > 2]
    del cells
    pinned = sum(
        tape.leaves[i].nbytes
        for i in range(len(tape.leaves))
        if isinstance(tape.leaves[i], jax.Array) and getrefcount(tape.leaves[i]) <= 2
    )
    tape.bytes_checked = tape.pinned_bytes - pinned + MAX_PINNED_BYTES
    return pinned > MAX_PINNED_BYTES


def transfer(cell, to: devices.device) -> Storage:
    """Return a storage on another device with the same value."""
    settle(cell)
    with jax.enable_x64(True):
        array = jax.device_put(np.asarray(cell.array), jax_device(to))
    return Storage(cell.aval, to, array)


__all__ = [
    "CPU", "INFERENCE", "OtherDevice", "Storage", "View", "attend", "init_in_inference", "locate",
    "put", "settle", "transfer",
]  # fmt: skip
