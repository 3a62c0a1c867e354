"""Oscillation metrics: hand-made traces with known answers, and slow twins written from the definitions."""

import json
import math
import statistics
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

from warmup_lab.metrics.oscillation import (
    METRICS,
    max_rise,
    onset_lr,
    onset_step,
    overshoot_rate,
    rho1,
    roughness,
    spike_rate,
    summarise,
)
from warmup_lab.metrics.paired import excess, roughness_at_matched_loss, updates_to_target
from warmup_lab.metrics.series import (
    LossSeries,
    exponential_average,
    finite_prefix,
    neighbour_median,
    residual,
    trailing_median,
    windows,
)

LN2 = math.log(2)
NAN = float("nan")
FloatArray = npt.NDArray[np.float64]

# On both sides of every threshold: 10 (spread), 13 (half a median), 25 (a median), 48 (a target).
LENGTHS = [1, 2, 3, 9, 10, 12, 13, 14, 23, 24, 25, 26, 37, 48, 49, 50, 235]


def noise(num_updates: int, *, seed: int = 0, sigma: float = 0.1, level: float = 0.6) -> FloatArray:
    return level + sigma * np.random.default_rng(seed).standard_normal(num_updates)


def learning_curve(num_updates: int, *, seed: int = 0) -> FloatArray:
    """Falling, noisy, with ties, a catapult and a few spikes: something of everything, for the slow twins."""
    generator = np.random.default_rng(seed)
    loss = 0.2 + 0.6 * np.exp(-np.arange(num_updates) / 40) + 0.05 * generator.standard_normal(num_updates)
    loss[generator.random(num_updates) < 0.03] += 0.8
    loss[6:12] += 0.7
    return np.round(loss, 2)


def series(loss: npt.ArrayLike, lr: npt.ArrayLike | None = None) -> LossSeries:
    return LossSeries(loss, lr, num_classes=2)


def flat_with(values: dict[int, float], *, num_updates: int, level: float = 0.5) -> FloatArray:
    loss = np.full(num_updates, level)
    for step, value in values.items():
        loss[step] = value
    return loss


def burst(amplitude: float, *, before: int = 20, after: int = 20) -> list[float]:
    """Flat at 0.5 but for 12 updates that bounce by +-amplitude: too few to move a median of 24."""
    return [0.5] * before + [0.5 + amplitude, 0.5 - amplitude] * 6 + [0.5] * after


# --- windows ---


@pytest.mark.parametrize(
    ("total", "early", "late"),
    [
        (0, (0, 0), (0, 0)),
        (1, (0, 1), (0, 1)),
        (7, (0, 2), (3, 7)),
        (10, (0, 2), (5, 10)),
        (11, (0, 3), (5, 11)),
    ],
)
def test_windows_round_up(total: int, early: tuple[int, int], late: tuple[int, int]) -> None:
    assert windows(total) == {"whole": slice(0, total), "early": slice(*early), "late": slice(*late)}


# --- series ---


def slow_level(loss: list[float], step: int) -> float:
    neighbours = loss[max(0, step - 12) : step] + loss[step + 1 : step + 13]
    return statistics.median(neighbours) if neighbours else NAN


@pytest.mark.parametrize("num_updates", LENGTHS)
def test_neighbour_median_equals_its_slow_twin(num_updates: int) -> None:
    loss = learning_curve(num_updates)
    expected = [slow_level(loss.tolist(), step) for step in range(num_updates)]
    np.testing.assert_allclose(neighbour_median(loss), expected, rtol=0, atol=1e-15)


def test_neighbour_median_by_hand() -> None:
    # The neighbours are 1, 2, 9; 0, 2, 9; 0, 1, 9; 0, 1, 2. The 12th neighbour counts, the 13th does not.
    np.testing.assert_array_equal(neighbour_median(np.array([0.0, 1.0, 2.0, 9.0])), [2, 2, 1, 1])
    far = np.zeros(40)
    far[[20, *range(8, 20)]] = 1.0
    assert neighbour_median(far)[20] == 0.5
    far[8] = 0.0
    assert neighbour_median(far)[20] == 0.0
    far[[8, 33]] = [1.0, 1.0]
    assert neighbour_median(far)[20] == 0.5


