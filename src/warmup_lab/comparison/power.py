"""How many seeds show a given difference, and which difference a given number of seeds shows."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import stats

from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS


def num_seeds_to_show(effect: float, spread: float, *, power: float = 0.8, level: float = ALPHA) -> int:
    """Seeds at which a paired t-test shows a true mean difference of `effect` with this power.

    Args:
        effect: a difference stated in advance, never the observed one, in the unit of the metric.
        spread: standard deviation of the differences between paired runs.
        power: probability of a significant difference.
        level: two-sided level of the test, after adjustment for several tests.
    """
    from statsmodels.stats.power import TTestPower

    # statsmodels does not converge where the fewest seeds are already more than enough.
    if spread <= 0 or _upper_power(effect / spread, MIN_PAIRS, level) >= power:
        return MIN_PAIRS
    needed = TTestPower().solve_power(effect_size=effect / spread, alpha=level, power=power, alternative="two-sided")
    return math.ceil(float(np.squeeze(needed)))


def effect_shown_by(num_seeds: int, spread: float, *, power: float = 0.8, level: float = ALPHA) -> float:
    """The true mean difference that a paired t-test on `num_seeds` seeds shows with this power; the rest as above."""
    return spread * _effect_size(num_seeds, power, level)


@lru_cache(maxsize=64)
def _effect_size(num_seeds: int, power: float, level: float) -> float:
    """The difference in standard deviations."""
    from statsmodels.stats.power import TTestPower

    return float(np.squeeze(TTestPower().solve_power(nobs=num_seeds, alpha=level, power=power)))


def _upper_power(effect_size: float, num_pairs: int, level: float) -> float:
    """Probability of a significant difference in the direction of `effect_size`, which is positive."""
    critical = stats.t.isf(level / 2, num_pairs - 1)
    return float(stats.nct.sf(critical, num_pairs - 1, effect_size * math.sqrt(num_pairs)))
