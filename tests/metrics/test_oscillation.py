"""Oscillation metrics of hand-made traces with known values."""

import math

import numpy as np
import pytest
from loss_traces import LN2, NAN, burst, catapult, flat_with, learning_curve, noise, series
from scipy import stats

from warmup_lab.metrics.oscillation import max_rise, onset_lr, onset_step, overshoot_rate, rho1, roughness, spike_rate
from warmup_lab.metrics.series import LossSeries, windows

# --- roughness ---


def test_roughness_equals_scipy_median_deviation() -> None:
    loss = learning_curve(235)
    deviation = stats.median_abs_deviation(np.diff(loss[117:], n=2), scale="normal")
    expected = deviation / math.sqrt(6) / math.log(3)
    assert roughness(LossSeries(loss, num_classes=3), slice(117, 235)) == pytest.approx(expected, rel=1e-5)


def test_roughness_of_gaussian_noise_is_its_standard_deviation() -> None:
    loss = noise(40_000, sigma=0.1)
    # The relative standard error is 14 % at 100 updates, so 0.7 % at 40,000; four of those.
    assert roughness(LossSeries(loss, num_classes=6)) == pytest.approx(0.1 / math.log(6), rel=0.03)


@pytest.mark.parametrize("power", [1, 2])
def test_roughness_is_blind_to_trend(power: int) -> None:
    loss = noise(400, sigma=0.02)
    trend = 2 * np.linspace(1.0, 0.0, 400) ** power
    assert roughness(series(loss + trend)) == pytest.approx(roughness(series(loss)), rel=1e-3)


def test_roughness_by_hand() -> None:
    # The second differences are 0, -2, 0, 2, ...: of eight, half deviate by 2, so MAD is 1.
    loss = [0.0, 1.0, 2.0, 1.0] * 2 + [0.0, 1.0]
    assert roughness(series(loss)) == pytest.approx(1.4826 / math.sqrt(6) / LN2)


def test_roughness_ignores_one_spike_and_is_in_units_of_chance() -> None:
    loss = noise(300)
    spiked = loss.copy()
    spiked[150] += 5
    assert roughness(series(spiked)) == pytest.approx(roughness(series(loss)), rel=0.1)
    assert roughness(LossSeries(loss, num_classes=8)) == pytest.approx((roughness(series(loss)) or 0) / 3)


def test_roughness_of_a_window_uses_no_loss_from_outside() -> None:
    loss = noise(100)
    changed = loss.copy()
    changed[:20] += 100 * np.arange(20) ** 3
    assert roughness(series(loss), slice(20, 60)) == roughness(series(changed), slice(20, 60))


def test_roughness_blind_spot_odd_number_of_differences() -> None:
    bouncing = [0.5, 0.7] * 7
    assert roughness(series(bouncing[:12])) == pytest.approx(1.4826 * 0.4 / math.sqrt(6) / LN2)
    assert roughness(series(bouncing[:13])) == pytest.approx(0, abs=1e-12)


# --- rho1 ---


@pytest.mark.parametrize("amplitude", [0.01, 0.1, 0.4])
def test_rho1_of_a_bouncing_burst_by_hand(amplitude: float) -> None:
    # r is +-amplitude 12 times, mean 0: 11 products of -amplitude^2 over 12 squares.
    assert rho1(series(burst(amplitude))) == pytest.approx(-11 / 12)


def test_rho1_of_slow_swings_is_positive_by_hand() -> None:
    # r is +a six times, then -a six times: 10 products of +a^2, one of -a^2, 12 squares.
    loss = [0.5] * 20 + [0.6] * 6 + [0.4] * 6 + [0.5] * 20
    assert rho1(series(loss)) == pytest.approx(9 / 12)


@pytest.mark.parametrize(
    ("amplitude", "expected", "tolerance"),
    [
        # -2/24 from the share that each loss has in the median of the other, plus the covariance of the two medians.
        (0.0, -0.028, 0.02),
        # Bouncing of a times the noise gives -a^2 / (a^2 + 1), slightly weaker because of the noise of the median.
        (1.0, -0.48, 0.02),
        (2.0, -0.77, 0.02),
        (5.0, -0.952, 0.005),
        (10.0, -0.988, 0.002),
    ],
)
def test_rho1_of_noise_and_of_noisy_bouncing(amplitude: float, expected: float, tolerance: float) -> None:
    # 0.02 is four standard errors of 1 / sqrt(40,000).
    bouncing = noise(40_000, sigma=0.1) + 0.1 * amplitude * (-1.0) ** np.arange(40_000)
    assert rho1(series(bouncing)) == pytest.approx(expected, abs=tolerance)


