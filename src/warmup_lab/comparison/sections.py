"""The sections of `comparison.json` that answer one question each, beside the primary comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.comparison.evidence import Design
from warmup_lab.comparison.naming import lr_group_of, several_lrs, warmup_group_name
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.selection import Method, compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.sentences import headline_sentence, ten_percent_subject
from warmup_lab.comparison.sequential import nominal_levels
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, Interval
from warmup_lab.comparison.variance import split_variance
from warmup_lab.comparison.verdicts import Comparison, Question
from warmup_lab.metrics import ROUGHNESS, smaller_is_better, title_and_unit


def looks_section(primary: Comparison) -> dict[str, Any]:
    """Planned looks (seeds), the p-value that a single test must reach at each, the last one reached, and all tests."""
    boundary = nominal_levels(ALPHA, primary.looks) if primary.looks else ()
    path = [one.to_dict() for one in primary.path]
    return {"planned": list(primary.looks), "boundary": list(boundary), "reached": primary.look, "path": path}


def variance_section(runs: pd.DataFrame, question: Question, design: Design) -> dict[str, Any] | None:
    """The split of the variance of final quality: of the primary metric, or of `eval_loss` for an oscillation."""
    metric = question.metric if metric_kind(question.metric) != "rank" else "eval_loss"
    if metric not in runs or metric_kind(metric) == "rank":
        return None
    compared = read_runs(runs, metric).compared(metric, smaller_is_better=smaller_is_better(metric))
    found = split_variance(compared, design)
    return None if found is None else found.to_dict() | {"metric": metric, "title": title_and_unit(metric)[0]}


NO_VERDICTS: dict[str, Any] = {"smallest_warmup": [], "own_best_lr": None, "variance": None, "oscillation": []}
"""The sections that would judge runs before all have ended."""


def secondary_sections(runs: pd.DataFrame, question: Question) -> list[dict[str, Any]]:
    """The verdicts on the measures of roughness that are not the primary metric; exploratory.

    A measure of which nothing is known, because most runs failed with every combination, is left out.
    """
    found = [_secondary(runs, name, question) for name in ROUGHNESS if name != question.metric and name in runs]
    return [one for one in found if {verdict["value"] for verdict in one["verdicts"]} - {"both_fail", "reference"}]


def _secondary(runs: pd.DataFrame, metric: str, question: Question) -> dict[str, Any]:
    """The verdicts on a metric that is not the primary one, without a margin; with the planned looks of `question`."""
    found = compare(
        runs, Question(metric, smaller_is_better(metric), reference=question.reference, looks=question.looks)
    )
    verdicts = [verdict.to_dict() for verdict in found.verdicts]
    headline = headline_sentence(ten_percent_subject(found.arms, found.verdicts), found.verdicts, metric)
    return {"metric": metric, "title": title_and_unit(metric)[0], "headline": headline, "verdicts": verdicts}


def smallest_warmup_rows(runs: pd.DataFrame, question: Question, primary: Comparison) -> list[dict[str, Any]]:
    """The smallest warmup as good as the best, for each group of arms that differ only in warmup length."""
    method: Method = "split" if runs["seed"].nunique() >= 2 * MIN_PAIRS else "every_arm"
    arms = {arm.name: arm for arm in primary.arms}
    return [
        found.to_dict()
        | {"family": warmup_group_name(arms[found.arms[-1]], primary.arms)}
        | {"warmup_percent": arms[found.arm].warmup_percent if found.arm else None}
        for found in smallest_warmup_as_good_as_best(runs, question, method=method)
    ]


def own_best_lr_section(runs: pd.DataFrame, question: Question) -> dict[str, Any] | None:
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
        arm.to_dict() | {"verdict": verdict.to_dict()} | _mean_of_all(*mean)
        for arm, verdict, mean in zip(found.comparison.arms, found.comparison.verdicts, found.means, strict=True)
    ]
    choices = [choice.to_dict() for choice in found.choices]
    return {"headline": found.comparison.headline, "arms": arms, "choices": choices, "halves": list(found.halves)}


def _mean_of_all(mean: float | None, interval: Interval | None) -> dict[str, Any]:
    """Nothing for a metric that is compared by ranks."""
    return {} if mean is None else {"mean_of_all": mean, "interval_of_all": None if interval is None else [*interval]}


def largest_lr_rows(arms: Sequence[ArmSummary]) -> list[dict[str, Any]]:
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
    """Of arms whose runs have all ended. `at_edge`: it is the largest lr that was tried, so the limit may be higher."""
    ended = [(arm.lr, arm) for arm in group if arm.lr is not None and arm.failed.total and not arm.num_unfinished]
    tried = sorted(lr for lr, _ in ended)
    largest = max((lr for lr, arm in ended if not arm.failed.count), default=None)
    return {"tried": tried, "lr": largest, "at_edge": bool(tried) and largest == tried[-1]}
