"""`hydra/launcher=ray`: trains groups of jobs as tasks of a Ray cluster, and submits again what was killed.

Ray ends the tasks of a process that has ended, so a launch has no tasks of earlier commands to look for.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from warmup_lab.comparison import count
from warmup_lab.config import require
from warmup_lab.sweeps.cluster_jobs import group_work, is_finished, job_returns, planned_jobs, refuse_force, say
from warmup_lab.sweeps.launchers import LauncherSetup
from warmup_lab.sweeps.ray_cluster import connect, require_fitting_node
from warmup_lab.sweeps.ray_options import RayOptions, check_ray_options
from warmup_lab.sweeps.slurm_queue import split
from warmup_lab.sweeps.worker import ClusterWorkerStop, GroupJob, GroupWork, write_context
from warmup_lab.system import TASK_CPUS, TASK_MEMORY, FolderInUse, resolve_device, run_lock

_POLL_SECONDS = 2.0
_LOCK_SECONDS = 60.0
"""How long a task waits for the worker that trained its runs before and may not have ended yet."""
_PASSED_ON = ("WARMUP_LAB_", "WANDB_", "HF_")
"""Environment variables that workers get from here. Tasks carry them, because Ray writes its own settings to logs."""
_FOLDER = "ray"


@dataclass(frozen=True)
class RayTask:
    """What a Ray worker runs."""

    work: GroupWork
    folder: str
    """Working directory."""
    environment: dict[str, str]
    options: RayOptions

    def run(self) -> list[str] | None:
        """Runs the group. Returns as `GroupWork.run`, or None if the worker was told to stop; its run saved then."""
        require(
            Path(self.folder).is_dir(),
            f"worker {socket.gethostname()} has no folder {self.folder}: working directory and results must be on file "
            "systems that all nodes see",
        )
        os.chdir(self.folder)
        os.environ.update(self.environment | self._allocation())
        if not self.options.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with ClusterWorkerStop() as stop:
            try:
                self._wait_for_earlier_worker()
                return self.work.run()
            except KeyboardInterrupt as interrupt:
                print(f"signal {stop.signal_number}: {interrupt}", file=sys.stderr, flush=True)
                return None

    def _allocation(self) -> dict[str, str]:
        """Cores and memory of the task: Ray counts them, and nothing enforces them."""
        import ray

        memory = self.options.memory_bytes
        if memory is None:
            own = ray.get_runtime_context().get_node_id()
            has = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == own)
            memory = int(has.get("memory", 0) * self.options.cpus / has["CPU"])
        return {
            TASK_CPUS: str(self.options.cpus),
            **({TASK_MEMORY: str(memory)} if memory else {}),
        }

    def _wait_for_earlier_worker(self) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        for folder in (Path(self.work.context).parents[1] / job.run_id for job in self.work.jobs):
            if folder.is_dir():
                with suppress(FolderInUse), run_lock(folder, wait=max(0.0, deadline - time.monotonic())):
                    pass


def _run_task(task: RayTask) -> list[str] | None:
    return task.run()


@dataclass(frozen=True)
class _Submitted:
    """A task in Ray's hands."""

    number: int
    jobs: list[GroupJob]
    attempt: int


def refuse_without_ray(options: RayOptions, overrides: Sequence[str] = ()) -> None:
    """Raises `ConfigError` if Ray is not installed here, or an option or an override is invalid."""
    refuse_force(overrides, "ray", "submitted again")
    require(find_spec("ray") is not None, "hydra/launcher=ray needs Ray: pip install 'warmup-lab[ray]'")
    check_ray_options(options)
    require(
        options.gpus > 0 or options.device != "auto" or resolve_device("auto") != "cuda",
        "this machine has a GPU, for which the runs would be planned, and hydra.launcher.gpus is 0: set "
        "hydra.launcher.gpus=1, or hydra.launcher.device=cpu",
    )


