"""The figure of `lr_jitter`: overshoot and loss along the ramps, and which constant rates survive."""

from __future__ import annotations

from typing import Any

import altair as alt

from warmup_lab.comparison.lr_jitter import fraction
from warmup_lab.figures.charts import GREY, HEIGHT, AnyChart, Cell, Figure, line_scales
from warmup_lab.figures.layout import Row

_LINES = ["cold start", "through a warmup"]
_STARTS = {"cold": _LINES[0], "warmed": _LINES[1]}
_INK = "#111827"
_MARK = "#a33f00"
_APART = 1.06
"""Factor between cold and warmed points of one lr, so that neither hides the other."""


def jitter_figure(section: Row | None) -> Figure:
    """Empty for a sweep without ramps."""
    rows: list[list[Cell]] = []
    if section is not None:
        cells = [
            Cell("Overshoot along the ramps", _overshoot_chart(section)),
            Cell("Loss along the ramps", _loss_chart(section)),
        ]
        if section["trials"]:
            cells.append(Cell("Constant lr: share of runs that survived", _survival_chart(section)))
        rows = [cells]
    note = (
        "Left: share of updates that raised the loss on their own batch; dark: all seeds with the 95 % Wilson band, "
        "thin: each seed. Ticks at the foot: where each seed starts to jitter; upright line: their median. Middle: "
        "median training loss. Right: runs that neither diverged nor failed to learn, with 95 % Wilson intervals."
    )
    return Figure("lr_jitter", "Where the loss starts to jitter", note, rows, _LINES)


def _lr_axis(section: Row, **more: Any) -> alt.X:
    rates = [row["lr"] for row in section["curves"]]
    scale = alt.Scale(type="log", domain=[min(rates) / 1.1, max(rates) * 1.1], nice=False)
    axis = alt.Axis(format="~g", grid=False, tickCount=4, labelOverlap="greedy")
    return alt.X("lr:Q", title="learning rate", scale=scale, axis=axis, **more)


def _points(section: Row, value: str, *, pooled: bool) -> alt.Chart:
    rows = [row for row in section["curves"] if (row["seed"] is None) == pooled and row[value] is not None]
    return alt.Chart(alt.InlineData(values=rows))


def _marks(section: Row, foot: float) -> list[AnyChart]:
    """The jitter lr of every seed as a tick at the foot, and their median as a line over the whole height."""
    x = _lr_axis(section)
    seeds = [{"lr": ramp["lr"], "seed": ramp["seed"], "foot": foot} for ramp in section["ramps"] if ramp["lr"]]
    ticks = alt.Chart(alt.InlineData(values=seeds)).mark_tick(
        color=_MARK, thickness=2, size=14, orient="vertical", yOffset=-7, opacity=0.9
    )
    layers: list[AnyChart] = [
        ticks.encode(x=x, y="foot:Q", tooltip=[alt.Tooltip("seed:N"), alt.Tooltip("lr:Q", format=".2g")])
    ]
    median = section["jitter_lr"]["median"]
    if median is not None:
        one = alt.Chart(alt.InlineData(values=[{"lr": median, "text": f"jitter from {median:g}"}])).encode(x=x)
        layers.append(one.mark_rule(color=_MARK, strokeWidth=2, strokeDash=[5, 3]))
        layers.append(
            one.mark_text(color=_MARK, align="right", dx=-5, fontSize=12, fontWeight=600).encode(
                text="text:N", y=alt.value(8)
            )
        )
    return layers


