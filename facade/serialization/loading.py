"""Load what ``save``, here or in PyTorch, wrote to a file."""

import contextlib
import io
import os
import pickle
import re
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from facade.devices import available, device
from facade.serialization.archive import ArchiveReader, looks_like_zip
from facade.serialization.names import find_class, is_torch
from facade.serialization.storages import StorageType, TypedStorage, UntypedStorage
from facade.serialization.unpickler import (
    PythonUnpickler,
    WeightsOnlyUnpickler,
    unsafe_globals,
)

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` "
    "from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will "
    "likely succeed, but it can result in arbitrary code execution. Do it only if you got the "
    "file from a trusted source."
)
_DOCS = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by default with "
    "weights_only https://pytorch.org/docs/stable/generated/torch.load.html."
)


def load(
    f: str | os.PathLike | Any,
    map_location: Callable | device | str | dict[str, str] | None = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load an object that ``save`` wrote.

    Args:
        f: A path, or a file object open for reading bytes that can seek.
        map_location: Where tensors go: a device or its name for all of them, a dict from the names
            in the file to others, or a function of a storage and its name in the file that returns
            a storage (or None for the usual place).
        pickle_module: What to unpickle with instead of ``pickle``, if not only weights.
        weights_only: Allow nothing but tensors, plain values and what ``add_safe_globals`` added.
            The default, unless a ``pickle_module`` is given. ``False`` runs whatever code the file
            contains: only for files from a source you trust.
        mmap: Map the file instead of reading it; ``f`` must be a path.
        pickle_load_args: For the unpickler, if not only weights (``encoding=...``).
    Raises:
        pickle.UnpicklingError: the file names what ``weights_only`` does not allow, or is not a
            checkpoint.
        RuntimeError: the file is damaged, or its tensors belong on a device that is not here.
    """
    weights_only = _weights_only(weights_only, pickle_module)
    if weights_only and pickle_load_args:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    pickle_load_args.setdefault("encoding", "utf-8")
    if weights_only:
        unpickler = partial(WeightsOnlyUnpickler, encoding=pickle_load_args["encoding"])
    else:
        unpickler = partial(_full_unpickler(pickle_module or pickle), **pickle_load_args)
    place = _placer(map_location)
    try:
        with _opened(f) as file:
            if looks_like_zip(file):
                return _load_zip(file, unpickler, place, weights_only, _map(f) if mmap else None)
            if mmap:
                name = f"{f}, " if isinstance(f, str) else ""
                raise RuntimeError(
                    f"mmap can only be used with files saved with `torch.save({name}"
                    "_use_new_zipfile_serialization=True), please torch.save your checkpoint with "
                    "this option in order to use mmap."
                )
            return _load_legacy(file, unpickler, place, weights_only)
    except pickle.UnpicklingError as error:
        if not weights_only:
            raise
        raise pickle.UnpicklingError(_explain(str(error))) from None


