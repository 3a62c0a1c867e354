"""Metrics that need a second run or a loss level, on hand-made traces."""

import math
import statistics

import numpy as np
import pytest
from loss_traces import LENGTHS, LN2, NAN, FloatArray, burst, learning_curve, noise, reference_level, series

from warmup_lab.metrics.oscillation import roughness
from warmup_lab.metrics.paired import excess, roughness_at_matched_loss, updates_to_target
from warmup_lab.metrics.series import neighbour_median

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


def test_the_reference_reaches_its_own_half_way_loss_just_after_half() -> None:
    reference = np.linspace(1, 0, 200)
    assert updates_to_target(reference, reference) == 101


def test_updates_to_target_of_a_run_twice_as_fast() -> None:
    # The median lags 12 updates: at 100 the reference's is 200 - 88, which 200 - 2 (t - 12) passes after 56.
    steps = np.arange(200.0)
    assert updates_to_target(200 - 2 * steps, 200 - steps) == 57


def test_updates_to_target_of_runs_that_never_reach_it_is_none() -> None:
    reference = np.linspace(1, 0, 200)
    assert updates_to_target(np.full(200, 1.0), reference) is None
    assert updates_to_target([*[1.0] * 30, NAN], reference) is None
    assert updates_to_target(np.zeros(24), reference) is None


def test_updates_to_target_needs_a_full_median() -> None:
    assert updates_to_target(np.zeros(25), np.linspace(1, 0, 200)) == 24


def test_a_few_lucky_batches_do_not_reach_the_target() -> None:
    reference = np.linspace(1, 0, 200)
    lucky = np.ones(200)
    lucky[:12] = 0.0
    assert updates_to_target(lucky, reference) is None
    lucky[12] = 0.0
    assert updates_to_target(lucky, reference) == 24


def test_a_reference_without_a_half_way_loss_sets_no_target() -> None:
    assert updates_to_target(np.zeros(100), []) is None
    assert updates_to_target(np.zeros(100), np.ones(47)) is None
    assert updates_to_target(np.zeros(100), np.ones(48)) == 24
    assert updates_to_target(np.zeros(100), [*[1.0] * 40, *[NAN] * 60]) is None


# --- roughness_at_matched_loss ---


def reference_matched_roughness(loss: list[float], num_classes: int) -> float | None:
    chance = math.log(num_classes)
    inside = [0.4 * chance <= reference_level(loss, step) <= 0.8 * chance for step in range(len(loss))]
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
    """150 updates that bounce by 0.3 around 1.0, above the band of C = 2; then `middle`; then 60 at 0.1, below it."""
    return np.array([1.3, 0.7] * 75 + middle + [0.1] * 60)


