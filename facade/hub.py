"""Download checkpoints once, check them, and keep them where PyTorch keeps its own."""

import contextlib
import hashlib
import io
import os
import re
import sys
import uuid
import zipfile
from typing import Any
from urllib.error import ContentTooShortError, HTTPError, URLError
from urllib.parse import urlparse

from facade.serialization import load

_HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")  # bfd8deac of resnet18-bfd8deac.pth
_CHUNK = 128 * 1024
_hub_dir: str | None = None


def get_dir() -> str:
    """Return the folder downloads are kept in.

    Unless :func:`set_dir` chose another, ``$TORCH_HOME/hub``; ``$TORCH_HOME`` is by default
    ``$XDG_CACHE_HOME/torch``, and ``$XDG_CACHE_HOME`` is ``~/.cache``. PyTorch uses the same one.
    """
    if _hub_dir is not None:
        return _hub_dir
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.getenv("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Keep downloads in the folder ``d`` from now on."""
    global _hub_dir
    _hub_dir = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download ``url`` to the file ``dst``, which appears only when it is whole and checked.

    Args:
        url: What to download.
        dst: Where to; an existing file is replaced.
        hash_prefix: How the SHA256 of the data must start.
        progress: Whether to show a progress bar on stderr.
    Raises:
        RuntimeError: the SHA256 is another.
        URLError: the server cannot be reached, refuses, or ends the data early.
    """
    dst = os.path.expanduser(dst)
    partial = f"{dst}.{uuid.uuid4().hex}.partial"
    try:
        with open(partial, "xb") as file:
            digest = _download(url, file, dst, progress)
        if hash_prefix is not None and not digest.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
        os.replace(partial, dst)
    finally:  # also on Ctrl-C; after os.replace there is nothing left to remove
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)


def _download(url: str, file, dst: str, progress: bool) -> str:
    """Write what ``url`` holds to ``file`` and return its SHA256."""
    from tqdm import tqdm  # a program that downloads nothing need not wait for it

    sha256 = hashlib.sha256()
    received = 0
    with _open_url(url, dst) as response:
        length = response.headers.get("Content-Length")
        expected = None if length is None else int(length)
        with tqdm(
            total=expected, disable=not progress, unit="B", unit_scale=True, unit_divisor=1024
        ) as bar:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                sha256.update(chunk)
                bar.update(len(chunk))
                received += len(chunk)
    if expected is not None and received != expected:
        raise ContentTooShortError(
            f'download of "{url}" ended early: got {received} of {expected} bytes',
            (dst, response.headers),
        )
    return sha256.hexdigest()


def _open_url(url: str, dst: str):
    advice = f'could not download "{url}"; if you have the file, put it at {dst}'
    from urllib.request import Request, urlopen

    try:
        return urlopen(Request(url, headers={"User-Agent": "torch.hub"}))
    except HTTPError as error:
        error.add_note(advice)
        raise
    except URLError as error:
        raise URLError(f"{error.reason}: {advice}") from error


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location=None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> dict[str, Any]:
    """Load the checkpoint at ``url``, downloading it unless it is in ``model_dir`` already.

    Args:
        url: Where the checkpoint is.
        model_dir: Folder to keep it in; ``<get_dir()>/checkpoints`` by default.
        map_location: As in ``load``.
        progress: Whether to show a progress bar on stderr.
        check_hash: Check that the data's SHA256 starts with the digits that end the file's name,
            as in ``resnet18-bfd8deac.pth``.
        file_name: Name to keep it under, instead of the one in ``url``.
        weights_only: As in ``load``. True by default here, though False in PyTorch: what comes
            from the network never runs code unless that is asked for.
    Raises:
        RuntimeError: the hash is another.
        URLError: the download fails.
    """
    if model_dir is None:
        model_dir = os.path.join(get_dir(), "checkpoints")
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    cached = os.path.join(model_dir, name)
    if not os.path.exists(cached):
        sys.stdout.write(f'Downloading: "{url}" to {cached}\n')
        found = _HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, cached, found and found.group(1), progress=progress)
    return load(_unzipped(cached), map_location=map_location, weights_only=weights_only)


def _unzipped(path: str) -> str | io.BytesIO:
    """Return ``path``, or the one file in it: before PyTorch 1.6 some checkpoints were zipped."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1 or members[0].is_dir():
            return path
        return io.BytesIO(archive.read(members[0]))
