"""PyTorch's devices, and the JAX device behind each."""

import functools
import re
import threading

import jax

# PyTorch's device type -> JAX's platform
_PLATFORMS = {"cpu": "cpu", "cuda": "cuda", "tpu": "tpu", "meta": None}


class device:
    """A PyTorch device: a type and perhaps an index. Interned, so that ``is`` compares.

    Args:
        type: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"tpu"``, ``"meta"``, a device, or an index
            (of the accelerator in use).
        index: The index, if not in ``type``.
    Raises:
        RuntimeError: the string names no device.
    """

    __slots__ = ("index", "type")
    _known: dict = {}  # noqa: RUF012 - the interning table
    type: str
    index: int | None

    def __new__(cls, type, index: int | None = None) -> "device":
        if isinstance(type, device):
            return type
        if isinstance(type, int):
            return cls(accelerator() or "cuda", type)
        if index is None:
            type, index = _parse(type)
        elif ":" in type:
            raise RuntimeError(
                "type (string) must not include an index because index was passed explicitly: "
                f"{type}"
            )
        return cls._intern(type, index)

    @classmethod
    def _intern(cls, type: str, index: int | None) -> "device":
        found = cls._known.get((type, index))
        if found is None:
            found = object.__new__(cls)
            found.type, found.index = type, index
            found = cls._known.setdefault((type, index), found)
        return found

    def __repr__(self) -> str:
        suffix = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{suffix})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return device, (str(self),)

    def __enter__(self) -> "device":
        """Make new tensors on this device inside the block."""
        _chosen.outer = (*_chosen.outer, _chosen.current)
        _chosen.current = self
        return self

    def __exit__(self, *_) -> None:
        *outer, _chosen.current = _chosen.outer
        _chosen.outer = tuple(outer)


def _parse(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"([a-z_]+)(?::(0|[1-9]\d*))?", text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    if match[1] not in _PLATFORMS:
        raise RuntimeError(
            f"Expected one of {', '.join(_PLATFORMS)} device type at start of device string: "
            f"{match[1]}"
        )
    return match[1], None if match[2] is None else int(match[2])


CPU = device("cpu")
META = device("meta")


class _Chosen(threading.local):
    """Where a thread makes new tensors: what a ``with`` block or the last choice says.

    Attributes:
        current: The device, None if nobody has chosen.
        outer: What it was outside of the blocks entered, the innermost last.
        replaced: What it was before :func:`set_default_device`, in a tuple.
    """

    current: device | None = None
    outer: tuple[device | None, ...] = ()
    replaced: tuple[device | None, ...] = ()


_chosen = _Chosen()
_interned = device  # for where a parameter has that name


def chosen_device() -> device | None:
    """Return the device that new tensors shall be made on, None if nobody has said."""
    return None if _chosen.current is None else resolve(_chosen.current)


def get_default_device() -> device:
    """Return the device that new tensors are made on."""
    return CPU if _chosen.current is None else resolve(_chosen.current)


def set_default_device(device: "device | str | int | None") -> None:
    """Make new tensors on ``device`` in this thread; None ends this."""
    if _chosen.replaced:
        (_chosen.current,) = _chosen.replaced
        _chosen.replaced = ()
    if device is not None:
        _chosen.replaced = (_chosen.current,)
        _chosen.current = _interned(device)


def available(type: str) -> int:
    """Return how many devices of this type JAX sees."""
    if _PLATFORMS[type] is None:
        return 0
    try:
        return len(jax.devices(_PLATFORMS[type]))
    except RuntimeError:  # JAX's answer for a platform that isn't there
        return 0


def accelerator() -> str | None:
    """Return the type of the accelerator in use, None on a machine without."""
    platform = jax.default_backend()
    return {"gpu": "cuda", "cuda": "cuda", "tpu": "tpu"}.get(platform)


def resolve(requested) -> device:
    """Return the concrete device for a user's ``device=`` argument (``cuda`` becomes ``cuda:0``).

    Raises:
        AssertionError, RuntimeError: there is no such device here.
    """
    wanted = device(requested)
    if wanted.type in ("cpu", "meta"):
        return CPU if wanted.type == "cpu" and not wanted.index else wanted
    index = wanted.index or 0
    count = available(wanted.type)
    if not count and wanted.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    if index >= count:
        raise RuntimeError(f"{wanted.type} device ordinal {index} is invalid: {count} available")
    return device(wanted.type, index)


@functools.cache
def jax_device(d: device):
    """Return the JAX device behind ``d``."""
    return jax.devices(_PLATFORMS[d.type])[d.index or 0]


@functools.cache
def is_jax_default(d: device) -> bool:
    """Return whether JAX places arrays on ``d`` unasked."""
    return jax_device(d) == jax.devices()[0]
