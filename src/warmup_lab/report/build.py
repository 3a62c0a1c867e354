"""The report of a sweep: `results.parquet`, `comparison.json`, figures and one HTML page, from what is on disk.

`python -m warmup_lab.report runs/ten_percent` builds it anew.
"""

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
    as_picture,
    detail_figure,
    jitter_figure,
    layers_figure,
    learning_rate_figure,
    make_layout,
    oscillation_figure,
    probes_figure,
    quality_figure,
    save_both,
    traces_figure,
)
from warmup_lab.metrics import ROUGHNESS
from warmup_lab.report.page import render_page
from warmup_lab.report.terminal import _closing_lines, table_lines
from warmup_lab.system import atomic_path, write_json

_FIGURES = (
    "lr_jitter", "oscillation", "oscillation_detail", "quality", "learning_rate", "traces", "probes", "layers",
    "layers_lr",
)  # fmt: skip


def report_sweep(directory: Path, *, tracking: TrackingConfig | None = None) -> dict[str, Any]:
    """Writes the report of the sweep in `directory`, prints its verdict, and returns what `comparison.json` holds.

    With `tracking`, also the summary run of Weights & Biases.

    Raises:
        ConfigError: there is no sweep, or `compare.metric` or `compare.reference` names nothing there is.
    """
    sweep = read_sweep(directory)
    runs, comparison = build_comparison(sweep)
    _write_table(runs, directory / "results.parquet")
    write_json(directory / "comparison.json", comparison)
    figures = make_figures(sweep, comparison)
    pictures = _save_figures(figures, directory / "figures")
    page = render_page(comparison, figures, directory.as_posix())
    with atomic_path(directory / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(
        "\n".join([*table_lines(comparison), "", *_closing_lines(comparison), f"report: {directory / 'report.html'}"])
    )
    if tracking is not None and tracking.kind == "wandb":
        _log_summary(tracking, directory, comparison, runs, pictures)
    return comparison


def make_figures(sweep: Sweep, comparison: Mapping[str, Any]) -> list[Figure]:
    """The figures of the report; one that has nothing to show has no rows."""
    layout: Layout = make_layout(comparison["arms"])
    return [
        jitter_figure(comparison["lr_jitter"]),
        oscillation_figure(layout),
        quality_figure(dict(comparison), layout),
        traces_figure(sweep.runs, sweep.traces, layout),
        learning_rate_figure(dict(comparison), layout),
        probes_figure(sweep.runs, sweep.traces, layout),
        layers_figure(sweep.runs, sweep.traces, layout),
        layers_figure(sweep.runs, sweep.traces, layout, over_lr=True),
        detail_figure(layout),
    ]


def _write_table(runs: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        runs.to_parquet(temporary, index=False)


def _save_figures(figures: Iterable[Figure], directory: Path) -> list[Path]:
    """PNG and SVG of each figure; returns the PNG files. What an earlier report left and this one lacks goes."""
    drawn = {figure.name: figure for figure in figures if figure.rows}
    for name in _FIGURES:
        if name in drawn:
            save_both(as_picture(drawn[name]), directory / name)
        else:
            for suffix in (".png", ".svg"):
                (directory / f"{name}{suffix}").unlink(missing_ok=True)
    return [directory / f"{name}.png" for name in drawn]


# ------------------------------------------------------------------------------------------ Weights & Biases


def _log_summary(
    tracking: TrackingConfig, directory: Path, comparison: dict[str, Any], runs: pd.DataFrame, pictures: list[Path]
) -> None:
    from warmup_lab.tracking import log_summary_run

    stated = {name: comparison[name] for name in ("study", "command", "primary")}
    log_summary_run(
        tracking,
        name=f"{comparison['study']}-summary",
        group=directory.resolve().name,
        directory=directory,
        run_config=stated,
        table=runs,
        series=warmup_series(comparison),
        figures=pictures,
        summary={"headline": comparison["headline"], "counts": _numbers_of(comparison["counts"])},
    )


def _numbers_of(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in counts.items() if not isinstance(value, list)}


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
