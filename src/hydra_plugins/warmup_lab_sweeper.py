"""`hydra/sweeper=grid`: Hydra's own grid, with all cells checked first, runs trained once, and a report at the end."""

# No `from __future__ import annotations`: Hydra 1.3 reads the types of this dataclass at run time.
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore


@dataclass
class GridSweeperConfig:
    """Keys of `hydra.sweeper`."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="grid", node=GridSweeperConfig, provider="warmup-lab")


class GridSweeper(BasicSweeper):
    """The grid over all comma-separated values, ranges and choices, as in Hydra's basic sweeper."""

    def sweep(self, arguments: list[str]) -> Any:
        from warmup_lab.multirun import sweep_grid

        return sweep_grid(self, arguments)
