"""The launcher that is fastest on this machine, for `hydra/launcher=fastest`."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from warmup_lab.sweeps.launchers import LauncherSetup


@dataclass(frozen=True)
class LauncherChoice:
    """A launcher by its name in `hydra/launcher`."""

    name: str
    reason: str
    options: dict[str, Any] = field(default_factory=dict)
    """Keys of `hydra.launcher` that differ from that launcher's defaults."""


def fastest_launcher(job_overrides: Sequence[Sequence[str]], setup: LauncherSetup) -> LauncherChoice:
    """The launcher that is fastest for these jobs on this machine."""
    from warmup_lab.system import available_cores, resolve_device

    job = setup.hydra_context.config_loader.load_sweep_config(setup.config, list(job_overrides[0]))
    device = resolve_device(str(OmegaConf.select(job, "device", default="auto")))
    return _choose(device, available_cores(), len(job_overrides))


def _choose(device: str, num_cores: int, num_jobs: int) -> LauncherChoice:
    if device.startswith("cuda"):  # one run too: it may be the last of a group, whose dropout masks it then has
        return LauncherChoice("stacked", "on a GPU, runs of equal shape train fastest together in one process")
    if num_jobs == 1:
        return LauncherChoice("basic", "there is only one run")
    if device != "cpu":
        return LauncherChoice("basic", f"all runs share the device {device}, so they run one after the other")
    if num_cores == 1:
        return LauncherChoice("basic", "there is no GPU and only one core, so runs go one after the other")
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        return LauncherChoice(
            "basic", "runs go one after the other; for one process per core, pip install 'warmup-lab[joblib]'"
        )
    num_processes = min(num_cores, num_jobs)
    return LauncherChoice(
        "joblib", f"{num_processes} processes with one core each, since there is no GPU", {"n_jobs": num_processes}
    )


def num_processes(config: DictConfig) -> int:
    """Runs that the launcher of this configuration trains at the same time, each in its own process."""
    from warmup_lab.system import available_cores, resolve_device

    launcher = config.hydra.launcher
    if str(launcher._target_).endswith(".SlurmLauncher"):
        return _num_tasks(launcher)
    if str(launcher._target_).endswith(".RayLauncher"):
        return _num_ray_tasks(launcher)
    num_jobs = launcher.get("n_jobs")
    if num_jobs is None and str(launcher._target_).endswith(".FastestLauncher"):
        choice = _choose(resolve_device(str(config.device)), available_cores(), available_cores() + 1)
        num_jobs = choice.options.get("n_jobs")
    if num_jobs is None:
        return 1
    return int(num_jobs) if num_jobs > 0 else max(1, available_cores() + 1 + int(num_jobs))


def _num_tasks(launcher: DictConfig) -> int:
    """Tasks that Slurm can run at the same time if nobody else uses the partition."""
    from warmup_lab.sweeps.slurm_queue import num_cores

    cores = num_cores(launcher.partition)
    most: int = launcher.max_running
    return most if cores is None else max(1, min(most, cores // launcher.cpus))


def _num_ray_tasks(launcher: DictConfig) -> int:
    """Tasks that the nodes of the Ray cluster can run at the same time if nobody else uses them."""
    from warmup_lab.sweeps.ray_cluster import connect, num_tasks
    from warmup_lab.sweeps.ray_options import RayOptions

    options = RayOptions(**{str(key): value for key, value in launcher.items() if key != "_target_"})
    connect(options)
    return num_tasks(options)
