"""Simulated failures of each kind, and edge cases.

The bounds allow for binomial error: a correct implementation fails less than once in 1000 seeds, and the seeds are
fixed. `is_falling` has the rates of larger simulations.
"""

import math

import numpy as np
import pytest
from loss_traces import FloatArray, autoregressive_noise
from scipy import stats

from warmup_lab.metrics.failures import failure_kind

H = 0.7
SIGMA = 0.05


def share(kind: str, losses: FloatArray) -> float:
    kinds = [failure_kind(loss, entropy=H, total_steps=loss.size) for loss in losses]
    return kinds.count(kind) / len(kinds)  # type: ignore[arg-type]


def noise(num_runs: int, num_updates: int, coefficient: float) -> FloatArray:
    return H + SIGMA * autoregressive_noise(num_runs, num_updates, coefficient=coefficient, seed=3)


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
@pytest.mark.parametrize(("num_updates", "num_runs"), [(60, 400), (341, 300), (1000, 200), (3600, 60)])
def test_at_most_five_percent_of_flat_traces_are_not_stuck(num_updates, num_runs, coefficient):
    """4 % called falling and 1 % with an onset."""
    num_wrong = num_runs * (1 - share("stuck", noise(num_runs, num_updates, coefficient)))
    assert num_wrong <= stats.binom.ppf(0.999, num_runs, 0.05)


@pytest.mark.parametrize(
    ("num_updates", "coefficient", "power"),
    [(120, 0.0, 0.68), (120, 0.5, 0.42), (341, 0.0, 0.97), (341, 0.5, 0.8), (1000, 0.0, 0.98), (1000, 0.5, 0.98)],
)
def test_a_fall_of_two_noise_deviations_over_the_last_fifth_is_too_slow(num_updates, coefficient, power):
    fall = -5 * 2 * SIGMA * np.arange(num_updates) / num_updates
    num_found = 100 * share("too_slow", noise(100, num_updates, coefficient) + fall)
    assert num_found >= stats.binom.ppf(0.001, 100, power)


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_a_loss_that_fell_early_and_is_flat_since_is_stuck(coefficient):
    fall = SIGMA * 10 * np.exp(-np.arange(400) / 20)
    num_wrong = 200 * (1 - share("stuck", noise(200, 400, coefficient) + fall))
    assert num_wrong <= stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_a_loss_that_rose_is_unstable_also_if_it_falls_at_the_end(coefficient):
    """A rise of 4 noise deviations from update 100 to 125, then a slow fall to below the start."""
    steps = np.arange(400)
    shape = np.interp(steps, [0, 100, 125, 400], [0, 0, 4 * SIGMA, -2 * SIGMA])
    assert share("unstable", noise(100, 400, coefficient) + shape) >= 0.9


def test_a_run_that_diverged_is_unstable():
    flat = np.full(100, H)
    assert failure_kind(flat[:30], entropy=H, total_steps=100) == "unstable"
    assert failure_kind([*flat[:99], math.inf], entropy=H, total_steps=100) == "unstable"
    assert failure_kind([], entropy=H, total_steps=100) == "unstable"


def test_without_noise():
    steps = np.arange(100)
    assert failure_kind(np.full(100, H), entropy=H, total_steps=100) == "stuck"
    for fall, kind in ((0.0049, "stuck"), (0.0051, "too_slow")):  # in units of H over the last 20 of 100 updates
        assert failure_kind(H * (1 - fall * steps / 20), entropy=H, total_steps=100) == kind


def test_a_trace_under_50_updates_is_not_judged():
    assert failure_kind(np.full(49, H), entropy=H, total_steps=49) is None
    assert failure_kind(np.full(50, H), entropy=H, total_steps=50) == "stuck"


def test_the_kind_does_not_depend_on_scale_and_level():
    loss = noise(1, 341, 0.0)[0] - 5 * 3 * SIGMA * np.arange(341) / 341
    kinds = {failure_kind(a * loss + b, entropy=a * H, total_steps=341) for a in (0.1, 1, 7) for b in (0, 3)}
    assert kinds == {"too_slow"}
