"""Metrics that compare a run with another run or with a loss level."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from warmup_lab.metrics.oscillation import MIN_SPREAD_UPDATES, jitter
from warmup_lab.metrics.series import (
    NUM_PREDECESSORS,
    WHOLE,
    FloatArray,
    LossSeries,
    finite_or_none,
    finite_prefix,
    residual,
    trailing_median,
)

LEVEL_BIN = 0.025  # in units of H
MIN_MATCHED_UPDATES = 25


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


def updates_to_target(loss: npt.ArrayLike, target: float) -> int | None:
    """The number of updates that a run needs to reach a loss, the same for all runs of a sweep.

    Formula: the first t at which the median of l_{t-24}, ..., l_t is at most `target`, in nats. In a sweep, the target
    is the median of the `half_way_loss` of the reference's runs that learned.
    Why: only full medians count, so a lucky batch at the start does not pass for convergence.
    Unit: updates. Range: [24, T). None if the run never reaches the target; a sweep counts it as more than T updates.
    Sees: faster convergence, the promise of warmup.

    >>> loss = np.linspace(1.0, 0.0, 101)
    >>> updates_to_target(loss, 0.5), updates_to_target(loss**2, 0.5), updates_to_target(loss, -0.1)
    (62, 42, None)
    """
    reached = np.flatnonzero(trailing_median(finite_prefix(loss)) <= target)
    return int(reached[0]) if reached.size else None


def half_way_loss(loss: npt.ArrayLike, entropy: float) -> float | None:
    """The loss half-way from H to the final loss, nats: `(entropy + final) / 2`. (T,) -> ().

    The final loss is the median of the last 10 % of the updates, as in `failed_to_learn`, but of at least 25. None if
    the trace has under 25 updates or diverged.

    >>> half_way_loss([1.0] * 10 + [0.2] * 25, entropy=1.0)
    0.6
    """
    series = LossSeries(loss, entropy=entropy)
    if series.loss.size < max(np.size(loss), NUM_PREDECESSORS + 1):
        return None
    final = np.median(series.loss[-max(NUM_PREDECESSORS + 1, series.loss.size // 10) :])
    return float((series.entropy + final) / 2)


@dataclass(frozen=True)
class JitterByLevel:
    """The second differences of a loss trace, each with the level of the loss at its middle update."""

    sizes: FloatArray
    """|l_{t+1} - 2 l_t + l_{t-1}| of the updates t = 1, ..., T - 2, in nats. (T - 2,)."""
    bins: FloatArray
    """Index of the bin that has the `neighbour_median` of update t: `floor(median / (0.025 H))`. (T - 2,)."""
    entropy: float
    """H, nats."""


@np.errstate(over="ignore", invalid="ignore")
def jitter_by_level(loss: npt.ArrayLike, *, entropy: float) -> JitterByLevel:
    """What `matched_roughness` needs of a run, so that it is computed once for all runs it is compared with.

    Raises:
        ValueError: `entropy` is not above 0.
    """
    return jitter_of_series(LossSeries(loss, entropy=entropy))


@np.errstate(over="ignore", invalid="ignore")
def jitter_of_series(series: LossSeries) -> JitterByLevel:
    """`jitter_by_level` of a series, whose level may be known already."""
    bins = np.floor(series.level[1:-1] / (LEVEL_BIN * series.entropy))
    return JitterByLevel(np.abs(np.diff(series.loss, n=2)), bins, series.entropy)


def matched_roughness(
    loss: npt.ArrayLike, reference_loss: npt.ArrayLike, *, entropy: float
) -> tuple[float, float] | None:
    """The `roughness` of a run and of the reference's run of the same seed, at the loss levels that both visited.

    Formula: that of `roughness` with weighted second differences. Each belongs to the bin of width 0.025 H that has the
    `neighbour_median` of its middle update. In a bin where the two runs have n and k differences, each of them weighs
    min(n, k) / n in the first run and min(n, k) / k in the second. So both runs have the same weight in each bin, and
    none in bins that only one of them visited. In a sweep, the value is that of the run minus that of the reference.
    Why: sampling noise depends on the loss. In units of H, it is 0.006 at the loss of guessing and 0.14 in the middle
    of learning. The run that learns later, or stays longer at a quiet level, looks smoother without being smoother.
    Unit: H, the entropy of the training labels. Range: [0, inf) for each run. None if the runs share under 25 updates:
    the sum of min(n, k) over all bins.
    Blind spot: the level is a median of 24 updates, so it does not follow a burst of 12 updates. Bins with few updates
    count little. The value belongs to a pair of runs: compare it only within the pair.

    >>> early, late = ([1.0] * n + [0.5, 0.7] * 20 for n in (20, 300))
    >>> [round(value, 3) for value in matched_roughness(early, late, entropy=1.0)]
    [0.207, 0.207]
    """
    return matched_roughness_of(
        jitter_by_level(loss, entropy=entropy), jitter_by_level(reference_loss, entropy=entropy)
    )


@np.errstate(over="ignore", invalid="ignore")
def matched_roughness_of(ours: JitterByLevel, reference: JitterByLevel) -> tuple[float, float] | None:
    """`matched_roughness` from the `jitter_by_level` of both runs."""
    bins, indices, counts = np.unique(
        np.concatenate([ours.bins, reference.bins]), return_inverse=True, return_counts=True
    )
    own = indices[: ours.bins.size]
    own_counts = np.bincount(own, minlength=bins.size)
    shared = np.minimum(own_counts, counts - own_counts)
    if shared.sum() < MIN_MATCHED_UPDATES:
        return None
    other = indices[ours.bins.size :]
    value = _weighted_roughness(ours, (shared / own_counts.clip(1))[own])
    of_reference = _weighted_roughness(reference, (shared / (counts - own_counts).clip(1))[other])
    return None if value is None or of_reference is None else (value, of_reference)


def _weighted_roughness(run: JitterByLevel, weights: FloatArray) -> float | None:
    return finite_or_none(jitter(run.sizes, run.entropy, weights=weights))
