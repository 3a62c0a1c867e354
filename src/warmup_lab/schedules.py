"""Learning-rate schedules: pure functions of the index of the update.

A `Multiplier` maps the index of an optimizer update, 0 .. total_steps - 1, to learning rate / peak learning rate,
in [0, 1]. It has no state and can be pickled. A factory composes a warmup shape with a decay shape: the warmup rules
while `step < warmup_steps`, after it the decay sees the progress through what is left, in [0, 1).

Source of the five: `transformers.optimization`, which each equals at every step; tests hold them to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from warmup_lab.config import bind_options
from warmup_lab.schema import ConfigError, lookup, require

Multiplier = Callable[[int], float]
Shape = Callable[[float], float]
"""Progress through a phase, in [0, 1], to a multiplier."""


@dataclass(frozen=True)
class WarmupThenDecay:
    """`warmup(step / warmup_steps)` for the first `warmup_steps` updates, then `decay(progress)`.

    Progress of the decay is `(step - warmup_steps) / (total_steps - warmup_steps)`; at and past `total_steps`,
    where no update of the run lies, it goes on growing, as in transformers.
    """

    warmup: Shape
    decay: Shape
    warmup_steps: int
    total_steps: int

    def __post_init__(self) -> None:
        good = 0 <= self.warmup_steps <= self.total_steps
        require(good, f"warmup_steps={self.warmup_steps}: must lie between 0 and total_steps={self.total_steps}")

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.warmup(step / self.warmup_steps)
        return self.decay((step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))


def _identity(progress: float) -> float:
    return progress


def _one(_progress: float) -> float:
    return 1.0


def _falling(progress: float) -> float:
    return max(0.0, 1.0 - progress)


def _cosine(progress: float) -> float:
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


def _cosine_restarts(progress: float, num_cycles: int) -> float:
    if progress >= 1.0:
        return 0.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((num_cycles * progress) % 1.0))))


def constantlr(*, warmup_steps: int, total_steps: int) -> Multiplier:
    """1 at every update; no warmup, so `warmup_steps` must be 0.

    Equals `transformers.get_constant_schedule`.

    Raises:
        ConfigError: a warmup is asked for; `warmupconstant` has one.
    """
    if warmup_steps:
        raise ConfigError(f"constantlr has no warmup, but {warmup_steps} updates were asked for: use warmupconstant")
    return WarmupThenDecay(_identity, _one, 0, total_steps)


def warmupconstant(*, warmup_steps: int, total_steps: int) -> Multiplier:
    """`t / W` for t < W = warmup_steps, then 1.

    Equals `transformers.get_constant_schedule_with_warmup`.

    >>> [warmupconstant(warmup_steps=4, total_steps=8)(t) for t in (0, 1, 3, 4, 7)]
    [0.0, 0.25, 0.75, 1.0, 1.0]
    """
    return WarmupThenDecay(_identity, _one, warmup_steps, total_steps)


def warmuplinear(*, warmup_steps: int, total_steps: int) -> Multiplier:
    """`t / W` for t < W = warmup_steps, then `(T - t) / (T - W)`, T = total_steps: 0 only at T, past the last update.

    Equals `transformers.get_linear_schedule_with_warmup`. The usual one for fine-tuning BERT (Devlin et al. 2019);
    BERT's own code decays by `(T - t) / T`, unshifted by the warmup, which differs.

    >>> [warmuplinear(warmup_steps=2, total_steps=10)(t) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.125]
    """
    return WarmupThenDecay(_identity, _falling, warmup_steps, total_steps)


def warmupcosine(*, warmup_steps: int, total_steps: int) -> Multiplier:
    """`t / W` for t < W = warmup_steps, then `(1 + cos(pi p)) / 2` with `p = (t - W) / (T - W)`, T = total_steps.

    Equals `transformers.get_cosine_schedule_with_warmup`; half a cosine (Loshchilov & Hutter 2017, without restarts).

    >>> [round(warmupcosine(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0381]
    """
    return WarmupThenDecay(_identity, _cosine, warmup_steps, total_steps)


def warmupcosinewithhardrestarts(*, warmup_steps: int, total_steps: int, num_cycles: int = 1) -> Multiplier:
    """`t / W` for t < W = warmup_steps, then `num_cycles` half cosines from 1 to 0, each restarting at the peak.

    `(1 + cos(pi (num_cycles p mod 1))) / 2` with `p = (t - W) / (T - W)`, T = total_steps.
    Equals `transformers.get_cosine_with_hard_restarts_schedule_with_warmup` (SGDR, Loshchilov & Hutter 2017).

    >>> schedule = warmupcosinewithhardrestarts(warmup_steps=2, total_steps=10, num_cycles=2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 4, 5, 6, 8)]
    [0.0, 0.5, 1.0, 0.5, 0.1464, 1.0, 0.5]
    """
    require(num_cycles >= 1, f"scheduler.num_cycles={num_cycles}: must be at least 1")
    return WarmupThenDecay(_identity, partial(_cosine_restarts, num_cycles=num_cycles), warmup_steps, total_steps)


@dataclass(frozen=True)
class _ExponentialRamp:
    ramp_start: float
    total_steps: int

    def __call__(self, step: int) -> float:
        if self.total_steps == 1:
            return 1.0
        return float(self.ramp_start ** max(0.0, 1.0 - step / (self.total_steps - 1)))


def exponentialramp(*, warmup_steps: int, total_steps: int, ramp_start: float = 1e-4) -> Multiplier:
    """`ramp_start ** (1 - t / (T - 1))`, T = total_steps: from `ramp_start` at the first update to 1 at the last.

    Neither warmup nor decay, so `warmup_steps` must be 0: each update multiplies the rate by the same factor, to find
    the rate at which training breaks in one run (the range test of Smith 2017, on a logarithmic axis). In
    [ramp_start, 1]; a run of one update uses the peak.

    >>> [round(exponentialramp(warmup_steps=0, total_steps=5)(t), 6) for t in range(5)]
    [0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    if warmup_steps:
        raise ConfigError(f"exponentialramp is a ramp from end to end, but {warmup_steps} updates of warmup were asked")
    require(0 < ramp_start <= 1, f"scheduler.ramp_start={ramp_start}: must lie in (0, 1], such as 1e-4")
    return _ExponentialRamp(ramp_start, total_steps)


SCHEDULES: dict[str, Callable[..., Multiplier]] = {
    "constantlr": constantlr,
    "warmupconstant": warmupconstant,
    "warmuplinear": warmuplinear,
    "warmupcosine": warmupcosine,
    "warmupcosinewithhardrestarts": warmupcosinewithhardrestarts,
    "exponentialramp": exponentialramp,
}


def has_warmup(name: str) -> bool:
    """Whether the schedule of that name can warm up at all."""
    return name.lower() not in ("constantlr", "exponentialramp")


def make_schedule(
    name: str, options: Mapping[str, Any] | None = None, *, warmup_steps: int, total_steps: int
) -> Multiplier:
    """The multiplier of the schedule `name` (any case of letters); unknown names and options raise `ConfigError`."""
    factory = lookup(SCHEDULES, name, "scheduler")
    bound = bind_options(factory, options or {}, "scheduler.")
    multiplier: Multiplier = factory(warmup_steps=warmup_steps, total_steps=total_steps, **bound)
    return multiplier
