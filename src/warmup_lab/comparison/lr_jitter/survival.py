"""Which constant rates runs survive, cold and warmed, and at which multiples of the jitter lr they are tried.

A run survives if it neither diverges nor fails to learn. `cold` runs start at their rate, `warmed` runs reach the same
rate through a warmup. Both then hold it, so they differ only in the warmup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from warmup_lab.comparison import MAX_FAILED_AT_LOWEST, MIN_FAILED_AT_HIGHEST, Rate
from warmup_lab.system import JsonRecord

Start = Literal["cold", "warmed"]
STARTS: tuple[Start, ...] = ("cold", "warmed")

FIRST_MULTIPLES = tuple(2 ** (power / 2) for power in range(-4, 3))
"""Multiples of the median jitter lr that are always tried: 1/4 to 2, a factor of 1.41 apart."""
ALL_MULTIPLES = tuple(2 ** (power / 2) for power in range(-6, 7))
"""`FIRST_MULTIPLES` and those that `next_multiples` may add: 1/8 to 8."""


def nearest_multiple(lr: float, jitter_lr: float) -> float:
    """`lr / jitter_lr`, or the planned multiple within 2 % of it: rates are rounded to three digits."""
    ratio = lr / jitter_lr
    return next((known for known in ALL_MULTIPLES if math.isclose(ratio, known, rel_tol=0.02)), ratio)


def next_multiples(failed: Mapping[Start, Mapping[float, float]]) -> list[float]:
    """The multiples to try next, at most one on each side; empty if the grid reaches both ends, or the last multiple.

    lr50 needs a grid at whose smallest rate at most 10 % of the runs fail, and at whose largest at least 90 % do, both
    cold and warmed. Downwards the grid also ends where the smallest rate fails more than the one above it: such runs
    are too slow for their number of updates.

    Args:
        failed: share of the runs that failed, for each start and multiple; both starts have the same multiples.
    """
    tried = sorted(failed["cold"])
    lowest, second, highest = ALL_MULTIPLES.index(tried[0]), tried[1], ALL_MULTIPLES.index(tried[-1])
    shares = list(failed.values())
    is_open_below = any(share[tried[0]] > MAX_FAILED_AT_LOWEST for share in shares)
    is_too_slow = any(share[tried[0]] > share[second] for share in shares)
    is_open_above = any(share[tried[-1]] < MIN_FAILED_AT_HIGHEST for share in shares)
    lower = list(ALL_MULTIPLES[max(0, lowest - 1) : lowest]) if is_open_below and not is_too_slow else []
    return lower + (list(ALL_MULTIPLES[highest + 1 : highest + 2]) if is_open_above else [])


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
    num_unfinished: int = 0
    """Runs without a result so far."""
    guess_loss: float | None = None
    """Loss of guessing (H, nats)."""

    @property
    def all_survived(self) -> bool:
        """Every run has ended and survived."""
        return 0 < self.survived.count == self.survived.total and not self.num_unfinished

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
