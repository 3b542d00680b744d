"""Parameters as one vector, and a vector as parameters."""

from collections.abc import Iterable

from facade import functions
from facade.tensor import Tensor
from facade.typename import typename


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all parameters one after the other."""
    parameters = list(parameters)
    _check_devices(parameters)
    return functions.cat([p.view(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put the parts of a vector into the parameters' ``data``.

    Raises:
        TypeError: ``vec`` is no tensor, or the parameters lie on several devices.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {typename(vec)}")
    parameters = list(parameters)
    _check_devices(parameters)
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].view_as(p).data
        start += p.numel()


def _check_devices(parameters: list[Tensor]) -> None:
    if len({p.device for p in parameters}) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )
