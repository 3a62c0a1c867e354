"""The launchers behind `hydra/launcher=packed` and `fastest`: which jobs of a sweep are trained together, and where.

Hydra's contract is one task function call a job, with the job's own folder, `.hydra/` and log. Jobs that are trained
together keep it: they are trained first, and then each is run as Hydra runs any job, with a task function that hands
over what came of it.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

if TYPE_CHECKING:
    from warmup_lab.plan import Plan


# What knows torch is imported where it is used.
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobGroup:
    """Jobs that are trained as one."""

    jobs: Sequence[int]
    """Their places among the jobs that the batch function was asked about."""
    train: Callable[[], Sequence[TaskFunction]]
    """Trains them; for each, a task function that hands over what came of it, or raises it."""


GroupJobs = Callable[[Sequence[DictConfig], Sequence[Path], TaskFunction], Sequence[JobGroup]]
"""(composed jobs, their folders, the task function of a single job) -> what is to be trained together, if anything."""


def launch(
    batch: str | GroupJobs,
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> list[JobReturn]:
    """Runs the jobs and returns what came of each, in their order; a job that fails is a failed `JobReturn`."""
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    jobs, folders = [], []
    for number, overrides in enumerate(job_overrides, start=initial_job_idx):
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        job, folder = _compose(hydra_context, config, overrides, number)
        jobs.append(job)
        folders.append(folder)
    groups = _groups(batch, jobs, folders, task_function)
    tasks: dict[int, TaskFunction] = {}
    returns = []
    for place, job in enumerate(jobs):
        if place in groups and place not in tasks:
            tasks |= _train(groups[place], jobs, folders, task_function)
        returns.append(
            run_job(
                hydra_context=hydra_context,
                task_function=tasks.get(place, task_function),
                config=job,
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        )
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    return returns


def _compose(
    context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int
) -> tuple[DictConfig, Path]:
    """The job's configuration and its folder."""
    job: DictConfig = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(job), read_write(job.hydra.sweep):
        job.hydra.job.id = f"{job.hydra.job.name}_{number}"
        job.hydra.job.num = number
        # Once and for all: `${run_id:}` reads configuration and data at every look, and Hydra looks several times.
        job.hydra.sweep.dir, job.hydra.sweep.subdir = _selected(job, "hydra.sweep.dir", "hydra.sweep.subdir")
    return job, Path(job.hydra.sweep.dir) / job.hydra.sweep.subdir


def _selected(job: DictConfig, *keys: str) -> list[str]:
    """Keys of the job, resolved as `run_job` will: `${hydra:...}` and `${run_id:}` look at Hydra's current job."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(job)
    try:
        return [str(OmegaConf.select(job, key)) for key in keys]
    finally:
        HydraConfig.instance().cfg = before


def _groups(
    batch: str | GroupJobs, jobs: Sequence[DictConfig], folders: Sequence[Path], task_function: TaskFunction
) -> dict[int, JobGroup]:
    """The group of each job that has one; where the batch function fails, there is none."""
    function = get_method(batch) if isinstance(batch, str) else batch
    try:
        found = function(jobs, folders, task_function)
    except Exception as error:
        log.warning("the jobs run one by one, since they could not be grouped: %s: %s", type(error).__name__, error)
        return {}
    return {place: group for group in found for place in group.jobs}


def _train(
    group: JobGroup, jobs: Sequence[DictConfig], folders: Sequence[Path], task_function: TaskFunction
) -> dict[int, TaskFunction]:
    """The task function of each job of the group, which is trained now."""
    for place in group.jobs:
        _show_as_running(jobs[place], folders[place])
    try:
        return dict(zip(group.jobs, group.train(), strict=True))
    except Exception as error:
        log.warning("jobs run one by one, since together they failed: %s: %s", type(error).__name__, error)
        return dict.fromkeys(group.jobs, task_function)


def _show_as_running(job: DictConfig, folder: Path) -> None:
    """Writes the job's configuration, by which `sweep.SweepProgress` knows it is running; `run_job` writes it anew."""
    if job.hydra.output_subdir is not None:
        composed = folder / job.hydra.output_subdir / "config.yaml"
        composed.parent.mkdir(parents=True, exist_ok=True)
        plain = OmegaConf.masked_copy(job, [str(key) for key in job if key != "hydra"])
        composed.write_text(OmegaConf.to_yaml(plain), encoding="utf-8")


# --------------------------------------------------------------------------------------------------- our runs


