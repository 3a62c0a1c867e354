"""Locks of folders between processes.

The operating system releases a lock when its process ends, also when it is killed. Some network file systems have no
such locks. There a marker file with process id, host and start time takes their place. A marker of a process of this
host that has ended is removed. Whether a process of another host still runs cannot be known here, so its marker stays,
and the message says which file to remove.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from warmup_lab.config import ConfigError
from warmup_lab.system.files import shown_path, write_json

LOCK, HOLDER, MARKER = ".lock", ".lock.json", ".lock.marker"
"""Names in a folder: the locked file; process id, host and start time of the process that holds it; the marker."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems without locks."""
_MARKER_SECONDS = 0.3
"""Least time to wait for a marker: it takes several tries to remove one whose process has ended."""

_OTHER_FILES = 512
"""Open files that a process needs besides its locks: libraries, logs, connections."""


class FolderInUse(ConfigError):
    """Another process holds the lock of a folder."""


@contextmanager
def sweep_lock(directory: Path) -> Iterator[None]:
    """Holds the lock of a sweep's folder, so that only one sweep at a time writes to it.

    Raises:
        FolderInUse: another process holds the lock.
    """
    with _folder_lock(directory, "another sweep", "choose another study=NAME", wait=0):
        yield


@contextmanager
def run_lock(directory: Path, *, wait: float = 0) -> Iterator[None]:
    """Holds the lock of a run's folder, so that only one process at a time trains the run.

    Args:
        directory: the folder of the run.
        wait: seconds to wait for another process.

    Raises:
        FolderInUse: another process holds the lock. The message names process, host and since when.
    """
    with _folder_lock(directory, "another command", "choose another folder (hydra.run.dir=FOLDER)", wait=wait):
        yield


def lock_holder(directory: Path) -> dict[str, Any] | None:
    """Process id, host and start time of the process that holds the lock of a folder; None if nobody does."""
    try:
        holder: dict[str, Any] = json.loads((directory / HOLDER).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Windows may refuse to read a file that is being replaced
        return None
    return holder


def allow_locks(number: int) -> None:
    """Lets this process hold `number` locks at once, where the system allows it. Each lock is an open file."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _folder_lock(directory: Path, user: str, instead: str, *, wait: float) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        lock = _acquire(directory, wait)
    except Timeout as timeout:
        raise FolderInUse(_in_use(directory, user, instead, Path(timeout.lock_file))) from None
    with lock:
        # The holder has a file of its own, because Windows does not let other processes read a locked file.
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat()}
        write_json(directory / HOLDER, holder)
        try:
            yield
        finally:
            (directory / HOLDER).unlink(missing_ok=True)


def _acquire(directory: Path, wait: float) -> AbstractContextManager[BaseFileLock]:
    """The lock, held; it is released at the end of the block."""
    try:
        return FileLock(directory / LOCK, fallback_to_soft=False).acquire(timeout=wait)
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
            raise
    return SoftFileLock(directory / MARKER).acquire(timeout=max(wait, _MARKER_SECONDS))


def _in_use(directory: Path, user: str, instead: str, lock: Path) -> str:
    """The message of `FolderInUse`."""
    holder = _of_marker(lock) if lock.name == MARKER else _of_record(directory / HOLDER)
    text = f"{shown_path(directory)} is in use by {user} ({holder}): wait until it ends, or {instead}"
    if lock.name == MARKER:
        text += (
            ". This file system has no locks, so this host cannot tell whether a process of another host still runs: "
            f"if it does not, remove {shown_path(lock)}"
        )
    return text


def _of_record(path: Path) -> str:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return _described(record["pid"], record["host"], datetime.fromisoformat(record["since"]))
    except (OSError, ValueError, KeyError, TypeError):  # not written yet, or removed
        return "process unknown"


def _of_marker(path: Path) -> str:
    """The marker has the process id in its first line and the host in its second."""
    try:
        pid, host, *_ = path.read_text(encoding="utf-8").splitlines()
        # filelock appends the process namespace to the host's name, so that containers differ.
        return _described(pid, host.partition("?pidns-")[0], datetime.fromtimestamp(path.stat().st_mtime, UTC))
    except (OSError, ValueError):
        return "process unknown"


def _described(pid: int | str, host: str, since: datetime) -> str:
    return f"process {pid} on {host} since {since.astimezone():%Y-%m-%d %H:%M:%S}"
