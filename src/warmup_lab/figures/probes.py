"""What the probes saw, over the updates and over the learning rate: a line an arm, the median over seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from warmup_lab.comparison import Trace
from warmup_lab.figures.charts import GREY, HEIGHT, AnyChart, Cell, Figure, line_scales
from warmup_lab.figures.layout import Layout, Row, unique
from warmup_lab.figures.traces import drawn_runs, line_name, update_axis

_MAX_FAMILIES = 4
_MAX_POINTS = 120
_BINS = 10


@dataclass(frozen=True)
class Look:
    """How a column of the trace is drawn."""

    title: str
    axis: str
    log: bool = True
    share: bool = False
    """A column of 0 and 1, of which the share in stretches of updates or rates is drawn."""
    threshold: Callable[[np.ndarray], np.ndarray] | None = None
    """Where training becomes unstable, as a function of the rate."""
    threshold_name: str = ""


LOOKS = {
    "overshoot": Look("Updates that raised the loss on their own batch", "share of updates", log=False, share=True),
    "sharpness": Look(
        "Sharpness", "top eigenvalue (1 / lr)", threshold=lambda lr: 2 / lr, threshold_name="2 / lr: gradient descent"
    ),
    "preconditioned_sharpness": Look(
        "Preconditioned sharpness", "top eigenvalue (1 / lr)", threshold=lambda lr: 38 / lr,
        threshold_name="38 / lr: Adam, beta1 0.9",
    ),
    "critical_lr": Look(
        "Critical learning rate", "learning rate", threshold=lambda lr: lr, threshold_name="the lr in use"
    ),
    "critical_lr_degenerate": Look(
        "Updates without a critical learning rate", "share of updates", log=False, share=True
    ),
}  # fmt: skip
_FAMILIES = {
    "grad_norm": Look("Gradient norm", "L2 norm"),
    "update_ratio": Look("Update over weights", "|change| / |w|"),
    "cka": Look("Similarity to the start", "linear CKA", log=False),
}

ProbeSeries = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Line -> update, learning rate and value of each point."""


def probes_figure(runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout) -> Figure:
    """A row a probe: its column over the updates and over the rate; no rows where no probe ran."""
    families = _families(runs, traces, layout)
    rows = [
        [Cell(f"{look.title}{suffix}", chart) for chart in _both_charts(series, look, layout)]
        for column, look in LOOKS.items()
        for suffix, arms in families
        for series in [_series(arms, column, share=look.share)]
        if series and not (column == "critical_lr_degenerate" and _never(series))
    ]
    note = (
        "Left over the updates, right over the learning rate of the update, in the order of the updates. Points: the "
        "median over seeds of what was measured; of overshoot and of updates without a critical rate, the share in "
        f"{_BINS} stretches. Dashed grey: the rate at which training turns unstable, by theory. Sharpness above its "
        "line, or a critical rate below it: the update is too large, which is what warmup avoids. Left, thin and "
        "dotted: the same limit at each arm's own rate. Values that a logarithmic axis cannot show are left out."
    )
    return Figure("probes", "What the probes saw", note, rows, _lines(layout) if rows else [])


def _lines(layout: Layout) -> list[str]:
    return unique(line_name(layout, steps) for steps in layout.lengths)


def _families(
    runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout
) -> list[tuple[str, dict[str, list[Trace]]]]:
    """Arms that differ only in warmup, as what stands behind their titles and the traces of each line."""
    by_arm = drawn_runs(runs, traces)
    several_rates = len({arm["lr"] for arm in layout.arms}) > 1
    families: dict[str, dict[str, list[Trace]]] = {}
    for arm in layout.arms:
        if arm["name"] in by_arm:
            family = families.setdefault(f"{arm['kind']}, lr {arm['lr']:g}" if several_rates else arm["kind"], {})
            family[line_name(layout, arm["warmup_steps"])] = list(by_arm[arm["name"]].values())
    drawn = list(families.items())[:_MAX_FAMILIES]
    return [(f" · {name}" if len(drawn) > 1 else "", arms) for name, arms in drawn]


