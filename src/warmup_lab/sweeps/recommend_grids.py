"""What follows the first rates of a recommendation: longer runs, a rate beyond the edge, or another seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from warmup_lab.comparison.recommend import STEP, WIDE_STEP, Choice, Findings, rate_beyond, rates_to_try
from warmup_lab.sweeps.recommend_plan import MOST_SEEDS, Timing, plan_grid

_MOST_EXTENSIONS = 4
"""Rates that are added beyond the smallest or the largest."""


@dataclass(frozen=True)
class Grid:
    """Rates to train with and without warmup."""

    why: str
    """How the line that announces them begins."""
    lrs: tuple[float, ...]
    seeds: tuple[int, ...]
    updates: int
    """Updates of each run."""

    @property
    def num_runs(self) -> int:
        return 2 * len(self.lrs) * len(self.seeds)


def longer_runs(
    found: Findings, timing: Timing, looks: Sequence[int], given_lr: float | None, first_seed: int
) -> Grid | None:
    """The rates once more with longer runs, where shortened ones took less time than expected."""
    if not found.plan.is_shortened or found.ramp is None:
        return None
    size = plan_grid(timing, looks)
    if size is None or size.updates <= found.plan.choosing[0].updates:
        return None
    rates, seeds = rates_to_try(found.ramp, size.num_lrs, given_lr), range(first_seed, first_seed + size.num_seeds)
    return Grid(f"time is left for runs of {size.updates} updates:", tuple(rates), tuple(seeds), size.updates)


def rate_at_edge(found: Findings, timing: Timing, first_look: int) -> Grid | None:
    """One more rate where the best lies at the edge, if it fits before the confirmation."""
    choice, grids = found.choice, found.plan.choosing
    if choice is None or choice.edge is None or sum(len(stage.lrs) == 1 for stage in grids) == _MOST_EXTENSIONS:
        return None
    seeds, updates = sorted({seed for stage in grids for seed in stage.seeds}), grids[0].updates
    room = replace(timing, used_seconds=timing.used_seconds + _reserved(choice, timing, first_look))
    if not room.fits(2 * len(seeds), updates):
        return None
    rate = rate_beyond(choice.lrs, choice.edge, WIDE_STEP if choice.all_failed else STEP)
    why = f"lr {choice.lr:g} is the best so far and the {choice.edge}"
    if choice.all_failed:
        why = f"most runs failed, and the {choice.edge} lr has the lowest loss"
    return Grid(f"{why}: adding", (rate,), tuple(seeds), updates)


def _reserved(choice: Choice, timing: Timing, first_look: int) -> float:
    """Seconds to keep for the confirmation: none if it does not fit, or if there is nothing to confirm."""
    seconds = timing.seconds(2 * first_look)
    return 0.0 if choice.all_failed or seconds > timing.left_seconds else seconds


def seed_more(found: Findings, timing: Timing) -> Grid | None:
    """Another seed for the best rate and those next to it, as many as fit, where no confirmation fits."""
    choice, grids = found.choice, found.plan.choosing
    if choice is None or choice.all_failed:
        return None
    seeds, updates = {seed for stage in grids for seed in stage.seeds}, grids[0].updates
    nearest = sorted(choice.lrs, key=lambda lr: abs(math.log(lr / choice.lr)))
    num_lrs = next((num for num in range(len(nearest), 1, -1) if timing.fits(2 * num, updates)), 0)
    if len(seeds) >= MOST_SEEDS or not num_lrs:
        return None
    return Grid("time is left for a seed more:", tuple(sorted(nearest[:num_lrs])), (max(seeds) + 1,), updates)
