"""Running a sweep: check all cells, write the job list, launch the missing runs, show progress, report.

This module is independent of the launcher. It reads the outcome of each job from the job's folder, so it does not
matter in which process a job ran or how it ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from warmup_lab.config import RunConfig
from warmup_lab.runs import finished_result, read_result
from warmup_lab.sweeps.cells import CellSource
from warmup_lab.sweeps.jobs import (
    Job,
    PlanCell,
    check_cells,
    remove_results,
    unfinished_jobs,
    unique_jobs,
    write_job_list,
)
from warmup_lab.sweeps.progress import SweepProgress
from warmup_lab.system import sweep_lock

Launch = Callable[[Sequence[Sequence[str]], int], Any]
"""Hydra's launcher: (overrides of each job, number of the first job) -> anything."""


def run_sweep(
    source: CellSource,
    plan_cell: PlanCell,
    launch: Launch,
    directory: Path,
    finish: Callable[[Path, RunConfig], None],
) -> list[Job]:
    """Checks each batch of cells before any of them is trained, trains the missing runs, and reports.

    Args:
        source: gives the cells.
        plan_cell: gives the plan of a cell.
        launch: trains jobs.
        directory: folder of the sweep.
        finish: writes the report of the folder. Called even if the sweep ends with an exception.

    Returns:
        The jobs that failed.

    Raises:
        ConfigError: a cell is invalid, or another sweep uses the folder. Cells of the first batch are checked before
            anything is written.
    """
    batch = source.ask()
    jobs, config = check_cells(batch, plan_cell)
    all_jobs: list[Job] = []
    with sweep_lock(directory):
        try:
            while batch:
                all_jobs += jobs
                write_job_list(directory, config.study, all_jobs, asdict(config.compare))
                _train_missing(jobs, launch, directory, force=config.force, first_number=len(all_jobs) - len(jobs))
                source.tell([read_result(directory / job.run_id) for job in jobs])
                batch = source.ask()
                jobs, config = check_cells(batch, plan_cell) if batch else ([], config)
        finally:
            finish(directory, config)
    return [job for job in unique_jobs(all_jobs) if finished_result(directory / job.run_id) is None]


def _train_missing(jobs: Sequence[Job], launch: Launch, directory: Path, *, force: bool, first_number: int) -> None:
    runs = unique_jobs(jobs)
    to_train = unfinished_jobs(runs, directory, force=force)
    remove_results(to_train, directory)
    _announce(len(jobs), len(runs), len(to_train))
    if to_train:
        with SweepProgress(to_train, directory, len(runs) - len(to_train)):
            launch([job.overrides for job in to_train], first_number)


def _announce(num_cells: int, num_runs: int, num_to_train: int) -> None:
    text = f"{num_cells} cells"
    if num_runs < num_cells:
        text += f", {num_runs} different runs (identical cells are trained once)"
    if num_to_train < num_runs:
        text += f", {num_runs - num_to_train} finished already"
    print(f"{text}, {num_to_train} to train", file=sys.stderr, flush=True)
