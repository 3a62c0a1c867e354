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

from warmup_lab.comparison import count, record_start
from warmup_lab.config import RunConfig, require
from warmup_lab.runs import finished_result, read_result
from warmup_lab.sweeps.cells import CellSource, Grid
from warmup_lab.sweeps.jobs import (
    Job,
    PlanCell,
    check_cells,
    check_reference,
    command_line,
    start_retrainings,
    unfinished_jobs,
    unique_jobs,
    write_job_list,
)
from warmup_lab.sweeps.looks import LookByLook
from warmup_lab.sweeps.progress import SweepProgress
from warmup_lab.sweeps.recommend_search import RecommendSearch
from warmup_lab.sweeps.stopping import SweepInterrupted, SweepStop, UntilStopped
from warmup_lab.system import sweep_lock

Launch = Callable[[Sequence[Sequence[str]], int], Any]
"""Hydra's launcher: (overrides of each job, number of the first job) -> anything."""


def run_sweep(
    source: CellSource,
    plan_cell: PlanCell,
    launch: Launch,
    directory: Path,
    finish: Callable[[Path, RunConfig], None],
    *,
    num_planned: int | None = None,
) -> list[Job]:
    """Checks each batch of cells before any of them is trained, trains the missing runs, and reports.

    Args:
        source: gives the cells.
        plan_cell: gives the plan of a cell.
        launch: trains jobs.
        directory: folder of the sweep.
        finish: writes the report of the folder. Called even if the sweep ends with an exception, except for a second
            Ctrl-C.
        num_planned: number of cells of all batches, if it is known from the start and `source` announces each batch.

    Returns:
        The jobs that failed.

    Raises:
        ConfigError: a cell is invalid, or another sweep uses the folder. Cells of the first batch are checked before
            anything is written.
        SweepInterrupted: Ctrl-C or SIGTERM; the runs that were training saved their checkpoints.
    """
    batch = source.ask()
    _check_one_folder(batch)
    jobs, config = check_cells(batch, plan_cell)
    if isinstance(source, Grid | LookByLook):  # other sources give more arms later
        check_reference(jobs, config.compare.reference)
    all_jobs: list[Job] = []
    with sweep_lock(directory):
        record_start(directory, command_line(), asdict(config.compare))
        try:
            with SweepProgress(directory, num_planned) as progress:
                while batch:
                    all_jobs += jobs
                    write_job_list(directory, config.study, all_jobs, asdict(config.compare))
                    if isinstance(source, RecommendSearch):
                        progress.start_stage()
                    to_train = _missing(jobs, directory, progress, force=config.force)
                    if isinstance(source, RecommendSearch):  # it has said which runs come next
                        progress.expect(source.expected_seconds, len(to_train) / len(unique_jobs(jobs)))
                        _announce_finished(len(unique_jobs(jobs)), len(to_train))
                    elif num_planned is None:
                        _announce(len(jobs), len(unique_jobs(jobs)), len(to_train))
                    if to_train:
                        _train(to_train, launch, len(all_jobs) - len(jobs), forced=config.force)
                    source.tell([read_result(directory / job.run_id) for job in jobs])
                    batch = source.ask()
                    jobs, config = check_cells(batch, plan_cell) if batch else ([], config)
        except SweepInterrupted as stop:
            if stop.at_once:
                finish = _no_report
            raise
        finally:
            finish(directory, config)
    return [job for job in unique_jobs(all_jobs) if finished_result(directory / job.run_id, job.run_id) is None]


def _check_one_folder(cells: Sequence[Sequence[str]]) -> None:
    """Raises `ConfigError` if the runs would be in several folders, where the report would not find them."""
    for key in ("study", "output"):
        values = dict.fromkeys(word.partition("=")[2] for cell in cells for word in cell if word.startswith(f"{key}="))
        require(
            len(values) < 2,
            f"{key}={','.join(values)}: a sweep has one folder and one report, so {key} has one value; give the "
            f"command once for each {key}",
        )


def _missing(jobs: Sequence[Job], directory: Path, progress: SweepProgress, *, force: bool) -> list[Job]:
    """The jobs to train, without the results that are replaced."""
    runs = unique_jobs(jobs)
    to_train = unfinished_jobs(runs, directory, force=force)
    start_retrainings(to_train, directory)
    progress.add(to_train, len(runs) - len(to_train))
    return to_train


def _train(jobs: Sequence[Job], launch: Launch, first_number: int, *, forced: bool) -> None:
    with SweepStop() as stop:
        try:
            launch(UntilStopped([job.overrides for job in jobs]), first_number)
        except Exception:
            if not stop.signal_number:  # otherwise the launcher lost its processes to the same signal
                raise
        except KeyboardInterrupt as error:
            raise SweepInterrupted(stop.signal_number, at_once=stop.num_signals > 1, forced=forced) from error
    if stop.signal_number:
        raise SweepInterrupted(stop.signal_number, forced=forced)


def _no_report(directory: Path, _config: RunConfig) -> None:
    """Instead of the report, after a second Ctrl-C."""


def _announce(num_cells: int, num_runs: int, num_to_train: int) -> None:
    text = count(num_cells, "cell")
    if num_runs < num_cells:
        text += f", {count(num_runs, 'different run')} (identical cells are trained once)"
    if num_to_train < num_runs:
        text += f", {num_runs - num_to_train} finished already"
    print(f"{text}, {num_to_train} to train", file=sys.stderr, flush=True)


def _announce_finished(num_runs: int, num_to_train: int) -> None:
    if num_to_train < num_runs:
        print(f"{num_runs - num_to_train} of {count(num_runs, 'run')} finished already", file=sys.stderr, flush=True)
