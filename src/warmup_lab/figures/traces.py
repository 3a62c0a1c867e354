"""The figure of loss traces: arms that differ only in warmup, overlaid, with their learning rates below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from warmup_lab.comparison import Trace
from warmup_lab.figures.charts import line_chart, line_scales, number_axis, number_tip, rounded, update_axis
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import Layout, Row, comparable_name

MAX_SEEDS = 8
"""Most single runs drawn per arm."""
MAX_FAMILIES = 12
"""Most sets of arms drawn; each set has a panel."""
MAX_POINTS = 300
_MIN_POINTS = 40
"""Most and fewest points per line."""
_TOTAL_POINTS = 60_000
"""Points of all lines together, as far as `_MIN_POINTS` allows. This keeps the page small."""
_HIGHEST_LOSS = 1e6
_FINAL_LOSS = "Final loss: the median over seeds and the last 10 % of updates."

ArmTraces = dict[str, dict[int, Trace]]
"""Arm -> seed -> trace."""

# --- numbers


def finite_traces(runs: pd.DataFrame, traces: Mapping[str, Trace]) -> ArmTraces:
    """The traces of each arm by seed, in rising order, without updates whose loss is not finite.

    Runs that ended in an error are left out. Losses above 1e6 become 1e6: the last finite losses of a diverging run
    would overflow in later sums, and the frame of every chart ends far below.
    """
    found: ArmTraces = {}
    shown = runs[(runs["status"] != "error") & runs["run_id"].isin(list(traces))].sort_values("seed", kind="stable")
    for arm, seed, run in zip(shown["arm"], shown["seed"], shown["run_id"], strict=True):
        finite = np.isfinite(traces[run]["loss"])
        if finite.any():
            trace = {name: values[finite] for name, values in traces[run].items()}
            found.setdefault(arm, {})[int(seed)] = trace | {"loss": np.minimum(trace["loss"], _HIGHEST_LOSS)}
    return found


def families_of(by_arm: ArmTraces, layout: Layout) -> dict[str, list[Row]]:
    """The arms that have traces, in sets that differ only in warmup.

    `constantlr` is in the set of `warmupconstant`, unless that has an arm without warmup itself.
    """
    own = {(arm["family"], arm["warmup_steps"]) for arm in layout.arms}
    families: dict[str, list[Row]] = {}
    for arm in layout.arms:
        if arm["name"] in by_arm:
            shared = comparable_name(arm, "family")
            name = arm["family"] if (shared, arm["warmup_steps"]) in own else shared
            families.setdefault(name, []).append(arm)
    return families


def trace_table(arms: Sequence[Row], by_arm: ArmTraces, layout: Layout, num_points: int) -> list[Row]:
    """A row per line of one family: `line`, `seed` (None for the median over seeds), and the lists `step` and `loss`.

    At most `MAX_SEEDS` seeds have a row, and a line has at most `num_points` points. The median is over all seeds.
    """
    rows = []
    for arm in arms:
        line = layout.warmup_line(arm["warmup_steps"])
        losses: dict[int | None, np.ndarray] = {seed: trace["loss"] for seed, trace in by_arm[arm["name"]].items()}
        drawn = dict(list(losses.items())[:MAX_SEEDS]) | {None: median_over_seeds(list(losses.values()))}
        for seed, loss in drawn.items():
            kept = thinned(loss, num_points)
            row = {"line": line, "arm": arm["name"], "seed": seed}
            rows.append(row | {"step": kept.tolist(), "loss": rounded(loss[kept])})
    return rows


def rate_table(arms: Sequence[Row], by_arm: ArmTraces, layout: Layout, num_points: int) -> list[Row]:
    """A row per arm: `line` and the lists `step` and `lr`, at evenly spaced updates and the end of the warmup.

    The schedule is that of the arm's longest run. An arm whose learning rates are unknown has no row.
    """
    rows = []
    for arm in arms:
        lr = max((trace["lr"] for trace in by_arm[arm["name"]].values()), key=len)
        if np.isnan(lr).any():
            continue
        even = np.linspace(0, lr.size - 1, min(lr.size, num_points)).astype(np.int64)
        kept = np.unique(np.append(even, min(arm["warmup_steps"], lr.size - 1)))
        line = layout.warmup_line(arm["warmup_steps"])
        rows.append({"line": line, "arm": arm["name"], "step": kept.tolist(), "lr": rounded(lr[kept], 4)})
    return rows


def seen_final_loss(arms: Sequence[Row], by_arm: ArmTraces, layout: Layout) -> str:
    """`Lowest final loss with 36 updates of warmup (30 %): 0.21`: median over seeds and the last 10 % of updates.

    Losses that are equal as they are written are a tie. Where every run failed, the lowest is chance and has no name.
    """
    ends = {}
    for arm in arms:
        losses = [trace["loss"] for trace in by_arm[arm["name"]].values()]
        whole = [loss[-max(1, arm["total_steps"] // 10) :] for loss in losses if len(loss) == arm["total_steps"]]
        if whole:
            ends[arm["warmup_steps"]] = float(np.median(whole))
    if not ends:
        return "No run was trained to the end"
    lowest = f"{min(ends.values()):.3g}"
    if all(arm["failed"]["count"] == arm["failed"]["total"] > 0 for arm in arms):
        return f"No run learned; lowest final loss: {lowest}"
    best = [steps for steps, loss in ends.items() if f"{loss:.3g}" == lowest]
    if len(best) == len(ends):
        return f"{'The same final loss with each warmup' if len(ends) > 1 else 'Final loss'}: {lowest}"
    names = [layout.warmup_line(steps) if steps else "no warmup" for steps in best]
    more = f" and {len(names) - 2} more" * (len(names) > 2)
    return f"Lowest final loss with {' or '.join(names[:2])}{more}: {lowest}"


def thinned(values: np.ndarray, num_points: int) -> np.ndarray:
    """Indices of the lowest and the highest value in each of `num_points / 2` equal stretches.

    A spike of a single update keeps its height. (T,) -> at most (num_points,); all T indices if T <= num_points.

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
    """Median at each update over the runs that reached it, (T,) of the longest run."""
    table = np.full((len(losses), max(loss.size for loss in losses)), np.nan)
    for row, loss in zip(table, losses, strict=True):
        row[: loss.size] = loss
    median: np.ndarray = np.nanmedian(table, axis=0)  # never all NaN: the longest run has every update
    return median


