"""The report in the terminal: a table of the arms, then the headline and its sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from warmup_lab.comparison import count
from warmup_lab.report.numbers import number, signed

_MAX_ARMS = 60
_MAX_ERRORS = 5


def table_lines(comparison: Mapping[str, Any]) -> list[str]:
    """A row per arm, at most 60: its runs, the primary metric, the difference from the reference and the verdict."""
    metric = comparison["primary"]["metric"]
    head = ["arm", "runs", "learned", f"{metric} (95 %)", "minus reference (95 %)", "verdict"]
    rows = [head, *(_table_row(arm, metric) for arm in comparison["arms"][:_MAX_ARMS])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    num_more = len(comparison["arms"]) - _MAX_ARMS
    more = [f"{count(num_more, 'more arm')} in the report"] if num_more > 0 else []
    return [lines[0], "-" * max(map(len, lines)), *lines[1:], *more]


def _table_row(arm: Mapping[str, Any], metric: str) -> list[str]:
    found = arm["metrics"][metric]
    learned = f"{arm['num_learned']}/{arm['failed']['total']}"
    mean = _with_interval(found["mean"], found["interval"], number)
    difference = _with_interval(found.get("difference"), found.get("difference_interval"), signed)
    return [arm["name"], str(arm["num_runs"]), learned, mean, difference, arm["verdict"]["value"].replace("_", " ")]


def _with_interval(value: float | None, interval: Sequence[float] | None, text: Callable[[float | None], str]) -> str:
    ends = f" [{text(interval[0])}, {text(interval[1])}]" if interval else ""
    return "" if value is None else text(value) + ends


def closing_lines(comparison: Mapping[str, Any]) -> list[str]:
    """The headline, the sentences below it, and at most 5 of the runs that did not finish."""
    errors = comparison["errors"]
    lines = [comparison["headline"], *comparison["summary"]]
    if errors:
        lines.append(f"{count(len(errors), 'run')} did not finish:")
        lines += [
            f"  {one['run_id']} ({one['arm']}, seed {one['seed']}): {one['error']}" for one in errors[:_MAX_ERRORS]
        ]
        num_more = len(errors) - _MAX_ERRORS
        lines += [f"  {num_more} more in the report"] if num_more > 0 else []
    return lines
