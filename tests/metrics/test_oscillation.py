"""Oscillation metrics of hand-made traces with known values."""

import math

import numpy as np
import pytest
from loss_traces import LN2, NAN, burst, flat_with, learning_curve, noise, series
from scipy import stats

from warmup_lab.metrics.oscillation import (
    interquartile_mean,
    max_rise,
    onset_lr,
    onset_step,
    overshoot_rate,
    rho1,
    roughness,
    spike_rate,
)
from warmup_lab.metrics.series import LossSeries, windows

# --- roughness ---


@pytest.mark.parametrize("num_updates", [118, 119, 120, 121])
def test_roughness_equals_an_interquartile_mean_by_repetition(num_updates: int) -> None:
    loss = learning_curve(235)
    sizes = np.sort(np.abs(np.diff(loss[117 - 3 : 117 + num_updates - 3], n=2)))
    # Interpolation: the integral of the quantile function between the quartiles, as steps of 1 / (4 n).
    middle = np.repeat(sizes, 4)[sizes.size : 3 * sizes.size].mean()
    lower, upper = stats.norm.ppf([0.625, 0.875])
    gaussian = stats.norm.expect(lambda z: 4 * z, lb=lower, ub=upper)
    found = roughness(LossSeries(loss, entropy=1.1), slice(114, 114 + num_updates))
    assert found == pytest.approx(middle / gaussian / math.sqrt(6) / 1.1)


def test_roughness_of_gaussian_noise_is_its_standard_deviation() -> None:
    loss = noise(40_000, sigma=0.1)
    # The relative standard error is 12 % at 100 updates, so 0.6 % at 40,000; four of those.
    assert roughness(LossSeries(loss, entropy=0.325)) == pytest.approx(0.1 / 0.325, rel=0.025)


@pytest.mark.parametrize("power", [1, 2])
def test_roughness_is_blind_to_trend(power: int) -> None:
    loss = noise(400, sigma=0.02)
    trend = 2 * np.linspace(1.0, 0.0, 400) ** power
    assert roughness(series(loss + trend)) == pytest.approx(roughness(series(loss)), rel=1e-3)


def test_roughness_by_hand() -> None:
    # |d| is 0, 2, 0, 2, ...: the middle half of eight values is 0, 0, 2, 2.
    loss = [0.0, 1.0, 2.0, 1.0] * 2 + [0.0, 1.0]
    assert roughness(series(loss)) == pytest.approx(1 / 0.6933668 / math.sqrt(6) / LN2)


def test_roughness_ignores_spikes_and_is_in_units_of_the_label_entropy() -> None:
    loss = noise(300)
    spiked = loss.copy()
    spiked[[100, 150]] += 5
    assert roughness(series(spiked)) == pytest.approx(roughness(series(loss)), rel=0.1)
    assert roughness(LossSeries(loss, entropy=3 * LN2)) == pytest.approx((roughness(series(loss)) or 0) / 3)


@pytest.mark.parametrize("entropy", [0.0, -1.0, NAN, math.inf])
def test_an_entropy_that_is_no_unit_is_refused(entropy: float) -> None:
    with pytest.raises(ValueError, match=rf"entropy={entropy}: must be above 0"):
        LossSeries([0.5], entropy=entropy)


def test_the_loss_of_guessing_is_one_unit_when_positives_are_rare() -> None:
    # The loss of batches of 32 with 10 % positives, for a model that predicts 10 % for each example.
    generator = np.random.default_rng(0)
    shares = generator.binomial(32, 0.1, size=2000) / 32
    rare = -shares * math.log(0.1) - (1 - shares) * math.log(0.9)
    entropy = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
    assert np.mean(rare) / LossSeries(rare, entropy=entropy).entropy == pytest.approx(1, rel=0.02)
    ratio = (roughness(LossSeries(rare, entropy=entropy)) or 0) / (roughness(LossSeries(rare, entropy=LN2)) or 1)
    assert ratio == pytest.approx(LN2 / entropy)


def test_roughness_of_a_window_uses_no_loss_from_outside() -> None:
    loss = noise(100)
    changed = loss.copy()
    changed[:20] += 100 * np.arange(20) ** 3
    assert roughness(series(loss), slice(20, 60)) == roughness(series(changed), slice(20, 60))


@pytest.mark.parametrize("num_updates", [10, 11, 12, 13, 100, 101])
def test_roughness_of_exact_bouncing_is_equal_for_even_and_odd_lengths(num_updates: int) -> None:
    bouncing = np.tile([0.5, 0.7], 51)[:num_updates]
    assert roughness(series(bouncing)) == pytest.approx(0.4 / 0.6933668 / math.sqrt(6) / LN2)


