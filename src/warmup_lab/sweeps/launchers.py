"""Jobs one by one or in groups, in this process: `hydra/launcher=stacked` and the workers of a cluster.

Hydra calls the task function once for each job and gives each job its own folder, `.hydra/` and log. Stacked jobs keep
this contract. A group of jobs is trained first. Then Hydra runs each job of the group as usual, with a task function
that returns the result of that job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from warmup_lab.config import ConfigError

if TYPE_CHECKING:
    from warmup_lab.plan import Plan


# Modules that import torch are imported in the functions that use them.
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LauncherSetup:
    """The arguments that Hydra passes to `Launcher.setup`."""

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig


@dataclass(frozen=True)
class JobGroup:
    """Jobs that are trained together."""

    jobs: Sequence[int]
    """Positions of the jobs in the sequence that was passed to the `GroupJobs` function."""
    train: Callable[[], Sequence[TaskFunction]]
    """Trains the jobs. Returns one task function a job, which returns the job's result or raises its error."""


GroupJobs = Callable[[Sequence[DictConfig], Sequence[Path], TaskFunction], Sequence[JobGroup]]
"""(composed jobs, their folders, the task function of a single job) -> groups; a job in no group runs alone."""


def launch(
    group_jobs: str | GroupJobs,
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    setup: LauncherSetup,
) -> list[JobReturn]:
    """Runs the jobs and returns their `JobReturn`s in the same order. A job that raises gives a failed `JobReturn`.

    Args:
        group_jobs: the function that forms the groups, or its dotted name.
        job_overrides: the overrides of each job.
        initial_job_idx: Hydra's number of the first job.
        setup: what Hydra passed to the launcher.
    """
    jobs, folders = compose_jobs(list(enumerate(job_overrides, start=initial_job_idx)), setup)
    return run_jobs(group_jobs, jobs, folders, setup)


def compose_jobs(
    numbered: Sequence[tuple[int, Sequence[str]]], setup: LauncherSetup
) -> tuple[list[DictConfig], list[Path]]:
    """The configuration and the folder of each job, given by Hydra's number and its overrides."""
    hydra_config = setup.config.hydra
    setup_globals()
    configure_log(hydra_config.hydra_logging, hydra_config.verbose)
    Path(str(hydra_config.sweep.dir)).mkdir(parents=True, exist_ok=True)
    jobs, folders = [], []
    for number, overrides in numbered:
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        job, folder = _compose(setup, overrides, number)
        jobs.append(job)
        folders.append(folder)
    return jobs, folders


def run_jobs(
    group_jobs: str | GroupJobs | None, jobs: Sequence[DictConfig], folders: Sequence[Path], setup: LauncherSetup
) -> list[JobReturn]:
    """Runs composed jobs in this process, in groups or, without `group_jobs`, one by one."""
    hydra_config = setup.config.hydra
    groups = _group_of_each_job(group_jobs, jobs, folders, setup.task_function) if group_jobs else {}
    task_functions: dict[int, TaskFunction] = {}
    returns = []
    for position, job in enumerate(jobs):
        if position in groups and position not in task_functions:
            task_functions |= _train_group(groups[position], jobs, folders, setup.task_function)
        returns.append(_run_job(job, task_functions.get(position, setup.task_function), setup))
        configure_log(hydra_config.hydra_logging, hydra_config.verbose)
    return returns


