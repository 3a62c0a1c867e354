"""Simulated sweeps that try to make a comparison claim something false, one function an attack."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from simulated import (
    SD,
    WARMUPS,
    H,
    Row,
    Truth,
    claims,
    is_wrong,
    judge,
    normal,
    says_equivalent,
    skewed,
    swept_lr,
    table,
    truncated,
)

from warmup_lab.comparison.headline import fewest_failures
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import Question

Rng = np.random.Generator
LENGTHS = (0, 7, 14, 24, 34, 48, 68, 102)


# ------------------------------------------------------------------------- tables that no rule was written for


def hard_seeds(rng: Rng, seeds: int) -> pd.DataFrame:
    """A hard seed has both higher losses and more failures, in all arms alike."""
    hard = rng.normal(size=(1, seeds))
    losses = 0.8 + SD * (hard + rng.normal(size=(4, seeds)) / math.sqrt(2))
    failed = rng.random(losses.shape) < 1 / (1 + np.exp(1 - 2 * hard))
    return table(np.where(failed, H, losses), failed)


def unequal_spread(rng: Rng, seeds: int) -> pd.DataFrame:
    """Equal means, but the noise of no warmup is three times as large."""
    noise = np.array([3, 1, 1, 1])[:, None] * rng.normal(size=(4, seeds))
    return table(0.8 + SD * noise / math.sqrt(2))


def heavy_tails(rng: Rng, seeds: int) -> pd.DataFrame:
    """Student's t with 2 degrees of freedom: infinite variance."""
    return table(0.8 + 0.03 * rng.standard_t(2, size=(4, seeds)))


def ties(rng: Rng, seeds: int) -> pd.DataFrame:
    """Accuracy on 40 examples, around 90 %."""
    rate = 1 / (1 + np.exp(-2.2 - 0.3 * rng.normal(size=(1, seeds))))
    correct = rng.binomial(40, np.broadcast_to(rate, (4, seeds)))
    return table(correct / 40, metric="eval_accuracy")


def unbalanced(rng: Rng, seeds: int) -> pd.DataFrame:
    """A tenth of the runs is missing, a tenth ended in an error, and 30 % failed."""
    runs = normal(rng, seeds, rates=(0.3,) * 4)
    runs.loc[rng.random(len(runs)) < 0.1, "status"] = "error"
    return runs[(rng.random(len(runs)) >= 0.1) | (runs["seed"] == 0)]


def crashes_hide_bad_runs(rng: Rng, seeds: int) -> pd.DataFrame:
    """Without warmup, the fifth of the runs with the highest losses crashes: missing for a reason."""
    runs = normal(rng, seeds)
    worst = (runs["arm"] == "w0") & (runs["eval_loss"] > 0.8 + 0.84 * SD * math.sqrt(1.5))
    runs.loc[worst, "status"] = "error"
    return runs


def strata(rng: Rng, seeds: int) -> pd.DataFrame:
    """2 schedulers x 3 learning rates x 4 warmups; 5, 30 and 80 % of the runs fail at the three rates."""
    parts = []
    shared = rng.normal(size=(1, seeds))
    for scheduler in ("warmuplinear", "warmupcosine"):
        for lr, rate in ((1e-3, 0.05), (2e-3, 0.3), (4e-3, 0.8)):
            losses = 0.8 + SD * (shared + rng.normal(size=(4, seeds)) / math.sqrt(2))
            failed = rng.random(losses.shape) < rate
            part = table(np.where(failed, H, losses), failed, scheduler=scheduler, lr=lr)
            parts.append(part.assign(arm=part["arm"] + f" {scheduler} {lr}"))
    return pd.concat(parts, ignore_index=True)


def own_slopes(rng: Rng, seeds: int, *, correlation: float = 0.9, lengths: tuple[int, ...] = LENGTHS) -> pd.DataFrame:
    """Equal means, but neighbouring lengths of a seed have similar losses (autoregressive), as real runs do."""
    distance = np.abs(np.subtract.outer(np.arange(len(lengths)), np.arange(len(lengths))))
    losses = np.linalg.cholesky(correlation**distance) @ rng.normal(size=(len(lengths), seeds))
    steps = np.repeat(lengths, seeds)
    return table(0.8 + SD * losses, arm=[f"w{number}" for number in steps], warmup_steps=steps)


