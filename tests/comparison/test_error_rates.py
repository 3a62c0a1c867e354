"""How often the verdicts are wrong: the short form of benchmarks/null_test.py."""

import runpy
from pathlib import Path

import pytest
from scipy import stats

NULL_TEST = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "null_test.py"))


NUM_SWEEPS = 200


def num_sweeps_with(name: str, sweeps: int) -> int:
    """In how many simulated sweeps the event of the benchmark's row `name` happens."""
    (row,) = [row for row in NULL_TEST["rows"]() if row.name == name]
    return round(NULL_TEST["measure"](row, sweeps=sweeps, seed=1)["share"] * sweeps)


@pytest.mark.parametrize(
    "name",
    ["all the same, normal: any better or worse", "all the same, skewed: any better or worse"],
)
def test_equal_arms_are_rarely_called_different(name):
    # At a true rate of 5 % one seed in a thousand would exceed this quantile.
    assert num_sweeps_with(name, NUM_SWEEPS) <= stats.binom.ppf(0.999, NUM_SWEEPS, 0.05)


@pytest.mark.parametrize("name", ["one worse by 2 SD, normal: found", "one worse by 2 SD, skewed: found"])
def test_a_difference_of_two_standard_deviations_is_found(name):
    # Holm's first step over 7 arms with 8 pairs has power 0.924 by the noncentral t; 0.88 is what is asked.
    assert stats.nct.sf(stats.t.isf(0.025 / 7, 7), 7, 2 * 8**0.5) == pytest.approx(0.924, abs=1e-3)
    assert num_sweeps_with(name, NUM_SWEEPS) >= stats.binom.ppf(0.001, NUM_SWEEPS, 0.88)


def test_choosing_the_lr_on_the_same_sweep_raises_no_false_alarm():
    assert num_sweeps_with("own lr, best by 0.7 SD, normal: any", 80) <= stats.binom.ppf(0.999, 80, 0.05)
