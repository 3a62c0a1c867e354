"""How many new seeds would decide what is undecided. They are judged alone, as a sweep of their own."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from warmup_lab.comparison.power import effect_shown_by, num_seeds_to_show
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS
from warmup_lab.comparison.verdicts import PHRASES, UNDECIDED, Comparison

_USUAL, _MOST = 12, 60
"""Seeds without a stated margin, and the largest number with one."""


@dataclass(frozen=True)
class MoreSeeds:
    """A number of new seeds, and what it would show."""

    num_seeds: int
    effect: float | None
    """The difference that these seeds show with 80 % power, in the unit of the metric; None if its spread is unknown,
    as for metrics that are compared by ranks."""
    metric: str
    continues: bool = False
    """Whether the next planned looks of the sweep itself, up to `num_seeds`, may decide."""

    def sentence(self, where: str = "") -> str:
        """`About 20 new seeds would show a difference of 0.02 in eval_loss (80 % power).`; '' if that is unknown.

        `where` is such as `at lr 0.001`.
        """
        if self.continues:
            return f"The next planned look ({self.num_seeds} seeds at most) may decide it."
        if self.effect is None:
            return ""
        seeds = f"About {self.num_seeds} new seeds{f' {where}' if where else ''}"
        return f"{seeds} would show a difference of {self.effect:.2g} in {self.metric} (80 % power)."


def more_seeds(found: Comparison, names: Collection[str] | None = None) -> MoreSeeds:
    """The seeds to add, from the observed spread and the stated margin, never from the observed difference.

    The last planned look; or what shows a difference of the margin, at most 60; without a margin 12.

    Args:
        found: the comparison.
        names: the arms that are compared with their references; all by default.
    """
    tested = [verdict for verdict in found.verdicts if verdict.value in PHRASES and verdict.test]
    tested = [verdict for verdict in tested if names is None or verdict.arm in names]
    if looks_are_left(found):
        return MoreSeeds(found.looks[-1], None, found.metric, continues=True)
    open_ = [verdict for verdict in tested if verdict.value in UNDECIDED] or tested
    spread = max((verdict.test.spread or 0.0 for verdict in open_ if verdict.test), default=0.0)
    is_rank = any(verdict.test.rank_difference is not None for verdict in tested if verdict.test)
    if is_rank or not spread:
        return MoreSeeds(found.looks[-1] if len(found.looks) > 1 else _USUAL, None, found.metric)
    shared = bool(found.trends) or len(found.levels) > 1  # trends over the length and pairs have half of the error each
    level = ALPHA / len(tested) / (2 if shared else 1)
    num_seeds, effect = _USUAL, None
    if len(found.looks) > 1:
        num_seeds = found.looks[-1]
    elif found.margin is not None:
        needed = num_seeds_to_show(found.margin, spread, level=level)
        num_seeds = max(MIN_PAIRS, min(needed, _MOST))
        effect = found.margin if needed <= _MOST else None
    return MoreSeeds(num_seeds, effect or _two_digits(effect_shown_by(num_seeds, spread, level=level)), found.metric)


def looks_are_left(found: Comparison) -> bool:
    """Whether a planned look that was not reached would decide what is open."""
    is_open = any(verdict.value == "inconclusive" for verdict in found.verdicts)
    return bool(found.looks) and found.look < found.looks[-1] and is_open


def _two_digits(value: float) -> float:
    """Rounded up."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step
