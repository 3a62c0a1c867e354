"""The figure of the usable learning rate: share of runs that failed over lr, and lr50 of each warmup."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from warmup_lab.figures.charts import (
    HEIGHT,
    LR_MARGIN,
    AnyChart,
    chart_of,
    line_chart,
    line_scales,
    lr_axis,
    number_tip,
    rounded,
    share_axis,
)
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import MAX_LINES, Layout, Row, unique
from warmup_lab.figures.palette import GREY, WHITE, style

RIDGE = 0.1
"""Penalty on the squared coefficients of the fit. It bounds the slope if all runs below some lr learn and all above it
fail."""
_NUM_POINTS = 60
_PER_ROW = 3
_SHIFT = 0.05
"""Distance between the points of neighbouring lines at one lr, in grid steps, so that all show."""

# --- numbers


def usable_lr_table(lr_lines: Sequence[Row], layout: Layout) -> list[Row]:
    """A row per line of arms that differ only in lr; `lr_lines` is the section of `comparison.json`.

    - `panel` (empty if all lines are in one) and `line`.
    - Lists with an entry per lr: `lr`, `x` (its position), `share` of the runs that failed, its Wilson interval `low`,
      `high`, and `runs`.
    - `lr50`, the interval `lr50_low`, `lr50_high` (None without one), and `open`: a grid that ends too early leaves
      lr50 open there.
    """
    arms = {arm["name"]: arm for arm in layout.arms}
    kinds = short_kinds(unique(arm["kind"] for arm in layout.arms))
    several_kinds = len(kinds) > 1
    panels = several_kinds and len(lr_lines) > MAX_LINES
    rows = []
    for number, one in enumerate(lr_lines):
        own = [arms[name] for name in one["arms"] if arms[name]["failed"]["total"]]
        kind, warmup = kinds[own[0]["kind"]], layout.warmup_line(own[0]["warmup_steps"])
        lrs = [arm["lr"] for arm in own]
        step = (max(lrs) / min(lrs)) ** (1 / max(1, len(lrs) - 1))
        usable = one["usable"]
        low, high = usable["interval"] or (None, None)
        rows.append(
            {
                "panel": kind if panels else "",
                "line": f"{kind}, {warmup}" if several_kinds and not panels else warmup,
                "arm": [arm["name"] for arm in own],
                "lr": lrs,
                "x": rounded(np.array(lrs) * step ** (_SHIFT * (number - (len(lr_lines) - 1) / 2))),
                "share": [arm["failed"]["share"] for arm in own],
                "low": [arm["failed"]["low"] for arm in own],
                "high": [arm["failed"]["high"] for arm in own],
                "runs": [f"{arm['failed']['count']} of {arm['failed']['total']}" for arm in own],
                "failed": [arm["failed"]["count"] for arm in own],
                "total": [arm["failed"]["total"] for arm in own],
                "lr50": usable["lr50"],
                "lr50_low": low,
                "lr50_high": high,
                "open": not (usable["reaches_low"] and usable["reaches_high"]),
            }
        )
    return rows


def short_kinds(kinds: Sequence[str]) -> dict[str, str]:
    """The kinds without the words that all of them have, by kind.

    >>> short_kinds(["warmuplinear adamw", "warmuplinear lamb"])
    {'warmuplinear adamw': 'adamw', 'warmuplinear lamb': 'lamb'}
    """
    shared = set.intersection(*(set(kind.split()) for kind in kinds)) if len(kinds) > 1 else set()
    return {kind: " ".join(word for word in kind.split() if word not in shared) or kind for kind in kinds}


def logistic_fit(lrs: Sequence[float], failed: Sequence[int], total: Sequence[int]) -> tuple[float, float]:
    """Intercept a and slope b of P(failed) = 1 / (1 + exp(-(a + b x))), with x the position on the grid.

    x = (log lr - middle of the grid) / mean step of the grid. Maximum likelihood, with the penalty
    `RIDGE (a^2 + b^2) / 2`.
    """
    x, failures, runs = _position(np.log(lrs), lrs), np.asarray(failed), np.asarray(total)

    def loss(coefficients: np.ndarray) -> float:
        eta = coefficients[0] + coefficients[1] * x
        return float((runs * np.logaddexp(0, eta) - failures * eta).sum() + RIDGE * (coefficients**2).sum() / 2)

    def gradient(coefficients: np.ndarray) -> np.ndarray:
        residual = runs * expit(coefficients[0] + coefficients[1] * x) - failures
        return np.array([residual.sum(), (residual * x).sum()]) + RIDGE * coefficients

    found = minimize(loss, np.zeros(2), jac=gradient, method="BFGS").x
    return float(found[0]), float(found[1])


def _position(log_lr: np.ndarray, lrs: Sequence[float]) -> np.ndarray:
    first, last = np.log(min(lrs)), np.log(max(lrs))
    position: np.ndarray = (log_lr - (first + last) / 2) / ((last - first) / (len(lrs) - 1))
    return position


def curve_table(table: Sequence[Row]) -> list[Row]:
    """The fitted curve of each row of `usable_lr_table`: `panel`, `line` and the lists `lr` and `share`."""
    lrs = [lr for row in table for lr in row["lr"]]
    grid = np.linspace(np.log(min(lrs) / LR_MARGIN), np.log(max(lrs) * LR_MARGIN), _NUM_POINTS)
    rows = []
    for row in table:
        if len(set(row["lr"])) < 2:
            continue
        intercept, slope = logistic_fit(row["lr"], row["failed"], row["total"])
        share = expit(intercept + slope * _position(grid, row["lr"]))
        rows.append({"panel": row["panel"], "line": row["line"], "lr": rounded(np.exp(grid)), "share": rounded(share)})
    return rows


# --- drawing


def usable_lr_figure(lr_lines: Sequence[Row], layout: Layout) -> Figure:
    """Empty unless lr was swept and some run failed."""
    table = usable_lr_table(lr_lines, layout)
    lines, panels = unique(row["line"] for row in table), unique(row["panel"] for row in table)
    curves = curve_table(table) if table else []
    cells = [
        Cell(
            seen_lr50(_rows_of(table, panel)),
            _panel_chart(_rows_of(table, panel), _rows_of(curves, panel), lines),
            f"Runs that failed to learn{f' · {panel}' if panel else ''}",
            _notes(_rows_of(table, panel)),
        )
        for panel in panels
    ]
    rows = [cells[start : start + _PER_ROW] for start in range(0, len(cells), _PER_ROW)]
    return Figure("usable_lr", "Usable learning rate", "", rows, lines)


def _notes(table: Sequence[Row]) -> tuple[str, ...]:
    open_end = (
        "Hollow diamond: the learning rates tried do not reach from one at which runs learn to one at which runs fail, "
        "so lr50 may lie further out."
    )
    interval = any(row["lr50_low"] is not None for row in table)
    apart = " They lie above and below 50 % only to be told apart." if len(table) > 1 else ""
    return notes_of(
        (True, "Points: share of runs that failed, with 95 % Wilson intervals."),
        (True, "Thin lines: logistic regression on log lr with a small ridge."),
        (
            True,
            f"Diamonds: lr50, at which half of the runs fail{', with its 95 % interval' if interval else ''}.{apart}",
        ),
        (any(row["open"] for row in table), open_end),
    )


def seen_lr50(rows: Sequence[Row]) -> str:
    """`Half of the runs fail at lr 0.0018 to 0.0034`: the lr50 of the lines of a panel that the rates tried enclose."""
    known = sorted(row["lr50"] for row in rows if not row["open"])
    if not known:
        return "The rates tried do not enclose that at which half of the runs fail"
    low, high = f"{known[0]:.2g}", f"{known[-1]:.2g}"
    text = f"Half of the runs fail at lr {low if low == high else f'{low} to {high}'}"
    return text if len(known) == len(rows) else f"{text}, or outside of the rates tried"


def _rows_of(table: list[Row], panel: str) -> list[Row]:
    return [row for row in table if row["panel"] == panel]


def _panel_chart(table: list[Row], curves: list[Row], lines: list[str]) -> alt.LayerChart:
    colour, dash, shape = line_scales(lines)
    rates = sorted({lr for row in table for lr in row["lr"]})

    def x(field: str) -> alt.X:
        return lr_axis(field, rates, ticks=rates, title="peak learning rate")

    y = share_axis("share", "share of runs", -0.02, 1.02)
    lists = ("arm", "x", "lr", "share", "low", "high", "runs")
    points = line_chart([{name: row[name] for name in ("line", *lists)} for row in table], *lists)
    points = points.encode(x=x("x"), color=colour)
    curve = line_chart([{name: row[name] for name in ("line", "lr", "share")} for row in curves], "lr", "share")
    marks = chart_of(_marks(table, lines)).encode(y=share_axis("y", "share of runs", -0.02, 1.02), color=colour)
    tips = [alt.Tooltip("line:N"), number_tip("lr"), alt.Tooltip("runs:N", title="runs that failed")]
    lr50_tips = [alt.Tooltip("line:N"), *map(number_tip, ("lr50", "low", "high"))]
    half = chart_of([{"y": 0.5}]).encode(y=share_axis("y", "share of runs", -0.02, 1.02))
    layers: list[AnyChart] = [
        half.mark_rule(color=GREY, strokeDash=[2, 3]),
        curve.mark_line(strokeWidth=1.2, strokeOpacity=0.8).encode(x=x("lr"), y=y, color=colour, strokeDash=dash),
        points.mark_rule(strokeWidth=1.5, strokeOpacity=0.45).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        points.mark_point(filled=True, size=55, opacity=1).encode(y=y, shape=shape, tooltip=tips),
        marks.mark_rule(strokeWidth=4, strokeOpacity=0.55).encode(x=x("low"), x2=alt.X2("high:Q")),
        marks.mark_point(shape="diamond", size=150, strokeWidth=2, opacity=1).encode(
            x=x("lr50"), fill=alt.Fill("fill:N", scale=None, legend=None), tooltip=lr50_tips
        ),
    ]
    return alt.LayerChart(layer=layers, height=HEIGHT + 30)


def _marks(table: list[Row], lines: list[str]) -> list[Row]:
    """lr50 of each line, at a height near 50 % that keeps the lines apart."""
    middle = (len(table) - 1) / 2
    return [
        {
            "line": row["line"],
            "lr50": row["lr50"],
            "low": row["lr50"] if row["lr50_low"] is None else row["lr50_low"],
            "high": row["lr50"] if row["lr50_high"] is None else row["lr50_high"],
            "y": 0.5 - 0.06 * (number - middle),
            "fill": WHITE if row["open"] else style(lines.index(row["line"]))[0],
        }
        for number, row in enumerate(table)
    ]
