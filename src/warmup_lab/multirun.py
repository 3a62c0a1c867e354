"""Joins Hydra's sweeper and launcher to `sweep` and `report`; imported only when a multirun starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from warmup_lab.composition import ROOT
from warmup_lab.config import resolve
from warmup_lab.plan import Plan, make_plan
from warmup_lab.schema import ConfigError
from warmup_lab.sweep import run_grid

if TYPE_CHECKING:
    from hydra.types import HydraContext
    from omegaconf import DictConfig


def sweep_grid(sweeper: BasicSweeper, arguments: Sequence[str]) -> Any:
    """The whole of `GridSweeper.sweep`."""
    context, config, launcher = sweeper.hydra_context, sweeper.config, sweeper.launcher
    assert context is not None and config is not None and launcher is not None
    given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()] + list(arguments)
    overrides = OverridesParser.create(config_loader=context.config_loader).parse_overrides(given)
    (cells,) = sweeper.split_arguments(overrides, None)
    returns = run_grid(
        cells,
        lambda cell: plan_cell(context, config, cell),
        lambda batch: launcher.launch(batch, initial_job_idx=0),
        Path(config.hydra.sweep.dir),
        finish_sweep,
    )
    failed = [job for job in returns if job.status != JobStatus.COMPLETED]
    if failed:
        raise SweepFailed(f"{len(failed)} of {len(returns)} jobs failed; the report names them, the same command retries")
    return returns


class SweepFailed(ConfigError):
    """Jobs of a sweep failed; the others were run and reported."""


def plan_cell(context: HydraContext, config: DictConfig, overrides: Sequence[str]) -> Plan:
    """The plan of one cell, composed as its job will be."""
    cell = context.config_loader.load_sweep_config(config, list(overrides))
    return make_plan(resolve(cell, multirun=True), multirun=True)


def finish_sweep(directory: Path) -> None:
    """Writes what the sweep came to and prints its verdict."""
    from warmup_lab.report import report_sweep

    report_sweep(directory)
