"""Keep the functions a user hooks in, and hand out the handle that takes one away again."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any


class RemovableHandle:
    """Returned by every ``register_*hook``; :meth:`remove`, or leaving ``with``, unhooks.

    It refers to the tables weakly, so that a handle keeps no module or tensor alive.
    """

    id: int
    next_id: int = 0

    def __init__(
        self,
        hooks_dict: Mapping[int, Callable],
        *,
        extra_dict: Mapping | list[Mapping] | None = None,
    ):
        extra = extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self._bind([hooks_dict, *(table for table in extra if table is not None)])
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def _bind(self, tables) -> None:
        self.hooks_dict_ref, *extra = [weakref.ref(table) for table in tables]
        self.extra_dict_ref = tuple(extra)

    def remove(self) -> None:
        """Take the hook away; again, or after its owner is gone, this does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = ref()
            if table is not None:
                table.pop(self.id, None)

    def __getstate__(self):
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state) -> None:
        hooks, self.id, extra = state
        self._bind([OrderedDict() if hooks is None else hooks, *extra])
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, type: Any, value: Any, tb: Any) -> None:
        self.remove()


def add_hook(
    table: OrderedDict, hook: Callable, *, prepend: bool = False, flags: tuple = ()
) -> RemovableHandle:
    """Put ``hook`` at the end of ``table`` (at its front with ``prepend``).

    Args:
        flags: Pairs ``(table, on)``; where ``on``, the hook's id is marked in that table.
    """
    handle = RemovableHandle(table, extra_dict=[marks for marks, _ in flags])
    table[handle.id] = hook
    for marks, on in flags:
        if on:
            marks[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle
