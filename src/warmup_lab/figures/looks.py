"""The figure of planned looks: the p-value of each test at each look, beside the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from warmup_lab.comparison import count
from warmup_lab.figures.charts import (
    HEIGHT,
    AnyChart,
    at_ticks,
    chart_of,
    line_scales,
    log_ticks,
    number_axis,
    number_tip,
)
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import MAX_LINES, Row, unique
from warmup_lab.figures.palette import GREY, WHITE, style

LEVEL = 0.05
"""A test is decided once its adjusted p is below this."""
LOWEST_P = 1e-6
"""Smaller p-values are drawn here."""

# --- numbers


def path_table(path: Sequence[Row], planned: Sequence[int]) -> list[Row]:
    """A row per test and look that was reached: `line`, `seeds`, `p`, `drawn` (p, at least `LOWEST_P`) and `decided`.

    `path` is the key of `looks` in `comparison.json`: for each test its `name`, and `p_values` and `p_adjusted` with
    an entry per look, None where the test was not made. Of more than 5 tests, the ones with the smallest adjusted p are
    kept.
    """
    last = sorted(path, key=lambda one: min([p for p in one["p_adjusted"] if p is not None], default=1.0))
    kept = [one for one in path if one in last[:MAX_LINES]]
    return [
        {
            "line": one["name"],
            "seeds": seeds,
            "p": p,
            "drawn": max(p, LOWEST_P),
            "p_adjusted": adjusted,
            "decided": adjusted is not None and adjusted < LEVEL,
        }
        for one in kept
        for seeds, p, adjusted in zip(planned, one["p_values"], one["p_adjusted"], strict=False)
        if p is not None
    ]


def seen_looks(looks: Row) -> str:
    """`2 of 3 tests decided after 12 of 24 seeds`, at the last look that was reached."""
    tested = [one for one in looks["path"] if any(p is not None for p in one["p_values"])]
    decided = sum(any(p is not None and p < LEVEL for p in one["p_adjusted"]) for one in tested)
    of = f"of {looks['planned'][-1]} " if looks["reached"] < looks["planned"][-1] else ""
    return f"{decided or 'None'} of {count(len(tested), 'test')} decided after {looks['reached']} {of}seeds"


# --- drawing


def looks_figure(looks: Row) -> Figure:
    """`looks` is the section of `comparison.json`. Empty without planned looks, or before the first."""
    table = path_table(looks.get("path", []), looks["planned"])
    lines = unique(row["line"] for row in table)
    cells = []
    if table:
        chart = _path_chart(table, looks, lines)
        cells.append(Cell(seen_looks(looks), chart, "p-value of each test at each look", _notes(table, looks)))
    return Figure("looks", "Planned looks", "", [cells] if cells else [], lines)


def _notes(table: list[Row], looks: Row) -> tuple[str, ...]:
    num_left_out = len(looks["path"]) - len({row["line"] for row in table})
    decided = "Filled marker: decided after the adjustment for all tests, which needs a smaller p-value."
    return notes_of(
        (True, "Grey dashed line: the p-value that a single test must reach, for an error of 5 % over all looks."),
        (any(row["decided"] for row in table), decided),
        (not all(row["decided"] for row in table), "Hollow marker: undecided."),
        (any(row["p"] < LOWEST_P for row in table), f"Smaller p-values are drawn at {LOWEST_P:g}."),
        (num_left_out > 0, f"The {MAX_LINES} tests with the smallest p-values are drawn."),
    )


def _path_chart(table: list[Row], looks: Row, lines: list[str]) -> alt.LayerChart:
    planned = looks["planned"]
    margin = 0.06 * (planned[-1] - planned[0]) or 1.0
    colour, dash, shape = line_scales(lines)
    scale = alt.Scale(domain=[planned[0] - margin, planned[-1] + margin], nice=False)
    x = alt.X("seeds:Q", title="seeds", scale=scale, axis=alt.Axis(values=planned, grid=False))

    def y(field: str) -> alt.Y:
        lowest = min([row["drawn"] for row in table] + looks["boundary"]) / 2
        powers = alt.Scale(type="log", domain=[lowest, 1.0], nice=False, clamp=True)
        axis = number_axis(**at_ticks(log_ticks(lowest, 1.0)))
        return alt.Y(f"{field}:Q", title="p-value", scale=powers, axis=axis)

    rows = [row | {"fill": style(lines.index(row["line"]))[0] if row["decided"] else WHITE} for row in table]
    bounds = [{"seeds": seeds, "bound": p} for seeds, p in zip(planned, looks["boundary"], strict=True)]
    boundary = chart_of(bounds).encode(x=x, y=y("bound"))
    paths = chart_of(rows).encode(x=x, y=y("drawn"), color=colour)
    tips = [
        alt.Tooltip("line:N", title="test"), alt.Tooltip("seeds:Q"), number_tip("p"),
        number_tip("p_adjusted", "adjusted p"),
    ]  # fmt: skip
    fill = alt.Fill("fill:N", scale=None, legend=None)
    layers: list[AnyChart] = [
        boundary.mark_line(color=GREY, strokeDash=[5, 3], strokeWidth=2, point=alt.OverlayMarkDef(color=GREY, size=30)),
        paths.mark_line(strokeWidth=1.5, strokeOpacity=0.7).encode(strokeDash=dash),
        paths.mark_point(size=70, strokeWidth=2, opacity=1).encode(shape=shape, fill=fill, tooltip=tips),
    ]
    return alt.LayerChart(layer=layers, height=HEIGHT)
