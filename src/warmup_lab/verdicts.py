"""What may be concluded from a table of runs: each arm against its reference, and the smallest good warmup.

Failure comes first: where an arm fails or diverges more often, by test, that is the verdict, whatever the loss
of its survivors. Then Holm-adjusted paired t-tests say better or worse, and Holm-adjusted TOST says equivalent.
All else is `inconclusive`, which is not the same as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from warmup_lab.statistics import (
    ALPHA,
    MIN_PAIRS,
    Arm,
    ArmSummary,
    PairedTest,
    Record,
    RunTable,
    as_good_p,
    check_margin,
    equal_rates_p,
    holm,
    paired_test,
    read_runs,
    split_halves,
)

# What each verdict says of an arm and its reference, and of a number of arms.
PHRASES = {
    "better": ("is better than", "better"),
    "worse": ("is worse than", "worse"),
    "equivalent": ("is equivalent to", "equivalent within the margin"),
    "different_within_margin": ("differs, within the margin, from", "different, but within the margin"),
    "fails_more": ("fails to learn more often than", "failing to learn more often"),
    "fails_less": ("fails to learn less often than", "failing to learn less often"),
    "diverges_more": ("diverges more often than", "diverging more often"),
    "diverges_less": ("diverges less often than", "diverging less often"),
    "inconclusive": ("cannot be told from", "undecided"),
}
FAVOURABLE = ("better", "fails_less", "diverges_less")
UNFAVOURABLE = ("worse", "fails_more", "diverges_more")
AS_GOOD = ("equivalent", "different_within_margin")
TOO_FEW_PAIRS = f"fewer than {MIN_PAIRS} are not tested"


@dataclass(frozen=True)
class Verdict(Record):
    """One arm against its reference.

    `value`: a key of `PHRASES`, or `reference` (it is the reference itself), or `no_reference`. `reason` says
    why nothing could be concluded. `test`: the arm minus its reference. `p_..._holm` are adjusted over all arms
    of the comparison; failures and divergences, two sides of one question, are one family.
    """

    arm: str
    reference: str | None
    value: str
    sentence: str
    reason: str | None = None
    test: PairedTest | None = None
    p_holm: float | None = None
    p_equivalent_holm: float | None = None
    p_failed_holm: float | None = None
    p_diverged_holm: float | None = None


@dataclass(frozen=True)
class Comparison(Record):
    """All arms and their verdicts, in the order of the table; `headline` says it in one sentence."""

    metric: str
    smaller_is_better: bool
    margin: float | None
    headline: str
    arms: tuple[ArmSummary, ...]
    verdicts: tuple[Verdict, ...]

    def verdict(self, name: str) -> Verdict:
        """The verdict on the arm called or aliased `name`. KeyError where there is none."""
        rows = {known: row for row, arm in enumerate(self.arms) for known in (arm.name, *arm.aliases)}
        return self.verdicts[rows[name]]


def compare(
    runs: pd.DataFrame,
    *,
    metric: str,
    smaller_is_better: bool = True,
    reference: str | None = None,
    margin: float | None = None,
) -> Comparison:
    """Every arm of `runs` (a row a run; see `statistics.read_runs`) against its reference on the primary metric.

    `reference` names the arm to compare with; by default it is, for each arm, the one that differs only in
    warmup and has 10 % of the updates. `margin`: the largest difference that does not matter, in the metric's
    unit; without it nothing can be called equivalent. ValueError names a column or arm that does not fit.
    """
    check_margin(margin)
    table = read_runs(runs, metric)
    arms = tuple(table.summary(row) for row in range(len(table.arms)))
    references = [_reference_of(table, row, reference) for row in range(len(arms))]
    trials = [
        _Trial(arms[row], arms[other], paired_test(*table.pairs(row, other), margin=margin))
        for row, other in enumerate(references)
        if isinstance(other, int) and other != row
    ]
    judged = {verdict.arm: verdict for verdict in _judge(trials, metric, smaller_is_better, margin)}
    verdicts = tuple(judged.get(arm.name) or _untested(arm, other) for arm, other in zip(arms, references, strict=True))
    headline = _headline(reference or _ten_percent(arms, verdicts), verdicts, metric)
    return Comparison(metric, smaller_is_better, margin, headline, arms, verdicts)


def _reference_of(table: RunTable, row: int, name: str | None) -> int | str:
    """Row of the arm to compare with, or why there is none.

    10 % is `ceil(total_steps / 10)`. A grid without it lends its nearest length, if that is not 0, rounds to
    10 % or lies between 7.5 and 12.5 %: a verdict against 5 % would not be one against 10 %.
    """
    if name is not None:
        return table.index(name)
    total = table.arms[row].total_steps
    tenth, tolerance = -(-total // 10), max(1.0, total / 40)
    family = [arm for arm in table.arms if arm.same_but_warmup == table.arms[row].same_but_warmup]
    near = [arm for arm in family if arm.warmup_steps and abs(arm.warmup_steps - total / 10) < tolerance]
    if not near:
        tried = ", ".join(str(steps) for steps in sorted({arm.warmup_steps for arm in family}))
        return f"no arm that differs only in warmup has about 10 % ({tenth} updates); the warmups are {tried}"
    nearest = min((abs(arm.warmup_steps - tenth), arm.warmup_steps) for arm in near)[1]
    chosen = [arm.name for arm in near if arm.warmup_steps == nearest]
    if len(chosen) > 1:
        return f"{len(chosen)} arms could be the 10 % reference ({', '.join(chosen)}): state one"
    return table.index(chosen[0])


@dataclass(frozen=True)
class _Trial:
    """An arm, its reference, and the paired test of the two, before adjustment."""

    arm: ArmSummary
    reference: ArmSummary
    test: PairedTest


def _judge(trials: Sequence[_Trial], metric: str, smaller_is_better: bool, margin: float | None) -> list[Verdict]:
    """Adjust every test over all `trials`, then read the verdict of each."""
    p_different = holm([trial.test.p_value for trial in trials])
    p_equivalent = holm([trial.test.p_equivalent for trial in trials])
    p_rates = holm([p for trial in trials for p in _failure_tests(trial.arm, trial.reference)])
    verdicts = []
    for trial, *adjusted in zip(trials, p_different, p_equivalent, p_rates[::2], p_rates[1::2], strict=True):
        value = _value(trial, adjusted, smaller_is_better)
        reason = _why_undecided(trial.test, margin) if value == "inconclusive" else None
        sentence = f"{trial.arm.name} {PHRASES[value][0]} {trial.reference.name}: "
        sentence += f"{'; '.join(([reason] if reason else []) + _numbers(trial, value, adjusted, metric))}."
        test, names = trial.test, (trial.arm.name, trial.reference.name)
        verdicts.append(Verdict(*names, value, sentence, reason, test, *adjusted))
    return verdicts


def _failure_tests(arm: ArmSummary, reference: ArmSummary) -> tuple[float | None, float | None]:
    """p of equal failure rates and of equal divergence rates; null for the second where it is the first again."""
    p_failed = equal_rates_p(arm.failed, reference.failed)
    same_question = (arm.failed, reference.failed) == (arm.diverged, reference.diverged)
    return p_failed, None if same_question else equal_rates_p(arm.diverged, reference.diverged)


def _value(trial: _Trial, adjusted: Sequence[float | None], smaller_is_better: bool) -> str:
    """Machine value of the verdict; `adjusted`: p of difference, equivalence, failures, divergences."""
    different, equivalent, fails, diverges = (p is not None and p < ALPHA for p in adjusted)
    if fails:
        return "fails_more" if trial.arm.failed.share > trial.reference.failed.share else "fails_less"
    if diverges:
        more = trial.arm.diverged.share > trial.reference.diverged.share
        return "diverges_more" if more else "diverges_less"
    if equivalent:
        return "different_within_margin" if different else "equivalent"
    if different:
        return "better" if ((trial.test.difference or 0.0) < 0) == smaller_is_better else "worse"
    return "inconclusive"


def _why_undecided(test: PairedTest, margin: float | None) -> str:
    if test.num_pairs < MIN_PAIRS:
        return f"both learned at {test.num_pairs} seeds, and {TOO_FEW_PAIRS}"
    if margin is None:
        return "no difference was found, and without a margin equivalence cannot be tested"
    return f"neither a difference nor equivalence within {margin:g} was found"


def _numbers(trial: _Trial, value: str, adjusted: Sequence[float | None], metric: str) -> list[str]:
    """The figures a verdict rests on, in words."""
    parts, test = [], trial.test
    level, interval, p = 95, test.interval_95, adjusted[0]
    if value in AS_GOOD:
        level, interval, p = 90, test.interval_90, adjusted[1]
    if test.difference is not None:
        parts.append(f"{metric} {test.difference:+.3g}")
        if interval is not None:
            parts[0] += f" ({level} % interval {interval[0]:+.3g} to {interval[1]:+.3g}, {test.num_pairs} pairs"
            parts[0] += ")" if p is None else f", Holm-adjusted p {p:.2g})"
    for word, p_rate, arm, other in (
        ("failed to learn", adjusted[2], trial.arm.failed, trial.reference.failed),
        ("diverged", adjusted[3], trial.arm.diverged, trial.reference.diverged),
    ):
        if arm.count + other.count and p_rate is not None:
            counts = f"{word} in {arm.count} of {arm.total} runs against {other.count} of {other.total}"
            parts.append(f"{counts} (Holm-adjusted p {p_rate:.2g})")
    missing = trial.arm.num_without_metric, trial.reference.num_without_metric
    if any(missing):
        parts.append(f"{missing[0]} of its runs that learned and {missing[1]} of the other's have no {metric}")
    return parts


def _untested(arm: ArmSummary, reference: int | str) -> Verdict:
    if isinstance(reference, str):
        return Verdict(arm.name, None, "no_reference", f"{arm.name} has no reference: {reference}.", reference)
    return Verdict(arm.name, arm.name, "reference", f"{arm.name} is what others are compared with.")


def _ten_percent(arms: Sequence[ArmSummary], verdicts: Sequence[Verdict]) -> str:
    """'10 % warmup', or the lengths that stood in for it."""
    used = {verdict.reference for verdict in verdicts}
    references = [arm for arm in arms if arm.name in used]
    exact = all(arm.warmup_steps == -(-arm.total_steps // 10) for arm in references)
    shares = {"10" if exact else f"{arm.warmup_percent:.3g}" for arm in references} or {"10"}
    return f"{' or '.join(sorted(shares))} % warmup"


def _headline(subject: str, verdicts: Sequence[Verdict], metric: str) -> str:
    """One sentence on the reference, for who reads no other."""
    compared = [verdict for verdict in verdicts if verdict.value in PHRASES]
    values = [verdict.value for verdict in compared]
    preferable = [verdict.arm for verdict in compared if verdict.value in FAVOURABLE]
    if not values:
        reasons = sorted({verdict.reason for verdict in verdicts if verdict.reason}) or ["there is no other arm"]
        return f"Nothing can be said of {subject}: {'; '.join(reasons)}."
    if preferable:
        claim = f"is not the best choice here ({', '.join(preferable[:3])}{' ...' * (len(preferable) > 3)})"
    elif all(value in UNFAVOURABLE for value in values):
        claim = "is better than everything else tried"
    elif all(value in AS_GOOD for value in values):
        claim = "does as well as everything else tried"
    elif all(value == "inconclusive" for value in values):
        claim = "is neither confirmed nor refuted"
    else:
        claim = "is beaten by nothing tried" + (", as far as is decided" if "inconclusive" in values else "")
    counts = [f"{values.count(value)} {PHRASES[value][1]}" for value in PHRASES if value in values]
    alone = sum(verdict.value == "no_reference" for verdict in verdicts)
    counts += [f"and {alone} more have no reference"] if alone else []
    return f"{subject} {claim}: of {len(values)} other arms, on {metric}, {', '.join(counts)}."


@dataclass(frozen=True)
class SmallestWarmup(Record):
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
    """For each set of arms that differ only in warmup: the smallest that is non-inferior to the best, by test.

    `split`: the best (fewest failures, then best mean) is chosen on half of the seeds; on the other half smaller
    warmups are tested against it, and it against all others. That needs 12 seeds. `every_arm`: nothing is chosen;
    a warmup passes if it is non-inferior to every other one, hence to the best, whichever that is (an intersection-
    union test), on all seeds. That needs 6. Both: Holm over the warmups tested; an arm that reliably fails more
    often does not pass, whatever its loss.
    """
    check_margin(margin)
    table = read_runs(runs, metric)
    families: dict[tuple[object, ...], list[int]] = {}
    for row in sorted(range(len(table.arms)), key=lambda row: table.arms[row].warmup_steps):
        families.setdefault(table.arms[row].same_but_warmup, []).append(row)
    blank = SmallestWarmup((), metric, margin, method, sentence="")
    return tuple(_smallest(table, rows, blank, smaller_is_better) for rows in families.values())


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
class LearningRateChoice(Record):
    """The lr that an arm does best with on either half of the seeds; each is used on the other half.

    `at_edge`: one of them is the smallest or largest of several tried, so the arm's best may lie outside.
    """

    arm: str
    tried: tuple[float | None, ...]
    chosen: tuple[float | None, float | None]
    at_edge: bool


@dataclass(frozen=True)
class OwnBestLr(Record):
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
    headline = _headline(reference or _ten_percent(crossed.arms, verdicts), verdicts, metric)
    comparison = replace(crossed, verdicts=verdicts, headline=f"With every warmup at its own best lr: {headline}")
    choices = tuple(_choice(table, name, rows, picks[name]) for name, rows in families.items())
    return OwnBestLr(comparison, choices, (tuple(halves[0]), tuple(halves[1])))


def _families_over_lr(table: RunTable) -> dict[str, list[int]]:
    """Arms that differ only in lr, in rising lr, under the name of what they share."""
    families: dict[tuple[str, ...], list[int]] = {}
    for row in sorted(range(len(table.arms)), key=lambda row: table.arms[row].lr or 0.0):
        arm = table.arms[row]
        key = (f"{arm.scheduler}-w{arm.warmup_steps}", f"of {arm.total_steps}", *arm.setting)
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
