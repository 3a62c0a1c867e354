"""Parts that several figures share: scales of lines, axes, and rows that hold a whole line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from warmup_lab.figures.palette import style

if TYPE_CHECKING:
    from warmup_lab.figures.layout import Row

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart
HEIGHT = 230
"""Height of most charts, in pixels."""
NUMBER_LABEL = (
    "datum.value != 0 && (abs(datum.value) < 1e-4 || abs(datum.value) >= 1e6) "
    "? replace(format(datum.value, '.6~e'), '+', '') : format(datum.value, '.6~r')"
)
"""Vega expression of a tick label with all digits of the tick: 0.0015, 250, 5e-5, 0. Two ticks never look alike."""
MIN_FOR_INTERVAL = 3
"""Fewest runs whose interval is drawn. With 2, an interval says only that the spread is unknown."""


def number_axis(**more: Any) -> alt.Axis:
    """An axis whose labels are exact."""
    options: dict[str, Any] = {"labelExpr": NUMBER_LABEL, "tickCount": 5, "minExtent": 40}
    return alt.Axis(**options | more)


def number_tip(field: str, title: str | None = None) -> alt.Tooltip:
    """Four significant digits, without an exponent."""
    return alt.Tooltip(f"{field}:Q", format=".4~r", title=field if title is None else title)


def line_scales(lines: list[str]) -> tuple[alt.Color, alt.StrokeDash, alt.Shape]:
    """Colour, dash and marker of the field `line`. The legend is drawn once a figure, not in each chart."""
    colours, dashes, shapes = zip(*(style(index) for index in range(len(lines))), strict=True)
    return (
        alt.Color("line:N", scale=alt.Scale(domain=lines, range=list(colours)), legend=None),
        alt.StrokeDash("line:N", scale=alt.Scale(domain=lines, range=list(dashes)), legend=None),
        alt.Shape("line:N", scale=alt.Scale(domain=lines, range=list(shapes)), legend=None),
    )


def update_axis(field: str, last: int, title: str | None = "update") -> alt.X:
    """Updates 0 to `last` along the horizontal axis."""
    scale = alt.Scale(domain=[0, max(1, last)], nice=False)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(grid=False))


def share_axis(field: str, title: str, low: float = 0.0, high: float = 1.0) -> alt.Y:
    """A share between 0 and 1 along the vertical axis, in percent."""
    scale = alt.Scale(domain=[low, high], nice=False, clamp=True)
    return alt.Y(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(format="%", tickCount=5, minExtent=40))


def line_chart(rows: list[Row], *fields: str) -> Any:
    """A chart of rows that each hold a whole line: `fields` are lists, which Vega spreads over a row per point.

    This takes a tenth of the space of a row per point in the page.
    """
    return alt.Chart(alt.InlineData(values=rows)).transform_flatten(list(fields))


def rounded(values: np.ndarray, digits: int = 5) -> list[float]:
    """The values with `digits` significant digits, to keep the page small.

    >>> rounded(np.array([0.123456789, 1234567.0]))
    [0.12346, 1234600.0]
    """
    return [float(f"{value:.{digits}g}") for value in values]
