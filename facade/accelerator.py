"""torch.accelerator: the accelerator in use, whatever its kind."""

from facade.devices import accelerator, available, device


def is_available() -> bool:
    """Return whether there is an accelerator that JAX can use."""
    return accelerator() is not None


def current_accelerator(check_available: bool = False) -> device | None:
    """Return the accelerator's device without an index, None on a machine without."""
    kind = accelerator()
    return None if kind is None else device(kind)


def device_count() -> int:
    """Return how many accelerators there are."""
    kind = accelerator()
    return 0 if kind is None else available(kind)


__all__ = ["current_accelerator", "device_count", "is_available"]
