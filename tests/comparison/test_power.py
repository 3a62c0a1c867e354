"""Numbers of seeds and effects, against statsmodels and Cohen's tables."""

import pytest
from statsmodels.stats.power import TTestPower

from warmup_lab.comparison.power import effect_shown_by, num_seeds_to_show
from warmup_lab.comparison.statistics import MIN_PAIRS


@pytest.mark.parametrize(("effect", "spread"), [(1.0, 1.0), (0.5, 1.0), (0.02, 0.03)])
@pytest.mark.parametrize("level", [0.05, 0.05 / 7])
def test_the_number_of_seeds_is_the_smallest_with_that_power(effect, spread, level):
    found = num_seeds_to_show(effect, spread, level=level)
    powers = [TTestPower().power(effect / spread, number, level) for number in (found - 1, found)]
    assert powers[0] < 0.8 <= powers[1]


def test_the_number_of_seeds_of_cohen():
    """Paired, d = 0.5, two-sided 5 %, 80 % power: 34 pairs."""
    assert num_seeds_to_show(0.5, 1.0) == 34


def test_no_fewer_seeds_than_a_test_needs():
    for effect, spread in ((5.0, 1.0), (9.0, 1.0), (1e6, 1.0), (1.0, 0.0)):
        assert num_seeds_to_show(effect, spread) == MIN_PAIRS


@pytest.mark.parametrize(("num_seeds", "spread", "level"), [(12, 0.03, 0.05), (24, 2.0, 0.025)])
def test_so_many_seeds_have_that_power_at_their_effect(num_seeds, spread, level):
    effect = effect_shown_by(num_seeds, spread, level=level)
    assert TTestPower().power(effect / spread, num_seeds, level) == pytest.approx(0.8, abs=1e-4)
