"""What a warmup buys: the four answers on made-up runs, the seeds needed, and error rates by simulation."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
from fake_trials import trials_up_to
from scipy import stats

from warmup_lab.comparison.lr_jitter.gain import EFFECT, seeds_needed, warmup_gain
from warmup_lab.comparison.lr_jitter.survival import FIRST_MULTIPLES

STEP = math.sqrt(2)
SEEDS = 12


def test_a_warmup_raises_the_usable_lr():
    """Log ratios in steps: 1 at 8 seeds, 2 at 4. Mean 4/3, SD 0.4924, t(11) = 2.201: 0.3128 to each side.

    All cold seeds turn between the same two rates, which adds 1/2; 4 of 12 warmed seeds survive the one rate at which
    they differ, which adds 1/2 - 1/3.
    """
    found = warmup_gain(trials_up_to([3] * SEEDS, [4] * 8 + [5] * 4))
    assert found.answer == "raises"
    assert found.ratio == pytest.approx(STEP ** (4 / 3))
    half = 0.3128 + 1 / 2 + 1 / 6
    assert found.interval == pytest.approx((STEP ** (4 / 3 - half), STEP ** (4 / 3 + half)), rel=1e-3)
    assert found.lr50["cold"].lr50 == pytest.approx(0.004 * 2 ** (-1 / 2 - 1 / 4))  # between 1/2 and 0.71
    assert found.at_seeds == pytest.approx(dict.fromkeys(range(8), STEP) | dict.fromkeys(range(8, 12), 2.0))
    assert (found.num_seeds_needed, found.reason) == (None, None)


def test_a_warmup_lowers_the_usable_lr():
    found = warmup_gain(trials_up_to([4] * 8 + [5] * 4, [3] * SEEDS))
    assert found.answer == "lowers"
    assert found.ratio == pytest.approx(STEP ** (-4 / 3))


def test_a_warmup_buys_nothing_if_the_90_percent_interval_is_within_the_margin():
    """Differences of 0 at 8 seeds, of one step up and down at 2 each: SD 0.6030 steps, t(11) at 90 % = 1.796.

    Both lines turn at two rates or more, so the grid adds nothing.
    """
    found = warmup_gain(trials_up_to([3, 5, 4, 4, 4, 4, 3, 5, *[4] * 4], [3, 5, 4, 4, 4, 4, 3, 5, 5, 5, 3, 3]))
    assert found.answer == "nothing"
    assert found.ratio == pytest.approx(1)
    half = 1.7959 * 0.6030 / math.sqrt(12)
    assert found.interval_90 == pytest.approx((STEP**-half, STEP**half), rel=1e-3)
    assert found.interval_90[1] < EFFECT


def test_five_seeds_never_show_that_a_warmup_buys_nothing():
    """It was said after a sign test, whose smallest p with 5 seeds is 0.0625."""
    assert warmup_gain(trials_up_to([4] * 5, [4] * 5)).answer == "undecided"
    assert warmup_gain(trials_up_to([4] * 5, [5, 4, 4, 4, 4])).answer == "undecided"
    assert stats.binomtest(5, 5).pvalue == 0.0625


def test_a_wide_interval_is_undecided_and_the_seeds_needed_depend_on_the_spread_alone():
    even = warmup_gain(trials_up_to([4] * SEEDS, [2, 6] * 6))
    shifted = warmup_gain(trials_up_to([3] * SEEDS, [2, 6] * 6))
    assert (even.answer, even.ratio) == ("undecided", pytest.approx(1))
    assert (shifted.answer, shifted.ratio) == ("undecided", pytest.approx(STEP))
    half_a_step = math.log(STEP) / 2  # the cold seeds all turn between the same two rates
    needed = seeds_needed(2 * math.log(STEP) * math.sqrt(12 / 11), half_a_step)
    assert even.num_seeds_needed == shifted.num_seeds_needed == needed
    assert "neither shown to differ from 1 nor to be between 0.8 and 1.25" in even.reason


def test_seeds_that_all_agree_decide_no_more_than_a_step():
    found = warmup_gain(trials_up_to([4] * SEEDS, [4] * SEEDS))
    assert found.answer == "undecided"
    assert found.interval == pytest.approx((1 / STEP, STEP))
    assert found.num_seeds_needed is None
    assert "rates closer together would decide it, more seeds would not" in found.reason
    assert warmup_gain(trials_up_to([4] * SEEDS, [5] * SEEDS)).answer == "raises"


def test_one_seed_that_differs_decides_no_more_than_if_all_agreed():
    """It was said that the warmup buys nothing: 11 of 12 log ratios are 0, so the t-interval is narrow."""
    found = warmup_gain(trials_up_to([4] * SEEDS, [4] * 11 + [5]))
    assert found.answer == "undecided"
    assert "rates closer together would decide it, more seeds could only show that it is not 1" in found.reason


@pytest.mark.parametrize(
    ("cold", "warmed", "answer", "bound"),
    [
        ([3, 4] * 6, [7] * 12, "raises", "at least"),  # no warmed run failed
        ([7] * 12, [3, 4] * 6, "lowers", "at most"),
        ([7] * 12, [7, 6] * 6, "undecided", "about"),
        ([0] * 12, [0] * 12, "undecided", "about"),
    ],
)
def test_a_grid_that_does_not_reach_an_end(cold, warmed, answer, bound):
    found = warmup_gain(trials_up_to(cold, warmed))
    assert (found.answer, found.bound) == (answer, bound)
    assert found.num_seeds_needed is None


def test_only_seeds_that_finished_everywhere_are_paired():
    made = trials_up_to([4] * SEEDS, [5] * SEEDS)
    made[3] = dataclasses.replace(made[3], tried=tuple(range(10)))
    assert list(warmup_gain(made).at_seeds) == list(range(10))


def test_without_runs_at_the_same_rates_there_is_no_ratio():
    made = trials_up_to([4] * SEEDS, [5] * SEEDS)
    for few in ([], made[:2], made[:-1], [one for one in made if one.start == "cold"]):
        found = warmup_gain(few)
        assert (found.answer, found.ratio) == ("undecided", None)
        assert "cold and warmed runs at the same two or more rates are needed" in found.reason


@pytest.mark.parametrize("deviation", [0.18, 0.27, 0.38])
def test_the_seeds_needed_have_the_stated_power(deviation):
    """10,000 simulated studies with normal log ratios; the standard error of a power of 0.8 is 0.004."""
    num = seeds_needed(deviation)
    rng = np.random.default_rng(0)
    logs = rng.normal(0, deviation, (10_000, num))
    error = logs.std(axis=1, ddof=1) / math.sqrt(num)
    within = np.abs(logs.mean(axis=1)) + stats.t.isf(0.05, num - 1) * error < math.log(EFFECT)
    differs = np.abs(logs.mean(axis=1) + math.log(EFFECT)) > stats.t.isf(0.025, num - 1) * error
    assert 0.79 <= min(within.mean(), differs.mean()) <= 0.9


def test_no_number_of_seeds_up_to_1000_suffices():
    assert seeds_needed(10.0) is None


@cache
def answers(ratio: float, *, slope: float = 0.1, studies: int = 400) -> Counter[str]:
    """Answers of simulated studies of 12 seeds; failure is logistic in log lr, with `slope` as its scale.

    `slope` 0.1 gives log ratios an SD of 0.26 and is what `experiments/lr_jitter` had. Each seed has its own lr50, with
    an SD of 0.2, and the grid a random position.
    """
    rng = np.random.default_rng([int(100 * ratio), int(100 * slope)])
    grid = np.log(FIRST_MULTIPLES)[:, None]
    found: Counter[str] = Counter()
    for _ in range(studies):
        middle = math.log(0.7) + rng.normal(0, 0.2, SEEDS) + rng.uniform(-0.17, 0.17)
        made = trials_up_to([0] * SEEDS, [0] * SEEDS)
        for start, shift in (("cold", -0.5), ("warmed", 0.5)):
            odds = np.exp((grid - middle - shift * math.log(ratio)) / slope)
            learned = rng.random(odds.shape) >= odds / (1 + odds)
            rows = iter(learned)
            made = [
                dataclasses.replace(one, survivors=tuple(np.flatnonzero(next(rows)))) if one.start == start else one
                for one in made
            ]
        found[warmup_gain(made).answer] += 1
    return found


@pytest.mark.parametrize(
    ("ratio", "answer", "low", "high"),
    [(1, "nothing", 0.6, 1), (1.41, "raises", 0.9, 1), (1 / 1.41, "lowers", 0.9, 1), (1.25, "nothing", 0, 0.08)],
)
def test_simulated_error_rates_and_power(ratio, answer, low, high):
    """400 studies: the standard error of 0.05 is 0.011, of 0.7 is 0.023. README.md has the table."""
    assert low <= answers(ratio)[answer] / 400 <= high


def test_simulated_false_effects():
    found = answers(1)
    assert (found["raises"] + found["lowers"]) / 400 <= 0.08
