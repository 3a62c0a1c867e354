"""What may be concluded from a table of runs: each arm against its reference.

Failure comes first: where an arm fails or diverges more often, by test, that is the verdict, whatever the loss
of its survivors. Then Holm-adjusted paired t-tests say better or worse, and Holm-adjusted TOST says equivalent.
All else is `inconclusive`, which is not the same as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from warmup_lab.comparison.arms import ArmSummary, _reference_of, read_runs
from warmup_lab.comparison.statistics import (
    ALPHA,
    MIN_PAIRS,
    PairedTest,
    check_margin,
    equal_rates_p,
    holm,
    paired_test,
)
from warmup_lab.system import JsonRecord

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
class Verdict(JsonRecord):
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
class Comparison(JsonRecord):
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
    """Every arm of `runs` (a row a run; see `arms.read_runs`) against its reference on the primary metric.

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
    headline = headline_sentence(reference or ten_percent_subject(arms, verdicts), verdicts, metric)
    return Comparison(metric, smaller_is_better, margin, headline, arms, verdicts)


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


def ten_percent_subject(arms: Sequence[ArmSummary], verdicts: Sequence[Verdict]) -> str:
    """'10 % warmup', or the lengths that stood in for it."""
    used = {verdict.reference for verdict in verdicts}
    references = [arm for arm in arms if arm.name in used]
    exact = all(arm.warmup_steps == -(-arm.total_steps // 10) for arm in references)
    shares = {"10" if exact else f"{arm.warmup_percent:.3g}" for arm in references} or {"10"}
    return f"{' or '.join(sorted(shares))} % warmup"


def headline_sentence(subject: str, verdicts: Sequence[Verdict], metric: str) -> str:
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