def test_an_update_has_no_say_in_its_own_level_and_a_lone_one_has_none() -> None:
    loss = noise(60)
    moved = loss.copy()
    moved[30] += 100
    assert neighbour_median(moved)[30] == neighbour_median(loss)[30]
    assert residual(moved)[30] == pytest.approx(residual(loss)[30] + 100)
    assert np.isnan(neighbour_median(np.array([0.5]))).all()
    assert np.isnan(residual(np.array([0.5]))).all()


def test_residual_of_a_line_is_zero_away_from_the_borders() -> None:
    line = np.arange(100, dtype=np.float64)
    assert (residual(line)[12:-12] == 0).all()
    # The first update has the neighbours 1..12, whose median is 6.5; the second 0, 2..13, with 7.
    np.testing.assert_array_equal(residual(line)[:2], [-6.5, -6.0])


def test_residual_of_lasting_bouncing_is_the_bouncing() -> None:
    bouncing = np.tile([0.25, -0.25], 50)
    found = residual(0.5 + bouncing)
    np.testing.assert_array_equal(found[12:-12], bouncing[12:-12])
    # At a border every second update has an odd number of neighbours, more of them on the other side.
    np.testing.assert_array_equal(found[:12], np.tile([0.25, -0.5], 6))


@pytest.mark.parametrize("amplitude", [0.0, 2.0, 5.0, 10.0])
def test_residual_keeps_all_of_noisy_bouncing(amplitude: float) -> None:
    bouncing = noise(40_000, sigma=1.0) + amplitude * (-1.0) ** np.arange(40_000)
    found = np.sqrt(np.mean(residual(bouncing)[12:-12] ** 2))
    # The noise of the median adds 3 % of sigma or less; a median of 25 gives 1.9 to 2.1 for all but the first.
    assert 1 < found / math.hypot(1, amplitude) < 1.04


