"""How a recommendation is fitted to its budget: every expected number is worked out by hand."""

import math

import pytest

from warmup_lab.sweeps.recommend_plan import (
    GridSize,
    RampSize,
    Timing,
    fits,
    minutes_for_recommendation,
    minutes_for_runs,
    plan_grid,
    plan_ramp,
)

LOOKS = (6, 12, 24)


def timing(budget_seconds, *, used=0.0, update=0.1, updates=100, evaluation=0.0, parallelism=2.0):
    return Timing(update, updates, evaluation, parallelism, budget_seconds, used)


def test_a_run_is_its_updates_and_its_evaluation():
    assert timing(None, evaluation=20).run_seconds == pytest.approx(0.1 * 120)


def test_runs_share_the_processes_and_are_planned_with_a_reserve_of_10_percent():
    """A run is 10 s: 8 runs on 2 processes are 40 s. A single run cannot use the second process."""
    assert timing(None).runs_seconds(8) == pytest.approx(1.1 * 40)
    assert timing(None).runs_seconds(1) == pytest.approx(1.1 * 10)
    assert timing(None).runs_seconds(0) == 0


def test_the_probe_adds_two_thirds_to_an_update_of_a_ramp_of_at_least_100_updates():
    assert timing(None).ramp_seconds(2, 300) == pytest.approx(1.1 * 0.1 * 300 * 5 / 3)
    assert timing(None).ramp_seconds(2, 60) == pytest.approx(1.1 * 0.1 * 60)


@pytest.mark.parametrize(
    ("update", "budget", "size"),
    [
        # 4 ramps of 300 updates on 2 processes: 1.1 * 4 / 2 * 300 * 5 / 3 = 1100 updates; 45 s are 40.9 ms an update.
        (0.02, 300, RampSize(4, 300)),
        (0.0408, None, RampSize(4, 300)),
        (0.041, None, RampSize(4, 200)),  # 4 of 200 updates: 733 updates, 61.3 ms an update
        (0.0615, None, RampSize(2, 200)),
        # 18 runs are 990 updates. At 0.1 s and 180 s left, the rest takes 99 s. A quarter of the budget is 45 s, and 2
        # ramps of 200 updates are 36.7 s.
        (0.1, 180, RampSize(2, 200)),
        # A quarter of 140 s is 35 s: 2 ramps of 150 updates are 27.5 s.
        (0.1, 140, RampSize(2, 150)),
        # The rest (990 s) does not fit into 600 s at 1 s an update, so ramps take what there is: 367 s.
        (1.0, 600, RampSize(2, 200)),
        (2.0, 600, RampSize(2, 150)),  # 2 of 200: 733 s; 2 of 150: 550 s
        (5.0, 600, RampSize(1, 60)),  # 100 updates: 917 s; 60 without the probe: 330 s
        (10.0, 600, None),
    ],
)
def test_ramps_are_as_large_as_the_budget_allows(update, budget, size):
    assert plan_ramp(timing(budget, update=update), 6) == size


@pytest.mark.parametrize(
    ("left", "size"),
    [
        # A run is 10 s on one of 2 processes, with the reserve 5.5 s each. The first look has 12 runs.
        (math.inf, GridSize(4, 3, True)),
        (199, GridSize(4, 3, True)),  # 24 + 12 runs: 198 s
        (197, GridSize(4, 2, True)),  # 16 + 12 runs: 154 s
        (153, GridSize(3, 2, True)),  # 12 + 12 runs: 132 s
        (131, GridSize(3, 1, True)),  # 6 + 12 runs: 99 s
        (98, GridSize(4, 2, False)),  # 16 runs: 88 s
        (45, GridSize(4, 1, False)),  # 8 runs: 44 s
        (34, GridSize(3, 1, False)),  # 6 runs: 33 s
        (23, GridSize(2, 1, False)),  # 4 runs: 22 s
        (21, None),
    ],
)
def test_a_confirmation_comes_before_a_larger_grid(left, size):
    assert plan_grid(timing(None if math.isinf(left) else 1000, used=1000 - left), LOOKS) == size


def test_the_budget_for_a_recommendation_counts_what_is_still_to_be_made():
    """Used 100 s; 12 runs 66 s, 6 more runs 33 s, 2 ramps of 200 updates 36.7 s: 166, 199 and 235.7 s."""
    some = timing(300, used=100)
    assert minutes_for_recommendation(some, 6, ramp=False, grid=False) == 3
    assert minutes_for_recommendation(some, 6, ramp=False, grid=True) == 4
    assert minutes_for_recommendation(some, 6, ramp=True, grid=True) == 4
    assert minutes_for_runs(some, 24) == 4  # 100 + 132 s
    assert fits(some, 36)  # 198 of 200 s
    assert not fits(some, 37)


@pytest.mark.parametrize("update", [0.005, 0.1, 2.0, 30.0])
@pytest.mark.parametrize("updates", [20, 360, 5000])
def test_the_budget_that_is_named_is_enough(update, updates):
    """A plan with that budget has ramps, a grid and a confirmation, if everything takes as long as expected."""
    used = 30.0
    needed = minutes_for_recommendation(
        timing(60, used=used, update=update, updates=updates), LOOKS[0], ramp=True, grid=True
    )
    enough = timing(60 * needed, used=used, update=update, updates=updates)
    ramp = plan_ramp(enough, LOOKS[0])
    assert ramp is not None
    after = timing(
        60 * needed, used=used + enough.ramp_seconds(ramp.num_seeds, ramp.updates), update=update, updates=updates
    )
    grid = plan_grid(after, LOOKS)
    assert grid is not None
    assert grid.is_confirmed