def _overshoot_chart(section: Row) -> alt.LayerChart:
    x = _lr_axis(section)
    scale = alt.Scale(domain=[0, 1], nice=False)
    y = alt.Y("share:Q", title="share of updates", scale=scale, axis=alt.Axis(format="%", tickCount=5, minExtent=40))
    tips = [
        alt.Tooltip("lr:Q", format=".2g"), alt.Tooltip("share:Q", format=".0%"), alt.Tooltip("overshoots:Q"),
        alt.Tooltip("probed:Q"),
    ]  # fmt: skip
    pooled = _points(section, "share", pooled=True).encode(x=x)
    single = _points(section, "share", pooled=False).encode(x=x, y=y, detail="seed:N")
    layers: list[AnyChart] = [
        pooled.mark_area(color=GREY, opacity=0.25).encode(y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q")),
        single.mark_line(color=GREY, strokeWidth=0.7, strokeOpacity=0.6),
        pooled.mark_line(color=_INK, strokeWidth=2, point=alt.OverlayMarkDef(color=_INK, size=28)).encode(
            y=y, tooltip=tips
        ),
    ]
    return alt.LayerChart(layer=[*layers, *_marks(section, 0.0)], height=HEIGHT)


def _loss_chart(section: Row) -> alt.LayerChart:
    losses = [row["loss"] for row in section["curves"] if row["loss"] is not None]
    start = next(row["loss"] for row in section["curves"] if row["loss"] is not None)
    low, high = min([0.0, *losses]), min(max(losses), 2.5 * start)  # past its start the loss may grow without bound
    x = _lr_axis(section)
    scale = alt.Scale(domain=[low, high], nice=False, clamp=True)
    y = alt.Y("loss:Q", title="training loss (nats)", scale=scale, axis=alt.Axis(tickCount=5, minExtent=40))
    single = _points(section, "loss", pooled=False).encode(x=x, y=y, detail="seed:N")
    pooled = _points(section, "loss", pooled=True).encode(x=x, y=y, tooltip=[alt.Tooltip("loss:Q", format=".3g")])
    layers: list[AnyChart] = [
        single.mark_line(color=GREY, strokeWidth=0.7, strokeOpacity=0.6),
        pooled.mark_line(color=_INK, strokeWidth=2),
    ]
    return alt.LayerChart(layer=[*layers, *_marks(section, low)], height=HEIGHT)


def _survival_chart(section: Row) -> alt.LayerChart:
    """Cold and warmed, over the multiples of the jitter lr that were tried."""
    trials = section["trials"]
    rates = {trial["lr"]: fraction(round(trial["multiple"], 2)).replace(" times", "x") for trial in trials}
    rows = [
        {
            "x": trial["lr"] * (_APART if trial["start"] == "warmed" else 1 / _APART), "lr": trial["lr"],
            "line": _STARTS[trial["start"]], "share": trial["share"], "low": trial["survived"]["low"],
            "high": trial["survived"]["high"], "runs": f"{trial['survived']['count']} of {trial['survived']['total']}",
        }
        for trial in trials
    ]  # fmt: skip
    colour, dash, shape = line_scales(_LINES)
    scale = alt.Scale(type="log", domain=[min(rates) / 1.35, max(rates) * 1.35], nice=False)
    labels = "{" + ",".join(f"'{lr:g}': ['{lr:g}', '{name}']" for lr, name in rates.items()) + "}"
    axis = alt.Axis(
        values=sorted(rates), labelExpr=f"{labels}[format(datum.value, '~g')] || ''", grid=False, labelOverlap=False
    )
    x = alt.X("x:Q", title="peak learning rate, and multiple of the jitter lr", scale=scale, axis=axis)
    span = alt.Scale(domain=[0, 1], nice=False)
    y = alt.Y("share:Q", title="share of runs", scale=span, axis=alt.Axis(format="%", tickCount=5, minExtent=40))
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour)
    tips = [alt.Tooltip("line:N", title="start"), alt.Tooltip("lr:Q", format=".2g"), alt.Tooltip("runs:N")]
    layers: list[AnyChart] = [
        base.mark_line(strokeWidth=1.5, strokeOpacity=0.7).encode(y=y, strokeDash=dash),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=span), y2=alt.Y2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=y, shape=shape, tooltip=tips),
    ]
    return alt.LayerChart(layer=layers, height=HEIGHT)
