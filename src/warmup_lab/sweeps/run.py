"""What surrounds the jobs of a multirun: all cells checked first, the job list, the lock, progress, the report.

Launchers differ in where jobs run; none of them knows this module. What came of the jobs is read from their folders,
so it does not matter how a job ended, or in which process.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from warmup_lab.config import RunConfig
from warmup_lab.runs import FINISHED, read_result
from warmup_lab.sweeps.jobs import Job, _status, check_cells, forget_results, unfinished, unique_jobs, write_job_list
from warmup_lab.sweeps.progress import SweepProgress
from warmup_lab.system import only_sweep_in

if TYPE_CHECKING:
    from warmup_lab.plan import Plan


log = logging.getLogger(__name__)


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
