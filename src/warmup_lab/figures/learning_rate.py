"""The figure of a sweep over learning rates: quality and failures over lr and warmup, and the largest usable lr."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import altair as alt

from warmup_lab.comparison import several_lrs
from warmup_lab.figures.charts import HEIGHT, AnyChart, at_ticks, chart_of, log_ticks, number_axis, number_tip
from warmup_lab.figures.column_charts import font_size, interval_chart, warmup_axis
from warmup_lab.figures.figure import Cell, Figure, notes_of
from warmup_lab.figures.layout import Layout, Row, comparable_name, short_percent, unique
from warmup_lab.figures.over_warmup import capitalized, warmup_table, with_unit
from warmup_lab.figures.palette import ACCENT, GREY, HEAT, INK, MISSING, ON_DARK, ON_LIGHT, WHITE, style
from warmup_lab.metrics import smaller_is_better, title_and_unit

_KEY = ("scheduler", "warmup", "setting", "total_steps", "warmup_steps")
_ARROW = "M0,-2L1,0H.2V2H-.2V0H-1Z"
_CROSS = "M-1,-1L1,1M-1,1L1,-1"
_SPARSE = 3
"""A grid of lr and warmup with more than this many times as many cells as arms is drawn as points, not as cells."""

# --- numbers


def heatmap_table(layout: Layout, metric: str) -> list[Row]:
    """A row per arm: its `kind`, `length` (index of the warmup length), `percent`, `lr`, `value` and `failed`.

    `value` is the mean of the metric over all seeds, failed ones as guessing, or None. `failed` is such as `2/8`, empty
    if no run failed. `usable`: at least half of the runs learned.
    """
    return [
        {
            "kind": _kind(arm),
            "length": layout.lengths.index(arm["warmup_steps"]),
            "percent": 100 * arm["warmup_steps"] / arm["total_steps"],
            "lr": arm["lr"],
            "arm": arm["name"],
            "value": _mean(arm["metrics"].get(metric, {})),
            "runs": arm["failed"]["total"],
            "num_failed": arm["failed"]["count"],
            "usable": bool(arm["failed"]["total"]) and arm["failed"]["count"] <= arm["failed"]["total"] / 2,
            "failed": f"{arm['failed']['count']}/{arm['failed']['total']}" if arm["failed"]["count"] else "",
        }
        for arm in layout.arms
    ]


def _kind(arm: Row) -> str:
    return comparable_name(arm, "kind")


def _mean(found: Row) -> float | None:
    mean: float | None = found.get("mean_of_all", found.get("mean"))
    return mean


def is_sparse(rows: Sequence[Row]) -> bool:
    """Whether most cells of a grid of lr and warmup would be empty, as in a random search."""
    cells = len({row["lr"] for row in rows}) * len({row["length"] for row in rows})
    return cells > _SPARSE * len(rows)


def largest_lr_table(largest: list[Row], layout: Layout) -> list[Row]:
    """`warmup_table` of the largest lr at which every run learned, a line per kind.

    `largest` is the section `largest_lr` of `comparison.json`. `at_edge`: no larger lr was tried.
    `mean` is None if some run failed at every lr that was tried.
    """
    found = {tuple(row[name] for name in _KEY): row for row in largest}
    kinds = unique(map(_kind, layout.arms))

    def read(arm: Row) -> Row:
        row = found[tuple(arm[name] for name in _KEY)]
        return {
            "mean": row["lr"],
            "low": None,
            "high": None,
            "arm": _kind(arm),
            "at_edge": row["at_edge"],
            "learned": "all" if row["lr"] else "not all at any lr",
            "cross": row["lr"] is None,
            "fill": style(kinds.index(_kind(arm)))[0],
        }

    return warmup_table(_over_all_rates(layout), read)


def _over_all_rates(layout: Layout) -> Layout:
    """One arm for all learning rates of a warmup, in one panel with a line per kind."""
    arms = {tuple(arm[name] for name in _KEY): arm for arm in layout.arms}
    kinds = unique(map(_kind, layout.arms))
    placed = [arm | {"panel": "", "line": _kind(arm)} for arm in arms.values()]
    return replace(layout, arms=placed, panels=[""], lines=kinds)


# --- drawing


def learning_rate_figure(largest: list[Row], best: Row, layout: Layout) -> Figure:
    """A heatmap per kind, that of the recommended arm first. Empty with one learning rate, or if no run has ended.

    `best` is the section `recommendation` of `comparison.json`, `largest` the section `largest_lr`.
    """
    has_ended = any(arm["failed"]["total"] for arm in layout.arms)
    table = heatmap_table(layout, best["metric"]) if layout.several_lrs and has_ended else []
    kinds = [kind for kind in unique(row["kind"] for row in table) if several_lrs(_rates_of(table, kind))]
    own = next((row["kind"] for row in table if row["arm"] == best["arm"]), "")
    kinds = sorted(kinds, key=lambda kind: kind != own)
    values = [row["value"] for row in table if row["value"] is not None and row["usable"]]
    span = _span(values, best["metric"])
    title, unit = title_and_unit(best["metric"])
    what = f"{capitalized(with_unit(title, unit))}, mean of all seeds"
    cells = []
    for kind in kinds:
        rows = [row for row in table if row["kind"] == kind]
        sparse = is_sparse(rows)
        chart = _point_chart(rows, span, best["arm"]) if sparse else _heatmap(rows, layout, span, best["arm"])
        subtitle = f"{what} · {kind}" if len(kinds) > 1 else what
        cells.append(Cell(seen_best(rows, best["metric"], best["arm"]), chart, subtitle, _notes(rows, best["arm"])))
    grid = [cells[first : first + 2] for first in range(0, len(cells), 2)]
    has_largest = bool(kinds) and any(row["lr"] is not None for row in largest)
    if has_largest:
        limits = largest_lr_table(largest, layout)
        usable = _largest_lr_chart(limits, layout)
        what = "Largest learning rate at which every run learned"
        grid.append([Cell(_seen_largest(largest), usable, what, _largest_notes(limits))])
    lines = unique(map(_kind, layout.arms)) if has_largest else []
    return Figure("learning_rate", "Learning rate and warmup together", "", grid, lines)


def _notes(rows: Sequence[Row], best: str | None) -> tuple[str, ...]:
    """What the marks of a heatmap, or of the points of a random search, mean."""
    failed, cell = any(row["failed"] for row in rows), "point" if is_sparse(rows) else "cell"
    return notes_of(
        (True, f"A {cell} is the mean of all seeds{', with failed runs as guessing' if failed else ''}."),
        (failed and cell == "cell", "Below it: the runs that failed, such as 2/8."),
        (failed and cell == "point", "Cross: some runs failed."),
        (True, "Darker is better."),
        (cell == "cell" and any(row["runs"] and not row["usable"] for row in rows), "Grey: most runs failed."),
        (best in {row["arm"] for row in rows}, f"{'Frame' if cell == 'cell' else 'Ring'}: the recommended one."),
    )


def _largest_notes(limits: Sequence[Row]) -> tuple[str, ...]:
    return notes_of(
        (any(row["at_edge"] for row in limits), "Arrow: no larger learning rate was tried."),
        (any(row["cross"] for row in limits), "Cross: some run failed at each learning rate."),
    )


def seen_best(rows: Sequence[Row], metric: str, recommended: str | None = None) -> str:
    """`Lowest at lr 0.001 with 10 % warmup: 0.32`; the best mean of the arms in which most runs learned.

    If another arm is recommended, that is said first: it is framed, and may fail less often or need less warmup.
    """
    known = [row for row in rows if row["value"] is not None and row["usable"]]
    if not known:
        return "Most runs failed at each learning rate" if any(row["runs"] for row in rows) else "No run ended"
    lowest = smaller_is_better(metric)
    best = min(known, key=lambda row: row["value"] if lowest else -row["value"])
    extreme = f"{'Lowest' if lowest else 'Highest'} at {_place(best)}: {best['value']:.3g}"
    own = next((row for row in known if row["arm"] == recommended), best)
    if own is best:
        return extreme
    return f"Recommended: {_place(own)}. {extreme}"


def _place(row: Row) -> str:
    """`lr 0.001 with 10 % warmup`."""
    warmup = f"{short_percent(row['percent'])} warmup" if row["percent"] else "no warmup"
    return f"lr {row['lr']:g} with {warmup}"


def _seen_largest(largest: Sequence[Row]) -> str:
    """`Every run learned up to lr 0.001 to 0.002`, over the warmups; with some warmups perhaps at no lr."""
    known = sorted(row["lr"] for row in largest if row["lr"] is not None)
    reach = f"{known[0]:g}" if known[0] == known[-1] else f"{known[0]:g} to {known[-1]:g}, depending on the warmup"
    is_none = any(row["lr"] is None for row in largest)
    return f"Every run learned up to lr {reach}{', with some warmups at no lr' if is_none else ''}"


def _span(values: Sequence[float], metric: str) -> list[float]:
    """From the worst to the best value."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    high = high if high > low else low + (abs(low) or 1.0)
    return [high, low] if smaller_is_better(metric) else [low, high]


