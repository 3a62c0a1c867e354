"""How the charts of a sweep look: which arm is drawn where, markers and dashes, and means over warmup length.

Lengths stand equally spaced, in rising order: those that people try (0, 1, 2, 5, 10, 20, 50 %) would crowd on a linear
axis. Colour is never alone: markers and dashes tell the lines apart, hollow markers the arms in which runs failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt

from warmup_lab.figures.layout import Layout, Row, unique
from warmup_lab.figures.save import COLOURS, DASHES

AnyChart = alt.Chart | alt.LayerChart
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
HEIGHT = 230
GREY = "#6b7280"


@dataclass(frozen=True)
class Cell:
    """One chart and the words over it."""

    title: str
    chart: AnyChart

    @cached_property
    def spec(self) -> Row:
        """The chart as JSON, which Altair checks against the schema; page and picture share it."""
        return _bare(self.chart)


@dataclass(frozen=True)
class Figure:
    """Charts that stand together: rows of cells, one legend, one file; `stacked` rows are columns."""

    name: str
    title: str
    note: str
    rows: list[list[Cell]]
    lines: list[str]
    stacked: bool = False


def style(index: int) -> tuple[str, list[int], str]:
    """Colour, dash and marker of line `index`; no two of the first 49 look the same."""
    shifted = (index + index // len(COLOURS)) % len(COLOURS)
    return COLOURS[index % len(COLOURS)], DASHES[shifted], SHAPES[shifted]


# ------------------------------------------------------------------------------------- over warmup length


def warmup_axis(layout: Layout, **more: Any) -> alt.Axis:
    """Labels for the places 0, 1, ... of the lengths."""
    labels = json.dumps([layout.label(steps) for steps in layout.lengths])
    title = f"warmup: updates, and share of all {layout.total_steps}" if layout.total_steps else "warmup: updates"
    return alt.Axis(
        values=list(range(len(layout.lengths))), labelExpr=f"{labels}[datum.value]", grid=False, labelOverlap="greedy",
        labelFontSize=font_size(layout), labelAngle=0, title=title, **more,
    )  # fmt: skip


def font_size(layout: Layout) -> int:
    """Small where many lengths stand side by side."""
    return 11 if len(layout.lengths) < 7 else 10


def warmup_x(layout: Layout) -> alt.X:
    scale = alt.Scale(domain=[-0.5, len(layout.lengths) - 0.5], nice=False)
    return alt.X("x:Q", scale=scale, axis=warmup_axis(layout))


def line_scales(lines: list[str]) -> tuple[alt.Color, alt.StrokeDash, alt.Shape]:
    """Colour, dash and marker of the same lines; their legend stands apart, once a figure."""
    colours, dashes, shapes = zip(*(style(index) for index in range(len(lines))), strict=True)
    return (
        alt.Color("line:N", scale=alt.Scale(domain=lines, range=list(colours)), legend=None),
        alt.StrokeDash("line:N", scale=alt.Scale(domain=lines, range=list(dashes)), legend=None),
        alt.Shape("line:N", scale=alt.Scale(domain=lines, range=list(shapes)), legend=None),
    )


def place(layout: Layout, panel: str, numbers: Iterable[Row]) -> list[Row]:
    """`mean`, `low` and `high` of each arm of the panel as points, beside each other where lengths are equal."""
    arms = layout.of(panel)
    lines = unique(arm["line"] for arm in arms)
    apart = min(0.18, 0.6 / max(1, len(lines)))
    return [
        {
            "x": layout.lengths.index(arm["warmup_steps"]) + apart * (lines.index(arm["line"]) - (len(lines) - 1) / 2),
            "line": arm["line"],
            "arm": arm["name"],
            "learned": f"{arm['num_learned']} of {arm['failed']['total']}",
            "cross": arm["num_learned"] == 0,
            "fill": "#ffffff" if arm["failed"]["count"] else style(layout.lines.index(arm["line"]))[0],
            **number,
        }
        for arm, number in zip(arms, numbers, strict=True)
    ]


def frame(rows: Iterable[Row]) -> list[float]:
    """The range of the vertical axis: all means, and intervals as far as they are not many times as wide."""
    shown = [row for row in rows if row["mean"] is not None]
    means = [row["mean"] for row in shown]
    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    ends = [end for row in shown for end in (row["low"], row["high"]) if end is not None]
    reach = 1.5 * (high - low) or max(map(abs, [*ends, high])) / 5 or 1.0
    bottom = max(min([low, *ends]), low - reach)
    bottom = max(bottom, 0.0) if low >= 0 else bottom
    top = min(max([high, *ends]), high + reach)
    top = top if top > bottom else top + reach
    margin = 0.06 * (top - bottom)
    return [bottom - margin, top + margin]


def interval_chart(rows: list[Row], layout: Layout, y: alt.Y, foot: float) -> alt.LayerChart:
    """Means with their intervals over warmup length; at the foot a cross for each arm of which no run learned."""
    colour, dash, shape = line_scales(layout.lines)
    x = warmup_x(layout)
    base = alt.Chart(alt.InlineData(values=[row for row in rows if row["mean"] is not None])).encode(x=x, color=colour)
    learned = alt.Tooltip("learned:N", title="runs that learned")
    tips = [
        alt.Tooltip("arm:N"), alt.Tooltip("mean:Q", format=".4g", title="value"), alt.Tooltip("low:Q", format=".4g"),
        alt.Tooltip("high:Q", format=".4g"), learned,
    ]  # fmt: skip
    point = base.mark_point(size=60, strokeWidth=2, opacity=1)
    layers = [
        base.mark_line(strokeWidth=1.5, strokeOpacity=0.7).encode(y=y, strokeDash=dash),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        point.encode(y=y, shape=shape, fill=alt.Fill("fill:N", scale=None, legend=None), tooltip=tips),
    ]
    missing = [row | {"mean": foot} for row in rows if row["mean"] is None and row["cross"]]
    if missing:
        crosses = alt.Chart(alt.InlineData(values=missing)).encode(
            x=x, y=y, color=colour, tooltip=[alt.Tooltip("arm:N"), learned]
        )
        layers.append(crosses.mark_point(shape="M-1,-1L1,1M-1,1L1,-1", size=60, strokeWidth=2, opacity=1, yOffset=-7))
    return alt.LayerChart(layer=layers, height=HEIGHT)


CONFIG: dict[str, Any] = {
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500, "labelColor": "#374151",
        "titleColor": "#111827", "gridColor": "#e5e7eb", "domainColor": "#9ca3af", "tickColor": "#9ca3af",
        "titlePadding": 8,
    },
    "title": {"fontSize": 13, "fontWeight": 600, "anchor": "start", "color": "#111827", "offset": 8},
}  # fmt: skip
"""The look that page and files share, as Vega-Lite's `config`."""


