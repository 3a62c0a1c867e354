"""What a recommendation says to use: the arm, and the runs behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from warmup_lab.comparison import Interval, Rate, mean_interval
from warmup_lab.comparison.recommend.choice import GridRow, Start
from warmup_lab.comparison.recommend.findings import Findings


@dataclass(frozen=True)
class Use:
    """The recommended arm and its runs: of the confirmation if there is one, otherwise of the grid."""

    lr: float
    start: Start
    arm: str
    warmup_steps: int
    seeds: int
    mean: float | None
    interval: Interval | None
    failed: Rate


def used(found: Findings) -> Use | None:
    """What to use; None if no rate can be recommended, or none is known yet."""
    choice, confirmation = found.choice, found.confirmation
    if choice is None or choice.all_failed:
        return None
    if confirmation is None or not confirmation.judged:
        row = next(row for row in found.grid if (row.lr, row.start) == (choice.lr, choice.start))
        return _of_row(row)
    if confirmation.effect == "both_fail":
        return None
    side = confirmation.sides[_start(found)]
    return Use(
        confirmation.lr, _start(found), side.arm, side.warmup_steps, confirmation.judged, side.mean, side.interval,
        side.failed,
    )  # fmt: skip


def _of_row(row: GridRow) -> Use:
    values = np.array(list(row.values.values()))
    interval = mean_interval(values) if values.size > 2 else None
    return Use(row.lr, row.start, row.arm, row.warmup_steps, values.size, row.mean, interval, row.failed)


def _start(found: Findings) -> Start:
    """With warmup, unless it is shown to harm or not to matter, or fewer runs failed without it."""
    confirmation = found.confirmation
    assert confirmation is not None
    if confirmation.effect in ("harmful", "same"):
        return "without"
    with_, without = confirmation.sides["with"].failed, confirmation.sides["without"].failed
    fails_less = without.total == with_.total and without.count < with_.count
    return "without" if confirmation.effect == "undecided" and fails_less else "with"