def _series(arms: Mapping[str, list[Trace]], column: str, *, share: bool = False) -> ProbeSeries:
    """The points of each line: the median over seeds, or their mean where it is a share; without what is missing."""
    series: ProbeSeries = {}
    for line, traces in arms.items():
        columns = [trace[column] for trace in traces if column in trace]
        if not columns:
            continue
        table = np.full((len(columns), max(map(len, columns))), np.nan)
        for row, values in zip(table, columns, strict=True):
            row[: len(values)] = values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # updates that no seed measured
            values = np.nanmean(table, axis=0) if share else np.nanmedian(table, axis=0)
        lr = max((trace["lr"] for trace in traces), key=len)[: len(values)]
        kept = np.flatnonzero(np.isfinite(values))
        if not share and len(kept) > _MAX_POINTS:
            kept = kept[np.linspace(0, len(kept) - 1, _MAX_POINTS).astype(int)]
        if len(kept):
            series[line] = (kept, lr[kept], values[kept])
    return series


def _never(series: ProbeSeries) -> bool:
    return not any(values.any() for _, _, values in series.values())


def _limits_of(arms: Mapping[str, list[Trace]], family: str, layers: list[str], look: Look) -> list[float]:
    return _domain([_series(arms, f"{family}/{layer}") for layer in layers], look)


def _domain(several: list[ProbeSeries], look: Look) -> list[float]:
    """The range of the vertical axis; with a threshold, as far as it lies at the largest rate."""
    if look.share or look is _FAMILIES["cka"]:
        return [-0.03, 1.03]
    if not any(several):
        return [0.1, 1.0]
    points = [(lr, values) for series in several for _, lr, values in series.values()]
    shown = np.concatenate([values[values > 0] for _, values in points])
    if look.threshold and shown.size:
        rates = np.concatenate([lr[lr > 0] for lr, _ in points])
        shown = np.append(shown, look.threshold(rates.max(initial=0))) if rates.size else shown
    reach = 2.5 if look.threshold else 1.4  # room for its name
    return [float(shown.min()) / reach, float(shown.max()) * reach] if shown.size else [0.1, 1.0]


def _both_charts(series: ProbeSeries, look: Look, layout: Layout, limits: list[float] | None = None) -> list[AnyChart]:
    """Over the updates, and over the rate."""
    limits = limits or _domain([series], look)
    last = max(arm["total_steps"] for arm in layout.arms) - 1
    rates = np.concatenate([lr[lr > 0] for _, lr, _ in series.values()])
    span = [float(rates.min()) / 1.2, float(rates.max()) * 1.2] if rates.size else [0.1, 1.0]
    log_axis = alt.Axis(format="~e", tickCount=4, grid=False, labelOverlap=True)
    over_lr = alt.X("x:Q", title="learning rate", scale=alt.Scale(type="log", domain=span, nice=False), axis=log_axis)
    over_updates = update_axis(last, "update")
    over_updates.shorthand = "x:Q"
    left = [_points(line, steps, values, look) for line, (steps, _, values) in _binned(series, look, 0).items()]
    right = [_points(line, lr, values, look) for line, (_, lr, values) in _binned(series, look, 1).items()]
    own = _own_limits(series, look, limits)
    return [
        _chart(left, over_updates, look, layout, limits, [_own_chart(own, over_updates, look, layout, limits)]),
        _chart(right, over_lr, look, layout, limits, _threshold(look, span, limits)),
    ]


def _binned(series: ProbeSeries, look: Look, axis: int) -> ProbeSeries:
    """The series, or the shares in equal stretches of updates (axis 0) or of the logarithm of the rate (axis 1)."""
    if not look.share:
        return series
    binned: ProbeSeries = {}
    for line, points in series.items():
        there = points[axis] > 0 if axis else np.ones(len(points[0]), bool)
        steps, lr, values = (part[there] for part in points)
        if not len(steps):
            continue
        place = np.log(lr) if axis else steps.astype(float)
        edges = np.linspace(place.min(), place.max(), _BINS + 1)[1:-1]
        groups = pd.DataFrame({"step": steps, "lr": lr, "value": values}).groupby(np.searchsorted(edges, place))
        means = groups.mean()
        binned[line] = (means["step"].to_numpy(), means["lr"].to_numpy(), means["value"].to_numpy())
    return binned


