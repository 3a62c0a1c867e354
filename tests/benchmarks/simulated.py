"""Simulated sweeps whose truth is known, and what a comparison claims about them.

Warmups of 0, 2, 10 and 30 % of 340 updates at one learning rate, unless stated. 10 % is the reference. The loss of
guessing is H = ln 6. A run's loss is 0.8 plus a seed effect (SD 0.1, shared by all arms) plus its own noise, so the
difference of two arms at a seed has the SD `SD` = 0.1: the unit of all effects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import FAVOURABLE, UNFAVOURABLE, Comparison, Question

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Draw = Callable[[np.random.Generator, int], pd.DataFrame]
"""(random numbers, seeds) -> a table of runs."""
Claim = tuple[str, int]
"""Arm or `trend`, and 1 for worse (trend: a longer warmup helps) or -1 for better."""

TOTAL_STEPS = 340
WARMUPS = (0, 7, 34, 102)
H = math.log(6)
SD = 0.1
NONE = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Truth:
    """How to simulate a sweep, and which claims about it are true."""

    draw: Draw
    true: frozenset[Claim] = frozenset()
    question: Question = field(default_factory=lambda: Question("eval_loss"))


WORSE_WITHOUT = frozenset({("w0", 1), ("trend", 1)})
"""No warmup is worse than the reference, and the other arms equal it."""


@dataclass(frozen=True)
class Row:
    """One line of a table: the share of simulated sweeps in which `happens`, for each number of seeds."""

    truth: str
    event: str
    seeds: tuple[int, ...]
    happens: Callable[[int, np.random.Generator], bool]
    at_most: float | None = None
    at_least: tuple[tuple[int, float], ...] = ()
    """(seeds, smallest share) where a power is required."""

    def broken_by(self, share: float, seeds: int, sweeps: int) -> str | None:
        """The bound that a share breaks by more than two standard errors; None if it keeps them."""
        for limit, sign in ((self.at_most, 1), (dict(self.at_least).get(seeds), -1)):
            if limit is not None and sign * (share - limit) > 2 * math.sqrt(limit * (1 - limit) / sweeps):
                bound = f"{'at most' if sign > 0 else 'at least'} {100 * limit:g} %"
                return f"{self.truth}, {seeds} seeds: {self.event} in {100 * share:.1f} %, {bound} is required"
        return None


# ------------------------------------------------------------------------------------------ tables of runs


def table(values: Floats, failed: Flags | None = None, *, metric: str = "eval_loss", **columns: object) -> pd.DataFrame:
    """One row per run of `values` `(arms, seeds)`; `columns` may replace any column, such as `warmup_steps` or `lr`."""
    arms, seeds = values.shape
    steps = np.repeat(WARMUPS[:arms] if arms <= len(WARMUPS) else np.arange(arms), seeds)
    frame = {
        "arm": [f"w{number}" for number in steps],
        "scheduler": "warmuplinear",
        "warmup_steps": steps,
        "total_steps": TOTAL_STEPS,
        "lr": 1e-3,
        "seed": np.tile(np.arange(seeds), arms),
        "status": "completed",
        "failed_to_learn": False if failed is None else failed.ravel(),
        metric: values.ravel(),
        "guess_loss": H,
        "guess_accuracy": 0.2,
    }
    return pd.DataFrame(frame | columns)


def normal(
    rng: np.random.Generator,
    seeds: int,
    *,
    shift: Sequence[float] = NONE,
    rates: Sequence[float] = NONE,
    by_seed: float = 0.0,
    arms: int = 4,
) -> pd.DataFrame:
    """Arms shifted by `shift` (in SD) that fail with `rates`; a share `by_seed` of the failures is shared by a seed."""
    noise = rng.normal(size=(1, seeds)) + rng.normal(size=(arms, seeds)) / math.sqrt(2)
    losses = 0.8 + SD * (noise + np.array(shift[:arms])[:, None])
    draws = np.where(rng.random((arms, seeds)) < by_seed, rng.random((1, seeds)), rng.random((arms, seeds)))
    failed = draws < np.array(rates[:arms])[:, None]
    return table(np.where(failed, H + 0.02 * rng.normal(size=losses.shape), losses), failed)


def truncated(
    rng: np.random.Generator, seeds: int, *, shift: Sequence[float] = NONE, spread: Sequence[float] = (1, 1, 1, 1)
) -> pd.DataFrame:
    """A run fails if its loss is above 0.95 H, as if a threshold cut a continuum. Both effects are in SD of 0.25."""
    noise = rng.normal(size=(1, seeds)) + np.array(spread)[:, None] * rng.normal(size=(4, seeds)) / math.sqrt(2)
    losses = 1.4 + 0.25 * (noise + np.array(shift)[:, None])
    return table(losses, losses > 0.95 * H)


def skewed(rng: np.random.Generator, seeds: int, *, shift: Sequence[float] = NONE) -> pd.DataFrame:
    """Log-normal losses with skewness 1.75; `shift` is in SD of the differences."""
    losses = 0.1 * np.exp(0.5 * rng.normal(size=(1, seeds)) + 0.5 * rng.normal(size=(4, seeds)))
    sd = 0.1 * math.sqrt(2 * math.exp(1.0) - 2 * math.exp(0.75))
    return table(losses + sd * np.array(shift)[:, None])


def censored(rng: np.random.Generator, seeds: int, *, shift: Sequence[float] = NONE) -> pd.DataFrame:
    """Updates to a target: log-normal, never reached by 30 % of the runs; `shift` is in SD of the log differences."""
    noise = 0.5 * rng.normal(size=(1, seeds)) + math.sqrt(0.5) * rng.normal(size=(4, seeds))
    logs = noise / math.sqrt(0.75) + np.array(shift)[:, None] - 0.52
    updates = np.where(logs > 0, np.nan, np.ceil(TOTAL_STEPS * np.exp(0.5 * logs)))
    return table(updates, metric="updates_to_target")


def swept_lr(
    rng: np.random.Generator,
    seeds: int,
    *,
    ratio: float = 1.0,
    slope: float = 6.0,
    grids: Sequence[int] | None = None,
) -> pd.DataFrame:
    """3 warmups x 5 lrs a factor 1.41 apart. The lr50 of no warmup is smaller than that of the others by `ratio`.

    The failure rate is logistic in log(lr), with a seed effect of SD 0.2. `grids`: how many of the smallest lrs each
    warmup was run with.
    """
    num_lrs = 5
    logs = math.log(1.41) * (np.arange(num_lrs) - (num_lrs - 1) / 2)
    lr50 = math.log(ratio) * np.array([-0.5, 0.5, 0.5])
    distance = logs[None, :, None] - lr50[:, None, None] - 0.2 * rng.normal(size=seeds)
    failed = rng.random(distance.shape) < 1 / (1 + np.exp(-slope * distance))
    losses = 0.8 + SD * (rng.normal(size=seeds) + rng.normal(size=failed.shape) / math.sqrt(2))
    warmup, lr, _ = np.indices(failed.shape).reshape(3, -1)
    runs = table(
        np.where(failed, H, losses).reshape(3 * num_lrs, seeds),
        failed,
        arm=[f"w{(0, 34, 102)[w]} lr{i}" for w, i in zip(warmup, lr, strict=True)],
        warmup_steps=np.array((0, 34, 102))[warmup],
        lr=1e-3 * np.exp(logs)[lr],
    )
    return runs if grids is None else runs[lr < np.array(grids)[warmup]]


# ------------------------------------------------------------------------------------------------- claims


def claims(found: Comparison) -> set[Claim]:
    """Everything that a comparison says is different; `("headline", 0)` is a headline that none of it supports."""
    made: set[Claim] = set()
    for verdict in found.verdicts:
        sign = (verdict.value in UNFAVOURABLE) - (verdict.value in FAVOURABLE)
        if sign or verdict.value == "different_within_margin":
            made.add((verdict.arm.split()[0], sign))
    for trend in found.trends:
        if trend.p_adjusted < 0.05:
            improves = trend.z > 0 if trend.of == "lr50" or not found.smaller_is_better else trend.z < 0
            made.add(("trend", 1 if improves else -1))
    for line in found.lr_lines:
        if line.ratio is not None and line.p_adjusted is not None and line.p_adjusted < 0.05:
            made.add((line.arms[0].split()[0], 1 if line.ratio.ratio < 1 else -1))
    asserts = (
        found.headline.startswith(("Use ", "The usable", "A longer", "It depends", "With no warmup"))
        or "not the best choice" in found.headline
    )
    return made or ({("headline", 0)} if asserts else set())


def says_equivalent(found: Comparison, *arms: str) -> bool:
    """Whether one of the arms is called as good as the reference."""
    values = {verdict.value for verdict in found.verdicts if not arms or verdict.arm in arms}
    return bool(values & {"equivalent", "different_within_margin"})


def is_right(found: Comparison, truth: Truth) -> bool:
    return bool(claims(found) & truth.true)


def is_wrong(found: Comparison, truth: Truth) -> bool:
    return bool(claims(found) - truth.true)


def judge(truth: Truth, seeds: int, rng: np.random.Generator) -> Comparison:
    """The comparison of one simulated sweep, judged once."""
    return compare(truth.draw(rng, seeds), truth.question)


# ------------------------------------------------------------------------------------------------- truths


def one_worse(draw: Callable[..., pd.DataFrame], **changes: object) -> Truth:
    """No warmup is worse, and the others are equal."""
    metric = "updates_to_target" if draw is censored else "eval_loss"
    return Truth(partial(draw, **changes), WORSE_WITHOUT, Question(metric))


def equal(draw: Callable[..., pd.DataFrame], **changes: object) -> Truth:
    """All arms are equal."""
    return Truth(partial(draw, **changes), frozenset(), one_worse(draw).question)


_U_SHAPE = frozenset({("w0", 1), ("w102", 1)})
NULLS: Mapping[str, Truth] = {
    "nothing, normal losses": equal(normal),
    "nothing, 30 % of all runs fail": equal(normal, rates=(0.3,) * 4),
    "nothing, 30 % fail, half of them by seed": equal(normal, rates=(0.3,) * 4, by_seed=0.5),
    "nothing, truncation": equal(truncated),
    "nothing, skew": equal(skewed),
    "nothing, censoring": equal(censored),
    "nothing, 3 warmups x 5 lrs": equal(swept_lr),
}
EFFECTS: Mapping[str, Truth] = {
    "no warmup worse by 1 SD": one_worse(normal, shift=(1, 0, 0, 0)),
    "no warmup worse by 2 SD": one_worse(normal, shift=(2, 0, 0, 0)),
    "no warmup fails in 80 % against 20 %": one_worse(normal, rates=(0.8, 0.2, 0.2, 0.2)),
    "no warmup worse by 1 SD, truncation": one_worse(truncated, shift=(1, 0, 0, 0)),
    "no warmup worse by 1 SD, skew": one_worse(skewed, shift=(1, 0, 0, 0)),
    "no warmup worse by 2 SD, skew": one_worse(skewed, shift=(2, 0, 0, 0)),
    "no warmup slower by 1 SD, censoring": one_worse(censored, shift=(1, 0, 0, 0)),
    "lr50 without warmup smaller by a factor of 1.41": one_worse(swept_lr, ratio=1.41),
    "lr50 without warmup smaller by a factor of 2": one_worse(swept_lr, ratio=2.0),
    "U shape: 0 and 30 % worse by 1 SD": Truth(partial(normal, shift=(1, 0, 0, 1)), _U_SHAPE),
    "U shape: 0 and 30 % fail in 80 % against 20 %": Truth(partial(normal, rates=(0.8, 0.2, 0.2, 0.8)), _U_SHAPE),
}
