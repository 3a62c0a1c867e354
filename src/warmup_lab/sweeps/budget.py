"""The time budget of a sweep with planned looks: how long its runs took, and how long the next look will take."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from warmup_lab.runs import read_result
from warmup_lab.sweeps.jobs import Job
from warmup_lab.system import write_json

FILE_NAME = "timing.json"
"""Holds the parallelism, so that a resumed sweep that trains nothing at first can estimate its next look."""


class TimeBudget:
    """Estimates the minutes of a sweep from the seconds of its runs, divided by the observed parallelism.

    Parallelism is the sum of the seconds of runs over the wall time in which they were trained. It is below 1 if runs
    go one after the other, because starting a run takes time that its own seconds do not include.
    """

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`directory` is the folder of the sweep, `clock` gives seconds."""
        self._directory, self._clock = directory, clock
        self._started_at, self._started = time.time(), clock()
        self._run_seconds = self._wall_seconds = 0.0

    def start(self) -> None:
        """Called before the runs of a look are trained."""
        self._started_at, self._started = time.time(), self._clock()

    def record(self, results: Sequence[dict[str, Any] | None]) -> None:
        """Called after a look with the results of its runs. Those that were finished before do not count."""
        trained = {result["run_id"]: result for result in results if result and self._is_new(result["run_id"])}
        seconds = sum(_seconds(result) or 0.0 for result in trained.values())
        if seconds:
            self._run_seconds += seconds
            self._wall_seconds += self._clock() - self._started
            parallelism = self._run_seconds / self._wall_seconds
            write_json(self._directory / FILE_NAME, {"schema": 1, "parallelism": parallelism})

    def _is_new(self, run_id: str) -> bool:
        return (self._directory / run_id / "result.json").stat().st_mtime >= self._started_at

    def minutes(self, jobs: Sequence[Job], new_seeds: Mapping[str, int]) -> tuple[float, float]:
        """Minutes that the runs of these jobs took, and an estimate of those of the next look.

        Args:
            jobs: all jobs so far.
            new_seeds: number of new seeds of each arm, by `arm_id`.
        """
        seconds: dict[str, list[float]] = defaultdict(list)
        for run_id, job in {job.run_id: job for job in jobs}.items():
            taken = _seconds(read_result(self._directory / run_id))
            if taken is not None:
                seconds[job.arm_id].append(taken)
        taken_by_all = [taken for arm in seconds.values() for taken in arm]
        per_run = {arm: sum(taken) / len(taken) for arm, taken in seconds.items()}
        usual = sum(taken_by_all) / max(1, len(taken_by_all))
        needed = sum(count * per_run.get(arm, usual) for arm, count in new_seeds.items())
        per_minute = 60 * self._parallelism()
        return sum(taken_by_all) / per_minute, needed / per_minute

    def _parallelism(self) -> float:
        """As recorded last; 1 if nothing was ever recorded, that is one run at a time."""
        path = self._directory / FILE_NAME
        return float(json.loads(path.read_text(encoding="utf-8"))["parallelism"]) if path.exists() else 1.0


def _seconds(result: dict[str, Any] | None) -> float | None:
    """Seconds of training; None for a run that ended in an error or left no result."""
    seconds: float | None = result["speed"].get("seconds") if result else None
    return seconds
