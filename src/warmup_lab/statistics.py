"""Tests and intervals on arrays, and the table of runs as arrays. Formulas are scipy's and statsmodels'.

What may be concluded from them is in `verdicts`. An arm is everything but the seed; arms are paired by seed,
because equal seeds mean equal initial weights and equal data order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]
Interval = tuple[float, float]

ALPHA = 0.05
MIN_PAIRS = 6
STATUSES = ("completed", "diverged", "error")
SETTINGS_OF_ARM = ("scheduler", "warmup_steps", "total_steps", "lr")
REQUIRED_COLUMNS = ("arm", *SETTINGS_OF_ARM, "seed", "status", "failed_to_learn")
# Without warmup both are the same curve, so the first counts as the second with 0 updates of warmup.
WITHOUT_WARMUP = {"constantlr": "warmupconstant"}
# Used where present, to tell which arms differ in nothing but the warmup. `setting` is free text.
OPTIONAL_SETTINGS = ("task", "model", "optimizer", "setting")


def to_json(value: Any) -> Any:
    """Dataclasses, tuples and numpy scalars as JSON has them; null for a number that is not finite."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {str(key): to_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Record:
    """Base of the dataclasses that go into a JSON file."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: lists for tuples, null for what is not finite."""
        return to_json(self)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Rate(Record):
    """`count` of `total` runs; `low` to `high` is the 95 % Wilson interval of the share, null without runs."""

    count: int
    total: int
    low: float | None
    high: float | None

    @property
    def share(self) -> float:
        """`count / total`, NaN without runs."""
        return self.count / self.total if self.total else math.nan


@dataclass(frozen=True)
class PairedTest(Record):
    """An arm minus its reference over the seeds at which both learned, in the metric's unit.

    `interval_95` belongs to `p_value` (two-sided), `interval_90` to `p_equivalent` (TOST at 5 %). Intervals need
    2 pairs, p-values `MIN_PAIRS`; else null. `exact`: all differences are equal, so that a t-test has no scale
    and a sign test took its place.
    """

    num_pairs: int
    difference: float | None = None
    interval_95: Interval | None = None
    interval_90: Interval | None = None
    p_value: float | None = None
    p_equivalent: float | None = None
    exact: bool = False


def check_margin(margin: float | None) -> None:
    """ValueError unless `margin` is null or a positive, finite number."""
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin={margin}: must be positive, in the unit of the metric, or left out")


@lru_cache(maxsize=4096)
def wilson(count: int, total: int) -> Rate:
    """`count` of `total` with its 95 % Wilson score interval."""
    if total == 0:
        return Rate(count, total, None, None)
    low, high = proportion_confint(count, total, alpha=ALPHA, method="wilson")
    return Rate(count, total, float(low), float(high))


def mean_interval(values: Floats, confidence: float = 0.95) -> Interval | None:
    """t-interval of the mean of `values` (n,), finite numbers; null for n < 2, a point where they are equal."""
    if values.size < 2:
        return None
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    low, high = _t_interval(confidence, values.size - 1)
    return mean + low * error, mean + high * error


@lru_cache(maxsize=256)
def _t_interval(confidence: float, degrees_of_freedom: int) -> Interval:
    low, high = stats.t.interval(confidence, degrees_of_freedom)
    return float(low), float(high)


def paired_test(first: Floats, second: Floats, *, margin: float | None = None) -> PairedTest:
    """`first` minus `second`, both (n,) and finite, entry i of each from one seed: t-test and TOST.

    Equal to `scipy.stats.ttest_rel` and `statsmodels.stats.weightstats.ttost_paired`, which are one-sample
    tests of the differences.
    """
    differences = first - second
    if differences.size == 0:
        return PairedTest(0)
    mean = float(differences.mean())
    intervals = mean_interval(differences, 0.95), mean_interval(differences, 0.90)
    if differences.size < MIN_PAIRS:
        return PairedTest(differences.size, mean, *intervals)
    noise, p_equivalent = _float_noise(first, second), None
    p_value = _mean_p(differences, 0.0, "two-sided", noise)
    if margin is not None:
        above = _mean_p(differences, -margin, "greater", noise)
        p_equivalent = max(above, _mean_p(differences, margin, "less", noise))
    exact = bool(np.ptp(differences) <= noise)
    return PairedTest(differences.size, mean, *intervals, p_value, p_equivalent, exact)


