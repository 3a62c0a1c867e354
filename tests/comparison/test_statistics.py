"""Tests and intervals on arrays, against R, scipy, statsmodels, papers and hand calculations."""

import math

import numpy as np
import pytest
from fake_runs import NOISE
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from warmup_lab.comparison.statistics import (
    MIN_PAIRS,
    Rate,
    equal_rates_p,
    excess_failures_bound,
    holm,
    log_median,
    mean_interval,
    non_inferiority_p,
    paired_test,
    rank_test,
    rates_differ_p,
    wilson,
    wilson_bounds,
)

# R's `sleep` (Student 1908): t.test(extra ~ group, paired = TRUE) gives t = -4.0621, df = 9, p-value = 0.002833,
# 95 percent confidence interval -2.4598858 -0.7001142.
DRUG_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
DRUG_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_paired_test_of_students_sleep_data_equals_r():
    found = paired_test(DRUG_1, DRUG_2)
    assert found.num_pairs == 10
    assert found.difference == pytest.approx(-1.58)
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)
    assert found.interval_95 == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert not found.exact


def test_paired_test_by_hand():
    # Differences 1..6: mean 3.5, SD sqrt(3.5), standard error 0.76376; t(5) at 97.5 % is 2.57058, at 95 % 2.01505.
    found = paired_test(np.arange(1.0, 7.0) + 10, np.full(6, 10.0))
    assert found.interval_95 == pytest.approx((3.5 - 2.57058 * 0.76376, 3.5 + 2.57058 * 0.76376), abs=1e-4)
    assert found.interval_90 == pytest.approx((3.5 - 2.01505 * 0.76376, 3.5 + 2.01505 * 0.76376), abs=1e-4)


@pytest.mark.parametrize("num_pairs", [6, 7, 20])
@pytest.mark.parametrize("margin", [0.1, 0.5, 3.0])
def test_paired_test_equals_scipy_and_statsmodels(num_pairs, margin):
    rng = np.random.default_rng(num_pairs)
    first, second = rng.normal(size=(2, num_pairs))
    found = paired_test(first, second, margin=margin)
    reference = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.interval_95 == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-9)
    assert found.interval_90 == pytest.approx(tuple(reference.confidence_interval(0.90)), rel=1e-9)
    assert found.p_equivalent == pytest.approx(ttost_paired(first, second, -margin, margin)[0], rel=1e-9)


def test_tost_rejects_exactly_if_the_90_percent_interval_is_within_the_margin():
    rng = np.random.default_rng(0)
    for _ in range(200):
        found = paired_test(rng.normal(size=8), rng.normal(size=8), margin=1.0)
        assert (found.p_equivalent < 0.05) == (max(map(abs, found.interval_90)) < 1.0)


def test_non_inferiority_is_one_side_of_tost():
    better = non_inferiority_p(DRUG_2, DRUG_1, margin=1.0, smaller_is_better=False)
    assert better == pytest.approx(stats.ttest_rel(DRUG_2 + 1.0, DRUG_1, alternative="greater").pvalue)
    mirrored = non_inferiority_p(-DRUG_2, -DRUG_1, margin=1.0, smaller_is_better=True)
    assert mirrored == pytest.approx(better)
    assert non_inferiority_p(DRUG_1, DRUG_2, margin=1.0, smaller_is_better=False) > 0.5


def test_float_noise_does_not_count_as_spread():
    reference = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 1.1])
    found = paired_test(reference + 0.1 + 0.2, reference)
    assert np.ptp(reference + 0.1 + 0.2 - reference) > 0
    assert found.exact
    assert found.p_value == 2**-7


def test_too_few_pairs_are_not_tested():
    assert MIN_PAIRS == 6
    assert paired_test(NOISE[:5], NOISE[:5] + 9).p_value is None
    assert paired_test(NOISE[:0], NOISE[:0]).difference is None


def test_mean_interval_equals_statsmodels():
    assert mean_interval(DRUG_1) == pytest.approx(DescrStatsW(DRUG_1).tconfint_mean(0.05))
    assert mean_interval(np.array([1.0])) is None
    assert mean_interval(np.array([2.0, 2.0])) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_equal_those_of_newcombe_1998(count, total, low, high):
    rate = wilson(count, total)
    assert (rate.low, rate.high) == pytest.approx((low, high), abs=5e-5)


