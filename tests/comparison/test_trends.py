"""Trend tests against scipy's Page and sign tests, and by hand."""

import numpy as np
import pytest
from scipy import stats

from warmup_lab.comparison.trends import trend_test


@pytest.mark.parametrize("levels", [3, 4, 6])
def test_one_stratum_without_ties_is_pages_test(levels):
    values = np.random.default_rng(levels).normal(size=(1, levels, 7)) + 0.4 * np.arange(levels)[None, :, None]
    page = stats.page_trend_test(values[0].T, method="exact")
    assert trend_test(values).p_value == pytest.approx(2 * page.pvalue)


def test_two_levels_are_a_sign_test():
    values = np.array([[[0.0] * 7, [1.0] * 6 + [-1.0]]])
    assert trend_test(values).p_value == pytest.approx(stats.binomtest(6, 7).pvalue)


def test_more_than_seven_levels_use_the_normal_approximation():
    values = np.random.default_rng(0).normal(size=(1, 8, 20))
    page = stats.page_trend_test(values[0].T, method="asymptotic")
    found = trend_test(values)
    assert found.p_value == pytest.approx(2 * min(page.pvalue, 1 - page.pvalue), rel=1e-6)


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


def test_a_stratum_with_a_missing_value_is_left_out_at_that_seed():
    values = np.random.default_rng(1).normal(size=(2, 3, 6))
    values[1, 0, 2] = np.nan
    rest = values.copy()
    rest[1, :, 2] = 7.0  # equal values carry no information
    assert trend_test(values) == trend_test(rest)


def test_strata_of_a_seed_are_permuted_together():
    """A stratum that repeats another adds nothing: the same p as without it."""
    one = np.random.default_rng(2).normal(size=(1, 4, 5)) + 0.3 * np.arange(4)[None, :, None]
    assert trend_test(np.concatenate([one, one])).p_value == pytest.approx(trend_test(one).p_value)


def test_size_under_the_null():
    """1,000 nulls of 4 levels and 6 seeds: the standard error of 0.05 is 0.007, and an exact test is conservative."""
    rng = np.random.default_rng(3)
    rejected = [trend_test(rng.normal(size=(1, 4, 6))).p_value <= 0.05 for _ in range(1000)]
    assert 0.02 < np.mean(rejected) < 0.07