@pytest.mark.parametrize("period", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("amplitude", [0.1, 0.4])
@pytest.mark.parametrize("num_updates", [60, 100, 341])
def test_one_update_more_does_not_change_roughness(period: int, amplitude: float, num_updates: int) -> None:
    pattern = amplitude * np.cos(2 * np.pi * np.arange(num_updates + 1) / period)
    for seed in range(10):
        loss = pattern + noise(num_updates + 1, seed=seed, sigma=0.02)
        short, long = roughness(series(loss[:-1])), roughness(series(loss))
        # The interquartile mean of n values moves by at most their interquartile range / (n / 2).
        assert short == pytest.approx(long, rel=0.06)


def test_interquartile_mean_by_hand() -> None:
    assert interquartile_mean(np.arange(8.0), np.ones(8)) == 3.5
    # Of five values, 1.25 are cut on each side: 0.75 * 1 + 2 + 0.75 * 30 over 2.5.
    assert interquartile_mean(np.array([30.0, 2.0, 1.0, 0.0, 99.0]), np.ones(5)) == pytest.approx(25.25 / 2.5)
    # A weight of 2 counts as two values; a weight of 0 as none.
    weighted = interquartile_mean(np.array([1.0, 7.0, 3.0, 50.0]), np.array([2.0, 1.0, 1.0, 0.0]))
    assert weighted == interquartile_mean(np.array([1.0, 1.0, 7.0, 3.0]), np.ones(4))


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


@pytest.mark.parametrize(("step", "rate"), [(0, 0.0), (1, 10.0), (5, 10.0), (23, 10.0), (60, 10.0), (99, 10.0)])
def test_spikes_count_from_the_second_update_on(step: int, rate: float) -> None:
    assert spike_rate(series(flat_with({step: 2.0}, num_updates=100))) == rate


@pytest.mark.parametrize(("height", "expected"), [(0.099 * LN2, 0.0), (0.101 * LN2, 10.0)])
def test_spike_threshold_on_a_flat_stretch(height: float, expected: float) -> None:
    assert spike_rate(series(flat_with({60: 0.5 + height}, num_updates=100))) == expected


@pytest.mark.parametrize(("height", "expected"), [(0.88, 0.0), (0.90, 10.0)])
def test_spike_threshold_on_a_rough_stretch(height: float, expected: float) -> None:
    # +-0.1 about 0.5: the median is 0.5, MAD 0.1, and 6 * 1.4826 * 0.1 is 0.88956.
    loss = np.tile([0.4, 0.6], 50)
    loss[60] = 0.5 + height
    assert spike_rate(series(loss)) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.499, 0.0), (0.501, 10.0)])
def test_a_spike_is_above_half_of_the_loss_of_guessing(value: float, expected: float) -> None:
    assert spike_rate(LossSeries(flat_with({60: value}, num_updates=100, level=0.01), entropy=1.0)) == expected


def test_a_loss_near_zero_has_no_spikes() -> None:
    # One wrong example in a batch now and then: 0.05 to 0.25 nats above a loss of about 0.002, with a tiny MAD.
    generator = np.random.default_rng(0)
    wrong = (generator.random(5000) < 0.05) * generator.uniform(0.05, 0.25, size=5000)
    assert spike_rate(series(generator.exponential(0.002, size=5000) + wrong)) == 0.0


def test_noise_on_a_steep_trend_has_almost_no_spikes() -> None:
    # The median of 24 neighbours varies, so 6 robust standard deviations are exceeded in 0.15 of 1000 updates.
    trend = 0.2 + 0.8 * np.exp(-np.arange(341) / 40)
    rates = [
        spike_rate(LossSeries(trend + noise(341, seed=seed, sigma=0.12, level=0), entropy=1.0)) for seed in range(100)
    ]
    assert np.mean([rate or 0 for rate in rates]) < 0.5


def test_the_initial_fall_of_the_loss_is_no_spike() -> None:
    loss = np.concatenate([[2.0, 1.5, 1.2], np.full(97, 0.7)])
    assert spike_rate(series(loss)) == 0.0


def test_a_drop_and_a_lasting_jump_are_no_spikes() -> None:
    assert spike_rate(series(flat_with({60: 0.0}, num_updates=100))) == 0.0
    assert spike_rate(series(np.where(np.arange(100) < 60, 0.5, 1.5))) == 0.0


@pytest.mark.parametrize("num_updates", [26, 27, 60, 61])
def test_bouncing_is_no_spike_at_any_border(num_updates: int) -> None:
    bouncing = np.tile([0.5, 0.9], 31)[:num_updates] + noise(num_updates, sigma=0.005, level=0)
    assert spike_rate(series(bouncing)) == 0.0
    assert spike_rate(series(bouncing[::-1])) == 0.0


@pytest.mark.parametrize(("length", "expected"), [(5, 5.0), (11, 11.0), (13, 0.0)])
def test_each_update_of_a_short_burst_is_a_spike(length: int, expected: float) -> None:
    burst_of = flat_with(dict.fromkeys(range(500, 500 + length), 1.5), num_updates=1000)
    assert spike_rate(series(burst_of)) == expected


def test_spike_threshold_grows_with_the_entropy() -> None:
    loss = flat_with({60: 0.6}, num_updates=100)
    assert [spike_rate(LossSeries(loss, entropy=entropy)) for entropy in (LN2, 1.1)] == [10.0, 0.0]


# --- max_rise and onset ---


def test_late_window_measures_from_the_minimum_of_the_whole_run() -> None:
    # The whole climb is before the window, which starts 1.0 nats above the old minimum.
    loss = np.concatenate([np.full(200, 0.2), np.full(800, 1.2)])
    late = windows(1000)["late"]
    assert max_rise(series(loss), late) == pytest.approx(1 / LN2)
    assert max_rise(series(loss[late])) == pytest.approx(0, abs=1e-12)
    assert onset_step(series(loss), late) == 500
    assert onset_step(series(loss)) == 200


def test_onset_lr_is_that_of_the_onset() -> None:
    loss = np.concatenate([np.full(60, 0.2), np.full(40, 0.9)])
    assert onset_step(series(loss)) == 60
    assert onset_lr(series(loss)) is None
    assert onset_lr(series(loss, np.arange(100) * 1e-4)) == 60 * 1e-4


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
