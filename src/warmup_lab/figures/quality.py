"""The figure of final quality over warmup length: the primary metric, its difference from the reference, the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import altair as alt

from warmup_lab.figures.charts import HEIGHT, AnyChart, chart_of
from warmup_lab.figures.column_charts import draw_columns
from warmup_lab.figures.figure import Figure
from warmup_lab.figures.layout import Layout, Row
from warmup_lab.figures.oscillation import DETAILS
from warmup_lab.figures.over_warmup import (
    Column,
    capitalized,
    metric_column,
    shown_interval,
    with_unit,
)
from warmup_lab.figures.palette import GREY
from warmup_lab.figures.seed_dots import NO_SEEDS, SeedValues
from warmup_lab.metrics import ROUGHNESS

SCORES = ("eval_loss", "eval_accuracy")
_BAND = "Grey band: the stated margin; smaller differences do not matter."
_PAIRED_OF_ALL = "Differences are paired by seed, over all seeds; a run that failed to learn counts as guessing."
_PAIRED_OF_LEARNED = "Differences are paired by seed, where both arms learned."


def drawn_metrics(primary: str) -> list[str]:
    """The metrics whose seeds are drawn: the primary one, the usual scores and all oscillations."""
    return list(dict.fromkeys((primary, *SCORES, *ROUGHNESS, *DETAILS)))


def quality_columns(primary: Row, seeds: SeedValues = NO_SEEDS) -> list[Column]:
    """The difference of the primary metric from the reference, the metric itself, and the usual scores."""
    metric = primary["metric"]
    difference = Column(
        f"{capitalized(primary['title'])}, minus the reference",
        with_unit("difference", primary["unit"]),
        partial(difference_from_reference, metric),
        partial(seen_differences, unit=primary["unit"]),
        seeds.minus_reference(metric),
        seeds,
        decorate=partial(_with_margin, margin=primary["margin"]),
        notes=("Horizontal line: the reference.", *([_BAND] if primary["margin"] else [])),
    )
    return [difference, *(metric_column(name, seeds) for name in dict.fromkeys((metric, *SCORES)))]


def seen_differences(rows: Sequence[Row], unit: str) -> str:
    """`From -0.03 to +0.28 nats`: the range of the differences."""
    known = [row["mean"] for row in rows if row["mean"] is not None]
    ends = list(dict.fromkeys(f"{value:+.2g}" if value else "0" for value in (min(known), max(known)))) if known else []
    if len(known) == 1 and known[0] == 0:
        return "Only the reference has results"
    unit = "" if " " in unit else unit  # a long one is on the axis
    return f"{'From ' * (len(ends) > 1)}{' to '.join(ends)} {unit}".strip() if ends else "No pair of runs"


def difference_from_reference(metric: str, arm: Row) -> Row:
    """Mean paired difference of an arm from its reference, with its interval; 0 for the reference itself.

    Over all seeds if `comparison.json` has that, as for losses and scores; otherwise where both learned.
    """
    found = arm["metrics"][metric]
    of = "_of_all" if "mean_of_all" in found else ""
    shown = shown_interval(found.get(f"difference_interval{of}"), found.get(f"num_pairs{of}", 0))
    is_reference = arm["verdict"]["value"] == "reference" and found[f"mean{of}"] is not None
    if is_reference:
        return shown | {"mean": 0.0, "few": None}
    return shown | {"mean": found.get(f"difference{of}"), "note": _PAIRED_OF_ALL if of else _PAIRED_OF_LEARNED}


def quality_figure(primary: Row, layout: Layout, seeds: SeedValues = NO_SEEDS) -> Figure:
    """`primary` is the section of `comparison.json`."""
    note = "The intervals are not adjusted for the number of arms; the verdicts are."
    rows = draw_columns(quality_columns(primary, seeds), layout)
    return Figure("quality", "Final quality versus warmup length", note, rows, layout.lines)


def _with_margin(chart: AnyChart, margin: float | None) -> alt.LayerChart:
    """The chart over a line at zero and a band of the margin, if there is one."""
    bounds = chart_of([{"zero": 0, "low": -(margin or 0), "high": margin or 0}])
    band = bounds.mark_rect(color=GREY, opacity=0.13).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    line = bounds.mark_rule(color=GREY, strokeWidth=1).encode(y=alt.Y("zero:Q"))
    return alt.LayerChart(layer=[*([band] if margin else []), line, chart], height=HEIGHT)
