"""The summary run of a sweep in Weights & Biases: numbers of `comparison.json`, the table of runs and the figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from warmup_lab.config import TrackingConfig
from warmup_lab.figures import make_layout
from warmup_lab.metrics import ROUGHNESS


def log_summary(
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
        summary={"headline": comparison["headline"], "counts": counts, **decisive_numbers(comparison)},
    )
    log_summary_run(tracking, summary_run)


def decisive_numbers(comparison: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the headline rests on: lr50 of each line of arms with its interval, and the trends over the warmup."""
    lines = {line["name"]: line["usable"] for line in comparison["lr_lines"]}
    ends = {name: usable["interval"] or (None, None) for name, usable in lines.items()}
    found = {
        "lr50": {name: usable["lr50"] for name, usable in lines.items()},
        "lr50_low": {name: low for name, (low, _) in ends.items()},
        "lr50_high": {name: high for name, (_, high) in ends.items()},
        "trends": {trend["of"]: {"z": trend["z"], "p": trend["p_adjusted"]} for trend in comparison["trends"]},
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def warmup_series(comparison: Mapping[str, Any]) -> dict[str, dict[str, list[tuple[float, float | None]]]]:
    """Metric -> line -> (updates of warmup, value): the primary metric, roughness, the failure rate, and lr50 if known.

    The metrics are means: over all seeds where `comparison.json` has that, otherwise over the runs that learned.
    """
    metrics = dict.fromkeys((comparison["primary"]["metric"], *ROUGHNESS))
    series: dict[str, dict[str, list[tuple[float, float | None]]]] = {name: {} for name in (*metrics, "failure_rate")}
    layout = make_layout(comparison["arms"])
    for arm in layout.arms:
        line = f"{arm['panel']} {arm['line']}".strip()
        for metric in metrics:
            found = arm["metrics"].get(metric, {})
            mean = found.get("mean_of_all", found.get("mean"))
            series[metric].setdefault(line, []).append((arm["warmup_steps"], mean))
        series["failure_rate"].setdefault(line, []).append((arm["warmup_steps"], arm["failed"]["share"]))
    if comparison["lr_lines"]:
        arms = {arm["name"]: arm for arm in layout.arms}
        series["lr50"] = {}
        for one in comparison["lr_lines"]:
            arm = arms[one["arms"][0]]
            series["lr50"].setdefault(arm["kind"], []).append((arm["warmup_steps"], one["usable"]["lr50"]))
    return {
        metric: {line: sorted(points, key=lambda point: point[0]) for line, points in lines.items()}
        for metric, lines in series.items()
    }