def shared_zero(rng: Rng, seeds: int) -> pd.DataFrame:
    """Three shapes of warmup that share the arm without warmup, which enters the trend of each."""
    losses = 0.8 + SD * rng.normal(size=(10, seeds))
    steps = np.array((0, *WARMUPS[1:] * 3))
    shapes = np.array(("none", *("linear",) * 3, *("cosine",) * 3, *("exponential",) * 3))
    names = [f"w{number} {shape}" for number, shape in zip(steps, shapes, strict=True)]
    return table(
        losses, arm=np.repeat(names, seeds), warmup_steps=np.repeat(steps, seeds), warmup=np.repeat(shapes, seeds)
    )


def always_failing(rng: Rng, seeds: int) -> pd.DataFrame:
    """The reference and no warmup always fail, the others never."""
    return normal(rng, seeds, rates=(1, 0, 1, 0))


def rare_disasters(rng: Rng, seeds: int) -> pd.DataFrame:
    """No warmup is better by 0.5 SD, except for 5 % of its runs, which are so bad that the means are equal."""
    runs = normal(rng, seeds, shift=(-0.5, 0, 0, 0))
    runs.loc[(runs["arm"] == "w0") & (rng.random(len(runs)) < 0.05), "eval_loss"] += 0.5 * SD / 0.05
    return runs


def overfitted(rng: Rng, seeds: int) -> pd.DataFrame:
    """Runs that learned have an evaluation loss of 2.2, above H; no warmup fails in 40 % of its runs."""
    runs = normal(rng, seeds, rates=(0.4, 0, 0, 0))
    runs.loc[~runs["failed_to_learn"], "eval_loss"] += 1.4
    return runs


def three_settings(rng: Rng, seeds: int) -> pd.DataFrame:
    """3 values of another setting x 2 warmups x 5 lrs, with few seeds."""
    parts = [swept_lr(rng, seeds).assign(setting=f"setting={name}") for name in "abc"]
    runs = pd.concat([part[part["warmup_steps"] != 102] for part in parts], ignore_index=True)
    return runs.assign(arm=runs["arm"] + " " + runs["setting"])


# ----------------------------------------------------------------------------------------------- events


def wrong(truth: Truth, seeds: int, rng: Rng) -> bool:
    return is_wrong(judge(truth, seeds, rng), truth)


def any_claim(draw: Callable[..., pd.DataFrame], metric: str = "eval_loss", **changes: object) -> Callable[..., bool]:
    """Any false claim where all arms are equal."""
    question = Question(metric, smaller_is_better=metric != "eval_accuracy")
    return partial(wrong, Truth(partial(draw, **changes), frozenset(), question))


@dataclass(frozen=True)
class CallsEquivalent:
    """Whether one of the arms is called equivalent."""

    draw: Callable[..., pd.DataFrame]
    margin: float
    arms: tuple[str, ...] = ("w0",)

    def __call__(self, seeds: int, rng: Rng) -> bool:
        return says_equivalent(compare(self.draw(rng, seeds), Question("eval_loss", margin=self.margin)), *self.arms)


def calls_better(draw: Callable[..., pd.DataFrame], seeds: int, rng: Rng) -> bool:
    return ("w0", -1) in claims(compare(draw(rng, seeds), Question("eval_loss")))


def pooled_without_looks(seeds: int, rng: Rng) -> bool:
    """Seeds added to an undecided sweep and all judged at once, at 6, 12, ... seeds up to `seeds`."""
    runs, reached = normal(rng, seeds), 6
    while reached <= seeds:
        if claims(compare(runs[runs["seed"] < reached], Question("eval_loss"))):
            return True
        reached *= 2
    return False


def recommends_failing(seeds: int, rng: Rng) -> bool:
    """Where the rates are 90, 50, 10 and 0 %: a decided trend recommends a length that fails in half of the runs."""
    rates = (0.9, 0.5, 0.1, 0.0)
    found = compare(normal(rng, seeds, rates=rates), Question("eval_loss"))
    trend = found.trend("failures")
    if trend is None or trend.p_adjusted >= 0.05:
        return False
    return fewest_failures(found.levels, found.failure_margin)[0].warmup_percent < 5


def _rates(first: float, second: float) -> Callable[..., pd.DataFrame]:
    return partial(normal, rates=(first, second, second, second))


def _null(truth: str, seeds: tuple[int, ...], draw: Callable[..., pd.DataFrame], metric: str = "eval_loss") -> Row:
    """Any false claim in at most 5 % of the sweeps."""
    return Row(truth, "any false claim", seeds, any_claim(draw, metric), at_most=0.05)


