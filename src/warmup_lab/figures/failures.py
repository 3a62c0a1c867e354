"""The figure of failures: share of runs that failed to learn, over the length of the warmup."""

from __future__ import annotations

import json
from collections.abc import Sequence

import altair as alt

from warmup_lab.figures.charts import HEIGHT, chart_of, share_axis
from warmup_lab.figures.column_charts import WILSON, draw_columns, font_size
from warmup_lab.figures.figure import Cell, Figure
from warmup_lab.figures.layout import Layout, Row, short_percent
from warmup_lab.figures.over_warmup import Column
from warmup_lab.figures.palette import INK

_PER_ROW = 3
_LEAST_RUNS = 3
"""The interval of fewer runs covers most of the axis, and would be drawn as if it were known."""

# --- numbers


def failure_rate(arm: Row) -> Row:
    """Share of the finished runs that failed to learn, with its 95 % Wilson interval from 3 runs on."""
    return {"mean": arm["failed"]["share"], **_interval(arm["failed"]), "cross": False}


def _interval(failed: Row) -> Row:
    is_known = failed["total"] >= _LEAST_RUNS
    return {end: failed[end] if is_known else None for end in ("low", "high")}


def level_table(levels: Sequence[Row]) -> list[Row]:
    """A row per length of the warmup: `x` (its index), `share`, `low`, `high`, and `runs`, such as `11 of 12`.

    `levels` is the section of `comparison.json`: each pools all arms with this length, over whatever else was varied.
    Lengths without a finished run are left out.
    """
    return [
        {
            "x": index,
            "share": level["failed"]["share"],
            **_interval(level["failed"]),
            "runs": f"{level['failed']['count']} of {level['failed']['total']}",
        }
        for index, level in enumerate(levels)
        if level["failed"]["total"]
    ]


def seen_failures(rows: Sequence[Row]) -> str:
    """`From 0 % to 88 % of runs fail`: over the arms of a panel."""
    known = [row for row in rows if row["mean"] is not None]
    if not known:
        return "No run ended"
    low, high = (short_percent(100 * end(row["mean"] for row in known)) for end in (min, max))
    if not any(row["mean"] for row in known):
        return "No run fails"
    if len(known) == 1:
        return f"{low} of runs fail"
    return f"{low} of runs fail with each" if low == high else f"From {low} to {high} of runs fail"


def seen_levels(levels: Sequence[Row]) -> str:
    """`55 % of runs fail with no warmup, 20 % with 30 %`: the shortest length against the longest."""
    known = [level for level in levels if level["failed"]["total"]]
    if not known:
        return "No run ended"
    first, last = known[0], known[-1]
    start = "no warmup" if first["warmup_percent"] == 0 else short_percent(first["warmup_percent"])
    text = f"{short_percent(100 * first['failed']['share'])} of runs fail with {start}"
    if first is last:
        return text
    return f"{text}, {short_percent(100 * last['failed']['share'])} with {short_percent(last['warmup_percent'])}"


def level_labels(levels: Sequence[Row], total_steps: int | None) -> list[list[str]]:
    """`["36", "10 %"]` for each length: updates and share of the run; only the share if runs differ in length."""
    shares = [level["warmup_percent"] for level in levels]
    return [
        [*([str(round(share * total_steps / 100))] if total_steps else []), short_percent(share)] for share in shares
    ]


# --- drawing


def failures_figure(levels: Sequence[Row], layout: Layout) -> Figure:
    """All runs of each length together, and then a line per kind. Empty if no run failed."""
    cells: list[Cell] = []
    if any(arm["failed"]["count"] for arm in layout.arms):
        several = len(layout.arms) > len(levels)
        if levels:
            what = "All runs of each length" if several else "Runs that failed to learn"
            rows = level_table(levels)
            notes = (WILSON,) if any(row["low"] is not None for row in rows) else ()
            cells.append(Cell(seen_levels(levels), _level_chart(rows, levels, layout), what, notes))
        if several:
            column = Column("Runs that failed to learn", "share of runs", failure_rate, seen_failures, share=True)
            cells += [cell for row in draw_columns([column], layout) for cell in row]
    in_rows = [cells[start : start + _PER_ROW] for start in range(0, len(cells), _PER_ROW)]
    note = "A run failed if it diverged, or if its training loss at the end is not clearly below that of guessing."
    return Figure("failures", "Failures versus warmup length", note, in_rows, layout.lines)


def _level_chart(rows: Sequence[Row], levels: Sequence[Row], layout: Layout) -> alt.LayerChart:
    """The pooled share of each length, with the counts above; `rows` is the table of `levels`."""
    labels = json.dumps(level_labels(levels, layout.total_steps))
    axis = alt.Axis(
        values=list(range(len(levels))), labelExpr=f"{labels}[datum.value]", grid=False, labelAngle=0,
        labelFontSize=font_size(layout), labelOverlap="greedy", titleFontSize=11,
    )  # fmt: skip
    title = f"warmup updates (% of {layout.total_steps})" if layout.total_steps else "warmup (% of the updates)"
    scale = alt.Scale(domain=[-0.5, len(levels) - 0.5], nice=False)
    x, y = (
        alt.X("x:Q", title=title, scale=scale, axis=axis),
        share_axis("share", "share of runs", -0.02, 1.15),
    )
    base = chart_of(rows).encode(x=x)
    known = chart_of([row for row in rows if row["low"] is not None]).encode(x=x)
    layers = [
        base.mark_line(strokeWidth=2, color=INK).encode(y=y),
        known.mark_rule(strokeWidth=2, color=INK, opacity=0.45).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        base.mark_point(size=80, filled=True, opacity=1, color=INK).encode(y=y, tooltip=[alt.Tooltip("runs:N")]),
        base.mark_text(fontSize=font_size(layout) + 1, fontWeight=600, color=INK).encode(
            y=alt.value(8), text=alt.Text("runs:N")
        ),
    ]
    return alt.LayerChart(layer=layers, height=HEIGHT)
