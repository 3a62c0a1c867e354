"""A user's own training log, checked and in the columns of a run of warmup-lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from warmup_lab.config import suggestion
from warmup_lab.runs import StepTable, TrainingLog

if TYPE_CHECKING:
    import pandas as pd

_OF_UPDATES = ("loss", "lr", "grad_norm")
"""A row with a value in one of these is about updates. Other rows are evaluations."""


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """A training run of another program: its log and its settings."""

    log: pd.DataFrame
    """Columns:

    - `step`: updates made when the row was logged, 1 for the first. Rows with equal steps are merged.
    - `loss`: mean training loss since the row before, nats.
    - `lr`, `grad_norm`, `epoch`, if known: of the last update of the row.
    - `eval_loss`, `eval_accuracy` and other columns `eval_*`, if known: the evaluation after `step` updates.

    Rows about updates must be evenly spaced, except the first and the last.
    """
    scheduler: str
    """Name of the schedule, such as `warmupcosine`."""
    warmup_steps: int
    """Length of the warmup in updates."""
    total_steps: int
    """Length of the run in updates, as planned."""
    lr: float
    """Peak learning rate."""
    seed: int
    """Runs with equal seeds are compared pair by pair."""
    optimizer: str
    task: str
    """Name of the data."""
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else tells runs apart, such as `{"batch_size": 64}`."""
    diverged: bool = False
    """Set it if the program stopped at a loss that was not finite, without logging it."""

    def strategy(self) -> dict[str, Any]:
        """The section `strategy` of `result.json`."""
        return {
            "scheduler": self.scheduler,
            "warmup_steps": self.warmup_steps,
            "warmup_ratio": self.warmup_steps / self.total_steps,
            "warmup": "linear" if self.warmup_steps else "none",
            "t_eff": None,
            "total_steps": self.total_steps,
            "optimizer": self.optimizer,
            "lr": self.lr,
            "seed": self.seed,
            "task": self.task,
            "model": self.model,
        }


def read_log(run: LoggedRun) -> TrainingLog:
    """The log of a run, up to its first loss that is not finite.

    Raises:
        ValueError: a column is missing, steps are wrong or unevenly spaced, or a number is out of its range.
    """
    rows = _merged_rows(run)
    of_updates = rows[[name for name in _OF_UPDATES if name in rows]].notna().any(axis=1)
    updates = rows[of_updates]
    evaluated = [str(name) for name in rows if str(name).startswith("eval_")]
    evals = rows[evaluated].dropna(how="all")
    if updates.empty:
        raise ValueError("the log has no row with a loss")
    if "lr" in updates and 0 < (missing := int(updates["lr"].isna().sum())) < len(updates):
        raise ValueError(f"{missing} of {len(updates)} rows with a loss have no lr")
    every = _rows_every(updates.index.to_numpy())
    broken = ~np.isfinite(updates["loss"].to_numpy(dtype=np.float64))
    kept = updates.iloc[: broken.argmax() + 1] if broken.any() else updates
    trace = {name: kept.get(name) for name in ("epoch", "lr", "loss", "grad_norm")}
    return TrainingLog(
        trace=_table(kept.index.to_numpy() - 1, trace),
        evals=_table(evals.index.to_numpy(), {name.removeprefix("eval_"): evals[name] for name in evaluated}),
        every=every,
        total_steps=run.total_steps,
        diverged=run.diverged or bool(broken.any()),
    )


def _merged_rows(run: LoggedRun) -> pd.DataFrame:
    """The log with one row per step, which is its index. Checks the numbers of the run."""
    log = run.log
    for name in ("step", "loss"):
        if name not in log.columns:
            raise ValueError(f"the log has no column {name!r}{suggestion(name, map(str, log.columns))}")
    if not 0 <= run.warmup_steps <= run.total_steps or run.total_steps < 1:
        raise ValueError(
            f"warmup_steps={run.warmup_steps}, total_steps={run.total_steps}: must be 0 <= warmup <= total"
        )
    if not run.lr > 0:
        raise ValueError(f"lr={run.lr}: must be above 0")
    known = [name for name in log.columns if name in (*_OF_UPDATES, "epoch") or str(name).startswith("eval_")]
    steps = log["step"].to_numpy(dtype=np.float64)
    if not (np.isfinite(steps).all() and (steps == np.round(steps)).all()):
        raise ValueError("the column 'step' has values that are not whole numbers")
    if len(steps) and steps.min() < 1:
        raise ValueError(f"the smallest step is {steps.min():g}: steps count from 1, so add 1 if yours count from 0")
    if len(steps) and steps.max() > run.total_steps:
        raise ValueError(f"the largest step is {steps.max():g}, and total_steps={run.total_steps}")
    return log[known].astype(np.float64).groupby(steps.astype(np.int64)).first()


def _rows_every(steps: np.ndarray) -> int:
    """Updates between two rows. ValueError if that varies; the first and the last row may be closer."""
    gaps = np.diff(steps)
    if not gaps.size:
        return int(steps[0])
    every = int(np.median(gaps[1:-1] if gaps.size > 2 else gaps))
    inner = gaps[1:-1]
    if (inner != every).any() or max(steps[0], gaps[0], gaps[-1]) > every:
        found = ", ".join(map(str, np.unique(gaps)[:5]))
        raise ValueError(f"the rows of the log are {found} updates apart: they must be evenly spaced")
    return every


def _table(steps: np.ndarray, columns: Mapping[str, Any]) -> StepTable:
    """The columns as a table. NaN becomes None; so does a column that is None."""
    table = StepTable(["step", *columns])
    known = {name: values for name, values in columns.items() if values is not None}
    rows = zip(*(np.asarray(values, dtype=np.float64).tolist() for values in known.values()), strict=True)
    for step, row in zip(steps.tolist(), rows, strict=True):
        found = {name: value if np.isfinite(value) else None for name, value in zip(known, row, strict=True)}
        table.append({"step": step, **dict.fromkeys(columns), **found})
    return table
