"""The launchers `hydra/launcher=stacked`, `fastest`, `slurm` and `ray`.

`stacked` trains jobs of equal shape together in one process. `fastest` hands over to the launcher that is fastest on
this machine. `slurm` and `ray` train on a cluster. Hydra imports this module at every start, so it imports `warmup_lab`
only when jobs are launched.
"""

# No `from __future__ import annotations`: Hydra 1.3 reads the types of these dataclasses at run time.
import copy
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict, read_write

if TYPE_CHECKING:
    from warmup_lab.sweeps import LauncherChoice

log = logging.getLogger(__name__)


@dataclass
class StackedConfig:
    """Keys of `hydra.launcher` for `hydra/launcher=stacked`."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.StackedLauncher"
    # Dotted name of a `warmup_lab.sweeps.launchers.GroupJobs` function, which decides which jobs are trained together.
    # For Hydra programs of other packages. It has no docstring, so that files and the command line cannot set it.
    batch: str = "warmup_lab.sweeps.launchers.stackable_groups"


@dataclass
class RenamedStackedConfig(StackedConfig):
    """`hydra/launcher=packed`, the former name of `stacked`."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.RenamedStackedLauncher"


@dataclass
class FastestConfig:
    """`hydra/launcher=fastest` has no keys. The launcher it chooses runs with its defaults."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.FastestLauncher"


@dataclass
class SlurmConfig:
    """Keys of `hydra.launcher` for `hydra/launcher=slurm`."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.SlurmLauncher"
    partition: str | None = None
    """Partition; null is the cluster's default. `sinfo` lists them."""
    account: str | None = None
    """Account that is charged."""
    qos: str | None = None
    """Quality of service."""
    constraint: str | None = None
    """Features that the nodes must have, such as `a100`."""
    gres: str | None = None
    """Generic resources of a task, where `gpus` does not say enough, such as `gpu:a100:1`."""
    gpus: int = 0
    """GPUs of a task. With GPUs also set `device: cuda`."""
    cpus: int = 1
    """CPU cores of a task. A run uses `num_threads` of them."""
    memory_gb: float | None = None
    """Memory of a task, GiB; null is the cluster's default."""
    minutes: int = 60
    """Time limit of a task. A task that reaches it saves a checkpoint and goes on when Slurm starts it again."""
    save_seconds: int = 90
    """Seconds before the time limit at which a run saves its checkpoint. Must be longer than an update and a save."""
    max_running: int = 256
    """Tasks of one array that run at the same time."""
    runs_per_task: int = 1
    """Runs of a task, one after the other or, with `stacked`, together."""
    stacked: bool = False
    """Whether the runs of a task that have equal shapes train together."""
    device: str = "auto"
    """Device of the workers (`cpu`, `cuda`) if this machine may have another; auto is the device of this machine."""
    precision: str = "auto"
    """Meaning of `precision=auto` on the workers if this machine may have another device; auto is bf16 on a GPU."""
    max_requeues: int = 100
    """How often a task goes back to the queue after a time limit or a preemption."""
    max_resubmits: int = 2
    """How often the runs of a task are submitted again if it was killed, as with its node."""
    poll_seconds: float = 10.0
    """Seconds between two looks at Slurm's queue."""
    cancel_on_interrupt: bool = False
    """Whether Ctrl-C cancels the tasks. Otherwise they go on, and the same command waits for them again."""


