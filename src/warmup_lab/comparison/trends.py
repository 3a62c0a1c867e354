"""Trend tests over an ordered factor, such as the length of the warmup.

Rank scores, and permutation within seeds. If the factor has no effect, the values at a seed can be permuted among its
levels. All strata of a seed (learning rates, schedulers, ...) are permuted together, because they share initial weights
and data order. Failures are ranked like any other value (0 learned, 1 failed), so one function serves both.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from warmup_lab.comparison.statistics import Floats
from warmup_lab.system import JsonRecord

MAX_EXACT_LEVELS = 7
"""Up to 7! = 5,040 permutations a seed the null distribution is exact. Above, the normal approximation is used."""


@dataclass(frozen=True)
class Trend(JsonRecord):
    """A trend test over an ordered factor."""

    z: float
    """Statistic over its standard deviation under permutation; positive if values rise with the factor."""
    p_value: float
    """Two-sided."""
    num_seeds: int
    """Seeds at which the values are not all equal."""


def trend_test(values: Floats) -> Trend | None:
    """Tests for a trend over the second axis of `values` `(strata, levels, seeds)`, whose levels rise; NaN is missing.

    Formula: T = sum over seeds s and levels k of k R_{ks}, where R_{ks} is the sum over strata of the rank of level k
    among the levels at seed s, with mean ranks for ties. Two-sided p from the permutation distribution of T.
    Source: Page (1963) for ranks within blocks; van Elteren (1960) for strata.

    A stratum with a missing value at a seed is left out at that seed. None if nothing can be ranked: fewer than two
    levels, or equal values everywhere, so that the test could not reject.
    """
    num_levels = values.shape[1]
    if num_levels < 2:
        return None
    complete = np.asarray(~np.isnan(values).any(axis=1))  # (strata, seeds)
    ranks = stats.rankdata(np.nan_to_num(values), axis=1) - (num_levels + 1) / 2
    summed = np.where(complete[:, None], ranks, 0.0).sum(axis=0).T  # (seeds, levels)
    informative = summed[(np.abs(summed) > 1e-9).any(axis=1)]
    if not len(informative):
        return None
    scores = np.arange(num_levels) - (num_levels - 1) / 2
    statistic = float((informative @ scores).sum())
    variance = float((scores @ scores) * (informative**2).sum() / (num_levels - 1))
    z = statistic / math.sqrt(variance)
    p_value = _exact_p(informative, statistic) if num_levels <= MAX_EXACT_LEVELS else float(2 * stats.norm.sf(abs(z)))
    return Trend(z, p_value, len(informative))


def _exact_p(summed: Floats, statistic: float) -> float:
    """P(|T| >= |t|) over all permutations of the levels at every seed, by convolving the distributions of the seeds.

    Centred ranks and scores are multiples of 1/2, so 4 T is an integer.
    """
    orders = _permuted_scores(summed.shape[1])
    distribution, lowest = np.ones(1), 0
    for row in summed:
        found = np.rint(4 * (orders @ row)).astype(np.int64)
        start = int(found.min())
        distribution = np.convolve(distribution, np.bincount(found - start) / len(found))
        lowest += start
    points = lowest + np.arange(len(distribution))
    return float(min(1.0, distribution[np.abs(points) >= abs(round(4 * statistic))].sum()))


@lru_cache(maxsize=8)
def _permuted_scores(num_levels: int) -> NDArray[np.float64]:
    """All orders of the scores, `(num_levels!, num_levels)`."""
    scores = np.arange(num_levels) - (num_levels - 1) / 2
    return np.array(list(itertools.permutations(scores)))
