"""Where ramps break, and the rates that follow, on made-up ramps whose break is planted."""

import numpy as np
import pytest
from fake_recommend import ramp
from fake_sweep import LN2, Outcome, make_job, write_sweep

from warmup_lab.comparison.recommend.ramp import RampResult, ramp_curves, ramp_result, rates_to_try
from warmup_lab.comparison.table import read_sweep

T = 200


def result_of(folder, *outcomes):
    jobs = [make_job("exponentialramp", 0, 0.1, seed, T) for seed in range(len(outcomes))]
    sweep = read_sweep(write_sweep(folder / "study", jobs, lambda strategy: outcomes[strategy["seed"]](strategy)))
    return sweep, ramp_result(sweep, {job.run_id for job in jobs}, 0.1)


def broken_at(lr):
    return lambda strategy: ramp(strategy, lr)


def test_the_break_is_the_median_of_the_seeds(tmp_path):
    """Overshoots start at the planted lr, and every later update raises the loss. An update is 4.7 % of lr."""
    _, found = result_of(tmp_path, broken_at(0.002), broken_at(0.004), broken_at(0.008))
    assert found.lr == pytest.approx(0.004, rel=0.05)
    assert (found.low, found.high) == pytest.approx((0.002, 0.008), rel=0.05)
    assert (found.num_broken, found.learned, found.early) == (3, True, False)
    assert (found.start_lr, found.end_lr, found.updates) == (pytest.approx(1e-5), 0.1, T)


def test_half_of_the_ramps_without_a_break_leave_none(tmp_path):
    _, found = result_of(tmp_path, broken_at(0.004), broken_at(1.0))
    assert (found.lr, found.num_broken) == (None, 1)
    assert rates_to_try(found, 4) == [0.00078, 0.0031, 0.013, 0.05]


def test_a_ramp_that_diverges_breaks_at_its_last_rate(tmp_path):
    def diverging(strategy):
        fall = ramp(strategy, 1.0).loss[:120]
        return Outcome("diverged", True, np.append(fall, np.nan), overshoot=np.zeros(121))

    sweep, found = result_of(tmp_path, diverging)
    (trace,) = sweep.traces.values()
    assert found.lr == pytest.approx(trace["lr"][-1], rel=0.05)


def test_a_break_at_once_is_early_and_one_before_learning_is_unsure(tmp_path):
    def at_once(_):
        return Outcome("diverged", True, np.array([LN2, 2.0, np.nan]), overshoot=np.ones(3))

    def stuck(_):
        loss = np.where(np.arange(T) < 150, LN2, 3.0) + 0.001 * np.random.default_rng(0).standard_normal(T)
        return Outcome(loss=loss, overshoot=np.zeros(T))

    _, found = result_of(tmp_path / "once", at_once)
    assert found.early
    assert rates_to_try(found, 4)[0] == pytest.approx(found.lr / 64, rel=0.05)
    _, found = result_of(tmp_path / "stuck", stuck)
    assert found.lr is not None
    assert not found.learned
    assert rates_to_try(found, 4)[0] == pytest.approx(found.lr / 64, rel=0.05)


def test_ramps_that_did_not_finish_say_nothing(tmp_path):
    _, found = result_of(tmp_path, lambda _: Outcome("error", error="no memory"))
    assert found is None


def test_curves_have_the_median_loss_of_each_part(tmp_path):
    sweep, _ = result_of(tmp_path, broken_at(0.004))
    rows = ramp_curves(sweep, set(sweep.traces))
    (trace,) = sweep.traces.values()
    assert len(rows) == 30
    assert rows[0]["loss"] == pytest.approx(np.median(trace["loss"][:7]))  # 200 updates: 20 parts of 7, 10 of 6
    assert rows[0]["lr"] == pytest.approx(trace["lr"][3])


def test_a_given_rate_is_tried_once():
    found = RampResult(0.008, 0.008, 0.008, 1e-4, 0.1, T, False, True, ())
    assert rates_to_try(found, 4, 0.002) == [0.001, 0.002, 0.004, 0.008]
