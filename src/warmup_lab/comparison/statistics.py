"""Tests, intervals and rates of arrays of numbers, and how p-values are adjusted within a family.

Formulas are those of scipy and statsmodels. What the numbers mean for an arm is decided in `pairwise` and `selection`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from warmup_lab.comparison.boschloo import boschloo_p
from warmup_lab.system import JsonRecord

Floats = NDArray[np.float64]
Interval = tuple[float, float]

ALPHA = 0.05
"""Level of every test, after adjustment."""
MIN_PAIRS = 6
"""Fewest pairs for a test. With 5, the smallest two-sided p of a sign test is 2^(1 - 5) = 0.0625."""


# ----------------------------------------------------------------------------------------------- rates


@dataclass(frozen=True)
class Rate(JsonRecord):
    """`count` of `total` runs; `low` to `high` is the 95 % Wilson interval of the share, None without runs."""

    count: int
    total: int
    low: float | None
    high: float | None

    @property
    def share(self) -> float:
        """`count / total`, NaN without runs."""
        return self.count / self.total if self.total else math.nan


@lru_cache(maxsize=4096)
def wilson(count: int, total: int) -> Rate:
    """`count` of `total` with the 95 % Wilson score interval of its share (Wilson 1927; `proportion_confint`).

    With p = count / n and z = 1.96: (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    """
    if total == 0:
        return Rate(count, total, None, None)
    low, high = proportion_confint(count, total, alpha=ALPHA, method="wilson")
    return Rate(count, total, float(low), float(high))


@lru_cache(maxsize=4096)
def wilson_bounds(count: int, total: int, *, confidence: float) -> Interval:
    """One-sided Wilson bounds of a share: it is above the first, or below the second, each with that confidence.

    They are the ends of the two-sided score interval at `2 * confidence - 1` (Wilson 1927); 0 and 1 if `total` is 0.
    """
    if total == 0:
        return 0.0, 1.0
    low, high = proportion_confint(count, total, alpha=2 * (1 - confidence), method="wilson")
    return float(low), float(high)


@lru_cache(maxsize=4096)
def rates_differ_p(count: int, total: int, other_count: int, other_total: int) -> float:
    """Two-sided p of Boschloo's exact test that two failure rates are equal; 1 where none or all failed.

    On each side, Boschloo's test keeps its level as Fisher's does and is uniformly more powerful (Boschloo 1970), which
    matters with a handful of seeds. scipy doubles the smaller side. The paired alternative, McNemar's test, only sees
    the seeds at which the arms disagree: with 8 of them its smallest p is 0.008, which does not pass a Holm step over 7
    arms. Paired runs tend to fail together, so the unpaired test is conservative.
    """
    if count + other_count in (0, total + other_total):
        return 1.0
    return boschloo_p(count, total, other_count, other_total)


def equal_rates_p(rate: Rate, other: Rate) -> float | None:
    """`rates_differ_p` of two rates; None if the test cannot reject: no runs, no failures, or only failures."""
    if rate.total == 0 or other.total == 0 or rate.count + other.count in (0, rate.total + other.total):
        return None
    return rates_differ_p(rate.count, rate.total, other.count, other.total)


@lru_cache(maxsize=4096)
def excess_failures_bound(count: int, total: int, other_count: int, other_total: int) -> float:
    """One-sided 95 % upper bound of the first failure rate minus the second (Newcombe 1998, method 10).

    p1 - p2 + sqrt((u1 - p1)^2 + (p2 - l2)^2), with u1 and l2 the bounds of the two Wilson intervals at 90 %.
    Without any failure this has 91 % confidence at 12 runs, and the score interval is not defined. There the bound is
    the exact one of the first rate (Clopper & Pearson 1934), 1 - 0.05^(1 / n): 22 % for 0 of 12.
    """
    if total == 0 or other_total == 0:
        return 1.0
    if count == other_count == 0:
        return float(1 - ALPHA ** (1 / total))
    bounds = confint_proportions_2indep(count, total, other_count, other_total, method="newcomb", alpha=0.1)
    return float(bounds[1])


# --------------------------------------------------------------------------------------- means and medians


def mean_interval(values: Floats, confidence: float = 0.95) -> Interval | None:
    """Student's t-interval of the mean of `values` (n,), which are finite, in their unit.

    mean +- t(n - 1) SD / sqrt(n). None for n < 2; a single point where all values are equal.
    """
    if values.size < 2:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    low, high = _t_interval(confidence, values.size - 1)
    return mean + low * error, mean + high * error


@lru_cache(maxsize=256)
def _t_interval(confidence: float, degrees_of_freedom: int) -> Interval:
    low, high = stats.t.interval(confidence, degrees_of_freedom)
    return float(low), float(high)


def log_median(values: Iterable[float | None]) -> float | None:
    """exp(median(log x)) of positive numbers, in their unit; None counts as infinite.

    Of an even number of values it is the geometric mean of the middle two. None if the median is infinite, or if there
    are no values.

    >>> log_median([1.0, 100.0, None]), log_median([1.0, None]), log_median([])
    (100.0, None, None)
    """
    logs = [math.inf if value is None else math.log(value) for value in values]
    if not logs:
        return None
    with np.errstate(invalid="ignore"):
        middle = float(np.median(logs))
    return math.exp(middle) if math.isfinite(middle) else None


# ------------------------------------------------------------------------------------------ paired tests


@dataclass(frozen=True)
class PairedTest(JsonRecord):
    """An arm minus its reference, paired by seed, in the metric's unit."""

    num_pairs: int
    difference: float | None = None
    """Mean difference; None without pairs. For a rank test over the seeds at which both learned."""
    interval_95: Interval | None = None
    """Belongs to `p_value`. Intervals need 2 pairs."""
    interval_90: Interval | None = None
    """Belongs to `p_equivalent`: it lies within the margin exactly where TOST rejects at 5 %."""
    p_value: float | None = None
    """Two-sided p of no difference. p-values need `MIN_PAIRS` pairs."""
    p_equivalent: float | None = None
    """p of TOST; None without a margin."""
    exact: bool = False
    """All differences are equal, so a t-test has no scale and a sign test replaced it."""
    spread: float | None = None
    """Standard deviation of the differences; None with fewer than 2 pairs."""
    rank_difference: float | None = None
    """For a rank test: mean difference of the ranks. Its sign says which arm has the larger values."""

    @property
    def direction(self) -> float:
        """Positive if the arm has the larger values, negative if its reference has, 0 if unknown."""
        return (self.difference if self.rank_difference is None else self.rank_difference) or 0.0


def check_margin(margin: float | None) -> None:
    """ValueError unless `margin` is None or a positive, finite number."""
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin={margin}: must be positive and in the unit of the metric, or left out")


def paired_test(first: Floats, second: Floats, *, margin: float | None = None) -> PairedTest:
    """t-test and TOST of `first` minus `second`, both (n,) and finite; entry i of each comes from one seed.

    t = mean / (SD / sqrt(n)) with n - 1 degrees of freedom. TOST (Schuirmann 1987) takes the larger of the one-sided p
    against a mean of `-margin` or less and of `margin` or more. Equal to `scipy.stats.ttest_rel` and
    `statsmodels.stats.weightstats.ttost_paired`, which are one-sample tests of the differences.
    """
    differences = first - second
    if differences.size == 0:
        return PairedTest(0)
    mean = float(differences.mean())
    intervals = mean_interval(differences, 0.95), mean_interval(differences, 0.90)
    spread = float(differences.std(ddof=1)) if differences.size > 1 else None
    if differences.size < MIN_PAIRS:
        return PairedTest(differences.size, mean, *intervals, spread=spread)
    noise, p_equivalent = _float_noise(first, second), None
    p_value = _mean_p(differences, 0.0, "two-sided", noise)
    if margin is not None:
        above = _mean_p(differences, -margin, "greater", noise)
        p_equivalent = max(above, _mean_p(differences, margin, "less", noise))
    exact = bool(np.ptp(differences) <= noise)
    return PairedTest(differences.size, mean, *intervals, p_value, p_equivalent, exact, spread)


def rank_test(first: Floats, second: Floats) -> tuple[float | None, float]:
    """Two-sided paired p that two samples (n,) are ordered alike, and the mean difference of their ranks.

    Infinite values are allowed and tie with each other.

    All 2n values are ranked together, with mean ranks for ties. Under the null the sign of each difference of ranks is
    random, which gives the exact distribution of their sum (Conover & Iman 1981 for the joint ranks). p is None with
    fewer than `MIN_PAIRS` pairs, or if all differences are 0, so that the test cannot reject.
    """
    ranks = stats.rankdata(np.concatenate([first, second]))
    differences = np.rint(2 * (ranks[: first.size] - ranks[first.size :])).astype(np.int64)
    mean = float(differences.mean()) / 2 if first.size else 0.0
    if first.size < MIN_PAIRS or not differences.any():
        return None, mean
    distribution = np.ones(1)
    for difference in np.abs(differences[differences != 0]).tolist():
        step = np.zeros(2 * difference + 1)
        step[[0, -1]] = 0.5
        distribution = np.convolve(distribution, step)
    middle, sum_of_ranks = len(distribution) // 2, abs(int(differences.sum()))
    points = np.abs(np.arange(len(distribution)) - middle)
    return float(min(1.0, distribution[points >= sum_of_ranks].sum())), mean


def non_inferiority_p(first: Floats, second: Floats, *, margin: float, smaller_is_better: bool) -> float:
    """One-sided paired p that `first` (n,) is worse than `second` (n,) by `margin` or more on average.

    Half of `paired_test`'s TOST. A small p says that `first` is not worse by as much as the margin.
    """
    worse_by = first - second if smaller_is_better else second - first
    return _mean_p(worse_by, margin, "less", _float_noise(first, second))


def _float_noise(first: Floats, second: Floats) -> float:
    return 1e-12 * max(float(np.abs(first).max()), float(np.abs(second).max()))


def t_test_p(values: Floats, mean: float = 0.0, alternative: str = "two-sided") -> float:
    """p of a one-sample t-test, as `scipy.stats.ttest_1samp` gives it.

    That function inspects signatures for 1 ms a call, and a report of many arms makes thousands of calls.
    """
    t, freedom = (values.mean() - mean) / np.sqrt(values.var(ddof=1) / values.size), values.size - 1
    if alternative == "two-sided":
        return float(2 * special.stdtr(freedom, -abs(t)))
    return float(special.stdtr(freedom, -t if alternative == "greater" else t))


def _mean_p(differences: Floats, bound: float, alternative: str, noise: float) -> float:
    """p that the mean is `bound`: t-test, or sign test where the differences vary by no more than `noise`.

    Differences of accuracies are multiples of 1/n and can all coincide. Without spread, a t-test would be certain after
    two seeds. The sign test's smallest p for n equal differences is 2^(1 - n), or 2^-n one-sided.
    """
    if np.ptp(differences) > noise:
        return t_test_p(differences, bound, alternative)
    above, below = int((differences - bound > noise).sum()), int((bound - differences > noise).sum())
    if above + below == 0:
        return 1.0
    return float(stats.binomtest(above, above + below, alternative=alternative).pvalue)


# -------------------------------------------------------------------------------------- families of tests


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values of one family, adjusted by Holm (1979); None is a test that was not made and is not counted.

    The i-th smallest of m p-values (i = 0 ...) times m - i, made non-decreasing and capped at 1.

    statsmodels' `multipletests(p_values, method="holm")` gives the same, as a test checks, but ends in a full
    `gc.collect()`: 20 ms a call, more with torch loaded, against 0.01 ms here.
    """
    tested = np.array([p for p in p_values if p is not None])
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.maximum.accumulate(tested[order] * np.arange(tested.size, 0, -1)), 1.0)
    rest = iter(adjusted.tolist())
    return [None if p is None else next(rest) for p in p_values]