def points_per_line(num_lines: int) -> int:
    """How many points each line may have: an even number."""
    return int(np.clip(_TOTAL_POINTS // max(1, num_lines), _MIN_POINTS, MAX_POINTS)) // 2 * 2


# --- drawing


def traces_figure(runs: pd.DataFrame, traces: Mapping[str, Trace], layout: Layout) -> Figure:
    """A panel per family: losses, and below them the learning rates."""
    by_arm = finite_traces(runs, traces)
    families = families_of(by_arm, layout)
    drawn = dict(list(families.items())[:MAX_FAMILIES])
    num_points = points_per_line(
        sum(1 + min(MAX_SEEDS, len(by_arm[arm["name"]])) for arms in drawn.values() for arm in arms)
    )
    panels = []
    for name, arms in drawn.items():
        last = max(arm["total_steps"] for arm in arms) - 1
        table = trace_table(arms, by_arm, layout, num_points)
        losses = _loss_chart(table, layout.warmup_lines, last)
        what, notes = f"Training loss · {name}", _notes(table, arms, by_arm, num_points)
        cells = [Cell(seen_final_loss(arms, by_arm, layout), losses, what, notes)]
        if rates := rate_table(arms, by_arm, layout, num_points):
            chart = _rate_chart(rates, layout.warmup_lines, last)
            cells.append(Cell("Learning rate", chart, name if len(drawn) > 1 else ""))
        panels.append(cells)
    left_out = f"The first {MAX_FAMILIES} of {len(families)} sets of arms are drawn." * (len(families) > MAX_FAMILIES)
    lines = layout.warmup_lines if drawn else []
    return Figure("traces", "Loss traces and schedules", left_out, panels, lines, stacked=True)


def _notes(table: list[Row], arms: Sequence[Row], by_arm: ArmTraces, num_points: int) -> tuple[str, ...]:
    lengths = [(len(trace["loss"]), arm["total_steps"]) for arm in arms for trace in by_arm[arm["name"]].values()]
    most = max(len(by_arm[arm["name"]]) for arm in arms)
    thin = "Thin lines: single runs" + f", {MAX_SEEDS} seeds per arm" * (most > MAX_SEEDS)
    points = (
        f"A line has at most {num_points} points, the lowest and the highest in each of {num_points // 2} equal "
        "stretches, so every spike keeps its height."
    )
    highest = _loss_range(table)[1]
    return notes_of(
        (any(length == total for length, total in lengths), _FINAL_LOSS),
        (most == 1, "A line is a single run."),
        (most > 1, f"{thin}. Thick lines: the median over all seeds at each update."),
        (any(length > num_points for length, _ in lengths), points),
        (any(max(row["loss"]) > highest for row in table), "Losses above the frame are drawn at its edge."),
        (any(length < total for length, total in lengths), "The line of a run that diverged ends early."),
    )


def _loss_chart(table: list[Row], lines: list[str], last: int) -> alt.LayerChart:
    thin = [row for row in table if row["seed"] is not None]
    thick = [row for row in table if row["seed"] is None]
    colour, dash, _ = line_scales(lines)
    # Clamped, not clipped: a clip per line makes the PNG of a large sweep take a minute.
    scale = alt.Scale(domain=_loss_range(table), nice=False, clamp=True)
    y = alt.Y("loss:Q", title="training loss (nats)", scale=scale, axis=number_axis(minExtent=46))
    x = update_axis("step", last, None)
    tips = [
        alt.Tooltip("line:N", title="warmup"),
        alt.Tooltip("step:Q", title="update"),
        number_tip("loss"),
    ]
    faint = min(0.5, max(0.08, 5 / len(thin)))
    thick_width = 1.8 if len(thin) > len(thick) else 1.2
    single = line_chart(thin, "step", "loss").mark_line(strokeWidth=0.6, strokeOpacity=faint)
    median = line_chart(thick, "step", "loss").mark_line(strokeWidth=thick_width)
    layers = [
        single.encode(x=x, y=y, color=colour, detail=alt.Detail("seed:N")),
        median.encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tips),
    ]
    return alt.LayerChart(layer=layers, height=260)


def _loss_range(table: list[Row]) -> list[float]:
    """All losses, but not the highest 1 % if they are more than twice as far up as the rest."""
    shown = np.concatenate([row["loss"] for row in table])
    low, usual = float(shown.min()), float(np.quantile(shown, 0.99))
    high = min(float(shown.max()), low + 2 * (usual - low))
    margin = 0.05 * (high - low) or 1.0
    return [low - margin, high + margin]


def _rate_chart(table: list[Row], lines: list[str], last: int) -> alt.Chart:
    colour, dash, _ = line_scales(lines)
    y = alt.Y("lr:Q", title="learning rate", axis=number_axis(minExtent=46, tickCount=3))
    line = line_chart(table, "step", "lr").mark_line(strokeWidth=1.8)
    encoded = line.encode(x=update_axis("step", last), y=y, color=colour, strokeDash=dash)
    chart: alt.Chart = encoded.properties(height=90)
    return chart
