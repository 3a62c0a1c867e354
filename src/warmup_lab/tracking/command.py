"""What the processes of one command know about W&B together, so that a fault costs the command its time only once.

The first process that finds W&B unusable notes it, and all later runs of the command are recorded offline. Runs of a
sweep are finished in the background. The command waits for them once, at its end: `WAIT_SECONDS` for W&B, then
`AGAIN_SECONDS` for recording offline what is not finished.

The processes of a sweep share a folder of small files inside the folder of the sweep. Its name has a digest of who
holds the sweep's lock, so another command does not read it. Without a lock, all runs are in this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from warmup_lab.system import lock_holder

logger = logging.getLogger(__name__)

WAIT_SECONDS = 7.0
"""How long a command waits for W&B at its end."""
AGAIN_SECONDS = 6.0
"""How long it then waits for runs that are recorded again, offline."""
_LEAST_SECONDS = 2.0
"""What a run gets after the command has spent its time, where runs are not finished in the background."""
_TOLD_SECONDS = 2.0
"""How long it then waits until its other processes have given up too."""
_POLL_SECONDS = 0.05

_OFFLINE, _UNUSABLE, _AGAIN, _GIVE_UP = "offline", "unusable", "again", "give_up"


class Recording(Protocol):
    """A run that is being recorded in this process."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""

    def record_again(self, reason: str) -> None:
        """Interrupts the run and records it again, offline."""

    def give_up(self, reason: str) -> None:
        """Ends without recording the rest."""


class Command:
    """What one command knows about W&B."""

    def __init__(self, directory: Path, holder: dict[str, object] | None) -> None:
        """`holder` is who holds the lock of `directory`; None if this is no sweep."""
        self._reasons: dict[str, str] = {}
        self._finishing: list[Recording] = []
        self._own = (os.getpid(), socket.gethostname())
        self._is_holder = holder is not None and (holder["pid"], holder["host"]) == self._own
        self._folder: Path | None = None
        if holder is not None:
            digest = hashlib.sha256(json.dumps(holder, sort_keys=True).encode()).hexdigest()[:12]
            self._folder = directory / f".tracking-{digest}"
        self._waited = 0.0

    @property
    def is_sweep(self) -> bool:
        return self._folder is not None

    # --- what is known

    @property
    def offline_reason(self) -> str:
        """Why runs are recorded offline; empty if they can go online."""
        return self._read(_OFFLINE)

    def go_offline(self, reason: str) -> bool:
        """Notes that later runs are recorded offline. Returns whether that is new."""
        return self._note(_OFFLINE, reason)

    @property
    def is_unusable(self) -> bool:
        """Whether not even offline runs can be recorded."""
        return bool(self._read(_UNUSABLE))

    def give_up_wandb(self, reason: str) -> None:
        """Notes that later runs are not recorded."""
        self._note(_UNUSABLE, reason)

    @property
    def again_reason(self) -> str:
        """Why runs that are not finished by now are to be recorded again, offline; empty if they are not."""
        return self._read(_AGAIN)

    @property
    def give_up_reason(self) -> str:
        """Why the command no longer waits for its runs; empty if it does."""
        return self._read(_GIVE_UP)

    def _read(self, name: str) -> str:
        if not self._reasons.get(name) and self._folder:
            with contextlib.suppress(OSError):
                self._reasons[name] = (self._folder / name).read_text(encoding="utf-8")
        return self._reasons.get(name, "")

    def _note(self, name: str, reason: str) -> bool:
        if self._read(name):
            return False
        self._reasons[name] = reason
        if not self._folder:
            return True
        try:
            self._folder.mkdir(exist_ok=True)
            with (self._folder / name).open("x", encoding="utf-8") as file:
                file.write(reason)
        except FileExistsError:  # another process was first
            return False
        except OSError:
            pass
        return True

    # --- the end of runs

    def finish_later(self, recording: Recording) -> Callable[[], None]:
        """Adds a run to those that `wait` waits for. Returns a function to call when the run is recorded."""
        self._finishing.append(recording)
        marker: Path | None = None
        if self._folder and not self._is_holder:
            marker = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.finishing"
            with contextlib.suppress(OSError):
                self._folder.mkdir(exist_ok=True)
                marker.write_text(socket.gethostname(), encoding="utf-8")

        def done() -> None:
            if marker:
                with contextlib.suppress(OSError):
                    marker.unlink()

        return done

    def wait(self) -> None:
        """Waits until all runs of the command are recorded, with the time limits of this module."""
        started = time.monotonic()
        try:
            if self._is_over():
                self._tell_own(self.give_up_reason or "the command has ended")
            elif not self._all_done(max(WAIT_SECONDS - self._waited, _LEAST_SECONDS)):
                self._record_again(f"no answer within {WAIT_SECONDS:g} seconds")
                self._waited += time.monotonic() - started
        except KeyboardInterrupt:
            self._give_up("stopped")
            raise
        finally:
            self._finishing.clear()

    def _record_again(self, reason: str) -> None:
        self._note(_AGAIN, reason)
        for recording in self._unfinished():
            recording.record_again(reason)
        if not self._all_done(AGAIN_SECONDS):
            self._give_up(reason)
        if not self.is_sweep:  # other runs may follow in this process
            self._reasons.pop(_AGAIN)
            self._reasons.pop(_GIVE_UP, None)

    def _give_up(self, reason: str) -> None:
        self._note(_GIVE_UP, reason)
        self._tell_own(reason)
        # The others read the reason in files that `close` removes.
        _wait_until(lambda: not self._others_finish(), _TOLD_SECONDS)

    def _tell_own(self, reason: str) -> None:
        for recording in self._unfinished():
            recording.give_up(reason)

    def _is_over(self) -> bool:
        """Whether the process that holds the lock has waited for this one: it then removes the shared files."""
        return not self._is_holder and self._folder is not None and not self._folder.exists()

    def close(self) -> None:
        """Removes the shared files; for the process that holds the lock, at the end of the command."""
        if self._folder and self._is_holder:
            for folder in self._folder.parent.glob(".tracking-*"):
                shutil.rmtree(folder, ignore_errors=True)

    def _all_done(self, seconds: float) -> bool:
        return _wait_until(lambda: not (self._unfinished() or self._others_finish()), seconds)

    def _unfinished(self) -> list[Recording]:
        return [recording for recording in self._finishing if not recording.is_done]

    def _others_finish(self) -> bool:
        """Whether another process still records a run."""
        if not (self._folder and self._is_holder):
            return False
        return any(_is_alive(marker) for marker in self._folder.glob("*.finishing"))


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition holds before so many seconds have passed."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= limit:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_alive(marker: Path) -> bool:
    """Whether the process of a marker may still run."""
    import psutil

    with contextlib.suppress(OSError):
        if marker.read_text(encoding="utf-8") == socket.gethostname():
            return bool(psutil.pid_exists(int(marker.name.partition("-")[0])))
    return marker.exists()


_lock = threading.Lock()
_commands: dict[Path, tuple[dict[str, object] | None, Command]] = {}


def command_of(directory: Path) -> Command:
    """The command that records runs in `directory`."""
    directory, holder = directory.absolute(), lock_holder(directory)
    with _lock:
        known = _commands.get(directory)
        if known is None or known[0] != holder:
            known = _commands[directory] = (holder, Command(directory, holder))
        return known[1]
