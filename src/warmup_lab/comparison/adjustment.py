"""The tests of all looks that were reached, adjusted over looks and families."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
from scipy import stats

from warmup_lab.comparison.evidence import Design, Evidence, LineContrast
from warmup_lab.comparison.families import share_error
from warmup_lab.comparison.lr_range import Lr50Ratio
from warmup_lab.comparison.run_table import RunTable
from warmup_lab.comparison.sequential import nominal_levels, sequential_p
from warmup_lab.comparison.statistics import ALPHA, MIN_PAIRS, PairedTest, holm
from warmup_lab.comparison.trends import Trend
from warmup_lab.comparison.verdicts import LookPath

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Looks:
    """The looks that were reached, in order."""

    planned: tuple[int, ...]
    """Seeds of all planned looks."""
    tables: tuple[RunTable, ...]
    """The runs that each look sees."""
    tests: tuple[Evidence, ...]

    def num_complete(self, rows: Sequence[int]) -> int:
        """Looks at which these arms have all of their runs; at least 1. An arm that was decided has no later runs."""
        return max(1, sum(bool(table.present[list(rows)].all()) for table in self.tables))

    def p_value(self, read: Callable[[Evidence], float | None], rows: Sequence[int], *, waits: bool) -> float | None:
        """The sequential p-value of a test on these arms. None if it cannot reject at the first look.

        With `waits` it has too few seeds there, and later looks may still have enough.
        """
        if read(self.tests[0]) is None and not (waits and len(self.planned) > 1):
            return None
        p_values = [read(test) for test in self.tests[: self.num_complete(rows)]]
        return sequential_p([1.0 if p is None else p for p in p_values], self.planned)


@dataclass(frozen=True)
class Adjusted:
    """Adjusted p-values of one comparison; a missing key is a test that was not made or cannot reject."""

    metric: dict[int, float]
    equivalent: dict[int, float]
    failures: dict[int, float]
    lr50: dict[LineContrast, float]
    metric_trend: float | None
    failure_trend: float | None


NOTHING = Adjusted({}, {}, {}, {}, None, None)


def adjust(looks: Looks, design: Design, *, has_margin: bool) -> Adjusted:
    """Sequential p-values over the looks, adjusted in two families: trends, and pairs (see `families`).

    A test that cannot reject at the first look leaves the family for good. One that only lacks pairs there, because a
    run ended in an error, stays: a family must not grow between looks. Equivalence is a claim of its own, whose null
    hypotheses are others, and is adjusted by Holm over all pairs.
    """
    if not looks.tests:
        return NOTHING
    first = looks.tests[0]
    pairs = dict(design.pairs)
    waits = {row: first.metric[row].num_pairs < MIN_PAIRS for row in pairs}

    def of_pairs(read: Callable[[Evidence, int], float | None], *, may_wait: bool) -> list[float | None]:
        return [
            looks.p_value(lambda test, row=row: read(test, row), (row, other), waits=may_wait and waits[row])  # type: ignore[misc]
            for row, other in pairs.items()
        ]

    metric = of_pairs(lambda test, row: test.metric[row].p_value, may_wait=True)
    tost = of_pairs(lambda test, row: test.metric[row].p_equivalent, may_wait=has_margin)
    failures = of_pairs(lambda test, row: test.failures.get(row), may_wait=False)
    lr50 = [
        looks.p_value(
            lambda test, key=key: _p_of(test.lr50.get(key)),  # type: ignore[misc]
            design.rows_of(key),
            waits=ratio.num_seeds < MIN_PAIRS,
        )
        for key, ratio in first.lr50.items()
    ]
    adjusted_trends, adjusted = share_error(_trends(looks, design), [*metric, *failures, *lr50])
    ends = len(metric), len(metric) + len(failures)
    return Adjusted(
        _known(list(pairs), adjusted[: ends[0]]),
        _known(list(pairs), holm(tost)),
        _known(list(pairs), adjusted[ends[0] : ends[1]]),
        _known(list(first.lr50), adjusted[ends[1] :]),
        *adjusted_trends,
    )


def _trends(looks: Looks, design: Design) -> tuple[float | None, float | None]:
    """Sequential p of the trend of the metric, and of failures or lr50."""
    strata = [list(rows) for rows in design.strata]
    lines = [[row for number in numbers for row in design.lines[number].rows] for numbers in design.line_strata]
    waits = _lacks_seeds(looks.tables[0], strata)
    failures_wait = _lacks_seeds(looks.tables[0], lines) if looks.tests[0].uses_lr50 else waits
    rows = design.rows_of_trends
    return (
        looks.p_value(lambda test: _p_of(test.metric_trend), rows, waits=waits),
        looks.p_value(lambda test: _p_of(test.failure_trend), rows, waits=failures_wait),
    )


def _lacks_seeds(table: RunTable, strata: Sequence[Sequence[int]]) -> bool:
    """Whether there are strata, and fewer than `MIN_PAIRS` seeds at which all runs of one of them finished."""
    complete = [table.finished[list(rows)].all(axis=0) for rows in strata]
    return bool(complete) and int(np.any(complete, axis=0).sum()) < MIN_PAIRS


def _metric_p(row: int, test: Evidence) -> float | None:
    return test.metric[row].p_value


def _failures_p(row: int, test: Evidence) -> float | None:
    return test.failures.get(row)


def look_paths(looks: Looks, design: Design, names: Sequence[str], *, has_margin: bool) -> tuple[LookPath, ...]:
    """The p-values of every pair and trend at every look that was reached; `names` are those of the arms."""
    numbers = range(1, len(looks.tests) + 1)
    steps = [
        adjust(Looks(looks.planned, looks.tables[:end], looks.tests[:end]), design, has_margin=has_margin)
        for end in numbers
    ]

    def path(name: str, own: Callable[[Evidence], float | None], read: Callable[[Adjusted], float | None]) -> LookPath:
        return LookPath(name, tuple(map(own, looks.tests)), tuple(map(read, steps)))

    found = [
        path("trend of the metric", lambda test: _p_of(test.metric_trend), lambda step: step.metric_trend),
        path("trend of failures", lambda test: _p_of(test.failure_trend), lambda step: step.failure_trend),
    ]
    for row in dict(design.pairs):
        metric, failures = partial(_metric_p, row), partial(_failures_p, row)
        found.append(path(names[row], metric, lambda step, row=row: step.metric.get(row)))  # type: ignore[misc]
        label = f"{names[row]}: failures"
        found.append(path(label, failures, lambda step, row=row: step.failures.get(row)))  # type: ignore[misc]
    return tuple(one for one in found if any(p is not None for p in one.p_values))


def with_repeated_intervals(test: PairedTest, planned: tuple[int, ...], number: int) -> PairedTest:
    """The test at look `number` (0-based) with the t-intervals that hold at all planned looks together.

    Their level is the nominal one of the look (Jennison & Turnbull 1989). Intervals of 95 % at each of 6, 12 and 24
    seeds miss a difference of 0 in 7 % of sweeps. Rank tests keep theirs, which describe the runs that learned.
    """
    if len(planned) == 1 or test.difference is None or not test.spread or test.rank_difference is not None:
        return test
    level, error = _levels(planned)[number], test.spread / math.sqrt(test.num_pairs)
    halves = [float(stats.t.isf(side, test.num_pairs - 1)) * error for side in (level / 2, level)]
    wide, narrow = ((test.difference - half, test.difference + half) for half in halves)
    return replace(test, interval_95=wide, interval_90=narrow)


@lru_cache(maxsize=64)
def _levels(planned: tuple[int, ...]) -> tuple[float, ...]:
    return nominal_levels(ALPHA, planned)


def _p_of(test: Trend | Lr50Ratio | None) -> float | None:
    return None if test is None else test.p_value


def _known(keys: Sequence[_Key], p_values: Sequence[float | None]) -> dict[_Key, float]:
    return {key: p for key, p in zip(keys, p_values, strict=True) if p is not None}