def launch_ray(
    options: RayOptions, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, setup: LauncherSetup
) -> list[JobReturn]:
    """Runs the jobs as Ray tasks. A job that fails gives a failed `JobReturn`; the others go on.

    Raises:
        ConfigError: Ray cannot be used, or this machine, if it is the only node, is too small for a task.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the tasks are cancelled, and runs that were training saved checkpoints.
    """
    return _RayLaunch(options, Path(str(setup.config.hydra.sweep.dir)).absolute()).run(
        job_overrides, initial_job_idx, setup
    )


class _RayLaunch:
    def __init__(self, options: RayOptions, directory: Path) -> None:
        self._options, self._directory = options, directory
        self._context = directory / _FOLDER / f"{uuid.uuid4().hex[:12]}.pkl"
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(_PASSED_ON) and name != "WANDB_SERVICE"  # a process of this machine
        }
        self._open: dict[Any, _Submitted] = {}
        self._said: set[str] = set()

    def run(self, job_overrides: Sequence[Sequence[str]], first: int, setup: LauncherSetup) -> list[JobReturn]:
        jobs = planned_jobs(self._directory, job_overrides, first)
        connect(self._options)
        self._say_once(require_fitting_node(self._options))
        self._context.parent.mkdir(parents=True, exist_ok=True)
        write_context(setup, self._context)
        try:
            for number, group in enumerate(split(jobs, self._options.runs_per_task), start=1):
                self._submit(_Submitted(number, list(group), attempt=1))
            self._follow()
        except KeyboardInterrupt:
            self._cancel()
            raise
        finally:
            shutil.rmtree(self._context.parent, ignore_errors=True)  # also what a killed command left
        return job_returns(self._directory, jobs)

    def _submit(self, task: _Submitted) -> None:
        import ray

        options = self._options
        remote = ray.remote(_run_task).options(
            name=f"warmup-lab {task.number}", num_cpus=options.cpus, num_gpus=options.gpus, memory=options.memory_bytes,
            max_retries=0,  # Ray would train finished runs of the task again, and say nothing
        )  # fmt: skip
        work = group_work(task.jobs, self._context, stacked=options.stacked)
        self._open[remote.remote(RayTask(work, str(Path.cwd()), self._environment, options))] = task

    def _follow(self) -> None:
        """Waits until all tasks have ended, one by one. A task that was killed is submitted again."""
        import ray

        while self._open:
            ended, _ = ray.wait(list(self._open), timeout=_POLL_SECONDS)
            for reference in ended:
                self._end(self._open.pop(reference), reference)
            if not ended:
                self._say_once(require_fitting_node(self._options))

    def _end(self, task: _Submitted, reference: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            problems = ray.get(reference)
            reason = "stopped"
        except RayTaskError as error:
            problems = [str(error.cause or error).strip().splitlines()[-1]]
        except RayError as error:
            problems, reason = None, type(error).__name__
        for problem in problems or ():
            self._say_once(problem, f"Ray task {task.number}: ")
        left = [job for job in task.jobs if not is_finished(self._directory, job)]
        if problems is not None or not left:
            return
        if task.attempt > self._options.max_resubmits:
            say(f"Ray task {task.number} ended without a result again ({reason})")
            return
        say(
            f"Ray task {task.number} ended without a result ({reason}), so {count(len(left), 'run')} of it "
            f"{'is' if len(left) == 1 else 'are'} submitted again"
        )
        self._submit(_Submitted(task.number, left, task.attempt + 1))

    def _cancel(self) -> None:
        """Tells the workers to stop, and waits until their runs have saved checkpoints."""
        import ray

        left = list(self._open)
        for reference in left:
            ray.cancel(reference)
        deadline = time.monotonic() + self._options.save_seconds
        while left and time.monotonic() < deadline:
            _, left = ray.wait(left, num_returns=len(left), timeout=0.5)
        say(f"cancelled {count(len(self._open), 'Ray task')}")

    def _say_once(self, text: str, before: str = "") -> None:
        if text and text not in self._said:  # a thousand tasks may refuse for one reason
            say(before + text)
        self._said.add(text)
