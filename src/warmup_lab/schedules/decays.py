"""Schedules with one decay after a linear warmup from 0, and two without a warmup.

Each function is a factory: it takes the numbers of updates and the options, and returns a multiplier of the peak
learning rate. Where transformers has the schedule, the factory takes transformers' options and the multiplier equals
transformers' at every update; the tests check that.

In the formulas, t is the 0-based index of the update, W = warmup_steps, T = total_steps, and p = (t - W) / (T - W).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from warmup_lab.config import ConfigError, require
from warmup_lab.schedules.shapes import (
    constant,
    cosine_decay,
    cosine_restarts,
    linear_decay,
    polynomial_decay,
)
from warmup_lab.schedules.warmups import Decay, Schedule, WarmupThenDecay, linear_ramp, linear_warmup_then


def constantlr(*, warmup_steps: int, total_steps: int) -> Schedule:
    """1 at every update. It has no warmup, so `warmup_steps` must be 0.

    Source: equals `transformers.get_constant_schedule`.

    Raises:
        ConfigError: `warmup_steps` is not 0. `warmupconstant` has a warmup.
    """
    if warmup_steps:
        raise ConfigError(f"constantlr has no warmup, but warmup_steps={warmup_steps}: use warmupconstant")
    return linear_warmup_then(constant, 0, total_steps)


def warmupconstant(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W, then 1. Range: [0, 1].

    Source: equals `transformers.get_constant_schedule_with_warmup`.

    >>> [warmupconstant(warmup_steps=4, total_steps=8)(t) for t in (0, 1, 3, 4, 7)]
    [0.0, 0.25, 0.75, 1.0, 1.0]
    """
    return linear_warmup_then(constant, warmup_steps, total_steps)


