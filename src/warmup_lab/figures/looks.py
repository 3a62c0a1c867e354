"""The figure of planned looks: the p-value of each test at each look, beside the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from warmup_lab.figures.charts import HEIGHT, AnyChart, line_scales, number_axis, number_tip
from warmup_lab.figures.figure import Cell, Figure
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


# --- drawing


def looks_figure(looks: Row) -> Figure:
    """`looks` is the section of `comparison.json`. Empty without planned looks, or before the first."""
    table = path_table(looks.get("path", []), looks["planned"])
    lines = unique(row["line"] for row in table)
    rows = [[Cell("p-value at each look", _path_chart(table, looks, lines))]] if table else []
    note = (
        "Dashed line: the boundary, the p-value that a single test must reach at a look so that all looks together "
        "have an error of 5 %. Filled marker: decided, also after the adjustment for all tests, which needs a smaller "
        f"p-value. Hollow marker: undecided. Smaller p-values are drawn at {LOWEST_P:g}."
    )
    return Figure("looks", "Planned looks", note, rows, lines)


def _path_chart(table: list[Row], looks: Row, lines: list[str]) -> alt.LayerChart:
    planned = looks["planned"]
    margin = 0.06 * (planned[-1] - planned[0]) or 1.0
    colour, dash, shape = line_scales(lines)
    scale = alt.Scale(domain=[planned[0] - margin, planned[-1] + margin], nice=False)
    x = alt.X("seeds:Q", title="seeds", scale=scale, axis=alt.Axis(values=planned, grid=False))

    def y(field: str) -> alt.Y:
        powers = alt.Scale(type="log", domain=[LOWEST_P / 2, 1.0], nice=False, clamp=True)
        axis = number_axis(values=[10.0**-power for power in range(7)])
        return alt.Y(f"{field}:Q", title="p-value", scale=powers, axis=axis)

    rows = [row | {"fill": style(lines.index(row["line"]))[0] if row["decided"] else WHITE} for row in table]
    bounds = [{"seeds": seeds, "bound": p} for seeds, p in zip(planned, looks["boundary"], strict=True)]
    boundary = alt.Chart(alt.InlineData(values=bounds)).encode(x=x, y=y("bound"))
    paths = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y("drawn"), color=colour)
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
