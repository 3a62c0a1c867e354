"""The headline of a report: what to do, with its number and interval, or what would decide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from warmup_lab.comparison.numbers import (
    failure_counts,
    interval_text,
    p_text,
    percent_text,
    use_text,
    with_text,
)
from warmup_lab.comparison.sentences import before_first_look, count, ten_percent_subject
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, equal_rates_p, num_seeds_to_show
from warmup_lab.comparison.verdicts import (
    AS_GOOD,
    FAVOURABLE,
    PHRASES,
    UNFAVOURABLE,
    Comparison,
    Level,
    LrLine,
    Verdict,
    WarmupTrend,
    line_of,
)

CLOSE_LR50 = 0.9
"""A length of the warmup whose lr50 is at least this fraction of the largest is as good as the longest."""


def headline(found: Comparison) -> str:
    """One or two sentences: the answer first, then the numbers behind it.

    Trends decide before pairs, and failures before the metric. Where nothing is decided, the headline says so and names
    the number of seeds that would decide it.
    """
    trend = _decided(found.trend("failures"))
    if trend is not None:
        return _failures_headline(found, trend)
    trend = _decided(found.trend("lr50"))
    if trend is not None:
        return _lr50_headline(found, trend)
    setting = _setting_headline(found.lr_lines)
    if setting:
        return setting
    trend = _decided(found.trend("metric"))
    if trend is not None:
        return _metric_headline(found, trend)
    return _pairs_headline(found)


def _decided(trend: WarmupTrend | None) -> WarmupTrend | None:
    return trend if trend is not None and trend.p_adjusted < ALPHA else None


# ------------------------------------------------------------------------------------------------ trends


def _failures_headline(found: Comparison, trend: WarmupTrend) -> str:
    near = fewest_failures(found.levels, found.failure_margin)
    use, metric = near[0], ""
    if _decided(found.trend("metric")) is not None and all(level.mean is not None for level in near):
        use = best_mean(near, found)
        metric = f" {found.metric} is {_means(_shown(found.levels, use))}."
    advice = use_text(use)
    if use.failed.share > 0.5:
        advice = "Lower the learning rate: most runs fail with any warmup tried"
    return f"{advice}. {failure_counts(_shown(found.levels, use))} (trend p = {p_text(trend.p_adjusted)}).{metric}"


def fewest_failures(levels: Sequence[Level], margin: float) -> list[Level]:
    """The lengths whose failure rate is near the lowest: within `margin`, and not different by Boschloo's test.

    A test alone would recommend 3 failures of 6 next to 0 of 6 (p = 0.09).
    """
    best = min(levels, key=lambda level: (level.failed.share, level.warmup_percent))
    tests = [(level, equal_rates_p(level.failed, best.failed)) for level in levels]
    return [
        level
        for level, p in tests
        if level is best or (level.failed.share <= best.failed.share + margin and (p is None or p >= ALPHA))
    ]


def _lr50_headline(found: Comparison, trend: WarmupTrend) -> str:
    known = [level for level in found.levels if level.lr50 is not None]
    top = max(known, key=lambda level: level.lr50 or 0.0)
    use = next(level for level in known if (level.lr50 or 0.0) >= CLOSE_LR50 * (top.lr50 or 0.0))
    shown = _shown(known, use)
    parts = ", ".join(f"{with_text(level)} at {level.lr50:.2g}" for level in shown)
    effect = "raises" if trend.z > 0 else "lowers"
    return (
        f"{use_text(use)}: a longer warmup {effect} the usable learning rate. Half of the runs fail {parts} "
        f"(lr50, trend p = {p_text(trend.p_adjusted)}).{_largest_ratio(found.lr_lines)}"
    )


def _largest_ratio(lines: Sequence[LrLine]) -> str:
    """The ratio of lr50 that lies furthest from 1, among warmups."""
    tested = [line for line in lines if line.ratio is not None and line.differs_in == "warmup"]
    if not tested:
        return ""
    line = max(tested, key=_distance)
    return f" {line.name} against {line.reference}: {_ratio_text(line)}."


def _distance(line: LrLine) -> float:
    """The ratio of lr50 or its inverse, whichever is larger."""
    assert line.ratio is not None
    return max(line.ratio.ratio, 1 / line.ratio.ratio)


def _setting_headline(lines: Sequence[LrLine]) -> str:
    """The largest difference in lr50 between two values of another setting; '' if none is shown."""
    settings = [line for line in lines if line.differs_in == "setting"]
    shown = [line for line in settings if _is_shown(line, len(settings))]
    if not shown:
        return ""
    line = max(shown, key=_distance)
    assert line.ratio is not None
    assert line.reference is not None
    larger, smaller = line, line_of(lines, line.reference)
    if line.ratio.ratio < 1:
        larger, smaller = replace(smaller, ratio=line.ratio.inverse, p_adjusted=line.p_adjusted), larger
    text = (
        f"The usable learning rate of {larger.name} is {_factor(larger)} that of {smaller.name}: half of the runs fail "
        f"at lr {larger.usable.lr50:.2g} against {smaller.usable.lr50:.2g} ({_ratio_text(larger)})."
    )
    if line.p_adjusted is None:
        text += f" An estimate: {count(line.ratio.num_seeds, 'seed')}, and a test needs {MIN_PAIRS}."
    return text


def _is_shown(line: LrLine, num_tried: int) -> bool:
    """By test or, with too few seeds for one, by an interval that excludes 1, at 95 % for all that were tried."""
    if line.ratio is None or line.ratio.interval is None:
        return False
    if line.ratio.num_seeds >= MIN_PAIRS:
        return line.p_adjusted is not None and line.p_adjusted < ALPHA
    if line.ratio.num_seeds < 3:
        return False
    low, high = np.log(line.ratio.interval)
    single, joint = stats.t.isf([ALPHA / 2, ALPHA / 2 / num_tried], line.ratio.num_seeds - 1)
    return bool(abs(high + low) > (high - low) * joint / single)


def _factor(line: LrLine) -> str:
    assert line.ratio is not None
    return f"{line.ratio.bound or ''} {line.ratio.ratio:.2g} times".strip()


def _ratio_text(line: LrLine) -> str:
    assert line.ratio is not None
    bound = f"{line.ratio.bound} " if line.ratio.bound else ""
    p = "" if line.p_adjusted is None else f", p = {p_text(line.p_adjusted)}"
    return f"ratio of lr50 {bound}{line.ratio.ratio:.2f}{interval_text(line.ratio.interval, '.2f')}{p}"


def _metric_headline(found: Comparison, trend: WarmupTrend) -> str:
    better = (trend.z < 0) == found.smaller_is_better
    known = [level for level in found.levels if level.mean is not None]
    if not known:
        use = (found.levels[-1] if better else found.levels[0]).warmup_percent
        return (
            f"A longer warmup {'improves' if better else 'worsens'} {found.metric}: of the lengths tried, "
            f"{percent_text(use)} is best (trend p = {p_text(trend.p_adjusted)})."
        )
    use_level = best_mean(known, found)
    means = _means(_shown(known, use_level))
    return f"{use_text(use_level)}. {found.metric} is {means} (trend p = {p_text(trend.p_adjusted)})."


def _means(levels: Sequence[Level]) -> str:
    return ", ".join(f"{level.mean:.3g} {with_text(level)}" for level in levels)


def best_mean(levels: Sequence[Level], found: Comparison) -> Level:
    """The shortest warmup whose mean is within the margin of the best; the best itself without a margin."""
    sign = 1 if found.smaller_is_better else -1
    best = min(sign * (level.mean or 0.0) for level in levels)
    return next(level for level in levels if sign * (level.mean or 0.0) <= best + (found.margin or 0.0))


def _shown(levels: Sequence[Level], use: Level) -> list[Level]:
    """All of up to three lengths; of more, the shortest, the recommended and the longest."""
    return list(levels) if len(levels) <= 3 else list(dict.fromkeys((levels[0], use, levels[-1])))


# ------------------------------------------------------------------------------------------------- pairs


def _pairs_headline(found: Comparison) -> str:
    tested = [verdict for verdict in found.verdicts if verdict.value in PHRASES]
    subject = _subject(found)
    if not tested:
        reasons = sorted({verdict.reason for verdict in found.verdicts if verdict.reason}) or ["there is no other arm"]
        return f"Nothing can be concluded about {subject}: {'; '.join(reasons)}."
    better = [verdict for verdict in tested if verdict.value in FAVOURABLE]
    worse = [verdict for verdict in tested if verdict.value in UNFAVOURABLE]
    if better:
        return f"{subject} is not the best choice: {_numbers(better[0], found)}.{_others(better)}"
    if worse and len(worse) == len(tested):
        return f"Use {subject}: every other arm is worse. {_numbers(worse[0], found)}."
    if all(verdict.value in AS_GOOD for verdict in tested):
        return f"{subject} is as good as every other arm: {_within(tested, found)}."
    if worse:
        text = f"Nothing tried is better than {subject}, as far as is known: {_numbers(worse[0], found)}."
        return text + _others(worse) + _seeds_needed(found, tested)
    return f"Undecided: {_undecided(found, tested)}.{_failures_so_far(found)}{_seeds_needed(found, tested)}"


def _failures_so_far(found: Comparison) -> str:
    """The failures of the shortest length, of about 10 % and of the longest; '' if none failed, or most with each."""
    shares = [level.failed.share for level in found.levels]
    if not any(shares) or min(shares) > 0.5:
        return ""
    tenth = min(found.levels, key=lambda level: abs(level.warmup_percent - 10))
    return f" {failure_counts(_shown(found.levels, tenth))}."


def _subject(found: Comparison) -> str:
    named = {verdict.reference for verdict in found.verdicts} - {None}
    references = [arm for arm in found.arms if arm.name in named]
    tenths = bool(references) and all(abs(arm.warmup_percent - 10) <= 2.5 for arm in references)
    if tenths or not references:
        return ten_percent_subject(found.arms, found.verdicts)
    return references[0].name if len(references) == 1 else "the reference"


def _numbers(verdict: Verdict, found: Comparison) -> str:
    """`X fails ... 5 of 12 against 0 of 12` or `X has eval_loss +0.117 [0.043, 0.191] ...`."""
    arm, reference = (found.arm(name) for name in (verdict.arm, verdict.reference))
    if verdict.value in ("fails_more", "fails_less"):
        return (
            f"{arm.name} failed to learn in {arm.failed.count} of {arm.failed.total} runs against "
            f"{reference.failed.count} of {reference.failed.total} of {reference.name} "
            f"(p = {p_text(verdict.p_failed_holm or 0.0)})"
        )
    test = verdict.test
    assert test is not None
    difference = (
        "" if test.difference is None else f" by {test.difference:+.3g}{interval_text(test.interval_95, '+.3g')}"
    )
    p = "" if verdict.p_holm is None else f" (p = {p_text(verdict.p_holm)})"
    return f"{arm.name} {PHRASES[verdict.value][0]} {reference.name}{difference} in {found.metric}{p}"


def _others(verdicts: Sequence[Verdict]) -> str:
    """The arms with the same verdict as the first."""
    others = [verdict.arm for verdict in verdicts[1:] if verdict.value == verdicts[0].value]
    if not others:
        return ""
    return f" The same holds for {', '.join(others[:3])}{' and others' * (len(others) > 3)}."


def _within(tested: Sequence[Verdict], found: Comparison) -> str:
    failed = [arm.failed for arm in found.arms]
    total = sum(rate.total for rate in failed)
    num_failed = sum(rate.count for rate in failed)
    if num_failed:
        return f"within {found.margin:g} of {found.metric}, and no arm fails more often by the failure margin"
    bound = max((verdict.excess_failures or 0.0 for verdict in tested), default=0.0)
    return (
        f"within {found.margin:g} of {found.metric}; 0 of {total} runs failed, so a failure rate higher by more than "
        f"{100 * bound:.0f} % is excluded for each arm"
    )


def _undecided(found: Comparison, tested: Sequence[Verdict]) -> str:
    if all(verdict.value == "both_fail" for verdict in tested):
        return "most runs of every arm failed to learn, so lower the learning rate"
    if found.looks and not found.look:
        return before_first_look(found.looks[0])
    if any(verdict.test is not None and verdict.test.num_pairs < MIN_PAIRS for verdict in tested):
        pairs = min(verdict.test.num_pairs for verdict in tested if verdict.test is not None)
        return f"{count(pairs, 'seed')}, and a test needs {MIN_PAIRS}"
    counted = [value for value in PHRASES if any(verdict.value == value for verdict in tested)]
    numbers = [f"{sum(verdict.value == value for verdict in tested)} {PHRASES[value][1]}" for value in counted]
    return f"of {count(len(tested), 'other arm')}, on {found.metric}, {', '.join(numbers)}"


def _seeds_needed(found: Comparison, tested: Sequence[Verdict]) -> str:
    """How many seeds would show a difference of the margin, from the observed spread; '' if nothing can be said."""
    spreads = [verdict.test.spread for verdict in tested if verdict.value == "inconclusive" and verdict.test]
    known = [spread for spread in spreads if spread]
    if not known:
        return ""
    if found.margin is None:
        return " State compare.margin, the largest difference that does not matter, to learn how many seeds are needed."
    needed = num_seeds_to_show(found.margin, max(known), level=ALPHA / len(tested))
    return f" About {needed} seeds would show a difference of {found.margin:g} with 80 % power."
