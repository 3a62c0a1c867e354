"""The columns of a user's own table of runs: which are there, and what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warmup_lab.comparison import STATUSES
from warmup_lab.config import suggestion
from warmup_lab.library.loss_trace import metric_names
from warmup_lab.metrics import PAIRED_METRICS, smaller_is_better

if TYPE_CHECKING:
    import pandas as pd

_LR_NAMES = ("lr", "learning_rate", "peak_lr", "max_lr", "base_lr")


@dataclass(frozen=True)
class RunColumns:
    """The arguments of `compare` that say what the columns of a table are."""

    metric: str
    seed: str
    failed: str | None
    entropy: float | str | None
    majority_accuracy: float | str | None
    higher_is_better: bool


def statuses(table: pd.DataFrame) -> list[str]:
    """The status of each run: that of `load_runs`, where the table has such a column, else `completed`."""
    found = table["status"].tolist() if "status" in table else []
    return found if found and set(found) <= set(STATUSES) else ["completed"] * len(table)


def is_ranked(metric: str) -> bool:
    """Whether a metric is compared by ranks, in which a failed run is the worst: all metrics of oscillation."""
    return metric.rpartition("/")[2] in (*metric_names(), "overshoot_rate", *PAIRED_METRICS)


def check_columns(table: pd.DataFrame, by: Sequence[str], others: Sequence[str | None]) -> None:
    """ValueError for a column that the table lacks, that is named twice, or that has missing values."""
    named = [*by, *(name for name in others if name is not None)]
    if table.empty:
        raise ValueError("the table has no rows")
    if not by:
        raise ValueError("by=[]: name the columns that tell arms apart")
    for name in named:
        check_known(table, name)
        if named.count(name) > 1:
            raise ValueError(f"the column {name!r} is named twice: each of metric, by, seed and failed has its own")
    for name in named[: len(by)] + named[len(by) + 1 :]:  # without the metric, where NaN is a failed run
        missing = int(table[name].isna().sum())
        if missing:
            raise ValueError(f"{missing} of {len(table)} rows have no value in the column {name!r}")


def check_known(table: pd.DataFrame, name: str) -> None:
    if name not in table.columns:
        raise ValueError(f"the table has no column {name!r}{suggestion(name, map(str, table.columns))}")


def check_direction(metric: str, higher_is_better: bool) -> None:
    """ValueError where the metric is known and `higher_is_better` contradicts it."""
    name = metric.rpartition("/")[2].lower()
    larger = not (smaller_is_better(name) and smaller_is_better(name.rpartition("_")[2]))
    if larger != higher_is_better and (larger or is_ranked(name) or name.endswith("loss")):
        better = "larger" if larger else "smaller"
        raise ValueError(f"{better} values of {metric} are better: pass higher_is_better={larger}")


def factor_and_lr(table: pd.DataFrame, by: Sequence[str]) -> tuple[str, str | None]:
    """The column that is compared, the first of `by` that is no learning rate, and the column of learning rates."""
    lr = next((name for name in by if is_lr(name)), None)
    others = [name for name in by if name != lr]
    if lr is not None and not (is_number(table[lr]) and (table[lr] > 0).all()):
        raise ValueError(f"the column {lr!r} has learning rates that are not numbers above 0")
    if others:
        return others[0], lr
    assert lr is not None
    return lr, None


def is_lr(name: str) -> bool:
    """Whether a column of that name has learning rates: `lr`, `optimizer.lr`, `learning_rate`, ..."""
    return name.lower().replace("/", ".").rpartition(".")[2] in _LR_NAMES


def is_number(column: pd.Series[Any]) -> bool:
    return column.dtype.kind in "iuf"
