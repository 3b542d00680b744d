"""Save objects in the format of PyTorch's ``.pth`` files."""

import contextlib
import functools
import io
import os
import pickle
import struct
import sys
from types import FunctionType
from typing import Any

from facade.devices import device
from facade.dtypes import dtype
from facade.layouts import layout, named_layout
from facade.serialization import storages
from facade.serialization.archive import ArchiveWriter, folder_name
from facade.serialization.loading import LEGACY_MAGIC, LEGACY_PROTOCOL
from facade.serialization.names import torch_name
from facade.serialization.storages import SavedStorage, StorageType
from facade.size import Size
from facade.sparse.tensor import SparseTensor
from facade.tensor import Tensor


def save(
    obj: object,
    f: str | os.PathLike | Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Save an object with the tensors in it; PyTorch's ``load`` reads it too.

    Args:
        obj: Tensors, and whatever can be pickled.
        f: A path, or a file object open for writing bytes.
        pickle_module: What to pickle with; its ``Pickler`` must be written in Python, as dill's is.
        pickle_protocol: The weights-only ``load`` reads protocol 2 alone.
    Raises:
        RuntimeError: the folder does not exist, or two tensors see one storage as different dtypes.
    """
    path = os.fspath(f) if isinstance(f, (str, os.PathLike)) else None
    if path is None and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    # All that can fail in the object happens before the file is touched.
    content = io.BytesIO()
    pickler = _pickler_class(pickle_module)(content, protocol=pickle_protocol)
    pickler.is_legacy = not _use_new_zipfile_serialization
    pickler.dump(obj)
    if path is not None and not os.path.isdir(os.path.dirname(path) or "."):
        raise RuntimeError(f"Parent directory {os.path.dirname(path)} does not exist.")
    with open(path, "wb") if path is not None else contextlib.nullcontext(f) as file:
        if _use_new_zipfile_serialization:
            _write_zip(file, folder_name(path), content.getvalue(), pickler.storages.values())
        else:
            _write_legacy(file, content.getvalue(), pickler.storages.values(), pickle_protocol)


def _write_zip(file, folder: str, content: bytes, saved) -> None:
    archive = ArchiveWriter(file, folder)
    archive.write("data.pkl", content)
    archive.write("byteorder", sys.byteorder.encode())
    for storage in saved:
        archive.write(f"data/{storage.key}", storage.bytes())
    archive.close()


def _write_legacy(file, content: bytes, saved, protocol: int) -> None:
    facts = {
        "protocol_version": LEGACY_PROTOCOL,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 8},
    }
    for header in (LEGACY_MAGIC, LEGACY_PROTOCOL, facts):
        pickle.dump(header, file, protocol=protocol)
    file.write(content)
    pickle.dump([storage.key for storage in saved], file, protocol=protocol)
    for storage in saved:
        file.write(struct.pack("<q", storage.numel))
        file.write(storage.bytes())


def _python_pickler(pickle_module) -> Any:
    """Return a module's pickler written in Python: it can write names that can't be imported."""
    pickler = getattr(pickle_module, "_Pickler", pickle_module.Pickler)
    if not issubclass(pickler, pickle._Pickler):
        raise TypeError(
            f"save: the Pickler of pickle_module must derive from pickle._Pickler, got {pickler}"
        )
    return pickler


@functools.cache
def _pickler_class(pickle_module) -> Any:
    """Return a pickler that knows tensors and writes facade's names as PyTorch's."""
    base = _python_pickler(pickle_module)

    class Pickler(base):
        is_legacy = False

        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            self.storages: dict[int, SavedStorage] = {}

        def persistent_id(self, obj: Any) -> tuple | None:
            if not isinstance(obj, SavedStorage):
                return None
            pid = ("storage", obj.kind, obj.key, obj.location, obj.numel)
            return (*pid, None) if self.is_legacy else pid

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, SparseTensor):
                return obj.__reduce_ex__(self.proto)
            if isinstance(obj, Tensor):
                return storages.reduce(obj, self.storages)
            if type(obj) is Size:
                return Size, (tuple(obj),)
            if type(obj) is layout:
                return named_layout, (repr(obj),)
            if type(obj) is device:
                return device, (obj.type,) if obj.index is None else (obj.type, obj.index)
            return NotImplemented

        def save_global(self, obj: Any, name: str | None = None) -> None:
            public = torch_name(obj)
            if public is None:
                return super().save_global(obj, name)
            module, _, name = public.rpartition(".")
            if self.proto >= 4:
                self.save(module)
                self.save(name)
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            self.memoize(obj)

        dispatch = base.dispatch | dict.fromkeys((FunctionType, StorageType, dtype), save_global)

    return Pickler
