"""Where ramps break, and the rates that follow, on made-up ramps whose break is planted."""

from functools import partial
from itertools import pairwise

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
    """From the planted lr on, every update raises the loss. The lr grows by 4.7 % per update."""
    _, found = result_of(tmp_path, broken_at(0.002), broken_at(0.004), broken_at(0.008))
    assert found.lr == pytest.approx(0.004, rel=0.05)
    assert (found.low, found.high) == pytest.approx((0.002, 0.008), rel=0.05)
    assert (found.num_broken, found.learned, found.early) == (3, True, False)
    assert (found.start_lr, found.end_lr, found.updates) == (pytest.approx(1e-5), 0.1, T)


def test_half_of_the_ramps_without_a_break_leave_none(tmp_path):
    _, found = result_of(tmp_path, broken_at(0.004), broken_at(1.0))
    assert (found.lr, found.num_broken) == (None, 1)
    assert found.fall_lr is not None
    assert rates_to_try(found, 4)[0] == found.fall_lr


def small_csv(strategy, *, rises=True):
    """A ramp on 300 easy rows: guessing up to lr 0.0003, a low and noisy loss, and above lr 0.003 a rise to guessing.

    Where it has stopped falling, a third of the updates raise the loss of their own batch.
    """
    rng, lr = np.random.default_rng(strategy["seed"]), 0.1 * 1e-4 ** (1 - np.arange(T) / (T - 1))
    fallen = np.where(lr < 3e-4, LN2, 0.12 + (LN2 - 0.12) * np.exp(-12 * np.log(np.maximum(lr, 3e-4) / 3e-4)))
    climb = np.clip(np.log(lr / 0.003) / np.log(2.5), 0, 1) * (LN2 - 0.12) * rises
    noise = 0.06 * rng.standard_normal(T) * (lr > 3e-4)
    return Outcome(loss=fallen + climb + noise, overshoot=(lr > 4e-4) & (rng.random(T) < 0.35))


def test_a_ramp_breaks_where_its_loss_rises_and_not_where_it_stops_falling(tmp_path):
    """The loss is low from lr 0.0004 to 0.003. Overshoots above 0.0004 used to be taken for the break."""
    _, found = result_of(tmp_path, *[small_csv] * 4)
    assert 0.003 <= found.lr <= 0.006
    assert found.low >= 0.003
    assert found.fall_lr == pytest.approx(3e-4, rel=0.25)
    assert not found.early
    assert min(rates_to_try(found, 4)) >= found.fall_lr


def test_a_ramp_that_stays_low_has_no_break_and_its_rates_rise_from_where_it_falls(tmp_path):
    _, found = result_of(tmp_path, *[partial(small_csv, rises=False)] * 4)
    assert (found.lr, found.num_broken, found.learned) == (None, 0, True)
    rates = rates_to_try(found, 4)
    assert rates[0] == found.fall_lr
    assert [high / low for low, high in pairwise(rates)] == pytest.approx([4, 4, 4], rel=0.1)
    assert rates[-1] < 0.1


def test_a_ramp_that_shows_nothing_leaves_rates_over_its_whole_range():
    """Four rates inside 1e-4 to 0.1: a fifth of three decades apart, 10 ** 0.6."""
    found = RampResult(None, None, None, None, 1e-4, 0.1, 60, False, False, ())
    assert rates_to_try(found, 4) == [0.0004, 0.0016, 0.0063, 0.025]


def test_a_ramp_that_diverges_breaks_at_its_last_rate(tmp_path):
    def diverging(strategy):
        fall = ramp(strategy, 1.0).loss[:120]
        return Outcome("diverged", True, np.append(fall, np.nan))

    sweep, found = result_of(tmp_path, diverging)
    (trace,) = sweep.traces.values()
    assert found.lr == pytest.approx(trace["lr"][-1], rel=0.05)


def test_a_break_at_once_is_early_and_one_before_learning_is_unsure(tmp_path):
    def at_once(_):
        return Outcome("diverged", True, np.array([LN2, 2.0, np.nan]))

    def stuck(_):
        loss = np.where(np.arange(T) < 150, LN2, 3.0) + 0.001 * np.random.default_rng(0).standard_normal(T)
        return Outcome(loss=loss)

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
    found = RampResult(0.008, 0.008, 0.008, None, 1e-4, 0.1, T, False, True, ())
    assert rates_to_try(found, 4, 0.002) == [0.001, 0.002, 0.004, 0.008]


def test_rates_after_a_short_ramp_reach_further_down():
    """A ramp of 60 updates on TREC broke at 0.0029; the best lr of whole runs is about 0.0002."""
    found = RampResult(0.0029, 0.0029, 0.0029, 6e-4, 1e-6, 0.01, 60, False, True, ())
    assert rates_to_try(found, 2) == [0.00018, 0.00072]
