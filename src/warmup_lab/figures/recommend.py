"""The figure of a recommendation: the result over the learning rates, with and without warmup, and the ramps."""

from __future__ import annotations

from typing import Literal

import altair as alt

from warmup_lab.figures.charts import HEIGHT, AnyChart, chart_of, line_scales, lr_axis, lr_mark, number_axis, number_tip
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import Row
from warmup_lab.figures.palette import ACCENT, GREY, INK, WHITE, style

_LINES = {"without": "without warmup", "with": "with warmup"}
_ALIGN: dict[str, Literal["left", "right"]] = {_LINES["without"]: "right", _LINES["with"]: "left"}
"""Marks and labels of the two starts are to the left and to the right of their lr, so labels keep clear of a break."""
_SHIFT = 0.015
"""Half of the distance between the two starts at one lr, as a share of the axis, so that both show."""

# --- numbers


def grid_table(section: Row) -> list[Row]:
    """A row per lr and start with a finished run: `line`, `lr`, `x` (its position), `mean`, `failed`, `fill`.

    `failed` is such as `1/3`, or '' if no run failed. `fill` is white if one did.
    """
    known = [row for row in section["grid"] if row["mean"] is not None]
    return [
        {
            "line": _LINES[row["start"]],
            "lr": row["lr"],
            "x": _place(section, row),
            "mean": row["mean"],
            "failed": _failed(row["failed"]),
            "fill": WHITE if row["failed"]["count"] else style(list(_LINES).index(row["start"]))[0],
        }
        for row in known
    ]


def seed_table(section: Row) -> list[Row]:
    """A row per run of the grid: `line`, `lr`, `x`, `seed`, `value`."""
    return [
        {"line": _LINES[row["start"]], "lr": row["lr"], "x": _place(section, row), "seed": int(seed), "value": value}
        for row in section["grid"]
        for seed, value in row["values"].items()
    ]


def _place(section: Row, row: Row) -> float:
    """The lr, moved to the left without warmup and to the right with it."""
    lrs = [one["lr"] for one in section["grid"]]
    shift: float = (max(lrs) / min(lrs)) ** _SHIFT
    return float(row["lr"]) * shift if row["start"] == "with" else float(row["lr"]) / shift


def _failed(failed: Row) -> str:
    return f"{failed['count']}/{failed['total']}" if failed["count"] else ""


def seen_grid(section: Row) -> str:
    """`Best of 4 rates: lr 0.001`. With or without warmup is judged at other seeds, so the title leaves it open."""
    choice = section["choice"]
    if choice["all_failed"]:
        return "Most runs failed at every lr"
    rates = len(choice["lrs"])
    of = f"Best of {rates} rates" if rates > 1 else "The only rate"
    return f"{of}: lr {choice['lr']:.3g}"


def seen_ramp(section: Row) -> str:
    """Where the loss breaks."""
    ramp = section["ramp"]
    if ramp["lr"] is not None:
        return f"The loss breaks at lr {ramp['lr']:.2g}"
    num_broken = sum(seed["break_lr"] is not None for seed in ramp["seeds"])
    if num_broken:
        return f"The loss breaks on {num_broken} of {len(ramp['seeds'])} ramps only"
    return "No break is visible on the ramps"


# --- drawing


def recommend_figure(section: Row | None) -> Figure:
    """Empty for a sweep that is no recommendation, and before a ramp has finished."""
    cells = []
    if section is not None and section["choice"]:
        title, unit = section["title"]
        what = f"Mean {title}{f' ({unit})' if unit else ''} at the seeds that chose the learning rate"
        cells.append(Cell(seen_grid(section), _grid_chart(section), what, _grid_notes(section)))
    if section is not None and section["ramp"]:
        notes = notes_of((True, "Ramps: the lr grows at every update; a line is one seed."), *_break_note(section))
        cells.append(Cell(seen_ramp(section), _ramp_chart(section), "Training loss along the ramps", notes))
    lines = list(_LINES.values()) if section is not None and section["choice"] else []
    return Figure("recommend", "Which learning rate", "", [cells] if cells else [], lines)