def test_rho1_is_blind_to_scale_and_level() -> None:
    loss = noise(200)
    assert rho1(series(4 * loss + 1)) == pytest.approx(rho1(series(loss)), rel=1e-9)


def test_rho1_of_lasting_exact_bouncing_by_hand() -> None:
    lasting = np.tile([0.5, 0.7], 100)
    # r is +-0.1: 175 products of -0.01 over 176 squares.
    assert rho1(series(lasting), slice(12, 188)) == pytest.approx(-175 / 176)
    # r is twice that at 6 updates near each border: products 24 of -0.02, 175 of -0.01; squares 12 of 0.04, 188 of 0.01
    assert rho1(series(lasting)) == pytest.approx(-(24 * 2 + 175) / (12 * 4 + 188))


def test_rho1_needs_a_full_median_of_updates_in_the_window() -> None:
    loss = noise(100)
    assert rho1(series(loss), slice(0, 24)) is None
    assert rho1(series(loss), slice(0, 25)) is not None


# --- spike_rate ---


@pytest.mark.parametrize(("step", "rate"), [(23, 0.0), (24, 1000 / 76), (99, 1000 / 76)])
def test_spikes_count_from_the_25th_update_on(step: int, rate: float) -> None:
    assert spike_rate(series(flat_with({step: 2.0}, num_updates=100))) == rate


@pytest.mark.parametrize(("height", "expected"), [(0.099 * LN2, 0.0), (0.101 * LN2, 10.0)])
def test_spike_threshold_on_a_flat_stretch(height: float, expected: float) -> None:
    assert spike_rate(series(flat_with({60: 0.5 + height}, num_updates=124))) == expected


@pytest.mark.parametrize(("height", "expected"), [(0.88, 0.0), (0.90, 10.0)])
def test_spike_threshold_on_a_rough_stretch(height: float, expected: float) -> None:
    # +-0.1 about 0.5: the median is 0.5, MAD 0.1, and 6 * 1.4826 * 0.1 is 0.88956.
    loss = np.tile([0.4, 0.6], 62)
    loss[60] = 0.5 + height
    assert spike_rate(series(loss)) == expected


def test_a_drop_is_no_spike_and_a_lasting_jump_counts_twelve_times() -> None:
    assert spike_rate(series(flat_with({60: 0.0}, num_updates=124))) == 0.0
    jump = np.where(np.arange(124) < 60, 0.5, 1.5)
    assert spike_rate(series(jump)) == 120.0


def test_spike_threshold_grows_with_the_number_of_classes() -> None:
    loss = flat_with({60: 0.6}, num_updates=124)
    rates = [spike_rate(LossSeries(loss, num_classes=num_classes)) for num_classes in (2, 6)]
    assert rates == [10.0, 0.0]


# --- max_rise and onset ---


def test_late_window_measures_from_the_minimum_of_the_whole_run() -> None:
    # The whole climb is before the window, which starts 1.0 nats above the old minimum.
    loss = np.concatenate([np.full(200, 0.2), np.full(800, 1.2)])
    late = windows(1000)["late"]
    assert max_rise(series(loss), late) == pytest.approx(1 / LN2)
    assert max_rise(series(loss[late])) == pytest.approx(0, abs=1e-12)
    assert onset_step(series(loss), late) == 500
    assert onset_step(series(loss)) == 200


def test_onset_threshold() -> None:
    # The climb of one update is (l_1 - l_0) / 13 / ln 2.
    for step_up, onset in ((1.299 * LN2, None), (1.301 * LN2, 1)):
        assert onset_step(series([0.5, 0.5 + step_up])) == onset


def test_onset_and_max_rise_agree_in_any_window() -> None:
    for seed in range(5):
        trace = series(learning_curve(200, seed=seed))
        for start, stop in ((0, 5), (0, 40), (100, 200), (0, 200)):
            rise = max_rise(trace, slice(start, stop))
            assert rise is not None
            assert (onset_step(trace, slice(start, stop)) is not None) == (rise > 0.1)


def test_onset_lr_without_rates_is_none() -> None:
    assert onset_step(series(catapult())) == 11
    assert onset_lr(series(catapult())) is None


# --- overshoot_rate ---


@pytest.mark.parametrize(
    ("column", "expected"),
    [([], None), ([NAN, NAN], None), ([0, 1, 1, NAN], 2 / 3), ([0.0], 0.0), ([True], 1.0)],
)
def test_overshoot_rate(column: list[float], expected: float | None) -> None:
    assert overshoot_rate(column) == expected


def test_overshoot_values_other_than_flags_are_refused() -> None:
    with pytest.raises(ValueError, match=r"overshoot has the value -0.25: must be 0, 1 or NaN \(not probed\)"):
        overshoot_rate([1.0, NAN, -0.25])
