"""`hydra/sweeper=grid` (the default here), `optuna` and `lr_jitter`: cells checked first, a report at the end.

hydra-optuna-sweeper 1.3.0 holds optuna below 3 and dies on an objective that is NaN, as that of a diverged run; so
the search is our own few lines on today's optuna.
"""

# No `from __future__ import annotations`: Hydra 1.3 reads the types of these dataclasses at run time.
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from warmup_lab.sweeps.sweepers import CheckedSweeper


@dataclass
class GridConfig:
    """Keys of `hydra.sweeper` for the grid."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.GridSweeper"
    params: dict[str, Any] | None = field(default_factory=dict)


@dataclass
class OptunaConfig:
    """Keys of `hydra.sweeper` for the search."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.OptunaSweeper"
    n_trials: int = 20
    batch_size: int = 1
    direction: str = "minimize"
    seed: int = 0
    params: dict[str, Any] | None = field(default_factory=dict)


@dataclass
class JitterConfig:
    """Keys of `hydra.sweeper` for the lr from where the loss starts to jitter."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.JitterSweeper"
    params: dict[str, Any] | None = field(default_factory=dict)


for name, node in (("grid", GridConfig), ("optuna", OptunaConfig), ("lr_jitter", JitterConfig)):
    ConfigStore.instance().store(group="hydra/sweeper", name=name, node=node, provider="warmup-lab")


class _LazySweeper(Sweeper):
    """Hands over to the real sweeper once a multirun starts: Hydra imports this module at every start."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    def _make(self) -> "CheckedSweeper":
        raise NotImplementedError

    def setup(self, **surroundings: Any) -> None:
        self._sweeper = self._make()
        self._sweeper.setup(**surroundings)

    def sweep(self, arguments: list[str]) -> None:
        self._sweeper.sweep(arguments)


class GridSweeper(_LazySweeper):
    """Every combination of comma-separated values, ranges and choices."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps.sweepers import GridMultirun

        return GridMultirun(**self._options)


class OptunaSweeper(_LazySweeper):
    """A search by Optuna for the best value of `objective`."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps.sweepers import OptunaMultirun

        return OptunaMultirun(**self._options)


class JitterSweeper(_LazySweeper):
    """Ramps, then constant rates around the lr from where the loss of the ramps starts to jitter."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps.sweepers import JitterMultirun

        return JitterMultirun(**self._options)
