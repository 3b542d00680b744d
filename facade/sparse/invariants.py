"""torch.sparse.check_sparse_tensor_invariants: whether new sparse tensors are looked through."""

import functools

_enabled = False


def wanted(check_invariants: bool | None) -> bool:
    """Return whether to check a tensor that is made with this argument."""
    return _enabled if check_invariants is None else check_invariants


class check_sparse_tensor_invariants:
    """A block, or a decorator of a function, in which new sparse tensors are checked, or not.

    Args:
        enable: Whether they are.
    """

    def __init__(self, enable: bool = True) -> None:
        self._inside = enable
        self._before: list[bool] = []

    @staticmethod
    def is_enabled() -> bool:
        """Return whether new sparse tensors are checked."""
        return _enabled

    @staticmethod
    def enable() -> None:
        """Check new sparse tensors from now on."""
        _set(True)

    @staticmethod
    def disable() -> None:
        """Check no new sparse tensors from now on."""
        _set(False)

    def __enter__(self) -> None:
        self._before.append(_enabled)
        _set(self._inside)

    def __exit__(self, *exception) -> None:
        _set(self._before.pop())

    def __call__(self, function):
        @functools.wraps(function)
        def checked(*args, **kwargs):
            with type(self)(self._inside):
                return function(*args, **kwargs)

        return checked


def _set(enabled: bool) -> None:
    global _enabled
    _enabled = enabled
