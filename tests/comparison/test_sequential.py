"""Boundaries of planned looks against published ones, and sequential p-values."""

import numpy as np
import pytest
from scipy import stats

from warmup_lab.comparison.sequential import (
    boundaries,
    nominal_levels,
    obrien_fleming_type,
    pocock_type,
    sequential_p,
)


@pytest.mark.parametrize(
    ("spending", "published"),
    [(pocock_type, (2.279, 2.295, 2.296)), (obrien_fleming_type, (3.710, 2.511, 1.993))],
)
def test_boundaries_at_thirds_are_the_published_ones(spending, published):
    """Lan-DeMets spending, two-sided 0.05."""
    assert boundaries(0.05, (1, 2, 3), spending) == pytest.approx(published, abs=1e-3)


def test_a_single_look_is_the_ordinary_test():
    assert boundaries(0.05, (24,))[0] == pytest.approx(stats.norm.isf(0.025))
    assert sequential_p([0.03], (24,)) == 0.03


def test_the_error_over_all_looks_is_as_spent():
    """By simulation of partial sums: 200,000 walks, so the standard error of 0.05 is 0.0005."""
    looks = (6, 12, 24)
    steps = np.diff((0, *looks))
    walk = np.cumsum(np.random.default_rng(0).normal(size=(200_000, 3)) * np.sqrt(steps), axis=1)
    p_values = 2 * stats.norm.sf(np.abs(walk) / np.sqrt(looks))
    rejected = (p_values <= nominal_levels(0.05, looks)).any(axis=1)
    assert rejected.mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("look", [0, 1, 2])
@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01, 1e-4])
def test_the_sequential_p_is_the_total_error_at_which_the_look_rejects(alpha, look):
    level = nominal_levels(alpha, (6, 12, 24))[look]
    assert sequential_p([1.0] * look + [level], (6, 12, 24)) == pytest.approx(alpha, rel=0.003)


def test_the_sequential_p_never_grows_with_another_look():
    assert sequential_p([0.001, 0.9], (6, 12, 24)) == sequential_p([0.001], (6, 12, 24)) < 0.05
