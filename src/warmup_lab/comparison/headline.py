"""The headline of a report: what to do, with its number and interval, or what would decide it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from warmup_lab.comparison.failure_advice import remedy
from warmup_lab.comparison.numbers import (
    failure_counts,
    interval_text,
    p_text,
    shown_levels,
    use_text,
    with_text,
)
from warmup_lab.comparison.pairs_headline import (
    Words,
    all_but_length_is_equal,
    differ_in_length,
    length_text,
    pairs_headline,
    sentence_case,
    verdict_text,
    words_of,
)
from warmup_lab.comparison.sentences import count
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, Interval, equal_rates_p
from warmup_lab.comparison.verdicts import FAVOURABLE, UNFAVOURABLE, Comparison, Level, LrLine, WarmupTrend, line_of

CLOSE_LR50 = 0.9
"""A length of the warmup whose lr50 is at least this fraction of the largest is as good as the longest."""


def headline(found: Comparison, words: Words | None = None) -> str:
    """One or two sentences: the answer first, then the numbers behind it.

    Trends decide before pairs, and failures before the metric. Where nothing is decided, the headline says so and names
    the number of seeds that would decide it. `words` names what was compared, by default from the arms.
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
    some_pair_is_decided = any(one.value in (*FAVOURABLE, *UNFAVOURABLE) for one in found.verdicts)
    if trend is not None and not (contradicts_means(trend, found) and some_pair_is_decided):
        return _metric_headline(found, trend)
    return pairs_headline(found, words)


def _decided(trend: WarmupTrend | None) -> WarmupTrend | None:
    return trend if trend is not None and trend.p_adjusted < ALPHA else None


# ------------------------------------------------------------------------------------------------ trends


def _failures_headline(found: Comparison, trend: WarmupTrend) -> str:
    near = fewest_failures(found.levels, found.failure_margin)
    use, metric = near[0], ""
    of_metric = _decided(found.trend("metric"))
    agrees = of_metric is not None and not contradicts_means(of_metric, found)
    if agrees and all(level.mean is not None for level in near):
        use = best_mean(near, found)
        metric = f" {found.metric} is {_means(shown_levels(found.levels, use))}."
    counts = f"{failure_counts(shown_levels(found.levels, use))} (trend p = {p_text(trend.p_adjusted)}).{metric}"
    help_, against = remedy(found.arms), _against(found, use)
    if use.failed.share > 0.5 and help_ is not None:
        return f"{help_.text}: most runs fail with any warmup tried, and {help_.why}. {counts}"
    return f"{counts} {against}" if against else f"{use_text(use)}. {counts}"


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
    shown = shown_levels(known, use)
    parts = ", ".join(f"{_at_lr(level, is_first=level is shown[0])} {with_text(level)}" for level in shown)
    effect = f"longer warmup {'raises' if trend.z > 0 else 'lowers'} the usable learning rate"
    against = _against(found, use)
    lead = f"A {effect}" if against else f"{use_text(use)}: a {effect}"
    text = f"{lead}. Half of the runs fail {parts} (trend p = {p_text(trend.p_adjusted)}).{_largest_ratio(found)}"
    return f"{text} {against}" if against else text


def _at_lr(level: Level, *, is_first: bool) -> str:
    """`at lr 0.0014`, `at 0.0028`, or `above 0.004` where too few runs failed at the largest lr tried."""
    assert level.lr50 is not None
    assert level.lr_range is not None
    word, lr = lr50_place(level.lr50, level.lr_range)
    return f"{word} {'lr ' * is_first}{lr:.2g}"


def lr50_place(lr50: float, lrs: Interval) -> tuple[str, float]:
    """`at` and lr50, or where it lies beyond the rates that were tried, `above` or `below` the nearest of them."""
    low, high = lrs
    if low <= lr50 <= high or math.isclose(lr50, low) or math.isclose(lr50, high):
        return "at", lr50
    return ("above", high) if lr50 > high else ("below", low)


def _against(found: Comparison, use: Level) -> str:
    """The first verdict that is against this length, as at one of several learning rates; '' if there is none.

    Then the length is not advised.
    """
    for verdict in found.verdicts:
        if not differ_in_length(found, verdict):
            continue
        lengths = [found.arm(name).warmup_percent for name in (verdict.arm, verdict.reference)]
        own, other = (math.isclose(length, use.warmup_percent) for length in lengths)
        if (own and verdict.value in UNFAVOURABLE) or (other and verdict.value in FAVOURABLE):
            return f"{sentence_case(verdict_text(verdict, found, words_of(found)))}."
    return ""