def _better(truth: str, seeds: tuple[int, ...], draw: Callable[..., pd.DataFrame], at_most: float | None = None) -> Row:
    return Row(truth, "no warmup called better", seeds, partial(calls_better, draw), at_most)


_EQUIVALENT = "no warmup called equivalent"
_ANY_EQUIVALENT = "any called equivalent"
_SKEWED_SD = 0.1 * math.sqrt(2 * math.exp(1.0) - 2 * math.exp(0.75))
_AT_MARGIN, _AT_SKEWED_MARGIN = (partial(draw, shift=(1, 1, 0, 1)) for draw in (normal, skewed))
EQUIVALENCE = (
    Row("40 % fail against 0", _EQUIVALENT, (12,), CallsEquivalent(_rates(0.4, 0), 2 * SD), at_most=0.01),
    Row("20 % fail against 0", _EQUIVALENT, (12,), CallsEquivalent(_rates(0.2, 0), 2 * SD), at_most=0.08),
    Row(
        "all others worse by exactly the margin, 1 SD",
        _ANY_EQUIVALENT,
        (6, 12, 24),
        CallsEquivalent(_AT_MARGIN, SD, ()),
        at_most=0.05,
    ),
    Row("the same, skew", _ANY_EQUIVALENT, (12,), CallsEquivalent(_AT_SKEWED_MARGIN, _SKEWED_SD, ()), at_most=0.05),
    Row("all equal, margin 1 SD", _EQUIVALENT, (6, 12, 24), CallsEquivalent(normal, SD)),
    Row("all equal, margin 2 SD", _EQUIVALENT, (6, 12, 24), CallsEquivalent(normal, 2 * SD)),
)
ATTACKS = (
    _null("hard seeds have higher losses and more failures", (6, 12), hard_seeds),
    _null("10 % of all runs fail, so many tests cannot reject", (6, 12), partial(normal, rates=(0.1,) * 4)),
    _null("no warmup has 3 times the noise", (6, 12, 24), unequal_spread),
    _null("losses with infinite variance", (6, 12), heavy_tails),
    _null("accuracies on 40 examples, with ties", (6, 12), ties, "eval_accuracy"),
    _null("a fifth of the runs missing or in error, 30 % failed", (6, 12), unbalanced),
    _null("2 schedulers x 3 lrs x 4 warmups", (6, 12), strata),
    _null("neighbouring lengths of a seed alike (0.9), 8 lengths", (6, 12), own_slopes),
    _null("3 shapes share the arm without warmup", (6, 12), shared_zero),
    _null("one seed, 7 lengths", (1,), partial(own_slopes, lengths=LENGTHS[1:])),
    _null("lr50 equal, no lr high enough to reach it", (12,), partial(swept_lr, grids=(2, 2, 2))),
    _null("lr50 equal, no warmup tried at 2 of 5 lrs", (12,), partial(swept_lr, grids=(2, 5, 5))),
    _null("lr50 equal, failures almost deterministic in lr", (6, 12), partial(swept_lr, slope=40.0)),
    _null("3 settings x 2 warmups x 5 lrs, too few seeds for a test", (3, 5), three_settings),
    Row("the reference and no warmup always fail", _EQUIVALENT, (12,), CallsEquivalent(always_failing, SD), 0.01),
    _better(
        "equal latent means, twice the spread, so it fails more",
        (12, 24),
        partial(truncated, spread=(2, 1, 1, 1)),
        at_most=0.05,
    ),
    Row("20 % fail against 0: exactly the margin", _EQUIVALENT, (24, 48), CallsEquivalent(_rates(0.2, 0), 1), 0.065),
    Row("40 % fail against 20 %: the margin", _EQUIVALENT, (24, 48), CallsEquivalent(_rates(0.4, 0.2), 1), 0.065),
    Row("20 % fail against 0, 6 seeds only", _EQUIVALENT, (6,), CallsEquivalent(_rates(0.2, 0), 2 * SD)),
    Row(
        "90, 50, 10 and 0 % fail at the four lengths",
        "a length that fails in half of its runs recommended",
        (6, 12, 24),
        recommends_failing,
    ),
    Row("seeds added without planned looks, all judged", "any false claim", (24,), pooled_without_looks),
    _better("means equal, but 5 % of its runs are disasters", (12, 24), rare_disasters),
    _better("the worst fifth of its runs crashes", (12, 24), crashes_hide_bad_runs),
    _better("learned runs have a loss above H, and 40 % fail", (12, 24), overfitted),
)
"""Rows without a bound show a limit of the design; docs/statistics.md says what follows from it."""
