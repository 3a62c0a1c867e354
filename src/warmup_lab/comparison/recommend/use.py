"""What a recommendation says to use: the arm, and the runs behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from warmup_lab.comparison import Interval, Rate, mean_interval
from warmup_lab.comparison.recommend.choice import Choice, Start
from warmup_lab.comparison.recommend.confirmation import Confirmation
from warmup_lab.comparison.recommend.findings import Findings

Ground = Literal["seeds of the choice", "test", "failures", "mean", "equal means", "no means"]
"""What chose between with and without warmup."""


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
    ground: Ground


def used(found: Findings) -> Use | None:
    """What to use; None if no rate can be recommended, or none is known yet.

    Once the confirmation was judged, its seeds alone say whether with or without warmup:

    - what is shown to be better; no warmup if they differ by less than the margin, because it is simpler;
    - where that is open, what failed less often, or else has the better mean; no warmup if the means are equal;
    - the warmup where there are no means, as with a metric that is compared by ranks: it takes no extra updates.

    Before, the seeds that chose the lr say it, by failures and then by the mean.
    """
    choice, confirmation = found.choice, found.confirmation
    if choice is None or choice.all_failed:
        return None
    if confirmation is None or not confirmation.judged:
        return _of_grid(found, choice)
    if confirmation.effect == "both_fail":
        return None
    start, ground = _confirmed_start(confirmation, smaller_is_better=found.question.smaller_is_better)
    side = confirmation.sides[start]
    return Use(
        confirmation.lr, start, side.arm, side.warmup_steps, side.warmup_steps, confirmation.judged, side.mean,
        side.interval, side.failed, ground,
    )  # fmt: skip


def _of_grid(found: Findings, choice: Choice) -> Use:
    row = next(row for row in found.grid if row.lr == choice.lr and row.start == choice.start)
    values = np.array(list(row.values.values()))
    interval, steps = mean_interval(values) if values.size > 2 else None, row.warmup_steps
    if found.plan.is_shortened and steps:
        steps = found.plan.full_warmup_steps or steps
    return Use(
        row.lr, row.start, row.arm, row.warmup_steps, steps, values.size, row.mean, interval, row.failed,
        "seeds of the choice",
    )  # fmt: skip


def _confirmed_start(confirmation: Confirmation, *, smaller_is_better: bool) -> tuple[Start, Ground]:
    if confirmation.effect in ("harmful", "same", "small"):
        return "without", "test"
    if confirmation.effect == "needed":
        return "with", "test"
    with_, without = confirmation.sides["with"], confirmation.sides["without"]
    if without.failed.total == with_.failed.total and without.failed.count != with_.failed.count:
        return "without" if without.failed.count < with_.failed.count else "with", "failures"
    if with_.mean is None or without.mean is None:
        return "with", "no means"
    if with_.mean == without.mean:
        return "without", "equal means"
    return "with" if (with_.mean < without.mean) == smaller_is_better else "without", "mean"


def warmup_percent(steps: int, total_updates: int) -> float:
    """Share of the updates. 10 for 10 % rounded up, as arms are named: 3 of 27 updates were asked for as 10 %."""
    return 10.0 if steps == -(-total_updates // 10) else 100 * steps / total_updates
