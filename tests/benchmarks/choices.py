"""Choices made by test, on simulated sweeps: the own best lr of each warmup, and the smallest good warmup."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
from simulated import SD, Floats, Row, table

from warmup_lab.comparison.selection import Method, compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.verdicts import Question

Rng = np.random.Generator
LENGTHS = (0, 7, 18, 34, 54, 72, 108, 180)
"""Updates of warmup, of 340; 34 is the reference."""


def losses(rng: Rng, arms: int, seeds: int, *, skewed: bool = False) -> tuple[Floats, float]:
    """Losses `(arms, seeds)` of equal arms, and the SD of the differences between two."""
    if skewed:
        values = np.exp(0.5 * rng.normal(size=(1, seeds)) + 0.5 * rng.normal(size=(arms, seeds)))
        return values, math.sqrt(2 * math.exp(1.0) - 2 * math.exp(0.75))
    return 0.8 + SD * (rng.normal(size=(1, seeds)) + rng.normal(size=(arms, seeds)) / math.sqrt(2)), SD


def runs_of(values: Floats, lr: float = 1e-3) -> pd.DataFrame:
    steps = np.repeat(LENGTHS[: len(values)], values.shape[1])
    return table(values, arm=[f"warmuplinear-w{number} lr={lr:g}" for number in steps], warmup_steps=steps, lr=lr)


def own_lr_verdict(
    seeds: int, rng: Rng, *, penalty: float = 0.0, shift: float = 0.0, skewed: bool = False
) -> dict[int, str]:
    """By length: the verdict at the own best of three lrs; the outer two are worse by `penalty` SD in every arm."""
    values, sd = losses(rng, 3 * len(LENGTHS), seeds, skewed=skewed)
    values = values.reshape(3, len(LENGTHS), seeds) + sd * penalty * np.array([1, 0, 1])[:, None, None]
    values[:, 0] += shift * sd
    parts = [runs_of(part, lr) for part, lr in zip(values, (3e-4, 1e-3, 3e-3), strict=True)]
    found = compare_at_own_best_lr(pd.concat(parts, ignore_index=True), Question("eval_loss")).comparison
    steps = {arm.name: arm.warmup_steps for arm in found.arms}
    return {steps[verdict.arm]: verdict.value for verdict in found.verdicts}


def own_lr_differs(seeds: int, rng: Rng, **truth: float) -> bool:
    return bool({"better", "worse"} & set(own_lr_verdict(seeds, rng, **truth).values()))


def own_lr_finds(seeds: int, rng: Rng, *, penalty: float) -> bool:
    return own_lr_verdict(seeds, rng, penalty=penalty, shift=2.0)[0] == "worse"


def names_smallest(seeds: int, rng: Rng, *, method: Method, answer: int) -> bool:
    """Whether `answer` is named. No warmup is worse by exactly the margin, which is too much; the others are equal."""
    values, sd = losses(rng, 6, seeds)
    values[0] += 1.5 * sd
    question = Question("eval_loss", margin=1.5 * sd)
    (found,) = smallest_warmup_as_good_as_best(runs_of(values), question, method=method)
    return found.warmup_steps == answer


_OWN = "8 warmups, each at its own best of 3 lrs"
_ANY = "any called better or worse"
_MARGIN = "no warmup worse by exactly the margin, the rest equal"


def _smallest(method: Method, seeds: tuple[int, ...]) -> tuple[Row, Row]:
    too_short, right = (partial(names_smallest, method=method, answer=answer) for answer in LENGTHS[:2])
    event = f"named the smallest good one ({method})"
    return Row(_MARGIN, f"no warmup {event}", seeds, too_short, 0.05), Row(_MARGIN, f"2 % {event}", seeds, right)


CHOICES = (
    Row(f"{_OWN}, all equal", _ANY, (8,), own_lr_differs, at_most=0.05),
    Row(f"{_OWN}, all equal, skewed", _ANY, (8,), partial(own_lr_differs, skewed=True), at_most=0.05),
    Row(f"{_OWN}, the middle lr best by 0.35 SD", _ANY, (8,), partial(own_lr_differs, penalty=0.35), at_most=0.05),
    Row(f"{_OWN}, the middle lr best by 0.7 SD", _ANY, (8,), partial(own_lr_differs, penalty=0.7), at_most=0.05),
    Row(f"{_OWN}, the middle lr best by 1 SD", _ANY, (8,), partial(own_lr_differs, penalty=1.0), at_most=0.05),
    Row(f"{_OWN} (by 0.7 SD); no warmup worse by 2 SD", "found", (8,), partial(own_lr_finds, penalty=0.7)),
    Row(f"{_OWN} (by 2 SD); no warmup worse by 2 SD", "found", (8,), partial(own_lr_finds, penalty=2.0)),
    *_smallest("split", (12,)),
    *_smallest("every_arm", (8, 12)),
)