@pytest.mark.parametrize("num_updates", LENGTHS)
def test_trailing_median_equals_pandas(num_updates: int) -> None:
    loss = learning_curve(num_updates)
    np.testing.assert_allclose(trailing_median(loss), pd.Series(loss).rolling(25).median(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("num_updates", LENGTHS)
def test_exponential_average_equals_pandas(num_updates: int) -> None:
    loss = learning_curve(num_updates)
    expected = pd.Series(loss).ewm(alpha=2 / 26, adjust=False).mean()
    np.testing.assert_allclose(exponential_average(loss), expected, rtol=1e-13)


def test_series_of_an_empty_trace_are_empty() -> None:
    empty = np.array([])
    for function in (neighbour_median, residual, trailing_median, exponential_average, finite_prefix):
        assert function(empty).shape == (0,)
    assert series(empty).spikes.shape == (0,)


# --- slow twins ---


def slow_spike_rate(loss: list[float], start: int, stop: int) -> float | None:
    eligible = [step for step in range(start, stop) if step >= 24]
    found = 0
    for step in eligible:
        before = loss[step - 24 : step]
        middle = statistics.median(before)
        deviation = statistics.median(abs(value - middle) for value in before)
        found += loss[step] - middle > max(6 * 1.4826 * deviation, 0.1 * LN2)
    return 1000 * found / len(eligible) if eligible else None


def slow_rho1(loss: list[float], start: int, stop: int) -> float | None:
    if stop - start < 25:
        return None
    deviations = [loss[step] - slow_level(loss, step) for step in range(start, stop)]
    mean = sum(deviations) / len(deviations)
    centred = [value - mean for value in deviations]
    return sum(a * b for a, b in pairwise(centred)) / sum(a * a for a in centred)


def slow_climbs(loss: list[float]) -> list[float]:
    average = lowest = loss[0]
    climbs = []
    for value in loss:
        average = (1 - 2 / 26) * average + 2 / 26 * value
        lowest = min(lowest, average)
        climbs.append((average - lowest) / LN2)
    return climbs


@pytest.mark.parametrize("num_updates", LENGTHS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_summary_equals_slow_twins_in_every_window(num_updates: int, seed: int) -> None:
    loss = learning_curve(num_updates, seed=seed)
    lr = np.linspace(0.0, 1e-3, num_updates)
    summary = summarise(loss, lr, num_classes=2)
    climbs = slow_climbs(loss.tolist())
    for name, window in windows(num_updates).items():
        found = summary[name]
        steps = range(window.start, window.stop)
        onset = next((step for step in steps if climbs[step] > 0.1), None)
        assert found["spike_rate"] == slow_spike_rate(loss.tolist(), window.start, window.stop)
        assert found["rho1"] == pytest.approx(slow_rho1(loss.tolist(), window.start, window.stop), abs=1e-12)
        assert found["max_rise"] == pytest.approx(max(climbs[step] for step in steps), abs=1e-12)
        assert found["onset_step"] == onset
        assert found["onset_lr"] == (None if onset is None else lr[onset])


def test_the_slow_twins_saw_spikes_and_onsets() -> None:
    summary = summarise(learning_curve(235), np.zeros(235), num_classes=2)
    assert all(summary[name]["spike_rate"] for name in windows(235))
    assert summary["early"]["onset_step"] is not None


def test_roughness_equals_scipy_median_deviation() -> None:
    loss = learning_curve(235)
    deviation = stats.median_abs_deviation(np.diff(loss[117:], n=2), scale="normal")
    expected = deviation / math.sqrt(6) / math.log(3)
    assert roughness(LossSeries(loss, num_classes=3), slice(117, 235)) == pytest.approx(expected, rel=1e-5)


# --- roughness ---


def test_roughness_of_gaussian_noise_is_its_deviation_in_units_of_chance() -> None:
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
        # Minus 2/24 from the share that each has in the other's median, plus the covariance of the two medians.
        (0.0, -0.028, 0.02),
        # Bouncing of a times the noise has -a^2 / (a^2 + 1), a little less for the noise of the median.
        (1.0, -0.48, 0.02),
        (2.0, -0.77, 0.02),
        (5.0, -0.952, 0.005),
        (10.0, -0.988, 0.002),
    ],
)
def test_rho1_of_noise_is_near_zero_and_of_noisy_bouncing_negative(
    amplitude: float, expected: float, tolerance: float
) -> None:
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


def test_one_spike_at_step_30() -> None:
    loss = noise(235, sigma=0.01)
    loss[30] += 1.0
    summary = summarise(loss, np.zeros(235), num_classes=2)
    assert summary["whole"]["spike_rate"] == 1000 / (235 - 24)
    assert summary["early"]["spike_rate"] == 1000 / (47 - 24)
    assert summary["late"]["spike_rate"] == 0.0


@pytest.mark.parametrize(("step", "rate"), [(23, 0.0), (24, 1000 / 76), (99, 1000 / 76)])
def test_spikes_count_from_the_25th_update_on(step: int, rate: float) -> None:
    assert spike_rate(series(flat_with({step: 2.0}, num_updates=100))) == rate


@pytest.mark.parametrize(("height", "expected"), [(0.099 * LN2, 0.0), (0.101 * LN2, 10.0)])
def test_on_a_flat_stretch_a_tenth_of_chance_decides(height: float, expected: float) -> None:
    assert spike_rate(series(flat_with({60: 0.5 + height}, num_updates=124))) == expected


@pytest.mark.parametrize(("height", "expected"), [(0.88, 0.0), (0.90, 10.0)])
def test_on_a_rough_stretch_six_deviations_decide(height: float, expected: float) -> None:
    # +-0.1 about 0.5: the median is 0.5, MAD 0.1, and 6 * 1.4826 * 0.1 is 0.88956.
    loss = np.tile([0.4, 0.6], 62)
    loss[60] = 0.5 + height
    assert spike_rate(series(loss)) == expected


def test_a_drop_is_no_spike_and_a_lasting_jump_is_twelve() -> None:
    assert spike_rate(series(flat_with({60: 0.0}, num_updates=124))) == 0.0
    jump = np.where(np.arange(124) < 60, 0.5, 1.5)
    assert spike_rate(series(jump)) == 120.0


def test_spike_threshold_grows_with_the_number_of_classes() -> None:
    loss = flat_with({60: 0.6}, num_updates=124)
    rates = [spike_rate(LossSeries(loss, num_classes=num_classes)) for num_classes in (2, 6)]
    assert rates == [10.0, 0.0]


# --- max_rise and onset ---


def catapult(num_updates: int = 100) -> FloatArray:
    """0.7, then 1.2 for the five updates 10..14, then 0.3."""
    return np.concatenate([np.full(10, 0.7), np.full(5, 1.2), np.full(num_updates - 15, 0.3)])


def test_early_catapult_by_hand() -> None:
    # EMA 0.7, then 1.2 - 0.5 (12/13)^k: climbs of 0.0555 and 0.1067 ln 2 at the first two of the five.
    lr = np.arange(100) * 1e-4
    summary = summarise(catapult(), lr, num_classes=2)
    expected = 0.5 * (1 - (12 / 13) ** 5) / LN2
    for name in ("whole", "early"):
        assert summary[name]["max_rise"] == pytest.approx(expected)
        assert summary[name]["onset_step"] == 11
        assert summary[name]["onset_lr"] == lr[11]
    assert summary["late"]["max_rise"] == 0.0
    assert summary["late"]["onset_step"] is None
    assert summary["late"]["onset_lr"] is None


def test_late_window_measures_from_the_minimum_of_the_whole_run() -> None:
    # The climb happens wholly before the window, which then begins 1.0 nats above the old minimum.
    loss = np.concatenate([np.full(200, 0.2), np.full(800, 1.2)])
    late = windows(1000)["late"]
    assert max_rise(series(loss), late) == pytest.approx(1 / LN2)
    assert max_rise(series(loss[late])) == pytest.approx(0, abs=1e-12)
    assert onset_step(series(loss), late) == 500
    assert onset_step(series(loss)) == 200


def test_a_climb_of_a_tenth_of_chance_decides_the_onset() -> None:
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


# --- runs that did not learn, diverged, or hardly began ---


def test_collapsed_flat_run_is_the_smoothest_there_is() -> None:
    summary = summarise(np.full(300, LN2), np.full(300, 1e-3), num_classes=2)
    expected = {
        "roughness": 0.0,
        "rho1": None,
        "spike_rate": 0.0,
        "max_rise": 0.0,
        "onset_step": None,
        "onset_lr": None,
        "overshoot_rate": None,
    }
    assert summary == {"whole": expected, "early": expected, "late": expected}


@pytest.mark.parametrize("tail", [[NAN], [math.inf], [-math.inf, 3.0], [NAN, 0.5, NAN]])
def test_a_diverged_run_is_described_up_to_its_first_non_finite_loss(tail: list[float]) -> None:
    loss, lr = learning_curve(150), np.linspace(0, 1, 150)
    diverged = summarise([*loss, *tail], [*lr, *[1.0] * len(tail)], num_classes=2)
    assert diverged["whole"] == summarise(loss, lr, num_classes=2)["whole"]


def test_planned_steps_keep_the_windows_of_a_diverged_run_beside_its_siblings() -> None:
    loss, lr = learning_curve(1000), np.linspace(0, 1, 1000)
    full = summarise(loss, lr, num_classes=2)
    stopped = np.append(loss[:300], NAN)
    cut = summarise(stopped, lr[:301], num_classes=2, total_steps=1000)
    # The medians of the last 12 updates before the stop know less, but early ends long before them.
    assert cut["early"] == full["early"]
    assert set(cut["late"].values()) == {None}
    unplanned = summarise(stopped, lr[:301], num_classes=2)
    assert unplanned["early"]["spike_rate"] == spike_rate(series(loss[:300]), slice(0, 61))
    assert unplanned["early"]["spike_rate"] != full["early"]["spike_rate"]


def test_a_run_that_diverges_at_once_has_no_metric() -> None:
    summary = summarise([NAN], [0.0], num_classes=2, total_steps=100)
    assert {value for window in summary.values() for value in window.values()} == {None}


def test_an_empty_trace_has_no_metric() -> None:
    summary = summarise([], [], num_classes=2)
    assert list(summary) == ["whole", "early", "late"]
    assert {value for window in summary.values() for value in window.values()} == {None}


@pytest.mark.parametrize(
    ("num_updates", "defined"),
    [
        (1, {"max_rise"}),
        (9, {"max_rise"}),
        (10, {"max_rise", "roughness"}),
        (24, {"max_rise", "roughness"}),
        (25, {"max_rise", "roughness", "rho1", "spike_rate"}),
    ],
)
def test_too_short_a_window_gives_none(num_updates: int, defined: set[str]) -> None:
    whole = summarise(noise(num_updates, sigma=0.01), np.zeros(num_updates), num_classes=2)["whole"]
    assert {name for name, value in whole.items() if value is not None} == defined


# --- summary ---


def test_every_window_is_cut_from_series_of_the_whole_trace() -> None:
    loss = learning_curve(400)
    late = windows(400)["late"]
    found = summarise(loss, np.zeros(400), num_classes=2)["late"]
    for name, metric in METRICS.items():
        assert found[name] == metric(series(loss, np.zeros(400)), late)
    # Medians and EMA of the half alone would differ; the second differences of roughness would not.
    alone = summarise(loss[late], np.zeros(200), num_classes=2)["whole"]
    assert found["rho1"] != alone["rho1"]
    assert found["max_rise"] != alone["max_rise"]
    assert found["spike_rate"] != alone["spike_rate"]
    assert found["roughness"] == alone["roughness"]


@pytest.mark.parametrize("num_updates", [0, 1, 30, 300])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-320, 1e300])
def test_summary_goes_to_json_unchanged(num_updates: int, scale: float) -> None:
    loss = scale * learning_curve(300)[:num_updates]
    probe = np.arange(num_updates) % 2
    summary = summarise(loss, np.zeros(num_updates, dtype=np.float32), num_classes=2, overshoot=probe)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    values = [value for window in summary.values() for value in window.values()]
    assert {type(value) for value in values} <= {int, float, type(None)}


