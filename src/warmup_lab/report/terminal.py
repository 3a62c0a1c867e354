"""The report in the terminal: a table of the arms, and last the headline and its sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from warmup_lab.comparison import count
from warmup_lab.report.numbers import number, short_signed

_MAX_ARMS = 60
_MAX_ERRORS = 5
_MAX_WIDTH = 100
_SCHEDULE = re.compile(r"^(\S+)-w\d+\b")
"""The schedule in front of the warmup in the name of an arm."""


# --- the table


def table_lines(comparison: Mapping[str, Any]) -> list[str]:
    """A row per arm, at most 60: its runs, the primary metric, the difference from the reference and the verdict.

    The metric counts all seeds where `comparison.json` has that. A table wider than 100 columns gets shorter names,
    then loses the interval of the mean, then has abbreviated keys, and at last loses the middle of the names.
    """
    arms, metric = comparison["arms"][:_MAX_ARMS], comparison["primary"]["metric"]
    names = [arm["name"] for arm in arms]
    short = short_names(names)
    ways = ((names, True), (short, True), (short, False), ([_abbreviated(name) for name in short], False))
    for shown, with_interval in ways:
        table = _table(arms, shown, metric, with_interval=with_interval)
        excess = _width(table) - _MAX_WIDTH
        if excess <= 0:
            break
    if excess > 0:
        widest = max(map(len, shown)) - excess
        table = _table(arms, [_elided(name, widest) for name in shown], metric, with_interval=False)
    return [*_aligned(table), *_notes(comparison, metric)]


def _notes(comparison: Mapping[str, Any], metric: str) -> list[str]:
    num_more = len(comparison["arms"]) - _MAX_ARMS
    more = [f"{count(num_more, 'more arm')} in the report"] if num_more > 0 else []
    failing = [arm for arm in comparison["arms"] if arm["failed"]["count"]]
    if not failing:
        return more
    if "mean_of_all" in failing[0]["metrics"][metric]:
        return [*more, f"{metric} counts all seeds: a run that failed to learn counts as guessing"]
    return [*more, f"{metric} is that of the runs that learned; a run that failed ranks worst in the test"]


def _table(
    arms: Sequence[Mapping[str, Any]], names: Sequence[str], metric: str, *, with_interval: bool
) -> list[list[str]]:
    """Header and rows. Failures have a column if several arms fail; otherwise the runs that learned have one."""
    several_fail = sum(arm["failed"]["count"] > 0 for arm in arms) > 1
    counts = [arm["failed"]["count"] if several_fail else arm["num_learned"] for arm in arms]
    totals = [arm["failed"]["total"] for arm in arms]
    columns = [["arm", *names]]
    if any(arm["num_runs"] != arm["failed"]["total"] for arm in arms):
        columns.append(["runs", *(str(arm["num_runs"]) for arm in arms)])
    shares = [f"{one}/{total}" for one, total in zip(counts, totals, strict=True)]
    estimates = [_estimates(arm["metrics"][metric], with_interval) for arm in arms]
    columns += [
        ["failed" if several_fail else "learned", *shares],
        [f"{metric} (95 %)" if with_interval else metric, *(mean for mean, _ in estimates)],
        ["minus reference (95 %)", *(difference for _, difference in estimates)],
        ["verdict", *(arm["verdict"]["value"].replace("_", " ") for arm in arms)],
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _estimates(found: Mapping[str, Any], with_interval: bool) -> tuple[str, str]:
    """The mean, and the difference from the reference."""
    of = "_of_all" if "mean_of_all" in found else ""
    mean = _estimate(found[f"mean{of}"], found[f"interval{of}"] if with_interval else None, number)
    return mean, _estimate(found.get(f"difference{of}"), found.get(f"difference_interval{of}"), short_signed)


def _estimate(value: float | None, interval: Sequence[float] | None, text: Callable[[float | None], str]) -> str:
    ends = f" [{text(interval[0])}, {text(interval[1])}]" if interval else ""
    return "" if value is None else text(value) + ends


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*table, strict=True)]


def _width(table: Sequence[Sequence[str]]) -> int:
    return sum(_widths(table)) + 2 * (len(table[0]) - 1)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = _widths(table)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def short_names(names: Sequence[str]) -> list[str]:
    """The names without groups of overrides, with the warmup as asked for, and without a schedule that all share.

    >>> short_names(["warmuplinear-w0 (0 %) optimizer.eps=1e-8", "warmuplinear-w36 (10 %) optimizer.eps=1e-8"])
    ['0 % eps=1e-8', '10 % eps=1e-8']
    """
    heads = {match[1] if (match := _SCHEDULE.match(name)) else "" for name in names}
    (head,) = heads if len(heads) == 1 else ("",)
    shared = f"{head}-" if head else ""
    found = [re.sub(r"(?<=\s)[\w.]+\.(?=\w+=)", "", name.removeprefix(shared)) for name in names]
    asked = [re.sub(r"(^|-)w\d+ \((\S+ %)\)", r"\1\2", name) for name in found]
    return asked if len(set(asked)) == len(set(names)) else found


def _abbreviated(name: str) -> str:
    """The name with the words of its keys cut to four letters: `bias_corr=True`."""
    return re.sub(r"\w+(?==)", lambda key: "_".join(word[:4] for word in key[0].split("_")), name)


def _elided(name: str, width: int) -> str:
    """The name with its middle left out, if it is longer than `width`."""
    width = max(width, 9)
    if len(name) <= width:
        return name
    tail = (width - 3) // 2
    return f"{name[: width - 3 - tail]}...{name[-tail:]}"


# --- below the table


def error_lines(comparison: Mapping[str, Any]) -> list[str]:
    """At most 5 of the runs that did not finish; empty if all did."""
    errors = comparison["errors"]
    if not errors:
        return []
    named = [f"  {one['run_id']} ({one['arm']}, seed {one['seed']}): {one['error']}" for one in errors[:_MAX_ERRORS]]
    num_more = len(errors) - _MAX_ERRORS
    more = [f"  {num_more} more in the report"] if num_more > 0 else []
    return [f"{count(len(errors), 'run')} did not finish:", *named, *more]


def closing_lines(comparison: Mapping[str, Any]) -> list[str]:
    """The headline and the sentences below it."""
    return [comparison["headline"], *comparison["summary"]]
