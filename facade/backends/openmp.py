"""``torch.backends.openmp``: OpenMP: what it is asked for, XLA does."""


def is_available() -> bool:
    """Return True."""
    return True
