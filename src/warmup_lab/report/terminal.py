"""The report at the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from warmup_lab.comparison import count
from warmup_lab.report.page import number, signed

_MAX_LINES = 60


# ------------------------------------------------------------------------------------------ at the terminal


def table_lines(comparison: Mapping[str, Any]) -> list[str]:
    """The arms as a table of text."""
    metric = comparison["primary"]["metric"]
    head = ["arm", "runs", "learned", f"{metric} (95 %)", "minus reference (95 %)", "verdict"]
    rows = [head, *(_table_row(arm, metric) for arm in comparison["arms"][:_MAX_LINES])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = len(comparison["arms"]) - _MAX_LINES
    return [
        lines[0],
        "-" * max(map(len, lines)),
        *lines[1:],
        *([f"and {more} more, in the report"] if more > 0 else []),
    ]


def _table_row(arm: Mapping[str, Any], metric: str) -> list[str]:
    found = arm["metrics"][metric]
    learned = f"{arm['num_learned']}/{arm['failed']['total']}"
    mean = _with_interval(found["mean"], found["interval"], number)
    difference = _with_interval(found.get("difference"), found.get("difference_interval"), signed)
    return [arm["name"], str(arm["num_runs"]), learned, mean, difference, arm["verdict"]["value"].replace("_", " ")]


def _with_interval(value: float | None, interval: list[float] | None, text: Any) -> str:
    ends = f" [{text(interval[0])}, {text(interval[1])}]" if interval else ""
    return "" if value is None else text(value) + ends


def _closing_lines(comparison: Mapping[str, Any]) -> list[str]:
    errors = comparison["errors"]
    lines = [comparison["headline"], *comparison["summary"]]
    if errors:
        lines.append(f"{count(len(errors), 'run')} did not finish:")
        lines += [f"  {one['run_id']} ({one['arm']}, seed {one['seed']}): {one['error']}" for one in errors[:5]]
        lines += [f"  and {len(errors) - 5} more, in the report"] if len(errors) > 5 else []
    return lines
