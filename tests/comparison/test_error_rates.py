"""How often verdicts are wrong: the short form of benchmarks/null_test.py, which `make null-test` runs."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NUM_SWEEPS = 100


@pytest.fixture(scope="module")
def rows():
    """Every row of the benchmark. Its modules import their neighbours by name, as in a script."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        parts = importlib.import_module("null_test").PARTS
    return [row for _, make_rows in parts.values() for row in make_rows()]


@pytest.fixture
def count(rows):
    """In how many simulated sweeps the event of a row happens."""

    def count_events(truth: str, seeds: int, event: str, num_sweeps: int = NUM_SWEEPS) -> int:
        (row,) = [row for row in rows if (row.truth, row.event) == (truth, event) and seeds in row.seeds]
        rng = np.random.default_rng(1)
        return sum(row.happens(seeds, rng) for _ in range(num_sweeps))

    return count_events


def highest(share: float, num_sweeps: int = NUM_SWEEPS) -> float:
    """At this true share, one seed of the random numbers in a thousand exceeds the count."""
    return stats.binom.ppf(0.999, num_sweeps, share)


def lowest(share: float, num_sweeps: int = NUM_SWEEPS) -> float:
    return stats.binom.ppf(0.001, num_sweeps, share)


@pytest.mark.parametrize(
    ("truth", "seeds"),
    [
        ("nothing, normal losses", 8),
        ("nothing, skew", 8),
        ("nothing, 30 % of all runs fail", 12),
        ("nothing, truncation", 12),
        ("nothing, censoring", 12),
        ("nothing, 3 warmups x 5 lrs", 6),
        ("neighbouring lengths of a seed alike (0.9), 8 lengths", 6),
        ("lr50 equal, no warmup tried at 2 of 5 lrs", 12),
        ("3 settings x 2 warmups x 5 lrs, too few seeds for a test", 5),
    ],
)
def test_equal_arms_are_rarely_called_different(count, truth, seeds):
    assert count(truth, seeds, "any false claim") <= highest(0.05)


def test_looks_do_not_add_false_claims(count):
    assert count("nothing, normal losses", 24, "any false claim at any look", 60) <= highest(0.05, 60)


@pytest.mark.parametrize(
    ("truth", "seeds", "power"),
    [
        ("no warmup worse by 1 SD", 24, 0.8),
        ("no warmup worse by 2 SD", 8, 0.88),
        ("no warmup worse by 2 SD, skew", 8, 0.88),
        ("no warmup fails in 80 % against 20 %", 24, 0.8),
        ("lr50 without warmup smaller by a factor of 1.41", 24, 0.8),
        ("lr50 without warmup smaller by a factor of 2", 6, 0.8),
        ("lr50 without warmup smaller by a factor of 2", 12, 0.95),
    ],
)
def test_effects_are_found(count, truth, seeds, power):
    assert count(truth, seeds, "found", 60) >= lowest(power, 60)


@pytest.mark.parametrize(("truth", "share"), [("40 % fail against 0", 0.01), ("20 % fail against 0", 0.08)])
def test_arms_that_fail_more_often_are_rarely_called_equivalent(count, truth, share):
    assert count(truth, 12, "no warmup called equivalent") <= highest(share)


def test_choosing_the_lr_on_the_same_sweep_raises_no_false_alarm(count):
    truth = "8 warmups, each at its own best of 3 lrs, the middle lr best by 0.7 SD"
    assert count(truth, 8, "any called better or worse", 60) <= highest(0.05, 60)


def test_a_difference_of_two_standard_deviations_is_found_at_the_own_best_lr(count):
    truth = "8 warmups, each at its own best of 3 lrs (by 2 SD); no warmup worse by 2 SD"
    assert count(truth, 8, "found", 60) >= lowest(0.88, 60)


def test_every_bound_that_is_broken_is_named(rows):
    row = next(row for row in rows if row.truth == "no warmup worse by 1 SD" and row.at_least)
    assert (
        row.broken_by(0.74, 24, 300) == "no warmup worse by 1 SD, 24 seeds: found in 74.0 %, at least 80 % is required"
    )
    assert row.broken_by(0.76, 24, 300) is None, "within two standard errors"
    assert row.broken_by(0.1, 6, 300) is None, "no bound for 6 seeds"
