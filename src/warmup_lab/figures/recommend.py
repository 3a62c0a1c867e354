"""The figure of a recommendation: the result over the learning rates, with and without warmup, and the ramps."""

from __future__ import annotations

from typing import Any

import altair as alt

from warmup_lab.figures.charts import HEIGHT, AnyChart, line_scales, number_axis, number_tip
from warmup_lab.figures.figure import Cell, Figure
from warmup_lab.figures.layout import Row
from warmup_lab.figures.palette import ACCENT, GREY, INK

_LINES = {"without": "without warmup", "with": "with warmup"}

# --- numbers


def grid_table(section: Row) -> list[Row]:
    """A row per lr and start with a finished run: `line`, `lr`, `mean`, and `failed` such as `1/3 failed`, or ''."""
    return [
        {"line": _LINES[row["start"]], "lr": row["lr"], "mean": row["mean"], "failed": _failed(row["failed"])}
        for row in section["grid"]
        if row["mean"] is not None
    ]


def seed_table(section: Row) -> list[Row]:
    """A row per run of the grid: `line`, `lr`, `seed`, `value`."""
    return [
        {"line": _LINES[row["start"]], "lr": row["lr"], "seed": int(seed), "value": value}
        for row in section["grid"]
        for seed, value in row["values"].items()
    ]


def _failed(failed: Row) -> str:
    return f"{failed['count']}/{failed['total']} failed" if failed["count"] else ""


def seen_grid(section: Row) -> str:
    """`Best at lr 0.001 with warmup: 0.32`, the rate that was chosen."""
    choice = section["choice"]
    if choice["all_failed"]:
        return "Most runs failed at every lr"
    own = next(row for row in section["grid"] if (row["lr"], row["start"]) == (choice["lr"], choice["start"]))
    return f"Best at lr {own['lr']:g} {_LINES[own['start']]}: {own['mean']:.3g}"


def seen_ramp(section: Row) -> str:
    """Where the loss breaks."""
    lr = section["ramp"]["lr"]
    return "No break is visible on the ramps" if lr is None else f"The loss breaks at lr {lr:.2g}"


# --- drawing


def recommend_figure(section: Row | None) -> Figure:
    """Empty for a sweep that is no recommendation, and before a ramp has finished."""
    cells = []
    if section is not None and section["choice"]:
        title, unit = section["title"]
        what = f"Mean {title}{f' ({unit})' if unit else ''} over the learning rate"
        cells.append(Cell(seen_grid(section), _grid_chart(section), what))
    if section is not None and section["ramp"]:
        cells.append(Cell(seen_ramp(section), _ramp_chart(section), "Training loss along the ramps"))
    lines = list(_LINES.values()) if section is not None and section["choice"] else []
    note = _note(section) if section is not None else ""
    return Figure("recommend", "Which learning rate", note, [cells] if cells else [], lines)


def _note(section: Row) -> str:
    """Says only what is drawn."""
    text = []
    if section["choice"]:
        text.append(
            "First chart: dots are single runs on the seeds that chose the lr, lines their means; a failed run counts "
            "as guessing."
        )
    if section["ramp"]:
        text.append("Ramps: the lr grows at every update; a line is one seed.")
    if _breaks(section):
        text.append("Dashed: the lr at which the loss breaks, that is rises again; the median over the seeds.")
    return " ".join(text)


def _grid_chart(section: Row) -> alt.LayerChart:
    lines = list(_LINES.values())
    colour, dash, shape = line_scales(lines)
    lrs = [row["lr"] for row in section["grid"]]
    x = _lr_axis([*lrs, *_breaks(section)], values=sorted(set(lrs)))
    label = section["title"][1] or section["title"][0]
    y = alt.Y("mean:Q", title=label, scale=alt.Scale(zero=False), axis=number_axis())
    tips = [alt.Tooltip("line:N", title="start"), number_tip("lr"), number_tip("mean"), alt.Tooltip("failed:N")]
    seeds = [alt.Tooltip("line:N", title="start"), number_tip("lr"), alt.Tooltip("seed:N"), number_tip("value")]
    means = _chart_of(grid_table(section)).encode(x=x, color=colour)
    runs = _chart_of(seed_table(section)).encode(x=x, color=colour)
    layers: list[AnyChart] = [
        means.mark_line(strokeWidth=1.8).encode(y=y, strokeDash=dash),
        runs.mark_circle(size=22, opacity=0.45).encode(y=alt.Y("value:Q"), tooltip=seeds),
        means.mark_point(size=60, filled=True, opacity=1).encode(y=y, shape=shape, tooltip=tips),
    ]
    for line, offset in zip(lines, (-11, 13), strict=True):
        rows = [row for row in grid_table(section) if row["line"] == line and row["failed"]]
        text = _chart_of(rows).mark_text(dy=offset, fontSize=10)
        layers += [text.encode(x=x, y=y, color=colour, text="failed:N")] if rows else []
    return alt.LayerChart(layer=[*layers, *_break_marks(section, x)], height=HEIGHT)


def _ramp_chart(section: Row) -> alt.LayerChart:
    rows = section["ramp_curves"]
    x = _lr_axis([row["lr"] for row in rows])
    # The loss of a broken ramp may be huge, and what matters is the fall before it.
    start = max(row["loss"] for row in rows if row["lr"] == min(one["lr"] for one in rows))
    low = min(row["loss"] for row in rows)
    scale = alt.Scale(domain=[min(low, 0.9 * start), 2 * start - min(low, 0.9 * start)], nice=False, clamp=True)
    y = alt.Y("loss:Q", title="training loss (nats)", scale=scale, axis=number_axis())
    tips = [alt.Tooltip("seed:N"), number_tip("lr"), number_tip("loss")]
    ramps = _chart_of(rows).mark_line(color=GREY, strokeWidth=1.2, point=alt.OverlayMarkDef(color=INK, size=12))
    layer = [ramps.encode(x=x, y=y, detail="seed:N", tooltip=tips), *_break_marks(section, x)]
    return alt.LayerChart(layer=layer, height=HEIGHT)


def _breaks(section: Row) -> list[float]:
    return [section["ramp"]["lr"]] if section["ramp"] and section["ramp"]["lr"] else []


def _break_marks(section: Row, x: alt.X) -> list[AnyChart]:
    """The lr at which the loss breaks as a vertical line."""
    breaks = _breaks(section)
    if not breaks:
        return []
    base = _chart_of([{"lr": breaks[0], "text": "break"}]).encode(x=x)
    text = base.mark_text(color=ACCENT, align="right", baseline="top", dx=-5, fontSize=12, fontWeight=600)
    rule = base.mark_rule(color=ACCENT, strokeWidth=2, strokeDash=[5, 3])
    return [rule, text.encode(text="text:N", y=alt.value(8))]


def _lr_axis(lrs: list[float], **more: Any) -> alt.X:
    scale = alt.Scale(type="log", domain=[min(lrs) / 1.2, max(lrs) * 1.2], nice=False, clamp=True)
    return alt.X(
        "lr:Q",
        title="learning rate",
        scale=scale,
        axis=number_axis(grid=False, labelOverlap="greedy", labelSeparation=6, **more),
    )


def _chart_of(rows: list[Row]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows))
