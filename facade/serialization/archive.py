"""Read and write the records of PyTorch's zip container."""

import hashlib
import os
import struct
import zipfile

ALIGNMENT = 64  # every record's data starts at a multiple of this, so a file can be mapped
_LOCAL_HEADER = 30  # bytes of a zip local header before the name
_ZIP64_FIELD = 20  # bytes that zip64 adds to a local header
_VERSION = b"3\n"
# PyTorch's text, though no miniz is here
_CORRUPTED = (
    " This is an internal miniz error. If you are seeing this error, there is a high likelihood "
    "that your checkpoint file is corrupted. This can happen if the checkpoint was not saved "
    "properly, was transferred incorrectly, or the file was modified after saving."
)


class ArchiveWriter:
    """Write uncompressed, aligned records below one folder, named as PyTorch names it."""

    def __init__(self, file, folder: str) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._folder = folder

    def write(self, name: str, data) -> None:
        """Add a record; ``data`` is bytes or a contiguous array."""
        data = memoryview(data)
        info = zipfile.ZipInfo(f"{self._folder}/{name}")
        large = data.nbytes >= 1 << 30
        header = _LOCAL_HEADER + len(info.filename.encode()) + large * _ZIP64_FIELD
        padding = -(self._zip.start_dir + header + 4) % ALIGNMENT
        info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding  # PyTorch's own filler
        with self._zip.open(info, "w", force_zip64=large) as record:
            record.write(data)

    def close(self) -> None:
        """Add the two records that end every archive, then the directory."""
        self.write("version", _VERSION)
        contents = repr([(i.filename, i.CRC) for i in self._zip.infolist()])
        digest = int(hashlib.sha256(contents.encode()).hexdigest(), 16)
        self.write(".data/serialization_id", f"{digest % 10**40:040d}".encode())
        self._zip.close()


class ArchiveReader:
    """Read the records of an archive, without checking their sums (PyTorch can leave them out).

    Raises:
        RuntimeError: the archive is cut short, or is not one that PyTorch wrote.
    """

    def __init__(self, file) -> None:
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except zipfile.BadZipFile:
            raise RuntimeError(
                "PytorchStreamReader failed reading zip archive: failed finding central directory."
                + _CORRUPTED
            ) from None
        names = self._zip.namelist()
        if not names or "/" not in names[0]:
            raise RuntimeError(f"file in archive is not in a subdirectory: {''.join(names[:1])}")
        self._folder = names[0].split("/")[0]
        if "version" not in self and ".data/version" not in self:
            raise RuntimeError(
                "This zip archive was not written by torch.save: it has no version record."
            )

    def __contains__(self, name: str) -> bool:
        return f"{self._folder}/{name}" in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        """Return the bytes of a record."""
        info = self._info(name)
        if info.compress_type != zipfile.ZIP_STORED:  # zipped again by hand
            return self._zip.read(info)
        self._file.seek(self.offset(name))
        data = self._file.read(info.file_size)
        if len(data) < info.file_size:
            raise RuntimeError(
                f"PytorchStreamReader failed reading file {name}: file read failed.{_CORRUPTED}"
            )
        return data

    def size(self, name: str) -> int:
        """Return how many bytes a record holds."""
        return self._info(name).file_size

    def offset(self, name: str) -> int:
        """Return where a record's data starts in the file."""
        info = self._info(name)
        self._file.seek(info.header_offset + _LOCAL_HEADER - 4)
        lengths = self._file.read(4)  # of the name and of the extra field
        if len(lengths) < 4:
            raise RuntimeError(
                f"PytorchStreamReader failed reading file {name}: file read failed.{_CORRUPTED}"
            )
        return info.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", lengths))

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self:
            raise RuntimeError(
                f"PytorchStreamReader failed locating file {name}: file not found.{_CORRUPTED}"
            )
        return self._zip.getinfo(f"{self._folder}/{name}")


def folder_name(path: str | None) -> str:
    """Return the folder PyTorch puts the records of ``path`` in; None is a file object."""
    if path is None or not path.isascii():
        return "archive"
    return os.path.basename(path).rpartition(".")[0] or os.path.basename(path)


def looks_like_zip(file) -> bool:
    """Return whether a zip archive starts at the file's position, which stays where it is."""
    start = file.tell()
    signature = file.read(4)
    file.seek(start)
    return signature == b"PK\x03\x04"
