"""Schedules with more than one phase after the warmup: warmup-stable-decay, and the one-cycle policy.

Each function is a factory, as in `decays`, with the same symbols: t is the 0-based index of the update,
W = warmup_steps, T = total_steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from warmup_lab.config import ceil_share, require, suggestion
from warmup_lab.schedules.shapes import Shape, cosine, cosine_decay, linear, linear_decay, sqrt, sqrt_decay
from warmup_lab.schedules.warmups import Ramp, Schedule, WarmupThenDecay


@dataclass(frozen=True)
class _StableThenDecay:
    """1 until `decay_start`, then `shape` from 1 to `floor` over `num_decay_steps`, then `floor`."""

    shape: Shape
    decay_start: int
    num_decay_steps: int
    floor: float

    def __call__(self, update: int) -> float:
        if update < self.decay_start:
            return 1.0
        if update >= self.decay_start + self.num_decay_steps:
            return self.floor
        factor = self.shape((update - self.decay_start) / self.num_decay_steps)
        return max(0.0, factor * (1.0 - self.floor) + self.floor)


def warmup_stable_decay(  # noqa: PLR0913 - the keywords are the schedule's options
    *,
    warmup_steps: int,
    total_steps: int,
    num_decay_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> Schedule:
    """From f to 1 over W updates, then 1, then from 1 to f over the last D = `num_decay_steps`. Range: [f, 1].

    f = `min_lr_ratio`. With q the progress of the decay, in [0, 1), the decay is `f + (1 - f) d(q)`.

    Args:
        warmup_steps: W.
        total_steps: T.
        num_decay_steps: D, updates of the decay. Default: 20 % of T, as Hägele et al. used, or what the warmup leaves.
        num_stable_steps: Updates at the peak. Default: all that remain. If the decay ends before T, the rate stays at
            f.
        warmup_type: Shape of the warmup: `linear`, `cosine` or `1-sqrt`, as in transformers. `scheduler.warmup` has
            more shapes.
        decay_type: Shape d of the decay. `linear` is 1 - q, `cosine` is (1 + cos(2 pi num_cycles q)) / 2, and `1-sqrt`
            is 1 - sqrt(q), which Hägele et al. 2024 found best.
        min_lr_ratio: f, the share of the peak at the start and at the end, in [0, 1).
        num_cycles: Waves of the cosine decay; 0.5 falls once, to the end of the run.

    Source: equals `transformers.get_wsd_schedule`. MiniCPM (Hu et al. 2024) introduced the name; new runs can branch
    off the plateau. The decay is from Hägele et al. 2024.

    >>> schedule = warmup_stable_decay(warmup_steps=2, total_steps=10, num_decay_steps=4, decay_type="linear")
    >>> [schedule(t) for t in (0, 1, 2, 5, 6, 7, 9)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.75, 0.25]
    """
    decays: dict[str, Shape] = {
        "linear": linear_decay,
        "cosine": partial(cosine_decay, num_cycles=num_cycles),
        "1-sqrt": sqrt_decay,
    }
    ramps: dict[str, Shape] = {"linear": linear, "cosine": cosine, "1-sqrt": sqrt}
    for key, value in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        require(value in decays, f"unknown scheduler.{key} {value!r}{suggestion(value, decays)}")
    require(0 <= min_lr_ratio < 1, f"scheduler.min_lr_ratio={min_lr_ratio}: must be in [0, 1)")
    left = total_steps - warmup_steps
    num_decay = min(left, ceil_share(0.2, total_steps)) if num_decay_steps is None else num_decay_steps
    num_stable = left - num_decay if num_stable_steps is None else num_stable_steps
    for key, num in (("num_decay_steps", num_decay), ("num_stable_steps", num_stable)):
        words = f"must be between 0 and {left}, the updates that remain after {warmup_steps} of warmup"
        require(0 <= num <= left, f"scheduler.{key}={num}: {words}")
    label = {"1-sqrt": "sqrt"}.get(warmup_type, warmup_type)
    label += f"(start_factor={min_lr_ratio:g})" if min_lr_ratio else ""
    ramp = Ramp(label, ramps[warmup_type], warmup_steps, min_lr_ratio)
    decay = _StableThenDecay(decays[decay_type], warmup_steps + num_stable, num_decay, min_lr_ratio)
    return WarmupThenDecay(ramp, decay, total_steps)


@dataclass(frozen=True)
class _OneCycleDecay:
    """From the peak to `lowest` at the last update. With `three_phase` it first falls to `first`, as it rose."""

    shape: Shape  # falls from 1 to 0
    warmup_steps: int
    total_steps: int
    first: float
    lowest: float
    three_phase: bool

    def __call__(self, update: int) -> float:
        start, high = self.warmup_steps - 1, 1.0
        if self.three_phase:
            middle = 2 * self.warmup_steps - 2
            if update <= middle:
                return self._between(1.0, self.first, (update - start) / max(1, middle - start))
            start, high = middle, self.first
        return self._between(high, self.lowest, (update - start) / max(1, self.total_steps - 1 - start))

    def _between(self, high: float, low: float, progress: float) -> float:
        return low + (high - low) * self.shape(min(1.0, progress))


def onecycle(
    *,
    warmup_steps: int,
    total_steps: int,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """From 1 / `div_factor` to 1 at update W - 1, then to 1 / (`div_factor` `final_div_factor`) at T - 1.

    Range: [4e-6, 1] with the default options. `scheduler.warmup` replaces the rise.

    Args:
        warmup_steps: W. torch's `pct_start` is W / T; its default is `warmup_ratio=0.3` here.
        total_steps: T.
        anneal_strategy: Rise and fall are half a cosine (`cos`) or linear (`linear`).
        div_factor: Peak / first multiplier, at least 1.
        final_div_factor: First / last multiplier, at least 1.
        three_phase: First fall back to 1 / `div_factor`, in as many updates as the rise took.

    Source: Smith & Topin 2018. Equals `torch.optim.lr_scheduler.OneCycleLR` with `cycle_momentum=False`: the momentum
    is not cycled.

    >>> [round(onecycle(warmup_steps=3, total_steps=10)(t), 4) for t in (0, 1, 2, 3, 6, 9)]
    [0.04, 0.52, 1.0, 0.9505, 0.3887, 0.0]
    """
    rises: dict[str, Shape] = {"cos": cosine, "linear": linear}
    falls: dict[str, Shape] = {"cos": cosine_decay, "linear": linear_decay}
    known = anneal_strategy in rises
    require(known, f"unknown scheduler.anneal_strategy {anneal_strategy!r}{suggestion(anneal_strategy, rises)}")
    for key, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
        require(1 <= value < math.inf, f"scheduler.{key}={value}: must be at least 1, such as 25")
    require(
        not three_phase or 1 < warmup_steps <= total_steps / 2,
        f"scheduler.three_phase=true with a warmup of {warmup_steps} of {total_steps} updates: the fall takes as long "
        "as the rise, so set a warmup of at least 2 updates and at most half of them",
    )
    first = 1.0 / div_factor
    ramp = Ramp("own", rises[anneal_strategy], warmup_steps, first, (0, -1))
    lowest = first / final_div_factor
    decay = _OneCycleDecay(falls[anneal_strategy], warmup_steps, total_steps, first, lowest, three_phase)
    return WarmupThenDecay(ramp, decay, total_steps)