def _fill(span: list[float]) -> alt.Color:
    scale = alt.Scale(domain=span, range=HEAT, interpolate="lab")
    return alt.Color("value:Q", scale=scale, legend=None)


def _tips() -> list[alt.Tooltip]:
    failed = alt.Tooltip("num_failed:Q", title="failed runs")
    return [alt.Tooltip("arm:N"), number_tip("value"), failed, alt.Tooltip("runs:Q", title="runs")]


def _rates_of(table: Sequence[Row], kind: str) -> list[float]:
    return [row["lr"] for row in table if row["kind"] == kind]


def _rates(rows: Iterable[Row]) -> list[float]:
    return sorted({row["lr"] for row in rows}, reverse=True)


def _heatmap(cells: Sequence[Row], layout: Layout, span: list[float], best: str | None) -> alt.LayerChart:
    """lr over warmup length, with the numbers in the cells."""
    middle = sum(span) / 2
    rows = [
        row
        | {
            "label": f"{row['lr']:g}",
            "text": "none" if value is None else f"{value:.3g}",
            "ink": ON_DARK
            if row["usable"] and value is not None and (value - middle) * (span[1] - span[0]) > 0
            else ON_LIGHT,
        }
        for row in cells
        for value in [row["value"]]
    ]
    rates = [f"{lr:g}" for lr in _rates(rows)]
    base = chart_of(rows).encode(
        x=alt.X("length:O", axis=warmup_axis(layout, domain=False, ticks=False)),
        y=alt.Y("label:O", sort=rates, title="peak learning rate", axis=alt.Axis(domain=False, ticks=False)),
    )
    ink = alt.Fill("ink:N", scale=None, legend=None)
    empty = base.mark_rect(stroke=WHITE, strokeWidth=2, color=MISSING)
    filled = base.mark_rect(stroke=WHITE, strokeWidth=2).transform_filter("isValid(datum.value) && datum.usable")
    texts: list[AnyChart] = [
        base.transform_filter(f"{'' if failed else '!'}datum.failed")
        .mark_text(fontSize=font_size(layout), dy=-6 if failed else 0)
        .encode(text=alt.Text("text:N"), fill=ink)
        for failed in (True, False)
    ]
    counts = base.transform_filter("datum.failed").mark_text(fontSize=font_size(layout) - 1, dy=8)
    frame = base.transform_filter(alt.datum.arm == (best or ""))
    layers = [
        empty,
        filled.encode(color=_fill(span), tooltip=_tips()),
        frame.mark_rect(filled=False, stroke=ACCENT, strokeWidth=3, cornerRadius=2),
        *texts,
        counts.encode(text=alt.Text("failed:N"), fill=ink),
    ]
    return alt.LayerChart(layer=layers, height=max(120, 40 * len(rates)))


