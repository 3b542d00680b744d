"""Which part of the user's program an instruction was recorded in: labelled blocks, modules."""

import functools
import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from facade.pullback import Pull
from facade.tape import Tape, state

MARK = "facade"  # tells the ranges recorded here from those of JAX's own


class Label(NamedTuple):
    """A block or a module call that instructions lie in."""

    name: str
    is_module: bool = False


Labels = tuple[Label, ...]  # outermost first


class _ThreadLabels(threading.local):
    open: Labels = ()


_thread = _ThreadLabels()
# tape -> where labels changed: (instructions before, the labels from there on)
_changes: weakref.WeakKeyDictionary[Tape, list[tuple[int, Labels]]] = weakref.WeakKeyDictionary()


_watching = False  # whether labels are noted on the tape


def watch(on: bool) -> None:
    """Note from now on, or no longer, in which labels instructions are recorded."""
    global _watching
    _watching = on
    if not on:
        _changes.clear()


def open_labels() -> Labels:
    """Return the labels that this thread is in."""
    return _thread.open


def set_labels(labels: Labels) -> None:
    """Let what this thread records from now on lie in ``labels``."""
    tape = state.tape
    changes = _changes.get(tape)
    if changes is None:
        changes = _changes[tape] = [(0, _thread.open)]
    changes.append((tape.path.length, labels))
    _thread.open = labels


def labels_of(tape: Tape) -> list[Labels]:
    """Return the labels of each instruction; a pull also lies in its forward's modules."""
    changes = _changes.get(tape) or [(0, _thread.open)]
    starts = [start for start, _ in changes]
    found: list[Labels] = []
    for i, (entry, refs, _) in enumerate(tape.code):
        labels = changes[bisect_right(starts, i) - 1][1]
        if type(entry) is Pull:
            blocks = [label for label in labels if not label.is_module]
            modules = [label for label in found[refs[0]] if label.is_module]
            labels = (*blocks, *(Label(f"{m.name} backward", True) for m in modules))
        found.append(labels)
    return found


class record_function:
    """Label a block of code, or a function, in what a profiler records.

    Example:
        >>> from facade.profiler import record_function
        >>> with record_function("forward"):
        ...     pass
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._range: Any = None
        self._outside: Labels | None = None

    def __enter__(self) -> "record_function":
        self._range = jax.profiler.TraceAnnotation(self.name, **{MARK: 1})
        self._range.__enter__()
        if _watching:
            self._outside = _thread.open
            set_labels((*self._outside, Label(self.name)))
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if self._outside is not None:
            set_labels(self._outside)
            self._outside = None
        self._range.__exit__(exc_type, exc_value, traceback)

    def __call__(self, function: Callable) -> Callable:
        """Return the function with all its calls labelled."""

        @functools.wraps(function)
        def labelled(*args, **kwargs):
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return labelled
