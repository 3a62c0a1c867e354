"""The start of the jitter in a ramp: detection by hand, simulated false alarms and power, median over seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from warmup_lab.comparison.lr_jitter.onset import CONFIDENCE, Onset, bin_by_lr, find_onset, median_jitter_lr

T = 200
LR = 1e-4 * 1000 ** (np.arange(T) / (T - 1))
"""Three decades up to 0.1, as in the experiment."""


def onset(column: np.ndarray, total_steps: int = T) -> Onset:
    return find_onset(column, LR[: len(column)], total_steps=total_steps)


def test_a_clean_step_is_found_at_its_first_update():
    """0 of 50 has the upper bound 0.1171; of a window of 20, 6 have the lower bound 0.1163 and 7 have 0.1478."""
    column = np.zeros(T)
    column[120:] = 1
    found = onset(column)
    assert (found.step, found.lr) == (120, LR[120])
    assert (found.window_size, found.window_count) == (20, 7)
    assert found.window_lr == (LR[107], LR[126])
    assert (found.low_count, found.low_total) == (0, 50)
    z = 2.5758293035489004  # 99.5 % of the normal distribution
    lower = (7 + z**2 / 2 - z * math.sqrt(7 * 13 / 20 + z**2 / 4)) / (20 + z**2)
    assert found.window_lower == pytest.approx(lower)
    assert found.low_upper == pytest.approx(z**2 / (50 + z**2))


def test_seven_of_twenty_stand_out_and_six_do_not():
    column = np.zeros(T)
    column[100:112:2] = 1
    assert onset(column).lr is None
    assert onset(column).window_count == 6
    assert onset(column).unknown is None
    column[113] = 1
    assert onset(column).step == 100


def test_the_low_lr_rate_is_that_of_the_calmest_quarter():
    """Every second update of the first quarter raises the loss (as near lr 0), then none, then all."""
    column = np.zeros(T)
    column[0:50:2] = 1
    column[150:] = 1
    found = onset(column)
    assert found.step == 150
    assert (found.low_count, found.low_total) == (0, 50)


def test_a_single_overshoot_long_before_is_not_the_start():
    column = np.zeros(T)
    column[[60, *range(150, T)]] = 1
    assert onset(column).step == 150


def test_a_constant_rate_is_no_jitter():
    found = onset(np.tile([0.0, 0.0, 0.0, 1.0], T // 4))
    assert found.lr is None
    assert found.unknown is None


def test_a_loss_that_always_rises_is_unknown():
    found = onset(np.ones(T))
    assert found.lr is None
    assert "50 of 50 updates even in the calmest quarter" in found.unknown


def test_a_ramp_that_diverges_early_is_unknown_and_one_that_diverges_late_is_not():
    """The first quarter and the window are those of the planned updates."""
    assert "diverged before" in onset(np.zeros(60)).unknown
    late = np.zeros(140)
    late[130:] = 1
    assert onset(late).step == 130


def test_updates_that_were_not_probed_are_ignored():
    """Every second update of 400: the same 200 probes, so the same answer at twice the update."""
    column = np.full(2 * T, np.nan)
    column[::2] = 0
    column[240::2] = 1
    rates = 1e-4 * 1000 ** (np.arange(2 * T) / (2 * T - 1))
    found = find_onset(column, rates, total_steps=2 * T)
    assert (found.step, found.window_size, found.low_total) == (240, 20, 50)


@pytest.mark.parametrize(("rate", "total"), [(0.01, 200), (0.1, 200), (0.3, 200), (0.3, 1000), (0.7, 1000)])
def test_false_alarms_at_a_constant_rate_are_rare(total, rate):
    """400 ramps: 5 % of 4,000 (the docstring's figure) would pass 7.5 % of 400 once in 70 times; fixed seeds."""
    rng = np.random.default_rng([total, int(1000 * rate)])
    columns = (rng.random((400, total)) < rate).astype(float)
    alarms = sum(find_onset(column, np.ones(total), total_steps=total).lr is not None for column in columns)
    assert alarms / 400 < 0.075


def test_at_95_percent_almost_half_of_the_ramps_raise_a_false_alarm(monkeypatch):
    """The confidence is needed, and the test above can fail."""
    monkeypatch.setattr("warmup_lab.comparison.lr_jitter.onset.CONFIDENCE", 0.95)
    columns = (np.random.default_rng(0).random((400, T)) < 0.3).astype(float)
    alarms = sum(find_onset(column, LR, total_steps=T).lr is not None for column in columns)
    assert alarms / 400 > 0.4
    assert CONFIDENCE == 0.995


@pytest.mark.parametrize(
    ("total", "base", "rate", "power", "within"),
    [
        (200, 0.0, 0.4, 0.97, 8),
        (200, 0.05, 1.0, 1, 2),
        (300, 0.05, 0.5, 0.99, 14),
        (300, 0.05, 0.75, 1, 5),
        (300, 0.1, 0.5, 0.98, 22),
        (300, 0.1, 0.75, 1, 7),
        (300, 0.1, 1.0, 1, 2),
        (1000, 0.02, 0.5, 1, 9),
        (1000, 0.1, 0.75, 1, 7),
    ],
)
def test_a_step_is_found_and_dated_within_a_few_updates(total, base, rate, power, within):
    """The share of overshoots steps from `base` to `rate` half-way; 95 % of the errors are `within` so many updates.

    An update of the experiment's ramp is 2.3 % of lr. Dated by the first overshoot of the first window that stands out,
    95 % were within 17 to 23 of 300 updates at a base of 5 to 10 %, and within 89 of 1000.
    """
    rng = np.random.default_rng([total, int(100 * base), int(100 * rate)])
    rates = np.where(np.arange(total) < total // 2, base, rate)
    columns = (rng.random((400, total)) < rates).astype(float)
    steps = [find_onset(column, np.ones(total), total_steps=total).step for column in columns]
    errors = [step - total // 2 for step in steps if step is not None]
    assert len(errors) / 400 >= power
    assert np.quantile(np.abs(errors), 0.95) <= within
    assert abs(np.median(errors)) <= 2


def test_an_overshoot_of_the_low_rate_in_the_first_window_does_not_date_the_jitter():
    """The window of 20 that first holds 7 overshoots holds 103 and 110 too; from 117 on every update is one."""
    column = np.zeros(T)
    column[[20, 60, 103, 110]] = 1
    column[117:] = 1
    assert onset(column).window_lr[0] <= LR[103]
    assert onset(column).step == 117


def ramp_at(step: int | None, unknown: str | None = None) -> Onset:
    lr = None if step is None else float(LR[step])
    return Onset(lr, step, None, 0, 20, None, 0, 50, 0.1, 0.1, unknown)


def test_the_median_is_on_a_logarithmic_scale_with_two_digits():
    """Of an even number: the geometric mean of the middle two."""
    found = median_jitter_lr([ramp_at(step) for step in (100, 110, 120, 130, 140, 150)])
    assert found.median == float(f"{math.sqrt(LR[120] * LR[130]):.2g}")
    assert (found.low, found.high) == (LR[100], LR[150])


def test_a_seed_that_never_jitters_counts_as_above():
    found = median_jitter_lr([ramp_at(step) for step in (100, 110, 115, 120, None, None, None)])
    assert found.median == float(f"{LR[120]:.2g}")
    assert found.num_never == 3
    most = median_jitter_lr([ramp_at(step) for step in (100, 110, 120, None, None, None)])
    assert most.median is None
    assert most.reason == (
        "at 3 of 6 seeds the loss did not start to jitter up to lr 0.1: ramp higher (optimizer.lr=1), or make it "
        "learn earlier in the ramp, so that few updates at a low lr raise the loss: a larger batch_size, a smaller "
        "task.limit, more max_steps"
    )


def test_too_few_readable_ramps_have_no_median():
    found = median_jitter_lr([*[ramp_at(100)] * 5, ramp_at(None, "broken")])
    assert found.median is None
    assert found.reason == "only 5 of 6 ramps can be read, and 6 are needed: broken"


def test_bins_count_overshoots_and_take_the_median_loss():
    rows = bin_by_lr([0, 1, np.nan, 1], [3.0, 1.0, 2.0, np.nan], [0.1, 0.2, 0.3, 0.5], [0.1, 0.4, 0.6])
    assert rows == [(1, 2, 2.0), (1, 1, None)]