def _weights_only(asked: bool | None, pickle_module: Any) -> bool:
    """Decide from the argument and PyTorch's environment variables."""
    yes = ("1", "y", "yes", "true")
    force = os.getenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in yes
    force_not = os.getenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in yes
    if force and force_not:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` "
            "should be set, but both were set."
        )
    if force_not and asked is None:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the"
            "`weights_only` argument was not explicitly passed to `torch.load`, forcing "
            "weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        return False
    weights_only = force or (pickle_module is None if asked is None else asked)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    return weights_only


def _explain(message: str) -> str:
    """Say what to do about an error of the weights-only unpickler, in PyTorch's words."""
    if re.search(r"GLOBAL (\S+) was not an allowed global by default.", message):
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two "
            "options, \033[1mdo those steps only if you trust the source of the checkpoint"
            f"\033[0m. \n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with `weights_only=True` "
            "please check the recommended steps in the following error message.\n\t"
            f"WeightsUnpickler error: {message}{_DOCS}"
        )
    if re.search(r"whose module (\S+) is blocked", message):
        return f"Weights only load failed. {_UNSAFE}\n\n\n{message}{_DOCS}"
    return (
        f"Weights only load failed. {_UNSAFE}\nPlease file an issue with the following so that we "
        "can make `weights_only=True` compatible with your use case: WeightsUnpickler error: "
        f"\n\n{message}{_DOCS}"
    )


@contextlib.contextmanager
def _opened(f) -> Iterator[Any]:
    """Open a path; check that a file object can seek."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file
        return
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead."
        ) from None
    yield f


def _map(f) -> np.ndarray:
    if not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    return np.memmap(f, np.uint8, mode="c")  # changes stay in memory


def _full_unpickler(pickle_module):
    """Return an unpickler class that allows everything, PyTorch's names meaning facade's things."""

    class Unpickler(pickle_module.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if is_torch(module):
                return find_class(module, name)
            return super().find_class(module, name)

    return Unpickler


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike | Any) -> list[str]:
    """Return the names in a checkpoint that ``load(f, weights_only=True)`` would refuse."""
    with _opened(f) as file:
        if not looks_like_zip(file):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        return unsafe_globals(ArchiveReader(file).read("data.pkl"))


# ---- where storages go ----


def _placer(map_location) -> Callable[[UntypedStorage, str], UntypedStorage]:
    """Return the function that puts a storage where ``map_location`` wants it."""
    if map_location is None:
        return _place
    if isinstance(map_location, dict):
        return lambda storage, location: _place(storage, map_location.get(location, location))
    if isinstance(map_location, (str, bytes, device)):
        name = map_location.decode() if isinstance(map_location, bytes) else str(map_location)
        return lambda storage, location: _place(storage, name)

    def ask(storage: UntypedStorage, location: str) -> UntypedStorage:
        found = map_location(storage, location)
        if found is not None and not isinstance(found, UntypedStorage):
            raise TypeError(f"map_location must return the storage or None, but got {type(found)}")
        return _place(storage, location) if found is None else found

    return ask


def _place(storage: UntypedStorage, location: str) -> UntypedStorage:
    """Put a storage on the device that its name in the file says.

    Raises:
        RuntimeError: there is no such device here.
    """
    kind, _, index = location.partition(":")
    if kind in ("cpu", "meta"):
        return storage.to(location)
    if kind not in ("cuda", "tpu"):
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage "
            f"(tagged with {location})"
        )
    count = available(kind)
    if not count:
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but "
            f"torch.{kind}.is_available() is False. If you are running on a CPU-only machine, "
            "please use torch.load with map_location=torch.device('cpu') to map your storages to "
            "the CPU."
        )
    if int(index or 0) >= count:
        raise RuntimeError(
            f"Attempting to deserialize object on {kind.upper()} device {index} but "
            f"torch.{kind}.device_count() is {count}. Please use torch.load with map_location to "
            "map your storages to an existing device."
        )
    return storage.to(location)


# ---- the zip format ----


def _load_zip(file, unpickler, place, weights_only: bool, mapped: np.ndarray | None) -> Any:
    archive = ArchiveReader(file)
    if "constants.pkl" in archive:
        advice = " " + _UNSAFE if weights_only else " facade can't run TorchScript."
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with TorchScript archives passed to ``torch.load``."
            if weights_only
            else "This file is a TorchScript archive." + advice
        )
    order = archive.read("byteorder").decode() if "byteorder" in archive else "little"
    if order not in ("little", "big"):
        raise ValueError(f"Unknown endianness type: {order}")
    storages: dict[str, UntypedStorage] = {}

    def persistent_load(saved_id) -> TypedStorage:
        _, kind, key, location, numel = saved_id
        if key not in storages:
            data = _read_storage(archive, f"data/{key}", kind, numel, mapped)
            if order != sys.byteorder:
                data = _swapped(data, kind)
            storages[key] = place(UntypedStorage(data), location)
        return TypedStorage(storages[key], kind.dtype)

    reader = unpickler(io.BytesIO(archive.read("data.pkl")))
    reader.persistent_load = persistent_load
    return reader.load()


def _read_storage(archive: ArchiveReader, name: str, kind: StorageType, numel: int, mapped):
    expected, size = numel * kind.dtype.itemsize, archive.size(name)
    if size != expected:
        raise RuntimeError(
            f"record size ({size} bytes) does not match expected size ({expected} bytes = "
            f"{expected} elements * 1 bytes/element) for dtype Byte"
        )
    if mapped is None:
        return np.frombuffer(archive.read(name), np.uint8)
    start = archive.offset(name)
    return mapped[start : start + size]


def _swapped(data: np.ndarray, kind: StorageType) -> np.ndarray:
    word = kind.dtype.itemsize // (2 if kind.dtype.is_complex else 1)
    return data.view(f"u{word}").byteswap().view(np.uint8)


# ---- the format before PyTorch 1.6: pickles one after another, then the storages' bytes ----


def _load_legacy(file, unpickler, place, weights_only: bool) -> Any:
    _refuse_tar(file, weights_only)
    if unpickler(file).load() != LEGACY_MAGIC:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = unpickler(file).load()
    if version != LEGACY_PROTOCOL:
        raise RuntimeError(f"Invalid protocol version: {version}")
    unpickler(file).load()  # facts about the machine that wrote it, of no use
    # The bytes come after the object that needs them: skip it, read them, come back.
    start = file.tell()
    scanner = _Scanner(file)
    scanner.load()
    storages = {
        key: place(UntypedStorage(_read_legacy_storage(file, kind)), location)
        for key in WeightsOnlyUnpickler(file).load()
        for kind, location in [scanner.storages[key]]
    }
    end = file.tell()

    def persistent_load(saved_id) -> Any:
        if saved_id[0] in ("module", b"module"):
            return saved_id[1]  # the rest is the class's source code, of no use
        _, kind, key, _, _, view = saved_id
        storage = storages[key]
        if view is not None:
            _, offset, numel = view
            storage = storage.part(offset * kind.dtype.itemsize, numel * kind.dtype.itemsize)
        return TypedStorage(storage, kind.dtype)

    file.seek(start)
    reader = unpickler(file)
    reader.persistent_load = persistent_load
    result = reader.load()
    file.seek(end)
    return result


def _refuse_tar(file, weights_only: bool) -> None:
    """Raise on the format before the legacy format."""
    start = file.tell()
    header = file.read(512)
    file.seek(start)
    if header[257:262] != b"ustar":
        return
    if weights_only:
        raise RuntimeError(
            "Cannot use ``weights_only=True`` with files saved in the legacy .tar format. "
            + _UNSAFE
        )
    raise RuntimeError("facade can't read files saved in the legacy .tar format")


def _read_legacy_storage(file, kind: StorageType) -> np.ndarray:
    (numel,) = struct.unpack("<q", _read_exactly(file, 8))
    return np.frombuffer(_read_exactly(file, numel * kind.dtype.itemsize), np.uint8)


def _read_exactly(file, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise RuntimeError(
            f"unexpected EOF, expected {size - len(data)} more bytes. The file might be corrupted."
        )
    return data


class _Anything:
    """Stands for every class and object of a pickle that is only scanned."""

    def __init__(self, *args) -> None:
        pass

    def _ignore(self, *args) -> "_Anything":
        return self

    __call__ = __setitem__ = __setstate__ = append = extend = add = _ignore


class _Scanner(PythonUnpickler):
    """Finds the end of a pickle and the storages in it, running nothing."""

    def __init__(self, file) -> None:
        super().__init__(file, encoding="bytes")
        self.storages: dict[str, tuple[StorageType, str]] = {}

    def find_class(self, module: str, name: str) -> Any:
        return find_class(module, name) if name.endswith("Storage") else _Anything

    def persistent_load(self, pid) -> Any:
        if pid[0] in ("module", b"module"):
            return _Anything
        _, kind, key, location, _, _ = pid
        self.storages[key] = kind, location
        return _Anything()
