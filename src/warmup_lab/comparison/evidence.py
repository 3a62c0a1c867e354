"""All tests of a comparison at one look, before they are adjusted.

- Each arm against its reference: the metric over all seeds, and the failure rates.
- Trends over the length of the warmup: the metric, and the failures.
- Where lr was swept and some run failed, lr50 takes the place of the failures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from warmup_lab.comparison.arms import Arm, groups_over_length, groups_over_lr, reference_of
from warmup_lab.comparison.lr_range import Lr50Ratio, log_lr50, lr50_ratio
from warmup_lab.comparison.naming import lr_group_names
from warmup_lab.comparison.outcomes import metric_kind
from warmup_lab.comparison.run_table import RunTable
from warmup_lab.comparison.statistics import (
    ALPHA,
    Floats,
    PairedTest,
    equal_rates_p,
    paired_test,
    rank_test,
    wilson,
)
from warmup_lab.comparison.trends import Trend, trend_test
from warmup_lab.comparison.verdicts import Question
from warmup_lab.schedules import warmup_title


@dataclass(frozen=True)
class Line:
    """Arms that differ only in the learning rate."""

    name: str
    rows: tuple[int, ...]
    """Rows of the table, smallest learning rate first."""
    lrs: tuple[float, ...]
    arm: Arm
    """One of the arms, without its learning rate."""


@dataclass(frozen=True)
class LineContrast:
    """Two lines whose lr50 is compared."""

    line: int
    reference: int
    differs_in: str


@dataclass(frozen=True)
class Design:
    """What is compared with what. It depends on the arms alone, so every look has the same."""

    references: tuple[int | str, ...]
    """For each arm the row of its reference, or the reason why there is none."""
    lines: tuple[Line, ...]
    contrasts: tuple[LineContrast, ...]
    strata: tuple[tuple[int, ...], ...]
    """Rows of arms that differ only in the length of the warmup, shortest first; all strata have the same lengths."""
    line_strata: tuple[tuple[int, ...], ...]
    """The same for lines."""

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every arm that has a reference other than itself, with that reference."""
        found = enumerate(self.references)
        return [(row, other) for row, other in found if isinstance(other, int) and other != row]

    @property
    def rows_of_trends(self) -> list[int]:
        """Rows of all arms that enter a trend."""
        lines = [number for numbers in self.line_strata for number in numbers]
        rows = [row for rows in self.strata for row in rows] + [row for line in lines for row in self.lines[line].rows]
        return sorted(set(rows))

    def in_lines(self, row: int, other: int, contrasts: Iterable[LineContrast]) -> bool:
        """Whether one of the contrasts compares the lines of these two arms."""
        lines = self.lines
        return any(row in lines[one.line].rows and other in lines[one.reference].rows for one in contrasts)

    def rows_of(self, contrast: LineContrast) -> list[int]:
        """Rows of all arms of two lines."""
        return [*self.lines[contrast.line].rows, *self.lines[contrast.reference].rows]


def make_design(arms: Sequence[Arm], reference: str | None) -> Design:
    """The design of a comparison of these arms."""
    references = tuple(reference_of(arms, row, reference) for row in range(len(arms)))
    lines = _lines(arms)
    heads = [line.arm for line in lines]
    chosen = next((line.name for line in lines for row in line.rows if arms[row].name == reference), None)
    return Design(
        references,
        lines,
        _contrasts(lines, [reference_of(heads, number, chosen) for number in range(len(lines))]),
        _same_levels(groups_over_length(arms), arms),
        _same_levels(_same_lrs(groups_over_length(heads), lines), heads),
    )


def _lines(arms: Sequence[Arm]) -> tuple[Line, ...]:
    """Groups of arms that differ only in lr, if there are several lrs and no two arms of a group share one."""
    try:
        groups = [rows for rows in groups_over_lr(arms) if len(rows) > 1]
    except ValueError:
        return ()
    names = lr_group_names([arms[rows[0]] for rows in groups])
    return tuple(
        Line(
            name,
            tuple(rows),
            tuple(float(arms[row].lr or 0.0) for row in rows),
            replace(arms[rows[0]], name=name, aliases=(), lr=None),
        )
        for name, rows in zip(names, groups, strict=True)
    )


def _contrasts(lines: Sequence[Line], references: Sequence[int | str]) -> tuple[LineContrast, ...]:
    """Each line against the one with the reference warmup, and against the first value of another setting."""
    found = [
        LineContrast(number, other, "warmup")
        for number, other in enumerate(references)
        if isinstance(other, int) and other != number
    ]
    first: dict[tuple[object, ...], int] = {}
    for number, line in enumerate(lines):
        arm = line.arm
        same = (arm.scheduler, warmup_title(arm.warmup), arm.warmup_steps, arm.total_steps)
        other = first.setdefault(same, number)
        if other != number:
            found.append(LineContrast(number, other, "setting"))
    return tuple(one for one in found if lines[one.line].lrs == lines[one.reference].lrs)


def _same_lrs(groups: Sequence[Sequence[int]], lines: Sequence[Line]) -> list[list[int]]:
    """The groups, split by the learning rates of their lines: lr50 of a shorter grid cannot be compared."""
    grids = [dict.fromkeys(lines[number].lrs for number in group) for group in groups]
    return [
        [number for number in group if lines[number].lrs == lrs]
        for group, of_group in zip(groups, grids, strict=True)
        for lrs in of_group
    ]


