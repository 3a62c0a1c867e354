"""Ramps on which the loss climbed although the overshoots show no start of the jitter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmup_lab.comparison import log_median
from warmup_lab.comparison.lr_jitter.onset import MIN_SEEDS, JitterLr
from warmup_lab.system import JsonRecord


@dataclass(frozen=True)
class Climb(JsonRecord):
    """Where the loss of the ramps turned up."""

    num_ramps: int
    num_climbed: int
    """Ramps whose smoothed loss rose by more than its noise, or that diverged."""
    break_lr: float | None
    """The lr at which it did: median over these ramps."""
    lowest_lr: float | None
    """The lr below `break_lr` at which the median loss of all ramps, as it is drawn, was lowest."""

    def explains(self, jitter: JitterLr) -> bool:
        """There are enough ramps, at least half of them climbed, and at most half show where the jitter starts."""
        num_shown = jitter.num_seeds - jitter.num_never
        return self.num_ramps >= MIN_SEEDS and 2 * self.num_climbed >= self.num_ramps >= 2 * num_shown


def loss_climb(break_lrs: Sequence[float | None], curves: Sequence[Mapping[str, Any]]) -> Climb:
    """Where the loss turned up, from the lr at which each ramp broke and the `curves` of the section."""
    climbed = [lr for lr in break_lrs if lr is not None]
    break_lr = log_median(climbed)
    drawn = [
        (row["loss"], row["lr"])
        for row in curves
        if row["seed"] is None and row["loss"] is not None and break_lr is not None and row["lr"] <= break_lr
    ]
    return Climb(len(break_lrs), len(climbed), break_lr, min(drawn)[1] if drawn else None)


def climb_reason(climb: Climb, jitter: JitterLr, total_steps: int) -> str:
    """Why there is no jitter lr on ramps whose loss climbed, and what to do."""
    start = "" if climb.lowest_lr is None else f"from lr {climb.lowest_lr:.2g} on, and "
    num_shown = jitter.num_seeds - jitter.num_never
    return (
        f"the loss climbed {start}by more than its noise on {climb.num_climbed} of {climb.num_ramps} ramps (at a "
        f"median lr of {climb.break_lr:.2g}), but only {num_shown} show where updates start to raise the loss on their "
        f"own batch. {total_steps} updates are too few for that: set max_steps={2 * total_steps} or more, or a larger "
        "batch_size, so that few updates at a low lr raise the loss"
    )
