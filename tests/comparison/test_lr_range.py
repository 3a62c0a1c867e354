"""lr50 and its ratio, by hand and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from warmup_lab.comparison.lr_range import log_lr50, lr50_ratio, usable_lr

LRS = [1e-3, 2e-3, 4e-3, 8e-3]


def up_to(*numbers: int) -> np.ndarray:
    """`(4, seeds)`: each seed learns at its so many smallest learning rates."""
    return np.arange(4)[:, None] < np.array(numbers)


def test_lr50_lies_half_way_between_the_last_lr_that_learned_and_the_first_that_failed():
    assert np.exp(log_lr50(up_to(2, 3, 0, 4), LRS)) == pytest.approx(np.array([2, 4, 0.5, 8]) * 1e-3 * math.sqrt(2))


def test_lr50_on_an_uneven_grid():
    """x = 0, 1, 3 in units of ln 2: the widths are 1, 1.5 and 2, and the grid starts at -0.5."""
    logs = log_lr50(np.array([[True], [False], [True]]), [1.0, 2.0, 8.0])
    assert logs[0] == pytest.approx((-0.5 + 1 + 2) * math.log(2))


def test_seeds_that_agree_have_an_interval_of_one_grid_step_to_each_side():
    found = usable_lr(up_to(2, 2, 2, 2, 2, 2), LRS)
    assert found.lr50 == pytest.approx(2e-3 * math.sqrt(2))
    assert found.interval == pytest.approx((1e-3 * math.sqrt(2), 4e-3 * math.sqrt(2)))
    assert (found.reaches_low, found.reaches_high) == (True, True)


def test_the_ratio_is_paired_by_seed_and_its_interval_is_that_of_a_t_test():
    """Log2 ratios 1, 1, 2, 1, 1, 2: mean 4/3, SD 0.5164, t(5) = 2.5706.

    The seeds of the second line differ at one learning rate, at which 4 of 6 learn: 4/6 - 1/2 of a step more.
    """
    first, second = up_to(2, 3, 4, 3, 2, 4), up_to(1, 2, 2, 2, 1, 2)
    found = lr50_ratio(first, second, LRS)
    assert found.ratio == pytest.approx(2 ** (4 / 3))
    half = 2.570582 * 0.5163978 / math.sqrt(6) + 1 / 6
    assert found.interval == pytest.approx((2 ** (4 / 3 - half), 2 ** (4 / 3 + half)), rel=1e-5)
    assert found.p_value == pytest.approx(stats.ttest_1samp([1, 1, 2, 1, 1, 2], 0).pvalue)


def test_a_coarse_grid_widens_the_interval_as_long_as_the_seeds_turn_at_one_rate():
    """11 of 12 seeds of the first line stop learning at 2e-3, one at 4e-3; all of the second at 8e-3.

    True thresholds just below 4e-3 and just above it would give the same runs, so only the test of equality excludes a
    ratio near 1: under equality, both lines are on the grid alike.
    """
    found = lr50_ratio(up_to(*[1] * 11, 2), up_to(*[3] * 12), LRS)
    low, high = stats.t.interval(0.95, 11, loc=-23 / 12, scale=stats.sem([-2] * 11 + [-1]))
    assert high + 1 / 2 + 5 / 12 < 0
    assert found.interval == pytest.approx((2 ** (low - 1 / 2 - 5 / 12), 2 ** (high + 1 / 2 + 5 / 12)))
    near = lr50_ratio(up_to(*[2] * 11, 3), up_to(*[3] * 12), LRS)
    assert near.p_value < 0.05
    assert near.interval[1] > 1
    assert near.without_one.interval == (near.interval[0], 1)
    assert near.inverse.without_one.interval == pytest.approx((1, 1 / near.interval[0]))


@pytest.mark.parametrize(
    ("first", "second", "bound"),
    [((4,) * 6, (2,) * 6, "at least"), ((2,) * 6, (4,) * 6, "at most"), ((2,) * 6, (0,) * 6, "at least"),
     ((4,) * 6, (4, 3, 4, 4, 4, 4), "about"), ((3,) * 6, (2,) * 6, None)],
)  # fmt: skip
def test_a_grid_that_does_not_reach_an_end_censors_the_ratio(first, second, bound):
    assert lr50_ratio(up_to(*first), up_to(*second), LRS).bound == bound


@pytest.mark.parametrize(("first", "second"), [((4,) * 6, (2,) * 6), ((3, 2, 3, 3, 2, 3), (1, 2, 1, 1, 1, 1))])
def test_the_inverse_is_the_ratio_of_the_exchanged_lines(first, second):
    one, other = lr50_ratio(up_to(*first), up_to(*second), LRS), lr50_ratio(up_to(*second), up_to(*first), LRS)
    assert one.inverse.ratio == pytest.approx(other.ratio)
    assert one.inverse.interval == pytest.approx(other.interval)
    assert (one.inverse.bound, one.inverse.num_seeds) == (other.bound, other.num_seeds)


def test_where_no_run_or_every_run_failed_there_is_no_test():
    assert lr50_ratio(up_to(*[4] * 6), up_to(*[4] * 6), LRS).p_value is None
    assert lr50_ratio(up_to(*[0] * 6), up_to(*[0] * 6), LRS).p_value is None


@pytest.mark.parametrize(("seeds", "ratio", "low", "high"), [(6, 1, 0, 0.07), (6, 2, 0.8, 1), (12, 2, 0.95, 1)])
def test_size_and_power(seeds, ratio, low, high):
    """5 lrs a factor 1.41 apart, failure logistic in log lr; 1,000 sweeps, so the standard error of 0.05 is 0.007."""
    lrs = 1.41 ** np.arange(5)
    rng = np.random.default_rng(0)

    def learned(lr50: float) -> np.ndarray:
        odds = np.exp(6 * (np.log(lrs)[:, None] - np.log(lr50) - 0.2 * rng.normal(size=seeds)))
        return rng.random((5, seeds)) >= odds / (1 + odds)

    middle, half = lrs[2], math.sqrt(ratio)
    p_values = [lr50_ratio(learned(middle * half), learned(middle / half), list(lrs)).p_value for _ in range(1000)]
    assert low <= np.mean([p is not None and p <= 0.05 for p in p_values]) <= high
