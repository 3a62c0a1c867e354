"""`hydra/launcher=slurm`: submits groups of jobs as arrays, follows them, and submits again what was killed.

Slurm's queue is the record of what is submitted: the comment of each array names its folder `<sweep>/slurm/<launch>`.
So the same command finds the tasks of an earlier one, however that ended, and submits none of their runs again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from hydra.core.utils import JobReturn

from warmup_lab.comparison import count
from warmup_lab.config import ConfigError, require
from warmup_lab.sweeps import slurm_queue
from warmup_lab.sweeps.cluster_jobs import group_work, is_finished, job_returns, planned_jobs, refuse_force, say
from warmup_lab.sweeps.launchers import LauncherSetup
from warmup_lab.sweeps.slurm_options import SlurmOptions, submission_parameters
from warmup_lab.sweeps.worker import ClusterWorkerStop, GroupJob, GroupWork, write_context
from warmup_lab.system import shown_path, write_json

log = logging.getLogger(__name__)
_FOLDER, _TASKS = "slurm", "tasks.json"
_ABSENT_POLLS = 2
"""A task has ended once this many listings of the queue in a row lack it."""


@dataclass(frozen=True)
class SlurmTask:
    """The function that submitit runs in a Slurm task."""

    work: GroupWork
    max_requeues: int

    def __call__(self) -> list[str]:
        """Runs the group. Told to stop by Slurm, it puts itself back into the queue, unless it was cancelled."""
        if _num_restarts():
            from submitit import JobEnvironment

            JobEnvironment().paths.result_pickle.unlink(missing_ok=True)  # of a start that Slurm ended
        with ClusterWorkerStop() as stop:
            try:
                return self.work.run()
            except KeyboardInterrupt as interrupt:
                self._requeue(stop.signal_number, str(interrupt))
        raise SystemExit(1)  # without a result, as submitit does for a task that will run again

    def _requeue(self, number: int, message: str) -> None:
        job_id, restarts = slurm_queue.own_id(), _num_restarts()
        state = slurm_queue.state_of(job_id)
        # A task that is cancelled is COMPLETING until it has ended. So is one that Slurm puts back into the queue by
        # itself, and one that is over its time limit, but that one was sent USR2 first.
        if state == "CANCELLED" or (state == "COMPLETING" and number == signal.SIGTERM):
            raise RuntimeError(f"cancelled; {message}")
        if restarts >= self.max_requeues:
            raise RuntimeError(f"requeued {restarts} times, as often as hydra.launcher.max_requeues allows; {message}")
        print(f"signal {number}: {message}; requeued", file=sys.stderr, flush=True)
        if state != "PENDING":  # otherwise Slurm has requeued it
            slurm_queue.requeue(job_id)


def _num_restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


@dataclass
class _Submitted:
    """A task in Slurm's hands."""

    job_id: str
    folder: Path
    jobs: list[GroupJob]
    attempt: int = 1
    absent: int = 0
    said_held: bool = False


def refuse_without_slurm(options: SlurmOptions, overrides: Sequence[str] = ()) -> None:
    """Raises `ConfigError` if submitit or Slurm is not installed here, or an option or an override is invalid."""
    refuse_force(overrides, "slurm", "requeued")
    require(find_spec("submitit") is not None, "hydra/launcher=slurm needs submitit: pip install 'warmup-lab[slurm]'")
    missing = [name for name in slurm_queue.COMMANDS if shutil.which(name) is None]
    require(
        not missing,
        f"hydra/launcher=slurm needs {', '.join(missing)}, not on PATH here: start the sweep on a machine with Slurm, "
        "or use hydra/launcher=fastest",
    )
    submission_parameters(options, "sweep")


def launch_slurm(
    options: SlurmOptions, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, setup: LauncherSetup
) -> list[JobReturn]:
    """Runs the jobs as Slurm tasks. A job that fails gives a failed `JobReturn`; the others go on.

    Raises:
        ConfigError: Slurm does not answer or refuses the jobs.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the tasks go on, or are cancelled with `cancel_on_interrupt`.
    """
    launcher = _SlurmLaunch(options, Path(str(setup.config.hydra.sweep.dir)).absolute(), setup)
    return launcher.run([list(overrides) for overrides in job_overrides], initial_job_idx)