def test_onset_step_is_an_integer_in_json() -> None:
    summary = summarise(catapult(), np.zeros(100), num_classes=2)
    assert json.dumps(summary["whole"]["onset_step"]) == "11"


def test_lists_pandas_columns_and_float32_are_taken_alike() -> None:
    loss = learning_curve(100).astype(np.float32)
    lr = np.linspace(0, 1, 100)
    expected = summarise(loss.astype(np.float64), lr, num_classes=2)
    assert summarise(loss, lr, num_classes=2) == expected
    assert summarise(loss.tolist(), lr.tolist(), num_classes=2) == expected
    assert summarise(pd.Series(loss), pd.Series(lr), num_classes=2) == expected


def test_the_input_is_left_as_it_was() -> None:
    loss = learning_curve(100)
    loss.flags.writeable = False
    summarise(loss, np.zeros(100), num_classes=2)
    np.testing.assert_array_equal(loss, learning_curve(100))


@pytest.mark.parametrize("num_classes", [0, 1])
def test_one_class_is_refused(num_classes: int) -> None:
    with pytest.raises(ValueError, match=rf"num_classes must be 2 or more.*got {num_classes}"):
        LossSeries([0.5], num_classes=num_classes)


def test_wrong_shapes_are_refused_with_their_value() -> None:
    with pytest.raises(ValueError, match=r"loss must have shape \(T,\).*\(2, 3\)"):
        summarise(np.zeros((2, 3)), np.zeros(6), num_classes=2)
    with pytest.raises(ValueError, match="lr has 4 values, but the loss trace has 3 updates"):
        summarise([0.5] * 3, [0.1] * 4, num_classes=2)
    with pytest.raises(ValueError, match="overshoot has 2 values, but the loss trace has 3 updates"):
        summarise([0.5] * 3, [0.1] * 3, num_classes=2, overshoot=[0, 1])
    with pytest.raises(ValueError, match="total_steps=2 is fewer than the 3 updates"):
        summarise([0.5] * 3, [0.1] * 3, num_classes=2, total_steps=2)


