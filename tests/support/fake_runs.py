"""Tables of runs, one row per run, with losses that a test chooses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import Question, Verdict

SEED_EFFECT = np.array([0.50, 0.61, 0.43, 0.57, 0.49, 0.66, 0.52, 0.45])
NOISE = 0.01 * np.array([1.0, -2.0, 1.5, -0.5, 2.0, -1.0, -1.5, 0.5])
"""Mean 0, SD 0.0146."""
GUESS_LOSS = 0.6931
"""Loss of guessing one of two balanced classes."""


def arm(losses, warmup=36, *, total=360, lr=1e-3, scheduler="warmuplinear", name=None, **columns) -> pd.DataFrame:
    """The runs of one arm, one row per seed; `columns` may change any column, as a whole or row by row."""
    frame = {
        "arm": name or f"{scheduler}-w{warmup}-lr{lr:g}",
        "scheduler": scheduler,
        "warmup_steps": warmup,
        "total_steps": total,
        "lr": lr,
        "seed": np.arange(len(losses)),
        "status": "completed",
        "failed_to_learn": False,
        "eval_loss": np.asarray(losses, dtype=float),
        "guess_loss": GUESS_LOSS,
        "guess_accuracy": 0.5,
    }
    return pd.DataFrame({**frame, **columns})


def table(*arms: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(arms, ignore_index=True)


def shapes(**arms) -> pd.DataFrame:
    """Arms of equal length, each with another shape of the warmup, which names it. They have no trend."""
    return table(*(part.assign(warmup=shape, arm=shape) for shape, part in arms.items()))


def two_arms(change, **columns) -> pd.DataFrame:
    """The 10 % arm, and one without warmup that differs from it by `change`."""
    return table(arm(SEED_EFFECT), arm(SEED_EFFECT + change, 0, **columns))


def verdict_on(runs: pd.DataFrame, name: str = "warmuplinear-w0-lr0.001", **question) -> Verdict:
    return compare(runs, Question("eval_loss", **question)).verdict(name)


def failing(num_failed, num_seeds=6, warmup=36, *, loss=0.5, **columns) -> pd.DataFrame:
    """An arm whose first `num_failed` seeds fail at the loss of guessing; the others learn, each to its own `loss`."""
    failed = np.arange(num_seeds) < num_failed
    losses = np.where(failed, GUESS_LOSS, loss + np.resize(NOISE, num_seeds))
    return arm(losses, warmup, failed_to_learn=failed, **columns)


def lr_line(num_learned, lrs, warmup=36, **columns) -> pd.DataFrame:
    """Arms that differ only in lr; seed s learns at the `num_learned[s]` smallest of the rising `lrs`."""
    limits = np.asarray(num_learned)
    parts = [
        arm(
            np.where(limits > row, 0.5 + np.resize(NOISE, limits.size), GUESS_LOSS),
            warmup, lr=lr, failed_to_learn=limits <= row, **columns,
        )
        for row, lr in enumerate(lrs)
    ]  # fmt: skip
    return table(*parts)


SHAPES = [("none", 0), ("linear", 10), ("linear", 20), ("sqrt", 10), ("sqrt", 20)]
"""Shape and length of the warmups of `runs_of_shapes`."""


def runs_of_shapes() -> pd.DataFrame:
    """Six seeds of each arm of 100 updates, with noise of a fixed seed and no difference."""
    noise = np.random.default_rng(0).normal(0.5, 0.01, (len(SHAPES), 6))
    return pd.DataFrame(
        {
            "run_id": f"{shape}{steps}-{seed}", "arm": f"{shape}-w{steps}", "scheduler": "warmuplinear",
            "warmup": shape, "warmup_steps": steps, "total_steps": 100, "lr": 1e-3, "seed": seed,
            "status": "completed", "failed_to_learn": False, "eval_loss": noise[row, seed],
        }
        for row, (shape, steps) in enumerate(SHAPES)
        for seed in range(6)
    )  # fmt: skip
