"""The progress line of a sweep."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from warmup_lab.runs import read_result
from warmup_lab.sweeps.jobs import Job
from warmup_lab.training import format_seconds

_POLL_SECONDS = 0.5
_LINE_SECONDS = 30.0


class SweepProgress:
    """One progress line for the whole sweep.

    A thread reads the state of each job from its folder, so it does not matter which process runs the job.
    """

    def __init__(self, jobs: Sequence[Job], directory: Path, num_done: int) -> None:
        """`num_done` is the number of runs that were finished before these jobs."""
        self._folders = [directory / job.run_id for job in jobs]
        self._num_done = num_done
        self._started, self._started_at = time.monotonic(), time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._on_terminal = sys.stderr.isatty()

    def __enter__(self) -> SweepProgress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._show(self.line())
        if self._on_terminal:
            print(file=sys.stderr)

    def line(self) -> str:
        """For example `12 done, 2 running, 34 left, 1 min 20 s to go, 1 failed`."""
        states = Counter(self._state(folder) for folder in self._folders)
        num_left = states["waiting"] + states["running"]
        num_ended = len(self._folders) - num_left
        text = f"{self._num_done + num_ended} done, {states['running']} running, {states['waiting']} left"
        if num_ended and num_left:
            seconds = (time.monotonic() - self._started) / num_ended * num_left
            text += f", {format_seconds(seconds)} to go"
        text += f", {states['diverged']} diverged" if states["diverged"] else ""
        return text + f", {states['error']} failed"

    def _state(self, folder: Path) -> str:
        """The status in `result.json`, or `running`, or `waiting`."""
        if result := read_result(folder):
            return str(result["status"])
        composed = folder / ".hydra" / "config.yaml"  # written when the job starts
        return "running" if composed.exists() and composed.stat().st_mtime >= self._started_at else "waiting"

    def _watch(self) -> None:
        shown_at = time.monotonic()
        while not self._stop.wait(_POLL_SECONDS):
            if self._on_terminal or time.monotonic() - shown_at > _LINE_SECONDS:
                self._show(self.line())
                shown_at = time.monotonic()

    def _show(self, text: str) -> None:
        if self._on_terminal:
            print(f"\r{text:<79}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