def non_inferiority_p(first: Floats, second: Floats, *, margin: float, smaller_is_better: bool) -> float:
    """One-sided paired p, against `first` (n,) being worse than `second` (n,) by `margin` or more on average."""
    worse_by = first - second if smaller_is_better else second - first
    return _mean_p(worse_by, margin, "less", _float_noise(first, second))


def _float_noise(first: Floats, second: Floats) -> float:
    return 1e-12 * max(float(np.abs(first).max()), float(np.abs(second).max()))


def _mean_p(differences: Floats, bound: float, alternative: str, noise: float) -> float:
    """p that the mean is `bound`: t-test, or sign test where the differences vary by no more than `noise`.

    Differences of accuracies, which are multiples of 1/n, do coincide; with no spread a t-test would be certain
    after two seeds. The sign test's least p for n equal differences is 2 ** (1 - n), or 2 ** -n one-sided.
    """
    if np.ptp(differences) > noise:
        return float(stats.ttest_1samp(differences, bound, alternative=alternative).pvalue)
    above, below = int((differences - bound > noise).sum()), int((bound - differences > noise).sum())
    if above + below == 0:
        return 1.0
    return float(stats.binomtest(above, above + below, alternative=alternative).pvalue)


@lru_cache(maxsize=4096)
def rates_differ_p(count: int, total: int, other_count: int, other_total: int) -> float:
    """Boschloo's exact two-sided p that two failure rates are equal; 1 where none or all failed.

    On either side Boschloo's test keeps its level as Fisher's does and is uniformly more powerful, which matters with
    a handful of seeds; scipy doubles the smaller side. The paired test (McNemar) sees only the seeds at which the
    arms disagree: with 8 of them its least p is 0.008, which no Holm step over 7 arms lets through. That paired runs
    tend to fail together makes the unpaired test conservative, never liberal.
    """
    if count + other_count in (0, total + other_total):
        return 1.0
    # Columns are the two samples: for this test, unlike for Fisher's, the orientation matters.
    table = [[count, other_count], [total - count, other_total - other_count]]
    return float(stats.boschloo_exact(table).pvalue)


def equal_rates_p(rate: Rate, other: Rate) -> float | None:
    """`rates_differ_p` of two rates; null where one is of no runs."""
    if rate.total == 0 or other.total == 0:
        return None
    return rates_differ_p(rate.count, rate.total, other.count, other.total)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p-values over the tests that took place; null stays null and is not counted.

    Its slow twin, held equal to it by a test, is statsmodels' `multipletests(p_values, method="holm")`, which ends in
    a full `gc.collect()`: 20 ms a call, more with torch loaded, against 0.01 ms here.
    """
    tested = np.array([p for p in p_values if p is not None])
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.maximum.accumulate(tested[order] * np.arange(tested.size, 0, -1)), 1.0)
    rest = iter(adjusted.tolist())
    return [None if p is None else next(rest) for p in p_values]


def split_halves(seeds: Sequence[int]) -> tuple[list[int], list[int]]:
    """Seeds to choose on, and seeds to test on: every other one in rising order; the larger half tests.

    Fixed before any result is seen. 0..4 gives [1, 3] and [0, 2, 4].
    """
    ordered = sorted(set(seeds))
    return ordered[1::2], ordered[::2]


@dataclass(frozen=True)
class Arm(Record):
    """Everything but the seed. `aliases`: other names under which the sweep asked for the very same runs."""

    name: str
    aliases: tuple[str, ...]
    scheduler: str
    warmup_steps: int
    total_steps: int
    lr: float | None
    setting: tuple[str, ...]

    @property
    def same_but_warmup(self) -> tuple[object, ...]:
        """What two arms share that differ only in warmup."""
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
    for name, scheduler, warmup, total, lr, *setting in zip(names, *columns.values(), strict=True):
        rate = None if pd.isna(lr) else float(lr)
        arms.append(Arm(str(name), (), str(scheduler), int(warmup), int(total), rate, tuple(map(str, setting))))
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
