"""Builds the report of a sweep from its files: `results.parquet`, `comparison.json`, `figures/` and `report.html`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from warmup_lab.comparison import Sweep, build_comparison, read_sweep
from warmup_lab.config import TrackingConfig
from warmup_lab.figures import (
    Figure,
    Layout,
    detail_figure,
    jitter_figure,
    layers_figure,
    learning_rate_figure,
    make_layout,
    oscillation_figure,
    probes_figure,
    quality_figure,
    save_figure,
    traces_figure,
)
from warmup_lab.metrics import ROUGHNESS
from warmup_lab.report.page import render_page
from warmup_lab.report.terminal import closing_lines, table_lines
from warmup_lab.system import atomic_path, write_json


def report_sweep(directory: Path, *, tracking: TrackingConfig | None = None) -> dict[str, Any]:
    """Writes the report of the sweep in `directory`, prints it, and returns the content of `comparison.json`.

    If `tracking` is Weights & Biases, also logs the summary run of the sweep there.

    Raises:
        ConfigError: `directory` holds no sweep, or `compare.metric` or `compare.reference` is unknown.
    """
    sweep = read_sweep(directory)
    runs, comparison = build_comparison(sweep)
    with atomic_path(directory / "results.parquet") as temporary:
        runs.to_parquet(temporary, index=False)
    write_json(directory / "comparison.json", comparison)
    figures = make_figures(sweep, comparison)
    pictures = _save_figures(figures, directory / "figures")
    page = render_page(comparison, figures, directory.as_posix())
    with atomic_path(directory / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    lines = [*table_lines(comparison), "", *closing_lines(comparison), f"report: {directory / 'report.html'}"]
    print("\n".join(lines))
    if tracking is not None and tracking.kind == "wandb":
        _log_summary(tracking, directory, comparison, runs, pictures)
    return comparison


def make_figures(sweep: Sweep, comparison: Mapping[str, Any]) -> list[Figure]:
    """All figures of the report. A figure without anything to draw has no rows."""
    layout: Layout = make_layout(comparison["arms"])
    return [
        jitter_figure(comparison["lr_jitter"]),
        oscillation_figure(layout),
        quality_figure(comparison["primary"], layout),
        traces_figure(sweep.runs, sweep.traces, layout),
        learning_rate_figure(comparison["largest_lr"], layout),
        probes_figure(sweep.runs, sweep.traces, layout),
        layers_figure(sweep.runs, sweep.traces, layout),
        layers_figure(sweep.runs, sweep.traces, layout, over_lr=True),
        detail_figure(layout),
    ]


def _save_figures(figures: Iterable[Figure], directory: Path) -> list[Path]:
    """Writes PNG and SVG of each figure and returns the PNG files. Deletes files of figures that are now empty."""
    pictures = []
    for figure in figures:
        path = directory / figure.name
        if figure.rows:
            save_figure(figure, path)
            pictures.append(path.with_suffix(".png"))
        else:
            for suffix in (".png", ".svg"):
                path.with_suffix(suffix).unlink(missing_ok=True)
    return pictures


# --- Weights & Biases


def _log_summary(
    tracking: TrackingConfig, directory: Path, comparison: dict[str, Any], runs: pd.DataFrame, pictures: list[Path]
) -> None:
    from warmup_lab.tracking import SummaryRun, log_summary_run

    counts = {name: value for name, value in comparison["counts"].items() if not isinstance(value, list)}
    summary_run = SummaryRun(
        name=f"{comparison['study']}-summary",
        group=directory.resolve().name,
        directory=directory,
        config={name: comparison[name] for name in ("study", "command", "primary")},
        table=runs,
        series=warmup_series(comparison),
        figures=pictures,
        summary={"headline": comparison["headline"], "counts": counts},
    )
    log_summary_run(tracking, summary_run)


def warmup_series(comparison: Mapping[str, Any]) -> dict[str, dict[str, list[tuple[float, float | None]]]]:
    """Metric -> line -> (updates of warmup, mean), for the primary metric, roughness and the failure rate."""
    metrics = dict.fromkeys((comparison["primary"]["metric"], *ROUGHNESS))
    series: dict[str, dict[str, list[tuple[float, float | None]]]] = {name: {} for name in (*metrics, "failure_rate")}
    for arm in make_layout(comparison["arms"]).arms:
        line = f"{arm['panel']} {arm['line']}".strip()
        for metric in metrics:
            mean = arm["metrics"].get(metric, {}).get("mean")
            series[metric].setdefault(line, []).append((arm["warmup_steps"], mean))
        series["failure_rate"].setdefault(line, []).append((arm["warmup_steps"], arm["failed"]["share"]))
    return {
        metric: {line: sorted(points, key=lambda point: point[0]) for line, points in lines.items()}
        for metric, lines in series.items()
    }
