"""What was used last, and how much of it to keep."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


def forget_first(table: dict) -> None:
    """Remove what was put into a dictionary first; other threads may add to it meanwhile."""
    for _ in range(8):
        try:
            table.pop(next(iter(table)), None)
            return
        except RuntimeError:  # it grew between the two calls
            continue


class Recent:
    """A mapping that forgets what was not used for longest. Any thread may use it at any time.

    Args:
        limit: How many entries to keep.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()  # least recently used first
        self._lock = threading.RLock()

    def get(self, key: Hashable) -> Any:
        """Return what is kept as ``key``, and count that as a use; None if nothing is."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def __setitem__(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._entries[key] = value
            if len(self._entries) > self.limit:
                self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def forget_half(self) -> None:
        """Forget the half not used for longest."""
        with self._lock:
            for _ in range(len(self._entries) // 2):
                self._entries.popitem(last=False)
