"""Parts that several figures share: scales of lines, axes, and rows that hold a whole line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
LR_MARGIN = 1.2
"""Factor between the outermost learning rate and the edge of a chart."""
MIN_FOR_INTERVAL = 3
"""Fewest runs whose interval is drawn. With 2, an interval says only that the spread is unknown."""


def number_axis(**more: Any) -> alt.Axis:
    """An axis whose labels are exact."""
    options: dict[str, Any] = {"labelExpr": NUMBER_LABEL, "tickCount": 5, "minExtent": 40}
    return alt.Axis(**options | more)


def lr_axis(field: str, lrs: Sequence[float], *, ticks: Sequence[float] = (), title: str = "learning rate") -> alt.X:
    """Learning rates along a logarithmic horizontal axis. `ticks` are those of a grid; the default is round numbers.

    Where the labels have no room, every second one is left out, so that the others stay at equal distances.
    """
    low, high = min(lrs), max(lrs)
    axis = number_axis(**at_ticks(ticks or log_ticks(low, high)), grid=False, minExtent=0)
    scale = alt.Scale(type="log", domain=[low / LR_MARGIN, high * LR_MARGIN], nice=False, clamp=True)
    return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)


def at_ticks(values: Sequence[float]) -> dict[str, Any]:
    """Options of an axis with these ticks: every second label is left out where there is no room."""
    # Vega leaves out ticks of a logarithmic axis if there are more than its default of `tickCount`.
    return {"values": list(values), "tickCount": len(values), "labelOverlap": "parity", "labelSeparation": 6}


def lr_mark(lr: float, text: str, x: alt.X, lrs: Sequence[float], colour: str) -> list[AnyChart]:
    """A vertical line at an lr, with its label above the frame, where no line of the chart passes.

    If the label would reach beyond the frame, it ends or starts at the line. `x` is the axis of `lrs`.
    """
    place = math.log(lr / min(lrs)) / (math.log(max(lrs) / min(lrs)) or 1.0)
    align: Any = "left" if place < 0.4 else "right" if place > 0.6 else "center"
    base = chart_of([{"lr": lr, "text": text}]).encode(x=x)
    rule = base.mark_rule(color=colour, strokeWidth=2, strokeDash=[5, 3])
    name = base.mark_text(color=colour, align=align, baseline="bottom", fontSize=12, fontWeight=600)
    return [rule, name.encode(text=alt.Text("text:N"), y=alt.value(-5))]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten; over more than a decade and a half 1 and 3 times.

    >>> log_ticks(0.0004, 0.006), log_ticks(0.0001, 0.01)
    ([0.0005, 0.001, 0.002, 0.005], [0.0001, 0.0003, 0.001, 0.003, 0.01])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 10**1.5 else (1, 3)
    marks = [float(f"{factor}e{power}") for power in powers for factor in factors]
    return [mark for mark in marks if low <= mark <= high] or [low, high]


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


def chart_of(rows: Iterable[Row]) -> alt.Chart:
    """A chart of these rows.

    They are in a tuple, because Altair copies all lists of a chart several times for each chart that it is put into.
    """
    return alt.Chart(alt.InlineData(values=tuple(rows)))


def line_chart(rows: list[Row], *fields: str) -> Any:
    """A chart of rows that each hold a whole line: `fields` are lists, which Vega spreads over a row per point.

    This takes a tenth of the space of a row per point in the page.
    """
    return chart_of(rows).transform_flatten(list(fields))


def rounded(values: np.ndarray, digits: int = 5) -> list[float]:
    """The values with `digits` significant digits, to keep the page small.

    >>> rounded(np.array([0.123456789, 1234567.0]))
    [0.12346, 1234600.0]
    """
    return [float(f"{value:.{digits}g}") for value in values]
