"""The learning rate at which the loss breaks on a few ramps, and the rates to try below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from warmup_lab.comparison import Sweep, Trace, log_median
from warmup_lab.comparison.lr_jitter import MIN_PROBES, find_onset, round_to_digits
from warmup_lab.comparison.recommend.climb import climb_lr
from warmup_lab.runs import is_finished
from warmup_lab.system import JsonRecord

STEP = 2.0
"""Factor between two rates."""
WIDE_STEP = 4.0
"""The same if the ramps did not show where the loss breaks."""
_EARLY = 0.25
"""A break within this first share of a ramp is unsure, because too few calm updates come before it."""
_LEARNED = 0.95
"""A ramp has learned if its smoothed loss fell below this times the loss of guessing, as in `failed_to_learn`."""
_NUM_AVERAGED = 25
_NUM_PARTS = 30


@dataclass(frozen=True)
class SeedRamp(JsonRecord):
    """One ramp."""

    seed: int
    jitter_lr: float | None
    """Where updates start to raise the loss on their own batch more often (`lr_jitter.find_onset`)."""
    break_lr: float | None
    """Where the smoothed loss had risen by more than its noise, or climbed half-way back to guessing (`climb_lr`), or
    where the loss was no longer finite."""
    early: bool = False
    """Whether that was in the first quarter of the ramp."""
    learned: bool = True
    """Whether the loss had fallen before. The loss of a ramp that learned nothing breaks late."""

    @property
    def limit(self) -> float | None:
        """The smaller of the two; None if the loss broke nowhere."""
        return min((lr for lr in (self.jitter_lr, self.break_lr) if lr is not None), default=None)


@dataclass(frozen=True)
class RampResult(JsonRecord):
    """Where the loss breaks, over the seeds."""

    lr: float | None
    """Median of the seeds' limits on a logarithmic scale, two digits; None if half of the ramps or more have none."""
    low: float | None
    high: float | None
    """Smallest and largest limit of the seeds that have one."""
    start_lr: float
    end_lr: float
    """First and last rate of the ramps."""
    updates: int
    """Updates of each ramp."""
    early: bool
    """Whether the loss broke in the first quarter of most ramps, so that the break may lie lower."""
    learned: bool
    """Whether most ramps had learned before. If not, the break may lie lower, too."""
    seeds: tuple[SeedRamp, ...]

    @property
    def num_broken(self) -> int:
        return sum(seed.limit is not None for seed in self.seeds)


def ramp_result(sweep: Sweep, run_ids: set[str], end_lr: float) -> RampResult | None:
    """The result of the ramps that finished; None if none did."""
    runs = sweep.runs[sweep.runs["run_id"].isin(run_ids) & sweep.runs["status"].map(is_finished).astype(bool)]
    runs = runs[runs["run_id"].isin(sweep.traces)].sort_values("seed")
    if runs.empty:
        return None
    seeds = tuple(_seed_ramp(run, sweep.traces[run["run_id"]]) for _, run in runs.iterrows())
    limits = [seed.limit for seed in seeds]
    found, median = sorted(limit for limit in limits if limit is not None), log_median(limits)
    return RampResult(
        lr=None if median is None else round_to_digits(median),
        low=found[0] if found else None,
        high=found[-1] if found else None,
        start_lr=min(float(sweep.traces[run]["lr"][0]) for run in runs["run_id"]),
        end_lr=end_lr,
        updates=int(runs["total_steps"].iloc[0]),
        early=2 * sum(seed.early for seed in seeds) > len(seeds),
        learned=2 * sum(seed.learned for seed in seeds) > len(seeds),
        seeds=seeds,
    )


def _seed_ramp(run: pd.Series, trace: Trace) -> SeedRamp:
    lr, total = trace["lr"], int(run["total_steps"])
    guess_loss, onset = float(run["guess_loss"]), run.get("whole/onset_lr")
    last_lr = float(lr[-1]) if run["status"] == "diverged" else None
    breaks = [float(onset) if pd.notna(onset) else None, climb_lr(trace["loss"], lr, guess_loss), last_lr]
    break_lr = min((found for found in breaks if found is not None), default=None)
    jitter_lr = None
    if "overshoot" in trace and total >= MIN_PROBES:
        jitter_lr = find_onset(trace["overshoot"], lr, total_steps=total).lr
    ramp = SeedRamp(int(run["seed"]), jitter_lr, break_lr)
    calm = len(lr) if ramp.limit is None else int(np.sum(lr < ramp.limit))
    is_early = ramp.limit is not None and calm < _EARLY * total
    return replace(ramp, early=is_early, learned=_has_learned(trace["loss"][:calm], guess_loss))


def _has_learned(loss: np.ndarray, guess_loss: float) -> bool:
    if loss.size < _NUM_AVERAGED:
        return False
    smoothed = np.convolve(loss, np.ones(_NUM_AVERAGED), mode="valid") / _NUM_AVERAGED
    return bool(np.nanmin(smoothed) < _LEARNED * guess_loss)


def rates_to_try(ramp: RampResult, count: int, given: float | None = None) -> list[float]:
    """`count` rates, rising, two digits, the largest where the loss breaks; and the rate that the user gave.

    Neighbours are a factor of 2 apart. Without a break, the largest is half of the end of the ramp. Then the factor is
    4, as where the break is unsure: early in the ramp, or before anything was learned. With fewer than 4 rates, the
    largest is left out.

    >>> ramp = RampResult(0.0054, 0.005, 0.006, 1e-4, 0.1, 300, False, True, ())
    >>> rates_to_try(ramp, 4), rates_to_try(ramp, 2, given=1e-3)
    ([0.00068, 0.0014, 0.0027, 0.0054], [0.001, 0.0014, 0.0027])
    """
    known = ramp.lr is not None and ramp.learned and not ramp.early
    step = STEP if known else WIDE_STEP
    top = ramp.lr if ramp.lr is not None else ramp.end_lr / 2
    if count < 4:
        top /= step
    rates = {round_to_digits(top / step**power) for power in range(count)}
    return sorted(rates | ({given} if given is not None else set()))


def rate_beyond(rates: Sequence[float], edge: str, step: float = STEP) -> float:
    """The next rate below the smallest, or above the largest, a factor of `step` away.

    >>> rate_beyond([0.001, 0.002], "largest"), rate_beyond([0.001, 0.002], "smallest")
    (0.004, 0.0005)
    """
    return round_to_digits(rates[0] / step if edge == "smallest" else rates[-1] * step)


def ramp_curves(sweep: Sweep, run_ids: set[str]) -> list[dict[str, float | int]]:
    """Median loss between neighbouring rates of each ramp: `seed`, `lr` and `loss`."""
    rows: list[dict[str, float | int]] = []
    for run_id, seed in zip(sweep.runs["run_id"], sweep.runs["seed"].tolist(), strict=True):
        trace = sweep.traces.get(run_id)
        if run_id not in run_ids or trace is None:
            continue
        for part in np.array_split(np.arange(len(trace["lr"])), min(_NUM_PARTS, len(trace["lr"]))):
            loss = trace["loss"][part]
            if np.isfinite(loss).any():
                lr = float(np.exp(np.log(trace["lr"][part]).mean()))
                rows.append({"seed": int(seed), "lr": lr, "loss": float(np.nanmedian(loss))})
    return rows
