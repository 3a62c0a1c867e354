"""The figure of a sweep over learning rates: the largest lr that still learns, final loss and failures."""

from __future__ import annotations

from dataclasses import replace

import altair as alt

from warmup_lab.figures.charts import HEIGHT
from warmup_lab.figures.figure import Cell, Figure
from warmup_lab.figures.layout import Layout, Row, unique
from warmup_lab.figures.over_warmup import font_size, interval_chart, warmup_axis, warmup_table
from warmup_lab.figures.palette import GREY, INK, WHITE, style

_KEY = ("scheduler", "warmup", "setting", "total_steps", "warmup_steps")
_ARROW = "M0,-2L1,0H.2V2H-.2V0H-1Z"

# --- numbers


def heatmap_table(layout: Layout) -> list[Row]:
    """A row per arm: its `kind`, `length` (index of the warmup length), `lr`, `loss` and `failed` share.

    `loss` is the mean final evaluation loss of all runs, failed ones as guessing. Both numbers may be None.
    """
    return [
        {
            "kind": arm["kind"],
            "length": layout.lengths.index(arm["warmup_steps"]),
            "lr": f"{arm['lr']:g}",
            "arm": arm["name"],
            "loss": _mean_loss(arm["metrics"].get("eval_loss", {})),
            "failed": arm["failed"]["share"],
        }
        for arm in layout.arms
    ]


def _mean_loss(found: Row) -> float | None:
    mean: float | None = found.get("mean_of_all", found.get("mean"))
    return mean


def largest_lr_table(largest: list[Row], layout: Layout) -> list[Row]:
    """`warmup_table` of the largest lr at which every run learned, a line per kind.

    `largest` is the section `largest_lr` of `comparison.json`. `at_edge`: no larger lr was tried.
    `mean` is None if some run failed at every lr that was tried.
    """
    found = {tuple(row[name] for name in _KEY): row for row in largest}
    kinds = unique(arm["kind"] for arm in layout.arms)

    def read(arm: Row) -> Row:
        row = found[tuple(arm[name] for name in _KEY)]
        return {
            "mean": row["lr"],
            "low": None,
            "high": None,
            "arm": arm["kind"],
            "at_edge": row["at_edge"],
            "learned": "all" if row["lr"] else "not all at any lr",
            "cross": row["lr"] is None,
            "fill": style(kinds.index(arm["kind"]))[0],
        }

    return warmup_table(_over_all_rates(layout), read)


def _over_all_rates(layout: Layout) -> Layout:
    """One arm for all learning rates of a warmup, in one panel with a line per kind."""
    arms = {tuple(arm[name] for name in _KEY): arm for arm in layout.arms}
    kinds = unique(arm["kind"] for arm in layout.arms)
    placed = [arm | {"panel": "", "line": arm["kind"]} for arm in arms.values()]
    return replace(layout, arms=placed, panels=[""], lines=kinds)


# --- drawing


def learning_rate_figure(largest: list[Row], layout: Layout) -> Figure:
    """Empty if the sweep has only one learning rate."""
    kinds = unique(arm["kind"] for arm in layout.arms) if layout.several_lrs else []
    table = heatmap_table(layout)
    losses = [row["loss"] for row in table if row["loss"] is not None]
    span = [min(losses), max(losses)] if losses else [0.0, 1.0]
    rows = [
        [
            Cell(f"Final evaluation loss (nats) · {kind}", _heatmap(cells, "loss", span, layout)),
            Cell(f"Runs that failed to learn · {kind}", _heatmap(cells, "failed", [0.0, 1.0], layout)),
        ]
        for kind in kinds
        for cells in [[row for row in table if row["kind"] == kind]]
    ]
    has_largest = bool(kinds) and any(row["lr"] is not None for row in largest)
    if has_largest:
        chart = _largest_lr_chart(largest_lr_table(largest, layout), layout)
        rows = [[Cell("Largest learning rate at which every run learned", chart)], *rows]
    note = (
        "Loss: mean over all runs; a run that failed to learn counts as guessing. Grey: no finished run. Arrow: the "
        "largest learning rate tried, so the limit may be higher. Cross: some run failed at every learning rate tried."
    )
    return Figure("learning_rate", "Learning rate and warmup together", note, rows, kinds if has_largest else [])


def _heatmap(cells: list[Row], number: str, span: list[float], layout: Layout) -> alt.LayerChart:
    """A number over warmup and lr: dark is high, grey is missing."""
    middle, form = (span[0] + span[1]) / 2, ".3g" if number == "loss" else ".0%"
    rows = [
        {name: cell[name] for name in ("length", "lr", "arm")}
        | {
            "value": value,
            "text": "none" if value is None else format(value, form),
            "ink": WHITE if value is not None and value > middle else INK,
        }
        for cell in cells
        for value in [cell[number]]
    ]
    rates = [f"{lr:g}" for lr in sorted({arm["lr"] for arm in layout.arms}, reverse=True)]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("length:O", axis=warmup_axis(layout, domain=False, ticks=False)),
        y=alt.Y("lr:O", sort=rates, title="peak learning rate", axis=alt.Axis(domain=False, ticks=False)),
    )
    scale = alt.Scale(domain=span, range=["#e8f1f8", "#56a3d0", "#0b4f7d"], interpolate="lab")
    tips = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="value")]
    empty = base.mark_rect(stroke=WHITE, strokeWidth=2, color="#d1d5db")
    filled = base.mark_rect(stroke=WHITE, strokeWidth=2).transform_filter("isValid(datum.value)")
    filled = filled.encode(color=alt.Color("value:Q", scale=scale, legend=None), tooltip=tips)
    ink = alt.Fill("ink:N", scale=None, legend=None)
    text = base.mark_text(fontSize=font_size(layout)).encode(text="text:N", fill=ink)
    return alt.LayerChart(layer=[empty, filled, text], height=60 + 34 * len(rates))


def _largest_lr_chart(table: list[Row], layout: Layout) -> alt.LayerChart:
    """The largest lr that learns over warmup length, with an arrow where no larger one was tried."""
    rates = sorted({arm["lr"] for arm in layout.arms})
    domain = [rates[0] / 1.5, rates[-1] * 1.5]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    axis = alt.Axis(values=rates, format="~g", minExtent=40)
    y = alt.Y("mean:Q", title="peak learning rate", scale=scale, axis=axis)
    chart = interval_chart(table, _over_all_rates(layout), y, domain[0])
    edges = alt.Chart(alt.InlineData(values=[row for row in table if row["at_edge"]])).encode(x="x:Q", y="mean:Q")
    arrows = edges.mark_point(shape=_ARROW, size=25, filled=True, color=GREY, opacity=1, yOffset=-15)
    return alt.LayerChart(layer=[chart, arrows], height=HEIGHT)
