"""Measured times of a recommendation, by hand."""

import pytest
from fake_plans import write_result

from warmup_lab.comparison.recommend import Stage, StoredPlan
from warmup_lab.sweeps.recommend_timing import measured_timing

TIMING = Stage("timing", (0,), (0.1,), 10, ("t",), wall_seconds=20.0)
RAMP = Stage("ramp", (0, 1), (0.1,), 200, ("a", "b"), wall_seconds=125.0)
GRID = Stage("grid", (0, 1), (1e-3,), 50, ("c", "d"), wall_seconds=62.5)


def timing_of(folder, *stages, num_processes=2):
    """The first updates are slow, 1 s. Later ones take 0.5 s in ramps and 1 s in runs."""
    runs = {"t": (10, 10), "a": (100, 200), "b": (100, 200), "c": (50, 50), "d": (50, 50)}
    for run_id, (seconds, updates) in runs.items():
        write_result(folder / run_id, speed={"seconds": seconds, "updates_per_second": updates / seconds})
    plan = StoredPlan("what", 10.0, stages)
    return measured_timing(plan, folder, run_updates=50, eval_updates=0.0, num_processes=num_processes)


def test_the_first_few_updates_count_until_there_are_others(tmp_path):
    found = timing_of(tmp_path, TIMING)
    assert (found.update_seconds, found.parallelism, found.used_seconds) == (1.0, 2.0, 20.0)


def test_all_later_updates_count_alike_so_that_the_estimate_is_steady(tmp_path):
    """300 s for 500 updates, and 300 s of runs in 187.5 s."""
    found = timing_of(tmp_path, TIMING, RAMP, GRID)
    assert found.update_seconds == pytest.approx(0.6)
    assert found.parallelism == pytest.approx(300 / 187.5)
    assert found.left_seconds == 600 - 207.5


def test_on_a_cluster_with_more_tasks_than_runs_a_stage_takes_as_long_as_a_run_and_its_wait(tmp_path):
    """Two ramps of 100 s took 125 s with 100 tasks: 0.8 of each task's time, so 80 at a time. A run is 50 * 0.5 s."""
    found = timing_of(tmp_path, TIMING, RAMP, num_processes=100)
    assert found.parallelism == pytest.approx(80)
    assert found.seconds(12) == found.seconds(1) == pytest.approx(1.1 * 25 / 0.8)
    assert found.seconds(160) == pytest.approx(1.1 * 25 * 160 / 80)


def test_before_any_run_has_finished_an_update_takes_no_time(tmp_path):
    assert timing_of(tmp_path).update_seconds == 0.0
