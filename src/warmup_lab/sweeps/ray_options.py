"""The keys of `hydra/launcher=ray`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from warmup_lab.config import require

_ADDRESS = re.compile(r"auto|(?!ray://)[^\s/]+:\d+")


@dataclass(frozen=True)
class RayOptions:
    """Keys of `hydra.launcher`; `hydra_plugins/warmup_lab_launcher.py` documents them."""

    address: str | None
    gpus: float
    cpus: int
    memory_gb: float | None
    runs_per_task: int
    stacked: bool
    device: str
    precision: str
    max_resubmits: int
    save_seconds: float
    usage_statistics: bool
    dashboard: bool

    @property
    def memory_bytes(self) -> int | None:
        """Memory of a task; None if it is not stated."""
        return None if self.memory_gb is None else round(self.memory_gb * 2**30)

    @property
    def resources(self) -> dict[str, float]:
        """What a node must have to run a task, by Ray's names."""
        needs: dict[str, float] = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_bytes or 0}
        return {name: amount for name, amount in needs.items() if amount}


def check_ray_options(options: RayOptions) -> None:
    """Raises `ConfigError` if a value is out of range."""
    require(
        options.address is None or bool(_ADDRESS.fullmatch(options.address)),
        f"hydra.launcher.address={options.address}: must be auto or host:port, as of `ray start`, on a machine of the "
        "cluster; ray:// (Ray Client) is not supported",
    )
    for key in ("cpus", "runs_per_task"):
        require(getattr(options, key) > 0, f"hydra.launcher.{key}={getattr(options, key)}: must be above 0")
    for key in ("max_resubmits", "save_seconds"):
        value = getattr(options, key)
        require(0 <= value < math.inf, f"hydra.launcher.{key}={value}: must be 0 or more")
    gpus, memory = options.gpus, options.memory_gb
    require(
        0 <= gpus < math.inf and (gpus < 1 or gpus == int(gpus)),
        f"hydra.launcher.gpus={gpus:g}: must be a whole number, or a fraction of one GPU",
    )
    require(
        not options.stacked or gpus == int(gpus),
        f"hydra.launcher.gpus={gpus:g}: stacked groups are sized for a whole GPU",
    )
    require(
        memory is None or 0 < memory < math.inf,
        f"hydra.launcher.memory_gb={memory}: must be above 0, or null for the task's share of its node",
    )
    require(
        options.address is None or not (options.dashboard or options.usage_statistics),
        f"hydra.launcher.dashboard and usage_statistics are for a cluster that the sweep starts; "
        f"address={options.address} has its own",
    )
    require(
        gpus > 0 or not options.device.startswith("cuda"),
        f"hydra.launcher.device={options.device} needs hydra.launcher.gpus=1",
    )
