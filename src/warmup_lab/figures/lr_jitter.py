"""The figure of `lr_jitter`: runs that fail at a constant rate, and overshoot and loss along the ramps."""

from __future__ import annotations

import math

import altair as alt

from warmup_lab.comparison.lr_jitter import fraction
from warmup_lab.figures.charts import (
    HEIGHT,
    AnyChart,
    at_ticks,
    chart_of,
    line_scales,
    lr_axis,
    lr_mark,
    number_axis,
    number_tip,
    share_axis,
)
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import Row
from warmup_lab.figures.palette import GREY, INK, WHITE

_STARTS = {"cold": "cold start", "warmed": "through a warmup"}
_LINES = list(_STARTS.values())
_JITTER = "#a33f00"
_LR50 = ("lr50", "low", "high")
_SHIFT = 1.06
"""Factor between a trial's lr and its position, to the left if cold and to the right if warmed, so that both show."""

_DIAMONDS = "Diamonds: lr50, at which half of the runs fail, with its 95 % interval."
_BAND = "Dark line of the overshoot: all seeds, with the 95 % Wilson interval as a band."
_MEDIAN = "Dark line of the loss: the median over the seeds."
_SINGLE = "Thin lines: single seeds."

# --- numbers


def curve_rows(curves: list[Row], value: str, *, pooled: bool) -> list[Row]:
    """The rows that have a `value`: those of all seeds together, or those of single seeds."""
    return [row for row in curves if (row["seed"] is None) == pooled and row[value] is not None]


def loss_range(curves: list[Row]) -> list[float]:
    """From 0, or a lower loss, to at most 2.5 times the first loss: a diverging loss has no bound."""
    losses = [row["loss"] for row in curves if row["loss"] is not None]
    return [min([0.0, *losses]), min(max(losses), 2.5 * losses[0])]


def failure_table(trials: list[Row]) -> list[Row]:
    """A row per trial: `x` (its position), `lr`, `line`, `runs`, and `share`, `low`, `high` of the runs that failed."""
    return [
        {
            "x": trial["lr"] * (_SHIFT if trial["start"] == "warmed" else 1 / _SHIFT),
            "lr": trial["lr"],
            "line": _STARTS[trial["start"]],
            "share": 1 - trial["share"],
            "low": 1 - trial["survived"]["high"],
            "high": 1 - trial["survived"]["low"],
            "runs": f"{trial['survived']['total'] - trial['survived']['count']} of {trial['survived']['total']}",
        }
        for trial in trials
    ]


def lr50_table(lr50: Row) -> list[Row]:
    """A row per start: `line`, its `lr50`, and `low`, `high` of its interval; `y` keeps the two apart."""
    return [
        {"line": _STARTS[start], "lr50": one["lr50"], "low": one["interval"][0], "high": one["interval"][1], "y": y}
        for (start, one), y in zip(lr50.items(), (0.53, 0.47), strict=False)
        if one["interval"]
    ]


def rate_labels(trials: list[Row]) -> dict[float, list[str]]:
    """lr -> the two lines of its label: the lr, and its multiple of the jitter lr.

    Rates a factor of 1.41 apart have no room for labels, so only halves and doubles of the jitter lr have one.
    """
    labels = {
        trial["lr"]: [f"{trial['lr']:g}", fraction(round(trial["multiple"], 2)).replace(" times", "x")]
        for trial in trials
        if math.log2(round(trial["multiple"], 2)).is_integer()
    }
    return labels or {trial["lr"]: [f"{trial['lr']:g}"] for trial in trials}


def seed_ticks(section: Row, foot: float) -> list[Row]:
    """A row per seed whose jitter lr is known: `lr`, `seed`, and the height `foot` of its tick."""
    return [{"lr": ramp["lr"], "seed": ramp["seed"], "foot": foot} for ramp in section["ramps"] if ramp["lr"]]


def seen_overshoot(jitter: Row) -> str:
    """Where the jitter starts."""
    median = jitter["median"]
    return "The start of the jitter is not known" if median is None else f"Updates overshoot from lr {median:.3g} on"


def seen_loss(curves: list[Row]) -> str:
    """The lr with the lowest median loss, from which the loss climbs."""
    known = curve_rows(curves, "loss", pooled=True)
    lowest = min(known, key=lambda row: row["loss"], default=None)
    return "No loss was recorded" if lowest is None else f"The loss is lowest at lr {lowest['lr']:.2g}"


def seen_lr50(lr50: Row) -> str:
    """`Half of the runs fail at lr 0.002 cold, 0.0025 warmed`."""
    parts = [f"{one['lr50']:.2g} {start}" for start, one in lr50.items() if one["lr50"] is not None]
    return f"Half of the runs fail at lr {', '.join(parts)}" if parts else "Runs that failed at a constant lr"


# --- drawing


def jitter_figure(section: Row | None) -> Figure:
    """Empty for a sweep without ramps, which has no section."""
    cells: list[Cell] = []
    if section is not None:
        if section["trials"]:
            lr50 = lr50_table(section["gain"]["lr50"])
            notes = notes_of((True, "Vertical lines: 95 % Wilson intervals."), (lr50, _DIAMONDS))
            chart, seen = _failure_chart(section["trials"], lr50), seen_lr50(section["gain"]["lr50"])
            cells.append(Cell(seen, chart, "Runs that diverged or failed to learn at a constant lr", notes))
        title = seen_overshoot(section["jitter_lr"])
        chart, what = _overshoot_chart(section), "Updates that raised the loss on their own batch, along the ramps"
        cells.append(Cell(title, chart, what, (_BAND, _SINGLE, *_mark_notes(section))))
        chart, what = _loss_chart(section), "Training loss along the ramps"
        cells.append(Cell(seen_loss(section["curves"]), chart, what, (_MEDIAN, _SINGLE, *_mark_notes(section))))
    lines = _LINES if section is not None and section["trials"] else []
    return Figure("lr_jitter", "Where the loss starts to jitter", "", [cells] if cells else [], lines)


