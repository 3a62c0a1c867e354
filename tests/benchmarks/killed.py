"""A command of warmup-lab in a forked process that is killed: at a random moment, or at its n-th write.

This process has imported everything, so that a kill never hits an import, which would prove nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import runpy
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PATHS = {"os.rename": 0, "os.remove": 0, "os.rmdir": 0, "os.mkdir": 0, "os.link": 0}
"""Audit events that change a folder -> the position of the path among their arguments."""
PATIENCE = 300.0
"""Seconds until a command counts as hung. Machines may be busy."""


@dataclass(frozen=True)
class Command:
    """What is run: `python WORDS` in the folder `cwd`, its output in `cwd/output.txt`."""

    words: tuple[str, ...]
    cwd: Path
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Kill:
    """When the command is killed, and how."""

    at_write: int | None = None
    """It kills itself in front of this write."""
    after_write: int = 1
    """Otherwise it is killed so many `seconds` after this write: whatever it does then, it may be computing."""
    seconds: float = 0.0
    signal_number: int = signal.SIGKILL
    worker: bool = False
    """Kills one of the command's own processes, not the command."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """Exit status; minus the number of the signal that ended it."""
    was_killed: bool
    num_writes: int
    """Writes below `cwd` in the command's own process: files opened for writing, renames, removals, fsyncs."""
    seconds: float
    """From the first write to the end."""


class _Writes:
    """Counts the writes of this process below a folder, reports each to `pipe`, and kills the process at one."""

    def __init__(self, root: Path, pipe: int, kill_at: int | None) -> None:
        self._root, self._pipe, self._kill_at, self._count = f"{root}{os.sep}", pipe, kill_at, 0
        fsync = os.fsync

        def counted_fsync(descriptor: int) -> None:
            self.next()
            fsync(descriptor)

        os.fsync = counted_fsync
        sys.addaudithook(self._on_event)

    def next(self) -> None:
        self._count += 1
        os.write(self._pipe, b"w")
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_event(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            is_write = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _WRITING)
        elif event in _PATHS:
            path, is_write = args[_PATHS[event]], True
        else:
            return
        if is_write and isinstance(path, str | os.PathLike):
            full = os.path.join(os.getcwd(), os.fspath(path))  # noqa: PTH118, PTH109
            if str(full).startswith(self._root) and not str(full).endswith("output.txt"):
                self.next()


def run_command(command: Command, kill: Kill | None = None) -> Ended:
    """Runs the command to its end or until it is killed; whatever it leaves running is killed afterwards.

    Raises `TimeoutError` if it hangs.
    """
    pid, reader = start(command, kill.at_write if kill else None)
    return finish(pid, reader, kill)


def start(command: Command, kill_at: int | None = None) -> tuple[int, int]:
    """The process id of the forked command, and the pipe in which each of its writes leaves a byte."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _become(command, writer, kill_at)
    os.close(writer)
    return pid, reader


def finish(pid: int, reader: int, kill: Kill | None = None) -> Ended:
    """Waits for the first write, kills as asked, and waits for the end."""
    hung_at, kill_at = time.monotonic() + PATIENCE, math.inf
    select.select([reader], [], [], PATIENCE)
    first, was_killed, num_writes = time.monotonic(), False, 0
    os.set_blocking(reader, False)
    while True:
        with contextlib.suppress(BlockingIOError):
            num_writes += len(os.read(reader, 65536))
        done, state = os.waitpid(pid, os.WNOHANG)
        now = time.monotonic()
        if done:
            break
        if kill and kill.at_write is None and num_writes >= kill.after_write:
            kill_at = min(kill_at, now + kill.seconds)
        if kill and now >= kill_at and not was_killed:
            was_killed = _kill(pid, kill)
        if now > hung_at:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)
            raise TimeoutError(f"still running after {PATIENCE:.0f} s")
        time.sleep(0.002)
    with contextlib.suppress(BlockingIOError):
        num_writes += len(os.read(reader, 65536))
    os.close(reader)
    status = os.waitstatus_to_exitcode(state)
    was_killed = was_killed or (kill is not None and kill.at_write is not None and status == -signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return Ended(status, was_killed, num_writes, now - first)


def _kill(pid: int, kill: Kill) -> bool:
    target = pid
    if kill.worker:
        own = descendants(pid)
        if not own:
            return False
        target = random.choice(own)
    with contextlib.suppress(ProcessLookupError):
        os.kill(target, kill.signal_number)
        return True
    return False


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they started. Empty where there is no /proc."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def _become(command: Command, pipe: int, kill_at: int | None) -> None:
    """Turns this forked process into the command; does not return."""
    status = 1
    try:
        os.setsid()
        os.chdir(command.cwd)
        os.environ.update(command.environment)
        output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _Writes(command.cwd, pipe, kill_at)
        status = _run(command.words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(words: Sequence[str]) -> int:
    is_module = words[0] == "-m"
    sys.argv = list(words[is_module:])
    try:
        with mock.patch("warmup_lab.report.build.save_figure"):  # pictures take seconds
            if is_module:
                runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0
