"""Trend tests against scipy's Page and sign tests, and by hand."""

import numpy as np
import pytest
from scipy import stats

from warmup_lab.comparison.trends import permutation_p, trend_test


def ranks(values: np.ndarray) -> np.ndarray:
    """Centred ranks `(seeds, levels)` of one stratum `(levels, seeds)`."""
    return stats.rankdata(values, axis=0).T - (len(values) + 1) / 2


@pytest.mark.parametrize("levels", [3, 4, 6])
def test_permutation_in_one_stratum_without_ties_is_pages_test(levels):
    values = np.random.default_rng(levels).normal(size=(levels, 7)) + 0.4 * np.arange(levels)[:, None]
    page = stats.page_trend_test(values.T, method="exact")
    assert permutation_p(ranks(values)) == pytest.approx(2 * page.pvalue)


def test_permutation_of_two_levels_is_a_sign_test():
    values = np.array([[0.0] * 7, [1.0] * 6 + [-1.0]])
    assert permutation_p(ranks(values)) == pytest.approx(stats.binomtest(6, 7).pvalue)


def test_more_than_seven_levels_use_the_normal_approximation():
    values = np.random.default_rng(0).normal(size=(8, 20))
    page = stats.page_trend_test(values.T, method="asymptotic")
    assert permutation_p(ranks(values)) == pytest.approx(2 * min(page.pvalue, 1 - page.pvalue), rel=1e-6)


def test_p_is_the_larger_of_permutation_and_a_t_test_of_the_slopes():
    """Of 8 seeds 6 rise and 2 fall in perfect order. Each slope is 5 or -5 (ranks times scores: 2.25 + 0.25 + ...)."""
    order = np.arange(4.0)[:, None]
    values = np.concatenate([np.repeat(order, 6, axis=1), np.repeat(-order, 2, axis=1)], axis=1)
    by_seed = stats.ttest_1samp([5.0] * 6 + [-5.0] * 2, 0).pvalue
    assert permutation_p(ranks(values)) < 0.02
    assert by_seed == pytest.approx(0.17, abs=0.01)
    assert trend_test(values[None]).p_value == pytest.approx(by_seed)


def test_equal_slopes_leave_the_p_value_to_permutation():
    values = np.repeat(np.arange(4.0)[:, None], 6, axis=1)
    assert trend_test(values[None]).p_value == pytest.approx(permutation_p(ranks(values)))


def test_failures_that_fall_with_warmup_are_found():
    """11, 6, 2 and 0 of 12 runs failed: two schedulers, six seeds."""
    failed = np.zeros((2, 4, 6))
    for level, count in enumerate((11, 6, 2, 0)):
        failed[:, level] = (np.arange(12) < count).reshape(6, 2).T
    found = trend_test(failed)
    assert found.z < -3
    assert found.p_value < 1e-3


def test_where_the_test_cannot_reject_there_is_none():
    assert trend_test(np.zeros((2, 4, 6))) is None
    assert trend_test(np.ones((2, 1, 6))) is None
    assert trend_test(np.random.default_rng(0).normal(size=(2, 4, 5))) is None, "fewer than 6 seeds"


def test_a_stratum_with_a_missing_value_is_left_out_at_that_seed():
    values = np.random.default_rng(1).normal(size=(2, 3, 6))
    values[1, 0, 2] = np.nan
    rest = values.copy()
    rest[1, :, 2] = 7.0  # equal values carry no information
    assert trend_test(values) == trend_test(rest)


def test_strata_of_a_seed_are_permuted_together():
    """A stratum that repeats another adds nothing: the same p as without it."""
    one = np.random.default_rng(2).normal(size=(1, 4, 6)) + 0.3 * np.arange(4)[None, :, None]
    assert trend_test(np.concatenate([one, one])).p_value == pytest.approx(trend_test(one).p_value)


def test_size_under_the_null():
    """1,000 nulls of 4 levels and 6 seeds: the standard error of 0.05 is 0.007, and an exact test is conservative."""
    rng = np.random.default_rng(3)
    rejected = [trend_test(rng.normal(size=(1, 4, 6))).p_value <= 0.05 for _ in range(1000)]
    assert 0.02 < np.mean(rejected) < 0.07


def test_size_where_neighbouring_levels_of_a_seed_are_alike():
    """Correlation 0.6 ** distance, 8 levels. Permutation alone rejects 17 %; standard error 0.008 at 800 nulls."""
    rng, distance = np.random.default_rng(4), np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    correlate = np.linalg.cholesky(0.6**distance)
    nulls = [correlate @ rng.normal(size=(8, 6)) for _ in range(800)]
    assert np.mean([trend_test(values[None]).p_value <= 0.05 for values in nulls]) < 0.075
    assert np.mean([permutation_p(ranks(values)) <= 0.05 for values in nulls]) > 0.12
