"""Hydra's sweepers `grid` (the default of `train.py`), `optuna`, `lr_jitter` and `recommend`.

All check every cell before training the first one, and write a report at the end. `optuna` is our own because
hydra-optuna-sweeper 1.3.0 requires optuna below 3 and fails on an objective of NaN, which a diverged run has.
"""

# No `from __future__ import annotations`: Hydra 1.3 reads the types of these dataclasses at run time.
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from warmup_lab.sweeps import CheckedSweeper


@dataclass
class GridConfig:
    """Keys of `hydra.sweeper` for `grid`."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.GridSweeper"
    params: dict[str, Any] | None = field(default_factory=dict)
    """Overrides of the sweep, such as `seed: range(6)`. The command line takes precedence."""


@dataclass
class OptunaConfig:
    """Keys of `hydra.sweeper` for `optuna`."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.OptunaSweeper"
    n_trials: int = 20
    """Number of runs in all, those of earlier commands included."""
    batch_size: int = 1
    """Number of runs to start at the same time."""
    direction: str = "minimize"
    """`minimize` or `maximize` the metric `objective`."""
    seed: int = 0
    """Seed of the search."""
    storage: str | None = None
    """URL of a database that keeps the study, such as `sqlite:///study.db`. The same command continues the study."""
    study_name: str | None = None
    """Name of the study in the storage; null is the key `study`."""
    params: dict[str, Any] | None = field(default_factory=dict)
    """Overrides of the sweep, such as `optimizer.lr: interval(1e-4, 1e-2)`. The command line takes precedence."""


@dataclass
class JitterConfig:
    """Keys of `hydra.sweeper` for `lr_jitter`."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.JitterSweeper"
    params: dict[str, Any] | None = field(default_factory=dict)
    """Overrides of the sweep, such as `seed: range(12)`. The command line takes precedence."""


@dataclass
class RecommendConfig:
    """Keys of `hydra.sweeper` for `recommend`."""

    _target_: str = "hydra_plugins.warmup_lab_sweeper.RecommendSweeper"
    params: dict[str, Any] | None = field(default_factory=dict)
    """Overrides of the sweep, one value each. The command line takes precedence."""


for name, node in (
    ("grid", GridConfig), ("optuna", OptunaConfig), ("lr_jitter", JitterConfig), ("recommend", RecommendConfig),
):  # fmt: skip
    ConfigStore.instance().store(group="hydra/sweeper", name=name, node=node, provider="warmup-lab")


class _LazySweeper(Sweeper):
    """Delegates to a sweeper imported when a multirun starts, since Hydra imports this module at every start."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    @abstractmethod
    def _make(self) -> "CheckedSweeper": ...

    def setup(self, **context: Any) -> None:
        self._sweeper = self._make()
        self._sweeper.setup(**context)

    def sweep(self, arguments: list[str]) -> None:
        self._sweeper.sweep(arguments)


class GridSweeper(_LazySweeper):
    """Trains every combination of comma-separated values, ranges and choices."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps import GridMultirun

        return GridMultirun(**self._options)


class OptunaSweeper(_LazySweeper):
    """Searches for the best value of the metric `objective` with Optuna."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps import OptunaMultirun

        return OptunaMultirun(**self._options)


class JitterSweeper(_LazySweeper):
    """Finds the lr at which the loss starts to jitter with ramps, then trains at constant rates around it."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps import JitterMultirun

        return JitterMultirun(**self._options)


class RecommendSweeper(_LazySweeper):
    """Recommends an lr and a warmup: ramps, a few rates with and without warmup, a confirmation on other seeds."""

    def _make(self) -> "CheckedSweeper":
        from warmup_lab.sweeps import RecommendMultirun

        return RecommendMultirun(**self._options)
