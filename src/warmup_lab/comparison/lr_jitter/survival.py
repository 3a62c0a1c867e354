"""Which constant rates runs survive, cold and warmed, and what the warmup buys.

A run survives if it neither diverges nor fails to learn. `cold` runs start at their rate, `warmed` runs reach the same
rate through a warmup. Both then hold it, so they differ only in the warmup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from warmup_lab.comparison import Rate
from warmup_lab.system import JsonRecord

Start = Literal["cold", "warmed"]
Bound = Literal["at least", "at most"]

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the median jitter lr at which it is confirmed."""


@dataclass(frozen=True)
class Trial(JsonRecord):
    """All seeds at one constant rate."""

    start: Start
    lr: float
    multiple: float
    """`lr` divided by the median jitter lr."""
    warmup_steps: int
    survived: Rate
    """With its 95 % Wilson interval."""
    survivors: tuple[int, ...]
    """Seeds that survived."""
    tried: tuple[int, ...]
    """Seeds that finished."""
    eval_loss: dict[int, float]
    """Final evaluation loss, in nats, of the seeds that survived."""

    @property
    def all_survived(self) -> bool:
        return 0 < self.survived.count == self.survived.total

    @property
    def survivors_of_tried(self) -> str:
        """`4 of 5`."""
        return f"{self.survived.count} of {self.survived.total}"


@dataclass(frozen=True)
class LargestLr(JsonRecord):
    """The largest rate at which every run survived."""

    lr: float | None
    """None if some run failed at every rate."""
    at_edge: bool
    """It is the largest rate that was tried, so the limit may be higher."""


def largest_surviving(trials: Iterable[Trial], start: Start) -> LargestLr:
    """The largest lr at which every run of that start survived. A failure at a smaller lr does not lower it.

    Far below it, runs may fail because they are too slow for their number of updates, which is no instability.
    """
    finished = [trial for trial in trials if trial.start == start and trial.survived.total]
    good = [trial.lr for trial in finished if trial.all_survived]
    lr = max(good, default=None)
    return LargestLr(lr, lr is not None and lr == max(trial.lr for trial in finished))


# ---------------------------------------------------------------------------------- what the warmup buys


@dataclass(frozen=True)
class Gain(JsonRecord):
    """What warmup buys: the largest surviving lr warmed, divided by the largest cold."""

    ratio: float | None
    """Ratio of the largest rates at which every run survived; None if one of them is unknown."""
    bound: Bound | None
    """Which side is open, if one of the two rates is the largest tried."""
    seeds_larger: int
    """Seeds at which the warmed run survived a larger lr than the cold one."""
    seeds_equal: int
    seeds_smaller: int
    p_value: float | None
    """Two-sided sign test of larger against smaller; None if all seeds are equal."""
    sentence: str


def gain(trials: Sequence[Trial], cold: LargestLr, warmed: LargestLr) -> Gain:
    """The ratio of the two largest rates, and a sign test over the seeds.

    The sign test is exact (`scipy.stats.binomtest`); it leaves out seeds whose two rates are equal.
    """
    cold_by_seed, warmed_by_seed = _largest_by_seed(trials, "cold"), _largest_by_seed(trials, "warmed")
    signs = [np.sign(warmed_by_seed[seed] - cold_by_seed[seed]) for seed in cold_by_seed if seed in warmed_by_seed]
    larger, equal, smaller = (sum(sign == wanted for sign in signs) for wanted in (1, 0, -1))
    p_value = float(stats.binomtest(larger, larger + smaller).pvalue) if larger + smaller else None
    ratio, bound = _ratio(cold, warmed)
    by_seed = f"the warmed run survived a larger lr at {larger} of {len(signs)} seeds, the same at {equal}"
    by_seed += f", a smaller one at {smaller}" + (f" (sign test p = {p_value:.2g})" if p_value is not None else "")
    sentence = f"{_ratio_sentence(cold, warmed, ratio, bound)} Seed by seed, {by_seed}."
    return Gain(ratio, bound, int(larger), int(equal), int(smaller), p_value, sentence)


def _largest_by_seed(trials: Sequence[Trial], start: Start) -> dict[int, float]:
    """The largest lr that each seed survived; 0 if it survived none."""
    found: dict[int, float] = {}
    for trial in trials:
        for seed in trial.tried if trial.start == start else ():
            found[seed] = max(found.get(seed, 0.0), trial.lr if seed in trial.survivors else 0.0)
    return found


def _ratio(cold: LargestLr, warmed: LargestLr) -> tuple[float | None, Bound | None]:
    if cold.lr is None or warmed.lr is None or (cold.at_edge and warmed.at_edge):
        return None, None
    bound: Bound | None = None
    if warmed.at_edge or cold.at_edge:
        bound = "at least" if warmed.at_edge else "at most"
    return warmed.lr / cold.lr, bound


def _ratio_sentence(cold: LargestLr, warmed: LargestLr, ratio: float | None, bound: Bound | None) -> str:
    if cold.lr is None or warmed.lr is None:
        which = "cold and some warmed" if cold.lr == warmed.lr else "cold" if cold.lr is None else "warmed"
        return f"What warmup buys is not known: at every rate that was tried, some {which} runs failed."
    if ratio is None:
        return (
            f"What warmup buys is not known: all runs survived the largest rate that was tried, {warmed.lr:.3g}, both "
            "cold and warmed."
        )
    if ratio == 1:
        return (
            f"What warmup buys: no factor that rates a factor of 2 apart could show. All runs survived up to the same "
            f"lr, {cold.lr:.3g}, warmed and cold."
        )
    open_side = f"{bound} " if bound else ""
    return (
        f"What warmup buys: the largest lr that all runs survived is {warmed.lr:.3g} warmed and {cold.lr:.3g} cold, "
        f"{open_side}{ratio:.2g} times as large (rates are a factor of 2 apart)."
    )
