"""The jobs of a sweep: checking the cells, and the job list `sweep.json`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.comparison import arm_names, resolve_reference
from warmup_lab.config import ConfigError, RunConfig
from warmup_lab.runs import finished_result, read_run, start_retraining
from warmup_lab.system import train_program, write_json

if TYPE_CHECKING:
    from warmup_lab.plan import Plan

PlanCell = Callable[[Sequence[str]], "Plan"]
"""Overrides of a cell -> its plan. Raises `ConfigError` for an invalid cell."""


@dataclass(frozen=True)
class Job:
    """One checked cell."""

    overrides: list[str]
    run_id: str
    """Cells with the same id are the same run, which is trained once."""
    name: str
    """For example `warmupcosine-w36-lr0.001-s0`."""
    arm_id: str
    """Cells that differ only in the seed have the same id."""
    strategy: dict[str, Any]
    """As in `result.json`."""
    asked: str | None
    """The warmup as given in the overrides, for example `10 %`."""


def check_cells(cells: Sequence[Sequence[str]], plan_cell: PlanCell) -> tuple[list[Job], RunConfig]:
    """One job a cell, and the configuration of the last cell.

    Raises:
        ConfigError: cells are invalid; the message lists them, unless all are invalid for one reason.
    """
    jobs, problems = [], []
    messages: set[str] = set()
    for cell in cells:
        try:
            plan = plan_cell(cell)
            jobs.append(Job(list(cell), plan.run_id, plan.name, plan.arm_id, plan.strategy(), plan.requested_warmup))
        except ConfigError as error:
            problems.append(f"{' '.join(cell)}: {error}")
            messages.add(str(error))
    if len(problems) == len(cells) and len(messages) == 1:
        raise ConfigError(messages.pop())
    if problems:
        shown = "\n  ".join(problems[:5] + ([f"and {len(problems) - 5} more"] if len(problems) > 5 else []))
        raise ConfigError(f"{len(problems)} of {len(cells)} cells cannot be run, so nothing is trained:\n  {shown}")
    return jobs, plan.config


def check_reference(jobs: Sequence[Job], reference: str | None) -> None:
    """Checks before anything is trained that `compare.reference` is an arm of `jobs`, which are all arms of the sweep.

    Raises:
        ConfigError: no arm has that name, or several do.
    """
    if reference is not None:
        resolve_reference(reference, list(arm_names([asdict(job) for job in jobs]).values()))


def unique_jobs(jobs: Sequence[Job]) -> list[Job]:
    """The first job of each run, in the order of the last job of each run."""
    return list({job.run_id: job for job in reversed(jobs)}.values())[::-1]


def unfinished_jobs(jobs: Sequence[Job], directory: Path, *, force: bool) -> list[Job]:
    """The jobs to train: all with `force`, otherwise those without a finished result."""
    return [job for job in jobs if force or finished_result(directory / job.run_id, job.run_id) is None]


def start_retrainings(jobs: Sequence[Job], directory: Path) -> None:
    """Marks results that are about to be replaced: errors, and finished results with `force`. A refused one stays."""
    for job in jobs:
        folder = directory / job.run_id
        if not read_run(folder, job.run_id).refused:
            start_retraining(folder)


def write_job_list(directory: Path, study: str, jobs: Sequence[Job], compare: dict[str, Any]) -> None:
    """Writes `sweep.json`: the jobs that the report covers, and the settings of the comparison."""
    value = {
        "schema": 1,
        "study": study,
        "command": command_line(),
        "compare": compare,
        "jobs": [asdict(job) for job in jobs],
    }
    write_json(directory / "sweep.json", value, durable=True)


def read_jobs(directory: Path) -> list[Job]:
    """The jobs of `sweep.json`."""
    listing = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))
    return [Job(**job) for job in listing["jobs"]]


def command_line() -> str:
    """The command of this process, quoted for a shell."""
    return shlex.join([*train_program(), *sys.argv[1:]])
