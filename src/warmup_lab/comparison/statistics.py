"""Tests and intervals on arrays. Formulas are scipy's and statsmodels'.

The arrays come from the table of runs, in `arms`; what may be concluded is in `verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from warmup_lab.system import JsonRecord

Floats = NDArray[np.float64]
Interval = tuple[float, float]

ALPHA = 0.05
MIN_PAIRS = 6


@dataclass(frozen=True)
class Rate(JsonRecord):
    """`count` of `total` runs; `low` to `high` is the 95 % Wilson interval of the share, null without runs."""

    count: int
    total: int
    low: float | None
    high: float | None

    @property
    def share(self) -> float:
        """`count / total`, NaN without runs."""
        return self.count / self.total if self.total else math.nan


@dataclass(frozen=True)
class PairedTest(JsonRecord):
    """An arm minus its reference over the seeds at which both learned, in the metric's unit.

    `interval_95` belongs to `p_value` (two-sided), `interval_90` to `p_equivalent` (TOST at 5 %). Intervals need
    2 pairs, p-values `MIN_PAIRS`; else null. `exact`: all differences are equal, so that a t-test has no scale
    and a sign test took its place.
    """

    num_pairs: int
    difference: float | None = None
    interval_95: Interval | None = None
    interval_90: Interval | None = None
    p_value: float | None = None
    p_equivalent: float | None = None
    exact: bool = False


def check_margin(margin: float | None) -> None:
    """ValueError unless `margin` is null or a positive, finite number."""
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin={margin}: must be positive, in the unit of the metric, or left out")


@lru_cache(maxsize=4096)
def wilson(count: int, total: int) -> Rate:
    """`count` of `total` with its 95 % Wilson score interval."""
    if total == 0:
        return Rate(count, total, None, None)
    low, high = proportion_confint(count, total, alpha=ALPHA, method="wilson")
    return Rate(count, total, float(low), float(high))


@lru_cache(maxsize=4096)
def wilson_bounds(count: int, total: int, *, confidence: float) -> Interval:
    """One-sided Wilson bounds of a share: it is above the first, or below the second, each with that confidence.

    The two ends of the two-sided score interval at `2 * confidence - 1` (Wilson 1927). 0 and 1 without a trial.
    """
    if total == 0:
        return 0.0, 1.0
    low, high = proportion_confint(count, total, alpha=2 * (1 - confidence), method="wilson")
    return float(low), float(high)


def mean_interval(values: Floats, confidence: float = 0.95) -> Interval | None:
    """t-interval of the mean of `values` (n,), finite numbers; null for n < 2, a point where they are equal."""
    if values.size < 2:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    low, high = _t_interval(confidence, values.size - 1)
    return mean + low * error, mean + high * error


@lru_cache(maxsize=256)
def _t_interval(confidence: float, degrees_of_freedom: int) -> Interval:
    low, high = stats.t.interval(confidence, degrees_of_freedom)
    return float(low), float(high)


def paired_test(first: Floats, second: Floats, *, margin: float | None = None) -> PairedTest:
    """`first` minus `second`, both (n,) and finite, entry i of each from one seed: t-test and TOST.

    Equal to `scipy.stats.ttest_rel` and `statsmodels.stats.weightstats.ttost_paired`, which are one-sample
    tests of the differences.
    """
    differences = first - second
    if differences.size == 0:
        return PairedTest(0)
    mean = float(differences.mean())
    intervals = mean_interval(differences, 0.95), mean_interval(differences, 0.90)
    if differences.size < MIN_PAIRS:
        return PairedTest(differences.size, mean, *intervals)
    noise, p_equivalent = _float_noise(first, second), None
    p_value = _mean_p(differences, 0.0, "two-sided", noise)
    if margin is not None:
        above = _mean_p(differences, -margin, "greater", noise)
        p_equivalent = max(above, _mean_p(differences, margin, "less", noise))
    exact = bool(np.ptp(differences) <= noise)
    return PairedTest(differences.size, mean, *intervals, p_value, p_equivalent, exact)


def non_inferiority_p(first: Floats, second: Floats, *, margin: float, smaller_is_better: bool) -> float:
    """One-sided paired p, against `first` (n,) being worse than `second` (n,) by `margin` or more on average."""
    worse_by = first - second if smaller_is_better else second - first
    return _mean_p(worse_by, margin, "less", _float_noise(first, second))


def _float_noise(first: Floats, second: Floats) -> float:
    return 1e-12 * max(float(np.abs(first).max()), float(np.abs(second).max()))


def _mean_p(differences: Floats, bound: float, alternative: str, noise: float) -> float:
    """p that the mean is `bound`: t-test, or sign test where the differences vary by no more than `noise`.

    Differences of accuracies, which are multiples of 1/n, do coincide; with no spread a t-test would be certain
    after two seeds. The sign test's least p for n equal differences is 2 ** (1 - n), or 2 ** -n one-sided.
    """
    if np.ptp(differences) > noise:
        return float(stats.ttest_1samp(differences, bound, alternative=alternative).pvalue)
    above, below = int((differences - bound > noise).sum()), int((bound - differences > noise).sum())
    if above + below == 0:
        return 1.0
    return float(stats.binomtest(above, above + below, alternative=alternative).pvalue)


@lru_cache(maxsize=4096)
def rates_differ_p(count: int, total: int, other_count: int, other_total: int) -> float:
    """Boschloo's exact two-sided p that two failure rates are equal; 1 where none or all failed.

    On either side Boschloo's test keeps its level as Fisher's does and is uniformly more powerful, which matters with
    a handful of seeds; scipy doubles the smaller side. The paired test (McNemar) sees only the seeds at which the
    arms disagree: with 8 of them its least p is 0.008, which no Holm step over 7 arms lets through. That paired runs
    tend to fail together makes the unpaired test conservative, never liberal.
    """
    if count + other_count in (0, total + other_total):
        return 1.0
    # Columns are the two samples: for this test, unlike for Fisher's, the orientation matters.
    table = [[count, other_count], [total - count, other_total - other_count]]
    return float(stats.boschloo_exact(table).pvalue)


def equal_rates_p(rate: Rate, other: Rate) -> float | None:
    """`rates_differ_p` of two rates; null where one is of no runs."""
    if rate.total == 0 or other.total == 0:
        return None
    return rates_differ_p(rate.count, rate.total, other.count, other.total)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p-values over the tests that took place; null stays null and is not counted.

    Its slow twin, held equal to it by a test, is statsmodels' `multipletests(p_values, method="holm")`, which ends in
    a full `gc.collect()`: 20 ms a call, more with torch loaded, against 0.01 ms here.
    """
    tested = np.array([p for p in p_values if p is not None])
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.maximum.accumulate(tested[order] * np.arange(tested.size, 0, -1)), 1.0)
    rest = iter(adjusted.tolist())
    return [None if p is None else next(rest) for p in p_values]


def split_halves(seeds: Sequence[int]) -> tuple[list[int], list[int]]:
    """Seeds to choose on, and seeds to test on: every other one in rising order; the larger half tests.

    Fixed before any result is seen. 0..4 gives [1, 3] and [0, 2, 4].
    """
    ordered = sorted(set(seeds))
    return ordered[1::2], ordered[::2]
