"""`hydra/launcher=packed`: jobs that share their shapes trained together; `hydra/launcher=fastest`: what pays here."""

# No `from __future__ import annotations`: Hydra 1.3 reads the types of these dataclasses at run time.
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class PackedConfig:
    """Keys of `hydra.launcher` for `packed`."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.PackedLauncher"
    batch: str = "warmup_lab.sweeps.launchers.stackable_groups"
    """Dotted name of the function that says which jobs are trained together: a `warmup_lab.launching.Batch`."""


@dataclass
class FastestConfig:
    """`hydra.launcher` for `fastest`, which has no keys: it takes the others as they are."""

    _target_: str = "hydra_plugins.warmup_lab_launcher.FastestLauncher"


for name, node in (("packed", PackedConfig), ("fastest", FastestConfig)):
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="warmup-lab")


class _LazyLauncher(Launcher):
    """Imports what it needs once jobs are launched: Hydra imports this module at every start."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._surroundings: dict[str, Any] = {
            "hydra_context": hydra_context, "task_function": task_function, "config": config
        }  # fmt: skip


class PackedLauncher(_LazyLauncher):
    """Trains jobs together that `batch` finds alike, and the others one by one."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps.launchers import launch

        return launch(self._batch, job_overrides, initial_job_idx, **self._surroundings)


class FastestLauncher(_LazyLauncher):
    """Hands over to the launcher that is fastest on this machine, and says which and why."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from warmup_lab.sweeps.launchers import fastest_launcher

        launcher = fastest_launcher(job_overrides, **self._surroundings)
        launcher.setup(**self._surroundings)
        return launcher.launch(job_overrides, initial_job_idx)
