"""The runs of a sweep as arrays (arms, seeds)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warmup_lab.comparison.arms import Arm, ArmSummary
from warmup_lab.comparison.failure_kinds import count_kinds
from warmup_lab.comparison.outcomes import compared_values
from warmup_lab.comparison.statistics import Floats, mean_interval, wilson
from warmup_lab.runs import FINISHED, is_finished

Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

UNFINISHED = "unfinished"
"""Status of a run without a result: it was interrupted, or it has not started."""
STATUSES = (*FINISHED, "error", UNFINISHED)
SETTINGS_OF_ARM = ("scheduler", "warmup_steps", "total_steps", "lr")
REQUIRED_COLUMNS = ("arm", *SETTINGS_OF_ARM, "seed", "status", "failed_to_learn")
OPTIONAL_SETTINGS = ("warmup", "task", "model", "optimizer", "setting")
"""Columns that also tell arms apart, if present. `warmup` is the shape of the warmup, `setting` is free text."""


@dataclass(frozen=True)
class RunTable:
    """The runs of a sweep as arrays (arms, seeds)."""

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    values: Floats
    """The metric, NaN where a run has none."""
    present: Flags
    finished: Flags
    """Completed or diverged. A run that ended in an error says nothing about its arm."""
    failed: Flags
    """Finished, but diverged or failed to learn."""
    diverged: Flags
    unfinished: Flags
    """Present, but without a result. A run that ended in an error is neither this nor finished."""
    guess_loss: Floats
    """Loss of guessing (H, entropy of the training labels, nats), NaN if unknown."""
    guess_accuracy: Floats
    """Accuracy of always answering with the most frequent label, NaN if unknown."""
    kinds: NDArray[np.object_]
    """Why a run failed, a field of `FailureKinds`; None if unknown. It means nothing for a run that did not fail."""

    def compared(self, metric: str, *, smaller_is_better: bool) -> Floats:
        """The metric of every finished run as comparisons use it, failed runs included; see `outcomes`."""
        guess = self.guess_loss, self.guess_accuracy
        values = compared_values(metric, self.values, self.failed, guess, smaller_is_better=smaller_is_better)
        return np.where(self.finished, values, np.nan)

    @property
    def usable(self) -> Flags:
        """Learned, with a finite metric."""
        return self.finished & ~self.failed & np.isfinite(self.values)

    def pairs(self, row: int, other: int) -> tuple[Floats, Floats]:
        """Metric of two arms at the seeds where both learned, (n,) each."""
        both = self.usable[row] & self.usable[other]
        return self.values[row, both], self.values[other, both]

    def at(self, seeds: Sequence[int]) -> RunTable:
        """The same arms at some of the seeds."""
        keep = np.isin(self.seeds, seeds)
        names = (
            "values", "present", "finished", "failed", "diverged", "unfinished", "guess_loss", "guess_accuracy",
            "kinds",
        )  # fmt: skip
        kept = tuple(seed for seed in self.seeds if seed in seeds)
        return replace(self, seeds=kept, **{name: getattr(self, name)[:, keep] for name in names})

    def best(self, rows: Sequence[int], smaller_is_better: bool) -> int | None:
        """The row with the fewest failures, then the best mean, then first in `rows`; None if none finished."""
        sign = 1.0 if smaller_is_better else -1.0
        arms = [(order, row, self.summary(row)) for order, row in enumerate(rows)]
        ranked = [
            (arm.failed.share, math.inf if arm.mean is None else sign * arm.mean, order, row)
            for order, row, arm in arms
            if arm.failed.total
        ]
        return min(ranked)[-1] if ranked else None

    def best_mean(self, rows: Sequence[int], metric: str, *, smaller_is_better: bool, failure_margin: float) -> int:
        """The row with the best mean of all runs, of those that fail neither mostly nor more often by the margin.

        Without that, an arm of failed runs, which count as guessing, would win where the others overfit.

        Args:
            rows: to choose from, at least one, each with a finished run.
            metric: of the values. It has means: none that is compared by ranks.
            smaller_is_better: its direction.
            failure_margin: largest difference of failure rates that does not matter.
        """
        compared = self.compared(metric, smaller_is_better=smaller_is_better)
        sign = 1.0 if smaller_is_better else -1.0
        shares = {row: self.summary(row).failed.share for row in rows}
        lowest = min(shares.values())

        def order(row: int) -> tuple[bool, bool, float]:
            fails_more = shares[row] > lowest + failure_margin
            return self.mostly_failed(row), fails_more, sign * float(np.nanmean(compared[row]))

        return min(rows, key=order)

    def mostly_failed(self, row: int) -> bool:
        """Whether more than half of the runs failed."""
        failed = self.summary(row).failed
        return bool(failed.total) and failed.share > 0.5

    def summary(self, row: int) -> ArmSummary:
        """Counts, rates and mean of one arm."""
        arm, values = self.arms[row], self.values[row, self.usable[row]]
        num_runs, num_finished, num_failed, num_diverged, num_unfinished = (
            int(flags[row].sum())
            for flags in (self.present, self.finished, self.failed, self.diverged, self.unfinished)
        )
        return ArmSummary(
            **vars(arm),
            warmup_percent=100 * arm.warmup_steps / arm.total_steps,
            num_runs=num_runs,
            num_learned=num_finished - num_failed,
            num_errors=num_runs - num_finished - num_unfinished,
            num_unfinished=num_unfinished,
            num_without_metric=num_finished - num_failed - values.size,
            failed=wilson(num_failed, num_finished),
            diverged=wilson(num_diverged, num_finished),
            failure_kinds=count_kinds(self.kinds[row, self.failed[row]]),
            mean=float(values.mean()) if values.size else None,
            interval=mean_interval(values),
        )


def read_runs(runs: pd.DataFrame, metric: str | None) -> RunTable:
    """The table of runs, one row per run, as arrays. Without a metric, `values` is NaN throughout.

    Columns: `REQUIRED_COLUMNS`, `metric`, and if present `OPTIONAL_SETTINGS`, `failure_kind` and `run_id`. Arms that
    stand for the same runs become one arm with aliases, so that the arm is tested, and counted by Holm, once.

    Raises:
        ValueError: a column is missing or holds an unknown value, or runs or arms cannot be told apart.
    """
    _check_columns(runs, metric)
    values = _values(runs, metric)
    arm_of, names = pd.factorize(runs["arm"].to_numpy(dtype=object))
    seeds, seed_of = np.unique(runs["seed"].to_numpy(dtype=np.int64), return_inverse=True)
    arms, identity = _read_arms(runs, names, arm_of), _identity(runs, values)
    grid = np.full((len(arms), len(seeds)), -1, dtype=np.int64)
    for run, (row, column) in enumerate(zip(arm_of, seed_of, strict=True)):
        if grid[row, column] >= 0 and identity[grid[row, column]] != identity[run]:
            raise ValueError(f"arm {arms[row].name!r} has two different runs at seed {seeds[column]}")
        grid[row, column] = run
    merged = _merge_aliases(arms, [tuple(identity[run] if run >= 0 else None for run in row) for row in grid])
    return _fill(runs, values, tuple(merged.values()), tuple(seeds.tolist()), grid[list(merged)])


def _check_columns(runs: pd.DataFrame, metric: str | None) -> None:
    required = REQUIRED_COLUMNS if metric is None else (*REQUIRED_COLUMNS, metric)
    missing = [column for column in required if column not in runs.columns]
    if missing:
        known = ", ".join(map(str, runs.columns))
        raise ValueError(f"the table of runs lacks {', '.join(missing)}; it has: {known}")
    for column in ("arm", "scheduler", "warmup_steps", "total_steps", "seed"):
        if runs[column].isna().any():
            raise ValueError(f"the table of runs has a run without {column}")
    unknown = set(runs["status"]) - set(STATUSES)
    if unknown:
        raise ValueError(f"unknown status {sorted(map(str, unknown))}; known: {', '.join(STATUSES)}")


def _values(runs: pd.DataFrame, metric: str | None) -> Floats:
    if metric is None:
        return np.full(len(runs), np.nan)
    return pd.to_numeric(runs[metric], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _read_arms(runs: pd.DataFrame, names: NDArray[np.object_], arm_of: Rows) -> list[Arm]:
    """The arms in order of appearance. ValueError for an arm with two values of a setting."""
    first = np.unique(arm_of, return_index=True)[1]
    columns: dict[str, list[Any]] = {}
    for column in (*SETTINGS_OF_ARM, *(column for column in OPTIONAL_SETTINGS if column in runs.columns)):
        array = runs[column].to_numpy()
        expected = array[first[arm_of]]
        differs = (array != expected) & ~(pd.isna(array) & pd.isna(expected))
        if differs.any():
            raise ValueError(f"arm {names[arm_of[int(np.argmax(differs))]]!r} has more than one {column}")
        columns[column] = array[first].tolist()
    arms = []
    shapes = columns.pop("warmup", ["linear"] * len(names))
    for name, shape, scheduler, warmup, total, lr, *setting in zip(names, shapes, *columns.values(), strict=True):
        rate = None if pd.isna(lr) else float(lr)
        texts = tuple(map(str, setting))
        arms.append(Arm(str(name), (), str(scheduler), int(warmup), int(total), rate, texts, str(shape)))
    return arms


def _identity(runs: pd.DataFrame, values: Floats) -> list[Any]:
    """What makes two rows the same run: `run_id`, or else every number in the row except the ratio asked for."""
    if "run_id" in runs.columns:
        return runs["run_id"].tolist()
    kinds = runs.dtypes.items()
    numbers = [name for name, kind in kinds if kind.kind in "iuf" and name not in ("warmup_ratio", "seed")]
    rows = np.column_stack([runs[numbers].to_numpy(dtype=np.float64, na_value=np.nan), values])
    # Two runs without a finite metric can look alike and still differ, so such a row equals no other.
    return [rows[run].tobytes() if math.isfinite(values[run]) else run for run in range(len(runs))]


def _merge_aliases(arms: list[Arm], runs_of: list[tuple[object, ...]]) -> dict[int, Arm]:
    """One arm, by its row, for all arms that stand for the same runs; `runs_of`: each arm's run at every seed."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for row, arm in enumerate(arms):
        groups.setdefault((replace(arm, name=""), runs_of[row]), []).append(row)
    return {
        row: replace(arms[row], aliases=tuple(arms[other].name for other in others)) for row, *others in groups.values()
    }


