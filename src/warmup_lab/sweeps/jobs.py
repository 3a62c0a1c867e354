"""The jobs of a sweep: cells checked before anything is trained, and the job list."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import ConfigError, RunConfig
from warmup_lab.runs import FINISHED, read_result
from warmup_lab.system import write_json

if TYPE_CHECKING:
    from warmup_lab.plan import Plan


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
