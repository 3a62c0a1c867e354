"""How often verdicts are wrong: the short form of benchmarks/null_test.py, which `make null-test` runs."""

import importlib
from collections.abc import Iterator
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
def happens(rows):
    """Whether the event of a row happens in each of the simulated sweeps, one after the other."""

    def events(truth: str, seeds: int, event: str) -> Iterator[bool]:
        (row,) = [row for row in rows if (row.truth, row.event) == (truth, event) and seeds in row.seeds]
        rng = np.random.default_rng(1)
        while True:
            yield row.happens(seeds, rng)

    return events


def at_most(limit: float, events: Iterator[bool], num_sweeps: int = NUM_SWEEPS) -> bool:
    """Whether at most `limit` of so many sweeps have the event. Simulates no more of them than decide that."""
    count = 0
    for left in range(num_sweeps, 0, -1):
        if count + left <= limit:
            return True
        count += next(events)
        if count > limit:
            return False
    return True


def at_least(limit: float, events: Iterator[bool], num_sweeps: int = NUM_SWEEPS) -> bool:
    """Whether at least `limit` of so many sweeps have the event, in the same way."""
    return at_most(num_sweeps - limit, (not event for event in events), num_sweeps)


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
def test_equal_arms_are_rarely_called_different(happens, truth, seeds):
    assert at_most(highest(0.05), happens(truth, seeds, "any false claim"))


def test_looks_do_not_add_false_claims(happens):
    assert at_most(highest(0.05, 60), happens("nothing, normal losses", 24, "any false claim at any look"), 60)


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
def test_effects_are_found(happens, truth, seeds, power):
    assert at_least(lowest(power, 60), happens(truth, seeds, "found"), 60)


@pytest.mark.parametrize(("truth", "share"), [("40 % fail against 0", 0.01), ("20 % fail against 0", 0.08)])
def test_arms_that_fail_more_often_are_rarely_called_equivalent(happens, truth, share):
    assert at_most(highest(share), happens(truth, 12, "no warmup called equivalent"))


def test_choosing_the_lr_on_the_same_sweep_raises_no_false_alarm(happens):
    truth = "8 warmups, each at its own best of 3 lrs, the middle lr best by 0.7 SD"
    assert at_most(highest(0.05, 60), happens(truth, 8, "any called better or worse"), 60)


def test_a_difference_of_two_standard_deviations_is_found_at_the_own_best_lr(happens):
    truth = "8 warmups, each at its own best of 3 lrs (by 2 SD); no warmup worse by 2 SD"
    assert at_least(lowest(0.88, 60), happens(truth, 8, "found"), 60)


def test_every_bound_that_is_broken_is_named(rows):
    row = next(row for row in rows if row.truth == "no warmup worse by 1 SD" and row.at_least)
    assert (
        row.broken_by(0.74, 24, 300) == "no warmup worse by 1 SD, 24 seeds: found in 74.0 %, at least 80 % is required"
    )
    assert row.broken_by(0.76, 24, 300) is None, "within two standard errors"
    assert row.broken_by(0.1, 6, 300) is None, "no bound for 6 seeds"
