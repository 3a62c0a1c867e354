"""The progress line of a sweep."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warmup_lab.runs import read_result
from warmup_lab.sweeps.jobs import Job
from warmup_lab.training import format_seconds, terminal_bar

_POLL_SECONDS = 0.5
_LINE_SECONDS = 30.0


class SweepProgress:
    """One progress line for the whole sweep, on the last line of the terminal.

    A thread reads the state of each job from its folder, so it does not matter which process runs the job.
    """

    def __init__(self, directory: Path, num_planned: int | None = None) -> None:
        """`num_planned` is the number of all runs, if the sweep knows it before it has generated their jobs."""
        self._directory, self._num_planned = directory, num_planned
        self._jobs: list[str] = []
        self._updates: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._num_done = 0
        self._num_before = 0
        self._started, self._started_at = time.monotonic(), time.time()
        self._last_end = self._started
        self._expected_end: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._exit = contextlib.ExitStack()
        self._bar: Any = None

    def add(self, jobs: Sequence[Job], num_done: int) -> None:
        """Adds jobs that are trained next, and the number of runs of the same batch that were finished before."""
        self._jobs += [job.run_id for job in jobs]
        for job in jobs:
            self._updates[job.run_id] = job.strategy["total_steps"]
            self._ended.pop(job.run_id, None)  # an earlier batch had it, and it is trained again
        self._num_done += num_done

    def start_stage(self) -> None:
        """From here on the line counts the runs of the next batch alone. The last line counts all."""
        self._num_before = self._num_done + len(self._jobs)

    def expect(self, seconds: float | None, share: float) -> None:
        """States how long the jobs that were added last will take: a share of `seconds`; None if that is not known."""
        self._expected_end = None if seconds is None else time.monotonic() + share * seconds

    def __enter__(self) -> SweepProgress:
        if sys.stderr.isatty():
            self._bar = self._exit.enter_context(terminal_bar(bar_format="{desc}"))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._jobs or (self._num_planned and self._num_done):
            self._show(self.line(ended=True))
        self._exit.close()

    def line(self, *, ended: bool = False) -> str:
        """For example `12 done, 2 running, 34 left, 1 min 20 s to go`. Nothing runs if the sweep `ended`."""
        started = {entry.name for entry in os.scandir(self._directory)} if self._directory.exists() else set()
        states = Counter(self._state(run_id) if run_id in started else "waiting" for run_id in self._jobs)
        num_ended = len(self._jobs) - states["waiting"] - states["running"]
        num_done = self._num_done + num_ended
        num_left = max(self._num_planned or 0, self._num_done + len(self._jobs)) - num_done
        if ended:
            text = f"{num_done} done, {num_left} left"
        else:
            running = states["running"]
            text = f"{num_done - self._num_before} done, {running} running, {num_left - running} left"
        if num_left and not ended:
            text += self._time_left(num_left)
        text += f", {states['diverged']} diverged" if states["diverged"] else ""
        return text + (f", {states['error']} ended in an error" if states["error"] else "")

    def _time_left(self, num_left: int) -> str:
        """As was stated; else from the updates of the runs that ended, which may differ in length.

        Empty while nothing can be said, and once it takes longer than expected.
        """
        if self._expected_end is not None:
            return _to_go(self._expected_end - time.monotonic())
        num_updates = sum(self._updates[run_id] for run_id in self._ended)
        if not num_updates:
            return ""
        open_runs = [self._updates[run_id] for run_id in dict.fromkeys(self._jobs) if run_id not in self._ended]
        num_unknown = max(0, num_left - len(open_runs))
        updates_left = sum(open_runs) + num_unknown * num_updates / len(self._ended)
        seconds = (self._last_end - self._started) * updates_left / num_updates - (time.monotonic() - self._last_end)
        return _to_go(seconds)

    def _state(self, run_id: str) -> str:
        """The status in `result.json`, or `running`, or `waiting`. A job that ended is not read again."""
        if run_id in self._ended:
            return self._ended[run_id]
        folder = self._directory / run_id
        try:
            result = read_result(folder)
            if result and result["run_id"] == run_id:
                self._ended[run_id] = str(result["status"])
                self._last_end = time.monotonic()
                return self._ended[run_id]
        except OSError:  # the sweep itself says so once the jobs have ended
            return "waiting"
        return "running" if self._is_running(folder) else "waiting"

    def _is_running(self, folder: Path) -> bool:
        """Whether the job started, or saved a checkpoint, since this command started.

        A task of a cluster may have started before.
        """
        for path in (folder / ".hydra" / "config.yaml", folder / "checkpoint"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime >= self._started_at:
                    return True
        return False

    def _watch(self) -> None:
        shown_at = time.monotonic()
        while not self._stop.wait(_POLL_SECONDS):
            if self._jobs and (self._bar is not None or time.monotonic() - shown_at > _LINE_SECONDS):
                self._show(self.line())
                shown_at = time.monotonic()

    def _show(self, text: str) -> None:
        if self._bar is not None:
            self._bar.set_description_str(text)
        else:
            print(text, file=sys.stderr, flush=True)


def _to_go(seconds: float) -> str:
    return f", {format_seconds(seconds)} to go" if seconds > 0 else ""
