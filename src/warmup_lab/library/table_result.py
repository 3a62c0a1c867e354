"""The result of comparing a user's own table."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from warmup_lab.comparison import Interval, LrLine, Rate, Verdict, lr50_place, p_text
from warmup_lab.system import JsonRecord

_WIDTH = 100
_MAX_ARMS = 40


@dataclass(frozen=True)
class TableArm(JsonRecord):
    """The runs that have the same values in the columns `by`."""

    name: str
    """`warmup_ratio=0.1 lr=0.001`."""
    values: dict[str, Any]
    """By column."""
    num_runs: int
    failed: Rate
    """Runs that failed."""
    mean: float | None
    """Mean of the metric over the runs that did not fail. Verdicts count all runs, so they do not follow from it."""
    interval: Interval | None
    """The 95 % t-interval of `mean`."""


@dataclass(frozen=True)
class TableLevel(JsonRecord):
    """All runs with one value of an ordered column, over everything else that was varied."""

    value: float
    failed: Rate
    mean: float | None
    """Mean of the metric as compared, failed runs included; None for metrics that are compared by ranks."""
    lr50: float | None
    """Learning rate at which half of the runs fail; None unless learning rates were varied and some run failed."""


@dataclass(frozen=True)
class TableTrend(JsonRecord):
    """A trend over an ordered column."""

    column: str
    of: str
    """`metric`, `failures` or `lr50`."""
    z: float
    """Positive if the values rise with the column."""
    p_value: float
    p_adjusted: float
    """Adjusted for all tests of the comparison; significant if below 0.05."""
    num_seeds: int


@dataclass(frozen=True)
class TableComparison(JsonRecord):
    """What can be concluded from a table of runs. `str()` is plain text 100 columns wide, `to_dict()` is for JSON."""

    metric: str
    higher_is_better: bool
    margin: float | None
    column: str
    """The column whose values are compared."""
    reference: Any
    """The value of that column that the others are compared with."""
    headline: str
    """The result in one or two sentences."""
    arms: tuple[TableArm, ...]
    """In the order of the table."""
    verdicts: tuple[Verdict, ...]
    """One for each arm, in the same order, with its test (difference, intervals) and its sentence."""
    trends: tuple[TableTrend, ...]
    """Empty unless the column is ordered and has 6 seeds."""
    levels: tuple[TableLevel, ...]
    """The values of the column, rising; empty unless it is ordered."""
    preliminary: bool
    """Some run has the status `unfinished`, so there are estimates without verdicts."""
    lr_lines: tuple[LrLine, ...]
    """lr50, for each set of arms that differ only in the learning rate; empty unless some run failed."""

    def verdict(self, name: str) -> Verdict:
        """The verdict on the arm with that name. KeyError lists the arms."""
        for arm, verdict in zip(self.arms, self.verdicts, strict=True):
            if arm.name == name:
                return verdict
        raise KeyError(f"no arm is called {name!r}; the arms are: {', '.join(arm.name for arm in self.arms)}")

    def __str__(self) -> str:
        lines = textwrap.wrap(self.headline, _WIDTH)
        return "\n".join([*lines, "", *_arm_lines(self), *_trend_lines(self), *_lr_lines(self)])


# ------------------------------------------------------------------------------------------- the plain text


def _arm_lines(result: TableComparison) -> list[str]:
    header = ["arm", "failed", f"mean {result.metric}", "minus reference (95 %)", "verdict"]
    rows = []
    for arm, verdict in list(zip(result.arms, result.verdicts, strict=True))[:_MAX_ARMS]:
        test = verdict.test
        difference = "" if test is None or test.difference is None else f"{test.difference:+.3g}"
        interval = "" if test is None or not difference else _interval(test.interval_95, "+.3g")
        mean = "" if arm.mean is None else f"{arm.mean:.4g}"
        failed = f"{arm.failed.count}/{arm.failed.total}"
        rows.append([arm.name, failed, mean, difference + interval, verdict.value.replace("_", " ")])
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    widths[0] = min(widths[0], max(12, _WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = [
        "  ".join(_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    more = len(result.arms) - _MAX_ARMS
    lines += [f"{more} more arms"] if more > 0 else []
    if any(arm.failed.count for arm in result.arms):
        lines.append("means are those of the runs that did not fail; headline and verdicts count failed runs too")
    return lines


def _interval(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _trend_lines(result: TableComparison) -> list[str]:
    verbs = {
        "metric": (f"{result.metric} rises", f"{result.metric} falls"),
        "failures": ("failures rise", "failures fall"),
    }
    verbs["lr50"] = ("lr50 rises", "lr50 falls")
    return [
        f"trend over {trend.column}: {verbs[trend.of][trend.z < 0]}, p = {p_text(trend.p_value)}, "
        f"adjusted {p_text(trend.p_adjusted)} (seeds that differ: {trend.num_seeds})"
        for trend in result.trends
    ]


def _lr_lines(result: TableComparison) -> list[str]:
    lines = []
    for line in result.lr_lines:
        place, lr = lr50_place(line.usable.lr50, (line.lrs[0], line.lrs[-1]))
        text = f"half of the runs fail {place} lr {lr:.2g}{_interval(line.usable.interval, '.2g')}"
        text += f" with {line.name}" if len(result.lr_lines) > 1 else ""
        if line.ratio is not None:
            bound = f"{line.ratio.bound} " if line.ratio.bound else ""
            p = "" if line.p_adjusted is None else f", p = {p_text(line.p_adjusted)}"
            text += f", {bound}{line.ratio.ratio:.2f}{_interval(line.ratio.interval, '.2f')} times the reference{p}"
        lines += textwrap.wrap(text, _WIDTH, subsequent_indent="  ")
    return lines