def _points(line: str, x: np.ndarray, values: np.ndarray, look: Look) -> Row:
    there = values > 0 if look.log else np.isfinite(values)
    there = there & ((x > 0) if x.dtype.kind == "f" and not look.share else True)
    return {
        "line": line,
        "x": [float(f"{one:.5g}") for one in x[there]],
        "y": [float(f"{one:.5g}") for one in values[there]],
        "order": list(range(int(there.sum()))),
    }


def _y(look: Look, limits: list[float]) -> alt.Y:
    scale = alt.Scale(type="log" if look.log else "linear", domain=limits, nice=False, clamp=True)
    number = "~g" if look.log else ".1f"
    axis = alt.Axis(minExtent=46, tickCount=4, format="%" if look.share else number, labelOverlap=True)
    if look.log and (limits[1] >= 1e4 or limits[0] < 1e-3):
        axis.format = ".0e"
    return alt.Y("y:Q", title=look.axis, scale=scale, axis=axis)


def _chart(
    rows: list[Row], x: alt.X, look: Look, layout: Layout, limits: list[float], below: list[Any]
) -> alt.LayerChart:
    colour, dash, shape = line_scales(_lines(layout))
    y = _y(look, limits)
    base = alt.Chart(alt.InlineData(values=rows)).transform_flatten(["x", "y", "order"]).encode(x=x, y=y, color=colour)
    tips = [alt.Tooltip("line:N", title="warmup"), alt.Tooltip("x:Q", format=".4g"), alt.Tooltip("y:Q", format=".4g")]
    line = base.mark_line(strokeWidth=1.3, strokeOpacity=0.75).encode(order="order:Q", strokeDash=dash)
    point = base.mark_point(filled=True, size=26, opacity=0.9).encode(shape=shape, tooltip=tips)
    return alt.LayerChart(layer=[*(one for one in below if one is not None), line, point], height=HEIGHT - 30)


def _own_limits(series: ProbeSeries, look: Look, limits: list[float]) -> list[Row]:
    """The threshold at each measured update's rate, where it lies in the frame."""
    if look.threshold is None:
        return []
    rows = []
    for line, (steps, lr, _) in series.items():
        there = lr > 0
        at = look.threshold(lr[there])
        inside = (at >= limits[0]) & (at <= limits[1])
        rows.append(
            {"line": line, "x": steps[there][inside].tolist(), "y": [float(f"{one:.5g}") for one in at[inside]]}
        )
    return rows


def _own_chart(rows: list[Row], x: alt.X, look: Look, layout: Layout, limits: list[float]) -> alt.Chart | None:
    if not rows:
        return None
    colour, _, _ = line_scales(_lines(layout))
    base = alt.Chart(alt.InlineData(values=rows)).transform_flatten(["x", "y"])
    chart: alt.Chart = base.mark_line(strokeWidth=1, strokeDash=[1, 3]).encode(x=x, y=_y(look, limits), color=colour)
    return chart


def _threshold(look: Look, span: list[float], limits: list[float]) -> list[Any]:
    """The threshold over the rate, as far as it lies in the frame, with its name."""
    if look.threshold is None:
        return []
    lr = np.geomspace(span[0], span[1], 60)
    at = look.threshold(lr)
    inside = (at >= limits[0]) & (at <= limits[1])
    if inside.sum() < 2:
        return []
    rows = [{"x": float(x), "y": float(y)} for x, y in zip(lr[inside], at[inside], strict=True)]
    base = alt.Chart(alt.InlineData(values=rows)).encode(x="x:Q", y="y:Q")
    name = alt.Chart(alt.InlineData(values=[rows[-1] | {"name": look.threshold_name}])).encode(
        x="x:Q", y="y:Q", text="name:N"
    )
    words = name.mark_text(align="right", dx=-4, dy=14 if at[-1] < at[0] else 24, color="#374151")
    return [base.mark_line(color=GREY, strokeDash=[6, 3], strokeWidth=1.5), words]
