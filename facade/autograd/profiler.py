"""Which part of the user's program an instruction was recorded in: labelled blocks, modules."""

import functools
import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import jax

from facade.pullback import Pull
from facade.tape import Tape, state

MARK = "facade"  # what a range recorded here has its name under, see `marked` and `name_of`


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


_watchers = 0  # profilers that want labels noted


def watch(on: bool) -> None:
    """Note for one profiler more, or one less, in which labels instructions are recorded."""
    global _watchers
    _watchers += 1 if on else -1
    if not _watchers:
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


def marked(name: str) -> Any:
    """Return a range of JAX's profiler that :func:`name_of` knows the name of.

    JAX reads ``#`` in a name as its own, and a number as a number.
    """
    return jax.profiler.TraceAnnotation(name.partition("#")[0], **{MARK: f":{quote(name)}"})


def name_of(mark: str) -> str:
    """Return the name of a range from its mark."""
    return unquote(mark[1:])


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
        self._range = marked(self.name)
        self._range.__enter__()
        if _watchers:
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
