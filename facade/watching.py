"""What does a function read from Python besides its arguments, and has that changed since?"""

import collections
import contextlib
import datetime
import functools
import gc
import io
import itertools
import os
import random
import sys
import time
import types
import weakref
from collections.abc import Callable, Iterable
from operator import is_
from typing import Any

import numpy as np

from facade.nn.module import Module
from facade.optim.update import TransformOptimizer
from facade.random import Generator
from facade.tensor import Tensor

# packages whose functions and classes are taken not to change
_LIBRARIES = {"facade", "flax", "jax", "jaxlib", "ml_dtypes", "numpy", "optax"}
_SETTLED = (sys.stdlib_module_names | _LIBRARIES) - {"__main__"}
# packages whose objects have a state that no function of tensors reads
_MACHINERY = {
    "asyncio", "concurrent", "flax", "jax", "jaxlib", "logging", "multiprocessing", "optax",
    "socket", "sqlite3", "subprocess", "threading",
}  # fmt: skip
_PLAIN = (int, float, complex, str, bytes, type(None), types.BuiltinFunctionType, range, slice)
_REFERENCES = (weakref.ReferenceType, types.MappingProxyType, io.IOBase, Generator)
_CLOCKS = {
    time.time, time.time_ns, time.perf_counter, time.perf_counter_ns, time.monotonic,
    time.monotonic_ns, time.process_time, os.urandom, datetime.datetime.now,
    datetime.datetime.utcnow, datetime.datetime.today, datetime.date.today,
}  # fmt: skip
ABSENT = object()


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


# ---- what ran ------------------------------------------------------------------------------------


