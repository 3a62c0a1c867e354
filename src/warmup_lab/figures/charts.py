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
