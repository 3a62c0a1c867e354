"""Schedules that decay to a minimum learning rate above 0 after the warmup.

Each function is a factory, as in `decays`, with the same symbols: t is the 0-based index of the update,
W = warmup_steps, T = total_steps, and p = (t - W) / (T - W).

f is the minimum as a share of the peak: `min_lr / peak_lr`, or `min_lr_rate`. If neither is given, f is 0.1, the usual
minimum for language models (Hoffmann et al. 2022); transformers refuses that case. Giving both is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from warmup_lab.config import ConfigError, require
from warmup_lab.schedules.shapes import Multiplier, cosine_decay, linear, linear_decay
from warmup_lab.schedules.warmups import Decay, Ramp, Schedule, WarmupThenDecay, linear_warmup_then


def _min_share(min_lr: float | None, min_lr_rate: float | None, peak_lr: float) -> float:
    """The minimum learning rate as a share of the peak."""
    if min_lr is not None and min_lr_rate is not None:
        raise ConfigError(f"scheduler.min_lr={min_lr} and scheduler.min_lr_rate={min_lr_rate}: set only one of them")
    if min_lr is not None:
        require(0 <= min_lr <= peak_lr, f"scheduler.min_lr={min_lr}: must be between 0 and optimizer.lr={peak_lr}")
        return min_lr / peak_lr
    share = 0.1 if min_lr_rate is None else min_lr_rate
    require(0 <= share <= 1, f"scheduler.min_lr_rate={share}: must be in [0, 1]")
    return share


def linear_with_min_lr(
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    """`t / W` for t < W, then `f + (1 - f) (1 - p)`: linear from 1 to f at T. Range: [f, 1] after warmup.

    Args:
        warmup_steps: W.
        total_steps: T.
        peak_lr: Peak learning rate.
        min_lr: Learning rate at the end. Set this or `min_lr_rate`.
        min_lr_rate: Share of the peak at the end if `min_lr` is null; if both are, 0.1.

    Source: after the warmup it equals `torch.optim.lr_scheduler.LinearLR` from 1 to f over T - W updates.

    >>> schedule = linear_with_min_lr(warmup_steps=2, total_steps=10, peak_lr=1e-3, min_lr_rate=0.2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.6, 0.3]
    """
    shape = partial(linear_decay, floor=_min_share(min_lr, min_lr_rate, peak_lr))
    return linear_warmup_then(shape, warmup_steps, total_steps)


def cosine_with_min_lr(
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    """`t / W` for t < W, then `f + (1 - f) (1 + cos(2 pi num_cycles p)) / 2`. Range: [f, 1] after warmup.

    Args:
        warmup_steps: W.
        total_steps: T.
        peak_lr: Peak learning rate.
        num_cycles: Waves of the cosine decay; 0.5 falls once, to the end of the run.
        min_lr: Learning rate at the end. Set this or `min_lr_rate`.
        min_lr_rate: Share of the peak at the end if `min_lr` is null; if both are, 0.1.

    Source: equals `transformers.get_cosine_with_min_lr_schedule_with_warmup`.

    >>> schedule = cosine_with_min_lr(warmup_steps=2, total_steps=10, peak_lr=1e-3, min_lr=2e-4)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.6, 0.2304]
    """
    shape = partial(cosine_decay, num_cycles=num_cycles, floor=_min_share(min_lr, min_lr_rate, peak_lr))
    return linear_warmup_then(shape, warmup_steps, total_steps)


@dataclass(frozen=True)
class _OneUpdateAhead:
    """`decay` of the next update."""

    decay: Multiplier

    def __call__(self, update: int) -> float:
        return self.decay(update + 1)


def cosine_warmup_with_min_lr(  # noqa: PLR0913 - the keywords are the schedule's options
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Schedule:
    """`(t + 1) / W` for t < W, then `cosine_with_min_lr` one update ahead, so it reaches f at T - 1. Never 0.

    With `warmup_lr_rate` = r the warmup is `r + (1 - r) t / (W - 1)`. Both warmups are linear but count the updates in
    their own way. A shape set by `scheduler.warmup` replaces them.

    Args:
        warmup_steps: W.
        total_steps: T.
        peak_lr: Peak learning rate.
        num_cycles: Waves of the cosine decay; 0.5 falls once, to the end of the run.
        min_lr: Learning rate at the end. Set this or `min_lr_rate`.
        min_lr_rate: Share of the peak at the end if `min_lr` is null; if both are, 0.1.
        warmup_lr_rate: Share of the peak at the first update, in [0, 1). Null means 1 / `warmup_steps`.

    Source: equals `transformers.get_cosine_with_min_lr_schedule_with_warmup_lr_rate`.

    >>> schedule = cosine_warmup_with_min_lr(warmup_steps=2, total_steps=10, peak_lr=1e-3, min_lr_rate=0.2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 5, 9)]
    [0.5, 1.0, 0.9696, 0.6, 0.2]
    """
    shape = partial(cosine_decay, num_cycles=num_cycles, floor=_min_share(min_lr, min_lr_rate, peak_lr))
    rate = warmup_lr_rate
    require(rate is None or 0 <= rate < 1, f"scheduler.warmup_lr_rate={rate}: must be in [0, 1), or null")
    ramp = Ramp("linear", linear, warmup_steps, rate or 0.0, (1, 0) if rate is None else (0, -1))
    return WarmupThenDecay(ramp, _OneUpdateAhead(Decay(shape, warmup_steps, total_steps)), total_steps)
