"""The learning rate at which the loss breaks on a few ramps, and the rates to try below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from warmup_lab.comparison import Sweep, Trace, log_median
from warmup_lab.comparison.lr_jitter import round_to_digits
from warmup_lab.comparison.recommend.climb import climb_lr, fall_lr
from warmup_lab.runs import is_finished
from warmup_lab.system import JsonRecord

STEP = 2.0
"""Factor between two rates."""
WIDE_STEP = 4.0
"""The same if it is unsure where the loss breaks, or if it does not break."""
_EARLY = 0.25
"""A break within this first share of a ramp is unsure, because too few calm updates come before it."""
_SHORT = 100
"""A ramp of fewer updates breaks late: each lr is used for too short a time. On TREC with a pretrained model, ramps of
200 updates broke at 0.0015, and one of 60 at 0.0029."""
_LEARNED = 0.95
"""A ramp has learned if its smoothed loss fell below this times the loss of guessing, as in `failed_to_learn`."""
_NUM_AVERAGED = 25
_NUM_PARTS = 30


@dataclass(frozen=True)
class SeedRamp(JsonRecord):
    """One ramp."""

    seed: int
    break_lr: float | None
    """Where the smoothed loss had risen by more than its noise (`onset_lr`), or climbed half-way back to guessing
    (`climb_lr`), or where the loss was no longer finite, whichever comes first; None if the loss broke nowhere."""
    fall_lr: float | None = None
    """Where the smoothed loss was half-way down from guessing to its lowest point."""
    early: bool = False
    """Whether the loss broke in the first quarter of the ramp."""
    learned: bool = True
    """Whether the loss had fallen before. The loss of a ramp that learned nothing breaks late."""


@dataclass(frozen=True)
class RampResult(JsonRecord):
    """Where the loss breaks, over the seeds."""

    lr: float | None
    """Where the loss breaks: median of the seeds on a logarithmic scale, two digits; None if half of them or more do
    not break."""
    low: float | None
    high: float | None
    """Smallest and largest of the seeds that break."""
    fall_lr: float | None
    """Where the loss falls: median of the seeds, two digits; None if half of them or more do not fall."""
    start_lr: float
    end_lr: float
    """First and last rate of the ramps."""
    updates: int
    """Updates of each ramp."""
    early: bool
    """Whether the loss broke in the first quarter of most ramps, so that the break may be at a lower lr."""
    learned: bool
    """Whether most ramps had learned before. If not, too, the break may be at a lower lr."""
    seeds: tuple[SeedRamp, ...]

    @property
    def is_short(self) -> bool:
        """Whether it has so few updates that its loss breaks at a much larger lr than that of longer runs."""
        return self.updates < _SHORT

    @property
    def num_broken(self) -> int:
        return sum(seed.break_lr is not None for seed in self.seeds)


def ramp_result(sweep: Sweep, run_ids: set[str], end_lr: float) -> RampResult | None:
    """The result of the ramps that finished; None if none did."""
    runs = sweep.runs[sweep.runs["run_id"].isin(run_ids) & sweep.runs["status"].map(is_finished).astype(bool)]
    runs = runs[runs["run_id"].isin(sweep.traces)].sort_values("seed")
    if runs.empty:
        return None
    seeds = tuple(_seed_ramp(run, sweep.traces[run["run_id"]]) for _, run in runs.iterrows())
    breaks, falls = ([getattr(seed, name) for seed in seeds] for name in ("break_lr", "fall_lr"))
    found = sorted(lr for lr in breaks if lr is not None)
    return RampResult(
        lr=_rounded_median(breaks),
        low=found[0] if found else None,
        high=found[-1] if found else None,
        fall_lr=_rounded_median(falls),
        start_lr=min(float(sweep.traces[run]["lr"][0]) for run in runs["run_id"]),
        end_lr=end_lr,
        updates=int(runs["total_steps"].iloc[0]),
        early=2 * sum(seed.early for seed in seeds) > len(seeds),
        learned=2 * sum(seed.learned for seed in seeds) > len(seeds),
        seeds=seeds,
    )


def _rounded_median(lrs: Sequence[float | None]) -> float | None:
    median = log_median(lrs)
    return None if median is None else round_to_digits(median)


def _seed_ramp(run: pd.Series, trace: Trace) -> SeedRamp:
    loss, lr, total = trace["loss"], trace["lr"], int(run["total_steps"])
    guess_loss, onset = float(run["guess_loss"]), run.get("whole/onset_lr")
    last_lr = float(lr[-1]) if run["status"] == "diverged" else None
    breaks = [float(onset) if pd.notna(onset) else None, climb_lr(loss, lr, guess_loss), last_lr]
    break_lr = min((found for found in breaks if found is not None), default=None)
    calm = len(lr) if break_lr is None else int(np.sum(lr < break_lr))
    return SeedRamp(
        seed=int(run["seed"]),
        break_lr=break_lr,
        fall_lr=fall_lr(loss, lr, guess_loss),
        early=break_lr is not None and calm < _EARLY * total,
        learned=_has_learned(loss[:calm], guess_loss),
    )


def _has_learned(loss: np.ndarray, guess_loss: float) -> bool:
    if loss.size < _NUM_AVERAGED:
        return False
    smoothed = np.convolve(loss, np.ones(_NUM_AVERAGED), mode="valid") / _NUM_AVERAGED
    return bool(np.nanmin(smoothed) < _LEARNED * guess_loss)


def rates_to_try(ramp: RampResult, count: int, given: float | None = None) -> list[float]:
    """`count` rates, rising, two digits, as the ramps suggest; and the rate that the user gave.

    - The loss breaks: the rates end there, or one step below with fewer than 4. A step is a factor of 2, or of 4 where
      the break is unsure: early in the ramp, before anything was learned, or on a short ramp.
    - It falls and does not break: the rates rise from where it falls, a factor of 4 apart, up to the end of the ramp.
    - It neither falls nor breaks: the rates are spread over the ramp.

    >>> from dataclasses import replace
    >>> ramp = RampResult(0.0054, 0.005, 0.006, 4e-4, 1e-4, 0.1, 300, False, True, ())
    >>> rates_to_try(ramp, 4), rates_to_try(ramp, 2, given=1e-3)
    ([0.00068, 0.0014, 0.0027, 0.0054], [0.001, 0.0014, 0.0027])
    >>> rates_to_try(replace(ramp, lr=None), 4), rates_to_try(replace(ramp, lr=None, fall_lr=None), 2)
    ([0.0004, 0.0016, 0.0064, 0.026], [0.001, 0.01])
    """
    if ramp.lr is not None:
        step = WIDE_STEP if ramp.early or not ramp.learned or ramp.is_short else STEP
        top = ramp.lr if count >= 4 else ramp.lr / step
        rates = [top / step**power for power in range(count)]
    elif ramp.fall_lr is not None:
        rates = [min(ramp.fall_lr * WIDE_STEP**power, ramp.end_lr) for power in range(count)]
    else:
        rates = np.geomspace(ramp.start_lr, ramp.end_lr, count + 2)[1:-1].tolist()
    return sorted({round_to_digits(rate) for rate in rates} | ({given} if given is not None else set()))


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
