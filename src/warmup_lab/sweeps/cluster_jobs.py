"""What the launchers of clusters share: the jobs of a launch, the work of a group, and what became of the jobs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from warmup_lab.config import require
from warmup_lab.runs import finished_result
from warmup_lab.sweeps.jobs import read_jobs
from warmup_lab.sweeps.worker import GroupJob, GroupWork, package_version
from warmup_lab.system import resolve_device, resolve_precision


def say(text: str) -> None:
    """Tells the user, beside the progress line."""
    print(text, file=sys.stderr, flush=True)


def refuse_force(overrides: Sequence[str], launcher: str, again: str) -> None:
    """Raises `ConfigError` for `force=true`: a task that runs `again` would start its runs from update 0."""
    require(
        not any(word.lstrip("+").lower() == "force=true" for word in overrides),
        f"force=true cannot be used with hydra/launcher={launcher}, because a task that is {again} would start its "
        "runs again: delete the folders of the runs, or choose another study=NAME",
    )


def planned_jobs(directory: Path, job_overrides: Sequence[Sequence[str]], first: int) -> list[GroupJob]:
    """The jobs of a launch, with the run ids of the job list; Hydra numbers them from `first`."""
    run_ids = {tuple(job.overrides): job.run_id for job in read_jobs(directory)}
    return [
        GroupJob(number, list(overrides), run_ids[tuple(overrides)])
        for number, overrides in enumerate(job_overrides, start=first)
    ]


def group_work(jobs: Sequence[GroupJob], context: Path, *, stacked: bool) -> GroupWork:
    """The work of one task, for the device that the sweep was planned for."""
    device = resolve_device("auto")
    return GroupWork(
        list(jobs), str(context), package_version(), device, resolve_precision("auto", device), stacked
    )  # fmt: skip


def is_finished(directory: Path, job: GroupJob) -> bool:
    """Whether the run of the job has a finished result."""
    return finished_result(directory / job.run_id, job.run_id) is not None


def job_returns(directory: Path, jobs: Sequence[GroupJob]) -> list[JobReturn]:
    """What Hydra gets for each job, read from the folder of its run."""
    return [_job_return(directory, job) for job in jobs]


def _job_return(directory: Path, job: GroupJob) -> JobReturn:
    done = is_finished(directory, job)
    returned = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED if done else JobStatus.FAILED)
    returned.return_value = None if done else RuntimeError(f"{job.run_id} left no result")
    return returned
