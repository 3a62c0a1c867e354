"""The wording of verdicts, headlines and choices."""

from __future__ import annotations

from collections.abc import Sequence

from warmup_lab.comparison.arms import Arm, ArmSummary
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS
from warmup_lab.comparison.verdicts import AS_GOOD, FAVOURABLE, PHRASES, UNDECIDED, UNFAVOURABLE, Question, Verdict

TOO_FEW_PAIRS = f"a test needs {MIN_PAIRS}"


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'s' * (number != 1)}"


# ---------------------------------------------------------------------------------------------- one arm


def verdict_sentence(verdict: Verdict, arm: ArmSummary, reference: ArmSummary, metric: str) -> str:
    """The verdict on a tested arm, its reason if it is inconclusive, and the numbers behind it."""
    parts = [
        *([verdict.reason] if verdict.reason else []),
        *_difference(verdict, metric),
        *_rates(verdict, arm, reference),
        *_learned(verdict, metric),
    ]
    missing = arm.num_without_metric, reference.num_without_metric
    if any(missing):
        parts.append(f"{metric} is missing in {missing[0]} of its runs that learned and in {missing[1]} of the other's")
    return f"{arm.name} {PHRASES[verdict.value][0]} {reference.name}: {'; '.join(parts)}."


def _difference(verdict: Verdict, metric: str) -> list[str]:
    """The mean difference with its 95 % interval and the p-value of the verdict; empty without pairs."""
    test = verdict.test
    if test is None or test.difference is None:
        return []
    interval, p, of = test.interval_95, verdict.p_holm, ""
    if verdict.value in AS_GOOD:
        p, of = verdict.p_equivalent_holm, " of equivalence"
    text = f"{metric} {test.difference:+.3g}"
    if test.rank_difference is not None:  # the mean is over fewer seeds than the test
        text += f" where both learned; ranks of {count(test.num_pairs, 'pair')}"
        return [text if p is None else f"{text}, adjusted p {p:.2g}"]
    if interval is not None:
        text += f" (95 % interval {interval[0]:+.3g} to {interval[1]:+.3g}, {count(test.num_pairs, 'pair')}"
        text += ")" if p is None else f", adjusted p{of} {p:.2g})"
    return [text]


def _rates(verdict: Verdict, arm: ArmSummary, reference: ArmSummary) -> list[str]:
    """How often the two arms failed, and diverged, if any run did."""
    parts = []
    for word, rate, other in (
        ("failed to learn", arm.failed, reference.failed),
        ("diverged", arm.diverged, reference.diverged),
    ):
        if rate.count + other.count:
            parts.append(f"{word} in {rate.count} of {rate.total} runs against {other.count} of {other.total}")
    if parts and verdict.p_failed_holm is not None:
        parts[0] += f" (adjusted p {verdict.p_failed_holm:.2g})"
    return parts


def _learned(verdict: Verdict, metric: str) -> list[str]:
    """The difference over the seeds at which both learned, if those are not all seeds. It does not decide."""
    learned, test = verdict.learned, verdict.test
    if learned is None or test is None or learned.difference is None or learned.num_pairs == test.num_pairs:
        return []
    interval = "" if learned.interval_95 is None else f" [{learned.interval_95[0]:+.3g}, {learned.interval_95[1]:+.3g}]"
    where = f"where both learned ({count(learned.num_pairs, 'seed')}, selected on the outcome)"
    return [f"{where} {metric} {learned.difference:+.3g}{interval}"]


def reason_undecided(verdict: Verdict, arm: ArmSummary, reference: ArmSummary, question: Question) -> str:
    """Why a verdict is inconclusive."""
    test, margin = verdict.test, question.margin
    if test is None or test.num_pairs < MIN_PAIRS:
        return f"both ended at {count(test.num_pairs if test else 0, 'seed')}, and {TOO_FEW_PAIRS}"
    if margin is None:
        return "no difference was found, and equivalence cannot be tested without a margin"
    if test.rank_difference is not None:
        return "no difference was found, and a metric that is compared by ranks cannot be tested for equivalence"
    if verdict.p_equivalent_holm is not None and verdict.p_equivalent_holm < ALPHA:
        failed = (
            f"{arm.failed.count} of {arm.failed.total} against {reference.failed.count} of {reference.failed.total}"
        )
        return f"the metric is equivalent within {margin:g}, but failures are undecided ({failed})"
    return f"neither a difference nor equivalence within {margin:g} was found"