class _SlurmLaunch:
    def __init__(self, options: SlurmOptions, directory: Path, setup: LauncherSetup) -> None:
        self._options, self._directory, self._setup = options, directory, setup
        self._parameters = submission_parameters(options, f"warmup-lab-{directory.name}")
        self._size = slurm_queue.max_array_size()
        self._open: list[_Submitted] = []

    def run(self, job_overrides: list[list[str]], first: int) -> list[JobReturn]:
        jobs = planned_jobs(self._directory, job_overrides, first)
        self._attach({job.run_id for job in jobs})
        running = {job.run_id for task in self._open for job in task.jobs}
        if running:
            say(f"{len(running)} runs are in Slurm's queue from an earlier command: waiting for them")
        left = [job for job in jobs if job.run_id not in running]
        try:
            self._submit(slurm_queue.split(left, self._options.runs_per_task), attempt=1)
            self._follow()
        except KeyboardInterrupt:
            self._interrupted()
            raise
        except ConfigError:  # Slurm took some of the tasks only
            self._say_what_goes_on()
            raise
        return job_returns(self._directory, jobs)

    def _attach(self, wanted: set[str]) -> None:
        """Finds the tasks of earlier commands that train some of these runs."""
        queue = slurm_queue.read_queue()
        require(queue is not None, "Slurm does not answer (squeue), so which runs are already submitted is unknown")
        for queued in (queue or {}).values():
            folder = self._directory / _FOLDER / queued.launch
            if not queued.launch or not (folder / _TASKS).is_file():
                continue
            listed = json.loads((folder / _TASKS).read_text(encoding="utf-8"))[queued.index]
            jobs = [GroupJob(**job) for job in listed]
            if wanted & {job.run_id for job in jobs}:
                self._open.append(_Submitted(queued.job_id, folder, jobs))

    def _submit(self, groups: Sequence[Sequence[GroupJob]], attempt: int) -> None:
        """Submits one task a group, in arrays of the size that Slurm allows."""
        for part in slurm_queue.split(groups, self._size):
            launch = uuid.uuid4().hex[:12]
            folder = self._directory / _FOLDER / launch
            folder.mkdir(parents=True)
            write_context(self._setup, folder / "context.pkl")
            # Before Slurm has the array: otherwise a command that starts after a crash here would not know its tasks.
            write_json(folder / _TASKS, [[asdict(job) for job in group] for group in part], durable=True)
            job_ids = self._submit_array([self._task(group, folder) for group in part], folder, launch)
            self._open += [
                _Submitted(job_id, folder, list(group), attempt) for job_id, group in zip(job_ids, part, strict=True)
            ]
            say(
                f"submitted {count(len(part), 'task')} as Slurm job {job_ids[0].partition('_')[0]}, logs in "
                f"{shown_path(folder)}"
            )

    def _task(self, group: Sequence[GroupJob], folder: Path) -> SlurmTask:
        work = group_work(group, folder / "context.pkl", stacked=self._options.stacked)
        return SlurmTask(work, self._options.max_requeues)

    def _submit_array(self, tasks: Sequence[SlurmTask], folder: Path, launch: str) -> list[str]:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError

        executor = SlurmExecutor(folder)
        executor.update_parameters(**self._parameters, comment=launch)
        try:
            with executor.batch():
                submitted = [executor.submit(task) for task in tasks]
        except FailedJobError as error:
            raise ConfigError(f"Slurm refused the jobs: {error}") from None
        return [str(job.job_id) for job in submitted]

    def _follow(self) -> None:
        """Waits until all tasks have ended. A task that was killed is submitted again."""
        while self._open:
            time.sleep(self._options.poll_seconds)
            queue = slurm_queue.read_queue()
            if queue is None:
                continue
            lost: list[_Submitted] = []
            for task in list(self._open):
                if self._has_ended(task, queue):
                    self._open.remove(task)
                    lost += [task] if self._is_lost(task) else []
            for task in lost:
                left = [job for job in task.jobs if not is_finished(self._directory, job)]
                say(f"Slurm task {task.job_id} ended without a result, so {len(left)} of its runs are submitted again")
                self._submit([left], task.attempt + 1)

    def _has_ended(self, task: _Submitted, queue: dict[str, slurm_queue.QueuedTask]) -> bool:
        queued = queue.get(task.job_id)
        if queued and queued.held and not task.said_held:
            task.said_held = True
            say(f"Slurm holds task {task.job_id} ({queued.reason}): `scontrol release {task.job_id}` lets it start")
        task.absent = 0 if queued else task.absent + 1
        return task.absent >= _ABSENT_POLLS

    def _is_lost(self, task: _Submitted) -> bool:
        """Whether the task was killed, as by a SIGKILL or with its node, and is worth another try."""
        from submitit.core.utils import JobPaths, pickle_load

        paths = JobPaths(task.folder, job_id=task.job_id, task_id=0)
        if paths.result_pickle.exists():
            outcome, value = pickle_load(paths.result_pickle)
            problems = value if outcome == "success" else [str(value).strip().splitlines()[-1]]
            for problem in problems:
                say(f"Slurm task {task.job_id}: {problem}")
            return False
        if all(is_finished(self._directory, job) for job in task.jobs):
            return False
        if task.attempt <= self._options.max_resubmits:
            return True
        say(f"Slurm task {task.job_id} ended without a result again; its log is {shown_path(paths.stderr)}")
        return False

    def _interrupted(self) -> None:
        if not self._options.cancel_on_interrupt:
            self._say_what_goes_on()
            return
        try:
            slurm_queue.cancel([task.job_id for task in self._open])
            say(f"cancelled {count(len(self._open), 'Slurm task')}; runs that were training save checkpoints")
        except (subprocess.SubprocessError, OSError) as error:  # also if a task has just ended
            say(f"scancel: {str(getattr(error, 'stderr', None) or error).strip()}; look with `squeue --me`")

    def _say_what_goes_on(self) -> None:
        if self._open:
            arrays = " ".join(dict.fromkeys(task.job_id.partition("_")[0] for task in self._open))
            go, them = ("goes on", "it") if len(self._open) == 1 else ("go on", "them")
            say(
                f"{count(len(self._open), 'Slurm task')} {go}; the same command waits for {them}, `scancel {arrays}` "
                f"ends {them}"
            )
