"""The figure of final quality over warmup length: the primary metric, its difference from the reference, the rest."""

from __future__ import annotations

from functools import partial

import altair as alt

from warmup_lab.figures.charts import HEIGHT, AnyChart
from warmup_lab.figures.figure import Figure
from warmup_lab.figures.layout import Layout, Row
from warmup_lab.figures.over_warmup import Column, capitalized, draw_columns, metric_column, with_unit
from warmup_lab.figures.palette import GREY

_SCORES = ("eval_loss", "eval_accuracy")


def quality_columns(primary: Row) -> list[Column]:
    """The difference of the primary metric from the reference, the metric itself, and the usual scores."""
    metric = primary["metric"]
    difference = Column(
        f"{capitalized(primary['title'])}, minus the reference",
        with_unit("difference", primary["unit"]),
        partial(difference_from_reference, metric),
        decorate=partial(_with_margin, margin=primary["margin"]),
    )
    return [difference, *map(metric_column, dict.fromkeys((metric, *_SCORES)))]


def difference_from_reference(metric: str, arm: Row) -> Row:
    """Mean paired difference of an arm from its reference, with its interval; 0 for the reference itself.

    Over all seeds if `comparison.json` has that, as for losses and scores; otherwise where both learned.
    """
    found = arm["metrics"][metric]
    of = "_of_all" if "mean_of_all" in found else ""
    low, high = found.get(f"difference_interval{of}") or (None, None)
    is_reference = arm["verdict"]["value"] == "reference" and found[f"mean{of}"] is not None
    return {"mean": 0.0 if is_reference else found.get(f"difference{of}"), "low": low, "high": high}


def quality_figure(primary: Row, layout: Layout) -> Figure:
    """`primary` is the section of `comparison.json`."""
    band = " Grey band: the stated margin; smaller differences do not matter." if primary["margin"] else ""
    note = (
        "Losses and scores count all seeds: a run that failed to learn counts as guessing. Other metrics are means "
        "where both arms learned. Differences are paired by seed. The 95 % t-intervals are not adjusted for the number "
        "of arms; the verdicts are. Horizontal line: the reference. Hollow marker: some runs of the arm failed."
    )
    rows = draw_columns(quality_columns(primary), layout)
    return Figure("quality", "Final quality versus warmup length", note + band, rows, layout.lines)


def _with_margin(chart: AnyChart, margin: float | None) -> alt.LayerChart:
    """The chart over a line at zero and a band of the margin, if there is one."""
    bounds = alt.Chart(alt.InlineData(values=[{"zero": 0, "low": -(margin or 0), "high": margin or 0}]))
    band = bounds.mark_rect(color=GREY, opacity=0.13).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    line = bounds.mark_rule(color=GREY, strokeWidth=1).encode(y=alt.Y("zero:Q"))
    return alt.LayerChart(layer=[*([band] if margin else []), line, chart], height=HEIGHT)
