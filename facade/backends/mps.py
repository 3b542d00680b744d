"""``torch.backends.mps``: Apple's GPUs: JAX has no stable support for them."""


def is_available() -> bool:
    """Return False."""
    return False


def is_built() -> bool:
    """Return False."""
    return False
