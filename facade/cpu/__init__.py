"""``torch.cpu``: the CPU, asked the questions that one asks a GPU."""

from facade.cpu import amp as amp
from facade.devices import CPU
from facade.program import flush
from facade.tape import state


def is_available() -> bool:
    """Return True: there is a CPU."""
    return True


def device_count() -> int:
    """Return 1: PyTorch counts all cores as one device."""
    return 1


def current_device() -> str:
    """Return ``"cpu"``."""
    return "cpu"


def set_device(device) -> None:
    """Accepted for PyTorch's sake: there is one CPU."""


def synchronize(device=None) -> None:
    """Run what was recorded for the CPU."""
    tape = state.tapes.get(CPU)
    if tape is not None:
        flush(tape)