def before_first_look(num_seeds: int) -> str:
    """Why nothing is judged yet, where looks are planned."""
    return f"the first test is planned at {num_seeds} seeds"


def undecided_sentence(verdict: Verdict, reason: str) -> str:
    """The sentence of a verdict that is inconclusive for a reason other than its numbers."""
    return f"{verdict.arm} {PHRASES['inconclusive'][0]} {verdict.reference}: {reason}."


def untested_sentence(arm: str, why_no_reference: str | None) -> str:
    """The sentence on an arm without a reference, or on one that is itself the reference (None)."""
    if why_no_reference is not None:
        return f"{arm} has no reference: {why_no_reference}."
    return f"{arm} is the reference."


# -------------------------------------------------------------------------------------------- all arms


def ten_percent_subject(arms: Sequence[ArmSummary], verdicts: Sequence[Verdict]) -> str:
    """'10 % warmup', or the lengths that took its place."""
    used = {verdict.reference for verdict in verdicts}
    references = [arm for arm in arms if arm.name in used]
    exact = all(arm.warmup_steps == -(-arm.total_steps // 10) for arm in references)
    shares = {"10" if exact else f"{arm.warmup_percent:.3g}" for arm in references} or {"10"}
    return f"{' or '.join(sorted(shares))} % warmup"


def headline_sentence(subject: str, verdicts: Sequence[Verdict], metric: str) -> str:
    """One sentence on the reference, `subject`, and the number of arms with each verdict where they differ."""
    values = [verdict.value for verdict in verdicts if verdict.value in PHRASES]
    if not values:
        reasons = sorted({verdict.reason for verdict in verdicts if verdict.reason}) or ["nothing else was tried"]
        return f"Nothing can be concluded about {subject}: {'; '.join(reasons)}."
    counts = [f"{values.count(value)} {PHRASES[value][1]}" for value in PHRASES if value in values]
    alone = sum(verdict.value == "no_reference" for verdict in verdicts)
    counts += [f"{alone} more without a reference"] if alone else []
    numbers = f" ({', '.join(counts)})" if len(counts) > 1 else ""
    return f"{_claim(subject, verdicts, values, metric)}{numbers}."


def _claim(subject: str, verdicts: Sequence[Verdict], values: Sequence[str], metric: str) -> str:
    preferable = [verdict.arm for verdict in verdicts if verdict.value in FAVOURABLE]
    by_failures = {value for value in values if value in ("fails_less", "fails_more")}
    whole = f"{subject[:1].upper()}{subject[1:]}"
    others = "the other one" if len(values) == 1 else f"the {len(values)} others"
    if preferable:
        names = f"{', '.join(preferable[:3])}{' ...' * (len(preferable) > 3)}"
        one = len(preferable) == 1
        better = f"{'is' if one else 'are'} better in {metric}"
        if "fails_less" in by_failures:
            fewer = f"{'fails' if one else 'fail'} to learn less often"
            better = f"{better} or {fewer}" if "better" in values else fewer
        return f"{whole} is not the best choice: {names} {better}"
    if all(value in UNFAVOURABLE for value in values):
        if "fails_more" not in by_failures:
            return f"{whole} is better than {others} in {metric}"
        also = f" or is better in {metric}" if "worse" in values else ""
        return f"{whole} fails to learn less often than {others}{also}"
    if all(value in AS_GOOD for value in values):
        return f"{whole} is as good as {others} in {metric}, within the margin"
    if all(value == "both_fail" for value in values):
        return f"Most runs failed with every combination tried, so nothing is known about {metric}"
    if all(value in UNDECIDED for value in values):
        any_ = "the other one" if len(values) == 1 else f"any of {others}"
        return f"No difference in {metric} is shown between {subject} and {any_}"
    return f"Nothing else is shown to be better than {subject} in {metric}"


# --------------------------------------------------------------------------------- the smallest good warmup


def smallest_sentence(arm: Arm, rival: str, metric: str, margin: float | None, evidence: str) -> str:
    """The smallest warmup that is as good as the best; `rival` is what it was tested against."""
    return (
        f"{arm.warmup_steps} updates ({100 * arm.warmup_steps / arm.total_steps:.3g} %) is the smallest warmup shown "
        f"to be as good as the best: on {metric}, {arm.name} is not worse than {rival} by {margin:g} or more "
        f"({evidence})."
    )


def smallest_unknown_sentence(metric: str, reason: str) -> str:
    """The sentence where no smallest warmup can be named."""
    return f"The smallest warmup that is as good as the best on {metric} is not known: {reason}."
