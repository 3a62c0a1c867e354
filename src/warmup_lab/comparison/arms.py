"""The table of runs as arrays (arms, seeds), and what can be read off it.

An arm is everything but the seed; arms are paired by seed, because equal seeds mean equal initial weights and equal
data order. What may be concluded is in `verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warmup_lab.comparison.statistics import (
    ALPHA,
    MIN_PAIRS,
    Floats,
    Interval,
    Rate,
    equal_rates_p,
    mean_interval,
    non_inferiority_p,
    wilson,
)
from warmup_lab.schedules import warmup_title
from warmup_lab.system import JsonRecord

Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

STATUSES = ("completed", "diverged", "error")
SETTINGS_OF_ARM = ("scheduler", "warmup_steps", "total_steps", "lr")
REQUIRED_COLUMNS = ("arm", *SETTINGS_OF_ARM, "seed", "status", "failed_to_learn")
# Without warmup both are the same curve, so the first counts as the second with 0 updates of warmup.
WITHOUT_WARMUP = {"constantlr": "warmupconstant", "constant": "constant_with_warmup"}
# Used where present, to tell which arms differ in nothing but the warmup, whose shape `warmup` is. `setting` is free
# text.
OPTIONAL_SETTINGS = ("warmup", "task", "model", "optimizer", "setting")


@dataclass(frozen=True)
class Arm(JsonRecord):
    """Everything but the seed. `aliases`: other names under which the sweep asked for the very same runs."""

    name: str
    aliases: tuple[str, ...]
    scheduler: str
    warmup_steps: int
    total_steps: int
    lr: float | None
    setting: tuple[str, ...]
    warmup: str
    """Shape of the warmup."""

    @property
    def schedule(self) -> str:
        """The scheduler, with the shape of the warmup where that is not the usual one."""
        shape = warmup_title(self.warmup)
        return f"{self.scheduler}-{shape}" if shape else self.scheduler

    @property
    def same_but_warmup(self) -> tuple[object, ...]:
        """What two arms share that differ only in warmup, its length or its shape."""
        scheduler = self.scheduler.lower()
        return WITHOUT_WARMUP.get(scheduler, scheduler), self.total_steps, self.lr, self.setting


@dataclass(frozen=True)
class ArmSummary(Arm):
    """An arm by itself. `mean` and its 95 % t-`interval`: the runs that learned, in the metric's unit.

    `failed` and `diverged`, a part of it, are rates of the runs that did not end in an error. `num_without_metric`
    counts runs that learned and have no finite metric.
    """

    warmup_percent: float
    num_runs: int
    num_learned: int
    num_errors: int
    num_without_metric: int
    failed: Rate
    diverged: Rate
    mean: float | None
    interval: Interval | None


@dataclass(frozen=True)
class RunTable:
    """The runs of a sweep as arrays (arms, seeds); `values` is the metric, NaN where absent.

    `finished`: completed or diverged, for a run that ended in an error says nothing of its arm. `failed`: finished,
    but diverged or failed to learn.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    values: Floats
    present: Flags
    finished: Flags
    failed: Flags
    diverged: Flags

    @property
    def usable(self) -> Flags:
        """(arms, seeds): learned, with a finite metric."""
        return self.finished & ~self.failed & np.isfinite(self.values)

    def index(self, name: str) -> int:
        """Row of the arm called or aliased `name`. ValueError lists the arms."""
        for row, arm in enumerate(self.arms):
            if name in (arm.name, *arm.aliases):
                return row
        raise ValueError(f"no arm is called {name!r}; the arms are: {', '.join(a.name for a in self.arms)}")

    def pairs(self, row: int, other: int) -> tuple[Floats, Floats]:
        """Metric of two arms at the seeds where both learned, (n,) each."""
        both = self.usable[row] & self.usable[other]
        return self.values[row, both], self.values[other, both]

    def at(self, seeds: Sequence[int]) -> RunTable:
        """The same arms at some of the seeds."""
        keep = np.isin(self.seeds, seeds)
        names = ("values", "present", "finished", "failed", "diverged")
        kept = tuple(seed for seed in self.seeds if seed in seeds)
        return replace(self, seeds=kept, **{name: getattr(self, name)[:, keep] for name in names})

    def best(self, rows: Sequence[int], smaller_is_better: bool) -> int | None:
        """The row with the fewest failures, then the best mean, then first in `rows`; null where none has run."""
        sign = 1.0 if smaller_is_better else -1.0
        arms = [(order, row, self.summary(row)) for order, row in enumerate(rows)]
        ranked = [
            (arm.failed.share, math.inf if arm.mean is None else sign * arm.mean, order, row)
            for order, row, arm in arms
            if arm.failed.total
        ]
        return min(ranked)[-1] if ranked else None

    def summary(self, row: int) -> ArmSummary:
        """Counts, rates and mean of one arm."""
        arm, values = self.arms[row], self.values[row, self.usable[row]]
        num_runs, num_finished, num_failed, num_diverged = (
            int(flags[row].sum()) for flags in (self.present, self.finished, self.failed, self.diverged)
        )
        return ArmSummary(
            **vars(arm),
            warmup_percent=100 * arm.warmup_steps / arm.total_steps,
            num_runs=num_runs,
            num_learned=num_finished - num_failed,
            num_errors=num_runs - num_finished,
            num_without_metric=num_finished - num_failed - values.size,
            failed=wilson(num_failed, num_finished),
            diverged=wilson(num_diverged, num_finished),
            mean=float(values.mean()) if values.size else None,
            interval=mean_interval(values),
        )


