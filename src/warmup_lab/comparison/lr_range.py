"""The usable learning rate: lr50, at which half of the runs fail, for arms that differ only in the learning rate.

Each seed gives one log lr50 per line of arms (Spearman-Kaerber), so lines are compared by a paired t-test over the
seeds. Simulated with 6 seeds this has size 5 %, where a clustered logistic regression has 9 to 12 %, about the same
power, and no trouble with separation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from warmup_lab.comparison.statistics import Floats, Interval, mean_interval, paired_test
from warmup_lab.system import JsonRecord

MAX_FAILED_AT_LOWEST, MIN_FAILED_AT_HIGHEST = 0.1, 0.9
"""A grid reaches both ends if at most 10 % fail at its smallest and at least 90 % at its largest learning rate."""


@dataclass(frozen=True)
class UsableLr(JsonRecord):
    """lr50 of arms that differ only in the learning rate."""

    lr50: float
    """Geometric mean over the seeds."""
    interval: Interval | None
    """95 % t-interval on the log scale, wider by `grid_error`; if all seeds agree, one grid step to each side."""
    num_seeds: int
    reaches_low: bool
    """At most 10 % of the runs fail at the smallest learning rate. If not, lr50 may be smaller than it seems."""
    reaches_high: bool
    """At least 90 % of the runs fail at the largest learning rate. If not, lr50 may be larger than it seems."""
    at_seeds: tuple[float, ...]
    """lr50 of each seed."""


@dataclass(frozen=True)
class Lr50Ratio(JsonRecord):
    """lr50 of one line of arms over that of another, paired by seed."""

    ratio: float
    interval: Interval | None
    """95 % t-interval on the log scale, wider by the `grid_error` of both lines; if all seeds agree, one grid step to
    each side."""
    p_value: float | None
    """Two-sided, of a ratio of 1; None with fewer seeds than `MIN_PAIRS`, or if no run of either line failed."""
    num_seeds: int
    bound: str | None
    """`at least`, `at most` or `about` (both) if a grid does not reach an end, which leaves the ratio open there."""

    @property
    def without_one(self) -> Lr50Ratio:
        """The same where a test has excluded 1: the interval ends there. The grid changes two equal lines alike."""
        if self.interval is None:
            return self
        low, high = self.interval
        return replace(self, interval=(max(1.0, low), high) if self.ratio > 1 else (low, min(1.0, high)))

    @property
    def inverse(self) -> Lr50Ratio:
        """The same with the two lines exchanged."""
        interval = None if self.interval is None else (1 / self.interval[1], 1 / self.interval[0])
        bound = {"at least": "at most", "at most": "at least"}.get(self.bound or "", self.bound)
        return replace(self, ratio=1 / self.ratio, interval=interval, bound=bound)


def log_lr50(learned: NDArray[np.bool_], lrs: Sequence[float]) -> Floats:
    """log(lr50) of each seed, `(seeds,)`.

    Formula (Spearman-Kaerber): x_1 - d_1 / 2 + sum_i w_i learned_i on the rising grid x = log(lr), where w_i is half of
    the distance between the neighbours of x_i; beyond its ends the grid continues with the outermost step d.

    Args:
        learned: `(lrs, seeds)`, whether the run learned.
        lrs: at least two learning rates, rising.
    """
    grid = np.log(np.asarray(lrs, dtype=np.float64))
    steps = np.diff(grid)
    widths = np.concatenate([steps[:1], (steps[:-1] + steps[1:]) / 2, steps[-1:]])
    return np.asarray(grid[0] - steps[0] / 2 + widths @ learned.astype(np.float64))


def usable_lr(learned: NDArray[np.bool_], lrs: Sequence[float]) -> UsableLr:
    """lr50 of one line of arms from `learned` `(lrs, seeds)`, with its interval."""
    logs = log_lr50(learned, lrs)
    failed = 1 - learned.mean(axis=1)
    return UsableLr(
        lr50=math.exp(float(logs.mean())),
        interval=_interval(logs, lrs, grid_error(learned, lrs)),
        num_seeds=len(logs),
        reaches_low=bool(failed[0] <= MAX_FAILED_AT_LOWEST),
        reaches_high=bool(failed[-1] >= MIN_FAILED_AT_HIGHEST),
        at_seeds=tuple(np.exp(logs).tolist()),
    )


def lr50_ratio(first: NDArray[np.bool_], second: NDArray[np.bool_], lrs: Sequence[float]) -> Lr50Ratio:
    """lr50 of `first` over that of `second`, both `(lrs, seeds)` with the same seeds in the same order."""
    logs = log_lr50(first, lrs), log_lr50(second, lrs)
    test = paired_test(*logs)
    assert test.difference is not None
    can_reject = not (first.all() and second.all()) and (first.any() or second.any())
    p_value = test.p_value if can_reject else None
    interval = _interval(logs[0] - logs[1], lrs, grid_error(first, lrs) + grid_error(second, lrs))
    return Lr50Ratio(
        ratio=math.exp(test.difference),
        interval=interval,
        p_value=p_value,
        num_seeds=test.num_pairs,
        bound=_bound(usable_lr(first, lrs), usable_lr(second, lrs)),
    )


def grid_error(learned: NDArray[np.bool_], lrs: Sequence[float]) -> float:
    """How far the mean of `log_lr50` may be off because the grid is coarse: 0 to half a step, on the log scale.

    Where seeds differ at two or more learning rates, they average over the grid. Where they differ at one alone, at
    which a share s learns, all of them may start to fail just there, and the mean lies (s - 1/2) steps beside it. Where
    they differ at none, all may start to fail anywhere within a step.

    Args:
        learned: `(lrs, seeds)`, whether the run learned.
        lrs: at least two learning rates, rising.
    """
    shares = learned.mean(axis=1)
    between = shares[(shares > 0) & (shares < 1)]
    if between.size > 1:
        return 0.0
    step = float(np.diff(np.log(lrs)).max())
    return step * (abs(0.5 - float(between[0])) if between.size else 0.5)


def _interval(logs: Floats, lrs: Sequence[float], error: float) -> Interval | None:
    if logs.size and np.ptp(logs) <= 1e-12 * max(1.0, float(np.abs(logs).max())):
        step, middle = float(np.diff(np.log(lrs)).max()), float(logs.mean())
        return math.exp(middle - step), math.exp(middle + step)
    found = mean_interval(logs)
    return None if found is None else (math.exp(found[0] - error), math.exp(found[1] + error))


def _bound(first: UsableLr, second: UsableLr) -> str | None:
    """How the ratio is censored: a grid that ends too low hides a larger lr50, one that starts too high a smaller."""
    larger = not first.reaches_high or not second.reaches_low
    smaller = not first.reaches_low or not second.reaches_high
    if larger == smaller:
        return None if not larger else "about"
    return "at least" if larger else "at most"
