"""Metrics that need a second run or a loss level, on hand-made traces."""

import math

import numpy as np
import pytest
from loss_traces import LN2, NAN, FloatArray, burst, learning_curve, noise, reference_level, series

from warmup_lab.metrics.oscillation import interquartile_mean, roughness
from warmup_lab.metrics.paired import excess, half_way_loss, matched_roughness, updates_to_target
from warmup_lab.metrics.series import LossSeries

# --- excess ---


def test_excess_by_hand() -> None:
    # 12 of 48 updates bounce: RMS is amplitude * sqrt(12 / 48), so 0.15 and 0.05.
    rough, smooth = burst(0.3, before=18, after=18), burst(0.1, before=18, after=18)
    assert excess(rough, smooth) == pytest.approx(0.1)
    assert excess(smooth, rough) == pytest.approx(-0.1)
    assert excess(rough, rough) == 0.0


def test_excess_is_cut_to_windows_after_the_median() -> None:
    rough, flat = burst(0.3, before=30, after=6), [0.5] * 48
    assert excess(rough, flat, window=slice(0, 30)) == 0.0
    assert excess(rough, flat, window=slice(30, 42)) == pytest.approx(0.3)


def test_excess_covers_only_updates_that_both_runs_have() -> None:
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


def test_excess_of_one_update_is_none() -> None:
    assert excess([0.5], [0.6]) is None


# --- updates_to_target ---


def test_updates_to_target_by_hand() -> None:
    # The median of the 25 losses up to update t of a line is the loss of update t - 12.
    line = np.linspace(1, 0, 201)
    assert updates_to_target(line, 0.5) == 112
    assert updates_to_target(line, 0.501) == 112
    assert updates_to_target(line, 0.499) == 113


def test_a_target_that_is_just_reached_counts() -> None:
    assert updates_to_target(np.full(30, 0.5), 0.5) == 24


def test_updates_to_target_of_runs_that_never_reach_it_is_none() -> None:
    assert updates_to_target(np.full(200, 1.0), 0.5) is None
    assert updates_to_target([*[1.0] * 30, NAN], 0.5) is None
    assert updates_to_target([*[1.0] * 30, NAN, *[0.1] * 60], 0.5) is None
    assert updates_to_target(np.zeros(200), NAN) is None


@pytest.mark.parametrize(("num_updates", "expected"), [(0, None), (24, None), (25, 24)])
def test_updates_to_target_needs_a_full_median(num_updates: int, expected: int | None) -> None:
    assert updates_to_target(np.zeros(num_updates), 0.5) == expected


def test_a_few_lucky_batches_do_not_reach_the_target() -> None:
    lucky = np.ones(200)
    lucky[:12] = 0.0
    assert updates_to_target(lucky, 0.5) is None
    lucky[12] = 0.0
    assert updates_to_target(lucky, 0.5) == 24


def test_half_way_loss_by_hand() -> None:
    # The median of the last 10 % of 1000 updates is 0.2; of the last 25 of 100 updates, 0.1.
    assert half_way_loss(np.where(np.arange(1000) < 910, 0.9, 0.2), entropy=0.6) == pytest.approx(0.4)
    assert half_way_loss(np.where(np.arange(100) < 87, 0.9, 0.1), entropy=0.6) == pytest.approx(0.35)


@pytest.mark.parametrize("loss", [[], [1.0] * 24, [*[1.0] * 40, NAN], [*[1.0] * 40, NAN, *[0.1] * 40]])
def test_a_short_or_diverged_run_has_no_half_way_loss(loss: list[float]) -> None:
    assert half_way_loss(loss, entropy=1.0) is None
    assert half_way_loss([1.0] * 25, entropy=1.0) == 1.0


# --- matched_roughness ---


def noisy(levels: FloatArray, *, seed: int) -> FloatArray:
    """A loss whose noise depends on its level x, in units of H = 1, as sampling noise does: 0.4 x (1 - x)."""
    return levels + 0.4 * levels * (1 - levels) * noise(levels.size, seed=seed, sigma=1.0, level=0.0)


def line(*points: tuple[int, float]) -> FloatArray:
    """Straight lines through (update, loss)."""
    steps, values = zip(*points, strict=True)
    return np.interp(np.arange(steps[-1]), steps, values)


LINGERS_HIGH = line((0, 0.8), (500, 0.75), (600, 0.4))
LINGERS_LOW = line((0, 0.8), (100, 0.45), (600, 0.4))