def _largest_ratio(found: Comparison) -> str:
    """The ratio of lr50 that lies furthest from 1, among warmups."""
    tested = [line for line in found.lr_lines if line.ratio is not None and line.differs_in == "warmup"]
    if not tested:
        return ""
    line = max(tested, key=_distance)
    p = "" if line.p_adjusted is None else f" (p = {p_text(line.p_adjusted)})"
    assert line.reference is not None
    names = f"of {line.name}", f"of {line.reference}"
    if all_but_length_is_equal(found.arms):  # then the lengths are enough to name the lines
        arms = [found.arm(one.arms[0]) for one in (line, line_of(found.lr_lines, line.reference))]
        first, second = (length_text(arm) for arm in arms)
        names = (f"with {first}", f"with {second}") if first != second else names
    return f" The usable learning rate {names[0]} is {_ratio(line)} times that {names[1]}{p}."


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
    where, lr = lr50_place(larger.usable.lr50, (larger.lrs[0], larger.lrs[-1]))
    other, other_lr = lr50_place(smaller.usable.lr50, (smaller.lrs[0], smaller.lrs[-1]))
    against = f"{other_lr:.2g}" if other == "at" else f"{other} {other_lr:.2g}"
    text = (
        f"The usable learning rate of {larger.name} is {_factor(larger)} that of {smaller.name}: half of the runs fail "
        f"{where} lr {lr:.2g} against {against} (ratio {_ratio_text(larger)})."
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
    p = "" if line.p_adjusted is None else f", p = {p_text(line.p_adjusted)}"
    return f"{_ratio(line)}{p}"


def _ratio(line: LrLine) -> str:
    assert line.ratio is not None
    bound = f"{line.ratio.bound} " if line.ratio.bound else ""
    return f"{bound}{line.ratio.ratio:.2f}{interval_text(line.ratio.interval, '.2f')}"


def _metric_headline(found: Comparison, trend: WarmupTrend) -> str:
    better = (trend.z < 0) == found.smaller_is_better
    known = [level for level in found.levels if level.mean is not None]
    p = p_text(trend.p_adjusted)
    if not known:
        return f"A longer warmup {'improves' if better else 'worsens'} {found.metric} (trend p = {p})."
    if contradicts_means(trend, found):
        best = _lowest(known, found)
        means, moves = _means(shown_levels(known, best)), "rises" if trend.z > 0 else "falls"
        return (
            f"Undecided: {found.metric} mostly {moves} with a longer warmup (trend p = {p}), but its mean is best "
            f"{with_text(best)}: {means}."
        )
    use_level = best_mean(known, found)
    means, against = _means(shown_levels(known, use_level)), _against(found, use_level)
    if against:
        return (
            f"A longer warmup {'improves' if better else 'worsens'} {found.metric}: {means} (trend p = {p}). {against}"
        )
    return f"{use_text(use_level)}. {found.metric} is {means} (trend p = {p}).{_small(found, known)}"


def contradicts_means(trend: WarmupTrend, found: Comparison) -> bool:
    """Whether the best mean is at the end that the trend of the metric, which counts ranks, calls the worst."""
    known = [level for level in found.levels if level.mean is not None]
    if len(known) < 2:
        return False
    worst = known[0] if (trend.z < 0) == found.smaller_is_better else known[-1]
    return _lowest(known, found) is worst


def _lowest(levels: Sequence[Level], found: Comparison) -> Level:
    sign = 1 if found.smaller_is_better else -1
    return min(levels, key=lambda level: sign * (level.mean or 0.0))


def _small(found: Comparison, levels: Sequence[Level]) -> str:
    """Says so where the trend is shown but all means lie within the stated margin; '' otherwise."""
    spread = float(np.ptp([level.mean for level in levels]))
    if found.margin is None or spread >= found.margin:
        return ""
    return f" The means differ by {spread:.2g} at most, less than the margin of {found.margin:g}: the effect is small."


def _means(levels: Sequence[Level]) -> str:
    return ", ".join(f"{level.mean:.3g} {with_text(level)}" for level in levels)


def best_mean(levels: Sequence[Level], found: Comparison) -> Level:
    """The shortest warmup whose mean is within the margin of the best; the best itself without a margin."""
    sign = 1 if found.smaller_is_better else -1
    best = min(sign * (level.mean or 0.0) for level in levels)
    return next(level for level in levels if sign * (level.mean or 0.0) <= best + (found.margin or 0.0))