def _run_job(job: DictConfig, task_function: TaskFunction, setup: LauncherSetup) -> JobReturn:
    """Hydra's `run_job`. It raises if it cannot create the folder of the job; that too gives a failed `JobReturn`."""
    try:
        return run_job(
            hydra_context=setup.hydra_context,
            task_function=task_function,
            config=job,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except Exception as error:
        log.warning("job %s: %s: %s", job.hydra.job.num, type(error).__name__, error)
        failed = JobReturn(overrides=list(job.hydra.overrides.task), cfg=job, status=JobStatus.FAILED)
        failed.return_value = error
        return failed


def _compose(setup: LauncherSetup, overrides: Sequence[str], number: int) -> tuple[DictConfig, Path]:
    """The configuration and the folder of one job."""
    job: DictConfig = setup.hydra_context.config_loader.load_sweep_config(setup.config, list(overrides))
    with open_dict(job), read_write(job.hydra.sweep):
        job.hydra.job.id = f"{job.hydra.job.name}_{number}"
        job.hydra.job.num = number
        # Resolved once: `${run_id:}` reads configuration and data each time, and Hydra asks for the folder repeatedly.
        job.hydra.sweep.dir, job.hydra.sweep.subdir = _resolved(job, "hydra.sweep.dir", "hydra.sweep.subdir")
    return job, Path(job.hydra.sweep.dir) / job.hydra.sweep.subdir


def _resolved(job: DictConfig, *keys: str) -> list[str]:
    """Values of these keys of the job. `${hydra:...}` and `${run_id:}` read Hydra's current job, as in `run_job`."""
    previous = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(job)
    try:
        return [str(OmegaConf.select(job, key)) for key in keys]
    finally:
        HydraConfig.instance().cfg = previous


def _group_of_each_job(
    group_jobs: str | GroupJobs, jobs: Sequence[DictConfig], folders: Sequence[Path], task_function: TaskFunction
) -> dict[int, JobGroup]:
    """Position of a job -> its group; empty if `group_jobs` raises."""
    try:
        function = get_method(group_jobs) if isinstance(group_jobs, str) else group_jobs
        groups = function(jobs, folders, task_function)
    except Exception as error:
        log.warning("cannot group the jobs, so they run one by one: %s: %s", type(error).__name__, error)
        return {}
    return {position: group for group in groups for position in group.jobs}


def _train_group(
    group: JobGroup, jobs: Sequence[DictConfig], folders: Sequence[Path], task_function: TaskFunction
) -> dict[int, TaskFunction]:
    """Trains the group and returns the task function of each of its jobs."""
    for position in group.jobs:
        _mark_as_running(jobs[position], folders[position])
    try:
        return dict(zip(group.jobs, group.train(), strict=True))
    except Exception as error:
        log.warning("a group of jobs failed, so its jobs run one by one: %s: %s", type(error).__name__, error)
        return dict.fromkeys(group.jobs, task_function)


def _mark_as_running(job: DictConfig, folder: Path) -> None:
    """Writes `.hydra/config.yaml`: `SweepProgress` counts a job with this file as running. `run_job` overwrites it."""
    if job.hydra.output_subdir is not None:
        composed = folder / job.hydra.output_subdir / "config.yaml"
        composed.parent.mkdir(parents=True, exist_ok=True)
        own_keys = OmegaConf.masked_copy(job, [str(key) for key in job if key != "hydra"])
        composed.write_text(OmegaConf.to_yaml(own_keys), encoding="utf-8")


def stackable_groups(
    jobs: Sequence[DictConfig], folders: Sequence[Path], task_function: TaskFunction
) -> list[JobGroup]:
    """A `GroupJobs` function: unfinished runs with equal model, task, batches, number of updates and kind of optimizer.

    A run that is left over is a group of its own: stacked runs have other dropout masks than single ones. A folder with
    a finished result is left to the task function, which skips the run or refuses a folder of another run.
    """
    from warmup_lab.config import resolve
    from warmup_lab.plan import make_plan
    from warmup_lab.runs import finished_result
    from warmup_lab.training.stacked import group_key, groups_of

    plans = [make_plan(resolve(job, multirun=True), multirun=True) for job in jobs]
    first_jobs = {folder: position for position, folder in reversed(list(enumerate(folders)))}
    unfinished = [
        position
        for folder, position in sorted(first_jobs.items(), key=lambda item: item[1])
        if plans[position].config.force or finished_result(folder, plans[position].run_id) is None
    ]
    groups = [[unfinished[index] for index in group] for group in groups_of([plans[one] for one in unfinished])]
    return [_stacked_group(group, plans, folders, task_function) for group in groups if group_key(plans[group[0]])]


def _stacked_group(
    positions: Sequence[int], plans: Sequence[Plan], folders: Sequence[Path], task_function: TaskFunction
) -> JobGroup:
    group_plans = [plans[position] for position in positions]
    group_folders = [folders[position] for position in positions]

    def train() -> list[TaskFunction]:
        outcomes = _train_claimed(group_plans, group_folders)
        return [
            _task_of_trained_run(plan, folder, outcome, len(positions), task_function)
            for plan, folder, outcome in zip(group_plans, group_folders, outcomes, strict=True)
        ]

    return JobGroup(positions, train)


def _train_claimed(plans: Sequence[Plan], folders: Sequence[Path]) -> list[dict[str, Any] | Exception]:
    """The outcome of each run. A run whose folder is in use, or holds another run, fails alone."""
    from warmup_lab.system import allow_locks
    from warmup_lab.training import claimed_run
    from warmup_lab.training.stacked import train_stacked

    allow_locks(len(folders))
    outcomes: dict[int, dict[str, Any] | Exception] = {}
    with ExitStack() as claims:
        for number, (plan, folder) in enumerate(zip(plans, folders, strict=True)):
            try:
                finished = claims.enter_context(claimed_run(plan, folder, in_sweep=True))
            except ConfigError as error:
                log.warning("%s: %s", plan.name, error)
                outcomes[number] = error
            else:
                outcomes |= {number: finished} if finished else {}
        to_train = [number for number in range(len(plans)) if number not in outcomes]
        if to_train:
            trained = train_stacked(
                [plans[number] for number in to_train],
                [folders[number] for number in to_train],
                group=folders[0].absolute().parent.name,
                show_progress=False,
            )
            outcomes |= dict(zip(to_train, trained, strict=True))
    return [outcomes[number] for number in range(len(plans))]


def _task_of_trained_run(
    plan: Plan, folder: Path, outcome: dict[str, Any] | Exception, num_runs: int, task_function: TaskFunction
) -> TaskFunction:
    """A task function that returns the outcome of a run that `train_stacked` has already trained."""
    from warmup_lab.training import hand_over
    from warmup_lab.training.stacked import CannotStack

    def task(config: DictConfig) -> float | None:
        if isinstance(outcome, CannotStack):
            log.info("this run could not be stacked, so it is trained alone: %s", outcome)
            result: float | None = task_function(config)
            return result
        if isinstance(outcome, Exception):
            raise outcome
        how = f"stacked with {num_runs - 1} other runs in one process" if num_runs > 1 else "stacked, as a group of one"
        return hand_over(plan, folder, outcome, how)

    return task