# --- overshoot ---


@pytest.mark.parametrize(
    ("column", "expected"),
    [([], None), ([NAN, NAN], None), ([0, 1, 1, NAN], 2 / 3), ([0.0], 0.0), ([True], 1.0)],
)
def test_overshoot_rate(column: list[float], expected: float | None) -> None:
    assert overshoot_rate(column) == expected


def test_overshoot_is_cut_to_windows_and_to_the_finite_prefix() -> None:
    loss = [0.5] * 9 + [NAN]
    summary = summarise(loss, [0.0] * 10, num_classes=2, overshoot=[1, 1, NAN, NAN, NAN, 1, 1, 0, 0, 1])
    rates = [summary[name]["overshoot_rate"] for name in ("whole", "early", "late")]
    assert rates == [4 / 6, 2 / 2, 2 / 4]


def test_a_loss_difference_in_place_of_a_flag_is_refused() -> None:
    with pytest.raises(ValueError, match=r"overshoot holds 0, 1 or NaN \(not probed\); got -0.25"):
        overshoot_rate([1.0, NAN, -0.25])


# --- excess ---


def test_excess_by_hand_and_its_sign() -> None:
    # 12 of 48 updates bounce: RMS is amplitude * sqrt(12 / 48), so 0.15 and 0.05.
    rough, smooth = burst(0.3, before=18, after=18), burst(0.1, before=18, after=18)
    assert excess(rough, smooth) == pytest.approx(0.1)
    assert excess(smooth, rough) == pytest.approx(-0.1)
    assert excess(rough, rough) == 0.0


