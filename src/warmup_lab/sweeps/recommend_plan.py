"""How many runs a recommendation makes in each stage: pure functions of measured times and the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TIMING_UPDATES = 10
"""Updates of the run that measures the time of an update."""
PROBE_COST = 2 / 3
"""An update is a forward and a backward pass, about three forward passes; the overshoot probe adds two."""
PROBED_UPDATES = 100
"""Fewest updates of a ramp that is probed. Shorter ones show only where the loss itself rises."""
FULL_UPDATES = 150
"""A ramp with at least so many updates is kept if the budget grows."""

_RAMPS = ((4, 300), (4, 200), (2, 200), (2, 150), (1, 150), (1, 100), (1, 60))
"""Seeds and updates, best first."""
_USUAL_RAMP = _RAMPS[2]
_RAMP_SHARE = 0.25
"""Largest share of the budget for the ramps, if the rest fits."""
_RAMP_SECONDS = 45.0
"""More ramps than the usual are made only if they take less than this, so that their result comes within a minute."""
_GRIDS = ((4, 3), (4, 2), (3, 2), (3, 1))
"""Rates and seeds, best first. Each rate is trained with and without warmup."""
_UNCONFIRMED = ((4, 2), (4, 1), (3, 1), (2, 1))
"""The same where no confirmation fits."""
_LEAST_GRID = _GRIDS[-1]
KEPT_RATES = _LEAST_GRID[0]
"""A grid with at least so many rates is kept if the budget grows."""
_SAFETY = 1.1
"""Safety factor on the expected time of a stage."""


@dataclass(frozen=True)
class Timing:
    """Measured times, and what is left of the budget."""

    update_seconds: float
    """Seconds of an update without a probe."""
    run_updates: int
    """Updates of a full run."""
    eval_updates: float
    """Time of the evaluation at the end of a run, in updates."""
    parallelism: float
    """Seconds of runs per second of wall time."""
    budget_seconds: float | None
    """None is no limit."""
    used_seconds: float

    @property
    def left_seconds(self) -> float:
        return math.inf if self.budget_seconds is None else self.budget_seconds - self.used_seconds

    @property
    def run_seconds(self) -> float:
        """Seconds of a full run."""
        return self.update_seconds * (self.run_updates + self.eval_updates)

    def ramp_seconds(self, num_seeds: int, updates: int) -> float:
        """Wall time of ramps."""
        cost = updates * (1 + PROBE_COST * (updates >= PROBED_UPDATES)) + self.eval_updates
        return self._wall(num_seeds, self.update_seconds * cost)

    def runs_seconds(self, num_runs: int) -> float:
        """Wall time of full runs."""
        return self._wall(num_runs, self.run_seconds)

    def _wall(self, num_runs: int, seconds: float) -> float:
        """The runs share the time; a few of them cannot take less than one."""
        return max(num_runs / self.parallelism, min(num_runs, 1)) * seconds * _SAFETY


@dataclass(frozen=True)
class RampSize:
    """The ramps to make."""

    num_seeds: int
    updates: int

    @property
    def probed(self) -> bool:
        return self.updates >= PROBED_UPDATES


@dataclass(frozen=True)
class GridSize:
    """The rates to try, at how many seeds."""

    num_lrs: int
    num_seeds: int
    is_confirmed: bool
    """Whether a confirmation at the first look fits after it."""

    @property
    def num_runs(self) -> int:
        return 2 * self.num_lrs * self.num_seeds


def plan_ramp(timing: Timing, first_look: int) -> RampSize | None:
    """The largest ramps that leave room for the rest; if the rest does not fit, the largest that fit at all."""
    room = timing.left_seconds
    if timing.budget_seconds is not None and fits_recommendation(timing, first_look):
        share = max(_RAMP_SHARE * timing.budget_seconds, timing.ramp_seconds(1, PROBED_UPDATES))
        room = min(share, room - timing.runs_seconds(_least_runs(first_look)))
    for num_seeds, updates in _RAMPS:
        seconds = timing.ramp_seconds(num_seeds, updates)
        is_long = num_seeds > _USUAL_RAMP[0] and seconds > _RAMP_SECONDS
        if seconds <= room and not is_long:
            return RampSize(num_seeds, updates)
    return None


def fits_recommendation(timing: Timing, first_look: int) -> bool:
    """Whether the shortest probed ramp, the smallest grid and the first look fit."""
    least = timing.ramp_seconds(1, PROBED_UPDATES) + timing.runs_seconds(_least_runs(first_look))
    return least <= timing.left_seconds


def plan_grid(timing: Timing, looks: Sequence[int]) -> GridSize | None:
    """The rates and seeds that leave room for the confirmation.

    The whole grid comes before more looks, and the first look before a larger grid. None if not even two rates fit.
    """
    for num_lrs, num_seeds in _GRIDS:
        size = GridSize(num_lrs, num_seeds, is_confirmed=True)
        if timing.runs_seconds(size.num_runs + 2 * looks[0]) <= timing.left_seconds:
            return size
    for num_lrs, num_seeds in _UNCONFIRMED:
        size = GridSize(num_lrs, num_seeds, is_confirmed=False)
        if timing.runs_seconds(size.num_runs) <= timing.left_seconds:
            return size
    return None


def fits(timing: Timing, num_runs: int) -> bool:
    """Whether so many full runs fit into what is left of the budget."""
    return timing.runs_seconds(num_runs) <= timing.left_seconds


def minutes_for_recommendation(timing: Timing, first_look: int, *, ramp: bool, grid: bool) -> int:
    """The budget that the smallest recommendation needs in all; `ramp` and `grid`: whether they are to be made."""
    seconds = timing.used_seconds + timing.runs_seconds(2 * first_look)
    seconds += timing.ramp_seconds(*_USUAL_RAMP) if ramp else 0.0
    seconds += timing.runs_seconds(2 * _LEAST_GRID[0] * _LEAST_GRID[1]) if grid else 0.0
    return round_up_minutes(seconds)


def minutes_for_runs(timing: Timing, num_runs: int) -> int:
    """The budget that so many more runs need in all."""
    return round_up_minutes(timing.used_seconds + timing.runs_seconds(num_runs))


def round_up_minutes(seconds: float) -> int:
    """Whole minutes; from 20 on, multiples of 5.

    >>> round_up_minutes(61), round_up_minutes(1200), round_up_minutes(1230)
    (2, 20, 25)
    """
    minutes = math.ceil(seconds / 60)
    return minutes if minutes <= 20 else 5 * math.ceil(minutes / 5)


def _least_runs(first_look: int) -> int:
    return 2 * (_LEAST_GRID[0] * _LEAST_GRID[1] + first_look)
