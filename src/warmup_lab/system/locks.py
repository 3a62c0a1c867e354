"""Locks between processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warmup_lab.config import ConfigError


@contextmanager
def only_sweep_in(directory: Path) -> Iterator[None]:
    """Holds the folder's lock, which the system drops when the process dies; a second sweep there is refused."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigError(
                f"{directory} is in use by another sweep (process {file.read()}): wait, or choose another study=NAME"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