def _mark_notes(section: Row) -> tuple[str, ...]:
    """What the marks at the jitter lr mean, of those that are drawn."""
    return notes_of(
        (seed_ticks(section, 0.0), "Ticks at the bottom: the lr at which a seed starts to jitter."),
        (section["jitter_lr"]["median"] is not None, "Dashed line: their median."),
    )


def _overshoot_chart(section: Row) -> alt.LayerChart:
    x, y = lr_axis("lr", _rates(section)), share_axis("share", "share of updates")
    tips = [
        number_tip("lr"), alt.Tooltip("share:Q", format=".0%"), alt.Tooltip("overshoots:Q"),
        alt.Tooltip("probed:Q"),
    ]  # fmt: skip
    pooled = chart_of(curve_rows(section["curves"], "share", pooled=True)).encode(x=x)
    single = chart_of(curve_rows(section["curves"], "share", pooled=False)).encode(
        x=x, y=y, detail=alt.Detail("seed:N")
    )
    points = alt.OverlayMarkDef(color=INK, size=28)
    layers: list[AnyChart] = [
        pooled.mark_area(color=GREY, opacity=0.25).encode(y=share_axis("low", "share of updates"), y2=alt.Y2("high:Q")),
        single.mark_line(color=GREY, strokeWidth=0.7, strokeOpacity=0.6),
        pooled.mark_line(color=INK, strokeWidth=2, point=points).encode(y=y, tooltip=tips),
    ]
    return alt.LayerChart(layer=[*layers, *_jitter_marks(section, x, 0.0)], height=HEIGHT)


def _loss_chart(section: Row) -> alt.LayerChart:
    low, high = loss_range(section["curves"])
    x = lr_axis("lr", _rates(section))
    scale = alt.Scale(domain=[low, high], nice=False, clamp=True)
    y = alt.Y("loss:Q", title="training loss (nats)", scale=scale, axis=number_axis())
    tips = [number_tip("lr"), number_tip("loss")]
    single = chart_of(curve_rows(section["curves"], "loss", pooled=False)).encode(x=x, y=y, detail=alt.Detail("seed:N"))
    pooled = chart_of(curve_rows(section["curves"], "loss", pooled=True)).encode(x=x, y=y, tooltip=tips)
    layers: list[AnyChart] = [
        single.mark_line(color=GREY, strokeWidth=0.7, strokeOpacity=0.6),
        pooled.mark_line(color=INK, strokeWidth=2),
    ]
    return alt.LayerChart(layer=[*layers, *_jitter_marks(section, x, low)], height=HEIGHT)


def _jitter_marks(section: Row, x: alt.X, foot: float) -> list[AnyChart]:
    """The jitter lr of each seed as a tick at `foot`, and their median as a vertical line."""
    seeds = seed_ticks(section, foot)
    ticks = chart_of(seeds).mark_tick(color=_JITTER, thickness=2, size=14, orient="vertical", yOffset=-7, opacity=0.9)
    tips = [alt.Tooltip("seed:N"), number_tip("lr")]
    layers: list[AnyChart] = [ticks.encode(x=x, y=alt.Y("foot:Q"), tooltip=tips)]
    median = section["jitter_lr"]["median"]
    if median is not None:
        layers += lr_mark(median, f"jitter from lr {median:.3g}", x, _rates(section), _JITTER)
    return layers


def _failure_chart(trials: list[Row], lr50: list[Row]) -> alt.LayerChart:
    """Cold and warmed runs over the learning rates that were tried, and lr50 of both."""
    labels = rate_labels(trials)
    words = "{" + ",".join(f"'{lr:g}': {lines}" for lr, lines in labels.items()) + "}"
    expression = f"{words}[format(datum.value, '~g')] || ''"
    axis = alt.Axis(labelExpr=expression, grid=False, **at_ticks(sorted(labels)))
    lrs = [trial["lr"] for trial in trials]
    scale = alt.Scale(type="log", domain=[min(lrs) / 1.2, max(lrs) * 1.2], nice=False, clamp=True)

    def x_of(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="lr, and multiple of the jitter lr", scale=scale, axis=axis)

    x = x_of("x")
    y = share_axis("share", "share of runs")
    colour, dash, shape = line_scales(_LINES)
    base = chart_of(failure_table(trials)).encode(x=x, color=colour)
    half = chart_of(lr50).encode(y=share_axis("y", "share of runs"), color=colour)
    marks = [alt.Tooltip("line:N", title="start"), *map(number_tip, _LR50)]
    tips = [alt.Tooltip("line:N", title="start"), number_tip("lr"), alt.Tooltip("runs:N")]
    layers: list[AnyChart] = [
        base.mark_line(strokeWidth=1.5, strokeOpacity=0.7).encode(y=y, strokeDash=dash),
        base.mark_rule(strokeWidth=2).encode(y=share_axis("low", "share of runs"), y2=alt.Y2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=y, shape=shape, tooltip=tips),
        half.mark_rule(strokeWidth=5, strokeOpacity=0.5).encode(x=x_of("low"), x2=alt.X2("high:Q")),
        half.mark_point(shape="diamond", filled=True, size=150, opacity=1, stroke=WHITE).encode(
            x=x_of("lr50"), tooltip=marks
        ),
    ]
    return alt.LayerChart(layer=layers, height=HEIGHT)


def _rates(section: Row) -> list[float]:
    return [row["lr"] for row in section["curves"]]
