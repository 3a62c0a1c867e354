"""How a recommendation is fitted to its budget: every expected number is worked out by hand."""

import math

import pytest

from warmup_lab.comparison.recommend import Stage, StoredPlan
from warmup_lab.sweeps.recommend_plan import (
    GridSize,
    Needed,
    RampSize,
    Timing,
    kept_stages,
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
    assert timing(None).seconds(8) == pytest.approx(1.1 * 40)
    assert timing(None).seconds(1) == pytest.approx(1.1 * 10)
    assert timing(None).seconds(0) == 0


def test_runs_of_another_length_take_their_own_time():
    assert timing(None, evaluation=20).seconds(2, 300) == pytest.approx(1.1 * 0.1 * 320)


@pytest.mark.parametrize(
    ("update", "budget", "size"),
    [
        # 4 ramps of 300 updates on 2 processes: 1.1 * 4 / 2 * 300 = 660 updates; 45 s are 68.2 ms an update.
        (0.02, 300, RampSize(4, 300)),
        (0.068, None, RampSize(4, 300)),
        (0.0683, None, RampSize(4, 200)),  # 4 of 200 updates: 440 updates, 102.3 ms an update
        (0.1024, None, RampSize(2, 200)),
        # 18 runs are 990 updates. At 0.1 s and 180 s left, the rest takes 99 s. A quarter of the budget is 45 s, and 4
        # ramps of 200 updates are 44 s.
        (0.1, 180, RampSize(4, 200)),
        # A quarter of 140 s is 35 s: 2 ramps of 200 updates are 22 s.
        (0.1, 140, RampSize(2, 200)),
        # The rest (990 s) does not fit into 600 s at 1 s an update: a quarter is 150 s, and 1 of 100 updates is 110 s.
        (1.0, 600, RampSize(1, 100)),
        (5.0, 600, RampSize(1, 60)),  # 330 s, more than a quarter, but the smallest
        (10.0, 600, None),
    ],
)
def test_ramps_take_a_quarter_of_the_budget_and_leave_room_for_the_rest(update, budget, size):
    assert plan_ramp(timing(budget, update=update), 6) == size


@pytest.mark.parametrize(
    ("left", "size"),
    [
        # A run is 10 s on one of 2 processes, with the reserve 5.5 s each. The first look has 12 runs.
        (math.inf, GridSize(4, 3, 100, True)),
        (199, GridSize(4, 3, 100, True)),  # 24 + 12 runs: 198 s
        (197, GridSize(4, 2, 100, True)),  # 16 + 12 runs: 154 s
        (153, GridSize(3, 2, 100, True)),  # 12 + 12 runs: 132 s
        (131, GridSize(3, 1, 100, True)),  # 6 + 12 runs: 99 s
        (98, GridSize(4, 2, 100, False)),  # 16 runs: 88 s
        (45, GridSize(4, 1, 100, False)),  # 8 runs: 44 s
        (34, GridSize(3, 1, 100, False)),  # 6 runs: 33 s
        (32, GridSize(3, 1, 60, False)),  # 6 runs of 60 updates: 19.8 s; fewer updates are too few to learn
        (19, GridSize(2, 1, 60, False)),  # 4 runs: 13.2 s
        (13, None),
    ],
)
def test_a_confirmation_comes_before_a_larger_grid(left, size):
    assert plan_grid(timing(None if math.isinf(left) else 1000, used=1000 - left), LOOKS) == size


@pytest.mark.parametrize(
    ("left", "size"),
    [
        # A run of 600 updates is 60 s: 6 runs of half of them are 99 s, of a quarter 49.5 s, of an eighth 24.75 s.
        (198.1, GridSize(3, 1, 600, False)),
        (197, GridSize(3, 1, 300, False)),
        (98, GridSize(3, 1, 150, False)),
        (49, GridSize(3, 1, 75, False)),
        (24, GridSize(2, 1, 75, False)),  # 4 runs: 16.5 s
        (16, None),
    ],
)
def test_runs_are_shortened_before_nothing_is_tried(left, size):
    assert plan_grid(timing(1000, used=1000 - left, updates=600), LOOKS) == size


def test_what_fits_is_said_with_the_caution_that_short_runs_say_less():
    assert GridSize(4, 2, 100, False).words(100) == "doing what fits: 4 rates at 2 seeds"
    short = "doing what fits: 3 rates at 1 seed, runs of 75 instead of 600 updates, which say less"
    assert GridSize(3, 1, 75, False).words(600) == short


def needed(measured, kept, *, ramp, grid):
    return Needed(measured, kept, 6, ramp=ramp, grid=grid)


def test_the_budget_for_a_recommendation_counts_what_is_still_to_be_made_and_names_its_parts():
    """Kept 100 s; 12 runs 66 s, 6 more runs 33 s, 2 ramps of 200 updates 22 s: 166, 199 and 221 s."""
    some = timing(300, used=100)
    assert needed(some, 100, ramp=False, grid=False).minutes == 3
    assert needed(some, 100, ramp=False, grid=True).minutes == 4
    assert needed(some, 100, ramp=True, grid=True).minutes == 4
    assert needed(some, 15, ramp=True, grid=True).parts == (
        "15 s of the present runs count, ramps take 22 s, "
        "then 6 runs to choose the lr and 12 to confirm it take 11 s each, 2 at a time"
    )
    assert needed(some, 100, ramp=False, grid=False).parts == (
        "2 min of the present runs count, then 12 runs to confirm it take 11 s each, 2 at a time"
    )
    assert minutes_for_runs(some, 24) == 4  # 100 + 132 s
    assert some.fits(36)  # 198 of 200 s
    assert not some.fits(37)


def stage(kind, updates=600, lrs=(1e-3,), wall_seconds=1.0):
    return Stage(kind, (0,), lrs, updates, wall_seconds=wall_seconds)


@pytest.mark.parametrize(
    ("stages", "num_kept"),
    [
        ([stage("timing", 10), stage("ramp", 60), stage("grid", lrs=(1, 2, 3))], 1),  # a short ramp
        ([stage("timing", 10), stage("ramp", 200), stage("grid", 75, lrs=(1, 2, 3))], 2),  # short runs
        ([stage("timing", 10), stage("ramp", 200), stage("grid", lrs=(1, 2))], 2),  # few rates
        ([stage("timing", 10), stage("ramp", 200), stage("grid", lrs=(1, 2, 3)), stage("grid")], 4),
        ([stage("timing", 10), stage("ramp", 200), stage("grid", lrs=(1, 2, 3), wall_seconds=None)], 2),
        ([stage("timing", 10), stage("ramp", 60), stage("grid", 75, lrs=(1, 2)), stage("confirm")], 4),
    ],
)
def test_a_larger_budget_makes_again_what_was_cut_short(stages, num_kept):
    assert kept_stages(StoredPlan("what", 5, tuple(stages)), 600) == tuple(stages[:num_kept])


@pytest.mark.parametrize("update", [0.005, 0.1, 2.0, 30.0])
@pytest.mark.parametrize("updates", [20, 360, 5000])
def test_the_budget_that_is_named_is_enough(update, updates):
    """A plan with that budget has ramps, a grid and a confirmation, if everything takes as long as expected."""
    used = 30.0
    needed_minutes = needed(timing(60, used=used, update=update, updates=updates), used, ramp=True, grid=True).minutes
    enough = timing(60 * needed_minutes, used=used, update=update, updates=updates)
    ramp = plan_ramp(enough, LOOKS[0])
    assert ramp is not None
    after = timing(
        60 * needed_minutes, used=used + enough.seconds(ramp.num_seeds, ramp.updates), update=update, updates=updates
    )
    grid = plan_grid(after, LOOKS)
    assert grid is not None
    assert grid.is_confirmed
