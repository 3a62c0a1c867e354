"""Each arm against its reference, in three steps: test, adjust within families, read the verdict.

Failures decide first: an arm that fails or diverges more often, by test, gets that verdict, whatever the loss of its
other runs. Then paired t-tests say better or worse, and TOST says equivalent. Everything else is `inconclusive`, which
does not mean equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from warmup_lab.comparison.arms import ArmSummary, reference_of
from warmup_lab.comparison.run_table import RunTable, read_runs
from warmup_lab.comparison.sentences import (
    headline_sentence,
    reason_undecided,
    ten_percent_subject,
    untested_sentence,
    verdict_sentence,
)
from warmup_lab.comparison.statistics import ALPHA, PairedTest, equal_rates_p, holm, paired_test
from warmup_lab.comparison.verdicts import Comparison, Question, Verdict


def compare(runs: pd.DataFrame, question: Question) -> Comparison:
    """Every arm of `runs`, a table with one row per run (see `read_runs`), against its reference.

    ValueError names a column or an arm that does not fit.
    """
    table = read_runs(runs, question.metric)
    arms = tuple(table.summary(row) for row in range(len(table.arms)))
    references = [reference_of(arms, row, question.reference) for row in range(len(arms))]
    pairs = [
        _test(table, (row, other), arms, question.margin)
        for row, other in enumerate(references)
        if isinstance(other, int) and other != row
    ]
    judged = {pair.arm.name: _judge(pair, p, question) for pair, p in zip(pairs, _adjust(pairs), strict=True)}
    verdicts = tuple(judged.get(arm.name) or _untested(arm, other) for arm, other in zip(arms, references, strict=True))
    headline = headline_sentence(question.reference or ten_percent_subject(arms, verdicts), verdicts, question.metric)
    return Comparison(question.metric, question.smaller_is_better, question.margin, headline, arms, verdicts)


# ------------------------------------------------------------------------------------------- 1. the tests


@dataclass(frozen=True)
class _Pair:
    """An arm and its reference with their tests, before adjustment."""

    arm: ArmSummary
    reference: ArmSummary
    test: PairedTest
    p_failed: float | None
    """p of equal failure rates."""
    p_diverged: float | None
    """p of equal divergence rates; None where every failure is a divergence, so that the question is the same."""


def _test(table: RunTable, rows: tuple[int, int], arms: Sequence[ArmSummary], margin: float | None) -> _Pair:
    arm, reference = (arms[row] for row in rows)
    same_question = (arm.failed, reference.failed) == (arm.diverged, reference.diverged)
    return _Pair(
        arm,
        reference,
        paired_test(*table.pairs(*rows), margin=margin),
        equal_rates_p(arm.failed, reference.failed),
        None if same_question else equal_rates_p(arm.diverged, reference.diverged),
    )


# ---------------------------------------------------------------------------------------- 2. the families


@dataclass(frozen=True)
class _Adjusted:
    """p-values of one pair, adjusted within their families."""

    different: float | None
    equivalent: float | None
    failed: float | None
    diverged: float | None


def _adjust(pairs: Sequence[_Pair]) -> list[_Adjusted]:
    """Holm within each of three families, all over all pairs: difference, equivalence, rates.

    Failures and divergences are two sides of one question, so they share a family.
    """
    different = holm([pair.test.p_value for pair in pairs])
    equivalent = holm([pair.test.p_equivalent for pair in pairs])
    rates = holm([p for pair in pairs for p in (pair.p_failed, pair.p_diverged)])
    return [_Adjusted(*p) for p in zip(different, equivalent, rates[::2], rates[1::2], strict=True)]


# ---------------------------------------------------------------------------------------- 3. the verdicts


def _judge(pair: _Pair, p: _Adjusted, question: Question) -> Verdict:
    value = _value(pair, p, question.smaller_is_better)
    verdict = Verdict(
        pair.arm.name,
        pair.reference.name,
        value,
        reason=reason_undecided(pair.test, question.margin) if value == "inconclusive" else None,
        test=pair.test,
        p_holm=p.different,
        p_equivalent_holm=p.equivalent,
        p_failed_holm=p.failed,
        p_diverged_holm=p.diverged,
    )
    return replace(verdict, sentence=verdict_sentence(verdict, pair.arm, pair.reference, question.metric))


def _value(pair: _Pair, p: _Adjusted, smaller_is_better: bool) -> str:
    """The value of the verdict, a key of `PHRASES`."""
    arm, reference = pair.arm, pair.reference
    if _rejects(p.failed):
        return "fails_more" if arm.failed.share > reference.failed.share else "fails_less"
    if _rejects(p.diverged):
        return "diverges_more" if arm.diverged.share > reference.diverged.share else "diverges_less"
    if _rejects(p.equivalent):
        return "different_within_margin" if _rejects(p.different) else "equivalent"
    if _rejects(p.different):
        return "better" if ((pair.test.difference or 0.0) < 0) == smaller_is_better else "worse"
    return "inconclusive"


def _rejects(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _untested(arm: ArmSummary, reference: int | str) -> Verdict:
    """The verdict on an arm without a reference, of which `reference` gives the reason, or on a reference itself."""
    if isinstance(reference, str):
        return Verdict(arm.name, None, "no_reference", untested_sentence(arm.name, reference), reference)
    return Verdict(arm.name, arm.name, "reference", untested_sentence(arm.name, None))
