"""The launchers `hydra/launcher=stacked` and `hydra/launcher=fastest`.

`stacked` trains jobs of equal shape together in one process. `fastest` hands over to the launcher that is fastest on
this machine. Hydra imports this module at every start, so it imports `warmup_lab` only when jobs are launched.
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


for name, node in (("stacked", StackedConfig), ("packed", RenamedStackedConfig), ("fastest", FastestConfig)):
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


class FastestLauncher(_LazyLauncher):
    """Hands over to the launcher that is fastest on this machine, and prints its name and the reason on stderr."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps import LauncherSetup, fastest_launcher

        choice = fastest_launcher(job_overrides, LauncherSetup(self._hydra_context, self._task_function, self._config))
        print(f"fastest on this machine: hydra/launcher={choice.name} ({choice.reason})", file=sys.stderr, flush=True)
        return self._instantiate(choice).launch(job_overrides, initial_job_idx)

    def _instantiate(self, choice: "LauncherChoice") -> Launcher:
        """The launcher that Hydra would set up for `hydra/launcher=NAME` with these options."""
        config = copy.deepcopy(self._config)
        node = ConfigStore.instance().load(f"hydra/launcher/{choice.name}.yaml").node
        with open_dict(config), read_write(config.hydra):
            config.hydra.launcher = node
            config.hydra.launcher.update(choice.options)
        return Plugins.instance().instantiate_launcher(self._hydra_context, self._task_function, config)