def reference_weights(ours: list[float], theirs: list[float], entropy: float) -> list[float]:
    """The weight of each second difference of `ours`, from the definition."""
    own, other = (
        [math.floor(reference_level(loss, step) / (0.025 * entropy)) for step in range(1, len(loss) - 1)]
        for loss in (ours, theirs)
    )
    return [min(own.count(level), other.count(level)) / own.count(level) for level in own]


@pytest.mark.parametrize("num_updates", [60, 235])
@pytest.mark.parametrize("entropy", [LN2, 1.1])
def test_matched_roughness_equals_the_reference(num_updates: int, entropy: float) -> None:
    pair = [learning_curve(num_updates, seed=seed).tolist() for seed in (0, 1)]
    found = matched_roughness(*pair, entropy=entropy)
    assert found is not None
    for value, ours, theirs in ((found[0], *pair), (found[1], *reversed(pair))):
        sizes = np.abs(np.diff(ours, n=2))
        expected = interquartile_mean(sizes, np.array(reference_weights(ours, theirs, entropy)))
        assert value == pytest.approx(expected / 0.6933668 / math.sqrt(6) / entropy)


def test_a_run_matched_with_itself_has_its_roughness() -> None:
    loss = learning_curve(235)
    whole = roughness(series(loss))
    assert matched_roughness(loss, loss, entropy=LN2) == pytest.approx((whole, whole))


def test_matched_roughness_swaps_with_the_runs() -> None:
    pair = learning_curve(235), learning_curve(300, seed=1)
    found = matched_roughness(*pair, entropy=LN2)
    assert found is not None
    assert matched_roughness(*reversed(pair), entropy=LN2) == found[::-1]


@pytest.mark.parametrize(
    ("levels", "reference"),
    [
        (LINGERS_HIGH, LINGERS_LOW),
        (line((0, 1.0), (500, 0.9), (600, 0.1)), line((0, 1.0), (100, 0.15), (600, 0.1))),
        (0.2 + 0.8 * np.exp(-np.arange(341) / 30), 0.2 + 0.8 * np.exp(-np.arange(341) / 100)),
    ],
)
def test_lingering_at_a_level_does_not_count(levels: FloatArray, reference: FloatArray) -> None:
    pairs = [(noisy(levels, seed=2 * k), noisy(reference, seed=2 * k + 1)) for k in range(60)]
    unmatched = np.array([[roughness(LossSeries(loss, entropy=1.0)) for loss in pair] for pair in pairs])
    ours, theirs = np.array([matched_roughness(*pair, entropy=1.0) for pair in pairs]).T
    # A single difference has a standard deviation of 0.013, so the mean of 60 has 0.0017.
    assert np.mean(ours - theirs) == pytest.approx(0, abs=0.006)
    assert abs(np.diff(unmatched.mean(axis=0))[0]) > 0.008


def test_matched_roughness_sees_a_real_difference_at_equal_loss() -> None:
    rough = LINGERS_LOW + 1.5 * (noisy(LINGERS_LOW, seed=0) - LINGERS_LOW)
    ours, theirs = matched_roughness(rough, noisy(LINGERS_HIGH, seed=1), entropy=1.0) or (0, 1)
    # Standard error of a ratio: about 20 %.
    assert 1.2 < ours / theirs < 1.9


def test_runs_that_share_too_few_updates_have_no_matched_roughness() -> None:
    high, low = noise(200, level=0.95, sigma=0.001), noise(200, level=0.2, sigma=0.001)
    assert matched_roughness(high, low, entropy=1.0) is None
    # A bin starts at 0.5; the 26 updates have 24 second differences, the 27 have 25.
    flat = np.full(200, 0.51)
    assert matched_roughness(np.full(26, 0.51), flat, entropy=1.0) is None
    assert matched_roughness(np.full(27, 0.51), flat, entropy=1.0) == (0.0, 0.0)
    for short in ([], [0.51], [NAN]):
        assert matched_roughness(short, flat, entropy=1.0) is None
        assert matched_roughness(flat, short, entropy=1.0) is None


def test_matched_roughness_ends_before_a_divergence() -> None:
    loss, other = learning_curve(235), learning_curve(235, seed=1)
    assert matched_roughness([*loss, NAN, *[0.4] * 50], other, entropy=LN2) == matched_roughness(
        loss, other, entropy=LN2
    )
    huge = np.tile([1.7e308, 0.4, -1.7e308, 0.4], 20)
    assert matched_roughness(huge, huge, entropy=1.0) is None


def test_matched_roughness_needs_an_entropy() -> None:
    with pytest.raises(ValueError, match="entropy=0: must be above 0"):
        matched_roughness([0.5], [0.5], entropy=0)