def test_a_rate_without_runs_has_no_interval():
    assert wilson(0, 0) == Rate(0, 0, None, None)
    assert math.isnan(wilson(0, 0).share)


@pytest.mark.parametrize(("count", "total"), [(0, 20), (1, 50), (6, 20), (20, 20)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_one_sided_bounds_are_scipys(count, total, confidence):
    """A one-sided bound is an end of the two-sided interval that leaves the same tail on each side."""
    theirs = stats.binomtest(count, total).proportion_ci(confidence_level=2 * confidence - 1, method="wilson")
    assert wilson_bounds(count, total, confidence=confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_one_sided_bounds_by_hand():
    """With no success the upper bound is z^2 / (n + z^2), with nothing but successes the lower one n / (n + z^2)."""
    z2 = 2.3263478740408408**2  # 99 % of the normal distribution
    assert wilson_bounds(0, 50, confidence=0.99)[1] == pytest.approx(z2 / (50 + z2))
    assert wilson_bounds(20, 20, confidence=0.99)[0] == pytest.approx(20 / (20 + z2))
    assert wilson_bounds(0, 0, confidence=0.99) == (0.0, 1.0)


def test_boschloo_by_hand():
    # 6 of 8 against 0 of 8 (one-sided Fisher 0.0035): as extreme are (6,0) (7,0) (8,0) (8,1) (8,2), which are
    # 28 + 8 + 1 + 8 + 28 = 73 of 2**16 ways at a rate of one half, the worst case; doubled for two sides.
    assert rates_differ_p(6, 8, 0, 8) == pytest.approx(2 * 73 / 2**16)
    assert rates_differ_p(0, 8, 6, 8) == rates_differ_p(6, 8, 0, 8)


@pytest.mark.parametrize(("one", "other"), [((0, 8), (0, 8)), ((8, 8), (8, 8)), ((0, 3), (0, 9))])
def test_rates_do_not_differ_if_none_or_all_failed(one, other):
    assert rates_differ_p(*one, *other) == 1.0


@pytest.mark.parametrize("other_total", [5, 8])
def test_boschloo_is_at_least_as_powerful_as_fisher_on_either_side(other_total):
    for count in range(9):
        for other in range(other_total + 1):
            tables = [[count, other], [8 - count, other_total - other]]
            fisher = min(stats.fisher_exact(tables, alternative=side).pvalue for side in ("less", "greater"))
            assert rates_differ_p(count, 8, other, other_total) <= min(1.0, 2 * fisher) + 1e-9


@pytest.mark.parametrize(
    ("one", "other"), [((0, 12), (0, 12)), ((12, 12), (12, 12)), ((0, 0), (3, 12)), ((3, 12), (0, 0))]
)
def test_equal_rates_are_not_tested_where_the_test_cannot_reject(one, other):
    assert equal_rates_p(wilson(*one), wilson(*other)) is None


def test_equal_rates_are_tested_by_boschloo():
    assert equal_rates_p(wilson(6, 8), wilson(0, 8)) == pytest.approx(2 * 73 / 2**16)


@pytest.mark.parametrize(
    ("one", "other", "upper"),
    [((56, 70), (48, 80), 0.3339), ((9, 10), (3, 10), 0.8090), ((5, 56), (0, 29), 0.1926)],
)
def test_newcombes_interval_equals_that_of_his_paper(one, other, upper):
    """Newcombe (1998), table II, method 10, has the upper ends of two-sided 95 % intervals; ours is one-sided 95 %."""

    def bound(z):
        (count, total), (other_count, other_total) = one, other
        p, q = count / total, other_count / other_total
        middle = (count + z * z / 2) / (total + z * z)
        half = z * math.sqrt(total * p * (1 - p) + z * z / 4) / (total + z * z)
        other_middle = (other_count + z * z / 2) / (other_total + z * z)
        other_half = z * math.sqrt(other_total * q * (1 - q) + z * z / 4) / (other_total + z * z)
        return p - q + math.hypot(middle + half - p, q - (other_middle - other_half))

    assert bound(stats.norm.isf(0.025)) == pytest.approx(upper, abs=5e-5)
    assert excess_failures_bound(*one, *other) == pytest.approx(bound(stats.norm.isf(0.05)))


def test_the_bound_of_no_failures_is_exact():
    """At a true rate of the bound, 0 of 12 has a probability of 5 %."""
    bound = excess_failures_bound(0, 12, 0, 12)
    assert bound == pytest.approx(0.2209, abs=1e-4)
    assert stats.binom.pmf(0, 12, bound) == pytest.approx(0.05)
    assert excess_failures_bound(3, 12, 0, 12) == pytest.approx(
        confint_proportions_2indep(3, 12, 0, 12, method="newcomb", alpha=0.1)[1]
    )


def test_without_runs_no_excess_is_excluded():
    assert excess_failures_bound(0, 0, 0, 12) == excess_failures_bound(0, 12, 0, 0) == 1.0


# --------------------------------------------------------------------------------------------- rank test


@pytest.mark.parametrize("num_pairs", [6, 8, 11])
def test_the_rank_test_is_a_permutation_test_of_joint_ranks(num_pairs):
    rng = np.random.default_rng(num_pairs)
    first, second = rng.normal(size=(2, num_pairs)) + np.array([[0.0], [0.7]])
    ranks = stats.rankdata(np.concatenate([first, second])).reshape(2, num_pairs)
    exact = stats.permutation_test(
        ranks, lambda one, other, axis: (one - other).sum(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    p_value, difference = rank_test(first, second)
    assert p_value == pytest.approx(exact.pvalue)
    assert difference == pytest.approx((ranks[0] - ranks[1]).mean())


def test_the_rank_test_by_hand():
    """Pairs (1, 2), (3, 4), ...: every difference of ranks is -1, so the test is a sign test."""
    p_value, difference = rank_test(np.arange(1.0, 13, 2), np.arange(2.0, 14, 2))
    assert (p_value, difference) == (2 / 2**6, -1)


def test_infinite_values_tie_with_each_other():
    """Ranks 5.5 of the infinite ones: differences 1 - 3, 2 - 4, 0, ... and every seed with two infinities drops out."""
    first = np.array([1.0, 2.0, np.inf, np.inf, np.inf, np.inf])
    second = np.array([3.0, 4.0, np.inf, np.inf, np.inf, np.inf])
    p_value, difference = rank_test(first, second)
    assert p_value == pytest.approx(0.5)  # two signs agree: 2 of 4 ways
    assert difference == pytest.approx(-4 / 6)


def test_a_rank_test_that_cannot_reject_has_no_p_value():
    assert rank_test(np.full(6, np.inf), np.full(6, np.inf)) == (None, 0.0)
    assert rank_test(np.arange(5.0), np.arange(5.0) + 9) == (None, -5.0)
    assert rank_test(np.empty(0), np.empty(0)) == (None, 0.0)


def test_only_the_order_counts_in_a_rank_test():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 9))
    assert rank_test(np.exp(first), np.exp(second)) == rank_test(first, second)
    assert rank_test(second, first) == (rank_test(first, second)[0], -rank_test(first, second)[1])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.04, None, 0.01]) == [pytest.approx(0.04), None, pytest.approx(0.02)]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


@pytest.mark.parametrize("num_tests", [1, 2, 7, 14, 100])
def test_holm_equals_statsmodels(num_tests):
    rng = np.random.default_rng(num_tests)
    for scale in (0.001, 0.1, 1.0):
        p_values = np.round(scale * rng.random(num_tests), 4).tolist()  # rounded, so that there are ties
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), rel=1e-12)


def test_log_median_by_hand():
    assert log_median([100.0, 1.0, 10.0]) == pytest.approx(10.0)
    assert log_median([1.0, 4.0]) == pytest.approx(2.0)  # the geometric mean
    assert log_median([1.0, 4.0, None]) == pytest.approx(4.0)
    assert log_median([1.0, None]) is None
    assert log_median([None, None]) is None
    assert log_median([]) is None
