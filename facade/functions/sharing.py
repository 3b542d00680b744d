"""Mark tensors as shared between processes, which here means nothing more than the mark."""

import weakref

from facade.binding import public
from facade.devices import META, accelerator
from facade.tensor import Tensor

_shared: weakref.WeakSet = weakref.WeakSet()  # the storages marked


@public(module=False)
def share_memory_(self: Tensor) -> Tensor:
    """Mark the storage as shared and return the tensor; another process gets a copy all the same.

    Raises:
        RuntimeError: the tensor has no storage to share.
    """
    if self.device is META:
        raise RuntimeError("_share_fd_: only available on CPU")
    _shared.add(self._cell.storage)
    return self


@public(module=False)
def is_shared(self: Tensor) -> bool:
    """Return whether the storage was marked; on an accelerator it always counts as shared."""
    return self.is_cuda or self._cell.storage in _shared


@public(module=False)
def is_pinned(self: Tensor, device=None) -> bool:
    """Return False: memory is never page-locked here."""
    return False


@public(module=False)
def pin_memory(self: Tensor, device=None) -> Tensor:
    """Return the tensor: copies to an accelerator need no page-locked memory here.

    Raises:
        RuntimeError: there is no accelerator.
    """
    if accelerator() is None:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    return self


@public
def get_device(input: Tensor) -> int:
    """Return the number of the accelerator that the tensor is on, -1 on the CPU."""
    return -1 if input.is_cpu or input.is_meta else input.device.index or 0
