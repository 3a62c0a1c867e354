"""Which arm is drawn in which panel and as which line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from warmup_lab.comparison import kind_of

Row = dict[str, Any]

MAX_LINES = 5
"""Lines in one chart; more are spread over several charts."""


@dataclass(frozen=True)
class Layout:
    """Which arm is drawn where: each has a `panel` and a `line`, and a `kind`, which is all but warmup and lr."""

    arms: list[Row]
    panels: list[str]
    lines: list[str]
    lengths: list[int]
    total_steps: int | None
    """Updates of every run; None where the sweep varies them."""

    def label(self, warmup_steps: int) -> list[str]:
        """`36`, and below it its share of all updates."""
        share = [short_percent(100 * warmup_steps / self.total_steps)] if self.total_steps else []
        return [str(warmup_steps), *share]

    def of(self, panel: str) -> list[Row]:
        return [arm for arm in self.arms if arm["panel"] == panel]


def short_percent(percent: float) -> str:
    """Two digits: eight lengths must stand side by side on a phone, and the tables say it exactly.

    >>> short_percent(2.2222), short_percent(10.13), short_percent(100), short_percent(0.0125)
    ('2.2 %', '10 %', '100 %', '0.013 %')
    """
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"


def make_layout(arms: Sequence[Row]) -> Layout:
    """At most `MAX_LINES` lines a panel where that can be, and as few panels as that allows."""
    totals = sorted({arm["total_steps"] for arm in arms})
    kinds = [kind_of(arm, several_totals=len(totals) > 1) for arm in arms]
    rates = [f"lr {arm['lr']:g}" for arm in arms]
    num_kinds, num_rates = len(set(kinds)), len(set(rates))
    both = [f"{kind}, {rate}" for kind, rate in zip(kinds, rates, strict=True)]
    together = kinds if num_rates == 1 else rates if num_kinds == 1 else both
    ways = [
        (1, num_kinds * num_rates, [""] * len(kinds), together),
        (num_kinds, num_rates, kinds, rates),
        (num_rates, num_kinds, rates, kinds),
    ]
    _, _, panels, lines = min(ways, key=lambda way: (False, way[0]) if way[1] <= MAX_LINES else (True, way[1]))
    places = [
        dict(zip(("kind", "panel", "line"), names, strict=True)) for names in zip(kinds, panels, lines, strict=True)
    ]
    placed = [arm | names for arm, names in zip(arms, places, strict=True)]
    lengths = sorted({arm["warmup_steps"] for arm in arms})
    return Layout(placed, unique(panels), unique(lines), lengths, totals[0] if len(totals) == 1 else None)


def unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
