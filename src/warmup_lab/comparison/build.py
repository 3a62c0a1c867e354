"""The result of a sweep in numbers and sentences: the content of `comparison.json`.

Whatever the report shows about more than one update is taken from here, so the file holds every number of the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.evidence import Design, make_design
from warmup_lab.comparison.lr_jitter import jitter_section
from warmup_lab.comparison.naming import lr_group_of, resolve_reference, several_lrs, warmup_group_name
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.paired_metrics import reference_arms, with_paired_metrics
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.selection import Method, compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.sentences import headline_sentence, ten_percent_subject
from warmup_lab.comparison.sequential import nominal_levels
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, Floats, Rate, mean_interval, wilson
from warmup_lab.comparison.summary import summary_sentences
from warmup_lab.comparison.table import Sweep
from warmup_lab.comparison.variance import split_variance
from warmup_lab.comparison.verdicts import Comparison, Question
from warmup_lab.metrics import (
    PAIRED_METRICS,
    ROUGHNESS,
    metric_columns,
    resolve_metric,
    smaller_is_better,
    title_and_unit,
)
from warmup_lab.runs import is_finished
from warmup_lab.system import to_json

_SHOWN = ("train_", "eval_", "whole/", "matched/", "early/roughness")
"""How the names of the metrics begin that the table of runs in the report shows."""


def build_comparison(sweep: Sweep) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table of runs with `PAIRED_METRICS`, and the content of `comparison.json`.

    Raises:
        ConfigError: `compare.metric` or `compare.reference` is unknown.
    """
    question = stated_question(sweep)
    references = reference_arms(sweep.runs, question.reference)
    runs = comparable_runs(sweep, question, references)
    primary, design = compare(runs, question), make_design(read_runs(runs, None).arms, question.reference)
    secondary = [name for name in ROUGHNESS if name != question.metric and name in runs]
    parts = {
        "primary": asdict(question) | dict(zip(("title", "unit"), title_and_unit(question.metric), strict=True)),
        "counts": _counts(runs, primary),
        "arms": _arms(runs, primary, references),
        "warmups": _warmups(sweep),
        "smallest_warmup": _smallest_warmup(runs, question, primary),
        "own_best_lr": _own_best_lr(runs, question),
        "largest_lr": _largest_lr(primary.arms),
        "trends": [trend.to_dict() for trend in primary.trends],
        "levels": [level.to_dict() | {"failed": _rate(level.failed)} for level in primary.levels],
        "lr_lines": [line.to_dict() for line in primary.lr_lines],
        "looks": _looks(primary),
        "variance": _variance(runs, question, design),
        "oscillation": [_secondary(runs, name, question.reference) for name in secondary],
        "runs": _run_rows(runs, question.metric),
        "errors": runs.loc[runs["status"] == "error", ["run_id", "arm", "seed", "error"]].to_dict("records"),
    }
    jitter = jitter_section(sweep)
    head = {
        "schema": 1,
        "study": sweep.directory.resolve().name,
        "headline": jitter["headline"] if jitter else primary.headline,
        "summary": summary_sentences(parts, jitter),
        "lr_jitter": jitter,
    }
    tail = {
        "command": sweep.command,
        "example_overrides": sweep.jobs[0]["overrides"],
        "versions": sweep.versions,
        "seconds": float(runs["seconds"].sum()),
    }
    return runs, to_json(head | parts | tail)


def stated_question(sweep: Sweep) -> Question:
    """What the sweep states, with the metric and the reference by their full names."""
    stated = sweep.compare
    metric = resolve_metric(stated["metric"], sweep.runs)
    reference = resolve_reference(stated["reference"], list(sweep.runs["arm"].unique()))
    looks = stated.get("looks")
    return Question(
        metric,
        smaller_is_better(metric),
        stated["margin"],
        reference,
        failure_margin=stated.get("failure_margin", 0.2),
        looks=tuple(looks) if looks else None,
    )


def comparable_runs(sweep: Sweep, question: Question, references: dict[str, str]) -> pd.DataFrame:
    """The table of runs with `PAIRED_METRICS`, and with the primary metric even if no run has it."""
    runs = with_paired_metrics(sweep, references)
    if question.metric not in runs.columns:
        runs.insert(len(runs.columns) - 2, question.metric, np.nan)
    return runs


# ------------------------------------------------------------------------------------- runs, arms, warmups


