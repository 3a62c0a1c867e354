"""The chosen rate with and without warmup, on seeds that did not choose it, judged at planned looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from warmup_lab.comparison import (
    ArmSummary,
    Comparison,
    Interval,
    Question,
    Rate,
    Verdict,
    compare,
    contradicts_means,
    mean_interval,
    metric_kind,
    read_runs,
)
from warmup_lab.comparison.recommend.choice import Start
from warmup_lab.system import JsonRecord

Effect = Literal["needed", "harmful", "same", "small", "both_fail", "undecided"]
_ALPHA = 0.05


@dataclass(frozen=True)
class Side(JsonRecord):
    """The runs of one start."""

    arm: str
    warmup_steps: int
    failed: Rate
    mean: float | None
    """Of all finished runs; a failed one counts as guessing. None for a metric that is compared by ranks."""
    interval: Interval | None


@dataclass(frozen=True)
class Confirmation(JsonRecord):
    """What the new seeds say about the warmup."""

    lr: float
    effect: Effect
    """`needed` or `harmful` by test; `same` within the margin; `small`: so too, but they differ; `both_fail`: most runs
    of both; else `undecided`."""
    num_seeds: int
    """Seeds whose two runs have ended."""
    judged: int
    """Seeds of the last planned look that is complete; 0 before the first."""
    looks: tuple[int, ...]
    """All planned looks."""
    sides: dict[Start, Side]
    difference: float | None
    """Without minus with warmup, mean over the seeds; None for a metric that is compared by ranks."""
    interval: Interval | None
    """At a look, the repeated interval of the planned looks; before the first, a plain 95 % t-interval."""
    p_value: float | None
    """Adjusted, of the test that decided, or the smallest; None before the first look."""
    sentence: str
    """The verdict on the runs without warmup, in the words of every comparison; empty before the first look."""


def confirm(runs: pd.DataFrame, ended: Sequence[int], question: Question) -> Confirmation | None:
    """The comparison at the seeds whose runs have `ended`; None before both starts have one.

    Args:
        runs: all runs of the confirmation, with the primary metric.
        ended: seeds at which no run is missing. A run in error has ended and is left out.
        question: as stated, with looks; its reference is replaced by the warmup.
    """
    seen = runs[runs["seed"].isin(ended)]
    arms: dict[Start, str] = {}
    for name, steps in zip(seen["arm"], seen["warmup_steps"], strict=True):
        arms["with" if steps else "without"] = str(name)
    if len(arms) < 2:
        return None
    looks = question.looks or (int(runs["seed"].nunique()),)
    planned = sorted(runs["seed"].unique().tolist())
    judged = max((look for look in looks if set(planned[:look]).issubset(ended) and len(planned) >= look), default=0)
    shown = seen[seen["seed"].isin(planned[:judged])] if judged else seen
    sides = {start: _side(shown, name, question) for start, name in arms.items()}
    found = Confirmation(
        lr=float(shown["lr"].iloc[0]), effect="undecided", num_seeds=len(ended), judged=judged, looks=tuple(looks),
        sides=sides, difference=None, interval=None, p_value=None, sentence="",
    )  # fmt: skip
    if not judged:
        difference, interval = _plain_difference(shown, arms, question)
        return replace(found, difference=difference, interval=interval)
    comparison = compare(shown, replace(question, reference=arms["with"], looks=tuple(looks)))
    return _judged(found, comparison, arms["without"])


def _judged(found: Confirmation, comparison: Comparison, without: str) -> Confirmation:
    verdict = comparison.verdict(without)
    test = verdict.test
    effect, p_value = _effect(comparison, verdict)
    return replace(
        found,
        effect=effect,
        difference=test.difference if test else None,
        interval=test.interval_95 if test else None,
        p_value=p_value,
        sentence=verdict.sentence,
    )


def _effect(comparison: Comparison, verdict: Verdict) -> tuple[Effect, float | None]:
    """By the verdict on the runs without warmup, with its p.

    A trend over the two lengths may decide what that leaves open. It counts ranks, so the means must agree with it.
    """
    by_value: dict[str, Effect] = {
        "worse": "needed", "fails_more": "needed", "better": "harmful", "fails_less": "harmful",
        "equivalent": "same", "different_within_margin": "small", "both_fail": "both_fail",
    }  # fmt: skip
    p_value = min((p for p in (verdict.p_failed_holm, verdict.p_holm) if p is not None), default=None)
    if verdict.value in by_value:
        return by_value[verdict.value], p_value
    for of in ("failures", "metric"):
        trend = comparison.trend(of)
        if trend is None or trend.p_adjusted >= _ALPHA or (of == "metric" and contradicts_means(trend, comparison)):
            continue
        falls_is_good = of == "failures" or comparison.smaller_is_better
        return ("needed" if (trend.z < 0) == falls_is_good else "harmful"), trend.p_adjusted
    return "undecided", p_value


def _side(runs: pd.DataFrame, name: str, question: Question) -> Side:
    values, arm = _values(runs, name, question)
    known = values[np.isfinite(values)]
    is_number = metric_kind(question.metric) != "rank"
    return Side(
        arm=name,
        warmup_steps=arm.warmup_steps,
        failed=arm.failed,
        mean=float(known.mean()) if is_number and known.size else None,
        interval=mean_interval(known) if is_number else None,
    )


def _values(runs: pd.DataFrame, name: str, question: Question) -> tuple[np.ndarray, ArmSummary]:
    """The metric as compared, by seed, and the summary of an arm."""
    table = read_runs(runs, question.metric)
    row = next(row for row, arm in enumerate(table.arms) if name in (arm.name, *arm.aliases))
    compared = table.compared(question.metric, smaller_is_better=question.smaller_is_better)
    return compared[row], table.summary(row)


def _plain_difference(
    runs: pd.DataFrame, arms: Mapping[Start, str], question: Question
) -> tuple[float | None, Interval | None]:
    if metric_kind(question.metric) == "rank":
        return None, None
    without, with_ = (_values(runs, arms[start], question)[0] for start in ("without", "with"))
    differences = without - with_
    differences = differences[np.isfinite(differences)]
    return (float(differences.mean()) if differences.size else None), mean_interval(differences)
