"""Loss traces of the arms that differ only in warmup, overlaid, with their learning rates below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from warmup_lab.comparison import Trace
from warmup_lab.figures.charts import Cell, Figure, line_scales
from warmup_lab.figures.layout import Layout, Row, unique

MAX_SEEDS = 8
MAX_PANELS = 12
MAX_POINTS = 300
_POINTS_IN_ALL = 60_000
"""What keeps the page small: it is shared out among the lines, and no line has fewer than `_MIN_POINTS`."""
_MIN_POINTS = 40
_HIGHEST_LOSS = 1e6


def thinned(values: np.ndarray, num_points: int) -> np.ndarray:
    """Indices of at most `num_points` values: the lowest and the highest of each of `num_points / 2` equal stretches.

    So a spike of a single update is drawn as high as it was. All of them where there are no more; (T,) -> (<= points,).

    >>> thinned(np.array([1.0, 5.0, 2.0, 3.0, 0.0, 4.0]), 4)
    array([0, 1, 4, 5])
    """
    if values.size <= num_points:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, num_points // 2 + 1).astype(np.int64)
    pairs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    kept = [start + index(values[start:stop]) for start, stop in pairs for index in (np.argmin, np.argmax)]
    return np.unique(np.array(kept, dtype=np.int64))


def median_over_seeds(losses: Sequence[np.ndarray]) -> np.ndarray:
    """Median at each update over the runs that got so far, (T,) of the longest."""
    table = np.full((len(losses), max(loss.size for loss in losses)), np.nan)
    for row, loss in zip(table, losses, strict=True):
        row[: loss.size] = loss
    median: np.ndarray = np.nanmedian(table, axis=0)  # never all NaN: the longest run has every update
    return median


def points_a_line(num_lines: int) -> int:
    """How many points each line may have, an even number."""
    return int(np.clip(_POINTS_IN_ALL // max(1, num_lines), _MIN_POINTS, MAX_POINTS)) // 2 * 2


def drawn_runs(runs: pd.DataFrame, traces: Mapping[str, Trace]) -> dict[str, dict[int, Trace]]:
    """The traces of each arm by seed, without what is not finite; runs that ended in an error are not drawn."""
    found: dict[str, dict[int, Trace]] = {}
    shown = runs[(runs["status"] != "error") & runs["run_id"].isin(list(traces))].sort_values("seed", kind="stable")
    for arm, seed, run in zip(shown["arm"], shown["seed"], shown["run_id"], strict=True):
        finite = np.isfinite(traces[run]["loss"])
        if finite.any():
            trace = {name: values[finite] for name, values in traces[run].items()}
            # The last finite losses of a diverging run would overflow in what follows; any frame ends far below.
            found.setdefault(arm, {})[int(seed)] = trace | {"loss": np.minimum(trace["loss"], _HIGHEST_LOSS)}
    return found


def traces_figure(runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout) -> Figure:
    """A panel for each set of arms that differ only in warmup: losses, and below them the learning rates."""
    by_arm = drawn_runs(runs, traces)
    families: dict[str, list[Row]] = {}
    several_rates = len({arm["lr"] for arm in layout.arms}) > 1
    for arm in layout.arms:
        if arm["name"] in by_arm:
            families.setdefault(f"{arm['kind']}, lr {arm['lr']:g}" if several_rates else arm["kind"], []).append(arm)
    drawn = dict(list(families.items())[:MAX_PANELS])
    num_points = points_a_line(
        sum(1 + min(MAX_SEEDS, len(by_arm[arm["name"]])) for arms in drawn.values() for arm in arms)
    )
    lines = unique(line_name(layout, steps) for steps in layout.lengths)
    panels = [_panel(name, arms, by_arm, lines, layout, num_points) for name, arms in drawn.items()]
    return Figure(
        "traces",
        "Loss traces and schedules",
        _note(num_points, len(families)),
        panels,
        lines if drawn else [],
        stacked=True,
    )


def _note(num_points: int, num_families: int) -> str:
    left_out = f" The first {MAX_PANELS} of {num_families} sets of arms are drawn." if num_families > MAX_PANELS else ""
    return (
        f"Thin: single runs, of at most {MAX_SEEDS} seeds an arm. Thick: the median over all seeds at each update. "
        f"A line has at most {num_points} points, the lowest and the highest of each of {num_points // 2} equal "
        f"stretches, so no spike is lost. Losses above the frame are drawn at its edge. A diverged run ends where "
        f"its loss does.{left_out}"
    )


def line_name(layout: Layout, warmup_steps: int) -> str:
    steps, *share = layout.label(warmup_steps)
    return f"{steps} updates of warmup" + (f" ({share[0]})" if share else "")


def _panel(
    name: str, arms: list[Row], by_arm: dict[str, dict[int, Trace]], lines: list[str], layout: Layout, num_points: int
) -> list[Cell]:
    thin, thick, rates = [], [], []
    for arm in arms:
        seeds, line = by_arm[arm["name"]], line_name(layout, arm["warmup_steps"])
        losses = [trace["loss"] for trace in seeds.values()]
        thin += [
            _points(line, loss, num_points) | {"seed": seed}
            for seed, loss in list(zip(seeds, losses, strict=True))[:MAX_SEEDS]
        ]
        thick.append(_points(line, median_over_seeds(losses), num_points))
        longest = max(seeds.values(), key=lambda trace: len(trace["lr"]))["lr"]
        rates.append(_rate_points(line, longest, arm["warmup_steps"], num_points))
    last = max(arm["total_steps"] for arm in arms) - 1
    return [
        Cell(f"Training loss · {name}", _loss_chart(thin, thick, lines, last)),
        Cell("Learning rate", _rate_chart(rates, lines, last)),
    ]


def _points(line: str, loss: np.ndarray, num_points: int) -> Row:
    kept = thinned(loss, num_points)
    return {"line": line, "step": kept.tolist(), "loss": [float(f"{value:.5g}") for value in loss[kept]]}


def _rate_points(line: str, lr: np.ndarray, warmup_steps: int, num_points: int) -> Row:
    """Evenly spaced points of a schedule, and its peak."""
    even = np.linspace(0, lr.size - 1, min(lr.size, num_points)).astype(np.int64)
    kept = np.unique(np.append(even, min(warmup_steps, lr.size - 1)))
    return {"line": line, "step": kept.tolist(), "lr": [float(f"{rate:.4g}") for rate in lr[kept]]}


def update_axis(last: int, title: str | None) -> alt.X:
    return alt.X(
        "step:Q", title=title, scale=alt.Scale(domain=[0, max(1, last)], nice=False), axis=alt.Axis(grid=False)
    )


def _loss_chart(thin: list[Row], thick: list[Row], lines: list[str], last: int) -> alt.LayerChart:
    colour, dash, _ = line_scales(lines)
    shown = np.concatenate([row["loss"] for row in thin + thick])
    low, usual = float(shown.min()), float(np.quantile(shown, 0.99))
    high = min(float(shown.max()), low + 2 * (usual - low))
    margin = 0.05 * (high - low) or 1.0
    # Clamped, not clipped: a clip of each line makes the PNG of a large sweep take a minute.
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False, clamp=True)
    y = alt.Y("loss:Q", title="training loss (nats)", scale=scale, axis=alt.Axis(minExtent=46, tickCount=5))
    x = update_axis(last, None)
    tips = [
        alt.Tooltip("line:N", title="warmup"),
        alt.Tooltip("step:Q", title="update"),
        alt.Tooltip("loss:Q", format=".4g"),
    ]
    faint = min(0.5, max(0.08, 5 / len(thin)))
    single = _flat(thin, "loss").mark_line(strokeWidth=0.6, strokeOpacity=faint)
    median = _flat(thick, "loss").mark_line(strokeWidth=1.8)
    layers = [
        single.encode(x=x, y=y, color=colour, detail="seed:N"),
        median.encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tips),
    ]
    return alt.LayerChart(layer=layers, height=260)


def _rate_chart(rates: list[Row], lines: list[str], last: int) -> alt.Chart:
    colour, dash, _ = line_scales(lines)
    y = alt.Y("lr:Q", title="learning rate", axis=alt.Axis(minExtent=46, format=".0e", tickCount=3))
    line: alt.Chart = _flat(rates, "lr").mark_line(strokeWidth=1.8)
    chart: alt.Chart = line.encode(x=update_axis(last, "update"), y=y, color=colour, strokeDash=dash).properties(
        height=90
    )
    return chart


def _flat(rows: list[Row], value: str) -> Any:
    """Rows that hold a line each, as a chart that sees a row a point: a tenth of the size in the page."""
    return alt.Chart(alt.InlineData(values=rows)).transform_flatten(["step", value])
