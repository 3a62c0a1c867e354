"""The summary run of a sweep in Weights & Biases."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import TrackingConfig
from warmup_lab.tracking.tracker import FINISH, INIT, _start

if TYPE_CHECKING:
    import pandas as pd
    import wandb

WarmupSeries = Mapping[str, Mapping[str, Sequence[tuple[float, float | None]]]]
"""Metric -> arm -> (updates of warmup, value)."""


def log_summary_run(
    config: TrackingConfig,
    *,
    name: str,
    group: str,
    directory: Path,
    run_config: Mapping[str, Any],
    table: pd.DataFrame,
    series: WarmupSeries,
    figures: Sequence[Path] = (),
    summary: Mapping[str, Any] | None = None,
) -> None:
    """One run of `job_type` summary at the end of a sweep, in place of an earlier one.

    `table` has a row a run; `figures` are PNG files.
    """
    named = {"name": name, "group": group, "job_type": "summary", "config": dict(run_config)}
    if tracker := _start(config, "summary", directory, named):
        tracker.publish(lambda run: _log_series(run, series), INIT)
        tracker.publish(lambda run: _log_exhibits(run, table, figures), FINISH)
        tracker.finish(summary or {})


def _log_series(run: wandb.Run, series: WarmupSeries) -> None:
    """A metric an arm, with the updates of warmup as their axis; and a chart a metric, with a line an arm."""
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
    """wandb leaves a logged table's temporary folder to the garbage collector, which warns."""
    with contextlib.suppress(AttributeError):
        table._artifact_target.artifact._tmp_dir.cleanup()  # type: ignore[union-attr]
