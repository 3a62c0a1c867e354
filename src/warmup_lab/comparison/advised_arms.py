"""The arms that the tests of a comparison leave to choose from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.headline import CLOSE_LR50, best_mean, contradicts_means, fewest_failures
from warmup_lab.comparison.statistics import ALPHA
from warmup_lab.comparison.verdicts import AS_GOOD, FAVOURABLE, PHRASES, UNFAVOURABLE, Comparison, Level

BestOf = Callable[[Sequence[int]], int]
"""The row to choose among some rows."""


@dataclass(frozen=True)
class AdvisedArms:
    """Rows of arms, and the reason why only these are left; no reason if all are."""

    rows: list[int]
    basis: str = ""
    is_tested: bool = False
    """Whether one is left, and every other one that was compared was tested against it."""
    is_trend: bool = False
    """Whether a trend over the length of the warmup is the reason."""
    of_warmup: bool = True
    """Whether arms that differ in nothing but the warmup are the reason."""


def advised_arms(found: Comparison, arms: Sequence[Arm], rows: list[int], best_of: BestOf) -> AdvisedArms:
    """The arms among `rows` with the warmup that a trend decided, or those that the verdicts favour; else all.

    A trend is pooled over learning rates and settings. It does not count where a test at the chosen ones says the
    opposite. Verdicts count only where they compare the best of `rows`, so that a win at a bad learning rate chooses
    nothing.
    """
    level = advised_level(found)
    if level is not None:
        kept = [row for row in rows if math.isclose(_percent(arms[row]), level.warmup_percent)]
        if kept and not _is_beaten(found, arms[best_of(kept)].name):
            return AdvisedArms(kept, "the warmup is decided by the trend over its length", is_trend=True)
    best = arms[best_of(rows)].name
    own = found.verdict(best)
    reference = best if own.value == "reference" else own.reference
    tested = [one for one in found.verdicts if one.value in PHRASES and one.reference == reference]
    values = [verdict.value for verdict in tested]
    better = {verdict.arm for verdict in tested if verdict.value in FAVOURABLE}
    names: set[str | None] = {reference}
    others = "everything else" if len(tested) + 1 == len(rows) else "everything else that was compared with it"
    basis, is_tested = "", True
    if best in better:
        names, basis, is_tested = {*better}, "decided by test: it is better than the reference", False
    elif values and all(value in UNFAVOURABLE for value in values):
        basis = f"decided by test: {others} is worse"
    elif values and all(value in AS_GOOD for value in values):
        basis = f"decided by test: {others} is as good, within the margin"
    kept = [row for row in rows if arms[row].name in names]
    if not basis or not kept:
        return AdvisedArms(rows)
    own_group = {found.arm(name).same_but_warmup for one in tested for name in (one.arm, one.reference)}
    return AdvisedArms(kept, basis, is_tested, of_warmup=len(own_group) == 1)


def _is_beaten(found: Comparison, name: str) -> bool:
    """Whether a verdict is against this arm: it is worse than its reference, or another one is better than it."""
    own = found.verdict(name).value in UNFAVOURABLE
    return own or any(one.reference == name and one.value in FAVOURABLE for one in found.verdicts)


def advised_level(found: Comparison) -> Level | None:
    """The length of the warmup that the headline advises; None unless a trend decided it."""
    decided = {trend.of: trend for trend in found.trends if trend.p_adjusted < ALPHA}
    levels: Sequence[Level] = found.levels
    known = [level for level in levels if level.mean is not None]
    by_mean = "metric" in decided and not contradicts_means(decided["metric"], found)
    if "failures" in decided:
        levels = fewest_failures(levels, found.failure_margin)
        if by_mean and all(level.mean is not None for level in levels):
            return best_mean(levels, found)
        return levels[0]
    if "lr50" in decided:
        with_lr50 = [level for level in levels if level.lr50 is not None]
        top = max((level.lr50 or 0.0 for level in with_lr50), default=0.0)
        return next((level for level in with_lr50 if (level.lr50 or 0.0) >= CLOSE_LR50 * top), None)
    return best_mean(known, found) if by_mean and known else None


def _percent(arm: Arm) -> float:
    return 100 * arm.warmup_steps / arm.total_steps
