"""The figure of a sweep over learning rates: final loss and failures over lr and warmup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import altair as alt

from warmup_lab.figures.charts import (
    GREY,
    HEIGHT,
    AnyChart,
    Cell,
    Figure,
    font_size,
    interval_chart,
    place,
    style,
    warmup_axis,
)
from warmup_lab.figures.layout import Layout, Row, unique

# ------------------------------------------------------------------------------------------- over lr as well


def learning_rate_figure(comparison: Row, layout: Layout) -> Figure:
    """The largest lr that still learns, then final loss and failure rate over lr and warmup."""
    kinds = unique(arm["kind"] for arm in layout.arms) if len({arm["lr"] for arm in layout.arms}) > 1 else []
    losses = [loss for arm in layout.arms if (loss := _final_loss(arm)) is not None]
    span = [min(losses), max(losses)] if losses else [0.0, 1.0]
    rows = [
        [
            Cell(f"Final evaluation loss (nats) · {kind}", _heatmap(layout, kind, _final_loss, span, ".3g")),
            Cell(f"Runs that failed to learn · {kind}", _heatmap(layout, kind, _failed_share, [0, 1], ".0%")),
        ]
        for kind in kinds
    ]
    largest = _largest_lr_chart(comparison["largest_lr"], layout, kinds) if kinds else []
    rows = [[Cell("Largest learning rate at which every run learned", chart)] for chart in largest] + rows
    note = (
        "Loss: mean over the runs that learned, grey where none did. Arrow: it is the largest lr that was tried, and "
        "the limit may lie higher. Cross: at no lr that was tried did every run learn."
    )
    return Figure("learning_rate", "Learning rate and warmup together", note, rows, kinds if largest else [])


def _final_loss(arm: Row) -> float | None:
    mean: float | None = arm["metrics"].get("eval_loss", {}).get("mean")
    return mean


def _failed_share(arm: Row) -> float | None:
    share: float | None = arm["failed"]["share"]
    return share


def _heatmap(
    layout: Layout, kind: str, read: Callable[[Row], float | None], span: list[float], number: str
) -> alt.LayerChart:
    """A number over warmup and lr: dark is high; grey where there is none."""
    middle = (span[0] + span[1]) / 2
    rows = [
        {
            "length": layout.lengths.index(arm["warmup_steps"]),
            "lr": f"{arm['lr']:g}",
            "arm": arm["name"],
            "value": value,
            "text": "none" if value is None else format(value, number),
            "ink": "#ffffff" if value is not None and value > middle else "#111827",
        }
        for arm in layout.arms
        if arm["kind"] == kind
        for value in [read(arm)]
    ]
    axis = warmup_axis(layout, domain=False, ticks=False)
    rates = [f"{lr:g}" for lr in sorted({arm["lr"] for arm in layout.arms}, reverse=True)]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("length:O", axis=axis),
        y=alt.Y("lr:O", sort=rates, title="peak learning rate", axis=alt.Axis(domain=False, ticks=False)),
    )
    scale = alt.Scale(domain=span, range=["#e8f1f8", "#56a3d0", "#0b4f7d"], interpolate="lab")
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="value")]
    empty = base.mark_rect(stroke="#ffffff", strokeWidth=2, color="#d1d5db")
    cells = base.mark_rect(stroke="#ffffff", strokeWidth=2).transform_filter("isValid(datum.value)")
    cells = cells.encode(color=alt.Color("value:Q", scale=scale, legend=None), tooltip=tips)
    text = base.mark_text(fontSize=font_size(layout)).encode(
        text="text:N", fill=alt.Fill("ink:N", scale=None, legend=None)
    )
    return alt.LayerChart(layer=[empty, cells, text], height=60 + 34 * len(rates))


def _largest_lr_chart(found: list[Row], layout: Layout, kinds: list[str]) -> list[AnyChart]:
    """The largest lr that learns over warmup length, a line a kind; empty where no lr did."""
    names = ("scheduler", "warmup", "setting", "total_steps", "warmup_steps")
    largest = {tuple(row[name] for name in names): row for row in found}
    if all(row["lr"] is None for row in found):
        return []
    arms = {tuple(arm[name] for name in names): arm for arm in layout.arms}
    over_all = replace(layout, arms=[arm | {"panel": "", "line": arm["kind"]} for arm in arms.values()], lines=kinds)
    numbers = [
        {
            "mean": row["lr"],
            "low": None,
            "high": None,
            "arm": arm["kind"],
            "at_edge": row["at_edge"],
            "learned": "all" if row["lr"] else "not all at any lr",
            "cross": row["lr"] is None,
            "fill": style(kinds.index(arm["kind"]))[0],
        }
        for key, arm in arms.items()
        for row in [largest[key]]
    ]
    rates = sorted({arm["lr"] for arm in layout.arms})
    domain = [rates[0] / 1.5, rates[-1] * 1.5]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    axis = alt.Axis(values=rates, format="~g", minExtent=40)
    y = alt.Y("mean:Q", title="peak learning rate", scale=scale, axis=axis)
    rows = place(over_all, "", numbers)
    chart = interval_chart(rows, over_all, y, domain[0])
    edges = alt.Chart(alt.InlineData(values=[row for row in rows if row["at_edge"]])).encode(x="x:Q", y="mean:Q")
    arrows = edges.mark_point(
        shape="M0,-2L1,0H.2V2H-.2V0H-1Z", size=25, filled=True, color=GREY, opacity=1, yOffset=-15
    )
    return [alt.LayerChart(layer=[chart, arrows], height=HEIGHT)]