def as_picture(figure: Figure) -> Row:
    """The whole figure as one Vega-Lite specification of fixed size, for PNG and SVG."""
    width = 460 if figure.stacked else 330
    # Joined as plain JSON: Altair's own concatenation copies and checks all data again, at every level.
    rows = [[cell.spec | {"title": cell.title, "width": width} for cell in row] for row in figure.rows]
    datasets = {name: data for row in rows for spec in row for name, data in spec.pop("datasets").items()}
    joined = [{"vconcat": row, "spacing": 10} if figure.stacked else {"hconcat": row, "spacing": 30} for row in rows]
    columns = 2 if figure.stacked else 1
    grid = {"concat": [one | _APART for one in joined], "columns": columns, "spacing": 30} | _APART
    legend = [_bare(_legend(figure))] if len(figure.lines) > 1 else []
    datasets |= legend[0].pop("datasets") if legend else {}
    look = {"config": CONFIG, "background": "white", "padding": 16, "spacing": 14, "datasets": datasets}
    return {"$schema": alt.SCHEMA_URL, "vconcat": [*legend, grid], **look}


# Heatmaps of different numbers must not share a scale of colour.
_APART = {"resolve": {"scale": {"color": "independent"}}}


def _bare(chart: AnyChart) -> Row:
    """The chart as JSON, without what belongs to a whole file."""
    spec: Row = chart.to_dict()
    return {key: value for key, value in spec.items() if key not in ("config", "$schema")}


def _legend(figure: Figure) -> alt.LayerChart:
    """A swatch and a name for each line, in rows: Vega's own legend shows neither filled markers nor whole dashes."""
    rows: list[Row] = []
    x, y, widest = 0, 0, 0
    for line in figure.lines:
        width = 66 + 6 * len(line)
        x, y = (x, y) if x + width <= 960 else (0, y + 22)
        rows.append({"x": x, "middle": x + 18, "end": x + 36, "text": x + 44, "y": y, "line": line})
        x, widest = x + width, max(widest, x + width)
    colour, dash, shape = line_scales(figure.lines)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("y:Q", scale=None, axis=None))
    swatch = base.encode(x=_pixels("x"), x2=alt.X2("end:Q"), color=colour, strokeDash=dash).mark_rule(strokeWidth=2)
    text = base.encode(x=_pixels("text"), text="line:N").mark_text(align="left", fontSize=12, color="#111827")
    marker = base.encode(x=_pixels("middle"), color=colour, shape=shape).mark_point(filled=True, size=70, opacity=1)
    return alt.LayerChart(layer=[swatch, text, *([] if figure.stacked else [marker])], width=widest, height=y + 10)


def _pixels(field: str) -> alt.X:
    return alt.X(f"{field}:Q", scale=None, axis=None)


def as_spec(cell: Cell) -> Row:
    """The chart for a page: as wide as its place, without the title, which the page has."""
    fit = {"type": "fit-x", "contains": "padding"}
    look = {"width": "container", "autosize": fit, "background": "transparent"}
    return {"$schema": alt.SCHEMA_URL, **cell.spec, **look}
