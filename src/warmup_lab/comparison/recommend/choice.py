"""The learning rate with the best result on the seeds that choose it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from warmup_lab.comparison import Interval, Rate, RunTable, mean_interval, metric_kind, read_runs
from warmup_lab.metrics import smaller_is_better
from warmup_lab.system import JsonRecord

Start = Literal["with", "without"]
Edge = Literal["smallest", "largest"]


@dataclass(frozen=True)
class GridRow(JsonRecord):
    """All seeds at one lr, with or without warmup."""

    lr: float
    start: Start
    warmup_steps: int
    arm: str
    failed: Rate
    mean: float | None
    """Of all finished runs; a failed one counts as guessing."""
    values: dict[int, float]
    """The same by seed."""


@dataclass(frozen=True)
class Choice(JsonRecord):
    """The chosen rate."""

    lr: float
    start: Start
    """Which of the two was best there. The confirmation trains both."""
    metric: str
    """What chose: the primary metric, or the final evaluation loss in place of an oscillation."""
    lrs: tuple[float, ...]
    """All rates that were tried."""
    edge: Edge | None
    """Whether it is the smallest or the largest of them, if there are several."""
    alike: tuple[float, ...]
    """Rates that these seeds cannot tell from it: the 95 % interval of the paired difference includes 0."""
    all_failed: bool
    """Whether most runs failed at every rate, so nothing can be chosen."""


def choosing_metric(metric: str, runs: pd.DataFrame) -> str:
    """An oscillation would choose the smallest lr, at which nothing oscillates and nothing is learned."""
    return "eval_loss" if metric_kind(metric) == "rank" or metric not in runs else metric


def grid_rows(runs: pd.DataFrame, metric: str) -> list[GridRow]:
    """The rows, by rising lr, the runs without warmup first. Unfinished runs are left out."""
    if runs.empty:
        return []
    table = read_runs(runs, metric)
    compared = table.compared(metric, smaller_is_better=smaller_is_better(metric))
    rows = [_row(table, compared[row], row) for row in range(len(table.arms))]
    return sorted(rows, key=lambda row: (row.lr, row.start == "with"))


def _row(table: RunTable, values: np.ndarray, row: int) -> GridRow:
    arm, known = table.arms[row], np.isfinite(values)
    seeds = {seed: float(value) for seed, value in zip(table.seeds, values, strict=True) if np.isfinite(value)}
    return GridRow(
        lr=float(arm.lr or 0.0),
        start="with" if arm.warmup_steps else "without",
        warmup_steps=arm.warmup_steps,
        arm=arm.name,
        failed=table.summary(row).failed,
        mean=float(values[known].mean()) if known.any() else None,
        values=seeds,
    )


def choose(rows: Sequence[GridRow], metric: str) -> Choice | None:
    """The row with the fewest failures, then the best mean over all seeds; None before any run has finished."""
    sign = 1.0 if smaller_is_better(metric) else -1.0
    known = [row for row in rows if row.mean is not None]
    if not known:
        return None
    best = min(known, key=lambda row: (row.failed.share, sign * (row.mean or 0.0)))
    lrs = tuple(sorted({row.lr for row in known}))
    edge: Edge | None = None
    if len(lrs) > 1 and best.lr in (lrs[0], lrs[-1]):
        edge = "smallest" if best.lr == lrs[0] else "largest"
    return Choice(
        lr=best.lr,
        start=best.start,
        metric=metric,
        lrs=lrs,
        edge=edge,
        alike=tuple(sorted({row.lr for row in known if row.lr != best.lr and _is_alike(row, best)})),
        all_failed=all(2 * row.failed.count > row.failed.total for row in known),
    )


def _is_alike(row: GridRow, best: GridRow) -> bool:
    if row.failed.share > best.failed.share:
        return False
    interval = paired_interval(row, best)
    return interval is not None and interval[0] <= 0 <= interval[1]


def paired_interval(row: GridRow, other: GridRow) -> Interval | None:
    """The 95 % t-interval of the difference, paired by seed; None with fewer than 2 pairs."""
    seeds = [seed for seed in row.values if seed in other.values]
    return mean_interval(np.array([row.values[seed] - other.values[seed] for seed in seeds]))
