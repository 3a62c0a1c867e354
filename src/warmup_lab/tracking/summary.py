"""The summary run of a sweep in Weights & Biases."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import TrackingConfig
from warmup_lab.tracking.tracker import start_wandb
from warmup_lab.tracking.wandb_run import FINISH_SECONDS, INIT_SECONDS, TrackedRun

if TYPE_CHECKING:
    import pandas as pd
    import wandb

WarmupSeries = Mapping[str, Mapping[str, Sequence[tuple[float, float | None]]]]
"""Metric -> arm -> points (number of warmup updates, value)."""


@dataclass(frozen=True)
class SummaryRun:
    """What the summary run of a sweep shows."""

    name: str
    group: str
    directory: Path
    """Parent of the folder `wandb/`."""
    config: Mapping[str, Any]
    table: pd.DataFrame
    """One row a run."""
    series: WarmupSeries
    figures: Sequence[Path] = ()
    """PNG files."""
    summary: Mapping[str, Any] = field(default_factory=dict)


def log_summary_run(config: TrackingConfig, summary_run: SummaryRun) -> None:
    """Records one W&B run of `job_type` summary at the end of a sweep. It replaces an earlier one."""
    run = TrackedRun(
        "summary", summary_run.name, summary_run.directory, summary_run.config, summary_run.group, job_type="summary"
    )
    if tracker := start_wandb(config, run):
        tracker.call_with_run(lambda run: _log_series(run, summary_run.series), INIT_SECONDS)
        tracker.call_with_run(lambda run: _log_exhibits(run, summary_run.table, summary_run.figures), FINISH_SECONDS)
        tracker.finish(summary_run.summary)


def _log_series(run: wandb.Run, series: WarmupSeries) -> None:
    """One metric an arm over the number of warmup updates, and one chart a metric with one line an arm."""
    import wandb

    rows: dict[float, dict[str, float]] = {}
    for metric, arms in series.items():
        run.define_metric(f"{metric}/*", step_metric="warmup_steps")
        lines = {arm: [(x, y) for x, y in points if y is not None and math.isfinite(y)] for arm, points in arms.items()}
        for arm, line in lines.items():
            for x, y in line:
                rows.setdefault(x, {"warmup_steps": x})[f"{metric}/{arm}"] = y
        xs, ys = ([[point[axis] for point in line] for line in lines.values()] for axis in (0, 1))
        chart = wandb.plot.line_series(xs, ys, keys=list(lines), title=metric, xname="warmup_steps")
        run.log({f"charts/{metric}": chart}, commit=False)
        _clean_up(chart.table)
    for x in sorted(rows):
        run.log(rows[x])


def _log_exhibits(run: wandb.Run, table: pd.DataFrame, figures: Sequence[Path]) -> None:
    import wandb

    cells: list[Any] = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    runs = wandb.Table(columns=[str(name) for name in table.columns], data=cells, allow_mixed_types=True)
    run.log({"runs": runs, **{f"figures/{path.stem}": wandb.Image(str(path)) for path in figures}})
    _clean_up(runs)


def _clean_up(table: wandb.Table) -> None:
    """Removes the temporary folder of a logged table. wandb leaves it to the garbage collector, which then warns."""
    with contextlib.suppress(AttributeError):
        table._artifact_target.artifact._tmp_dir.cleanup()  # type: ignore[union-attr]
