"""Metrics that compare a run with another run or with a loss level."""

import math

import numpy as np
import numpy.typing as npt

from warmup_lab.metrics.oscillation import MIN_SPREAD_UPDATES, jitter
from warmup_lab.metrics.series import (
    WHOLE,
    FloatArray,
    LossSeries,
    finite_or_none,
    finite_prefix,
    neighbour_median,
    residual,
    trailing_median,
)

MATCHED_LOSS = (0.4, 0.8)  # in units of ln C; the loss falls from 1 through this band


# Squares of the last finite losses of a diverging run may overflow. The result is then None.
@np.errstate(over="ignore", invalid="ignore")
def excess(loss: npt.ArrayLike, reference_loss: npt.ArrayLike, *, window: slice = WHOLE) -> float | None:
    """The oscillation of a run minus that of the reference arm's run of the same seed.

    Formula: RMS(r) - RMS(r of the reference). r is l minus its `neighbour_median` (see `residual`), computed on the
    whole trace and cut to the window and to the updates that both traces have.
    Unit: nats. Range: (-inf, inf). Negative is smoother than the reference. None under 10 shared updates.

    >>> flat = [0.5] * 18
    >>> round(excess(flat + [0.8, 0.2] * 6 + flat, flat + [0.6, 0.4] * 6 + flat), 9)  # 0.2 sqrt(12/48)
    0.1
    """
    return excess_of_residuals(residual(finite_prefix(loss)), residual(finite_prefix(reference_loss)), window=window)


@np.errstate(over="ignore", invalid="ignore")
def excess_of_residuals(ours: FloatArray, reference: FloatArray, *, window: slice = WHOLE) -> float | None:
    """`excess` from the `residual` of both traces, so that the one of the reference is computed once for all arms."""
    shared = min(ours.size, reference.size)
    ours, reference = ours[:shared][window], reference[:shared][window]
    if ours.size < MIN_SPREAD_UPDATES:
        return None
    return finite_or_none(float(np.sqrt(np.mean(ours**2)) - np.sqrt(np.mean(reference**2))))


def updates_to_target(loss: npt.ArrayLike, reference_loss: npt.ArrayLike) -> int | None:
    """The number of updates that a run needs to reach the loss that the reference has half-way.

    Formula: the first t at which the median of l_{t-24}, ..., l_t is below that of the reference at its update T // 2.
    Only full medians count, so a lucky batch at the start does not pass for convergence.
    Unit: updates. Range: [24, T); the reference itself needs about T / 2. None if the run never reaches it, and if the
    reference has no such median: it has under 48 updates, or diverged before half of its recorded updates.
    Sees: faster convergence, the promise of warmup.

    >>> reference = np.linspace(1.0, 0.0, 101)
    >>> updates_to_target(reference, reference), updates_to_target(reference**2, reference)
    (51, 34)
    """
    return first_below(trailing_median(finite_prefix(loss)), half_way_loss(reference_loss))


def half_way_loss(loss: npt.ArrayLike) -> float:
    """The `trailing_median` at update T // 2, in nats; NaN if there is none. (T,) -> ()."""
    half, median = np.size(loss) // 2, trailing_median(finite_prefix(loss))
    return float(median[half]) if half < median.size else math.nan


def first_below(median: FloatArray, target: float) -> int | None:
    """The first update whose `median`, (T,), is below `target`. None if there is none; NaN is never below."""
    below = np.flatnonzero(median < target)
    return int(below[0]) if below.size else None


@np.errstate(over="ignore", invalid="ignore")
def roughness_at_matched_loss(loss: npt.ArrayLike, *, num_classes: int) -> float | None:
    """The `roughness` while the loss falls from 0.8 to 0.4 of ln C: it compares arms at the same stage of learning.

    Formula: that of `roughness`, over the second differences whose three points are all at updates with a
    `neighbour_median` in [0.4 ln C, 0.8 ln C]. The loss of an update does not influence whether the update counts.
    Why: sampling noise alone gives 0.006 at the loss of guessing and 0.14 in the middle of learning. At the same
    update, the arm that learns later therefore looks smoother.
    Unit: ln C. Range: [0, inf). None under 8 such differences, the number that 10 updates in a row have: the loss never
    reached the band, or passed through it faster. Blind spot: that of `roughness`.

    >>> loss = [0.7] * 30 + [0.3, 0.5] * 20 + [0.1] * 30  # 38 of the 40 updates in the middle are in the band
    >>> round(roughness_at_matched_loss(loss, num_classes=2), 4)  # 1.4826 * 0.4 / sqrt(6) / ln 2
    0.3493
    """
    series = LossSeries(loss, num_classes=num_classes)
    level = neighbour_median(series.loss) / series.chance
    matched = (level >= MATCHED_LOSS[0]) & (level <= MATCHED_LOSS[1])
    inside = matched[2:] & matched[1:-1] & matched[:-2]
    return finite_or_none(jitter(np.diff(series.loss, n=2)[inside], series.chance))
