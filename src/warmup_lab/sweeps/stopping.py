"""Ctrl-C and SIGTERM in a sweep: every run that is training saves its checkpoint, in whichever process it runs."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import psutil
from hydra.types import TaskFunction
from omegaconf import DictConfig

from warmup_lab.training import StopSignal, clear_line_before_output, stop_requested

_POLL_SECONDS = 0.5
_SAVING_SECONDS = 4.0
"""Time that a worker has to save its run after the process of its sweep has ended."""


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: runs that were training saved their checkpoints, unless the sweep stopped `at_once`.

    `forced`: whether the command has `force=true`, with which it would start from update 0.
    """

    def __init__(self, signal_number: int, *, at_once: bool = False, forced: bool = False) -> None:
        command = "the same command without force=true" if forced else "the same command"
        super().__init__(f"stopped; {command} continues" + " from the last checkpoints" * at_once)
        self.exit_status = 128 + (signal_number or signal.SIGINT)
        self.at_once = at_once


class SweepStop(StopSignal):
    """What the process of a sweep does on Ctrl-C or SIGTERM while jobs are launched.

    A run that trains in this process has its own `StopSignal` and saves. If jobs run in child processes, it waits for
    them: joblib kills its workers once an exception is raised here. If there is neither, nothing needs to be saved.
    """

    @property
    def announcement(self) -> str:
        return super().announcement if self._children_or_runs() else "stopping"

    def answer(self, number: int, *, first: bool) -> None:
        super().answer(number, first=first)
        for child in multiprocessing.active_children():  # a signal from elsewhere than a terminal reaches only this one
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(child.pid).send_signal(number)
        if not self._children_or_runs():
            raise KeyboardInterrupt

    def _children_or_runs(self) -> bool:
        """Whether runs may be training, in child processes or in this one."""
        return bool(multiprocessing.active_children()) or len(self.blocks) > 1


class WorkerStop(StopSignal):
    """Entered for the life of a worker process. What started the worker tells the user, and ends it if needed."""

    says_so = False

    def answer(self, number: int, *, first: bool) -> None: ...


@cache
def _prepare_worker(sweep_pid: int) -> None:
    WorkerStop().__enter__()
    clear_line_before_output()
    try:
        sweep = psutil.Process(sweep_pid)
    except psutil.NoSuchProcess:
        os._exit(1)
    threading.Thread(target=_end_after, args=(sweep,), daemon=True).start()


def _end_after(sweep: psutil.Process) -> None:
    """Ends this worker within 5 s after its sweep has ended, for example by `kill -9`. Its run saves first."""
    while _runs(sweep):
        time.sleep(_POLL_SECONDS)
    deadline = time.monotonic() + _SAVING_SECONDS
    os.kill(os.getpid(), signal.SIGTERM)
    while len(StopSignal.blocks) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    os._exit(1)


def _runs(process: psutil.Process) -> bool:
    """Whether the process still runs. `Process.wait` would also wait for the parent of a killed process to reap it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class SweepTask:
    """The task function of the jobs of a sweep. It starts no run once the sweep is told to stop.

    In a worker process it returns and does not raise: joblib kills all workers at the first exception, and others may
    still be saving.
    """

    def __init__(self, task_function: TaskFunction) -> None:
        self.task_function, self._sweep_pid = task_function, os.getpid()

    def __call__(self, config: DictConfig) -> Any:
        if os.getpid() == self._sweep_pid:
            if stop_requested():
                raise KeyboardInterrupt
            return self.task_function(config)
        _prepare_worker(self._sweep_pid)
        if stop_requested():
            return None
        try:
            return self.task_function(config)
        except KeyboardInterrupt:
            return None


class UntilStopped(list[Sequence[str]]):
    """The jobs of a batch. Iteration ends once the sweep is told to stop, so that a launcher starts no further job."""

    def __iter__(self) -> Iterator[Sequence[str]]:
        return itertools.takewhile(lambda _: not stop_requested(), super().__iter__())
