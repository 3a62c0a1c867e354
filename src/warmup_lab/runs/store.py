"""A folder of an object store, through fsspec.

An upload is in one step: a reader sees the whole file or none. `create` also tells whether the file was there before
(`If-None-Match: *` on S3). Credentials and options come from the environment, as botocore and fsspec read them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from warmup_lab.config import ConfigError

_TRIES, _PAUSE = 5, 0.2
"""Times that `create` is tried while the store reports a conflict with another writer, and seconds between them."""
_EXTRAS = {"s3fs": "s3"}
"""Package -> extra of warmup-lab that installs it."""


class StoreError(ConfigError):
    """The store refuses, lacks or does not answer something. The message names the URL."""


@dataclass(frozen=True)
class Store:
    """One folder of a store. Names of files are relative to it."""

    url: str
    """Such as `s3://bucket/runs/sweep`, without a slash at its end."""

    def below(self, *names: str) -> Store:
        """A folder in this one."""
        return Store("/".join((self.url, *names)))

    def list(self) -> list[str]:
        """The names of all files, those in folders too, from one listing."""
        with self._errors():
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self.url)
            except FileNotFoundError:
                return []
        root = self._path("")
        return [path.removeprefix(root) for path in found if path.startswith(root)]

    def download(self, files: Mapping[str, Path]) -> None:
        """Writes the files to these paths, in parallel."""
        if files:
            with self._errors():
                self._fs.get([self._path(name) for name in files], [str(path) for path in files.values()])

    def upload(self, files: Mapping[str, Path]) -> None:
        """Writes these local files, in parallel; replaces files of the same names."""
        if files:
            with self._errors():
                self._fs.put([str(path) for path in files.values()], [self._path(name) for name in files])

    def remove(self, names: Iterable[str]) -> None:
        """Removes the files that are there."""
        for name in names:
            with self._errors(), contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(name))

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is no such file."""
        with self._errors():
            try:
                content: bytes = self._fs.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return content

    def create(self, name: str, content: bytes) -> bool:
        """Writes a file that is not there yet. False if there is one, whoever wrote it, which stays."""
        with self._errors():
            for attempt in range(_TRIES):
                try:
                    self._fs.pipe_file(self._path(name), content, mode="create")
                    return True
                except FileExistsError:
                    return False
                except OSError as error:
                    # EINVAL: a store that does not name the condition that failed. EBUSY: two writers at one moment.
                    if error.errno not in (errno.EINVAL, errno.EBUSY):
                        raise
                    if self._fs.exists(self._path(name)):
                        return False
                    if attempt == _TRIES - 1:
                        raise
                time.sleep(_PAUSE)
        raise AssertionError("unreachable")

    def check(self) -> None:
        """Raises `StoreError` unless files can be written here, and created only if they are missing."""
        name = f".write-test-{uuid.uuid4().hex[:12]}"
        first = self.create(name, b"")
        second = self.create(name, b"")
        self.remove([name])
        if not first or second:
            raise StoreError(
                f"output={self.url}: this store writes over files that must only be created (it ignores "
                "If-None-Match), so two writers of one run could mix; use another store or a folder"
            )

    @property
    def _fs(self) -> Any:
        return _file_system(self.url.partition("://")[0].lower())

    def _path(self, name: str) -> str:
        return f"{self._fs._strip_protocol(self.url)}/{name}"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of the store as `StoreError`."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and isinstance(error.filename, str) and Path(error.filename).exists():
                raise  # of a local file
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise StoreError(f"{self.url}: {reason}") from error


@cache
def _file_system(protocol: str) -> Any:
    import fsspec

    for name in ("botocore", "aiobotocore"):  # they log where credentials are found
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return fsspec.filesystem(protocol)
    except ImportError as error:
        package = error.name or str(error)
        install = f"'warmup-lab[{_EXTRAS[package]}]'" if package in _EXTRAS else f"what fsspec needs for {protocol}://"
        raise StoreError(f"output={protocol}://... needs {package}: pip install {install}") from None


def read_sha256(path: Path) -> str | None:
    """The key `sha256` of a `result.json`; None if the file is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def existing(directory: Path, names: Sequence[str]) -> list[str]:
    """The files of these names in a folder, and those in its folders of these names, as relative names."""
    found: list[Path] = []
    for name in names:
        path = directory / name
        found += sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [path.relative_to(directory).as_posix() for path in found if path.is_file()]
