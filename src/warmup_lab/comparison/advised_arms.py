"""The arms that the tests of a comparison leave to choose from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from warmup_lab.comparison.arms import Arm
from warmup_lab.comparison.headline import CLOSE_LR50, best_mean, fewest_failures
from warmup_lab.comparison.statistics import ALPHA
from warmup_lab.comparison.verdicts import AS_GOOD, FAVOURABLE, PHRASES, UNFAVOURABLE, Comparison, Level


@dataclass(frozen=True)
class AdvisedArms:
    """Rows of arms, and the reason why only these are left; no reason if all are."""

    rows: list[int]
    basis: str = ""


def advised_arms(found: Comparison, arms: Sequence[Arm], rows: list[int]) -> AdvisedArms:
    """The arms among `rows` with the warmup that a trend decided, or those that the verdicts favour; else all."""
    level = advised_level(found)
    if level is not None:
        kept = [row for row in rows if math.isclose(_percent(arms[row]), level.warmup_percent)]
        trend = "the warmup is decided by the trend over its length"
        return AdvisedArms(kept, trend) if kept else AdvisedArms(rows)
    tested = [verdict for verdict in found.verdicts if verdict.value in PHRASES]
    values = [verdict.value for verdict in tested]
    better = {verdict.arm for verdict in tested if verdict.value in FAVOURABLE}
    names: set[str | None] = {verdict.reference for verdict in tested}
    basis = ""
    if better:
        names, basis = {*better}, "decided by test: it is better than the reference"
    elif values and all(value in UNFAVOURABLE for value in values):
        basis = "decided by test: everything else is worse"
    elif values and all(value in AS_GOOD for value in values):
        basis = "decided by test: everything else is as good, within the margin"
    kept = [row for row in rows if arms[row].name in names]
    return AdvisedArms(kept, basis) if basis and kept else AdvisedArms(rows)


def advised_level(found: Comparison) -> Level | None:
    """The length of the warmup that the headline advises; None unless a trend decided it."""
    of = {trend.of for trend in found.trends if trend.p_adjusted < ALPHA}
    levels: Sequence[Level] = found.levels
    if "failures" in of:
        levels = fewest_failures(levels, found.failure_margin)
        if "metric" in of and all(level.mean is not None for level in levels):
            return best_mean(levels, found)
        return levels[0]
    if "lr50" in of:
        known = [level for level in levels if level.lr50 is not None]
        top = max((level.lr50 or 0.0 for level in known), default=0.0)
        return next((level for level in known if (level.lr50 or 0.0) >= CLOSE_LR50 * top), None)
    known = [level for level in levels if level.mean is not None]
    return best_mean(known, found) if "metric" in of and known else None


def _percent(arm: Arm) -> float:
    return 100 * arm.warmup_steps / arm.total_steps
