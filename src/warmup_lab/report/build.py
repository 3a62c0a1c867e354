"""Builds the report of a sweep from its files: `results.parquet`, `comparison.json`, `figures/` and `report.html`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from altair.utils import schemapi

from warmup_lab.comparison import (
    Sweep,
    build_comparison,
    judged_part,
    judged_runs_of,
    pooled_runs,
    read_sweep,
    record_report,
)
from warmup_lab.comparison.lr_jitter import RAMP
from warmup_lab.comparison.recommend import compared_part
from warmup_lab.config import TrackingConfig
from warmup_lab.figures import (
    Figure,
    Layout,
    detail_figure,
    drawn_metrics,
    failures_figure,
    jitter_figure,
    layers_figure,
    learning_rate_figure,
    looks_figure,
    make_layout,
    oscillation_figure,
    parallel_coordinates,
    probes_figure,
    quality_figure,
    recommend_figure,
    save_figure,
    seed_values,
    traces_figure,
    usable_lr_figure,
)
from warmup_lab.report.page import render_page
from warmup_lab.report.summary_run import log_summary
from warmup_lab.report.terminal import report_text
from warmup_lab.runs import is_finished
from warmup_lab.system import atomic_path, release_memory, write_json


def report_sweep(
    directory: Path, *, tracking: TrackingConfig | None = None, location: str | None = None
) -> dict[str, Any]:
    """Writes the report of the sweep in `directory`, prints it, and returns the content of `comparison.json`.

    `location` is what the page calls the folder, such as its URL. If `tracking` is Weights & Biases, also logs the
    summary run of the sweep there.

    Raises:
        ConfigError: `directory` holds no sweep, or `compare.metric` or `compare.reference` is unknown.
    """
    sweep = read_sweep(directory)
    runs, comparison = build_comparison(sweep)
    shown, added = compared_part(sweep), comparison["added_seeds"]
    table = pooled_runs(shown) if added else runs
    with atomic_path(directory / "results.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    write_json(directory / "comparison.json", comparison)
    _record(directory, sweep, comparison)
    figures = make_figures(judged_part(shown, added["judged"] if added else None), runs, comparison)
    del sweep, shown, table  # the traces, before pictures take memory
    pictures = _save_figures(figures, directory / "figures")
    seeds = seed_values(runs, [comparison["recommendation"]["metric"]])
    layout = make_layout(_without_ramps(comparison["arms"]))
    parallel = parallel_coordinates(layout, seeds, comparison["recommendation"]["metric"])
    page = render_page(comparison, figures, location or directory.as_posix(), parallel)
    with atomic_path(directory / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(report_text(comparison, directory / "report.html"))
    if tracking is not None and tracking.kind == "wandb":
        log_summary(tracking, directory, comparison, runs, pictures)
    return comparison


def _record(directory: Path, sweep: Sweep, comparison: dict[str, Any]) -> None:
    """Notes in the log of the folder which results were shown, and which were judged."""
    finished = sweep.runs.loc[sweep.runs["status"].map(is_finished), "run_id"]
    judged, decided = judged_runs_of(comparison)
    record_report(directory, finished, judged=judged, decided=decided)


@schemapi.debug_mode(False)  # a chart is checked as a whole when it becomes JSON; its parts would be checked before
def make_figures(sweep: Sweep, runs: pd.DataFrame, comparison: Mapping[str, Any]) -> list[Figure]:
    """All figures of the report, from what `build_comparison` returns. A figure without anything to draw has no rows.

    A sweep of ramps or a search compares no warmups, so it has no figures over the length of the warmup. A
    sweep of a single arm has none either, nor has one in which no run learned: all its numbers are those of guessing.
    """
    layout: Layout = make_layout(comparison["arms"])
    seeds = seed_values(runs, drawn_metrics(comparison["primary"]["metric"]))
    over_warmup = [
        failures_figure(comparison["levels"], layout),
        usable_lr_figure(comparison["lr_lines"], layout),
        quality_figure(comparison["primary"], layout, seeds),
        oscillation_figure(layout, seeds),
        detail_figure(layout, seeds),
        looks_figure(comparison["looks"]),
    ]
    learned, several = comparison["counts"]["learned"], len(comparison["arms"]) > 1
    if comparison["lr_jitter"] or comparison["search"] or not (learned and several):
        over_warmup = [replace(figure, rows=[]) for figure in over_warmup]
    return [
        recommend_figure(comparison["recommend"]),
        jitter_figure(comparison["lr_jitter"]),
        *over_warmup,
        traces_figure(sweep.runs, sweep.traces, layout),
        learning_rate_figure(
            _without_ramps(comparison["largest_lr"]),
            comparison["recommendation"],
            make_layout(_without_ramps(comparison["arms"])),
        ),
        probes_figure(sweep.runs, sweep.traces, layout),
        layers_figure(sweep.runs, sweep.traces, layout),
        layers_figure(sweep.runs, sweep.traces, layout, over_lr=True),
    ]


def _without_ramps(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A ramp passes through all learning rates, so its final loss says nothing about the largest of them."""
    return [row for row in rows if row["scheduler"] != RAMP]


def _save_figures(figures: Iterable[Figure], directory: Path) -> list[Path]:
    """Writes PNG and SVG of each figure and returns the PNG files. Deletes files of figures that are now empty."""
    drawn = []
    for figure in figures:
        if figure.rows:
            drawn.append(figure)
        else:
            for suffix in (".png", ".svg"):
                (directory / figure.name).with_suffix(suffix).unlink(missing_ok=True)
    release_memory()
    # The largest first: those have processes of their own, and this one keeps the memory of those that it converts.
    for figure in sorted(drawn, key=lambda figure: figure.num_data, reverse=True):
        save_figure(figure, directory / figure.name)
    return [(directory / figure.name).with_suffix(".png") for figure in drawn]
