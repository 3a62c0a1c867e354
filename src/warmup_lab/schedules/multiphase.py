"""Schedules in phases: warmup-stable-decay as transformers has it, and torch's one-cycle policy.

Each is a factory as described in `schedules`. t is the index of the update, W = warmup_steps, T = total_steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from warmup_lab.config import ceil_share, require, suggestion
from warmup_lab.schedules.decays import falling, half_cosine
from warmup_lab.schedules.shapes import Shape, cosine, linear, sqrt
from warmup_lab.schedules.warmups import Ramp, Schedule, WarmupThenDecay


def _rest_sqrt(progress: float) -> float:
    return 1.0 - math.sqrt(progress)


@dataclass(frozen=True)
class _StableThenDecay:
    decay: Shape
    decay_starts: int
    num_decay_steps: int
    floor: float

    def __call__(self, update: int) -> float:
        if update < self.decay_starts:
            return 1.0
        if update >= self.decay_starts + self.num_decay_steps:
            return self.floor
        factor = self.decay((update - self.decay_starts) / self.num_decay_steps)
        return max(0.0, factor * (1.0 - self.floor) + self.floor)


def warmup_stable_decay(
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
    """Warmup from f to 1 for W updates, then 1, then a decay from 1 to f over the last D = `num_decay_steps`.

    With q the progress of the decay, in [0, 1), it is `f + (1 - f) d(q)`, f = `min_lr_ratio`, and `decay_type` says d:
    `linear` 1 - q, `cosine` (1 + cos(2 pi num_cycles q)) / 2, `1-sqrt` 1 - sqrt(q) (Hägele et al. 2024, who found it
    best). D is by default 20 % of T, as there, or what the warmup leaves. After `num_stable_steps` + D, where they
    are given and end before T, it stays at f. MiniCPM (Hu et al. 2024) named it; a run can be branched off its
    plateau. `warmup_type`: linear, cosine or 1-sqrt, as transformers has them; `scheduler.warmup` has more.
    Equals `transformers.get_wsd_schedule`.

    >>> schedule = warmup_stable_decay(warmup_steps=2, total_steps=10, num_decay_steps=4, decay_type="linear")
    >>> [schedule(t) for t in (0, 1, 2, 5, 6, 7, 9)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.75, 0.25]
    """
    decays: dict[str, Shape] = {
        "linear": falling,
        "cosine": partial(half_cosine, num_cycles=num_cycles),
        "1-sqrt": _rest_sqrt,
    }
    ramps: dict[str, Shape] = {"linear": linear, "cosine": cosine, "1-sqrt": sqrt}
    for key, value in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        require(value in decays, f"unknown scheduler.{key} {value!r}{suggestion(value, decays)}")
    require(0 <= min_lr_ratio < 1, f"scheduler.min_lr_ratio={min_lr_ratio}: must lie in [0, 1)")
    left = total_steps - warmup_steps
    num_decay = min(left, ceil_share(0.2, total_steps)) if num_decay_steps is None else num_decay_steps
    num_stable = left - num_decay if num_stable_steps is None else num_stable_steps
    for key, num in (("num_decay_steps", num_decay), ("num_stable_steps", num_stable)):
        words = f"must lie between 0 and the {left} updates that a warmup of {warmup_steps} leaves"
        require(0 <= num <= left, f"scheduler.{key}={num}: {words}")
    label = {"1-sqrt": "sqrt"}.get(warmup_type, warmup_type)
    label += f"(start_factor={min_lr_ratio:g})" if min_lr_ratio else ""
    ramp = Ramp(label, ramps[warmup_type], warmup_steps, min_lr_ratio)
    decay = _StableThenDecay(decays[decay_type], warmup_steps + num_stable, num_decay, min_lr_ratio)
    return WarmupThenDecay(ramp, decay, total_steps)


@dataclass(frozen=True)
class _OneCycleDecay:
    """From the peak to `lowest` at the last update; with `three_phase` first back to `first` as it rose."""

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

    Both ways by half a cosine (`cos`), or linearly (`linear`). `three_phase`: back to 1 / `div_factor` in as many
    updates as it rose, then to the end. In [4e-6, 1] as it stands. Smith & Topin 2018; equals
    `torch.optim.lr_scheduler.OneCycleLR` with `pct_start = W / T`, whose default is `warmup_ratio=0.3`, but for the
    momentum, which it does not cycle (`cycle_momentum=False`). `scheduler.warmup` replaces its rise.

    >>> [round(onecycle(warmup_steps=3, total_steps=10)(t), 4) for t in (0, 1, 2, 3, 6, 9)]
    [0.04, 0.52, 1.0, 0.9505, 0.3887, 0.0]
    """
    rises: dict[str, Shape] = {"cos": cosine, "linear": linear}
    falls: dict[str, Shape] = {"cos": half_cosine, "linear": falling}
    known = anneal_strategy in rises
    require(known, f"unknown scheduler.anneal_strategy {anneal_strategy!r}{suggestion(anneal_strategy, rises)}")
    for key, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
        require(1 <= value < math.inf, f"scheduler.{key}={value}: must be at least 1, such as 25")
    require(
        not three_phase or 1 < warmup_steps <= total_steps / 2,
        "scheduler.three_phase=true falls for as long as it rises, so the warmup must be of 2 updates to half of all: "
        f"it is {warmup_steps} of {total_steps}",
    )
    first = 1.0 / div_factor
    ramp = Ramp("own", rises[anneal_strategy], warmup_steps, first, (0, -1))
    lowest = first / final_div_factor
    decay = _OneCycleDecay(falls[anneal_strategy], warmup_steps, total_steps, first, lowest, three_phase)
    return WarmupThenDecay(ramp, decay, total_steps)
