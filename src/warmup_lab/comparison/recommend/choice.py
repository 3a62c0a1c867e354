"""The learning rate with the best result on the seeds that choose it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from warmup_lab.comparison import Interval, Rate, RunTable, mean_interval, metric_kind, read_runs
from warmup_lab.metrics import smaller_is_better
from warmup_lab.runs import is_finished
from warmup_lab.system import JsonRecord

Start = Literal["with", "without"]
Edge = Literal["smallest", "largest"]
_CLEAR = 0.999
"""Where most runs failed at every rate, the loss at one rate counts as lower if it is below this times the others."""


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
    loss: float | None = None
    """Mean final evaluation loss as measured, failed runs included; None without one, or if a run diverged."""


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
    """Whether it is the smallest or the largest of them, if there are several, and is better than the others."""
    alike: tuple[float, ...]
    """Rates with the same start, no more failures and a mean within the margin. Empty without a margin."""
    not_told_apart: tuple[float, ...]
    """Other rates with the same start and no more failures that these seeds cannot tell from it: the 95 % interval of
    the paired difference includes 0."""
    all_failed: bool
    """Whether most runs failed at every rate. Then `lr` is only where they came closest to learning."""


def choosing_metric(metric: str, runs: pd.DataFrame) -> str:
    """An oscillation would choose the smallest lr, at which nothing oscillates and nothing is learned."""
    return "eval_loss" if metric_kind(metric) == "rank" or metric not in runs else metric


def grid_rows(runs: pd.DataFrame, metric: str) -> list[GridRow]:
    """The rows, by rising lr, the runs without warmup first. Unfinished runs are left out."""
    if runs.empty:
        return []
    table, losses = read_runs(runs, metric), _mean_losses(runs)
    compared = table.compared(metric, smaller_is_better=smaller_is_better(metric))
    rows = [_row(table, compared[row], row, losses) for row in range(len(table.arms))]
    return sorted(rows, key=lambda row: (row.lr, row.start == "with"))


def _mean_losses(runs: pd.DataFrame) -> dict[str, float | None]:
    """Mean final evaluation loss of each arm over its finished runs; None without one, or if a run diverged."""
    means: dict[str, float | None] = {}
    for name, own in runs[runs["status"].map(is_finished).astype(bool)].groupby("arm"):
        mean = own["eval_loss"].mean(skipna=False) if "eval_loss" in own else np.nan
        means[str(name)] = float(mean) if np.isfinite(mean) else None
    return means


def _row(table: RunTable, values: np.ndarray, row: int, losses: Mapping[str, float | None]) -> GridRow:
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
        loss=losses.get(arm.name),
    )


def choose(rows: Sequence[GridRow], metric: str, margin: float | None = None) -> Choice | None:
    """The row with the fewest failures, then the best mean over all seeds; None before any run has finished.

    Where most runs failed at every rate, the lowest loss comes before the mean: failed runs may count as guessing, and
    then the mean is the same at all rates. So more rates are added where the loss gets better, and none where it does
    not change.
    """
    sign = 1.0 if smaller_is_better(metric) else -1.0
    known = [row for row in rows if row.mean is not None]
    if not known:
        return None
    all_failed = all(2 * row.failed.count > row.failed.total for row in known)
    best = min(known, key=lambda row: (row.failed.share, _loss(row) if all_failed else 0, sign * _mean(row)))
    lrs = tuple(sorted({row.lr for row in known}))
    edge: Edge | None = None
    is_clear = not all_failed or all(_loss(best) < _CLEAR * _loss(row) for row in known if row.lr != best.lr)
    if len(lrs) > 1 and best.lr in (lrs[0], lrs[-1]) and is_clear:
        edge = "smallest" if best.lr == lrs[0] else "largest"
    others = [row for row in known if row.start == best.start and row.lr != best.lr]
    rivals = [row for row in others if row.failed.share <= best.failed.share]
    alike = {row.lr for row in rivals if margin is not None and abs(_mean(row) - _mean(best)) <= margin}
    return Choice(
        lr=best.lr,
        start=best.start,
        metric=metric,
        lrs=lrs,
        edge=edge,
        alike=tuple(sorted(alike)),
        not_told_apart=tuple(sorted({row.lr for row in rivals if _is_undecided(row, best)} - alike)),
        all_failed=all_failed,
    )


def _loss(row: GridRow) -> float:
    return np.inf if row.loss is None else row.loss


def _mean(row: GridRow) -> float:
    return np.nan if row.mean is None else row.mean


def _is_undecided(row: GridRow, best: GridRow) -> bool:
    interval = paired_interval(row, best)
    return interval is not None and interval[0] <= 0 <= interval[1]


def paired_interval(row: GridRow, other: GridRow) -> Interval | None:
    """The 95 % t-interval of the difference, paired by seed; None with fewer than 2 pairs."""
    seeds = [seed for seed in row.values if seed in other.values]
    return mean_interval(np.array([row.values[seed] - other.values[seed] for seed in seeds]))
