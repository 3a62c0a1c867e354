"""What surrounds the jobs of a multirun: all cells checked first, the job list, the lock, progress, the report.

Launchers differ in where jobs run; none of them knows this module. What came of the jobs is read from their folders,
so it does not matter how a job ended, or in which process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from warmup_lab.console import format_seconds
from warmup_lab.files import write_json
from warmup_lab.results import FINISHED, read_result
from warmup_lab.schema import ConfigError, RunConfig

if TYPE_CHECKING:
    from warmup_lab.plan import Plan

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_LINE_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """One cell of the grid, checked."""

    overrides: list[str]
    """What the cell was asked for."""
    run_id: str
    """Cells with the same id are the same run, trained once."""
    name: str
    """Such as `warmupcosine-w36-s0`."""
    arm_id: str
    """The same for cells that differ in the seed alone."""
    strategy: dict[str, Any]
    """As in `result.json`."""
    asked: str | None
    """The warmup as it was asked for, such as `10 %`."""


def check_cells(
    cells: Sequence[Sequence[str]], plan_cell: Callable[[Sequence[str]], Plan]
) -> tuple[list[Job], RunConfig]:
    """A job a cell and the configuration of the last; raises `ConfigError` with every bad cell, and trains none."""
    jobs, bad = [], []
    for cell in cells:
        try:
            plan = plan_cell(cell)
            jobs.append(_job(list(cell), plan))
        except ConfigError as error:
            bad.append(f"{' '.join(cell)}: {error}")
    if bad:
        shown = "\n  ".join(bad[:5] + ([f"and {len(bad) - 5} more"] if len(bad) > 5 else []))
        raise ConfigError(f"{len(bad)} of {len(cells)} cells cannot be run, so nothing is trained:\n  {shown}")
    return jobs, plan.config


def _job(overrides: list[str], plan: Plan) -> Job:
    return Job(overrides, plan.run_id, plan.name, plan.arm_id, plan.strategy(), plan.asked)


def unique_jobs(jobs: Sequence[Job]) -> list[Job]:
    """The first job of every run."""
    return list({job.run_id: job for job in reversed(jobs)}.values())[::-1]


def unfinished(jobs: Sequence[Job], directory: Path, *, force: bool) -> list[Job]:
    """The jobs that still have to be trained."""
    return [job for job in jobs if force or _status(directory / job.run_id) not in FINISHED]


def forget_results(jobs: Sequence[Job], directory: Path) -> None:
    """Removes results that are about to be made anew (errors, and all of them with `force`)."""
    for job in jobs:
        (directory / job.run_id / "result.json").unlink(missing_ok=True)


def _status(directory: Path) -> str | None:
    result = read_result(directory)
    return str(result["status"]) if result else None


def write_job_list(directory: Path, study: str, jobs: Sequence[Job], compare: dict[str, Any]) -> None:
    """`sweep.json`: what the report covers, and what it was asked to compare."""
    value = {
        "schema": 1,
        "study": study,
        "command": command_line(),
        "compare": compare,
        "jobs": [asdict(job) for job in jobs],
    }
    write_json(directory / "sweep.json", value)


def command_line() -> str:
    """The command as it can be typed again."""
    import shlex

    return shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])


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


class Cells(Protocol):
    """Where the cells of a sweep come from: a grid gives all at once, a search batch by batch."""

    def ask(self) -> Sequence[Sequence[str]]:
        """The overrides of the next cells; none when there are no more."""

    def tell(self, results: Sequence[dict[str, Any] | None]) -> None:
        """What the runs of those cells came to, as in `result.json`; None where a job left nothing."""


def run_sweep(
    cells: Cells,
    plan_cell: Callable[[Sequence[str]], Plan],
    launch: Callable[[Sequence[Sequence[str]], int], Any],
    directory: Path,
    finish: Callable[[Path, RunConfig], None],
) -> list[Job]:
    """Checks cells before any of them is trained, launches the runs that are missing, reports however that ends.

    Args:
        cells: where the cells come from.
        plan_cell: the plan of a cell; raises `ConfigError` for a bad one.
        launch: Hydra's launcher, given overrides and the number of the first job.
        directory: the sweep's folder.
        finish: reads the folder and reports.

    Returns:
        The jobs that failed.

    Raises:
        ConfigError: a bad cell, before anything is written; or the folder is in use.
    """
    batch = cells.ask()
    jobs, config = check_cells(batch, plan_cell)
    done: list[Job] = []
    with only_sweep_in(directory):
        try:
            while batch:
                done += jobs
                write_job_list(directory, config.study, done, asdict(config.compare))
                _train_missing(jobs, launch, directory, force=config.force, first_number=len(done) - len(jobs))
                cells.tell([read_result(directory / job.run_id) for job in jobs])
                batch = cells.ask()
                jobs, config = check_cells(batch, plan_cell) if batch else ([], config)
        finally:
            finish(directory, config)
    return [job for job in unique_jobs(done) if _status(directory / job.run_id) not in FINISHED]


def _train_missing(
    jobs: Sequence[Job],
    launch: Callable[[Sequence[Sequence[str]], int], Any],
    directory: Path,
    *,
    force: bool,
    first_number: int,
) -> None:
    runs = unique_jobs(jobs)
    to_do = unfinished(runs, directory, force=force)
    forget_results(to_do, directory)
    _announce(jobs, runs, to_do)
    if to_do:
        with SweepProgress(to_do, directory, len(runs) - len(to_do)):
            launch([job.overrides for job in to_do], first_number)


def _announce(jobs: Sequence[Job], runs: Sequence[Job], to_do: Sequence[Job]) -> None:
    text = f"{len(jobs)} cells"
    if len(runs) < len(jobs):
        text += f", {len(runs)} different runs (cells that come to the same run are trained once)"
    if len(to_do) < len(runs):
        text += f", {len(runs) - len(to_do)} finished already"
    print(f"{text}, {len(to_do)} to train", file=sys.stderr, flush=True)
