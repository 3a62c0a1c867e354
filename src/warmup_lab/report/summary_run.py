"""The summary run of a sweep in Weights & Biases: numbers of `comparison.json`, the table of runs and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from warmup_lab.config import TrackingConfig
from warmup_lab.figures import make_layout
from warmup_lab.metrics import ROUGHNESS

OSCILLATION = (*ROUGHNESS, "whole/spike_rate", "whole/max_rise")
"""The metrics that are drawn over the length of the warmup, besides the primary one."""
FILES = ("report.html", "results.parquet", "comparison.json", "sweep.json")
"""The files of a sweep that its artifact holds."""


def log_summary(
    tracking: TrackingConfig, directory: Path, comparison: dict[str, Any], runs: pd.DataFrame, pictures: list[Path]
) -> None:
    from warmup_lab.tracking import SummaryRun, log_summary_run

    counts = {name: value for name, value in comparison["counts"].items() if not isinstance(value, list)}
    tables = {"verdicts": verdict_table(comparison), "lr50": lr50_table(comparison), "runs": runs}
    summary_run = SummaryRun(
        name=f"{comparison['study']}-summary",
        group=directory.resolve().name,
        directory=directory,
        config={name: comparison[name] for name in ("study", "command", "primary")},
        tables={name: table for name, table in tables.items() if len(table)},
        series=warmup_series(comparison),
        figures=pictures,
        files=[path for name in FILES if (path := directory / name).is_file()],
        summary={
            "headline": comparison["headline"],
            "recommendation": recommended(comparison["recommendation"]),
            "counts": counts,
            **decisive_numbers(comparison),
        },
        tags=tags_of(comparison),
        notes=comparison["headline"],
    )
    log_summary_run(tracking, summary_run)


def verdict_table(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """One row an arm: its verdict, its mean and its difference from its reference, each with its 95 % interval."""
    return pd.DataFrame([_verdict_row(arm, comparison["primary"]["metric"]) for arm in comparison["arms"]])


def _verdict_row(arm: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The mean is over all seeds for a metric that has one, otherwise over the runs that learned."""
    verdict, failed, found = arm["verdict"], arm["failed"], arm["metrics"][metric]
    of = "_of_all" if "mean_of_all" in found else ""
    test = verdict["test"] or {}
    setting = ("name", "scheduler", "warmup", "warmup_steps", "warmup_percent", "lr", "setting", "num_runs")
    return {
        **{name: arm[name] for name in setting},
        "verdict": verdict["value"],
        "reference": verdict["reference"],
        "mean": found[f"mean{of}"],
        **_ends("mean", found[f"interval{of}"]),
        "difference": test.get("difference"),
        **_ends("difference", test.get("interval_95")),
        "num_pairs": test.get("num_pairs"),
        "p_adjusted": verdict["p_holm"],
        "failure_rate": failed["share"],
        **_ends("failure_rate", (failed["low"], failed["high"])),
        "p_failed_adjusted": verdict["p_failed_holm"],
        "sentence": verdict["sentence"],
    }


def lr50_table(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """One row a line of arms that differ only in lr: lr50, and its ratio to that of the reference; empty without."""
    rows = []
    for line in comparison["lr_lines"]:
        usable, ratio = line["usable"], line["ratio"] or {}
        rows.append(
            {
                "name": line["name"],
                "lr50": usable["lr50"],
                **_ends("lr50", usable["interval"]),
                "num_seeds": usable["num_seeds"],
                "reference": line["reference"],
                "ratio": ratio.get("ratio"),
                **_ends("ratio", ratio.get("interval")),
                "p_adjusted": line["p_adjusted"],
            }
        )
    return pd.DataFrame(rows)


def _ends(name: str, interval: Sequence[float | None] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def tags_of(comparison: Mapping[str, Any]) -> tuple[str, ...]:
    """`summary`, and the tasks, models, optimizers and schedulers of the sweep, as its runs have them."""
    counts, schedulers = comparison["counts"], [arm["scheduler"] for arm in comparison["arms"]]
    return tuple(dict.fromkeys(("summary", *counts["task"], *counts["model"], *counts["optimizer"], *schedulers)))


def recommended(section: Mapping[str, Any]) -> dict[str, Any]:
    """The recommended lr and warmup, None where there is none, and whether tests decided them."""
    warmup = section["warmup"] or {}
    return {"lr": section["lr"], "warmup_steps": warmup.get("steps"), "decided": section["decided"]}


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


def warmup_series(comparison: Mapping[str, Any]) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
    """Metric -> line -> (updates of warmup, value): the primary metric, oscillation, the failure rate, lr50 if known.

    The metrics are means: over all seeds where `comparison.json` has that, otherwise over the runs that learned.
    """
    metrics = dict.fromkeys((comparison["primary"]["metric"], *OSCILLATION))
    series: dict[str, dict[str, list[tuple[int, float | None]]]] = {name: {} for name in (*metrics, "failure_rate")}
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
