"""Schedules beside the five of `schedules`: those that `transformers` knows by other names, and those it lacks.

Each is a factory as described in `schedules`. A name that transformers has takes transformers' own options and equals
its multipliers at every update; tests hold it to `transformers.get_scheduler`. t is the index of the update, W =
warmup_steps, T = total_steps, `p = (t - W) / (T - W)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

from warmup_lab.config import ConfigError, require
from warmup_lab.schedules.shapes import Multiplier, linear
from warmup_lab.schedules.warmups import OverTheRest, Ramp, Schedule, WarmupThenDecay, usual_ramp


def falling(progress: float) -> float:
    return max(0.0, 1.0 - progress)


def half_cosine(progress: float, num_cycles: float = 0.5, floor: float = 0.0) -> float:
    """`floor + (1 - floor) (1 + cos(2 pi num_cycles p)) / 2`; with 0.5 cycles it falls from 1 to `floor`."""
    factor = 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress))
    return max(0.0, factor * (1.0 - floor) + floor)


def cosine_with_cycles(*, warmup_steps: int, total_steps: int, num_cycles: float = 0.5) -> Schedule:
    """`t / W` for t < W, then `(1 + cos(2 pi num_cycles p)) / 2`: with the usual 0.5 half a wave, from 1 to 0.

    Equals `transformers.get_cosine_schedule_with_warmup`; other `num_cycles` make it rise again smoothly. In [0, 1].

    >>> [round(cosine_with_cycles(warmup_steps=2, total_steps=10, num_cycles=1.0)(t), 4) for t in (1, 2, 4, 6, 8)]
    [0.5, 1.0, 0.5, 0.0, 0.5]
    """
    require(num_cycles > 0, f"scheduler.num_cycles={num_cycles}: must be above 0, such as 0.5")
    decay = OverTheRest(partial(half_cosine, num_cycles=num_cycles), warmup_steps, total_steps)
    return WarmupThenDecay(usual_ramp(warmup_steps), decay, total_steps)


def _power_of_rest(progress: float, power: float, floor: float) -> float:
    return float((1.0 - floor) * max(0.0, 1.0 - progress) ** power + floor)


def polynomial(
    *, warmup_steps: int, total_steps: int, peak_lr: float, lr_end: float = 1e-7, power: float = 1.0
) -> Schedule:
    """`t / W` for t < W, then `(1 - e) (1 - p) ** power + e`, `e = lr_end / peak_lr`: a rate of `lr_end` at T.

    Equals `transformers.get_polynomial_decay_schedule_with_warmup`, whose `lr_end` is a rate, not a share of the peak.
    In [e, 1] after warmup. Power 1 is linear, as in fairseq; a larger one falls sooner.

    >>> schedule = polynomial(warmup_steps=2, total_steps=10, peak_lr=1e-3, lr_end=1e-4, power=2.0)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.325, 0.1141]
    """
    require(0 <= lr_end < peak_lr, f"scheduler.lr_end={lr_end}: must lie in [0, optimizer.lr={peak_lr})")
    require(0 < power < math.inf, f"scheduler.power={power}: must be above 0, such as 1")
    decay = OverTheRest(partial(_power_of_rest, power=power, floor=lr_end / peak_lr), warmup_steps, total_steps)
    return WarmupThenDecay(usual_ramp(warmup_steps), decay, total_steps)


@dataclass(frozen=True)
class _InverseSqrt:
    timescale: int
    warmup_steps: int

    def __call__(self, update: int) -> float:
        return 1.0 / math.sqrt((update - self.warmup_steps + self.timescale) / self.timescale)


def inverse_sqrt(*, warmup_steps: int, total_steps: int, timescale: int | None = None) -> Schedule:
    """`t / W` for t < W, then `sqrt(s / (t - W + s))`, s = `timescale` updates, by default W, or 10,000 where W is 0.

    In (0, 1]; with s = W it is `sqrt(W / t)`, of the Transformer (Vaswani et al. 2017), and needs no T: training can go
    on. Equals `transformers.get_inverse_sqrt_schedule`, which has it from big_vision.

    >>> [round(inverse_sqrt(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 4, 8)]
    [0.0, 0.5, 1.0, 0.7071, 0.5]
    """
    require(timescale is None or timescale >= 1, f"scheduler.timescale={timescale}: must be at least 1, or null")
    decay = _InverseSqrt(timescale or warmup_steps or 10_000, warmup_steps)
    return WarmupThenDecay(usual_ramp(warmup_steps), decay, total_steps)


# ------------------------------------------------------------------------------------------------- to a floor


def _floor(min_lr: float | None, min_lr_rate: float | None, peak_lr: float) -> float:
    """The floor as a share of the peak; a tenth where neither option is given."""
    if min_lr is not None and min_lr_rate is not None:
        raise ConfigError(f"scheduler.min_lr={min_lr} and scheduler.min_lr_rate={min_lr_rate}: give one of them")
    if min_lr is not None:
        require(0 <= min_lr <= peak_lr, f"scheduler.min_lr={min_lr}: must lie between 0 and optimizer.lr={peak_lr}")
        return min_lr / peak_lr
    share = 0.1 if min_lr_rate is None else min_lr_rate
    require(0 <= share <= 1, f"scheduler.min_lr_rate={share}: must lie in [0, 1]")
    return share


def cosine_with_min_lr(
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    """`t / W` for t < W, then `f + (1 - f) (1 + cos(2 pi num_cycles p)) / 2`: half a wave from 1 to the floor f.

    f is `min_lr / peak_lr`, or `min_lr_rate`, or 0.1 where neither is given (transformers then refuses): a tenth of the
    peak is usual for language models (Hoffmann et al. 2022). Equals
    `transformers.get_cosine_with_min_lr_schedule_with_warmup`.

    >>> schedule = cosine_with_min_lr(warmup_steps=2, total_steps=10, peak_lr=1e-3, min_lr=2e-4)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.6, 0.2304]
    """
    shape = partial(half_cosine, num_cycles=num_cycles, floor=_floor(min_lr, min_lr_rate, peak_lr))
    return WarmupThenDecay(usual_ramp(warmup_steps), OverTheRest(shape, warmup_steps, total_steps), total_steps)


@dataclass(frozen=True)
class _OneAhead:
    """`decay` of the next update."""

    decay: Multiplier

    def __call__(self, update: int) -> float:
        return self.decay(update + 1)


def cosine_warmup_with_min_lr(
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    """`(t + 1) / W` for t < W, then `cosine_with_min_lr` one update ahead: f is reached at T - 1, and 0 never used.

    With `warmup_lr_rate` = r its warmup is `r + (1 - r) t / (W - 1)`. Either way it is a linear one, of its own
    indices; any other shape asked for by `scheduler.warmup` replaces it. Equals
    `transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate`.

    >>> schedule = cosine_warmup_with_min_lr(warmup_steps=2, total_steps=10, peak_lr=1e-3, min_lr_rate=0.2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 5, 9)]
    [0.5, 1.0, 0.9696, 0.6, 0.2]
    """
    shape = partial(half_cosine, num_cycles=num_cycles, floor=_floor(min_lr, min_lr_rate, peak_lr))
    rate = warmup_lr_rate
    require(rate is None or 0 <= rate < 1, f"scheduler.warmup_lr_rate={rate}: must lie in [0, 1), or null")
    ramp = Ramp("linear", linear, warmup_steps, rate or 0.0, (1, 0) if rate is None else (0, -1))
    return WarmupThenDecay(ramp, _OneAhead(OverTheRest(shape, warmup_steps, total_steps)), total_steps)


def _falling_to(progress: float, floor: float) -> float:
    return floor + (1.0 - floor) * falling(progress)


def linear_with_min_lr(
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    """`t / W` for t < W, then `f + (1 - f) (1 - p)`: linearly from 1 to the floor f at T. In [f, 1] after warmup.

    f as in `cosine_with_min_lr`. torch's LinearLR from 1 to f over T - W updates, behind the warmup.

    >>> schedule = linear_with_min_lr(warmup_steps=2, total_steps=10, peak_lr=1e-3, min_lr_rate=0.2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.6, 0.3]
    """
    shape = partial(_falling_to, floor=_floor(min_lr, min_lr_rate, peak_lr))
    return WarmupThenDecay(usual_ramp(warmup_steps), OverTheRest(shape, warmup_steps, total_steps), total_steps)


def bertlinear(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W, then `(T - t) / T`: the linear decay of the whole run, not shifted by the warmup.

    As BERT itself was trained and fine-tuned (google-research/bert, optimization.py, `create_optimizer`): where the
    warmup ends the rate falls from 1 to 1 - W / T at once, so the peak is used by no update; `warmuplinear` mends that.

    >>> [round(bertlinear(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 0.8, 0.4, 0.1]
    """
    return WarmupThenDecay(usual_ramp(warmup_steps), OverTheRest(falling, 0, total_steps), total_steps)


# ------------------------------------------------------------------------------------------------------- a ramp


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

    Neither warmup nor decay, so `warmup_steps` must be 0: each update multiplies the rate by the same factor, to find
    the rate at which training breaks in one run (the range test of Smith 2017, on a logarithmic axis). In
    [ramp_start, 1]; a run of one update uses the peak.

    >>> [round(exponentialramp(warmup_steps=0, total_steps=5)(t), 6) for t in range(5)]
    [0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    if warmup_steps:
        raise ConfigError(f"exponentialramp is a ramp from end to end, but {warmup_steps} updates of warmup were asked")
    require(0 < ramp_start <= 1, f"scheduler.ramp_start={ramp_start}: must lie in (0, 1], such as 1e-4")
    return WarmupThenDecay(usual_ramp(0), _ExponentialRamp(ramp_start, total_steps), total_steps)