class Seen:
    """The code that calls of a function ran.

    Attributes:
        codes: What is not settled, by its code object.
        names: The names and strings in it: it reads no attribute that is not among them.
        clock: A clock that it asked, or None.
    """

    def __init__(self) -> None:
        self.codes: set[types.CodeType] = set()
        self.names: set[str] = set()
        self.clock: str | None = None

    @contextlib.contextmanager
    def watching(self):
        """Note what runs inside."""
        before, draws = sys.getprofile(), _python_draws()
        collects = gc.isenabled()
        gc.disable()  # somebody's callback may ask a clock
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(before)
            if collects:
                gc.enable()
            if _python_draws() != draws:
                self.clock = "Python's or NumPy's random numbers"

    def _note(self, frame, event: str, function: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code not in self.codes and not _is_settled(frame):
                self.codes.add(code)
                self.names.update(_words(code), (code.co_name,))
        elif event == "c_call" and not _is_settled(frame) and function in _CLOCKS:
            self.clock = f"{function.__name__}()"


def _is_settled(frame) -> bool:
    return _package(frame.f_globals.get("__name__")) in _SETTLED


def _is_own(kind: type) -> bool:
    return _package(kind.__module__) not in _SETTLED


def _python_draws() -> tuple:
    state: Any = np.random.get_state()
    return random.getstate(), state[1].tobytes(), state[2:]


def _words(code: types.CodeType) -> set[str]:
    """Return the names and strings in a function's code and in the functions it makes."""
    found = {*code.co_names, *[c for c in code.co_consts if isinstance(c, str)]}
    return found.union(*[_words(c) for c in code.co_consts if isinstance(c, types.CodeType)])


# ---- places that hold values ---------------------------------------------------------------------


class Place:
    """A container, and what it held when it was looked at.

    Attributes:
        of: Tells it from other places.
        called: ``key -> str``: what the user calls a value in it.
        read: ``() -> {key: value}``.
        write: ``(key, value) -> None``, or None where nothing can be put back.
        table: The dictionary that ``read`` returns, None if it makes one.
        whole: ``() -> value`` where there is one value, compared by what is in it; or None.
        held: What was in it.
    """

    __slots__ = ("called", "held", "of", "read", "table", "whole", "write")

    def __init__(
        self, of: tuple, called: Callable, read: Callable | dict, write: Any = None
    ) -> None:
        self.of, self.called, self.write = of, called, write
        self.whole: Callable | None = None
        if isinstance(read, dict):
            self.table, self.read = read, lambda: read
        else:
            self.table, self.read = None, read
        self.held = dict(self.read())

    def changes(self) -> Iterable[Any]:
        """Return the keys at which there is another value now."""
        now, held = self.read(), self.held
        if now.keys() == held.keys() and all(map(is_, map(now.get, held), held.values())):
            return ()
        keys = {**held, **now}
        return [k for k in keys if not same(now.get(k, ABSENT), held.get(k, ABSENT))]


class Snapshot:
    """What places held, to be compared all at once.

    A model has hundreds of dictionaries, which hardly ever change: C goes through them.
    """

    def __init__(self, places: list[Place]) -> None:
        tables = [p for p in places if p.table is not None]
        wholes = [p for p in places if p.whole is not None]
        self.others = [p for p in places if p.table is None and p.whole is None]
        self.tables: list[Any] = [p.table for p in tables]
        self.sizes = [len(p.held) for p in tables]
        self.filled: list[Any] = [p.table for p in tables if p.held]  # most are empty
        self.keys = [*itertools.chain.from_iterable(p.held for p in tables)]
        self.values = [*itertools.chain.from_iterable(p.held.values() for p in tables)]
        self.wholes: list[Any] = [p.whole for p in wholes]
        self.contents = [p.held[0] for p in wholes]

    def holds(self) -> bool:
        """Return whether the same objects are in the same places."""
        if [*map(len, self.tables)] != self.sizes:
            return False
        values = itertools.chain.from_iterable([table.values() for table in self.filled])
        return (
            all(map(is_, values, self.values))
            and all(map(is_, itertools.chain.from_iterable(self.filled), self.keys))
            and [whole() for whole in self.wholes] == self.contents
            and not any(place.changes() for place in self.others)
        )


def same(now: Any, before: Any) -> bool:
    """Return whether two values are the same to whoever reads them."""
    if now is before:
        return True
    kind = type(now)
    if kind is not type(before) or isinstance(now, Tensor):
        return False
    if kind in (tuple, list, collections.deque):
        return len(now) == len(before) and all(map(same, now, before))
    if issubclass(kind, dict):
        return list(now) == list(before) and all(map(same, now.values(), before.values()))
    if isinstance(now, np.ndarray):
        return _contents(now) == _contents(before)
    if kind is float and now != now:
        return before != before
    by_value = kind.__eq__ is not object.__eq__ and kind.__hash__ is not None
    return by_value and bool(now == before)


def _contents(x: np.ndarray) -> tuple:
    return x.dtype, x.shape, x.tolist() if x.dtype.hasobject else x.tobytes()


class Survey:
    """The places that a function may read from.

    Args:
        roots: What it reads from, by name.
        seen: The code that ran, which says which attributes and globals are read.

    Attributes:
        places: In the order they were found.
        tensors: Those in them.
        opaque: What can change without a trace, such as an iterator: by name.
    """

    def __init__(self, roots: dict[str, Any], seen: Seen) -> None:
        self.seen = seen
        self.places: list[Place] = []
        self.tensors: list[Tensor] = []
        self.optimizers: list[TransformOptimizer] = []
        self.opaque: list[str] = []
        self._snapshot: Snapshot | None = None
        known: dict[int, Any] = {}
        stack = list(roots.items())
        while stack:
            name, x = stack.pop()
            if isinstance(x, _PLAIN) or id(x) in known:
                continue
            known[id(x)] = x  # alive, so that no other object gets its id
            stack.extend(self._look(name, x))

    def changes(self) -> list[tuple[Place, Any]]:
        """Return ``(place, key)`` of what has changed since."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self.places)
        if self._snapshot.holds():
            return []
        return [(place, key) for place in self.places for key in place.changes()]

    def _look(self, name: str, x: Any) -> Iterable[tuple[str, Any]]:
        """Note a value's own places; return what lies in them."""
        for kinds, look in _LOOKS:
            if isinstance(x, kinds):
                return look(self, name, x)
        return self._object(name, x)

    def _place(self, x: Any, kind: Any, called: Callable, read: Any, write: Any) -> list:
        place = Place((id(x), kind), called, read, write)
        self.places.append(place)
        return [(called(k), v) for k, v in place.held.items()]

    def _tensor(self, name: str, x: Tensor) -> tuple:
        self.tensors.append(x)
        return ()

    def _nothing(self, name: str, x: Any) -> tuple:
        return ()

    def _dict(self, name: str, x: dict) -> list:
        return self._place(x, "items", lambda k: f"{name}[{k!r}]", x, x.__setitem__)

    def _sequence(self, name: str, x: Any) -> list:
        def read() -> dict:
            return dict(enumerate(x))

        return self._place(x, "items", lambda k: f"{name}[{k}]", read, x.__setitem__)

    def _tuple(self, name: str, x: tuple) -> list:
        return [(f"{name}[{i}]", v) for i, v in enumerate(x)]

    def _array(self, name: str, x: np.ndarray) -> tuple:
        return self._whole(name, x, _contents)

    def _set(self, name: str, x: set) -> tuple:
        return self._whole(name, x, frozenset)

    def _generator(self, name: str, x: np.random.Generator) -> tuple:
        return self._whole(name, x, lambda x: str(x.bit_generator.state))

    def _whole(self, name: str, x: Any, value: Callable) -> tuple:
        """Note something that is compared by its value as a whole."""
        self._place(x, "whole", lambda k: name, lambda: {0: value(x)}, None)
        self.places[-1].whole = functools.partial(value, x)
        return ()

    def _partial(self, name: str, x: functools.partial) -> list:
        return [(name, x.func), (name, x.args), (name, x.keywords)]

    def _method(self, name: str, x: types.MethodType) -> list:
        return [(name, x.__func__), (name.rpartition(".")[0] or "self", x.__self__)]

    def _function(self, name: str, x: types.FunctionType) -> list:
        if _package(x.__globals__.get("__name__")) in _SETTLED:
            return [(name, x.__wrapped__)] if hasattr(x, "__wrapped__") else []
        table, words = x.__globals__, _words(x.__code__)
        modules = {n for n in words if isinstance(table.get(n), types.ModuleType)}
        found = self._globals(table, [n for n in words if n in table and n not in modules], "")
        for n in modules:
            found += self._module(n, table[n])
        found += self._cells(x)
        return [*found, (name, x.__defaults__ or ()), (name, x.__kwdefaults__ or {})]

    def _module(self, name: str, x: types.ModuleType) -> list:
        if _package(x.__name__) in _SETTLED:
            return []
        return self._globals(vars(x), [n for n in self.seen.names if n in vars(x)], f"{name}.")

    def _globals(self, table: dict, names: list[str], prefix: str) -> list:
        def read() -> dict:
            return {n: table.get(n, ABSENT) for n in names}

        def called(n: str) -> str:
            return prefix + n

        return self._place(table, tuple(names), called, read, table.__setitem__) if names else []

    def _cells(self, x: types.FunctionType) -> list:
        cells = dict(zip(x.__code__.co_freevars, x.__closure__ or (), strict=True))

        def read() -> dict:
            return {n: _content(cell) for n, cell in cells.items()}

        def write(n: str, value: Any) -> None:
            cells[n].cell_contents = value

        return self._place(x, "cells", str, read, write) if cells else []

    def _class(self, name: str, x: type) -> list:
        found = []
        for kind in filter(_is_own, x.__mro__):
            names = [n for n in vars(kind) if n in self.seen.names]
            found += self._slots(kind, "class", kind.__name__, names, vars(kind).get)
        # a method or a property is the function in it
        return [(n, getattr(v, "__func__", getattr(v, "fget", v))) for n, v in found]

    def _slots(self, x: Any, kind: str, name: str, names: list[str], get: Callable) -> list:
        def read() -> dict:
            return {n: get(n, ABSENT) for n in names}

        def called(n: str) -> str:
            return f"{name}.{n}"

        write = functools.partial(setattr, x)
        return self._place(x, kind, called, read, write) if names else []

    def _optimizer(self, name: str, x: TransformOptimizer) -> list:
        """Note an optimizer, whose options a capture reads by itself if nobody else does."""
        self.optimizers.append(x)
        if _is_own(type(x)) or not self.seen.names.isdisjoint(("param_groups", "defaults")):
            return self._object(name, x)
        groups = [(f"{name}.param_groups", g["params"]) for g in x.param_groups]
        return [*groups, (f"{name}.state", x.state)]

    def _object(self, name: str, x: Any) -> list:
        kinds = type(x).__mro__
        if any(_package(k.__module__) in _MACHINERY for k in kinds):
            return []
        if hasattr(type(x), "__next__"):
            self.opaque.append(name)
            return []
        found: list = [(name, type(x))]
        table = getattr(x, "__dict__", None)
        if isinstance(table, dict):  # a proxy of a class's is looked at with the class
            names = self._attributes(kinds, table)
            read = table if names is None else functools.partial(_chosen, table, names)
            found += self._place(x, "attributes", lambda n: f"{name}.{n}", read, table.__setitem__)
        slots = [n for k in filter(_is_own, kinds) for n in _strings(vars(k).get("__slots__", ()))]
        return [*found, *self._slots(x, "slots", name, slots, functools.partial(getattr, x))]

    def _attributes(self, kinds: tuple, table: dict) -> list[str] | None:
        """Return the attributes that the code which ran may read, None for all."""
        if not _is_own(kinds[0]) or any(k not in (object, Module) for k in kinds if not _is_own(k)):
            return None
        names = self.seen.names
        if Module in kinds:
            names = names.union(n for n in table if n == "training" or n.startswith("_"))
        return list(names)


def _chosen(table: dict, names: list[str]) -> dict:
    return {n: table[n] for n in names if n in table}


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return ABSENT


def _strings(names: Any) -> tuple:
    return (names,) if isinstance(names, str) else tuple(names)


_LOOKS: tuple = (
    (Tensor, Survey._tensor),
    (_REFERENCES, Survey._nothing),
    (types.ModuleType, Survey._module),
    (dict, Survey._dict),
    ((list, collections.deque), Survey._sequence),
    (tuple, Survey._tuple),
    (np.ndarray, Survey._array),
    (set, Survey._set),
    (np.random.Generator, Survey._generator),
    (functools.partial, Survey._partial),
    (types.MethodType, Survey._method),
    (types.FunctionType, Survey._function),
    (type, Survey._class),
    (TransformOptimizer, Survey._optimizer),
)

__all__ = ["ABSENT", "Place", "Seen", "Survey", "same"]
