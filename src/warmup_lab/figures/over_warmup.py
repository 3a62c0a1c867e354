"""The figures of a report, drawn from what `comparison.json` holds: oscillation, quality and learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import altair as alt

from warmup_lab.figures.charts import GREY, HEIGHT, AnyChart, Cell, Figure, frame, interval_chart, place
from warmup_lab.figures.layout import Layout, Row
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