def _counts(runs: pd.DataFrame, primary: Comparison) -> dict[str, Any]:
    """Numbers of runs, arms and seeds, failure rates, and the values of each setting."""
    finished = runs[runs["status"].map(is_finished).astype(bool)]
    num_diverged = int((finished["status"] == "diverged").sum())
    num_failed = int((finished["failed_to_learn"].astype(bool) | (finished["status"] == "diverged")).sum())
    return {
        "runs": len(runs),
        "arms": len(primary.arms),
        "seeds": int(runs["seed"].nunique()),
        "errors": len(runs) - len(finished),
        "learned": len(finished) - num_failed,
        "failed": _rate(wilson(num_failed, len(finished))),
        "diverged": _rate(wilson(num_diverged, len(finished))),
        **{name: sorted(runs[name].unique().tolist()) for name in ("task", "model", "optimizer", "total_steps", "lr")},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return rate.to_dict() | {"share": to_json(rate.share)}


_KEY_OF_WARMUP = ("scheduler", "warmup", "warmup_steps", "total_steps")


def _warmups(sweep: Sweep) -> list[dict[str, Any]]:
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


def _run_rows(runs: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    settings = ["run_id", "arm", "seed", "status", "failed_to_learn"]
    names = dict.fromkeys((metric, *metric_columns(runs)))
    shown = [name for name in names if name == metric or name.startswith(_SHOWN) or name in PAIRED_METRICS]
    rows: list[dict[str, Any]] = runs[[*settings, *shown]].to_dict("records")  # type: ignore[assignment]
    return rows


def _arms(runs: pd.DataFrame, primary: Comparison, references: Mapping[str, str]) -> list[dict[str, Any]]:
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
    return [
        arm.to_dict()
        | {"failed": _rate(arm.failed), "diverged": _rate(arm.diverged)}
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


def _differences(differences: Floats) -> tuple[int, float | None, tuple[float, float] | None]:
    return differences.size, _mean(differences), mean_interval(differences)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None


# ------------------------------------------------------------------------------------- further comparisons


def _looks(primary: Comparison) -> dict[str, Any]:
    """Planned looks (seeds), the p-value that a single test must reach at each, the last one reached, and all tests."""
    boundary = nominal_levels(ALPHA, primary.looks) if primary.looks else ()
    path = [one.to_dict() for one in primary.path]
    return {"planned": list(primary.looks), "boundary": list(boundary), "reached": primary.look, "path": path}


def _variance(runs: pd.DataFrame, question: Question, design: Design) -> dict[str, Any] | None:
    """The split of the variance of final quality: of the primary metric, or of `eval_loss` for an oscillation."""
    metric = question.metric if metric_kind(question.metric) != "rank" else "eval_loss"
    if metric not in runs or metric_kind(metric) == "rank":
        return None
    compared = read_runs(runs, metric).compared(metric, smaller_is_better=smaller_is_better(metric))
    found = split_variance(compared, design)
    return None if found is None else found.to_dict() | {"metric": metric, "title": title_and_unit(metric)[0]}


def _secondary(runs: pd.DataFrame, metric: str, reference: str | None) -> dict[str, Any]:
    """The verdicts on a metric that is not the primary one, without a margin."""
    found = compare(runs, Question(metric, smaller_is_better(metric), reference=reference))
    verdicts = [verdict.to_dict() for verdict in found.verdicts]
    headline = headline_sentence(ten_percent_subject(found.arms, found.verdicts), found.verdicts, metric)
    return {"metric": metric, "title": title_and_unit(metric)[0], "headline": headline, "verdicts": verdicts}


def _smallest_warmup(runs: pd.DataFrame, question: Question, primary: Comparison) -> list[dict[str, Any]]:
    """The smallest warmup as good as the best, for each group of arms that differ only in warmup length."""
    method: Method = "split" if runs["seed"].nunique() >= 2 * MIN_PAIRS else "every_arm"
    arms = {arm.name: arm for arm in primary.arms}
    return [
        found.to_dict()
        | {"family": warmup_group_name(arms[found.arms[-1]], primary.arms)}
        | {"warmup_percent": arms[found.arm].warmup_percent if found.arm else None}
        for found in smallest_warmup_as_good_as_best(runs, question, method=method)
    ]


def _own_best_lr(runs: pd.DataFrame, question: Question) -> dict[str, Any] | None:
    """The comparison at each arm's own best lr; None if only one lr was tried."""
    if not several_lrs(runs["lr"]):
        return None
    question = replace(question, reference=question.reference and lr_group_of(question.reference))
    # An oscillation would choose the smallest lr, at which nothing oscillates and nothing is learned.
    by_quality = question.metric.startswith(("eval_", "train_")) or "eval_loss" not in runs
    try:
        found = compare_at_own_best_lr(runs, question, choose_by=None if by_quality else "eval_loss")
    except ValueError as error:
        return {"headline": f"Arms at their own best lr were not compared: {error}.", "arms": [], "choices": []}
    arms = [
        arm.to_dict() | {"verdict": verdict.to_dict()}
        for arm, verdict in zip(found.comparison.arms, found.comparison.verdicts, strict=True)
    ]
    choices = [choice.to_dict() for choice in found.choices]
    return {"headline": found.comparison.headline, "arms": arms, "choices": choices, "halves": list(found.halves)}


def _largest_lr(arms: Sequence[ArmSummary]) -> list[dict[str, Any]]:
    """The largest lr at which every run learned, for each scheduler and warmup; empty if only one lr was tried."""
    groups: dict[tuple[Any, ...], list[ArmSummary]] = {}
    for arm in arms:
        key = (arm.scheduler, arm.warmup, arm.warmup_steps, arm.total_steps, arm.setting[-1])
        groups.setdefault(key, []).append(arm)
    if all(len(group) < 2 for group in groups.values()):
        return []
    names = ("scheduler", "warmup", "warmup_steps", "total_steps", "setting")
    return [dict(zip(names, key, strict=True)) | _largest(group) for key, group in groups.items()]


def _largest(group: Sequence[ArmSummary]) -> dict[str, Any]:
    """`at_edge`: the largest lr is the largest that was tried, so the limit may be higher."""
    tried = sorted(arm.lr for arm in group if arm.lr is not None and arm.failed.total)
    good = [arm.lr for arm in group if arm.lr is not None and arm.failed.total and not arm.failed.count]
    largest = max(good, default=None)
    return {"tried": tried, "lr": largest, "at_edge": bool(tried) and largest == tried[-1]}
