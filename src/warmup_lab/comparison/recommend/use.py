"""What a recommendation says to use: the arm, and the runs behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warmup_lab.comparison import Interval, Rate, mean_interval
from warmup_lab.comparison.recommend.choice import Choice, Start, paired_interval
from warmup_lab.comparison.recommend.confirmation import Confirmation
from warmup_lab.comparison.recommend.findings import Findings


@dataclass(frozen=True)
class Use:
    """The recommended arm and its runs: of the confirmation if there is one, otherwise of the grid."""

    lr: float
    start: Start
    arm: str
    run_warmup_steps: int
    """Updates of the warmup in these runs."""
    warmup_steps: int
    """The same for a whole run, which is longer where the budget has shortened the runs."""
    seeds: int
    mean: float | None
    interval: Interval | None
    failed: Rate


def used(found: Findings) -> Use | None:
    """What to use; None if no rate can be recommended, or none is known yet.

    A warmup takes no extra updates, and a few runs hardly show what it prevents: an instability at one seed of many. So
    the warmup is used, unless

    - it is shown to be worse, or to be equivalent to none within the margin: then none is simpler;
    - more runs failed with it than without;
    - before the confirmation, the seeds that chose the lr were better without it by their 95 % interval.
    """
    choice, confirmation = found.choice, found.confirmation
    if choice is None or choice.all_failed:
        return None
    if confirmation is None or not confirmation.judged:
        return _of_grid(found, choice)
    if confirmation.effect == "both_fail":
        return None
    start = _confirmed_start(confirmation)
    side = confirmation.sides[start]
    return Use(
        confirmation.lr, start, side.arm, side.warmup_steps, side.warmup_steps, confirmation.judged, side.mean,
        side.interval, side.failed,
    )  # fmt: skip


def _of_grid(found: Findings, choice: Choice) -> Use:
    rows = {row.start: row for row in found.grid if row.lr == choice.lr and row.mean is not None}
    row = rows[choice.start]
    if choice.start == "without" and "with" in rows:
        interval = paired_interval(rows["with"], row)
        is_worse = interval is not None and not interval[0] <= 0 <= interval[1]
        if not is_worse and rows["with"].failed.share <= row.failed.share:
            row = rows["with"]
    values = np.array(list(row.values.values()))
    interval, steps = mean_interval(values) if values.size > 2 else None, row.warmup_steps
    if found.plan.is_shortened and steps:
        steps = found.plan.full_warmup_steps or steps
    return Use(
        row.lr, row.start, row.arm, row.warmup_steps, steps, values.size, row.mean, interval, row.failed
    )  # fmt: skip


def _confirmed_start(confirmation: Confirmation) -> Start:
    if confirmation.effect in ("harmful", "same"):
        return "without"
    with_, without = confirmation.sides["with"].failed, confirmation.sides["without"].failed
    fails_less = without.total == with_.total and without.count < with_.count
    return "without" if confirmation.effect == "undecided" and fails_less else "with"
