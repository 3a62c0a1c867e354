"""The figure of the probes: what each measured, over the updates and over the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from warmup_lab.comparison import Trace
from warmup_lab.figures.charts import (
    HEIGHT,
    LR_MARGIN,
    AnyChart,
    chart_of,
    line_chart,
    line_scales,
    lr_axis,
    number_axis,
    number_tip,
    rounded,
    update_axis,
)
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import Layout, Row
from warmup_lab.figures.palette import GREY, WHITE
from warmup_lab.figures.traces import families_of, finite_traces

_MAX_FAMILIES = 4
_MAX_POINTS = 120
"""Most points per line."""
_NUM_BINS = 10
_NOT_SHOWN = "Values that a logarithmic axis cannot show are left out."


@dataclass(frozen=True)
class ProbeColumn:
    """A column of the trace, and how to draw it."""

    name: str
    title: str
    axis: str
    log: bool = True
    share: bool = False
    """The column holds 0 and 1; its share is drawn in bins of updates or rates."""
    bounded: bool = False
    """The values are between 0 and 1."""
    limit: Callable[[np.ndarray], np.ndarray] | None = None
    """Learning rate -> the value at which training becomes unstable."""
    limit_name: str = ""


COLUMNS = (
    ProbeColumn(
        "overshoot", "Updates that raised the loss on their own batch", "share of updates", log=False, share=True,
        bounded=True,
    ),
    ProbeColumn(
        "sharpness", "Sharpness", "top eigenvalue (1 / lr)", limit=lambda lr: 2 / lr,
        limit_name="2 / lr: gradient descent",
    ),
    ProbeColumn(
        "preconditioned_sharpness", "Preconditioned sharpness", "top eigenvalue (1 / lr)", limit=lambda lr: 38 / lr,
        limit_name="38 / lr: Adam, beta1 0.9",
    ),
    ProbeColumn(
        "critical_lr", "Critical learning rate", "learning rate", limit=lambda lr: lr, limit_name="the lr in use"
    ),
    ProbeColumn(
        "critical_lr_degenerate", "Updates without a critical learning rate", "share of updates", log=False,
        share=True, bounded=True,
    ),
)  # fmt: skip

# --- numbers


def probe_families(
    runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout
) -> dict[str, dict[str, list[Trace]]]:
    """Family -> line -> the traces of all seeds, for the first 4 families. Arms of a family differ only in warmup."""
    by_arm = finite_traces(runs, traces)
    families = list(families_of(by_arm, layout).items())[:_MAX_FAMILIES]
    return {
        name: {layout.warmup_line(arm["warmup_steps"]): list(by_arm[arm["name"]].values()) for arm in arms}
        for name, arms in families
    }


def probe_table(lines: Mapping[str, Sequence[Trace]], name: str, *, share: bool = False) -> pd.DataFrame:
    """`line`, `step`, `lr` and `value` of each update at which some seed measured the column.

    The value is the median over seeds, or with `share` their mean. A line has at most 120 points, evenly chosen; with
    `share` it has all of them.
    """
    parts = []
    for line, traces in lines.items():
        measured = [trace[name] for trace in traces if name in trace]
        if not measured:
            continue
        seeds = np.full((len(measured), max(map(len, measured))), np.nan)
        for row, column in zip(seeds, measured, strict=True):
            row[: len(column)] = column
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # updates that no seed measured
            values = np.nanmean(seeds, axis=0) if share else np.nanmedian(seeds, axis=0)
        lr = max((trace["lr"] for trace in traces), key=len)
        kept = np.flatnonzero(np.isfinite(values))
        if not share and len(kept) > _MAX_POINTS:
            kept = kept[np.linspace(0, len(kept) - 1, _MAX_POINTS).astype(int)]
        parts.append(pd.DataFrame({"line": line, "step": kept, "lr": lr[kept], "value": values[kept]}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["line", "step", "lr", "value"])


def binned(table: pd.DataFrame, over: str) -> pd.DataFrame:
    """The means of each line in 10 equal bins of `step`, or of the logarithm of `lr` over positive rates.

    Empty bins are left out.
    """
    kept = table[table["lr"] > 0] if over == "lr" else table
    parts = []
    for line, points in kept.groupby("line", sort=False):
        place = np.log(points["lr"]) if over == "lr" else points["step"].astype(float)
        edges = np.linspace(place.min(), place.max(), _NUM_BINS + 1)[1:-1]
        means = points[["step", "lr", "value"]].groupby(np.searchsorted(edges, place)).mean()
        parts.append(means.assign(line=line))
    return pd.concat(parts, ignore_index=True) if parts else table.iloc[:0]


def value_range(tables: Iterable[pd.DataFrame], column: ProbeColumn) -> list[float]:
    """The range of the vertical axis. If there is a limit, the range holds it at the largest rate."""
    if column.bounded:
        return [-0.03, 1.03]
    measured = [table for table in tables if not table.empty]
    if not measured:
        return [0.1, 1.0]
    points = pd.concat(measured)
    shown, rates = points["value"].to_numpy(dtype=float), points["lr"].to_numpy(dtype=float)
    shown, rates = shown[shown > 0], rates[rates > 0]
    if not shown.size:
        return [0.1, 1.0]
    if column.limit and rates.size:
        shown = np.append(shown, column.limit(rates.max()))
    reach = 2.5 if column.limit else 1.4  # room for the name of the limit
    return [float(shown.min()) / reach, float(shown.max()) * reach]


def line_rows(table: pd.DataFrame, column: ProbeColumn, over: str) -> list[Row]:
    """A row per line with the lists `x` (`step` or `lr`), `y` and `order`, without what a log axis cannot show."""
    points = binned(table, over) if column.share else table
    points = points[points["value"] > 0] if column.log else points
    points = points[points["lr"] > 0] if over == "lr" else points
    return [
        {
            "line": line,
            "x": rounded(part[over].to_numpy()),
            "y": rounded(part["value"].to_numpy()),
            "order": list(range(len(part))),
        }
        for line, part in points.groupby("line", sort=False)
    ]


def limit_rows(table: pd.DataFrame, column: ProbeColumn, limits: Sequence[float]) -> list[Row]:
    """A row per line with the lists `x` (`step`) and `y` (the limit at that update's rate), inside `limits`."""
    if column.limit is None:
        return []
    points = table[table["lr"] > 0]
    points = points.assign(limit=column.limit(points["lr"].to_numpy(dtype=float)))
    points = points[points["limit"].between(limits[0], limits[1])]
    return [
        {"line": line, "x": part["step"].tolist(), "y": rounded(part["limit"].to_numpy())}
        for line, part in points.groupby("line", sort=False)
    ]


def lr_span(table: pd.DataFrame) -> list[float]:
    """The smallest and the largest learning rate above 0."""
    rates = table.loc[table["lr"] > 0, "lr"]
    return [float(rates.min()), float(rates.max())] if len(rates) else [0.1, 1.0]


def limit_points(column: ProbeColumn, span: list[float], limits: list[float]) -> list[Row]:
    """Points `x` (lr) and `y` (the limit at that lr) of the part of the limit that is inside the frame."""
    if column.limit is None:
        return []
    lr = np.geomspace(span[0] / LR_MARGIN, span[1] * LR_MARGIN, 60)
    at = column.limit(lr)
    inside = (at >= limits[0]) & (at <= limits[1])
    rows = [{"x": float(x), "y": float(y)} for x, y in zip(lr[inside], at[inside], strict=True)]
    return rows if len(rows) > 1 else []


# --- drawing


def probes_figure(runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout) -> Figure:
    """A row per probe: its column over the updates and over the rate. Empty if no probe ran."""
    families = probe_families(runs, traces, layout)
    found = [
        (column, name, table)
        for column in COLUMNS
        for name, lines in families.items()
        for table in [probe_table(lines, column.name, share=column.share)]
        if not table.empty and (column.name != "critical_lr_degenerate" or table["value"].any())
    ]
    measured = {line for *_, table in found for line in table["line"]}
    layout = replace(layout, lengths=[one for one in layout.lengths if layout.warmup_line(one) in measured])
    several = len({name for _, name, _ in found}) > 1
    rows = []
    for column, name, table in found:
        limits, suffix = value_range([table], column), f" · {name}" if several else ""
        over_updates = draw_over_updates(table, column, layout, limits)
        over_lr = draw_over_lr(table, column, layout, limits)
        rows.append(
            [
                Cell(column.title, over_updates, f"Over the updates{suffix}", _notes(table, column, limits)),
                Cell(column.title, over_lr, f"Over the learning rate{suffix}", _notes_over_lr(table, column, limits)),
            ]
        )
    return Figure("probes", "Probe measurements", "", rows, layout.warmup_lines if rows else [])


def _notes(table: pd.DataFrame, column: ProbeColumn, limits: list[float]) -> tuple[str, ...]:
    """What is drawn over the updates."""
    return notes_of(
        (column.share, f"Points: the share in each of {_NUM_BINS} bins."),
        (not column.share, "Points: the median over the seeds."),
        (limit_rows(table, column, limits), "Thin dotted lines: the limit at each arm's own learning rate."),
        (column.log and (table["value"] <= 0).any(), _NOT_SHOWN),
    )


def _notes_over_lr(table: pd.DataFrame, column: ProbeColumn, limits: list[float]) -> tuple[str, ...]:
    """What is drawn over the learning rate."""
    line = (
        "Dashed grey line: the limit beyond which training is unstable, in theory. An update is too large if the "
        "sharpness is above it, or if the critical rate is below it; warmup avoids this."
    )
    return notes_of(
        (True, "Over the learning rate, points are joined in the order of the updates."),
        (limit_points(column, lr_span(table), limits), line),
        ((table["lr"] <= 0).any() or (column.log and (table["value"] <= 0).any()), _NOT_SHOWN),
    )


def draw_over_updates(table: pd.DataFrame, column: ProbeColumn, layout: Layout, limits: list[float]) -> alt.LayerChart:
    """A column over the updates, with the limit at each arm's own rate."""
    x, y = update_axis("x", layout.last_step), _value_axis(column, limits)
    layers = _line_layers(line_rows(table, column, "step"), x, y, layout)
    own = limit_rows(table, column, limits)
    if own:
        colour, _, _ = line_scales(layout.warmup_lines)
        dotted = line_chart(own, "x", "y").mark_line(strokeWidth=1, strokeDash=[1, 3])
        layers.insert(0, dotted.encode(x=x, y=y, color=colour))
    return alt.LayerChart(layer=layers, height=HEIGHT - 30)


def draw_over_lr(table: pd.DataFrame, column: ProbeColumn, layout: Layout, limits: list[float]) -> alt.LayerChart:
    """A column over the learning rate, with the limit as a dashed line."""
    span = lr_span(table)
    layers = _line_layers(line_rows(table, column, "lr"), lr_axis("x", span), _value_axis(column, limits), layout)
    line, name = _limit_layers(column, limit_points(column, span, limits))
    return alt.LayerChart(layer=[*line, *layers, *name], height=HEIGHT - 30)


def _value_axis(column: ProbeColumn, limits: list[float]) -> alt.Y:
    scale = alt.Scale(type="log" if column.log else "linear", domain=limits, nice=False, clamp=True)
    label: Row = {"format": "%", "labelExpr": alt.Undefined} if column.share else {}
    axis = number_axis(minExtent=46, tickCount=4, labelOverlap=True, **label)
    return alt.Y("y:Q", title=column.axis, scale=scale, axis=axis)


def _line_layers(rows: list[Row], x: alt.X, y: alt.Y, layout: Layout) -> list[AnyChart]:
    colour, dash, shape = line_scales(layout.warmup_lines)
    base = line_chart(rows, "x", "y", "order").encode(x=x, y=y, color=colour)
    tips = [alt.Tooltip("line:N", title="warmup"), number_tip("x"), number_tip("y")]
    line = base.mark_line(strokeWidth=1.3, strokeOpacity=0.75).encode(order=alt.Order("order:Q"), strokeDash=dash)
    point = base.mark_point(filled=True, size=26, opacity=0.9).encode(shape=shape, tooltip=tips)
    return [line, point]


def _limit_layers(column: ProbeColumn, points: list[Row]) -> tuple[list[AnyChart], list[AnyChart]]:
    """The limit, to go below the points of the runs, and its name, to go above them."""
    if not points:
        return [], []
    line = chart_of(points).encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))
    name = chart_of([points[-1] | {"name": column.limit_name}]).encode(
        x=alt.X("x:Q"), y=alt.Y("y:Q"), text=alt.Text("name:N")
    )
    place: dict[str, Any] = {"align": "right", "dx": -4, "dy": 14 if points[-1]["y"] < points[0]["y"] else 24}
    return (
        [line.mark_line(color=GREY, strokeDash=[6, 3], strokeWidth=1.5)],
        [name.mark_text(**place, stroke=WHITE, strokeWidth=4, opacity=0.8), name.mark_text(**place, color="#374151")],
    )