def as_good_p(table: RunTable, row: int, rivals: Sequence[int], margin: float, smaller_is_better: bool) -> float | None:
    """p of an arm being worse by `margin` than any of its `rivals`; null where one of them cannot be tested."""
    p_values = []
    for rival in rivals:
        if rival == row:
            continue
        failed, other_failed = table.summary(row).failed, table.summary(rival).failed
        p_failed = equal_rates_p(failed, other_failed)
        pair = table.pairs(row, rival)
        if p_failed is not None and p_failed < ALPHA:
            p_values.append(1.0 if failed.share > other_failed.share else p_failed)
        elif pair[0].size < MIN_PAIRS:
            return None
        else:
            p_values.append(non_inferiority_p(*pair, margin=margin, smaller_is_better=smaller_is_better))
    return max(p_values)


def read_runs(runs: pd.DataFrame, metric: str) -> RunTable:
    """The table of runs, a row a run, as arrays. ValueError for what cannot be told apart.

    Columns: `REQUIRED_COLUMNS`, `metric`, and where present `OPTIONAL_SETTINGS` and `run_id`. Arms that stand for
    the very same runs become one arm with aliases, so that it is tested, and counted by Holm, once.
    """
    _check_columns(runs, metric)
    values = pd.to_numeric(runs[metric], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
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


def _check_columns(runs: pd.DataFrame, metric: str) -> None:
    missing = [column for column in (*REQUIRED_COLUMNS, metric) if column not in runs.columns]
    if missing:
        known = ", ".join(map(str, runs.columns))
        raise ValueError(f"the table of runs lacks {', '.join(missing)}; it has: {known}")
    for column in ("arm", "scheduler", "warmup_steps", "total_steps", "seed"):
        if runs[column].isna().any():
            raise ValueError(f"the table of runs has a run without {column}")
    unknown = set(runs["status"]) - set(STATUSES)
    if unknown:
        raise ValueError(f"unknown status {sorted(map(str, unknown))}; known: {', '.join(STATUSES)}")


def _read_arms(runs: pd.DataFrame, names: NDArray[np.object_], arm_of: Rows) -> list[Arm]:
    """The arms in order of appearance; one that has two values of a setting is refused."""
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
        told = tuple(map(str, setting))
        arms.append(Arm(str(name), (), str(scheduler), int(warmup), int(total), rate, told, str(shape)))
    return arms


def _identity(runs: pd.DataFrame, values: Floats) -> list[Any]:
    """What makes two rows the same run: `run_id`, or else every number in the row but the ratio asked for."""
    if "run_id" in runs.columns:
        return runs["run_id"].tolist()
    kinds = runs.dtypes.items()
    numbers = [name for name, kind in kinds if kind.kind in "iuf" and name not in ("warmup_ratio", "seed")]
    rows = np.column_stack([runs[numbers].to_numpy(dtype=np.float64, na_value=np.nan), values])
    # Two runs without a finite metric look alike and need not be: such a row is like no other.
    return [rows[run].tobytes() if math.isfinite(values[run]) else run for run in range(len(runs))]


def _merge_aliases(arms: list[Arm], runs_of: list[tuple[object, ...]]) -> dict[int, Arm]:
    """One arm for all that stand for the same runs, by its row; `runs_of`: what runs at each seed."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for row, arm in enumerate(arms):
        groups.setdefault((replace(arm, name=""), runs_of[row]), []).append(row)
    return {
        row: replace(arms[row], aliases=tuple(arms[other].name for other in others)) for row, *others in groups.values()
    }


def _fill(runs: pd.DataFrame, values: Floats, arms: tuple[Arm, ...], seeds: tuple[int, ...], grid: Rows) -> RunTable:
    """Spread the rows of `runs` over (arms, seeds); `grid` holds row numbers, -1 where there is no run."""
    present = grid >= 0
    status = runs["status"].to_numpy(dtype=object)[grid]
    not_learned = np.array([not pd.isna(flag) and bool(flag) for flag in runs["failed_to_learn"]], dtype=bool)
    diverged = present & (status == "diverged")
    finished = present & (status != "error")
    failed = finished & (diverged | not_learned[grid])
    return RunTable(arms, seeds, np.where(present, values[grid], np.nan), present, finished, failed, diverged)


def _reference_of(table: RunTable, row: int, name: str | None) -> int | str:
    """Row of the arm to compare with, or why there is none.

    10 % is `ceil(total_steps / 10)`. A grid without it lends its nearest length, if that is not 0, rounds to
    10 % or lies between 7.5 and 12.5 %: a verdict against 5 % would not be one against 10 %. Among several shapes of
    warmup the usual, linear one is the reference.
    """
    if name is not None:
        return table.index(name)
    total = table.arms[row].total_steps
    tenth, tolerance = -(-total // 10), max(1.0, total / 40)
    family = [arm for arm in table.arms if arm.same_but_warmup == table.arms[row].same_but_warmup]
    near = [arm for arm in family if arm.warmup_steps and abs(arm.warmup_steps - total / 10) < tolerance]
    near = [arm for arm in near if not warmup_title(arm.warmup)] or near  # the usual shape, where it is among them
    if not near:
        tried = ", ".join(str(steps) for steps in sorted({arm.warmup_steps for arm in family}))
        return f"no arm that differs only in warmup has about 10 % ({tenth} updates); the warmups are {tried}"
    nearest = min((abs(arm.warmup_steps - tenth), arm.warmup_steps) for arm in near)[1]
    chosen = [arm.name for arm in near if arm.warmup_steps == nearest]
    if len(chosen) > 1:
        return f"{len(chosen)} arms could be the 10 % reference ({', '.join(chosen)}): state one"
    return table.index(chosen[0])