@pytest.mark.parametrize("num_updates", LENGTHS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_matched_roughness_equals_the_reference(num_updates: int, num_classes: int) -> None:
    loss = learning_curve(num_updates)
    expected = reference_matched_roughness(loss.tolist(), num_classes)
    assert roughness_at_matched_loss(loss, num_classes=num_classes) == pytest.approx(expected, abs=1e-12)
    assert expected is not None or num_updates < 37


def test_matched_roughness_covers_only_the_band() -> None:
    loss = descent([0.35, 0.45] * 30)
    # The level of the 58 updates 151..208 is in the band: 28 second differences of +0.2, 28 of -0.2.
    expected = 1.4826 * 0.2 / math.sqrt(6) / LN2
    assert roughness_at_matched_loss(loss, num_classes=2) == pytest.approx(expected)
    assert roughness_at_matched_loss(loss, num_classes=2) == pytest.approx(roughness(series(loss), slice(151, 209)))
    assert roughness(series(loss)) == pytest.approx(6 * expected)


@pytest.mark.parametrize(("level", "defined"), [(0.39, False), (0.41, True), (0.79, True), (0.81, False)])
@pytest.mark.parametrize("num_classes", [2, 6])
def test_the_band_is_in_units_of_ln_c(level: float, defined: bool, num_classes: int) -> None:
    flat = np.full(50, level * math.log(num_classes))
    assert roughness_at_matched_loss(flat, num_classes=num_classes) == (0.0 if defined else None)


def test_the_level_sets_the_band_not_the_loss_itself() -> None:
    # Every loss is outside the band of 0.277 to 0.555. The level of the updates 12..87 is 0.4, in the middle of it.
    loss = np.tile([0.1, 0.7], 50)
    expected = 1.4826 * 1.2 / math.sqrt(6) / LN2
    assert roughness_at_matched_loss(loss, num_classes=2) == pytest.approx(expected)
    # Here every loss is inside the band except at every 30th update, which changes nothing.
    spiked = np.where(np.arange(90) % 30 == 15, 5.0, noise(90, sigma=0.01, level=0.4))
    assert roughness_at_matched_loss(spiked, num_classes=2) == roughness(series(spiked))


def test_matched_roughness_needs_eight_triples() -> None:
    # On a step of n updates, the level is in the band at all but the first and the last.
    expected = 1.4826 * 0.2 / math.sqrt(6) / LN2
    assert roughness_at_matched_loss(descent([0.35, 0.45] * 6), num_classes=2) == pytest.approx(expected)
    assert roughness_at_matched_loss(descent([0.35, 0.45] * 5 + [0.35]), num_classes=2) is None
    # With exact bouncing, the level near a border is in the band at every second update: 12 of 24, no three in a row.
    loss = np.tile([0.1, 0.7], 12)
    assert sum(0.4 * LN2 <= level <= 0.8 * LN2 for level in neighbour_median(loss)) == 12
    assert roughness_at_matched_loss(loss, num_classes=2) is None


def test_second_differences_do_not_reach_over_a_gap() -> None:
    # Down to 0.1 and back up: two stays of 5 updates each in the band have 6 triples; stays of 6 have 8.
    for num_updates, expected in ((7, None), (8, 0.0)):
        stay = [0.4] * num_updates
        loss = [1.0] * 30 + stay + [0.1] * 30 + stay + [1.0] * 30
        assert roughness_at_matched_loss(loss, num_classes=2) == expected


def test_matched_roughness_of_equal_noise_at_equal_loss_is_equal() -> None:
    chance_share = [np.exp(-np.arange(6000) / time_constant) for time_constant in (500, 3000)]
    arms = [
        LN2 * (share + 0.4 * share * (1 - share) * noise(6000, seed=seed, sigma=1.0, level=0.0))
        for seed, share in enumerate(chance_share)
    ]
    fast, slow = (roughness(series(arm)) or 0 for arm in arms)
    assert slow > 3 * fast
    matched = [roughness_at_matched_loss(arm, num_classes=2) or 0 for arm in arms]
    # About 350 and 2100 updates: standard errors of 8 % and 3 %. Noise of 0.4 x (1 - x) is 0.096 at the mean x, 0.6.
    assert matched == pytest.approx([0.096, 0.096], rel=0.25)


def test_matched_roughness_of_short_diverged_and_unlearned_runs() -> None:
    loss = descent([0.35, 0.45] * 30)
    assert roughness_at_matched_loss(noise(300, sigma=0.01, level=LN2), num_classes=2) is None
    assert roughness_at_matched_loss([*loss, NAN, *[0.4] * 50], num_classes=2) == roughness_at_matched_loss(
        loss, num_classes=2
    )
    for short in ([], [0.4], [0.4] * 9, [NAN]):
        assert roughness_at_matched_loss(short, num_classes=2) is None
    assert roughness_at_matched_loss([0.4] * 10, num_classes=2) == 0.0
    # Away from the borders the level is 0.4; half of the second differences overflow.
    huge = np.tile([1.7e308, 0.4, -1.7e308, 0.4], 20)
    assert roughness_at_matched_loss(huge, num_classes=2) is None
    with pytest.raises(ValueError, match="num_classes=1: must be at least 2"):
        roughness_at_matched_loss(loss, num_classes=1)