def warmuplinear(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W, then `(T - t) / (T - W)`. Range: [0, 1]; 0 only at T, after the last update.

    Source: equals `transformers.get_linear_schedule_with_warmup`. It is the standard for fine-tuning BERT (Devlin et
    al. 2019). BERT's own code differs: it decays by `(T - t) / T`, see `bertlinear`.

    >>> [warmuplinear(warmup_steps=2, total_steps=10)(t) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.125]
    """
    return linear_warmup_then(linear_decay, warmup_steps, total_steps)


def bertlinear(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W, then `(T - t) / T`: the decay spans the whole run and is not shifted by the warmup.

    Where the warmup ends, the rate drops to 1 - W / T, so no update uses the peak. `warmuplinear` has no such drop.

    Source: BERT's pretraining and fine-tuning (google-research/bert, optimization.py, `create_optimizer`).

    >>> [round(bertlinear(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 0.8, 0.4, 0.1]
    """
    return WarmupThenDecay(linear_ramp(warmup_steps), Decay(linear_decay, 0, total_steps), total_steps)


def warmupcosine(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W, then `(1 + cos(pi p)) / 2`. Range: [0, 1].

    Source: equals `transformers.get_cosine_schedule_with_warmup`; half a cosine (Loshchilov & Hutter 2017, without
    restarts).

    >>> [round(warmupcosine(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0381]
    """
    return linear_warmup_then(cosine_decay, warmup_steps, total_steps)


def cosine_with_cycles(*, warmup_steps: int, total_steps: int, num_cycles: float = 0.5) -> Schedule:
    """`t / W` for t < W, then `(1 + cos(2 pi num_cycles p)) / 2`. Range: [0, 1].

    With more than 0.5 cycles the rate rises again smoothly.

    Args:
        warmup_steps: W.
        total_steps: T.
        num_cycles: Waves of the cosine decay; 0.5 falls once, to the end of the run.

    Source: equals `transformers.get_cosine_schedule_with_warmup`.

    >>> [round(cosine_with_cycles(warmup_steps=2, total_steps=10, num_cycles=1.0)(t), 4) for t in (1, 2, 4, 6, 8)]
    [0.5, 1.0, 0.5, 0.0, 0.5]
    """
    require(num_cycles > 0, f"scheduler.num_cycles={num_cycles}: must be above 0, such as 0.5")
    return linear_warmup_then(partial(cosine_decay, num_cycles=num_cycles), warmup_steps, total_steps)


def warmupcosinewithhardrestarts(*, warmup_steps: int, total_steps: int, num_cycles: int = 1) -> Schedule:
    """`t / W` for t < W, then `(1 + cos(pi (num_cycles p mod 1))) / 2`. Range: [0, 1].

    Args:
        warmup_steps: W.
        total_steps: T.
        num_cycles: Half cosines from 1 to 0; each one restarts at the peak.

    Source: equals `transformers.get_cosine_with_hard_restarts_schedule_with_warmup` (SGDR, Loshchilov & Hutter 2017).

    >>> schedule = warmupcosinewithhardrestarts(warmup_steps=2, total_steps=10, num_cycles=2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 4, 5, 6, 8)]
    [0.0, 0.5, 1.0, 0.5, 0.1464, 1.0, 0.5]
    """
    require(num_cycles >= 1, f"scheduler.num_cycles={num_cycles}: must be at least 1")
    return linear_warmup_then(partial(cosine_restarts, num_cycles=num_cycles), warmup_steps, total_steps)


def polynomial(
    *, warmup_steps: int, total_steps: int, peak_lr: float, lr_end: float = 1e-7, power: float = 1.0
) -> Schedule:
    """`t / W` for t < W, then `(1 - e) (1 - p) ** power + e`, e = `lr_end / peak_lr`. Range: [e, 1] after warmup.

    Args:
        warmup_steps: W.
        total_steps: T.
        peak_lr: Peak learning rate.
        lr_end: Learning rate at T, not a share of the peak.
        power: Power of the decay; 1 is linear, as in fairseq, and a larger one decays sooner.

    Source: equals `transformers.get_polynomial_decay_schedule_with_warmup`.

    >>> schedule = polynomial(warmup_steps=2, total_steps=10, peak_lr=1e-3, lr_end=1e-4, power=2.0)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.325, 0.1141]
    """
    require(0 <= lr_end < peak_lr, f"scheduler.lr_end={lr_end}: must be in [0, optimizer.lr={peak_lr})")
    require(0 < power < math.inf, f"scheduler.power={power}: must be above 0, such as 1")
    shape = partial(polynomial_decay, power=power, floor=lr_end / peak_lr)
    return linear_warmup_then(shape, warmup_steps, total_steps)


@dataclass(frozen=True)
class _InverseSqrt:
    timescale: int
    warmup_steps: int

    def __call__(self, update: int) -> float:
        return 1.0 / math.sqrt((update - self.warmup_steps + self.timescale) / self.timescale)


def inverse_sqrt(*, warmup_steps: int, total_steps: int, timescale: int | None = None) -> Schedule:
    """`t / W` for t < W, then `sqrt(s / (t - W + s))`, s = `timescale`. Range: (0, 1] after warmup.

    With s = W the decay is `sqrt(W / t)`, which does not depend on T, so training can be continued.

    Args:
        warmup_steps: W.
        total_steps: T.
        timescale: s, in updates: a longer one decays more slowly. Null means `warmup_steps`, or 10,000 if that is 0.

    Source: equals `transformers.get_inverse_sqrt_schedule`, which took it from big_vision. `sqrt(W / t)` is the
    Transformer's schedule (Vaswani et al. 2017).

    >>> [round(inverse_sqrt(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 4, 8)]
    [0.0, 0.5, 1.0, 0.7071, 0.5]
    """
    require(timescale is None or timescale >= 1, f"scheduler.timescale={timescale}: must be at least 1, or null")
    decay = _InverseSqrt(timescale or warmup_steps or 10_000, warmup_steps)
    return WarmupThenDecay(linear_ramp(warmup_steps), decay, total_steps)


@dataclass(frozen=True)
class _ExponentialRamp:
    ramp_start: float
    total_steps: int

    def __call__(self, update: int) -> float:
        if self.total_steps == 1:
            return 1.0
        return float(self.ramp_start ** max(0.0, 1.0 - update / (self.total_steps - 1)))


def exponentialramp(*, warmup_steps: int, total_steps: int, ramp_start: float = 1e-4) -> Schedule:
    """`ramp_start ** (1 - t / (T - 1))`: from `ramp_start` at the first update to 1 at the last.

    Range: [ramp_start, 1]. A run of one update uses the peak. Each update multiplies the rate by the same factor, so
    one run shows at which rate training breaks. The schedule has neither warmup nor decay.

    Args:
        warmup_steps: Must be 0.
        total_steps: T.
        ramp_start: Share of the peak at the first update, in (0, 1].

    Source: the range test of Smith 2017, on a logarithmic axis.

    Raises:
        ConfigError: `warmup_steps` is not 0, or `ramp_start` is outside (0, 1].

    >>> [round(exponentialramp(warmup_steps=0, total_steps=5)(t), 6) for t in range(5)]
    [0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    if warmup_steps:
        raise ConfigError(f"exponentialramp has no warmup, but warmup_steps={warmup_steps}: set it to 0")
    require(0 < ramp_start <= 1, f"scheduler.ramp_start={ramp_start}: must be in (0, 1], such as 1e-4")
    return WarmupThenDecay(linear_ramp(0), _ExponentialRamp(ramp_start, total_steps), total_steps)
