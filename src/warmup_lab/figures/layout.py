"""Which arm is drawn in which panel and as which line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from warmup_lab.comparison import WITHOUT_WARMUP, kind_name, several_lrs
from warmup_lab.comparison.lr_jitter import RAMP

Row = dict[str, Any]

MAX_LINES = 5
"""Most lines in one chart. More lines are spread over several charts, if possible."""


@dataclass(frozen=True)
class Layout:
    """The arms of a sweep and their places in the figures."""

    arms: list[Row]
    """The arms of `comparison.json`, each with four more keys: `kind` (all but warmup and lr), `family` (all but
    warmup), and the `panel` and `line` of charts over warmup length."""
    panels: list[str]
    lines: list[str]
    lengths: list[int]
    """All warmup lengths, in updates, in rising order."""
    total_steps: int | None
    """Updates of every run; None if the sweep varies them."""

    @property
    def several_lrs(self) -> bool:
        return several_lrs(arm["lr"] for arm in self.arms)

    @property
    def last_step(self) -> int:
        """Index of the last update of the longest run."""
        return max(int(arm["total_steps"]) for arm in self.arms) - 1

    def label(self, warmup_steps: int) -> list[str]:
        """`["36", "10 %"]`: updates of warmup and their share of all updates, if that is the same in all runs."""
        share = [short_percent(100 * warmup_steps / self.total_steps)] if self.total_steps else []
        return [str(warmup_steps), *share]

    def warmup_line(self, warmup_steps: int) -> str:
        """`36 updates of warmup (10 %)`: the name of a line in charts of one family."""
        steps, *share = self.label(warmup_steps)
        return f"{steps} updates of warmup" + (f" ({share[0]})" if share else "")

    @property
    def warmup_lines(self) -> list[str]:
        return [self.warmup_line(steps) for steps in self.lengths]


def make_layout(arms: Sequence[Row]) -> Layout:
    """Spreads lines over as few panels as allow at most `MAX_LINES` a panel, or as few lines a panel as possible."""
    totals = sorted({arm["total_steps"] for arm in arms})
    kinds = [kind_name(arm, several_totals=len(totals) > 1) for arm in arms]
    rates = [f"lr {'up to ' * (arm['scheduler'] == RAMP)}{arm['lr']:g}" for arm in arms]
    num_kinds, num_rates = len(set(kinds)), len(set(rates))
    both = [f"{kind}, {rate}" for kind, rate in zip(kinds, rates, strict=True)]
    together = kinds if num_rates == 1 else rates if num_kinds == 1 else both
    ways = [
        (1, num_kinds * num_rates, [""] * len(kinds), together),
        (num_kinds, num_rates, kinds, rates),
        (num_rates, num_kinds, rates, kinds),
    ]
    _, _, panels, lines = min(ways, key=lambda way: (False, way[0]) if way[1] <= MAX_LINES else (True, way[1]))
    families = both if num_rates > 1 else kinds
    placed = [
        arm | {"kind": kind, "family": family, "panel": panel, "line": line}
        for arm, kind, family, panel, line in zip(arms, kinds, families, panels, lines, strict=True)
    ]
    lengths = sorted({arm["warmup_steps"] for arm in arms})
    return Layout(placed, unique(panels), unique(lines), lengths, totals[0] if len(totals) == 1 else None)


def comparable_name(arm: Row, key: str) -> str:
    """`kind` or `family` of an arm. A schedule without warmup has the name of the one that equals it at 0 updates."""
    scheduler, name = str(arm["scheduler"]), str(arm[key])
    return name.replace(scheduler, WITHOUT_WARMUP.get(scheduler.lower(), scheduler), 1)


def short_percent(percent: float) -> str:
    """Two digits, because eight lengths must fit side by side on a phone. The tables have more digits.

    >>> short_percent(2.2222), short_percent(10.13), short_percent(100), short_percent(0.0125)
    ('2.2 %', '10 %', '100 %', '0.013 %')
    """
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"


def unique(values: Iterable[str]) -> list[str]:
    """The values without repetitions, in order of first appearance."""
    return list(dict.fromkeys(values))