def _same_levels(groups: Sequence[Sequence[int]], arms: Sequence[Arm]) -> tuple[tuple[int, ...], ...]:
    """The groups that have the most frequent set of at least two different lengths of the warmup.

    Shapes of the warmup share the arm without one.
    """
    levels = [tuple(_percent(arms[row]) for row in rows) for rows in groups]
    counts = Counter(level for level in levels if len(set(level)) == len(level) > 1)
    if not counts:
        return ()
    usual = counts.most_common(1)[0][0]
    return tuple(tuple(rows) for rows, level in zip(groups, levels, strict=True) if level == usual)


def _percent(arm: Arm) -> float:
    return 100 * arm.warmup_steps / arm.total_steps


@dataclass(frozen=True)
class Evidence:
    """The tests of one look."""

    metric: Mapping[int, PairedTest]
    """By row of the arm."""
    failures: Mapping[int, float | None]
    """p of equal failure rates, by row of the arm; only of pairs for which lr50 does not take its place."""
    lr50: Mapping[LineContrast, Lr50Ratio]
    metric_trend: Trend | None
    failure_trend: Trend | None
    """Of failures, or of lr50 where that takes its place."""

    @property
    def uses_lr50(self) -> bool:
        return bool(self.lr50)


def evidence(table: RunTable, design: Design, question: Question) -> Evidence:
    """All tests on the runs of `table`."""
    compared = table.compared(question.metric, smaller_is_better=question.smaller_is_better)
    ratios = _ratios(table, design)
    return Evidence(
        metric={row: _metric_test(table, compared, (row, other), question) for row, other in design.pairs},
        failures={
            row: _failures_p(table, (row, other))
            for row, other in design.pairs
            if not design.in_lines(row, other, ratios)
        },
        lr50=ratios,
        metric_trend=trend_test(np.stack([compared[list(rows)] for rows in design.strata])) if design.strata else None,
        failure_trend=_lr50_trend(table, design) if ratios else _failure_trend(table, design),
    )


def _metric_test(table: RunTable, compared: Floats, rows: tuple[int, int], question: Question) -> PairedTest:
    first, second = compared[rows[0]], compared[rows[1]]
    both = ~np.isnan(first) & ~np.isnan(second)
    if metric_kind(question.metric) != "rank":
        return paired_test(first[both], second[both], margin=question.margin)
    shown = paired_test(*table.pairs(*rows))
    p_value, rank_difference = rank_test(first[both], second[both])
    return replace(
        shown, num_pairs=int(both.sum()), p_value=p_value, p_equivalent=None, rank_difference=rank_difference
    )


def _failures_p(table: RunTable, rows: tuple[int, int]) -> float | None:
    return equal_rates_p(*(wilson(int(table.failed[row].sum()), int(table.finished[row].sum())) for row in rows))


def _learned(table: RunTable, line: Line) -> NDArray[np.bool_]:
    rows = list(line.rows)
    return table.finished[rows] & ~table.failed[rows]


def complete_seeds(table: RunTable, lines: Sequence[Line]) -> NDArray[np.bool_]:
    """Seeds at which every run of these lines finished, `(seeds,)`."""
    return np.asarray(table.finished[[row for line in lines for row in line.rows]].all(axis=0))


def has_usable_lr(table: RunTable, design: Design) -> bool:
    """Whether lr50 has a meaning: some runs failed, some learned, and the smallest lr does not fail more often.

    Runs that fail at the small learning rates are too slow. All lines are judged together, so the answer says nothing
    about a difference between them.
    """
    rows = [row for line in design.lines for row in line.rows]
    failed, finished = int(table.failed[rows].sum()), int(table.finished[rows].sum())
    return 0 < failed < finished and not _fail_at_small_lrs(table, design)


def _ratios(table: RunTable, design: Design) -> dict[LineContrast, Lr50Ratio]:
    """Empty without `has_usable_lr`."""
    if not has_usable_lr(table, design):
        return {}
    found = {}
    for contrast in design.contrasts:
        pair = design.lines[contrast.line], design.lines[contrast.reference]
        seeds = complete_seeds(table, pair)
        if seeds.any():
            first, second = (_learned(table, line)[:, seeds] for line in pair)
            found[contrast] = lr50_ratio(first, second, pair[0].lrs)
    return found


def _fail_at_small_lrs(table: RunTable, design: Design) -> bool:
    """Whether fewer runs fail at the largest learning rate of the lines than at their smallest, by test."""
    ends = ([line.rows[end] for line in design.lines] for end in (0, -1))
    smallest, largest = (wilson(int(table.failed[rows].sum()), int(table.finished[rows].sum())) for rows in ends)
    p_value = equal_rates_p(smallest, largest)
    return p_value is not None and p_value < ALPHA and largest.share < smallest.share


def _failure_trend(table: RunTable, design: Design) -> Trend | None:
    if not design.strata:
        return None
    failed = np.where(table.finished, table.failed, np.nan)
    return trend_test(np.stack([failed[list(rows)] for rows in design.strata]))


def _lr50_trend(table: RunTable, design: Design) -> Trend | None:
    if not design.line_strata:
        return None
    strata = []
    for numbers in design.line_strata:
        lines = [design.lines[number] for number in numbers]
        logs = np.array([log_lr50(_learned(table, line), line.lrs) for line in lines])
        strata.append(np.where(complete_seeds(table, lines), logs, np.nan))
    return trend_test(np.stack(strata))
