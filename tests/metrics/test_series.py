"""Series of a loss trace, compared with pandas, slow references and numbers calculated by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from loss_traces import LENGTHS, learning_curve, noise, reference_level, series

from warmup_lab.metrics.series import (
    exponential_average,
    finite_prefix,
    neighbour_median,
    residual,
    trailing_median,
    windows,
)


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
def test_windows_by_hand(total: int, early: tuple[int, int], late: tuple[int, int]) -> None:
    assert windows(total) == {"whole": slice(0, total), "early": slice(*early), "late": slice(*late)}


@pytest.mark.parametrize("num_updates", LENGTHS)
def test_neighbour_median_equals_the_reference(num_updates: int) -> None:
    loss = learning_curve(num_updates)
    expected = [reference_level(loss.tolist(), step) for step in range(num_updates)]
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


def test_a_loss_does_not_change_its_own_level() -> None:
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


def test_residual_of_lasting_bouncing_equals_the_bouncing() -> None:
    bouncing = np.tile([0.25, -0.25], 50)
    found = residual(0.5 + bouncing)
    np.testing.assert_array_equal(found[12:-12], bouncing[12:-12])
    # Near a border, every second update has an odd number of neighbours, and most are on the opposite side.
    np.testing.assert_array_equal(found[:12], np.tile([0.25, -0.5], 6))


@pytest.mark.parametrize("amplitude", [0.0, 2.0, 5.0, 10.0])
def test_residual_keeps_noisy_bouncing(amplitude: float) -> None:
    bouncing = noise(40_000, sigma=1.0) + amplitude * (-1.0) ** np.arange(40_000)
    found = np.sqrt(np.mean(residual(bouncing)[12:-12] ** 2))
    # The noise of the median adds 3 % of sigma or less. A median of 25 would give 1.9 to 2.1 for all but the first.
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
    for name in ("level", "residual", "spikes", "climb", "has_risen"):
        assert getattr(series(empty), name).shape == (0,)
