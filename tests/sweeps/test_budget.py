"""The minutes of a sweep: runs so far, and the next look."""

import json
import os
import time

import pytest
from fake_plans import write_result
from fake_sweep import make_job

from warmup_lab.sweeps.budget import FILE_NAME, TimeBudget

FIRST, OTHER = 0.0, 0.1


def job(ratio, seed):
    return make_job("warmuplinear", ratio, 1e-3, seed, 120)


def write(folder, one, seconds):
    write_result(folder / one.run_id, speed={} if seconds is None else {"seconds": seconds})


def test_minutes_are_seconds_of_each_arm_over_the_parallelism(tmp_path):
    """Arms of 60 and 120 s a run, two at a time: 180 / 2 s so far, then (2 x 60 + 1 x 120) / 2 s."""
    jobs = [job(FIRST, 0), job(OTHER, 0), job(OTHER, 0)]
    for one, seconds in zip(jobs, (60, 120, 120), strict=True):
        write(tmp_path, one, seconds)
    (tmp_path / FILE_NAME).write_text('{"parallelism": 2.0}')
    new_seeds = {jobs[0].arm_id: 2, jobs[1].arm_id: 1}
    assert TimeBudget(tmp_path).minutes(jobs, new_seeds) == pytest.approx((1.5, 2.0))


def test_without_a_record_runs_go_one_at_a_time_and_unknown_arms_take_the_mean(tmp_path):
    jobs = [job(FIRST, 0), job(FIRST, 1), job(OTHER, 0)]
    for one, seconds in zip(jobs, (60, 120, None), strict=True):
        write(tmp_path, one, seconds)
    assert TimeBudget(tmp_path).minutes(jobs, {jobs[2].arm_id: 2}) == pytest.approx((3.0, 3.0))


def test_parallelism_is_the_seconds_of_new_runs_over_the_wall_time(tmp_path):
    old, new, failed = job(FIRST, 0), job(FIRST, 1), job(OTHER, 1)
    write(tmp_path, old, 1000.0)
    an_hour_ago = time.time() - 3600
    os.utime(tmp_path / old.run_id / "result.json", (an_hour_ago, an_hour_ago))
    clock = iter([0.0, 100.0, 120.0])
    budget = TimeBudget(tmp_path, clock=lambda: next(clock))
    budget.start()
    time.sleep(0.05)  # the clock of file systems ticks every few milliseconds
    write(tmp_path, new, 30.0)
    write(tmp_path, failed, None)
    budget.record([json.loads((tmp_path / one.run_id / "result.json").read_text()) for one in (old, new, failed)])
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {"schema": 1, "parallelism": 1.5}


def test_nothing_is_recorded_if_nothing_was_trained(tmp_path):
    budget = TimeBudget(tmp_path)
    budget.start()
    budget.record([None])
    assert not (tmp_path / FILE_NAME).exists()
