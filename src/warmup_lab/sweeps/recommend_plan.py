"""How many runs a recommendation makes in each stage: pure functions of measured times and the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from warmup_lab.comparison import count
from warmup_lab.comparison.recommend import Stage, StoredPlan, duration

TIMING_UPDATES = 10
"""Updates of the run that measures the time of an update."""
FULL_UPDATES = 150
"""A ramp with at least so many updates is kept if the budget grows."""

_RAMPS = ((4, 300), (4, 200), (2, 200), (2, 150), (1, 150), (1, 100), (1, 60))
"""Seeds and updates, best first."""
_USUAL_RAMP = _RAMPS[2]
_RAMP_SHARE = 0.25
"""Largest share of the budget for the ramps, if they need not be longer."""
_RAMP_SECONDS = 45.0
"""More ramps than the usual are made only if they take less than this, so that their result comes within a minute."""
_GRIDS = ((4, 3), (4, 2), (3, 2), (3, 1))
"""Rates and seeds, best first. Each rate is trained with and without warmup."""
_UNCONFIRMED = ((4, 2), (4, 1), (3, 1))
"""The same where no confirmation fits."""
_LEAST_GRID = _GRIDS[-1]
_SHORT_GRIDS = (_LEAST_GRID, (2, 1))
"""The same where only shorter runs fit."""
_SHORT_SHARES = (1 / 2, 1 / 4, 1 / 8)
"""Length of shorter runs, in whole runs."""
_LEAST_UPDATES = 60
"""Fewest updates of a shortened run, as of a ramp. With fewer, hardly any lr learns."""
KEPT_RATES = _LEAST_GRID[0]
"""A grid of whole runs with at least so many rates is kept if the budget grows."""
MOST_SEEDS = _GRIDS[0][1]
"""Most seeds that choose the lr."""
_SAFETY = 1.1
"""Safety factor on the expected time of a stage."""


@dataclass(frozen=True)
class Timing:
    """Measured times, and what is left of the budget."""

    update_seconds: float
    """Seconds of an update."""
    run_updates: int
    """Updates of a whole run."""
    eval_updates: float
    """Time of the evaluation at the end of a run, in updates."""
    parallelism: float
    """Seconds of runs per second of wall time."""
    budget_seconds: float | None
    """None is no limit."""
    used_seconds: float
    num_processes: int = 1
    """Runs that the launcher trains at the same time."""

    @property
    def left_seconds(self) -> float:
        return math.inf if self.budget_seconds is None else self.budget_seconds - self.used_seconds

    @property
    def run_seconds(self) -> float:
        """Seconds of a whole run."""
        return self.update_seconds * (self.run_updates + self.eval_updates)

    def seconds(self, num_runs: int, updates: int | None = None) -> float:
        """Wall time of runs of `updates` updates; of whole runs if that is None.

        The runs share the time; a few of them cannot take less than one, and one takes longer than it trains if it
        waits, as in the queue of a cluster.
        """
        one = self.update_seconds * ((self.run_updates if updates is None else updates) + self.eval_updates)
        longest = max(1.0, self.num_processes / self.parallelism)
        return max(num_runs / self.parallelism, min(num_runs, 1) * longest) * one * _SAFETY

    def fits(self, num_runs: int, updates: int | None = None) -> bool:
        """Whether these runs fit into what is left of the budget."""
        return self.seconds(num_runs, updates) <= self.left_seconds


@dataclass(frozen=True)
class RampSize:
    """The ramps to make."""

    num_seeds: int
    updates: int


@dataclass(frozen=True)
class GridSize:
    """The rates to try, at how many seeds."""

    num_lrs: int
    num_seeds: int
    updates: int
    """Updates of each run."""
    is_confirmed: bool
    """Whether a confirmation at the first look fits after it."""

    @property
    def num_runs(self) -> int:
        return 2 * self.num_lrs * self.num_seeds

    def words(self, run_updates: int) -> str:
        """What fits, where a whole recommendation does not."""
        text = f"doing what fits: {self.num_lrs} rates at {count(self.num_seeds, 'seed')}"
        if self.updates == run_updates:
            return text
        return f"{text}, runs of {self.updates} instead of {run_updates} updates, which say less"


def plan_ramp(timing: Timing, first_look: int) -> RampSize | None:
    """The largest ramps that take at most a quarter of the budget and leave room for the rest, if it fits at all.

    The smallest one may take all that is left. None if not even that fits.
    """
    room = timing.left_seconds
    if timing.budget_seconds is not None:
        smallest = timing.seconds(*_RAMPS[-1])
        room = min(room, max(_RAMP_SHARE * timing.budget_seconds, smallest))
        if fits_recommendation(timing, first_look):
            room = min(room, timing.left_seconds - timing.seconds(_least_runs(first_look)))
    for num_seeds, updates in _RAMPS:
        seconds = timing.seconds(num_seeds, updates)
        is_long = num_seeds > _USUAL_RAMP[0] and seconds > _RAMP_SECONDS
        if seconds <= room and not is_long:
            return RampSize(num_seeds, updates)
    return None


def fits_recommendation(timing: Timing, first_look: int) -> bool:
    """Whether the smallest ramp, the smallest grid and the first look fit."""
    return timing.seconds(*_RAMPS[-1]) + timing.seconds(_least_runs(first_look)) <= timing.left_seconds


def plan_grid(timing: Timing, looks: Sequence[int]) -> GridSize | None:
    """The rates and seeds that leave room for the confirmation.

    The whole grid comes before more looks, and the first look before a larger grid. Where no confirmation fits, fewer
    seeds and rates come before shorter runs, and shorter runs before 2 rates. None if not even these fit.
    """
    whole = timing.run_updates
    for num_lrs, num_seeds in _GRIDS:
        size = GridSize(num_lrs, num_seeds, whole, is_confirmed=True)
        if timing.fits(size.num_runs + 2 * looks[0]):
            return size
    sizes = [(num_lrs, num_seeds, whole) for num_lrs, num_seeds in _UNCONFIRMED]
    lengths = {max(_LEAST_UPDATES, math.ceil(share * whole)) for share in _SHORT_SHARES}
    short = sorted((length for length in lengths if length < whole), reverse=True)
    sizes += [(*grid, updates) for grid in _SHORT_GRIDS for updates in (short if grid == _LEAST_GRID else short[-1:])]
    sizes += [] if short else [(*_SHORT_GRIDS[-1], whole)]
    for num_lrs, num_seeds, updates in sizes:
        size = GridSize(num_lrs, num_seeds, updates, is_confirmed=False)
        if timing.fits(size.num_runs, updates):
            return size
    return None


@dataclass(frozen=True)
class Needed:
    """The budget of the smallest whole recommendation: what stays of the stages so far, and what is to be made."""

    timing: Timing
    kept_seconds: float
    """Seconds of the stages that a larger budget keeps."""
    first_look: int
    ramp: bool
    """Whether ramps are to be made."""
    grid: bool
    """Whether rates are to be tried."""

    @property
    def num_choosing(self) -> int:
        return 2 * _LEAST_GRID[0] * _LEAST_GRID[1] if self.grid else 0

    @property
    def minutes(self) -> int:
        seconds = self.kept_seconds + self.timing.seconds(self.num_choosing) + self.timing.seconds(2 * self.first_look)
        return round_up_minutes(seconds + self._ramp_seconds)

    @property
    def _ramp_seconds(self) -> float:
        return self.timing.seconds(*_USUAL_RAMP) if self.ramp else 0.0

    @property
    def parts(self) -> str:
        """`2 min of the present runs count, ramps take 3 min, then 12 runs to confirm it take 4 min each`.

        They add up to `minutes`, so a run has its evaluations and the safety factor too.
        """
        ramp = f"ramps take {duration(self._ramp_seconds)}, " if self.ramp else ""
        choosing = f"{self.num_choosing} runs to choose the lr and " if self.grid else ""
        confirming = f"{2 * self.first_look} {'' if self.grid else 'runs '}to confirm it"
        num_runs, at_a_time = self.num_choosing + 2 * self.first_look, max(1.0, self.timing.parallelism)
        run = duration(self.timing.seconds(num_runs) * at_a_time / num_runs)
        return (
            f"{duration(self.kept_seconds)} of the present runs count, {ramp}then {choosing}{confirming} take {run} "
            f"each, {at_a_time:.2g} at a time"
        )


def kept_stages(plan: StoredPlan, run_updates: int) -> tuple[Stage, ...]:
    """The stages up to the first that a larger budget makes again; all of them once a confirmation has begun."""
    if plan.of_kind("confirm"):
        return plan.stages
    choosing = [stage for stage in plan.stages if stage.kind != "grid" or stage in plan.choosing]
    return tuple(takewhile(lambda stage: _is_kept(stage, run_updates), choosing))


def _is_kept(stage: Stage, run_updates: int) -> bool:
    if stage.wall_seconds is None or stage.kind == "timing":
        return stage.wall_seconds is not None
    if stage.kind == "ramp":
        return stage.updates >= FULL_UPDATES
    return stage.updates == run_updates and (len(stage.lrs) >= KEPT_RATES or len(stage.lrs) == 1)


def minutes_for_runs(timing: Timing, num_runs: int) -> int:
    """The budget that so many more runs need in all."""
    return round_up_minutes(timing.used_seconds + timing.seconds(num_runs))


def round_up_minutes(seconds: float) -> int:
    """Whole minutes; from 20 on, multiples of 5.

    >>> round_up_minutes(61), round_up_minutes(1200), round_up_minutes(1230)
    (2, 20, 25)
    """
    minutes = math.ceil(seconds / 60)
    return minutes if minutes <= 20 else 5 * math.ceil(minutes / 5)


def _least_runs(first_look: int) -> int:
    return 2 * (_LEAST_GRID[0] * _LEAST_GRID[1] + first_look)
