"""The figure of schedules: learning rate over updates. It needs a plan, not a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from warmup_lab.figures.charts import number_axis
from warmup_lab.figures.palette import COLOURS, GREY

if TYPE_CHECKING:
    from warmup_lab.figures.charts import AnyChart
    from warmup_lab.plan import Plan

_BLOCKS = " ▁▂▃▄▅▆▇█"

# --- numbers


def schedule_table(plans: Mapping[str, Plan]) -> pd.DataFrame:
    """`step`, `lr`, `schedule` and `warmup_steps`: a row per update of each plan."""
    return pd.concat(
        pd.DataFrame(
            {
                "step": range(plan.total_steps),
                "lr": [plan.config.optimizer.lr * plan.multiplier(step) for step in range(plan.total_steps)],
                "schedule": name,
                "warmup_steps": plan.warmup_steps,
            }
        )
        for name, plan in plans.items()
    )


# --- drawing


def schedule_chart(table: pd.DataFrame, title: str = "") -> AnyChart:
    """A panel per schedule, all on the same axes. A dotted line marks the end of the warmup."""
    names = list(dict.fromkeys(table["schedule"]))
    x = alt.X("step:Q", title="update", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=4))
    y = alt.Y("lr:Q", title="learning rate", axis=number_axis(tickCount=4, minExtent=0))
    line = alt.Chart().mark_line(strokeWidth=2.5, color=COLOURS[0]).encode(x=x, y=y)
    end = alt.Chart().mark_rule(strokeDash=[2, 3], color=GREY).encode(x=x)
    end = end.transform_filter("datum.step == datum.warmup_steps && datum.step > 0")
    layers: Any = alt.layer(end, line, data=table)
    if len(names) == 1:
        single: alt.LayerChart = layers.properties(width=560, height=260, title=names[0])
        return single
    expression = "split(datum.label, ', ')"  # a second line for options
    header = alt.Header(labelExpr=expression, labelFontSize=12, labelFontWeight="bold", labelLineHeight=14)
    panel = alt.Facet("schedule:N", title=None, sort=names, header=header)
    columns: alt.FacetChart = layers.properties(width=205, height=84).facet(panel, columns=4, title=title)
    return columns


def small_chart(table: pd.DataFrame) -> alt.Chart:
    """One schedule as a small picture for a table: no axes, from 0 to the peak."""
    peak = float(table["lr"].max())
    hidden = alt.Scale(nice=False, domain=[0, peak])
    picture: alt.Chart = (
        alt.Chart(table)
        .mark_area(line={"color": COLOURS[0], "strokeWidth": 2}, color=COLOURS[0], fillOpacity=0.15)
        .encode(x=alt.X("step:Q", axis=None, scale=alt.Scale(nice=False)), y=alt.Y("lr:Q", axis=None, scale=hidden))
        .properties(width=130, height=42)
        .configure_view(stroke=None)
    )
    return picture


def text_bars(multipliers: Sequence[float], width: int = 72) -> str:
    """The schedule as one line of at most `width` block characters.

    >>> text_bars([0.0, 0.5, 1.0, 0.5, 0.0])
    ' ▄█▄ '
    """
    num = min(width, len(multipliers))
    sampled = [multipliers[i * (len(multipliers) - 1) // max(1, num - 1)] for i in range(num)]
    return "".join(_BLOCKS[round(value * (len(_BLOCKS) - 1))] for value in sampled)
