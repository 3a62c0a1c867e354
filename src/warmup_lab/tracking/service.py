"""The process `wandb-core`, which writes and uploads runs: starting it, ending it, and why it failed.

A process has one service. If other code has started it, for example `wandb.init` in a notebook, it may hold runs of
that code. It is used, but never killed or ended here.

wandb has no public names for this. Tested with wandb 0.31.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Process = subprocess.Popen[bytes]

_lock = threading.Lock()
_process: Process | None = None
"""The service that was started here last."""
_connection: Any = None
"""wandb's connection to it."""
_output: int | None = None
"""Descriptor of a file with its stderr: a Go panic would print a screen of stack traces."""


def start_service(before_exit: Callable[[], None]) -> Process | None:
    """The running service of this process, which is started if there is none. None if other code has started it.

    `before_exit` is called when this process exits, before wandb waits for the service without a limit.
    """
    global _process, _connection
    from wandb.sdk import wandb_setup

    with _lock:
        _drop_lost_logs()
        singleton = wandb_setup.singleton()
        if singleton._connection is None:
            _process = None
            with _captured_output():
                _connection = singleton.ensure_service()
        atexit.unregister(before_exit)
        atexit.register(before_exit)  # handlers run in reverse order, so it comes before wandb's own
        return None if _is_of_other_code() else _process


def _is_of_other_code() -> bool:
    """Whether this process has a service that was not started here."""
    from wandb.sdk import wandb_setup

    singleton = wandb_setup._singleton  # without creating it, which reads settings that may be wrong
    return singleton is not None and singleton._connection not in (None, _connection)


@contextlib.contextmanager
def _captured_output() -> Iterator[None]:
    """Sends stderr of the service that starts meanwhile to a file."""
    from wandb.sdk.lib.service import service_process

    def popen(*words: Any, **options: Any) -> Process:
        global _process, _output
        if _output is not None:
            os.close(_output)
        _output = _temporary_file()
        stderr = subprocess.DEVNULL if _output is None else _output
        _process = subprocess.Popen(*words, **options | {"stdin": subprocess.DEVNULL, "stderr": stderr})
        return _process

    module: Any = service_process
    module.subprocess = SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL)
    try:
        yield
    finally:
        module.subprocess = subprocess


def _temporary_file() -> int | None:
    """Descriptor of an empty file without a name."""
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError:
        return None


def current_service() -> Process | None:
    """The service that was started here last, which may have ended."""
    return _process


def last_words() -> str:
    """Why the service failed, in one line, if it said so on stderr; otherwise empty."""
    if _output is not None:
        with contextlib.suppress(OSError):
            os.lseek(_output, 0, os.SEEK_SET)
            for line in os.read(_output, 100_000).decode(errors="replace").splitlines():
                if line.startswith(("panic:", "fatal error:")):
                    return f"wandb-core failed: {line.partition(':')[2].strip()}"
    return ""


def kill_service(process: Process | None) -> None:
    """Kills a service. Calls that wait for it then raise."""
    if process:
        with contextlib.suppress(OSError):
            process.kill()


def _drop_lost_logs() -> None:
    """Removes wandb's handlers for log files that are gone.

    wandb leaves the handler of a run whose service was killed. Once `logging` is configured again, which closes it, the
    next message opens its file anew, and fails if its folder was deleted.
    """
    target = logging.getLogger("wandb")
    for handler in target.handlers[:]:
        if isinstance(handler, logging.FileHandler) and not Path(handler.baseFilename).exists():
            target.removeHandler(handler)
            handler.close()


def has_ended(process: Process) -> bool:
    """Whether the service has ended, or ends within a second."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    return process.poll() is not None


def end_service(process: Process | None) -> None:
    """Kills a service. The next run of this process starts a new one."""
    kill_service(process)
    with _lock:
        if process and has_ended(process) and process is _process:
            close_connection()


def close_connection() -> None:
    """Closes the connection to the service, waits until it has ended, and forgets wandb's settings.

    Does nothing if other code has started the service: its runs would end.
    """
    with contextlib.suppress(Exception, SystemExit):
        import wandb

        if not _is_of_other_code():
            wandb.teardown()
