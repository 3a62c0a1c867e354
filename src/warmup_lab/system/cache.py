"""A cache on disk, of files named by their content: safe under concurrent processes, and never needed.

What is damaged counts as absent; what cannot be written goes to a folder of this process alone.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import shutil
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warmup_lab.system.files import atomic_path

logger = logging.getLogger(__name__)


def cache_root() -> Path:
    return Path(os.environ.get("WARMUP_LAB_CACHE") or "~/.cache/warmup-lab").expanduser()


@cache
def _spare_root() -> Path:
    """A cache of this process alone, where nothing can be written to the real one."""
    folder = tempfile.mkdtemp(prefix="warmup-lab-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def store(folder: Path, files: dict[str, bytes]) -> Path:
    """Writes `files` into `folder` of the cache, unless they are there just so; returns the folder's full path."""
    try:
        return _store_below(cache_root(), folder, files)
    except OSError as error:
        if not _spare_root.cache_info().currsize:
            hint = "set WARMUP_LAB_CACHE to a folder that can be written"
            logger.warning("cannot write to the cache %s (%s): nothing is kept; %s", cache_root(), error.strerror, hint)
        return _store_below(_spare_root(), folder, files)


def _store_below(root: Path, folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / folder / name
        if not path.is_file() or path.read_bytes() != content:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
    return root / folder


def write_arrays(name: Path, arrays: dict[str, NDArray[Any]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    store(name.parent, {name.name: buffer.getvalue()})


def read_arrays(name: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file of the cache; None where it is absent or damaged (each array has a checksum)."""
    roots = [cache_root(), *([_spare_root()] if _spare_root.cache_info().currsize else [])]
    for path in (root / name for root in roots):
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                return dict(stored)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            logger.warning("%s is damaged (%s): it is made again", path, error)
    return None