def _fill(runs: pd.DataFrame, values: Floats, arms: tuple[Arm, ...], seeds: tuple[int, ...], grid: Rows) -> RunTable:
    """Spreads the rows of `runs` over (arms, seeds); `grid` holds row numbers, -1 where there is no run."""
    present = grid >= 0
    has_diverged = (runs["status"] == "diverged").to_numpy(dtype=bool)
    has_finished = np.array([is_finished(status) for status in runs["status"]], dtype=bool)
    not_learned = np.array([not pd.isna(flag) and bool(flag) for flag in runs["failed_to_learn"]], dtype=bool)
    diverged = present & has_diverged[grid]
    finished = present & has_finished[grid]
    failed = finished & (diverged | not_learned[grid])
    unfinished = present & (runs["status"] == UNFINISHED).to_numpy(dtype=bool)[grid]
    numbers = (values, _optional(runs, "guess_loss"), _optional(runs, "guess_accuracy"))
    spread, guess_loss, guess_accuracy = (np.where(present, column[grid], np.nan) for column in numbers)
    return RunTable(
        arms, seeds, spread, present, finished, failed, diverged, unfinished, guess_loss, guess_accuracy,
        _kinds(runs, has_diverged)[grid],
    )  # fmt: skip


def _kinds(runs: pd.DataFrame, has_diverged: Flags) -> NDArray[np.object_]:
    known = runs["failure_kind"] if "failure_kind" in runs.columns else [None] * len(runs)
    kinds = [None if pd.isna(kind) else str(kind) for kind in known]
    return np.array(
        ["unstable" if gone else kind for kind, gone in zip(kinds, has_diverged, strict=True)], dtype=object
    )


def _optional(runs: pd.DataFrame, column: str) -> Floats:
    return _values(runs, column if column in runs.columns else None)
