"""Numbers of arms over warmup length, and their chart.

Warmup lengths are equally spaced in rising order, because the usual ones (0, 1, 2, 5, 10, 20, 50 %) would crowd on a
linear axis. Dashes and markers repeat what the colours say. A hollow marker means that runs of the arm failed. Every
seed is a dot. A mean of fewer than 3 runs has no interval. Where the number of such runs differs between arms, it is a
digit at the marker; otherwise the subtitle has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np

from warmup_lab.comparison import count
from warmup_lab.figures.charts import (
    HEIGHT,
    MIN_FOR_INTERVAL,
    AnyChart,
    line_chart,
    line_scales,
    number_axis,
    number_tip,
    share_axis,
)
from warmup_lab.figures.figure import Cell
from warmup_lab.figures.layout import Layout, Row, short_percent, unique
from warmup_lab.figures.palette import INK, WHITE, style
from warmup_lab.figures.seed_dots import NO_SEEDS, ReadSeeds, SeedValues, Values, dot_rows
from warmup_lab.metrics import smaller_is_better, title_and_unit

_CROSS = "M-1,-1L1,1M-1,1L1,-1"


@dataclass(frozen=True)
class Column:
    """A number of every arm, and how to draw it: a column of charts, one for each panel."""

    title: str
    axis: str
    read: Callable[[Row], Row]
    """Arm -> `mean`, `low`, `high` and whatever else replaces the defaults of `warmup_table`."""
    seen: Callable[[Sequence[Row]], str] = lambda _: ""
    """Rows of a panel -> what is seen there."""
    read_seeds: ReadSeeds = lambda _: {}
    """Arm -> the value of each seed."""
    seeds: SeedValues = field(default_factory=lambda: NO_SEEDS)
    share: bool = False
    """The number is a share, drawn from 0 to 100 %."""
    decorate: Callable[[AnyChart], AnyChart] = lambda chart: chart
    """Adds to the chart what belongs to this column only."""


# --- numbers


def metric_column(metric: str, seeds: SeedValues = NO_SEEDS) -> Column:
    """Mean of a metric with its 95 % interval: over all seeds if `comparison.json` has that, as for losses and scores.

    Other metrics, such as oscillation, have a mean over the runs that learned only.
    """

    def read(arm: Row) -> Row:
        found = arm["metrics"].get(metric, {})
        of = "_of_all" if "mean_of_all" in found else ""
        num_runs = arm["failed"]["total"] if of else found.get("num_runs", 0)
        return {"mean": found.get(f"mean{of}"), **shown_interval(found.get(f"interval{of}"), num_runs)}

    title, unit = title_and_unit(metric)
    short = metric.rpartition("/")[2].replace("_", " ")
    lowest = smaller_is_better(metric)
    return Column(
        capitalized(title), with_unit(short, unit), read, lambda rows: seen_extreme(rows, lowest=lowest),
        seeds.of(metric), seeds,
    )  # fmt: skip


def shown_interval(interval: Sequence[float] | None, num_runs: int) -> Row:
    """`low` and `high`, None for fewer than 3 runs, and `few`: the number of runs if it is so small, otherwise 0.

    `few` is None for what is known without a run: the reference minus itself.
    """
    if 0 < num_runs < MIN_FOR_INTERVAL:
        return {"low": None, "high": None, "few": num_runs}
    low, high = interval or (None, None)
    return {"low": low, "high": high, "few": 0}


def same_few(rows: Iterable[Row]) -> int:
    """The number of runs behind every mean if it is the same and fewer than 3, otherwise 0."""
    numbers = {row["few"] for row in rows if row["mean"] is not None and row["few"] is not None}
    return numbers.pop() if len(numbers) == 1 else 0


def seen_extreme(rows: Sequence[Row], *, lowest: bool) -> str:
    """`Lowest with 10 % warmup, lr 0.001: 0.32 (2 runs)`, or that all arms are equal to three digits."""
    known = [row for row in rows if row["mean"] is not None]
    if not known:
        return "No run learned"
    best = min(known, key=lambda row: row["mean"] if lowest else -row["mean"])
    few = 0 if same_few(rows) else best["few"]
    value = f"{best['mean']:.3g}" + (f" ({count(few, 'run')})" if few else "")
    if len(known) == 1:
        return capitalized(f"{value} with {best['place']}")
    if len({f"{row['mean']:.3g}" for row in known}) == 1:
        return f"The same for all arms: {value}"
    return f"{'Lowest' if lowest else 'Highest'} with {best['place']}: {value}"


def warmup_table(layout: Layout, read: Callable[[Row], Row]) -> list[Row]:
    """A row per arm, ordered by panel; `read` gives `mean`, `low` and `high`, each a number or None.

    `x` is the position on the warmup axis: the index of the length, shifted so that the lines of a panel do not hide
    each other. `cross`: no run of the arm learned.
    """
    return [row for panel in layout.panels for row in _panel_rows(layout, panel, read)]


def _panel_rows(layout: Layout, panel: str, read: Callable[[Row], Row]) -> list[Row]:
    arms = [arm for arm in layout.arms if arm["panel"] == panel]
    lines = unique(arm["line"] for arm in arms)
    shift = min(0.18, 0.6 / max(1, len(lines)))
    return [
        {
            "panel": panel,
            "x": layout.lengths.index(arm["warmup_steps"]) + shift * (lines.index(arm["line"]) - (len(lines) - 1) / 2),
            "line": arm["line"],
            "arm": arm["name"],
            "place": _place(arm, several_lines=len(lines) > 1),
            "colour": style(layout.lines.index(arm["line"]))[0],
            "few": 0,
            "learned": f"{arm['num_learned']} of {arm['failed']['total']}",
            "cross": arm["num_learned"] == 0 and arm["failed"]["total"] > 0,
            "fill": WHITE if arm["failed"]["count"] else style(layout.lines.index(arm["line"]))[0],
            **read(arm),
        }
        for arm in arms
    ]


def _free_side(row: Row, rows: Sequence[Row]) -> str:
    """The side of a marker, `above` or `below`, for its digit: away from the nearest mean of the same warmup length.

    A mean that has a digit too counts first, so that the two digits are apart.
    """
    beside = [other for other in rows if round(other["x"]) == round(row["x"]) and other["mean"] is not None]
    others = [other for other in beside if other is not row]
    nearest = min(others, key=lambda other: (not other["few"], abs(other["mean"] - row["mean"])), default=row)
    return "below" if (nearest["mean"], row["x"]) > (row["mean"], nearest["x"]) else "above"


def _place(arm: Row, *, several_lines: bool) -> str:
    """`10 % warmup, lr 0.001`: the arm within its panel."""
    percent = 100 * arm["warmup_steps"] / arm["total_steps"]
    warmup = f"{short_percent(percent)} warmup" if percent else "no warmup"
    return f"{warmup}, {arm['line']}" if several_lines else warmup


def vertical_range(rows: Iterable[Row], dots: Sequence[float] = ()) -> list[float]:
    """The range that holds all means, intervals up to 1.5 times the spread of the means beyond them, and the dots.

    Dots further than 3 quartile distances outside the quartiles are outside the range (Tukey's outer fences).
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


def capitalized(text: str) -> str:
    """The first letter in upper case and the rest unchanged, unlike `str.capitalize`."""
    return text[:1].upper() + text[1:]


def with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


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
    if column.share:
        y, foot = share_axis("mean", column.axis, -0.02, 1.02), -0.02
    else:
        domain = vertical_range(table, all_dots)
        scale = alt.Scale(domain=domain, nice=False, clamp=True)
        y, foot = alt.Y("mean:Q", title=column.axis, scale=scale, axis=number_axis()), domain[0]
    rows = [row for row in table if row["panel"] == panel]
    alone = same_few(rows)
    rows = [row | {"few_at": "" if alone else _free_side(row, rows)} if row["few"] else row for row in rows]
    dots = _dots(rows, [values[row["arm"]] for row in rows], column.seeds)
    shown = [{name: value for name, value in row.items() if name not in ("panel", "place", "colour")} for row in rows]
    parts = [column.title, panel, f"{count(alone, 'run')} each" if alone else ""]
    what = " · ".join(part for part in parts if part)
    seen = column.seen(rows)
    chart = column.decorate(interval_chart(shown, layout, y, foot, dots))
    return Cell(seen, chart, what) if seen else Cell(what, chart)


def _dots(rows: Sequence[Row], values: Sequence[Values], seeds: SeedValues) -> list[Row]:
    """The dots of a panel, as wide as leaves the lines apart."""
    num_lines = len(unique(row["line"] for row in rows))
    width = min(0.16, 0.4 / max(1, num_lines)) if num_lines > 1 else 0.3
    return dot_rows(rows, values, seeds, width)


def interval_chart(rows: list[Row], layout: Layout, y: alt.Y, foot: float, dots: Sequence[Row] = ()) -> alt.LayerChart:
    """Means with their intervals over warmup length; a cross at `foot` for each arm of which no run learned."""
    colour, dash, shape = line_scales(layout.lines)
    scale = alt.Scale(domain=[-0.5, len(layout.lengths) - 0.5], nice=False)
    x = alt.X("x:Q", scale=scale, axis=warmup_axis(layout))
    base = alt.Chart(alt.InlineData(values=[row for row in rows if row["mean"] is not None])).encode(x=x, color=colour)
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
            layers.append(few.encode(y=y, text="few:Q", color=alt.value(INK)))
    missing = [row | {"mean": foot} for row in rows if row["mean"] is None and row["cross"]]
    if missing:
        crosses = alt.Chart(alt.InlineData(values=missing)).encode(
            x=x, y=y, color=colour, tooltip=[alt.Tooltip("arm:N"), learned]
        )
        layers.append(crosses.mark_point(shape=_CROSS, size=60, strokeWidth=2, opacity=1, yOffset=-7))
    return alt.LayerChart(layer=layers, height=HEIGHT)


def warmup_axis(layout: Layout, **more: Any) -> alt.Axis:
    """Labels for the positions 0, 1, ... of the lengths."""
    labels = json.dumps([layout.label(steps) for steps in layout.lengths])
    title = "warmup (updates)"
    if layout.total_steps:
        title = f"warmup (updates, and share of {layout.total_steps})"
    return alt.Axis(
        values=list(range(len(layout.lengths))), labelExpr=f"{labels}[datum.value]", grid=False, labelOverlap="greedy",
        labelFontSize=font_size(layout), labelAngle=0, title=title, **more,
    )  # fmt: skip


def font_size(layout: Layout) -> int:
    """Smaller if many lengths stand side by side."""
    return 11 if len(layout.lengths) < 7 else 10
