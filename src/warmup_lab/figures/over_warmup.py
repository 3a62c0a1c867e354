"""Numbers of arms over the length of the warmup. `column_charts` draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from warmup_lab.comparison import count, metric_kind
from warmup_lab.figures.charts import MIN_FOR_INTERVAL, AnyChart
from warmup_lab.figures.layout import Layout, Row, short_percent, unique
from warmup_lab.figures.palette import WHITE, style
from warmup_lab.figures.seed_dots import NO_SEEDS, ReadSeeds, SeedValues
from warmup_lab.metrics import smaller_is_better, title_and_unit

_OF_ALL = "Losses and scores: means over all seeds; a run that failed to learn counts as guessing."
_OSCILLATION = "Oscillation: means over the runs that learned."
_OF_LEARNED = "Means over the runs that learned."


@dataclass(frozen=True)
class Column:
    """A number of every arm, and how to draw it: a column of charts, one for each panel."""

    title: str
    axis: str
    read: Callable[[Row], Row]
    """Arm -> `mean`, `low`, `high`, `note` and whatever else replaces the defaults of `warmup_table`."""
    seen: Callable[[Sequence[Row]], str] = lambda _: ""
    """Rows of a panel -> what is seen there."""
    read_seeds: ReadSeeds = lambda _: {}
    """Arm -> the value of each seed."""
    seeds: SeedValues = field(default_factory=lambda: NO_SEEDS)
    share: bool = False
    """The number is a share, drawn from 0 to 100 %."""
    decorate: Callable[[AnyChart], AnyChart] = lambda chart: chart
    """Adds to the chart what belongs to this column only."""
    notes: tuple[str, ...] = ()
    """Sentences of the caption about what `decorate` adds."""


# --- numbers


def metric_column(metric: str, seeds: SeedValues = NO_SEEDS) -> Column:
    """Mean of a metric with its 95 % interval: over all seeds if `comparison.json` has that, as for losses and scores.

    Other metrics, such as oscillation, have a mean over the runs that learned only.
    """

    def read(arm: Row) -> Row:
        found = arm["metrics"].get(metric, {})
        of = "_of_all" if "mean_of_all" in found else ""
        num_runs = arm["failed"]["total"] if of else found.get("num_runs", 0)
        shown = shown_interval(found.get(f"interval{of}"), num_runs)
        return {"mean": found.get(f"mean{of}"), "note": mean_note(metric, found), **shown}

    title, unit = title_and_unit(metric)
    short = metric.rpartition("/")[2].replace("_", " ")
    lowest = smaller_is_better(metric)
    return Column(
        capitalized(title), with_unit(short, unit), read, lambda rows: seen_extreme(rows, lowest=lowest),
        seeds.of(metric), seeds,
    )  # fmt: skip


def mean_note(metric: str, found: Row) -> str:
    """The sentence that says which runs a mean is over; `found` is the section of the metric of an arm."""
    if "mean_of_all" in found:
        return _OF_ALL
    return _OSCILLATION if metric_kind(metric) == "rank" else _OF_LEARNED


def shown_interval(interval: Sequence[float] | None, num_runs: int) -> Row:
    """`low` and `high`, None for fewer than 3 runs, and `few`: the number of runs if it is so small, otherwise 0.

    `few` is None for what is known without a run: the reference minus itself.
    """
    if 0 < num_runs < MIN_FOR_INTERVAL:
        return {"low": None, "high": None, "few": num_runs}
    low, high = interval or (None, None)
    return {"low": low, "high": high, "few": 0}


def same_few(rows: Iterable[Row]) -> int:
    """The number of runs behind every mean if it is the same and fewer than 3, otherwise 0."""
    numbers = {row["few"] for row in rows if row["mean"] is not None and row["few"] is not None}
    return numbers.pop() if len(numbers) == 1 else 0


def seen_extreme(rows: Sequence[Row], *, lowest: bool) -> str:
    """`Lowest with 10 % warmup, lr 0.001: 0.32 (2 runs)`. Arms count as equal if they are so to three digits."""
    known = [row for row in rows if row["mean"] is not None]
    if not known:
        return "No run learned"
    best = min(known, key=lambda row: row["mean"] if lowest else -row["mean"])
    few = 0 if same_few(rows) else best["few"]
    value = f"{best['mean']:.3g}" + (f" ({count(few, 'run')})" if few else "")
    if len(known) == 1:
        return capitalized(f"{value} with {best['place']}")
    equal = sum(f"{row['mean']:.3g}" == f"{best['mean']:.3g}" for row in known)
    if equal == len(known):
        return f"The same for all arms: {value}"
    others = f" and {count(equal - 1, 'other')}" if equal > 1 else ""
    return f"{'Lowest' if lowest else 'Highest'} with {best['place']}{others}: {value}"


def warmup_table(layout: Layout, read: Callable[[Row], Row]) -> list[Row]:
    """A row per arm, ordered by panel; `read` gives `mean`, `low` and `high`, each a number or None.

    `x` is the position on the warmup axis: the index of the length, shifted so that the lines of a panel do not hide
    each other. `cross`: no run of the arm learned. `note`: a sentence of the caption about the number.
    """
    return [row for panel in layout.panels for row in _panel_rows(layout, panel, read)]


def _panel_rows(layout: Layout, panel: str, read: Callable[[Row], Row]) -> list[Row]:
    arms = [arm for arm in layout.arms if arm["panel"] == panel]
    lines = unique(arm["line"] for arm in arms)
    shift = min(0.18, 0.6 / max(1, len(lines)))
    return [
        {
            "panel": panel,
            "x": layout.lengths.index(arm["warmup_steps"]) + shift * (lines.index(arm["line"]) - (len(lines) - 1) / 2),
            "line": arm["line"],
            "arm": arm["name"],
            "place": _place(arm, several_lines=len(lines) > 1),
            "colour": style(layout.lines.index(arm["line"]))[0],
            "few": 0,
            "note": "",
            "learned": f"{arm['num_learned']} of {arm['failed']['total']}",
            "cross": arm["num_learned"] == 0 and arm["failed"]["total"] > 0,
            "fill": WHITE if arm["failed"]["count"] else style(layout.lines.index(arm["line"]))[0],
            **read(arm),
        }
        for arm in arms
    ]


def _place(arm: Row, *, several_lines: bool) -> str:
    """`10 % warmup, lr 0.001`: the arm within its panel."""
    percent = 100 * arm["warmup_steps"] / arm["total_steps"]
    warmup = f"{short_percent(percent)} warmup" if percent else "no warmup"
    return f"{warmup}, {arm['line']}" if several_lines else warmup


def capitalized(text: str) -> str:
    """The first letter in upper case and the rest unchanged, unlike `str.capitalize`."""
    return text[:1].upper() + text[1:]


def with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name