def stackable_groups(
    jobs: Sequence[DictConfig], folders: Sequence[Path], task_function: TaskFunction
) -> list[JobGroup]:
    """Our `GroupJobs`: unfinished runs that share model, task, batches, updates and kind of optimizer."""
    from warmup_lab.config import resolve
    from warmup_lab.plan import make_plan
    from warmup_lab.training.stacked import groups_of

    plans = [make_plan(resolve(job, multirun=True), multirun=True) for job in jobs]
    first_in = {folder: place for place, folder in reversed(list(enumerate(folders)))}
    places = [place for folder, place in sorted(first_in.items(), key=lambda pair: pair[1])
              if plans[place].config.force or not _is_finished(folder)]  # fmt: skip
    groups = [[places[index] for index in group] for group in groups_of([plans[place] for place in places])]
    return [_together(group, plans, folders, task_function) for group in groups if len(group) > 1]


def _is_finished(folder: Path) -> bool:
    """What the folder holds is for the task function to judge, which skips a finished run or refuses another one's."""
    from warmup_lab.runs import FINISHED, read_result

    found = read_result(folder)
    return found is not None and found["status"] in FINISHED


def _together(
    group: Sequence[int], plans: Sequence[Plan], folders: Sequence[Path], task_function: TaskFunction
) -> JobGroup:
    def train() -> list[TaskFunction]:
        from warmup_lab.runs import checkpoint
        from warmup_lab.training.stacked import train_stacked

        chosen = [plans[place] for place in group]
        for place in group:
            if plans[place].config.force:
                checkpoint.remove(folders[place])
                (folders[place] / "result.json").unlink(missing_ok=True)
        sweep = folders[group[0]].absolute().parent.name
        outcomes = train_stacked(chosen, [folders[place] for place in group], group=sweep, show_progress=False)
        return [
            _hand_over(plan, folder, outcome, len(group), task_function)
            for plan, folder, outcome in zip(chosen, [folders[place] for place in group], outcomes, strict=True)
        ]

    return JobGroup(group, train)


def _hand_over(
    plan: Plan, folder: Path, outcome: dict[str, object] | Exception, num_runs: int, task_function: TaskFunction
) -> TaskFunction:
    """A task function for a run that is trained already."""
    from warmup_lab.training import hand_over
    from warmup_lab.training.stacked import CannotStack

    def task(config: DictConfig) -> float | None:
        if isinstance(outcome, CannotStack):
            log.info("trained alone, since together with others it failed: %s", outcome)
            result: float | None = task_function(config)
            return result
        if isinstance(outcome, Exception):
            raise outcome
        return hand_over(plan, folder, outcome, f"trained together with {num_runs - 1} other runs in one process")

    return task


# ---------------------------------------------------------------------------------------------------- fastest


def fastest_launcher(
    job_overrides: Sequence[Sequence[str]],
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,  # noqa: ARG001  # what every launcher is given
    config: DictConfig,
) -> Launcher:
    """The launcher that is fastest for these jobs on this machine; says which and why in a line on stderr."""
    from warmup_lab.system import available_cores, resolve_device

    job = hydra_context.config_loader.load_sweep_config(config, list(job_overrides[0]))
    device = resolve_device(str(OmegaConf.select(job, "device", default="auto")))
    cores = available_cores()
    launcher, words = _choose(device, cores, len(job_overrides))
    print(f"fastest on this machine: {words}", file=sys.stderr, flush=True)
    return launcher


def _choose(device: str, cores: int, num_jobs: int) -> tuple[Launcher, str]:
    one_by_one = "one run after the other, since"
    if num_jobs == 1:
        return BasicLauncher(), f"{one_by_one} there is one"
    if device.startswith("cuda"):
        from hydra_plugins.warmup_lab_launcher import PackedConfig, PackedLauncher

        return PackedLauncher(PackedConfig.batch), "runs of one shape together in one process, since there is a GPU"
    if device != "cpu":
        return BasicLauncher(), f"{one_by_one} they share the device {device}"
    if cores == 1:
        return BasicLauncher(), f"{one_by_one} there is no GPU and one core"
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        return BasicLauncher(), f"{one_by_one} pip install 'warmup-lab[joblib]' is missing for one process a core"
    number = min(cores, num_jobs)
    return _joblib(number), f"{number} processes, one a core, since there is no GPU"


def _joblib(num_processes: int) -> Launcher:
    from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
    from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher

    options = asdict(JobLibLauncherConf(n_jobs=num_processes))
    del options["_target_"]
    launcher: Launcher = JoblibLauncher(**options)
    return launcher
