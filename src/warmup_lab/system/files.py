"""Atomic writes, digests and JSON. A reader sees the old file or the complete new one, also after `kill -9`.

A durable write also survives a power failure: first the content is on the disk, then the file gets its name.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""Errors of file systems that cannot write a folder to the disk by itself."""


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, which is created; removes the file at the end if it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a temporary path in the folder of `path`, and moves it to `path` if the block succeeds.

    If the block raises, the temporary file is removed and `path` stays unchanged. With `durable`, the
    content is on the disk before the move. The name itself is on the disk after `sync_folder`.
    """
    with naming_errors(path), temporary_path(path) as temporary:
        yield temporary
        if durable:
            sync_file(temporary)
        temporary.replace(path)


@contextmanager
def naming_errors(path: Path) -> Iterator[None]:
    """Adds the path to errors of the operating system that lack it, such as those of reading."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_file(path: Path) -> None:
    """Returns once the content of the file is on the disk (fsync)."""
    with naming_errors(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Returns once the names in the folder are on the disk (fsync), where the system can do that."""
    if os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming_errors(folder):
            os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Renames a damaged file or folder to `<name>.damaged`, or `.damaged-2` and so on; returns the new path."""
    names = itertools.chain([f"{path.name}.damaged"], (f"{path.name}.damaged-{n}" for n in itertools.count(2)))
    aside = next(other for name in names if not os.path.lexists(other := path.with_name(name)))
    return path.rename(aside)


def file_digest(path: Path) -> str:
    """The SHA-256 of the content of a file, as 64 hex digits."""
    with naming_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Writes `value` as indented JSON; raises `ValueError` for NaN and infinities, which JSON does not have.

    `durable`: as for `atomic_path`.
    """
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def to_json(value: Any) -> Any:
    """Converts dataclasses, tuples and numpy scalars to what JSON has; non-finite numbers become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class JsonRecord:
    """Base class of the dataclasses that are written to JSON files."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values: tuples become lists, non-finite numbers become None."""
        return to_json(self)  # type: ignore[no-any-return]


def shown_path(path: Path) -> str:
    """The path as messages show it: relative if it is under the working directory, otherwise absolute."""
    absolute, here = Path(os.path.normpath(path.absolute())), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
