"""Simulated false alarms and detections of the rise test behind `onset_step`, and its edge cases.

The bounds allow for binomial error: a correct implementation fails less than once in 1000 seeds, and the seeds are
fixed. `onset_step` has the rates of larger simulations.
"""

import math
import time

import numpy as np
import pytest
from loss_traces import FloatArray, autoregressive_noise, noise
from scipy import stats

from warmup_lab.metrics.oscillation import onset_step
from warmup_lab.metrics.rises import has_risen, noise_of_averages
from warmup_lab.metrics.series import LossSeries


def share_with_onset(losses: FloatArray) -> float:
    return float(np.mean([has_risen(loss, entropy=1.0).any() for loss in losses]))


def trend(name: str, num_updates: int) -> FloatArray:
    """From H = 1 down to 0.2, or a part of the way."""
    steps = np.arange(num_updates)
    trends = {
        "flat": np.full(num_updates, 0.2),
        "linear": 1 - 0.5 * steps / num_updates,
        "20 updates": 0.2 + 0.8 * np.exp(-steps / 20),
        "T/30": 0.2 + 0.8 * np.exp(-30 * steps / num_updates),
        "T/10": 0.2 + 0.8 * np.exp(-10 * steps / num_updates),
        "T/3": 0.2 + 0.8 * np.exp(-3 * steps / num_updates),
    }
    return trends[name]


def rise(num_updates: int, *, start: int, lasts: int | None) -> FloatArray:
    """From 0 to 1 over 25 updates; back to 0 over 25 updates after a stay of `lasts` updates."""
    after = np.arange(num_updates) - start
    up = np.clip(after / 25, 0, 1)
    return up if lasts is None else np.clip(np.minimum(up, (50 + lasts - after) / 25), 0, 1)


# --- false alarms


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
@pytest.mark.parametrize(
    ("num_updates", "num_runs"), [(120, 1000), (341, 1000), (1000, 600), (3600, 300), (10_000, 150)]
)
def test_at_most_one_percent_of_runs_with_noise_have_an_onset(
    num_updates: int, num_runs: int, coefficient: float
) -> None:
    losses = 0.2 + 0.12 * autoregressive_noise(num_runs, num_updates, coefficient=coefficient)
    allowed = stats.binom.ppf(0.999, num_runs, 0.01)
    assert num_runs * share_with_onset(losses) <= allowed


@pytest.mark.parametrize("name", ["linear", "20 updates", "T/30", "T/10", "T/3"])
@pytest.mark.parametrize("sigma", [0.02, 0.12])
@pytest.mark.parametrize("num_updates", [120, 341, 1000])
def test_noise_around_a_trend_has_no_onset(name: str, sigma: float, num_updates: int) -> None:
    losses = trend(name, num_updates) + sigma * autoregressive_noise(200, num_updates, coefficient=0.5)
    assert 200 * share_with_onset(losses) <= stats.binom.ppf(0.999, 200, 0.01)


@pytest.mark.parametrize(("middle", "width"), [(0.1, 0.03), (0.3, 0.03), (0.7, 0.1)])
def test_noise_that_changes_with_the_loss_is_no_onset(middle: float, width: float) -> None:
    # Sampling noise is largest in the middle of learning. The noise of the whole run alone is too small there.
    share = np.arange(3600) / 3600
    level = 1 / (1 + np.exp((share - middle) / width))
    noises = autoregressive_noise(60, 3600, coefficient=0.0)
    assert share_with_onset(level + (0.4 * level * (1 - level) + 0.006) * noises) == 0


# --- detections


@pytest.mark.parametrize("lasts", [None, 50])
@pytest.mark.parametrize("coefficient", [0.0, 0.5])
@pytest.mark.parametrize("name", ["flat", "linear", "20 updates", "T/10"])
@pytest.mark.parametrize(("num_updates", "num_runs"), [(341, 200), (1000, 100), (3600, 50)])
def test_a_rise_of_three_noise_deviations_over_25_updates_is_found(
    num_updates: int, num_runs: int, name: str, coefficient: float, lasts: int | None
) -> None:
    noises = 0.12 * autoregressive_noise(num_runs, num_updates, coefficient=coefficient)
    losses = trend(name, num_updates) + noises + 0.36 * rise(num_updates, start=num_updates // 2, lasts=lasts)
    found = num_runs * share_with_onset(losses)
    assert found >= stats.binom.ppf(0.001, num_runs, 0.9)


@pytest.mark.parametrize("sigma", [0.01, 0.12, 0.5])
def test_the_onset_is_soon_after_the_start_of_the_rise(sigma: float) -> None:
    losses = 0.5 + sigma * (noise(1000, sigma=1.0, level=0) + 3 * rise(1000, start=500, lasts=None))
    step = onset_step(LossSeries(losses, entropy=1.0))
    assert step is not None
    assert 510 <= step <= 535


def test_the_onset_does_not_depend_on_scale_and_level() -> None:
    loss = noise(500, sigma=0.1) + 0.3 * rise(500, start=200, lasts=None)
    steps = {onset_step(LossSeries(scale * loss + level, entropy=scale)) for scale in (0.1, 1, 7) for level in (0, 3)}
    assert len(steps) == 1
    assert None not in steps


def test_a_run_that_breaks_and_diverges_has_its_onset_at_the_break() -> None:
    loss = 0.3 + 0.02 * noise(400, sigma=1.0, level=0)
    loss[300:] *= 1.1 ** np.arange(100)
    step = onset_step(LossSeries([*loss, math.nan, 0.1], entropy=0.7))
    assert step is not None
    assert 300 < step < 325


# --- edge cases


@pytest.mark.parametrize("level", [0.0, 0.1, math.log(2), 1e-320, 1e6])
@pytest.mark.parametrize("num_updates", [49, 50, 341, 2000])
def test_a_constant_loss_has_no_onset(level: float, num_updates: int) -> None:
    assert not has_risen(np.full(num_updates, level), entropy=0.7).any()


def test_a_trend_without_noise_has_no_onset() -> None:
    for name in ("linear", "20 updates", "T/3"):
        assert not has_risen(trend(name, 500), entropy=1.0).any()


def test_a_rise_below_one_percent_of_the_entropy_is_no_onset() -> None:
    for height, found in ((0.0099, False), (0.0101, True)):
        assert has_risen(np.where(np.arange(200) < 100, 0.5, 0.5 + height), entropy=1.0).any() == found


@pytest.mark.parametrize(("num_updates", "found"), [(0, False), (1, False), (49, False), (50, True)])
def test_traces_under_50_updates_have_no_onset(num_updates: int, found: bool) -> None:
    assert has_risen(np.where(np.arange(num_updates) < 30, 0.5, 1.5), entropy=1.0).any() == found


@pytest.mark.parametrize(("coefficient", "expected"), [(0.0, 1.0), (0.5, 1.315)])
def test_noise_of_averages(coefficient: float, expected: float) -> None:
    # Var(D) is 6 v - 8 c_1 + 2 c_2 with v = 11.125/25, c_1 = 1.877/25 and c_2 = 0.059/25 for AR(1), and 6/5 for white.
    found = noise_of_averages(autoregressive_noise(1, 100_000, coefficient=coefficient)[0])
    assert np.min(found) == pytest.approx(expected, rel=0.03)


def test_a_trace_takes_about_a_millisecond_at_most() -> None:
    loss = noise(341)
    start = time.process_time()
    for _ in range(100):
        has_risen(loss, entropy=1.0)
    # 0.15 ms each on a quiet machine.
    assert (time.process_time() - start) / 100 < 1e-3
