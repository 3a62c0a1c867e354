"""A cache on disk for files that can be computed again. Several processes may use it at once.

A damaged file counts as missing. If the cache cannot be written, a temporary folder of this process replaces it.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup_lab.system.files import atomic_path

logger = logging.getLogger(__name__)

_DIGEST_SIZE = hashlib.sha256().digest_size


def cache_root() -> Path:
    """The folder `WARMUP_LAB_CACHE`, by default `~/.cache/warmup-lab`."""
    return Path(os.environ.get("WARMUP_LAB_CACHE") or "~/.cache/warmup-lab").expanduser()


@cache
def _temporary_root() -> Path:
    """Replaces `cache_root` if nothing can be written there; removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="warmup-lab-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def store(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes the files that are missing or differ into `folder` of the cache; returns the folder's full path."""
    try:
        return _store_below(cache_root(), folder, files)
    except OSError as error:
        if not _temporary_root.cache_info().currsize:
            logger.warning(
                "cannot write to the cache %s (%s): cached files are lost when this process ends. Set WARMUP_LAB_CACHE "
                "to a writable folder", cache_root(), error.strerror,
            )  # fmt: skip
        return _store_below(_temporary_root(), folder, files)


def _store_below(root: Path, folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / folder / name
        if not path.is_file() or path.read_bytes() != content:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
    return root / folder


def write_arrays(name: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Stores named arrays as the `.npz` file `name` of the cache, followed by the digest of the file."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    content = buffer.getvalue()
    store(name.parent, {name.name: content + _digest(name, content)})


def read_arrays(name: Path, keys: Collection[str]) -> dict[str, NDArray[Any]] | None:
    """The arrays of the file `name` of the cache; None if the file is missing, damaged, or has other keys."""
    roots = [cache_root(), *([_temporary_root()] if _temporary_root.cache_info().currsize else [])]
    for path in (root / name for root in roots):
        try:
            stored = path.read_bytes()
            content = stored[:-_DIGEST_SIZE]
            if stored[-_DIGEST_SIZE:] != _digest(name, content):
                raise ValueError("its digest differs")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                if set(arrays) != set(keys):
                    raise ValueError(f"it holds {', '.join(sorted(arrays))}")
                return dict(arrays)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Exception as error:  # numpy raises errors of zipfile, zlib, struct and tokenize, whatever is damaged
            logger.warning("%s is damaged (%s) and will be computed again", path, error)
    return None


def _digest(name: Path, content: bytes) -> bytes:
    """Covers every byte of the content, and the name: a file in the place of another counts as damaged.

    The checksums inside a `.npz` file cover neither the headers of the arrays nor the list of the arrays.
    """
    return hashlib.sha256(b"\0".join((name.name.encode(), content))).digest()
