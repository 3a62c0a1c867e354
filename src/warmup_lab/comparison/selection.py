"""Choosing by test: the smallest warmup that is as good as the best, and arms compared at their own best lr.

A choice made on the runs it is judged by flatters itself, so both choose on one half of the seeds and test on the
other, or choose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from warmup_lab.comparison.arms import Arm, RunTable, as_good_p, read_runs
from warmup_lab.comparison.statistics import ALPHA, check_margin, holm, split_halves
from warmup_lab.comparison.verdicts import (
    PHRASES,
    TOO_FEW_PAIRS,
    Comparison,
    Verdict,
    compare,
    headline_sentence,
    ten_percent_subject,
)
from warmup_lab.system import JsonRecord


@dataclass(frozen=True)
class SmallestWarmup(JsonRecord):
    """The smallest warmup, of arms that differ in nothing else, that is as good as the best; null with `reason`.

    `best`: the arm chosen as best, null for `every_arm`. `p_holm`: each arm that was tested, in rising warmup.
    """

    arms: tuple[str, ...]
    metric: str
    margin: float | None
    method: str
    sentence: str
    warmup_steps: int | None = None
    arm: str | None = None
    reason: str | None = None
    best: str | None = None
    seeds_to_choose: tuple[int, ...] = ()
    seeds_to_test: tuple[int, ...] = ()
    p_holm: tuple[tuple[str, float | None], ...] = ()


def smallest_warmup_as_good_as_best(
    runs: pd.DataFrame,
    *,
    metric: str,
    smaller_is_better: bool = True,
    margin: float | None = None,
    method: Literal["split", "every_arm"] = "split",
) -> tuple[SmallestWarmup, ...]:
    """For each set of arms that differ only in the length of one warmup: the smallest non-inferior to the best.

    `split`: the best (fewest failures, then best mean) is chosen on half of the seeds; on the other half smaller
    warmups are tested against it, and it against all others. That needs 12 seeds. `every_arm`: nothing is chosen;
    a warmup passes if it is non-inferior to every other one, hence to the best, whichever that is (an intersection-
    union test), on all seeds. That needs 6. Both: Holm over the warmups tested; an arm that reliably fails more
    often does not pass, whatever its loss.
    """
    check_margin(margin)
    table = read_runs(runs, metric)
    families = _families_over_length(table)
    blank = SmallestWarmup((), metric, margin, method, sentence="")
    return tuple(_smallest(table, rows, blank, smaller_is_better) for rows in families.values())


def _families_over_length(table: RunTable) -> dict[tuple[object, ...], list[int]]:
    """Arms that differ only in the length of the warmup, in rising length; one without warmup is of every shape."""
    arms = sorted(enumerate(table.arms), key=lambda item: item[1].warmup_steps)
    shapes: dict[tuple[object, ...], dict[str, None]] = {}
    for _, arm in arms:
        shapes.setdefault(arm.same_but_warmup, {}).update({} if arm.warmup == "none" else {arm.warmup: None})
    families: dict[tuple[object, ...], list[int]] = {}
    for row, arm in arms:
        own = [arm.warmup] if arm.warmup != "none" else list(shapes[arm.same_but_warmup]) or ["none"]
        for shape in own:
            families.setdefault((*arm.same_but_warmup, shape), []).append(row)
    return families


def _smallest(table: RunTable, rows: list[int], blank: SmallestWarmup, smaller_is_better: bool) -> SmallestWarmup:
    """The answer for the arms `rows`, which stand in rising warmup; `blank` holds the question."""
    split = blank.method == "split"
    choose, test = split_halves(table.seeds) if split else ([], list(table.seeds))
    best = table.at(choose).best(rows, smaller_is_better) if split else None
    blank = replace(
        blank,
        arms=tuple(table.arms[row].name for row in rows),
        best=None if best is None else table.arms[best].name,
        seeds_to_choose=tuple(choose),
        seeds_to_test=tuple(test),
    )
    if len(rows) < 2:
        return _unanswered(blank, "there is only one warmup to choose from")
    warmups = {(table.arms[row].scheduler, table.arms[row].warmup_steps) for row in rows}
    if len(warmups) < len(rows):
        return _unanswered(blank, "arms of equal warmup differ in something no column shows: add one called 'setting'")
    if blank.margin is None:
        return _unanswered(blank, "no margin was stated, and 'as good as' is only said by test")
    if split and (best is None or not table.at(choose).usable[best].any()):
        return _unanswered(blank, "nothing learned at the seeds on which the best is chosen")
    tested = rows if best is None else rows[: rows.index(best) + 1]
    rivals = {row: rows if best in (None, row) else [best] for row in tested}
    p_holm = holm([as_good_p(table.at(test), row, rivals[row], blank.margin, smaller_is_better) for row in tested])
    blank = replace(blank, p_holm=tuple(zip((table.arms[row].name for row in tested), p_holm, strict=True)))
    for row, p in zip(tested, p_holm, strict=True):
        if p is not None and p < ALPHA:
            return _answered(blank, table.arms[row], p)
    if None in p_holm:
        return _unanswered(blank, f"too few of the {len(test)} seeds to test on have both learned: {TOO_FEW_PAIRS}")
    return _unanswered(blank, f"no warmup is shown to be as good as the best, within {blank.margin:g}")


def _unanswered(blank: SmallestWarmup, reason: str) -> SmallestWarmup:
    sentence = f"Which warmup is the smallest that is as good as the best on {blank.metric} is not known: {reason}."
    return replace(blank, reason=reason, sentence=sentence)


def _answered(blank: SmallestWarmup, arm: Arm, p: float) -> SmallestWarmup:
    rival = f"the best, {blank.best}," if blank.best not in (None, arm.name) else "any other warmup"
    sentence = (
        f"{arm.warmup_steps} updates ({100 * arm.warmup_steps / arm.total_steps:.3g} %) is the smallest warmup shown "
        f"to be as good as the best: on {blank.metric} {arm.name} is not worse than {rival} by {blank.margin:g} "
        f"or more (Holm-adjusted p {p:.2g}, {len(blank.seeds_to_test)} seeds)."
    )
    return replace(blank, warmup_steps=arm.warmup_steps, arm=arm.name, sentence=sentence)


@dataclass(frozen=True)
class LearningRateChoice(JsonRecord):
    """The lr that an arm does best with on either half of the seeds; each is used on the other half.

    `at_edge`: one of them is the smallest or largest of several tried, so the arm's best may lie outside.
    """

    arm: str
    tried: tuple[float | None, ...]
    chosen: tuple[float | None, float | None]
    at_edge: bool


@dataclass(frozen=True)
class OwnBestLr(JsonRecord):
    """The comparison of arms at their own best lr, with the choices and the two halves of the seeds."""

    comparison: Comparison
    choices: tuple[LearningRateChoice, ...]
    halves: tuple[tuple[int, ...], tuple[int, ...]]


def compare_at_own_best_lr(
    runs: pd.DataFrame,
    *,
    metric: str,
    smaller_is_better: bool = True,
    reference: str | None = None,
    margin: float | None = None,
    choose_by: str | None = None,
    choose_smaller_is_better: bool = True,
) -> OwnBestLr:
    """As `compare`, but an arm is a scheduler and a warmup, at the lr that did best on other seeds.

    Warmup buys a larger usable lr, which no fixed lr shows. Cross-fitted: either half of the seeds (`split_halves`)
    uses the lr with the fewest failures, then the best mean, of the other half. The choice is itself a chance, and
    one that a t-test over the seeds does not see: alone it calls equal arms different in up to 1 of 5 sweeps. So a
    verdict must also be reached at either half's choice over all seeds; else it is `inconclusive`.

    `choose_by`: the metric that chooses, by default `metric`; state it where `metric` is an oscillation, or the least
    lr wins. `reference`: an arm as named in `choices`. ValueError where arms differ in something no column shows.
    """
    table = read_runs(runs, choose_by or metric)
    smaller = smaller_is_better if choose_by is None else choose_smaller_is_better
    halves = split_halves(table.seeds)
    families = _families_over_lr(table)
    picks = {name: [table.at(half).best(rows, smaller) for half in halves] for name, rows in families.items()}
    if reference is not None and reference not in families:
        raise ValueError(f"no arm is called {reference!r}; the arms are: {', '.join(families)}")
    used: list[dict[int, Sequence[int]]] = [{1: halves[0], 0: halves[1]}, {0: table.seeds}, {1: table.seeds}]
    tables = [_at_own_lr(runs, table, picks, seeds_of_half) for seeds_of_half in used]
    if reference is not None and any(reference not in set(own["arm"]) for own in tables):
        # No run of the reference finished on one of the halves, so no lr can be chosen for it.
        reference, tables = None, [runs[:0]] * 3
    question = partial(compare, metric=metric, smaller_is_better=smaller_is_better, reference=reference, margin=margin)
    crossed, *either = map(question, tables)
    verdicts = tuple(_agreed(verdict, either) for verdict in crossed.verdicts)
    headline = headline_sentence(reference or ten_percent_subject(crossed.arms, verdicts), verdicts, metric)
    comparison = replace(crossed, verdicts=verdicts, headline=f"With every warmup at its own best lr: {headline}")
    choices = tuple(_choice(table, name, rows, picks[name]) for name, rows in families.items())
    return OwnBestLr(comparison, choices, (tuple(halves[0]), tuple(halves[1])))


def _families_over_lr(table: RunTable) -> dict[str, list[int]]:
    """Arms that differ only in lr, in rising lr, under the name of what they share."""
    families: dict[tuple[str, ...], list[int]] = {}
    for row in sorted(range(len(table.arms)), key=lambda row: table.arms[row].lr or 0.0):
        arm = table.arms[row]
        key = (f"{arm.schedule}-w{arm.warmup_steps}", f"of {arm.total_steps}", *arm.setting)
        twin = next((other for other in families.get(key, []) if table.arms[other].lr == arm.lr), None)
        if twin is not None:
            raise ValueError(f"no column tells {table.arms[twin].name} from {arm.name}: add one called 'setting'")
        families.setdefault(key, []).append(row)
    short = len({key[0] for key in families}) == len(families)
    return {key[0] if short else " ".join(key): rows for key, rows in families.items()}


def _at_own_lr(
    runs: pd.DataFrame, table: RunTable, picks: dict[str, list[int | None]], used: dict[int, Sequence[int]]
) -> pd.DataFrame:
    """The runs of each family at the lr it picked on half h, at the seeds `used[h]`; lr no longer names an arm."""
    names, seeds = runs["arm"].to_numpy(dtype=object), runs["seed"].to_numpy()
    labels = np.full(len(runs), None, dtype=object)
    for family, rows in picks.items():
        for half, at in used.items():
            row = rows[half]
            if row is not None:
                labels[(names == table.arms[row].name) & np.isin(seeds, at)] = family
    return runs.assign(arm=labels, lr=np.nan)[pd.notna(labels)]


def _agreed(verdict: Verdict, others: Sequence[Comparison]) -> Verdict:
    """The verdict if all `others` reach it too, else an inconclusive one."""
    found = [{other.arm: other.value for other in comparison.verdicts}.get(verdict.arm) for comparison in others]
    if verdict.value not in PHRASES or verdict.value == "inconclusive" or found == [verdict.value] * len(others):
        return verdict
    reason = f"it depends on which half of the seeds chooses the lr ({verdict.value}, {' and '.join(map(str, found))})"
    sentence = f"{verdict.arm} {PHRASES['inconclusive'][0]} {verdict.reference}: {reason}."
    return replace(verdict, value="inconclusive", reason=reason, sentence=sentence)


def _choice(table: RunTable, name: str, rows: Sequence[int], picks: Sequence[int | None]) -> LearningRateChoice:
    tried = tuple(table.arms[row].lr for row in rows)
    first, second = (None if row is None else table.arms[row].lr for row in picks)
    at_edge = len(tried) > 1 and any(row in (rows[0], rows[-1]) for row in picks)
    return LearningRateChoice(name, tried, (first, second), at_edge)