def test_excess_is_cut_to_windows_after_the_median() -> None:
    rough, flat = burst(0.3, before=30, after=6), [0.5] * 48
    assert excess(rough, flat, window=slice(0, 30)) == 0.0
    assert excess(rough, flat, window=slice(30, 42)) == pytest.approx(0.3)


def test_excess_compares_only_updates_that_both_arms_have() -> None:
    rough = burst(0.3, before=18, after=18)
    diverged = [0.5] * 24 + [NAN]
    # 6 of the shared 24 updates bounce.
    assert excess(rough, diverged) == pytest.approx(0.3 * math.sqrt(6 / 24))
    assert excess(diverged, rough) == pytest.approx(-0.3 * math.sqrt(6 / 24))
    assert excess(rough, [0.5] * 9) is None
    assert excess(rough, []) is None
    assert excess(1e300 * np.array(rough), rough) is None


def test_excess_of_lasting_bouncing_grows_with_it() -> None:
    signs = np.tile([1.0, -1.0], 50)
    for amplitude in (0.2, 0.3):
        found = excess(0.5 + amplitude * signs, 0.5 + 0.1 * signs, window=slice(12, 88))
        assert found == pytest.approx(amplitude - 0.1)


def test_excess_of_a_lone_update_is_none() -> None:
    assert excess([0.5], [0.6]) is None


# --- updates_to_target ---


def test_the_reference_reaches_its_own_half_time_loss_just_after_half() -> None:
    reference = np.linspace(1, 0, 200)
    assert updates_to_target(reference, reference) == 101


