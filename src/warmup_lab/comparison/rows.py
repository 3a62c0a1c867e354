"""The rows of `comparison.json`: one for each run, arm and warmup of a sweep, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.preliminary import counted_runs
from warmup_lab.comparison.run_table import UNFINISHED, RunTable, read_runs
from warmup_lab.comparison.statistics import Floats, Rate, mean_interval, wilson
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.verdicts import Comparison, Verdict
from warmup_lab.metrics import PAIRED_METRICS, metric_columns, smaller_is_better
from warmup_lab.runs import is_finished
from warmup_lab.system import to_json

_SHOWN = ("train_", "eval_", "whole/", "matched/", "early/roughness")
"""How the names of the metrics begin that the table of runs in the report shows."""


def counts_section(runs: pd.DataFrame, primary: Comparison) -> dict[str, Any]:
    """Numbers of runs, arms and seeds, failure rates, and the values of each setting.

    `learned`, `failed` and `diverged` are those of the runs that count. `early` runs have ended and do not count yet
    (see `preliminary`). With `errors` and `unfinished`, they add up to `runs`.
    """
    finished = _finished(counted_runs(runs))
    num_diverged = int((finished["status"] == "diverged").sum())
    num_failed = int((finished["failed_to_learn"].astype(bool) | (finished["status"] == "diverged")).sum())
    return {
        "runs": len(runs),
        "arms": len(primary.arms),
        "seeds": int(runs["seed"].nunique()),
        "errors": int((runs["status"] == "error").sum()),
        "unfinished": int((runs["status"] == UNFINISHED).sum()),
        "early": len(_finished(runs)) - len(finished),
        "learned": len(finished) - num_failed,
        "failed": rate_section(wilson(num_failed, len(finished))),
        "diverged": rate_section(wilson(num_diverged, len(finished))),
        **{name: sorted(runs[name].unique().tolist()) for name in ("task", "model", "optimizer", "total_steps", "lr")},
    }


def left_out_rows(runs: pd.DataFrame, status: str) -> list[dict[str, Any]]:
    """The runs with this status, and why they have no result."""
    names = ["run_id", "arm", "seed", "error"]
    rows: list[dict[str, Any]] = runs.loc[runs["status"] == status, names].to_dict("records")  # type: ignore[assignment]
    return rows


def _finished(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["status"].map(is_finished).astype(bool)]


def rate_section(rate: Rate) -> dict[str, Any]:
    return rate.to_dict() | {"share": to_json(rate.share)}


_KEY_OF_WARMUP = ("scheduler", "warmup", "warmup_steps", "total_steps")


def warmup_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """Length and T_eff of every warmup, and the total lr of its runs (sum of lr / peak lr), all in updates.

    `asked` is the length as it was asked for, such as `10 %`. Warmups of equal T_eff have unequal total lr if the decay
    starts where the warmup ends. `total_lr` is None where no run made all of its updates.
    """
    runs, names = sweep.runs, ["scheduler", "warmup", "warmup_steps", "t_eff", "warmup_asked", "total_steps"]
    known = runs.loc[runs["warmup"] != "none", names].dropna(subset="t_eff").drop_duplicates()
    totals: dict[tuple[Any, ...], float] = {}
    columns = [runs[name] for name in ("run_id", "lr", "status", *_KEY_OF_WARMUP)]
    for run_id, lr, status, *key in zip(*columns, strict=True):
        if status == "completed" and lr > 0 and run_id in sweep.traces:
            totals.setdefault(tuple(key), float(sweep.traces[run_id]["lr"].sum() / lr))
    rows: list[dict[str, Any]] = known.rename(columns={"warmup_asked": "asked"}).to_dict("records")  # type: ignore[assignment]
    return [row | {"total_lr": totals.get(tuple(row[name] for name in _KEY_OF_WARMUP))} for row in rows]


def run_rows(runs: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    settings = ["run_id", "arm", "seed", "status", "failed_to_learn", "failure_kind"]
    names = dict.fromkeys((metric, *metric_columns(runs)))
    shown = [name for name in names if name == metric or name.startswith(_SHOWN) or name in PAIRED_METRICS]
    rows: list[dict[str, Any]] = runs[[*settings, *shown]].to_dict("records")  # type: ignore[assignment]
    return rows


def arm_rows(runs: pd.DataFrame, primary: Comparison, references: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every arm with its verdict and, for every metric, its mean and its difference from its reference."""
    names = [arm.name for arm in primary.arms]
    metrics: dict[str, dict[str, Any]] = {name: {} for name in names}
    for metric in metric_columns(runs):
        if runs[metric].notna().any() or metric == primary.metric:
            table = read_runs(runs, metric)
            is_number = metric_kind(metric) != "rank"
            compared = table.compared(metric, smaller_is_better=smaller_is_better(metric)) if is_number else None
            rows = {known: row for row, arm in enumerate(table.arms) for known in (arm.name, *arm.aliases)}
            for name in names:
                metrics[name][metric] = _numbers(table, compared, rows[name], rows.get(references.get(name, "")))
    for verdict in primary.verdicts:
        metrics[verdict.arm][primary.metric] |= _judged(verdict)
    return [
        arm.to_dict()
        | {"failed": rate_section(arm.failed), "diverged": rate_section(arm.diverged)}
        | {"setting": arm.setting[-1], "verdict": verdict.to_dict(), "metrics": metrics[arm.name]}
        for arm, verdict in zip(primary.arms, primary.verdicts, strict=True)
    ]


def _numbers(table: RunTable, compared: Floats | None, row: int, reference: int | None) -> dict[str, Any]:
    """Mean over the runs that learned, and the paired difference, each with its 95 % t-interval.

    `..._of_all` are the same over all seeds, failed runs included, for metrics that are compared by a t-test.
    """
    values = table.values[row, table.usable[row]]
    found = {"num_runs": values.size, "mean": _mean(values), "interval": mean_interval(values)}
    if compared is not None:
        everyone = compared[row][~np.isnan(compared[row])]
        found |= {"mean_of_all": _mean(everyone), "interval_of_all": mean_interval(everyone)}
    if reference is None or reference == row:
        return found
    own, other = table.pairs(row, reference)
    found |= dict(zip(("num_pairs", "difference", "difference_interval"), _differences(own - other), strict=True))
    if compared is not None:
        both = compared[row] - compared[reference]
        names = ("num_pairs_of_all", "difference_of_all", "difference_interval_of_all")
        found |= dict(zip(names, _differences(both[~np.isnan(both)]), strict=True))
    return found


def _judged(verdict: Verdict) -> dict[str, Any]:
    """The difference over all seeds as the verdict has it: with planned looks, its interval is the repeated one."""
    test = verdict.test
    if test is None or test.rank_difference is not None or test.difference is None:
        return {}
    names = ("num_pairs_of_all", "difference_of_all", "difference_interval_of_all")
    return dict(zip(names, (test.num_pairs, test.difference, test.interval_95), strict=True))


def _differences(differences: Floats) -> tuple[int, float | None, tuple[float, float] | None]:
    return differences.size, _mean(differences), mean_interval(differences)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None
