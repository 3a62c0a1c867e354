"""The headline of the comparison of a user's own table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from warmup_lab.comparison import (
    ALPHA,
    Comparison,
    Level,
    WarmupTrend,
    Words,
    best_mean,
    contradicts_means,
    fewest_failures,
    lr50_place,
    p_text,
    remedy,
    with_headline,
)
from warmup_lab.library.factor import Factor, Value, value_text

_MAX_LEVELS = 4


def headline_of(found: Comparison, factor: Factor, values: Sequence[Value]) -> str:
    """The headline of a report for lengths of a warmup; for other columns the same rules, worded for any column.

    A decided trend comes first, of failures before that of the metric, then the verdicts. `values` are those of
    `found.levels`.
    """
    if factor.shares is not None:
        return _in_arguments(with_headline(found).headline, factor)
    decided = {trend.of: trend for trend in found.trends if trend.p_adjusted < ALPHA}
    for of in ("failures", "lr50", "metric"):
        if of in decided and not (of == "metric" and contradicts_means(decided[of], found)):
            sentence = {"failures": _failures, "lr50": _lr50, "metric": _metric}[of](found, factor, values, decided[of])
            return f"{sentence} (trend p = {p_text(decided[of].p_adjusted)})."
    words = Words(
        factor.label(factor.reference),
        f"which of {len(factor.values)} values of {factor.column} is best",
        lambda arm: arm.name,
    )
    open_ = tuple(trend for trend in found.trends if trend.p_adjusted >= ALPHA)
    return _in_arguments(with_headline(replace(found, trends=open_, levels=()), words).headline, factor)


def _in_arguments(text: str, factor: Factor) -> str:
    """The text with the names of arguments in place of those of `conf/`, and with the value of the reference."""
    return text.replace("compare.", "").replace("the reference", factor.label(factor.reference))


def _failures(found: Comparison, factor: Factor, values: Sequence[Value], _trend: WarmupTrend) -> str:
    use = fewest_failures(found.levels, found.failure_margin)[0]
    value = values[found.levels.index(use)]
    advice, help_ = f"Use {factor.label(value)}", remedy(found.arms)
    if use.failed.share > 0.5 and help_ is not None:
        advice = f"{help_.text}: most runs fail with any {factor.column} tried"
    counts = _listed(found, values, use, lambda level: f"{level.failed.count} of {level.failed.total}")
    return f"{advice}. Failed runs: {counts}"


def _lr50(found: Comparison, factor: Factor, values: Sequence[Value], trend: WarmupTrend) -> str:
    use = max(found.levels, key=lambda level: level.lr50 or 0.0)
    rates = _listed(found, values, use, _lr50_text)
    effect = "raises" if trend.z > 0 else "lowers"
    return f"A larger {factor.column} {effect} the usable learning rate. Half of the runs fail {rates}"


def _lr50_text(level: Level) -> str:
    if level.lr50 is None or level.lr_range is None:
        return "at an unknown lr"
    place, lr = lr50_place(level.lr50, level.lr_range)
    return f"{place} lr {lr:.2g}"


def _metric(found: Comparison, factor: Factor, values: Sequence[Value], trend: WarmupTrend) -> str:
    if any(level.mean is None for level in found.levels):  # compared by ranks
        better = (trend.z < 0) == found.smaller_is_better
        return f"A larger {factor.column} {'improves' if better else 'worsens'} {found.metric}"
    use = best_mean(found.levels, found)
    means = _listed(found, values, use, lambda level: f"{level.mean:.3g}")
    return f"Use {factor.label(values[found.levels.index(use)])}. {found.metric} is {means}"


def _listed(found: Comparison, values: Sequence[Value], use: Level, text: Callable[[Level], str]) -> str:
    """`11 of 12 with 0, 2 of 12 with 0.1`; of many levels the first, the recommended and the last."""
    shown = [*found.levels] if len(found.levels) <= _MAX_LEVELS else [found.levels[0], use, found.levels[-1]]
    pairs = dict.fromkeys((text(level), value_text(values[found.levels.index(level)])) for level in shown)
    return ", ".join(f"{result} with {value}" for result, value in pairs)
