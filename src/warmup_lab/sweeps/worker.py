"""What a worker of a cluster runs: a group of jobs, one by one or stacked, whichever system started the worker."""

from __future__ import annotations

import hashlib
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus
from omegaconf import DictConfig

from warmup_lab.config import ConfigError, require
from warmup_lab.sweeps.launchers import LauncherSetup, compose_jobs, run_jobs
from warmup_lab.sweeps.stopping import SweepTask, WorkerStop
from warmup_lab.system import resolve_device, resolve_precision
from warmup_lab.training import stop_requested


@dataclass(frozen=True)
class GroupJob:
    """One job of a group."""

    number: int
    """Hydra's number of the job."""
    overrides: list[str]
    run_id: str
    """As planned where the sweep was started."""


@dataclass(frozen=True)
class GroupWork:
    """A group of jobs. Pickled by reference to this class, so a worker with another version can still refuse it."""

    jobs: list[GroupJob]
    context: str
    """File with the `LauncherSetup`, which all groups of a launch share."""
    package: str
    """`package_version` where the sweep was started."""
    device: str
    """What `device=auto` meant where the sweep was planned."""
    precision: str
    """What `precision=auto` meant there."""
    stacked: bool
    """Whether jobs of equal shape train together."""

    def run(self) -> list[str]:
        """Runs the jobs and returns the messages of those that failed.

        Raises:
            ConfigError: this worker cannot give the results that were planned, so nothing is trained.
            KeyboardInterrupt: the worker was told to stop; the run that was training saved a checkpoint.
        """
        import cloudpickle

        own = package_version()
        require(
            own == self.package,
            f"worker {socket.gethostname()} has {own}, and the sweep was started with {self.package}: install the same",
        )
        require(
            Path(self.context).is_file(),
            f"worker {socket.gethostname()} does not see {self.context}: the folder of the sweep must be on a file "
            "system that all nodes see",
        )
        setup, singletons = cloudpickle.loads(Path(self.context).read_bytes())
        Singleton.set_state(singletons)
        setup = LauncherSetup(setup.hydra_context, _UntilStopped(setup.task_function), setup.config)
        configs, folders = compose_jobs([(job.number, job.overrides) for job in self.jobs], setup)
        self._refuse_other_runs([folder.name for folder in folders])
        grouping = "warmup_lab.sweeps.launchers.stackable_groups" if self.stacked else None
        returns = run_jobs(grouping, configs, folders, setup)
        return [
            f"{' '.join(job.overrides)}: {type(returned._return_value).__name__}: {returned._return_value}"
            for job, returned in zip(self.jobs, returns, strict=True)
            if returned.status is JobStatus.FAILED
        ]

    def _refuse_other_runs(self, run_ids: Sequence[str]) -> None:
        """Raises `ConfigError` if the jobs are other runs here than where they were planned."""
        if list(run_ids) == [job.run_id for job in self.jobs]:
            return
        device = resolve_device("auto")
        here, there = (device, resolve_precision("auto", device)), (self.device, self.precision)
        host = socket.gethostname()
        if here != there:
            raise ConfigError(
                f"worker {host} has {' '.join(here)}, and the runs were planned for {' '.join(there)}: set "
                f"hydra.launcher.device={here[0]} hydra.launcher.precision={here[1]}, or use other workers"
            )
        raise ConfigError(f"on worker {host} the runs have other ids than planned: its data or models differ")


class ClusterWorkerStop(WorkerStop):
    """Notes USR2 too, which Slurm sends before the time limit."""

    signals: ClassVar[tuple[int, ...]] = (
        signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR2] if hasattr(signal, "SIGUSR2") else []),
    )  # fmt: skip


class _UntilStopped:
    """A task function that starts no run once the worker is told to stop."""

    def __init__(self, task_function: Any) -> None:
        self._task_function = task_function

    def __call__(self, config: DictConfig) -> Any:
        if stop_requested():
            raise KeyboardInterrupt
        return self._task_function(config)


def write_context(setup: LauncherSetup, path: Path) -> None:
    """Writes what all workers of a launch need."""
    import cloudpickle

    task = setup.task_function
    plain = LauncherSetup(
        setup.hydra_context, task.task_function if isinstance(task, SweepTask) else task, setup.config
    )
    path.write_bytes(cloudpickle.dumps((plain, Singleton.get_state())))


@cache
def package_version() -> str:
    """For example `warmup-lab 0.3 (8c1f2a90b7de), torch 2.13.0`, with the first digits of the SHA-256 of the source."""
    import warmup_lab

    folder = Path(warmup_lab.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"warmup-lab {warmup_lab.__version__} ({digest.hexdigest()[:12]}), torch {version('torch')}"