def _grid_notes(section: Row) -> tuple[str, ...]:
    failed = any(row["failed"] for row in grid_table(section))
    dots = "Lines: means over these seeds. Dots: single runs."
    return notes_of(
        (True, dots),
        (failed, "Hollow, with a label such as 1/3: runs that failed to learn, which count as guessing."),
        *_break_note(section),
    )


def _break_note(section: Row) -> list[tuple[object, str]]:
    text = "Dashed: the lr at which the loss of the ramps breaks (rises again), the median over the seeds."
    return [(_breaks(section), text)]


def _grid_chart(section: Row) -> alt.LayerChart:
    lines = list(_LINES.values())
    colour, dash, shape = line_scales(lines)
    lrs = sorted({row["lr"] for row in section["grid"]})
    axis_lrs = [*lrs, *_breaks(section)]
    x = lr_axis("x", axis_lrs, ticks=lrs)
    label = section["title"][1] or section["title"][0]
    scale = alt.Scale(domain=_grid_range(section), nice=False)
    y = alt.Y("mean:Q", title=label, scale=scale, axis=number_axis())
    failed = alt.Tooltip("failed:N", title="runs that failed")
    tips = [alt.Tooltip("line:N", title="start"), number_tip("lr"), number_tip("mean"), failed]
    seeds = [alt.Tooltip("line:N", title="start"), number_tip("lr"), alt.Tooltip("seed:N"), number_tip("value")]
    means = chart_of(grid_table(section)).encode(x=x, color=colour)
    runs = chart_of(seed_table(section)).encode(x=x, color=colour)
    fill = alt.Fill("fill:N", scale=None, legend=None)
    layers: list[AnyChart] = [
        means.mark_line(strokeWidth=1.8).encode(y=y, strokeDash=dash),
        runs.mark_circle(size=22, opacity=0.45).encode(y=alt.Y("value:Q"), tooltip=seeds),
        means.mark_point(size=60, strokeWidth=2, opacity=1).encode(y=y, shape=shape, fill=fill, tooltip=tips),
    ]
    for line, align in _ALIGN.items():
        rows = [row for row in grid_table(section) if row["line"] == line and row["failed"]]
        text = chart_of(rows).mark_text(dy=-12, fontSize=10, align=align)
        layers += [text.encode(x=x, y=y, color=colour, text=alt.Text("failed:N"))] if rows else []
    return alt.LayerChart(
        layer=[*layers, *_break_marks(section, lr_axis("lr", axis_lrs, ticks=lrs), axis_lrs)], height=HEIGHT
    )


def _grid_range(section: Row) -> list[float]:
    """All runs, with room for labels above and below."""
    values = [row["value"] for row in seed_table(section)] + [row["mean"] for row in grid_table(section)]
    room = 0.12 * (max(values) - min(values)) or 1.0
    return [min(values) - room, max(values) + room]


def _ramp_chart(section: Row) -> alt.LayerChart:
    rows = section["ramp_curves"]
    lrs = [row["lr"] for row in rows]
    x = lr_axis("lr", lrs)
    # The loss of a broken ramp may be huge, and what matters is the fall before it.
    start = max(row["loss"] for row in rows if row["lr"] == min(one["lr"] for one in rows))
    low = min(row["loss"] for row in rows)
    scale = alt.Scale(domain=[min(low, 0.9 * start), 2 * start - min(low, 0.9 * start)], nice=False, clamp=True)
    y = alt.Y("loss:Q", title="training loss (nats)", scale=scale, axis=number_axis())
    tips = [alt.Tooltip("seed:N"), number_tip("lr"), number_tip("loss")]
    ramps = chart_of(rows).mark_line(color=GREY, strokeWidth=1.2, point=alt.OverlayMarkDef(color=INK, size=12))
    layer = [ramps.encode(x=x, y=y, detail=alt.Detail("seed:N"), tooltip=tips), *_break_marks(section, x, lrs)]
    return alt.LayerChart(layer=layer, height=HEIGHT)


def _breaks(section: Row) -> list[float]:
    return [section["ramp"]["lr"]] if section["ramp"] and section["ramp"]["lr"] else []


def _break_marks(section: Row, x: alt.X, lrs: list[float]) -> list[AnyChart]:
    """The lr at which the loss breaks as a vertical line."""
    return [layer for lr in _breaks(section) for layer in lr_mark(lr, "break", x, lrs, ACCENT)]
