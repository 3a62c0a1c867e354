"""The figures of a report, drawn from what `comparison.json` holds: oscillation, quality and learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import altair as alt

from warmup_lab.charts import (
    GREY,
    HEIGHT,
    AnyChart,
    Cell,
    Figure,
    Layout,
    Row,
    font_size,
    frame,
    interval_chart,
    place,
    style,
    unique,
    warmup_axis,
)
from warmup_lab.metrics import metric_words

_DETAILS = ("early/roughness", "late/roughness", "whole/max_rise", "whole/spike_rate", "excess", "updates_to_target")


def _mean_of(metric: str) -> Callable[[Row], Row]:
    """An arm's mean of a metric, with its interval."""

    def read(arm: Row) -> Row:
        found = arm["metrics"].get(metric, {})
        low, high = found.get("interval") or (None, None)
        return {"mean": found.get("mean"), "low": low, "high": high}

    return read


def _difference_of(metric: str) -> Callable[[Row], Row]:
    """An arm's difference from its reference, with its interval; 0 for the reference itself."""

    def read(arm: Row) -> Row:
        found = arm["metrics"][metric]
        low, high = found.get("difference_interval") or (None, None)
        is_reference = arm["verdict"]["value"] == "reference" and found["num_runs"] > 0
        return {"mean": 0.0 if is_reference else found.get("difference"), "low": low, "high": high}

    return read


def _failure_rate(arm: Row) -> Row:
    failed = arm["failed"]
    return {"mean": failed["share"], "low": failed["low"], "high": failed["high"], "cross": False}


def _column(
    layout: Layout, title: str, unit: str, read: Callable[[Row], Row], *, fixed: list[float] | None = None
) -> list[AnyChart]:
    """The same chart for every panel, on one scale; empty where no arm has a number."""
    rows = {panel: place(layout, panel, map(read, layout.of(panel))) for panel in layout.panels}
    every = [row for panel in rows.values() for row in panel]
    if all(row["mean"] is None for row in every):
        return []
    domain = fixed or frame(every)
    axis = alt.Axis(format="%" if fixed else "~g", tickCount=5, minExtent=40)
    words = f"{title} ({unit})" if unit else title
    y = alt.Y("mean:Q", title=words, scale=alt.Scale(domain=domain, nice=False, clamp=True), axis=axis)
    return [interval_chart(found, layout, y, domain[0]) for found in rows.values()]


def _cells(layout: Layout, columns: Sequence[tuple[str, list[AnyChart]]]) -> list[list[Cell]]:
    """Rows of cells, a row a panel, of columns of charts; the panel's name stands in every title."""
    titled = [(title, charts) for title, charts in columns if charts]
    return [
        [Cell(f"{title} · {panel}" if panel else title, charts[index]) for title, charts in titled]
        for index, panel in enumerate(layout.panels)
        if titled
    ]


def _metric_column(layout: Layout, metric: str) -> tuple[str, list[AnyChart]]:
    title, unit = metric_words(metric)
    short = metric.rpartition("/")[2].replace("_", " ")
    return _capital(title), _column(layout, short, unit, _mean_of(metric))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---------------------------------------------------------------------------------------------- the figures


def oscillation_figure(layout: Layout) -> Figure:
    """Roughness over warmup length, whole and at matched loss, with the failure rate beside it."""
    failures = _column(layout, "share of runs", "", _failure_rate, fixed=[-0.02, 1.02])
    columns = [
        _metric_column(layout, "whole/roughness"),
        ("Failure rate", failures),
        _metric_column(layout, "matched/roughness"),
    ]
    note = (
        "Mean over the runs that learned, with its 95 % t-interval; failure rates with their 95 % Wilson interval. "
        "Hollow: some runs of the arm failed to learn. Cross: none learned, so it has no number, and is not calm. "
        "Intervals that leave the frame are cut."
    )
    return Figure("oscillation", "Oscillation versus warmup length", note, _cells(layout, columns), layout.lines)


def detail_figure(layout: Layout) -> Figure:
    """The other measures of oscillation."""
    columns = [_metric_column(layout, metric) for metric in _DETAILS]
    note = "As above: means over the runs that learned, 95 % t-intervals, hollow where runs of the arm failed."
    return Figure("oscillation_detail", "Other measures of oscillation", note, _cells(layout, columns), layout.lines)


def quality_figure(comparison: Row, layout: Layout) -> Figure:
    """The primary metric and its difference from the reference, then the usual scores."""
    primary = comparison["primary"]
    metric, unit = primary["metric"], primary["unit"]
    differences = _column(layout, "difference", unit, _difference_of(metric))
    marked: list[AnyChart] = [_with_margin(chart, primary["margin"]) for chart in differences]
    others = [name for name in ("eval_loss", "eval_accuracy") if name != metric]
    columns: list[tuple[str, list[AnyChart]]] = [
        (f"{_capital(primary['title'])}, minus the reference", marked),
        *(_metric_column(layout, name) for name in (metric, *others)),
    ]
    note = (
        "Differences are paired by seed, over the seeds at which both arms learned; 95 % t-intervals, not adjusted for "
        "the number of arms (the verdicts are). The line is the reference"
    )
    note += ", the band the margin within which a difference does not matter." if primary["margin"] else "."
    return Figure("quality", "Final quality versus warmup length", note, _cells(layout, columns), layout.lines)


def _with_margin(chart: AnyChart, margin: float | None) -> alt.LayerChart:
    """The chart over a line at zero and, where one was stated, the band of the margin."""
    bounds = alt.Chart(alt.InlineData(values=[{"zero": 0, "low": -(margin or 0), "high": margin or 0}]))
    band = bounds.mark_rect(color=GREY, opacity=0.13).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    line = bounds.mark_rule(color=GREY, strokeWidth=1).encode(y=alt.Y("zero:Q"))
    return alt.LayerChart(layer=[*([band] if margin else []), line, chart], height=HEIGHT)


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
