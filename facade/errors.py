"""PyTorch's error messages for faults that many operations share."""


def type_name(value) -> str:
    """Return the type name PyTorch prints for a bad argument."""
    return type(value).__name__


# What does what a function of PyTorch's does that there isn't
_INSTEAD = {
    "chalf": "cfloat", "complex32": "complex64", "eig": "linalg.eig", "lobpcg": "linalg.eigh",
    "frobenius_norm": "linalg.matrix_norm", "lstsq": "linalg.lstsq",
    "matrix_rank": "linalg.matrix_rank", "native_channel_shuffle": "channel_shuffle",
    "native_norm": "norm", "nuclear_norm": "linalg.matrix_norm", "solve": "linalg.solve",
    "symeig": "linalg.eigh",
}  # fmt: skip


def absent(name: str) -> AttributeError:
    """``module 'facade' has no attribute 'solve'; use facade.linalg.solve``."""
    instead = f"; use facade.{_INSTEAD[name]}" if name in _INSTEAD else ""
    return AttributeError(f"module 'facade' has no attribute '{name}'{instead}")


def bad_argument(op: str, name: str, position: int, expected: str, value) -> TypeError:
    """``add(): argument 'other' (position 2) must be Tensor, not str``."""
    return TypeError(
        f"{op}(): argument '{name}' (position {position}) must be {expected}, "
        f"not {type_name(value)}"
    )


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the common shape.

    Raises:
        RuntimeError: two sizes differ and neither is 1.
    """
    result: tuple[int, ...] = ()
    for shape in shapes:
        result = _broadcast(result, shape)
    return result


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    ndim = max(len(a), len(b))
    sizes = []
    for dim in range(ndim):
        i, j = dim - (ndim - len(a)), dim - (ndim - len(b))
        x, y = a[i] if i >= 0 else 1, b[j] if j >= 0 else 1
        if x != y and x != 1 and y != 1:
            raise RuntimeError(
                f"The size of tensor a ({x}) must match the size of tensor b ({y}) "
                f"at non-singleton dimension {dim}"
            )
        sizes.append(y if x == 1 else x)
    return tuple(sizes)


def no_dimension(dim: int, ndim: int) -> IndexError:
    """Return the error of a tensor of ``ndim`` dimensions that lacks this one."""
    if not ndim:
        return IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return IndexError(
        f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})"
    )


def wrap_dim(dim: int, ndim: int) -> int:
    """Return ``dim`` counted from the front; a 0-dimensional tensor has dimension 0.

    Raises:
        IndexError: there is no such dimension.
    """
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise no_dimension(dim, bound)
    return dim + bound if dim < 0 else dim


def wrap_dims(dims, ndim: int) -> tuple[int, ...]:
    """Return ``dims`` (an int or several) counted from the front.

    Raises:
        IndexError: there is no such dimension.
        RuntimeError: one is named twice.
    """
    wrapped = tuple(wrap_dim(d, ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    for d in wrapped:
        if wrapped.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return wrapped


def no_overload(op: str, args: tuple, kwargs: dict, signatures: tuple[str, ...]) -> TypeError:
    """``rand() received an invalid combination of arguments - got (str), but expected one of:``."""
    named = [f"{name}={type_name(value)}" for name, value in reversed(kwargs.items())]
    got = ", ".join([*map(type_name, args), *named]) + (", " if named and not args else "")
    expected = "".join(f" * ({each})\n{_mismatch(each, args, kwargs)}" for each in signatures)
    return TypeError(
        f"{op}() received an invalid combination of arguments - got ({got}), but expected one of:\n"
        f"{expected}"
    )


def _mismatch(signature: str, args: tuple, kwargs: dict) -> str:
    """Return what PyTorch says below a signature that has as many parameters as were given."""
    words = [p.split()[0] if p else "" for p in signature.split(", ")]  # "*" is counted too
    if kwargs or len(words) != len(args):
        return ""
    names = list(map(type_name, args))
    marked = ", ".join(n if n == w else f"!{n}!" for n, w in zip(names, words, strict=True))
    return f"      didn't match because some of the arguments have invalid types: ({marked})\n"
