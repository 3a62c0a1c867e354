"""Replacing the result of a run by that of another training: a kill at any moment leaves one of the two, complete.

The new files are first written beside the old ones, as `<name>.new`. The rename of `result.json` then puts the new
result in place, and the other renames follow. If the process is killed between them, whoever reads the run next makes
those that are left: the digests in `result.json` say which files belong to it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from warmup_lab.system import file_digest

RESULT, MODEL, CHECKPOINT = "result.json", "model", "checkpoint"
_SUFFIX = ".new"


def new_path(directory: Path, name: str) -> Path:
    """Where to write the file or folder `name` of a run that ends: beside the old one if the run has a result."""
    return directory / (name + _SUFFIX if (directory / RESULT).exists() else name)


def digest_of_new(directory: Path, name: str) -> str:
    """The SHA-256 of what `new_path` names. A reader may have renamed it, if it equals the old file."""
    return _digest(directory / (name + _SUFFIX)) or file_digest(directory / name)


def complete_replacement(directory: Path, files: Mapping[str, str]) -> None:
    """Renames the new files in place if they belong to the result in place, whose digests are `files`."""
    new = {directory / (name + _SUFFIX): digest for name, digest in files.items()}
    new = {path: digest for path, digest in new.items() if path.is_file()}
    if not new or any(_digest(path) not in (digest, None) for path, digest in new.items()):
        return
    model = directory / (MODEL + _SUFFIX)
    if model.is_dir():  # before the tables, which tell whether it belongs to the result
        shutil.rmtree(directory / MODEL, ignore_errors=True)
        _rename(model)
    for path in new:
        _rename(path)


def remove_leftovers(directory: Path) -> None:
    """Removes what killed processes wrote and never renamed. The caller holds the lock of the run."""
    for path in [*directory.glob(f"*{_SUFFIX}"), *directory.glob(".*.tmp")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _digest(path: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):  # another reader has renamed it
        return file_digest(path)
    return None


def _rename(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # another reader has done it
        path.replace(path.with_name(path.name.removesuffix(_SUFFIX)))