@dataclass
class RayConfig:
    """Keys of `hydra.launcher` for `hydra/launcher=ray`."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.RayLauncher"
    address: str | None = None
    """Cluster: `auto` for one that runs on this machine, or `host:port`; null starts one here until the sweep ends."""
    gpus: float = 0
    """GPUs of a task, or a fraction of one. With GPUs also set `device: cuda`."""
    cpus: int = 1
    """CPU cores of a task. A run uses `num_threads` of them."""
    memory_gb: float | None = None
    """Memory of a task, GiB; null is its share of the node's, by its cores."""
    runs_per_task: int = 1
    """Runs of a task, one after the other or, with `stacked`, together."""
    stacked: bool = False
    """Whether the runs of a task that have equal shapes train together."""
    device: str = "auto"
    """Device of the workers (`cpu`, `cuda`) if this machine may have another; auto is the device of this machine."""
    precision: str = "auto"
    """Meaning of `precision=auto` on the workers if this machine may have another device; auto is bf16 on a GPU."""
    max_resubmits: int = 2
    """How often the runs of a task are submitted again if it was killed, as with its node."""
    save_seconds: float = 60.0
    """Seconds that runs have to save their checkpoints after Ctrl-C."""
    usage_statistics: bool = False
    """Whether a cluster that the sweep starts sends usage statistics to the authors of Ray."""
    dashboard: bool = False
    """Whether a cluster that the sweep starts has Ray's dashboard."""


for name, node in (
    ("stacked", StackedConfig), ("packed", RenamedStackedConfig), ("fastest", FastestConfig), ("slurm", SlurmConfig),
    ("ray", RayConfig),
):  # fmt: skip
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="warmup-lab")


class _LazyLauncher(Launcher):
    """Keeps what Hydra passes to `setup` until jobs are launched."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._hydra_context, self._task_function, self._config = hydra_context, task_function, config


class StackedLauncher(_LazyLauncher):
    """Trains the groups of jobs that `batch` returns together, and the other jobs one by one."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps import LauncherSetup, launch

        setup = LauncherSetup(self._hydra_context, self._task_function, self._config)
        return launch(self._batch, job_overrides, initial_job_idx, setup)


class RenamedStackedLauncher(StackedLauncher):
    """`StackedLauncher` under its former name."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        log.warning("hydra/launcher=packed is now called stacked")
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)


class _ClusterLauncher(_LazyLauncher):
    """Trains on the nodes of a cluster. Refuses in `setup`, so that the sweep writes nothing."""

    def __init__(self, **options: Any) -> None:
        self._keys = options


class SlurmLauncher(_ClusterLauncher):
    """Trains on the nodes of a Slurm cluster."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from warmup_lab.sweeps import SlurmOptions, refuse_without_slurm

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._options = SlurmOptions(**self._keys)
        refuse_without_slurm(self._options, config.hydra.overrides.task)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps import LauncherSetup, launch_slurm

        setup = LauncherSetup(self._hydra_context, self._task_function, self._config)
        return launch_slurm(self._options, job_overrides, initial_job_idx, setup)


class RayLauncher(_ClusterLauncher):
    """Trains on the nodes of a Ray cluster."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from warmup_lab.sweeps import RayOptions, refuse_without_ray

        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._options = RayOptions(**self._keys)
        refuse_without_ray(self._options, config.hydra.overrides.task)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps import LauncherSetup, launch_ray

        setup = LauncherSetup(self._hydra_context, self._task_function, self._config)
        return launch_ray(self._options, job_overrides, initial_job_idx, setup)


class FastestLauncher(_LazyLauncher):
    """Hands over to the launcher that is fastest on this machine, and prints its name and the reason on stderr."""

    _said: "LauncherChoice | None" = None

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps import LauncherSetup, fastest_launcher

        choice = fastest_launcher(job_overrides, LauncherSetup(self._hydra_context, self._task_function, self._config))
        if choice != self._said:  # once, not before each batch of a sweep that has many
            print(
                f"fastest on this machine: hydra/launcher={choice.name} ({choice.reason})", file=sys.stderr, flush=True
            )
        self._said = choice
        return self._instantiate(choice).launch(job_overrides, initial_job_idx)

    def _instantiate(self, choice: "LauncherChoice") -> Launcher:
        """The launcher that Hydra would set up for `hydra/launcher=NAME` with these options."""
        config = copy.deepcopy(self._config)
        node = ConfigStore.instance().load(f"hydra/launcher/{choice.name}.yaml").node
        with open_dict(config), read_write(config.hydra):
            config.hydra.launcher = node
            config.hydra.launcher.update(choice.options)
        return Plugins.instance().instantiate_launcher(self._hydra_context, self._task_function, config)
