"""The summary run of a sweep in Weights & Biases."""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import TrackingConfig
from warmup_lab.metrics import title_and_unit
from warmup_lab.tracking.command import command_of
from warmup_lab.tracking.settings import parent_folder
from warmup_lab.tracking.tracker import start_wandb
from warmup_lab.tracking.wandb_run import FINISH_SECONDS, INIT_SECONDS, TrackedRun, offline_hint, offline_ids

if TYPE_CHECKING:
    import pandas as pd
    import wandb

WarmupSeries = Mapping[str, Mapping[str, Sequence[tuple[int, float | None]]]]
"""Metric -> line -> points (number of warmup updates, value)."""

_SUMMARY = "summary"
"""Where the id of the summary run begins."""
AXIS = "warmup_steps"


@dataclass(frozen=True)
class SummaryRun:
    """What the summary run of a sweep shows."""

    name: str
    group: str
    directory: Path
    """Parent of the folder `wandb/`."""
    config: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    series: WarmupSeries
    figures: Sequence[Path] = ()
    """PNG files."""
    files: Sequence[Path] = ()
    """The files of the artifact, such as `report.html`."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str | None = None


def log_summary_run(config: TrackingConfig, summary_run: SummaryRun) -> None:
    """Records one W&B run of `job_type` summary at the end of a sweep. It replaces an earlier one.

    Waits until the runs of the sweep are recorded too, at most `WAIT_SECONDS` and `AGAIN_SECONDS` of `command`. Prints
    how many runs are left for `wandb sync`.
    """
    run = TrackedRun(
        _SUMMARY,
        summary_run.name,
        summary_run.directory,
        summary_run.config,
        summary_run.group,
        job_type="summary",
        tags=summary_run.tags,
        notes=summary_run.notes,
    )
    tracker = start_wandb(config, run)
    if tracker:
        tracker.call_with_run(lambda run: _log_series(run, summary_run.series), INIT_SECONDS)
        tracker.call_with_run(lambda run: _log_media(run, summary_run), FINISH_SECONDS)
        tracker.call_with_run(lambda run: _log_artifact(run, summary_run), FINISH_SECONDS)
        tracker.finish(summary_run.summary)
    command = command_of(summary_run.directory)
    command.wait()
    if tracker:
        _say_what_is_left(parent_folder(summary_run.directory), tracker.offline_reason)
    command.close()


def _say_what_is_left(directory: Path, reason: str) -> None:
    if names := offline_ids(directory):
        num_summaries = sum(name.startswith(_SUMMARY) for name in names)
        summary = {0: "", 1: " (one is the summary)"}.get(num_summaries, f" ({num_summaries} are summaries)")
        runs, what = (f"{len(names)} runs{summary} are", "them") if len(names) > 1 else ("1 run is", "it")
        why = f": {reason}" if reason else ""
        print(f"W&B: {runs} offline{why}. {offline_hint(directory, what)}", file=sys.stderr, flush=True)


def _log_series(run: wandb.Run, series: WarmupSeries) -> None:
    """One metric a line over the number of warmup updates.

    The W&B step is the number of warmup updates too, so that programs which draw over the step, such as `wandb leet`,
    show the same x values. The last point of a line says nothing about the sweep, so the summary does not get it.
    """
    rows: dict[int, dict[str, float]] = {}
    run.define_metric(AXIS, hidden=True, summary="none")
    for metric, lines in series.items():
        for line, points in lines.items():
            key = f"{metric}/{line}"
            # One by one, because a glob does not reach names with dots, and with their dots escaped.
            run.define_metric(key.replace(".", "\\."), step_metric=AXIS, summary="none")
            for x, y in _known(points):
                rows.setdefault(x, {AXIS: x})[key] = y
    for x in sorted(rows):
        run.log(rows[x], step=x)


def _log_media(run: wandb.Run, summary_run: SummaryRun) -> None:
    """Charts with one line an arm over the number of warmup updates, tables, and figures."""
    import wandb

    charts, tables = {}, {}
    for metric, lines in summary_run.series.items():
        known = {line: found for line, points in lines.items() if (found := _known(points))}
        if known:
            xs, ys = ([[point[axis] for point in points] for points in known.values()] for axis in (0, 1))
            title = ", ".join(filter(None, title_and_unit(metric)))
            charts[f"charts/{metric}"] = wandb.plot.line_series(
                xs, ys, keys=list(known), title=title, xname="warmup, updates"
            )
    for name, frame in summary_run.tables.items():
        cells: list[Any] = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
        tables[name] = wandb.Table(columns=[str(column) for column in frame], data=cells, allow_mixed_types=True)
    figures = {f"figures/{path.stem}": wandb.Image(str(path)) for path in summary_run.figures}
    run.log({**tables, **charts, **figures})
    for table in (*tables.values(), *(chart.table for chart in charts.values())):
        _clean_up(table)


def _log_artifact(run: wandb.Run, summary_run: SummaryRun) -> None:
    """The files, as an artifact that an offline run carries too. Its versions are those of the group's report."""
    import wandb

    if summary_run.files:
        name = re.sub(r"[^\w.-]", "-", f"{summary_run.group}-report")
        artifact = wandb.Artifact(name, type="report", description=summary_run.notes)
        for path in summary_run.files:
            artifact.add_file(str(path))
        run.log_artifact(artifact)


def _known(points: Sequence[tuple[int, float | None]]) -> list[tuple[int, float]]:
    return [(x, y) for x, y in points if y is not None and math.isfinite(y)]


def _clean_up(table: wandb.Table) -> None:
    """Removes the temporary folder of a logged table. wandb leaves it to the garbage collector, which then warns."""
    with contextlib.suppress(AttributeError):
        table._artifact_target.artifact._tmp_dir.cleanup()  # type: ignore[union-attr]
