"""Choices by test: the smallest warmup that is as good as the best, and arms compared at their own best lr.

A choice looks too good on the runs that it was made on. So both choose on one half of the seeds and test on the other
half, or make no choice at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from warmup_lab.comparison.arms import Arm, groups_over_length, groups_over_lr
from warmup_lab.comparison.naming import lr_group_names
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.pairwise import compare, fails_no_more, mostly_learns
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.sentences import (
    TOO_FEW_PAIRS,
    headline_sentence,
    smallest_sentence,
    smallest_unknown_sentence,
    ten_percent_subject,
    undecided_sentence,
)
from warmup_lab.comparison.sequential import nominal_levels
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, Interval, holm, mean_interval, non_inferiority_p
from warmup_lab.comparison.verdicts import PHRASES, Comparison, Question, Verdict
from warmup_lab.metrics import smaller_is_better
from warmup_lab.system import JsonRecord

Method = Literal["split", "every_arm"]


def split_halves(seeds: Sequence[int]) -> tuple[list[int], list[int]]:
    """Seeds to choose on, and seeds to test on: every other one in rising order; the larger half tests.

    The split depends on the seed numbers alone, so no result can influence it. 0..4 gives [1, 3] and [0, 2, 4].
    """
    ordered = sorted(set(seeds))
    return ordered[1::2], ordered[::2]


# --------------------------------------------------------------------------------- the smallest good warmup


@dataclass(frozen=True)
class SmallestWarmup(JsonRecord):
    """The smallest warmup that is as good as the best, of arms that differ only in the length of one warmup."""

    arms: tuple[str, ...]
    metric: str
    margin: float | None
    method: str
    sentence: str
    warmup_steps: int | None = None
    """The answer in updates; None if there is none, for which `reason` is given."""
    arm: str | None = None
    """The arm with that warmup."""
    reason: str | None = None
    best: str | None = None
    """The arm chosen as the best; None for `every_arm`, which chooses none."""
    seeds_to_choose: tuple[int, ...] = ()
    seeds_to_test: tuple[int, ...] = ()
    p_holm: tuple[tuple[str, float | None], ...] = ()
    """Each tested arm and its adjusted p, shortest warmup first."""


def smallest_warmup_as_good_as_best(
    runs: pd.DataFrame, question: Question, *, method: Method = "split"
) -> tuple[SmallestWarmup, ...]:
    """For each group of arms that differ only in the length of one warmup: the smallest non-inferior to the best.

    `split` chooses the best (see `_best`) on half of the seeds. On the other half it tests the
    smaller warmups against the best, and the best against all others. It needs 12 seeds. `every_arm` chooses nothing: a
    warmup passes if it is non-inferior to every other one, and so to the best, whichever that is (an intersection-union
    test, Berger 1982). It uses all seeds and needs 6.

    Both apply Holm over the warmups tested, at 5 % or, with planned looks, at the level of the last one (`level_at`).
    An arm that may fail more often by the failure margin does not pass, whatever its loss. The reference of `question`
    is not used.
    """
    table = read_runs(runs, question.metric)
    return tuple(_smallest(table, rows, question, method) for rows in groups_over_length(table.arms))


def _smallest(table: RunTable, rows: list[int], question: Question, method: Method) -> SmallestWarmup:
    """The answer for the arms `rows`, which are ordered by the length of their warmup."""
    choose, test = split_halves(table.seeds) if method == "split" else ([], list(table.seeds))
    best = _best(table.at(choose), rows, question) if method == "split" else None
    blank = SmallestWarmup(
        tuple(table.arms[row].name for row in rows),
        question.metric,
        question.margin,
        method,
        sentence="",
        best=None if best is None else table.arms[best].name,
        seeds_to_choose=tuple(choose),
        seeds_to_test=tuple(test),
    )
    reason = _why_untestable(table.at(choose), rows, best, blank)
    if reason is not None:
        return _unanswered(blank, reason)
    level = level_at(question, len(table.seeds))
    tested = rows if best is None else rows[: rows.index(best) + 1]
    rivals = {row: rows if best is None or row == best else [best] for row in tested}
    p_holm = holm([_as_good_p(table.at(test), row, rivals[row], question) for row in tested])
    blank = replace(blank, p_holm=tuple(zip((table.arms[row].name for row in tested), p_holm, strict=True)))
    for row, p in zip(tested, p_holm, strict=True):
        if p is not None and p < level:
            return _answered(blank, table.arms[row], p, level)
    if None in p_holm:
        return _unanswered(blank, f"too few of the {len(test)} seeds to test on ended in both arms: {TOO_FEW_PAIRS}")
    return _unanswered(blank, f"no warmup is shown to be as good as the best, within {blank.margin:g}")


def _best(table: RunTable, rows: Sequence[int], question: Question) -> int | None:
    """As `RunTable.best_mean`; for a metric that is compared by ranks, which has no such mean, as `RunTable.best`."""
    if metric_kind(question.metric) == "rank":
        return table.best(rows, question.smaller_is_better)
    finished = [row for row in rows if table.finished[row].any()]
    if not finished:
        return None
    is_small, margin = question.smaller_is_better, question.failure_margin
    return table.best_mean(finished, question.metric, smaller_is_better=is_small, failure_margin=margin)


def _why_untestable(chosen_on: RunTable, rows: list[int], best: int | None, blank: SmallestWarmup) -> str | None:
    """Why the question has no answer before any test is made; `chosen_on`: the runs on which the best is chosen."""
    if len(rows) < 2:
        return "there is only one warmup to choose from"
    if len({(chosen_on.arms[row].scheduler, chosen_on.arms[row].warmup_steps) for row in rows}) < len(rows):
        return "arms of equal warmup differ in something no column shows: add a column called 'setting'"
    if blank.margin is None:
        return "no margin was stated, and 'as good as' requires a test"
    if blank.method == "split" and (best is None or not chosen_on.usable[best].any()):
        return "no run learned at the seeds on which the best is chosen"
    return None


def _as_good_p(table: RunTable, row: int, rivals: Sequence[int], question: Question) -> float | None:
    """p that an arm is worse by the margin than one of its `rivals`; None if it cannot be tested against one of them.

    The largest p over the rivals (an intersection-union test) of `non_inferiority_p` over all seeds, failed runs
    included. 1 if the arm may fail more often by the failure margin, or if most of its runs failed: then the losses of
    two arms agree because neither learned.
    """
    assert question.margin is not None
    compared = table.compared(question.metric, smaller_is_better=question.smaller_is_better)
    p_values = []
    for rival in rivals:
        if rival == row:
            continue
        arm, other = table.summary(row), table.summary(rival)
        both = ~np.isnan(compared[row]) & ~np.isnan(compared[rival])
        if both.sum() < MIN_PAIRS:
            return None
        if not mostly_learns(arm) or not fails_no_more(arm, other, question.failure_margin):
            p_values.append(1.0)
            continue
        pair = compared[row, both], compared[rival, both]
        p = non_inferiority_p(*pair, margin=question.margin, smaller_is_better=question.smaller_is_better)
        p_values.append(p)
    return max(p_values)


def _unanswered(blank: SmallestWarmup, reason: str) -> SmallestWarmup:
    return replace(blank, reason=reason, sentence=smallest_unknown_sentence(blank.metric, reason))


def level_at(question: Question, num_seeds: int) -> float:
    """5 %; with planned looks the p-value to reach at the last look within `num_seeds`, and 0 before the first."""
    planned, reached = question.looks_at(num_seeds)
    if question.looks is None:
        return ALPHA
    return nominal_levels(ALPHA, planned)[len(reached) - 1] if reached else 0.0


def _answered(blank: SmallestWarmup, arm: Arm, p: float, level: float) -> SmallestWarmup:
    rival = f"the best, {blank.best}," if blank.best not in (None, arm.name) else "any other warmup"
    evidence = f"Holm-adjusted p {p:.2g}, {len(blank.seeds_to_test)} seeds"
    if level != ALPHA:
        evidence += f"; this look needs {level:.2g}"
    sentence = smallest_sentence(arm, rival, blank.metric, blank.margin, evidence)
    return replace(blank, warmup_steps=arm.warmup_steps, arm=arm.name, sentence=sentence)


# ------------------------------------------------------------------------------------- each at its own lr


@dataclass(frozen=True)
class LearningRateChoice(JsonRecord):
    """The lr that an arm does best with on either half of the seeds; each is used on the other half."""

    arm: str
    tried: tuple[float | None, ...]
    chosen: tuple[float | None, float | None]
    at_edge: bool
    """One of the two is the smallest or the largest of several tried, so the best lr may lie outside the grid."""


@dataclass(frozen=True)
class OwnBestLr(JsonRecord):
    """The comparison of arms at their own best lr, with the choices and the two halves of the seeds."""

    comparison: Comparison
    choices: tuple[LearningRateChoice, ...]
    halves: tuple[tuple[int, ...], tuple[int, ...]]
    means: tuple[tuple[float | None, Interval | None], ...]
    """Of each arm over all seeds, with its 95 % t-interval; None for metrics that are compared by ranks."""


def compare_at_own_best_lr(runs: pd.DataFrame, question: Question, *, choose_by: str | None = None) -> OwnBestLr:
    """As `compare`, but an arm is a scheduler and a warmup, at the lr that did best on other seeds.

    Warmup raises the largest usable lr, which a comparison at a fixed lr cannot show. The choice is cross-fitted: each
    half of the seeds (`split_halves`) uses the lr with the fewest failures, then the best mean, on the other half. A
    t-test over the seeds does not see that the choice itself is random: alone it calls equal arms different in up to 1
    of 5 sweeps. So a verdict must also be reached with the choice of either half over all seeds, or it is
    `inconclusive`.

    `choose_by` is the metric that chooses, by default that of `question`. Give it where that is an oscillation, or the
    smallest lr wins. `question.reference` is an arm as named in `choices`.

    Raises:
        ValueError: arms differ in something no column shows, or the reference is unknown.
    """
    chooser = choose_by or question.metric
    table = read_runs(runs, chooser)
    smaller = question.smaller_is_better if choose_by is None else smaller_is_better(chooser)
    halves = split_halves(table.seeds)
    grouped = groups_over_lr(table.arms)
    groups = dict(zip(lr_group_names([table.arms[rows[0]] for rows in grouped]), grouped, strict=True))
    picks = {name: [table.at(half).best(rows, smaller) for half in halves] for name, rows in groups.items()}
    if question.reference is not None and question.reference not in groups:
        raise ValueError(f"no arm is called {question.reference!r}; the arms are: {', '.join(groups)}")
    used: list[dict[int, Sequence[int]]] = [{1: halves[0], 0: halves[1]}, {0: table.seeds}, {1: table.seeds}]
    tables = [_at_own_lr(runs, table, picks, seeds_of_half) for seeds_of_half in used]
    if question.reference is not None and any(question.reference not in set(own["arm"]) for own in tables):
        # No run of the reference finished on one of the halves, so no lr can be chosen for it.
        question, tables = replace(question, reference=None), [runs[:0]] * 3
    crossed, *either = (compare(own, question) for own in tables)
    verdicts = tuple(_agreed(verdict, either) for verdict in crossed.verdicts)
    subject = question.reference or ten_percent_subject(crossed.arms, verdicts)
    sentence = headline_sentence(subject, verdicts, question.metric)
    headline = f"With every warmup at its own best lr, {sentence[:1].lower()}{sentence[1:]}"
    choices = tuple(_choice(table, name, rows, picks[name]) for name, rows in groups.items())
    comparison = replace(crossed, verdicts=verdicts, headline=headline)
    return OwnBestLr(comparison, choices, (tuple(halves[0]), tuple(halves[1])), _means(tables[0], question))


def _means(runs: pd.DataFrame, question: Question) -> tuple[tuple[float | None, Interval | None], ...]:
    table = read_runs(runs, question.metric)
    if metric_kind(question.metric) == "rank":
        return ((None, None),) * len(table.arms)
    rows = table.compared(question.metric, smaller_is_better=question.smaller_is_better)
    finite = [row[np.isfinite(row)] for row in rows]
    return tuple((float(row.mean()) if row.size else None, mean_interval(row)) for row in finite)


def _at_own_lr(
    runs: pd.DataFrame, table: RunTable, picks: dict[str, list[int | None]], used: dict[int, Sequence[int]]
) -> pd.DataFrame:
    """The runs of each group at the lr that it picked on half h, at the seeds `used[h]`; lr no longer names an arm."""
    names, seeds = runs["arm"].to_numpy(dtype=object), runs["seed"].to_numpy()
    labels = np.full(len(runs), None, dtype=object)
    for group, rows in picks.items():
        for half, at in used.items():
            row = rows[half]
            if row is not None:
                labels[(names == table.arms[row].name) & np.isin(seeds, at)] = group
    return runs.assign(arm=labels, lr=np.nan)[pd.notna(labels)]


def _agreed(verdict: Verdict, others: Sequence[Comparison]) -> Verdict:
    """The verdict if all `others` reach it too, else an inconclusive one."""
    found = [{other.arm: other.value for other in comparison.verdicts}.get(verdict.arm) for comparison in others]
    if verdict.value not in PHRASES or verdict.value == "inconclusive" or found == [verdict.value] * len(others):
        return verdict
    reason = f"it depends on which half of the seeds chooses the lr ({verdict.value}, {' and '.join(map(str, found))})"
    return replace(verdict, value="inconclusive", reason=reason, sentence=undecided_sentence(verdict, reason))


def _choice(table: RunTable, name: str, rows: Sequence[int], picks: Sequence[int | None]) -> LearningRateChoice:
    tried = tuple(table.arms[row].lr for row in rows)
    first, second = (None if row is None else table.arms[row].lr for row in picks)
    at_edge = len(tried) > 1 and any(row in (rows[0], rows[-1]) for row in picks)
    return LearningRateChoice(name, tried, (first, second), at_edge)
