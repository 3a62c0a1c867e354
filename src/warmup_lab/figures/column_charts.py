"""A chart for each column of numbers over the length of the warmup, and the sentences that explain its marks.

Warmup lengths are equally spaced in rising order, because the usual ones (0, 1, 2, 5, 10, 20, 50 %) would crowd on a
linear axis. Dashes and markers repeat what the colours say. A hollow marker means that runs of the arm failed. Every
seed is a dot. A mean of fewer than 3 runs has no interval. Where the number of such runs differs between arms, it is a
digit at the marker; otherwise the subtitle has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import numpy as np

from warmup_lab.comparison import count
from warmup_lab.figures.charts import (
    HEIGHT,
    AnyChart,
    chart_of,
    line_chart,
    line_scales,
    number_axis,
    number_tip,
    share_axis,
)
from warmup_lab.figures.figure import Cell, notes_of
from warmup_lab.figures.layout import Layout, Row, unique
from warmup_lab.figures.over_warmup import Column, same_few, warmup_table
from warmup_lab.figures.palette import INK, WHITE
from warmup_lab.figures.seed_dots import SeedValues, Values, dot_rows

_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_CROSS_NOTE = "Cross: no run of the arm learned, so there is no mean. The height of the cross means nothing."
WILSON = "Failure rates have 95 % Wilson intervals."
_NOT_DRAWN = ("panel", "place", "colour", "note")

# --- numbers


def vertical_range(rows: Iterable[Row], dots: Sequence[float] = ()) -> list[float]:
    """The range that holds all means, intervals up to 1.5 times the spread of the means beyond them, and the dots.

    Dots more than 3 interquartile ranges outside the quartiles are outside the range (Tukey's outer fences).
    """
    shown = [row for row in rows if row["mean"] is not None]
    means = [row["mean"] for row in shown]
    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    ends = [end for row in shown for end in (row["low"], row["high"]) if end is not None]
    reach = 1.5 * (high - low) or max(map(abs, [*ends, high])) / 5 or 1.0
    near = _near(dots)
    bottom = min([max(min([low, *ends]), low - reach), *near])
    bottom = max(bottom, 0.0) if min([low, *near]) >= 0 else bottom
    top = max([min(max([high, *ends]), high + reach), *near])
    top = top if top > bottom else top + reach
    margin = 0.06 * (top - bottom)
    return [bottom - margin, top + margin]


def _near(dots: Sequence[float]) -> list[float]:
    """The dots inside Tukey's outer fences."""
    if not len(dots):
        return []
    first, third = np.quantile(dots, [0.25, 0.75])
    reach = 3 * (third - first)
    return [dot for dot in dots if first - reach <= dot <= third + reach]


def _free_side(row: Row, rows: Sequence[Row]) -> str:
    """The side of a marker, `above` or `below`, for its digit: away from the nearest mean of the same warmup length.

    Means with a digit of their own come first, so that the digits do not meet.
    """
    beside = [other for other in rows if round(other["x"]) == round(row["x"]) and other["mean"] is not None]
    others = [other for other in beside if other is not row]
    nearest = min(others, key=lambda other: (not other["few"], abs(other["mean"] - row["mean"])), default=row)
    return "below" if (nearest["mean"], row["x"]) > (row["mean"], nearest["x"]) else "above"


# --- drawing


def draw_columns(columns: Sequence[Column], layout: Layout) -> list[list[Cell]]:
    """A row of cells per panel and a chart per column in it. A column without any number is left out."""
    tables = [(column, warmup_table(layout, column.read)) for column in columns]
    drawn = [(column, table) for column, table in tables if any(row["mean"] is not None for row in table)]
    return [[_cell(column, table, panel, layout) for column, table in drawn] for panel in layout.panels if drawn]


def _cell(column: Column, table: list[Row], panel: str, layout: Layout) -> Cell:
    """One panel of a column. All panels of a column have one scale."""
    by_name = {arm["name"]: arm for arm in layout.arms}
    values = {row["arm"]: column.read_seeds(by_name[row["arm"]]) for row in table if row["arm"] in by_name}
    all_dots = [value for own in values.values() for value in own.values()]
    domain = [-0.02, 1.02] if column.share else vertical_range(table, all_dots)
    if column.share:
        y = share_axis("mean", column.axis, *domain)
    else:
        scale = alt.Scale(domain=domain, nice=False, clamp=True)
        y = alt.Y("mean:Q", title=column.axis, scale=scale, axis=number_axis())
    rows = [row for row in table if row["panel"] == panel]
    alone = same_few(rows)
    rows = [row | {"few_at": "" if alone else _free_side(row, rows)} if row["few"] else row for row in rows]
    dots = [] if alone == 1 else _dots(rows, [values[row["arm"]] for row in rows], column.seeds)
    shown = [{name: value for name, value in row.items() if name not in _NOT_DRAWN} for row in rows]
    parts = [column.title, panel, f"{count(alone, 'run')} each" if alone else ""]
    what = " · ".join(part for part in parts if part)
    seen = column.seen(rows)
    chart = column.decorate(interval_chart(shown, layout, y, domain[0], dots))
    notes = (*mark_notes(rows, dots, domain, share=column.share), *column.notes)
    return Cell(seen, chart, what, notes) if seen else Cell(what, chart, notes=notes)


def mark_notes(rows: Sequence[Row], dots: Sequence[Row], domain: Sequence[float], *, share: bool) -> tuple[str, ...]:
    """A sentence for each kind of mark that the chart has."""
    known = [row for row in rows if row["mean"] is not None]
    ends = [end for row in known for end in (row["low"], row["high"]) if end is not None]
    values = [value for row in dots for value in row["y"]]
    failed = any(fill == WHITE for row in dots for fill in row["fill"])
    cut = any(not domain[0] <= value <= domain[1] for value in (*ends, *values))
    interval = WILSON if share else "Vertical lines: 95 % t-intervals."
    return notes_of(
        (True, " ".join(unique(row["note"] for row in known if row["note"]))),
        (ends, interval),
        (any(row.get("few_at") for row in rows), "Digit: the number of runs behind a mean, if it is below 3."),
        (dots, "Dots: single seeds."),
        (failed, "Hollow dot: the run failed to learn."),
        (cut, "Intervals and dots are cut at the edge of the chart."),
        (any(row["fill"] == WHITE for row in known), "Hollow marker: some runs of the arm failed to learn."),
        (any(row["mean"] is None and row["cross"] for row in rows), _CROSS_NOTE),
    )


def _dots(rows: Sequence[Row], values: Sequence[Values], seeds: SeedValues) -> list[Row]:
    """The dots of a panel. Their width keeps the lines apart."""
    num_lines = len(unique(row["line"] for row in rows))
    width = min(0.16, 0.4 / max(1, num_lines)) if num_lines > 1 else 0.3
    return dot_rows(rows, values, seeds, width)


def interval_chart(rows: list[Row], layout: Layout, y: alt.Y, foot: float, dots: Sequence[Row] = ()) -> alt.LayerChart:
    """Means with their intervals over warmup length; a cross at `foot` for each arm of which no run learned."""
    colour, dash, shape = line_scales(layout.lines)
    scale = alt.Scale(domain=[-0.5, len(layout.lengths) - 0.5], nice=False)
    x = alt.X("x:Q", scale=scale, axis=warmup_axis(layout))
    base = chart_of([row for row in rows if row["mean"] is not None]).encode(x=x, color=colour)
    learned = alt.Tooltip("learned:N", title="runs that learned")
    fill = alt.Fill("fill:N", scale=None, legend=None)
    tips = [alt.Tooltip("arm:N"), number_tip("mean", "value"), number_tip("low"), number_tip("high"), learned]
    point = base.mark_point(size=60, strokeWidth=2, opacity=1)
    layers: list[AnyChart] = [
        base.mark_line(strokeWidth=1.5, strokeOpacity=0.7).encode(y=y, strokeDash=dash),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        point.encode(y=y, shape=shape, fill=fill, tooltip=tips),
    ]
    if dots:
        seeds = line_chart(list(dots), "dot_x", "y", "seed", "fill").encode(x=alt.X("dot_x:Q"), color=colour)
        dot_tips = [alt.Tooltip("arm:N"), alt.Tooltip("seed:N"), number_tip("y", "value")]
        dot = seeds.mark_point(shape="circle", size=13, strokeWidth=1, opacity=0.55)
        dot_y = y.copy()
        dot_y["shorthand"] = "y:Q"
        layers.insert(0, dot.encode(y=dot_y, fill=fill, tooltip=dot_tips))
    for place, dy in (("above", -9), ("below", 10)):
        if any(row.get("few_at") == place for row in rows):
            few = base.transform_filter(f"datum.few_at == '{place}'").mark_text(dy=dy, fontSize=9, color=INK)
            layers.append(few.encode(y=y, text=alt.Text("few:Q"), color=alt.value(INK)))
    missing = [row | {"mean": foot} for row in rows if row["mean"] is None and row["cross"]]
    if missing:
        crosses = chart_of(missing).encode(x=x, y=y, color=colour, tooltip=[alt.Tooltip("arm:N"), learned])
        layers.append(crosses.mark_point(shape=_CROSS, size=60, strokeWidth=2, opacity=1, yOffset=-7))
    return alt.LayerChart(layer=layers, height=HEIGHT)


def warmup_axis(layout: Layout, **more: Any) -> alt.Axis:
    """Labels for the positions 0, 1, ... of the lengths."""
    labels = json.dumps([layout.label(steps) for steps in layout.lengths])
    title = "warmup updates"
    if layout.total_steps:
        title = f"warmup updates (% of {layout.total_steps})"
    return alt.Axis(
        values=list(range(len(layout.lengths))), labelExpr=f"{labels}[datum.value]", grid=False, labelOverlap="greedy",
        labelFontSize=font_size(layout), labelAngle=0, title=title, titleFontSize=11, **more,
    )  # fmt: skip


def font_size(layout: Layout) -> int:
    """Smaller if many lengths stand side by side."""
    return 11 if len(layout.lengths) < 7 else 10
