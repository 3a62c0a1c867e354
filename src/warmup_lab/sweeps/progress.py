"""The progress line of a sweep."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from warmup_lab.runs import FINISHED
from warmup_lab.sweeps.jobs import Job, _status
from warmup_lab.training import format_seconds

_POLL_SECONDS = 0.5
_LINE_SECONDS = 30.0


class SweepProgress:
    """One line for the whole sweep, from a thread that looks which runs have left their result."""

    def __init__(self, jobs: Sequence[Job], directory: Path, num_done: int) -> None:
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
        """`12 done, 2 running, 34 left, 1 min 20 s to go, 1 failed`."""
        states = Counter(self._state(folder) for folder in self._folders)
        finished = sum(states[state] for state in (*FINISHED, "error"))
        left = states["waiting"] + states["running"]
        text = f"{self._num_done + finished} done, {states['running']} running, {states['waiting']} left"
        if finished and left:
            seconds = (time.monotonic() - self._started) / finished * left
            text += f", {format_seconds(seconds)} to go"
        text += f", {states['diverged']} diverged" if states["diverged"] else ""
        return text + f", {states['error']} failed"

    def _state(self, folder: Path) -> str:
        status = _status(folder)
        if status:
            return status
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