def test_an_arm_twice_as_fast_needs_half_as_many_beyond_the_lag_of_the_median() -> None:
    # The median lags 12 updates: at 100 the reference's is 200 - 88, which 200 - 2 (t - 12) passes after 56.
    steps = np.arange(200.0)
    assert updates_to_target(200 - 2 * steps, 200 - steps) == 57


def test_updates_to_target_of_runs_that_never_get_there() -> None:
    reference = np.linspace(1, 0, 200)
    assert updates_to_target(np.full(200, 1.0), reference) is None
    assert updates_to_target([*[1.0] * 30, NAN], reference) is None
    assert updates_to_target(np.zeros(24), reference) is None


def test_the_earliest_answer_is_a_full_median() -> None:
    assert updates_to_target(np.zeros(25), np.linspace(1, 0, 200)) == 24


def test_lucky_batches_reach_no_target() -> None:
    reference = np.linspace(1, 0, 200)
    lucky = np.ones(200)
    lucky[:12] = 0.0
    assert updates_to_target(lucky, reference) is None
    lucky[12] = 0.0
    assert updates_to_target(lucky, reference) == 24


def test_a_reference_without_a_half_time_loss_sets_no_target() -> None:
    assert updates_to_target(np.zeros(100), []) is None
    assert updates_to_target(np.zeros(100), np.ones(47)) is None
    assert updates_to_target(np.zeros(100), np.ones(48)) == 24
    assert updates_to_target(np.zeros(100), [*[1.0] * 40, *[NAN] * 60]) is None


# --- roughness at matched loss ---


def slow_matched_roughness(loss: list[float], num_classes: int) -> float | None:
    chance = math.log(num_classes)
    inside = [0.4 * chance <= slow_level(loss, step) <= 0.8 * chance for step in range(len(loss))]
    differences = [
        loss[step] - 2 * loss[step - 1] + loss[step - 2]
        for step in range(2, len(loss))
        if inside[step] and inside[step - 1] and inside[step - 2]
    ]
    if len(differences) < 8:
        return None
    middle = statistics.median(differences)
    return 1.4826 * statistics.median(abs(value - middle) for value in differences) / math.sqrt(6) / chance


def descent(middle: list[float]) -> FloatArray:
    """150 updates that bounce by 0.3 about 1.0, above the band of C = 2; `middle`; 60 flat at 0.1, below it."""
    return np.array([1.3, 0.7] * 75 + middle + [0.1] * 60)