def _point_chart(cells: Sequence[Row], span: list[float], best: str | None) -> alt.LayerChart:
    """A point per arm, for rates and warmups that were drawn at random."""
    rates, percents = _rates(cells), [row["percent"] for row in cells]
    scale = alt.Scale(type="log", domain=[rates[-1] / 1.3, rates[0] * 1.3], nice=False)
    axis = number_axis(**at_ticks(log_ticks(rates[-1], rates[0])))
    margin = 0.06 * (max(percents) - min(percents)) or 1.0
    across = alt.Scale(domain=[min(percents) - margin, max(percents) + margin], nice=False)
    base = chart_of(cells).encode(
        x=alt.X("percent:Q", title="warmup (% of the updates)", scale=across, axis=alt.Axis(tickCount=5, grid=False)),
        y=alt.Y("lr:Q", title="peak learning rate", scale=scale, axis=axis),
    )
    point = base.transform_filter("isValid(datum.value) && datum.usable").mark_circle(size=130, opacity=1, stroke=GREY)
    crosses = base.transform_filter("datum.num_failed > 0").mark_point(shape=_CROSS, size=50, color=INK, opacity=1)
    frame = base.transform_filter(alt.datum.arm == (best or ""))
    ring = frame.mark_point(size=260, stroke=ACCENT, strokeWidth=3, opacity=1)
    layers = [point.encode(color=_fill(span), tooltip=_tips()), crosses, ring]
    return alt.LayerChart(layer=layers, height=HEIGHT)


def _largest_lr_chart(table: list[Row], layout: Layout) -> alt.LayerChart:
    """The largest lr that learns over warmup length, with an arrow where no larger one was tried."""
    rates = sorted({arm["lr"] for arm in layout.arms})
    domain = [rates[0] / 1.5, rates[-1] * 1.5]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    axis = number_axis(**at_ticks(rates))
    y = alt.Y("mean:Q", title="peak learning rate", scale=scale, axis=axis)
    chart = interval_chart(table, _over_all_rates(layout), y, domain[0])
    edges = chart_of([row for row in table if row["at_edge"]]).encode(x=alt.X("x:Q"), y=alt.Y("mean:Q"))
    arrows = edges.mark_point(shape=_ARROW, size=25, filled=True, color=GREY, opacity=1, yOffset=-15)
    return alt.LayerChart(layer=[chart, arrows], height=HEIGHT)
