"""How often the verdicts are wrong, on simulated sweeps whose truth is known.

All numbers come from the functions that a report calls. Run from anywhere; takes a few minutes on one core:

    python tests/benchmarks/null_test.py            # 2,000 sweeps per row; writes results/null_test.json
    python tests/benchmarks/null_test.py --sweeps 200 --no-write
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
import statsmodels
from numpy.typing import NDArray
from scipy.optimize import brentq

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.selection import Method, compare_at_own_best_lr, smallest_warmup_as_good_as_best
from warmup_lab.comparison.statistics import wilson
from warmup_lab.comparison.verdicts import Question

RESULTS = Path(__file__).resolve().parent / "results" / "null_test.json"
TOTAL_STEPS = 360
WARMUPS = (0, 7, 18, 36, 54, 72, 108, 180)
REFERENCE = WARMUPS.index(36)
CHANGED = WARMUPS.index(0)
SEEDS = 8

Losses = NDArray[np.float64]
Event = Callable[[np.random.Generator], bool]


def normal(rng: np.random.Generator, *, arms: int, seeds: int) -> Losses:
    """(arms, seeds): a seed effect shared by all arms, plus a run effect; differences have SD 0.02 sqrt(2)."""
    return 0.5 + 0.1 * rng.normal(size=(1, seeds)) + 0.02 * rng.normal(size=(arms, seeds))


def skewed(rng: np.random.Generator, *, arms: int, seeds: int, sigma: float = 0.5) -> Losses:
    """(arms, seeds): product of log-normal seed and run effects; at sigma 0.5 each has skewness 1.75."""
    return np.exp(sigma * rng.normal(size=(1, seeds)) + sigma * rng.normal(size=(arms, seeds)))


NORMAL_SD = 0.02 * math.sqrt(2)


def skewed_sd(sigma: float = 0.5, factor: float = 1.0) -> float:
    """SD of `factor` times one run's loss minus another's at the same seed, from the moments of the log-normal."""
    second = math.exp(4 * sigma**2) * (1 + factor**2) - 2 * factor * math.exp(3 * sigma**2)
    return math.sqrt(second - skewed_mean(sigma, factor) ** 2)


def skewed_mean(sigma: float, factor: float) -> float:
    """Mean of `factor` times one run's loss minus another's at the same seed."""
    return (factor - 1) * math.exp(sigma**2)


def table(losses: Losses, *, lr: float = 1e-3) -> pd.DataFrame:
    """One row per run, with the columns that `read_runs` needs; arm i has `WARMUPS[i]` updates of warmup."""
    arms, seeds = losses.shape
    warmup = np.repeat(WARMUPS[:arms], seeds)
    return pd.DataFrame(
        {
            "arm": np.repeat([f"warmuplinear-w{steps}-lr{lr:g}" for steps in WARMUPS[:arms]], seeds),
            "scheduler": "warmuplinear",
            "warmup_steps": warmup,
            "total_steps": TOTAL_STEPS,
            "lr": lr,
            "seed": np.tile(np.arange(seeds), arms),
            "status": "completed",
            "failed_to_learn": False,
            "eval_loss": losses.ravel(),
        }
    )


def verdicts(runs: pd.DataFrame, margin: float | None = None) -> list[str]:
    return [verdict.value for verdict in compare(runs, Question("eval_loss", margin=margin)).verdicts]


def calls_any_different(rng: np.random.Generator, *, draw: Callable[..., Losses]) -> bool:
    losses = draw(rng, arms=len(WARMUPS), seeds=SEEDS)
    return bool({"better", "worse"} & set(verdicts(table(losses))))


def finds_the_worse_arm(
    rng: np.random.Generator, *, draw: Callable[..., Losses], shift: float = 0.0, factor: float = 1.0
) -> bool:
    losses = draw(rng, arms=len(WARMUPS), seeds=SEEDS)
    losses[CHANGED] = losses[CHANGED] * factor + shift
    return verdicts(table(losses))[CHANGED] == "worse"


def calls_any_equivalent(rng: np.random.Generator, *, draw: Callable[..., Losses], shift: float) -> bool:
    """All other arms are exactly one margin above the reference, which is not within the margin."""
    losses = draw(rng, arms=len(WARMUPS), seeds=SEEDS) + shift
    losses[REFERENCE] -= shift
    return bool({"equivalent", "different_within_margin"} & set(verdicts(table(losses), margin=shift)))


def calls_any_failing(rng: np.random.Generator, *, seeds: int, paired: float) -> bool:
    """Every run fails with probability 0.3, a share `paired` of them by seed; a failed run diverges with 0.5."""
    shape = len(WARMUPS), seeds
    runs = table(normal(rng, arms=shape[0], seeds=seeds))
    shared = rng.random((1, seeds)) < 0.3
    failed = np.where(rng.random(shape) < paired, shared, rng.random(shape) < 0.3).ravel()
    runs["failed_to_learn"] = failed
    runs.loc[failed & (rng.random(failed.size) < 0.5), "status"] = "diverged"
    return any(value.startswith(("fails", "diverges")) for value in verdicts(runs))


def own_lr_verdicts(
    rng: np.random.Generator, draw: Callable[..., Losses], penalty: float = 0.0, shift: float = 0.0
) -> list[str]:
    """Independent runs of 8 warmups at three lrs; the outer two lrs are worse by `penalty` in every arm."""
    lrs, parts = (3e-4, 1e-3, 3e-3), []
    losses = draw(rng, arms=len(lrs) * len(WARMUPS), seeds=SEEDS).reshape(len(lrs), len(WARMUPS), SEEDS)
    losses[:, CHANGED] += shift
    for lr, part, extra in zip(lrs, losses, (penalty, 0.0, penalty), strict=True):
        parts.append(table(part + extra, lr=lr))
    found = compare_at_own_best_lr(pd.concat(parts, ignore_index=True), Question("eval_loss"))
    values = {verdict.arm: verdict.value for verdict in found.comparison.verdicts}
    return [values[f"warmuplinear-w{steps}"] for steps in WARMUPS]


def calls_any_different_at_own_lr(
    rng: np.random.Generator, *, draw: Callable[..., Losses], penalty: float = 0.0
) -> bool:
    return bool({"better", "worse"} & set(own_lr_verdicts(rng, draw, penalty)))


def finds_the_worse_arm_at_own_lr(
    rng: np.random.Generator, *, draw: Callable[..., Losses], penalty: float, shift: float
) -> bool:
    return own_lr_verdicts(rng, draw, penalty, shift)[CHANGED] == "worse"


def smallest_warmup(rng: np.random.Generator, *, method: Method, seeds: int, answer: int, margin: float) -> bool:
    """Whether `answer` is found. No warmup is worse by exactly the margin, which is too much; all others are equal."""
    losses = normal(rng, arms=6, seeds=seeds)
    losses[CHANGED] += margin
    (found,) = smallest_warmup_as_good_as_best(table(losses), Question("eval_loss", margin=margin), method=method)
    return found.warmup_steps == answer


@dataclass(frozen=True)
class Bound:
    """Limit of a share of sweeps."""

    limit: float
    is_ceiling: bool

    def kept_by(self, share: float) -> bool:
        return share <= self.limit if self.is_ceiling else share >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.is_ceiling else '>='} {self.limit}"


FALSE = Bound(0.065, is_ceiling=True)
FOUND = Bound(0.88, is_ceiling=False)


@dataclass(frozen=True)
class Row:
    """One line of the table: the share of sweeps in which `event` happens. Without a bound it is for information."""

    name: str
    event: Event
    bound: Bound | None = None


def rows() -> list[Row]:
    """The table: false alarms under several truths, and power."""
    two_sd, two_skewed_sd = 2 * NORMAL_SD, 2 * skewed_sd()
    proportional = brentq(lambda factor: skewed_mean(0.2, factor) / skewed_sd(0.2, factor) - 2, 1.01, 20)
    same, found, equal = calls_any_different, finds_the_worse_arm, calls_any_equivalent
    own, own_found, fails = calls_any_different_at_own_lr, finds_the_worse_arm_at_own_lr, calls_any_failing
    listed = [
        Row("all the same, normal: any better or worse", partial(same, draw=normal), FALSE),
        Row("all the same, skewed: any better or worse", partial(same, draw=skewed), FALSE),
        Row("one worse by 2 SD, normal: found", partial(found, draw=normal, shift=two_sd), FOUND),
        Row("one worse by 2 SD, skewed: found", partial(found, draw=skewed, shift=two_skewed_sd), FOUND),
        Row(
            f"one worse by 2 SD, skewed, losses x {proportional:.3g}: found",
            partial(found, draw=partial(skewed, sigma=0.2), factor=proportional),
            FOUND,
        ),
        Row("others at the margin, normal: any equivalent", partial(equal, draw=normal, shift=two_sd), FALSE),
        Row("others at the margin, skewed: any equivalent", partial(equal, draw=skewed, shift=two_skewed_sd), FALSE),
        Row("30 % of all fail, 8 seeds: any rate differs", partial(fails, seeds=8, paired=0.0), FALSE),
        Row("30 % of all fail, 20 seeds: any rate differs", partial(fails, seeds=20, paired=0.0), FALSE),
        Row("30 % of all fail, 20 seeds, half of it by seed: any", partial(fails, seeds=20, paired=0.5), FALSE),
        Row("own lr, lr of no effect, normal: any better or worse", partial(own, draw=normal), FALSE),
        Row("own lr, lr of no effect, skewed: any better or worse", partial(own, draw=skewed), FALSE),
        Row("own lr, best by 0.35 SD, normal: any", partial(own, draw=normal, penalty=0.35 * NORMAL_SD), FALSE),
        Row("own lr, best by 0.7 SD, normal: any", partial(own, draw=normal, penalty=0.7 * NORMAL_SD), FALSE),
        Row("own lr, best by 1 SD, normal: any", partial(own, draw=normal, penalty=NORMAL_SD), FALSE),
        Row(
            "own lr, best by 0.7 SD, one worse by 2 SD: found",
            partial(own_found, draw=normal, penalty=0.7 * NORMAL_SD, shift=two_sd),
        ),
        Row(
            "own lr, best by 2 SD, one worse by 2 SD: found",
            partial(own_found, draw=normal, penalty=two_sd, shift=two_sd),
        ),
    ]
    searches: list[tuple[Method, int]] = [("split", 12), ("every_arm", 8), ("every_arm", 12)]
    for method, seeds in searches:
        search = partial(smallest_warmup, method=method, seeds=seeds, margin=1.5 * NORMAL_SD)
        name = f"smallest warmup, {method}, {seeds} seeds"
        listed.append(Row(f"{name}: names the arm at the margin", partial(search, answer=WARMUPS[0]), FALSE))
        listed.append(Row(f"{name}: names the right arm", partial(search, answer=WARMUPS[1])))
    return listed


def measure(row: Row, *, sweeps: int, seed: int) -> dict[str, Any]:
    """Share of `sweeps` simulated sweeps in which the row's event happens, with its 95 % Wilson interval."""
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    rate = wilson(sum(row.event(rng) for _ in range(sweeps)), sweeps)
    milliseconds = 1000 * (time.perf_counter() - start) / sweeps
    kept = row.bound is None or row.bound.kept_by(rate.share)
    figures = {"name": row.name, "share": rate.share, **rate.to_dict(), "bound": str(row.bound or ""), "kept": kept}
    return {**figures, "milliseconds_per_sweep": round(milliseconds, 2)}


def line(figures: dict[str, Any]) -> str:
    interval = f"{figures['low']:.3f} to {figures['high']:.3f}"
    kept = ("ok" if figures["kept"] else "MISS") if figures["bound"] else ""
    numbers = f"{figures['share']:7.4f} {interval:>15} {figures['bound']:>8} {kept:4}"
    return f"{numbers} {figures['milliseconds_per_sweep']:6}  {figures['name']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    print(f"{'share':>7} {'95 % interval':>15} {'bound':>8} {'':4} {'ms':>6}  case")
    measured = []
    for number, row in enumerate(rows()):
        measured.append(measure(row, sweeps=options.sweeps, seed=1000 * options.seed + number))
        print(line(measured[-1]), flush=True)
    if not options.no_write:
        versions = {module.__name__: module.__version__ for module in (np, scipy, statsmodels, pd)}
        content = {"sweeps": options.sweeps, "seed": options.seed, "versions": versions, "rows": measured}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    if not all(figures["kept"] for figures in measured):
        raise SystemExit("a share is beyond its bound")


if __name__ == "__main__":
    main()
