"""What a warmup buys: the usable learning rate (lr50) of warmed runs over that of cold runs, paired by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from warmup_lab.comparison import Interval, UsableLr, grid_error, log_lr50, lr50_ratio, mean_interval, usable_lr
from warmup_lab.comparison.lr_jitter.survival import STARTS, Start, Trial
from warmup_lab.system import JsonRecord

Answer = Literal["raises", "lowers", "nothing", "undecided"]

EFFECT = 1.25
"""Smallest ratio that matters. A warmup buys nothing if the ratio is shown to be between 1 / 1.25 and 1.25."""
ALPHA, POWER = 0.05, 0.8
MIN_SEEDS = 6
"""Fewest seeds of a test."""
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Gain(JsonRecord):
    """What the warmup does to the usable lr, and how sure that is."""

    answer: Answer
    """`raises` or `lowers` if the paired t-test rejects a ratio of 1, `nothing` if the 90 % interval is within `EFFECT`
    (TOST at 5 %), else `undecided`."""
    ratio: float | None
    """lr50 warmed over lr50 cold: geometric mean over the seeds. None without a pair of runs at two rates or more."""
    interval: Interval | None
    """95 % interval of the ratio, as in `Lr50Ratio`; it ends at 1 if the test rejects 1."""
    interval_90: Interval | None
    """The same at 90 %."""
    bound: str | None
    """`at least`, `at most` or `about` if the grid does not reach an end, which leaves the ratio open there."""
    at_seeds: dict[int, float]
    """The ratio of each seed."""
    lr50: dict[Start, UsableLr]
    """lr50 of both starts, with its interval; empty without a ratio."""
    num_seeds_needed: int | None
    """Seeds that would decide it with 80 % power (`seeds_needed`); None if it is decided, or if no number would."""
    reason: str | None
    """Why it is undecided."""


def warmup_gain(trials: Sequence[Trial]) -> Gain:
    """The ratio over the seeds that finished at every rate, cold and warmed."""
    lrs = sorted({trial.lr for trial in trials})
    found = {(trial.start, trial.lr): trial for trial in trials}
    if len(lrs) < 2 or len(found) != len(trials) or len(found) != 2 * len(lrs):
        return _unknown("cold and warmed runs at the same two or more rates are needed")
    seeds = sorted(set.intersection(*(set(trial.tried) for trial in trials)))
    if len(seeds) < 2:
        return _unknown("fewer than two seeds finished at every rate")
    learned = {
        start: np.array([[seed in found[start, lr].survivors for seed in seeds] for lr in lrs]) for start in STARTS
    }
    return _judge(learned, lrs, seeds)


def open_gain(gain: Gain, reason: str) -> Gain:
    """The ratio and its interval without an answer."""
    return replace(gain, answer="undecided", num_seeds_needed=None, reason=reason)


def _unknown(reason: str) -> Gain:
    return Gain("undecided", None, None, None, None, {}, {}, None, reason)


def _judge(learned: dict[Start, npt.NDArray[np.bool_]], lrs: Sequence[float], seeds: Sequence[int]) -> Gain:
    test = lr50_ratio(learned["warmed"], learned["cold"], lrs)
    logs = log_lr50(learned["warmed"], lrs) - log_lr50(learned["cold"], lrs)
    deviation = float(logs.std(ddof=1))
    agree = deviation < 1e-9
    error = sum(grid_error(learned[start], lrs) for start in STARTS)
    narrow = None if agree else mean_interval(logs, 1 - 2 * ALPHA)
    interval_90 = (math.exp(narrow[0] - error), math.exp(narrow[1] + error)) if narrow else test.interval
    rejects = test.p_value is not None and test.p_value <= ALPHA
    answer: Answer = "undecided"
    if rejects and test.ratio > 1 and test.bound in (None, "at least"):
        answer = "raises"
    elif rejects and test.ratio < 1 and test.bound in (None, "at most"):
        answer = "lowers"
    elif interval_90 and interval_90[0] >= 1 / EFFECT and interval_90[1] <= EFFECT and test.bound is None:
        answer = "nothing" if len(seeds) >= MIN_SEEDS else "undecided"
    reason = needed = None
    if answer == "undecided":
        is_coarse = agree or error >= math.log(EFFECT)
        reason = _what_is_missing(test.bound, agree=agree, is_coarse=is_coarse)
        needed = None if is_coarse or test.bound else seeds_needed(deviation, error)
    return Gain(
        answer=answer,
        ratio=test.ratio,
        interval=test.without_one.interval if rejects else test.interval,
        interval_90=interval_90,
        bound=test.bound,
        at_seeds=dict(zip(seeds, np.exp(logs).tolist(), strict=True)),
        lr50={start: usable_lr(learned[start], lrs) for start in STARTS},
        num_seeds_needed=needed,
        reason=reason,
    )


def _what_is_missing(bound: str | None, *, agree: bool, is_coarse: bool) -> str:
    if bound:
        return "the rates do not reach from one at which runs survive to one at which runs fail, cold and warmed"
    if is_coarse:
        who, seeds = ("all", "would not") if agree else ("most", "could only show that it is not 1")
        return (
            f"{who} seeds start to fail between the same two rates, so the ratio is known to about one step, a factor "
            f"of 1.41; rates closer together would decide it, more seeds {seeds}"
        )
    return f"the ratio is neither shown to differ from 1 nor to be between {1 / EFFECT:g} and {EFFECT:g}"


def seeds_needed(deviation: float, grid_error: float = 0.0) -> int | None:
    """Number of seeds at which both tests have a power of 80 %: TOST at a ratio of 1, and the t-test at `EFFECT`.

    It follows from the spread of the per-seed log ratios, the stated effect, and the error of the grid, which no number
    of seeds makes smaller and which TOST has to add. The observed ratio plays no part: an
    effect that is large by chance would promise too few seeds. Power is that of the noncentral t distribution; TOST's
    is bounded from below by 1 - 2 (1 - power of one of its tests).

    None if 1000 seeds are too few.

    >>> seeds_needed(0.27)
    15
    """
    for num in range(MIN_SEEDS, _MOST_SEEDS + 1):
        scale, freedom = math.sqrt(num) / deviation, num - 1
        margin = math.log(EFFECT) - grid_error
        one_side = stats.nct.sf(stats.t.isf(ALPHA, freedom), freedom, margin * scale)
        difference = stats.nct.sf(stats.t.isf(ALPHA / 2, freedom), freedom, math.log(EFFECT) * scale)
        if min(2 * one_side - 1, difference) >= POWER:
            return num
    return None
