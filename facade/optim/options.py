"""Check the options that optimizers share, in PyTorch's words."""

from facade.tensor import Tensor

_WORDS = {"lr": "learning rate", "eps": "epsilon value"}

# What most optimizers' checkpoints of older versions lack.
LATER = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}


def check_rate(lr) -> None:
    """Raise a ValueError for a negative learning rate, or a tensor of several."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    check_not_negative(lr=lr)


def check_not_negative(**options) -> None:
    """Raise a ValueError for the first option below 0."""
    for name, value in options.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {_WORDS.get(name, f'{name} value')}: {value}")


def check_betas(betas) -> None:
    """Raise a ValueError for a decay rate outside [0, 1)."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_fused(fused, foreach, differentiable) -> None:
    """Raise a RuntimeError for ``fused`` together with what excludes it."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def is_nonzero(value) -> bool:
    """Return whether an option has an effect; of a tensor that is not asked, but assumed."""
    return isinstance(value, Tensor) or value != 0
