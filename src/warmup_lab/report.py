"""The report of a sweep: `results.parquet`, `comparison.json`, figures and one HTML page, from what is on disk.

`python -m warmup_lab.report runs/ten_percent` builds it anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from warmup_lab.charts import Figure, Layout, as_picture, make_layout
from warmup_lab.comparison import build_comparison, count
from warmup_lab.curves import traces_figure
from warmup_lab.exhibits import detail_figure, learning_rate_figure, oscillation_figure, quality_figure
from warmup_lab.figures import save_both
from warmup_lab.files import atomic_path, write_json
from warmup_lab.jitter_figure import jitter_figure
from warmup_lab.metrics import ROUGHNESS
from warmup_lab.page import number, render_page, signed
from warmup_lab.probe_curves import layers_figure, probes_figure
from warmup_lab.results import Sweep, read_sweep
from warmup_lab.schema import ConfigError, TrackingConfig

_MAX_LINES = 60
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


# ------------------------------------------------------------------------------------------ at the terminal


def table_lines(comparison: Mapping[str, Any]) -> list[str]:
    """The arms as a table of text."""
    metric = comparison["primary"]["metric"]
    head = ["arm", "runs", "learned", f"{metric} (95 %)", "minus reference (95 %)", "verdict"]
    rows = [head, *(_table_row(arm, metric) for arm in comparison["arms"][:_MAX_LINES])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = len(comparison["arms"]) - _MAX_LINES
    return [
        lines[0],
        "-" * max(map(len, lines)),
        *lines[1:],
        *([f"and {more} more, in the report"] if more > 0 else []),
    ]


def _table_row(arm: Mapping[str, Any], metric: str) -> list[str]:
    found = arm["metrics"][metric]
    learned = f"{arm['num_learned']}/{arm['failed']['total']}"
    mean = _with_interval(found["mean"], found["interval"], number)
    difference = _with_interval(found.get("difference"), found.get("difference_interval"), signed)
    return [arm["name"], str(arm["num_runs"]), learned, mean, difference, arm["verdict"]["value"].replace("_", " ")]


def _with_interval(value: float | None, interval: list[float] | None, text: Any) -> str:
    ends = f" [{text(interval[0])}, {text(interval[1])}]" if interval else ""
    return "" if value is None else text(value) + ends


def _closing_lines(comparison: Mapping[str, Any]) -> list[str]:
    errors = comparison["errors"]
    lines = [comparison["headline"], *comparison["summary"]]
    if errors:
        lines.append(f"{count(len(errors), 'run')} did not finish:")
        lines += [f"  {one['run_id']} ({one['arm']}, seed {one['seed']}): {one['error']}" for one in errors[:5]]
        lines += [f"  and {len(errors) - 5} more, in the report"] if len(errors) > 5 else []
    return lines


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


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warmup_lab.report",
        description="Builds the report of a sweep from what is on disk: table, comparison, figures and page.",
    )
    parser.add_argument("directory", type=Path, help="the sweep's folder, such as runs/ten_percent")
    try:
        report_sweep(parser.parse_args(arguments).directory)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