@pytest.mark.parametrize("num_updates", LENGTHS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_matched_roughness_equals_its_slow_twin(num_updates: int, num_classes: int) -> None:
    loss = learning_curve(num_updates)
    expected = slow_matched_roughness(loss.tolist(), num_classes)
    assert roughness_at_matched_loss(loss, num_classes=num_classes) == pytest.approx(expected, abs=1e-12)
    assert expected is not None or num_updates < 37


def test_matched_roughness_by_hand_sees_only_the_middle_of_learning() -> None:
    loss = descent([0.35, 0.45] * 30)
    # The level of the 58 updates 151..208 is in the band: 28 second differences of +0.2, 28 of -0.2.
    expected = 1.4826 * 0.2 / math.sqrt(6) / LN2
    assert roughness_at_matched_loss(loss, num_classes=2) == pytest.approx(expected)
    assert roughness_at_matched_loss(loss, num_classes=2) == pytest.approx(roughness(series(loss), slice(151, 209)))
    assert roughness(series(loss)) == pytest.approx(6 * expected)


@pytest.mark.parametrize(("level", "defined"), [(0.39, False), (0.41, True), (0.79, True), (0.81, False)])
@pytest.mark.parametrize("num_classes", [2, 6])
def test_the_band_is_in_units_of_chance(level: float, defined: bool, num_classes: int) -> None:
    flat = np.full(50, level * math.log(num_classes))
    assert roughness_at_matched_loss(flat, num_classes=num_classes) == (0.0 if defined else None)


def test_the_level_decides_and_not_the_loss_itself() -> None:
    # Every loss is outside the band, 0.277 to 0.555; the level of the updates 12..87 is 0.4, in the middle of it.
    loss = np.tile([0.1, 0.7], 50)
    expected = 1.4826 * 1.2 / math.sqrt(6) / LN2
    assert roughness_at_matched_loss(loss, num_classes=2) == pytest.approx(expected)
    # And all of these are inside it but for every 30th update, which changes nothing.
    spiked = np.where(np.arange(90) % 30 == 15, 5.0, noise(90, sigma=0.01, level=0.4))
    assert roughness_at_matched_loss(spiked, num_classes=2) == roughness(series(spiked))


def test_matched_roughness_needs_ten_updates_in_a_row_or_as_many_triples() -> None:
    # A step of n updates has the level of the band at all but its first and last.
    expected = 1.4826 * 0.2 / math.sqrt(6) / LN2
    assert roughness_at_matched_loss(descent([0.35, 0.45] * 6), num_classes=2) == pytest.approx(expected)
    assert roughness_at_matched_loss(descent([0.35, 0.45] * 5 + [0.35]), num_classes=2) is None
    # Exact bouncing has its level in the band at every second update near a border: 12 of these 24, no three in a row.
    loss = np.tile([0.1, 0.7], 12)
    assert sum(0.4 * LN2 <= level <= 0.8 * LN2 for level in neighbour_median(loss)) == 12
    assert roughness_at_matched_loss(loss, num_classes=2) is None


def test_second_differences_do_not_reach_over_a_gap() -> None:
    # Down to 0.1 and back up: two stays in the band, of 5 updates each, have 6 triples, of 6 have 8.
    for num_updates, expected in ((7, None), (8, 0.0)):
        stay = [0.4] * num_updates
        loss = [1.0] * 30 + stay + [0.1] * 30 + stay + [1.0] * 30
        assert roughness_at_matched_loss(loss, num_classes=2) == expected


def test_arms_with_the_same_noise_at_the_same_loss_differ_only_at_the_same_update() -> None:
    chance_share = [np.exp(-np.arange(6000) / time_constant) for time_constant in (500, 3000)]
    arms = [
        LN2 * (share + 0.4 * share * (1 - share) * noise(6000, seed=seed, sigma=1.0, level=0.0))
        for seed, share in enumerate(chance_share)
    ]
    fast, slow = (roughness(series(arm)) or 0 for arm in arms)
    assert slow > 3 * fast
    matched = [roughness_at_matched_loss(arm, num_classes=2) or 0 for arm in arms]
    # Some 350 and 2100 updates: standard errors of 8 % and 3 %. Noise of 0.4 x (1 - x) is 0.096 at the mean x, 0.6.
    assert matched == pytest.approx([0.096, 0.096], rel=0.25)


def test_matched_roughness_of_runs_that_never_came_down_diverged_or_hardly_began() -> None:
    loss = descent([0.35, 0.45] * 30)
    assert roughness_at_matched_loss(noise(300, sigma=0.01, level=LN2), num_classes=2) is None
    assert roughness_at_matched_loss([*loss, NAN, *[0.4] * 50], num_classes=2) == roughness_at_matched_loss(
        loss, num_classes=2
    )
    for short in ([], [0.4], [0.4] * 9, [NAN]):
        assert roughness_at_matched_loss(short, num_classes=2) is None
    assert roughness_at_matched_loss([0.4] * 10, num_classes=2) == 0.0
    # The level of all but the borders is 0.4; half of the second differences overflow.
    huge = np.tile([1.7e308, 0.4, -1.7e308, 0.4], 20)
    assert roughness_at_matched_loss(huge, num_classes=2) is None
    with pytest.raises(ValueError, match="num_classes must be 2 or more"):
        roughness_at_matched_loss(loss, num_classes=1)
