"""Locks between processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from warmup_lab.config import ConfigError


@contextmanager
def sweep_lock(directory: Path) -> Iterator[None]:
    """Holds the lock `<directory>/.lock`, so that only one sweep at a time writes to the folder.

    The operating system releases the lock when the process ends, also when it is killed.

    Raises:
        ConfigError: another process holds the lock.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # The process id has a file of its own, because Windows does not let other processes read a locked file.
    holder = directory / ".lock.pid"
    try:
        lock = FileLock(directory / ".lock").acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"{directory} is in use by another sweep (process {_process_id(holder)}): wait until it ends, or choose "
            "another study=NAME"
        ) from None
    with lock:
        holder.write_text(str(os.getpid()))
        yield


def _process_id(holder: Path) -> str:
    try:
        return holder.read_text() or "unknown"
    except OSError:
        return "unknown"
