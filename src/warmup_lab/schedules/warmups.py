"""Warmup shapes, warmups that an optimizer's beta2 decides, and how a warmup is joined to a decay.

A shape maps the progress through the warmup, p in [0, 1), to a factor that would reach 1 at p = 1. `Ramp` places it on
the updates. What a warmup holds back is measured by T_eff, the sum over updates of 1 - factor (Ma & Yarats 2021): two
warmups of equal T_eff keep the rate down as much in all, however that is spread over the updates.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from warmup_lab.config import ConfigError, SchedulerConfig, lookup, require
from warmup_lab.schedules.shapes import _PARAMETER, WARMUPS, Multiplier, Shape, linear, make_shape


@dataclass(frozen=True)
class Ramp:
    """`f + (1 - f) shape(p)` at update t of `warmup_steps`, f = `start_factor`, in [f, 1].

    Progress is `p = (t + shift[0]) / (warmup_steps + shift[1])`: (0, 0) starts at p = 0, where the usual shapes are 0,
    and would be at the peak at t = warmup_steps; (1, 1) leaves that first update out.
    """

    label: str
    """What people call it, such as `polynomial(power=2)`."""
    shape: Shape
    """Progress to a factor."""
    warmup_steps: int
    """Updates of warmup."""
    start_factor: float = 0.0
    """The factor where the shape is 0."""
    shift: tuple[int, int] = (0, 0)
    """What is added to the index of the update, and to the number of updates."""

    def __call__(self, update: int) -> float:
        progress = (update + self.shift[0]) / max(1, self.warmup_steps + self.shift[1])
        return self.start_factor + (1.0 - self.start_factor) * self.shape(progress)

    @property
    def t_eff(self) -> float:
        """Sum of 1 - factor over the updates of warmup."""
        return math.fsum(1.0 - self(update) for update in range(self.warmup_steps))


def usual_ramp(warmup_steps: int) -> Ramp:
    """`t / W`, the warmup that every schedule has unless told otherwise."""
    return Ramp("linear", linear, warmup_steps)


# ------------------------------------------------------------------------------------------------- automatic


def untuned_linear(update: int, beta2: float) -> float:
    """`min(1, (1 - beta2) / 2 * (t + 1))`: 2 / (1 - beta2) updates, 2000 at 0.999.

    Ma & Yarats 2021, "On the adequacy of untuned warmup for adaptive optimization", who count updates from 1.

    >>> [round(untuned_linear(t, 0.999), 4) for t in (0, 999, 1999, 5000)]
    [0.0005, 0.5, 1.0, 1.0]
    """
    return min(1.0, 0.5 * (1.0 - beta2) * (update + 1))


def untuned_exponential(update: int, beta2: float) -> float:
    """`1 - exp(-(1 - beta2) (t + 1))`: a time constant of 1 / (1 - beta2) updates; it approaches 1 and stays below.

    Ma & Yarats 2021. Its T_eff, about 1 / (1 - beta2), is that of `untuned_linear`.

    >>> [round(untuned_exponential(t, 0.999), 4) for t in (0, 999, 1999, 5000)]
    [0.001, 0.6321, 0.8647, 0.9933]
    """
    return -math.expm1(-(1.0 - beta2) * (update + 1))


def radam(update: int, beta2: float) -> float:
    """RAdam's rectification r (Liu et al. 2020) as a factor, with n = t + 1:

        rho_inf = 2 / (1 - beta2) - 1;  rho = rho_inf - 2 n beta2^n / (1 - beta2^n)
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)), and 0 while rho <= 5

    Where rho <= 5 (the first 5 updates at beta2 = 0.999) `torch.optim.RAdam` replaces the adaptive update by plain
    momentum. A factor cannot do that: it is 0 there, which is torch's weight of the adaptive update, so the weights
    rest while the optimizer's moments gather gradients. Then Adam's updates times r are RAdam's.

    >>> [round(radam(t, 0.999), 4) for t in (0, 4, 5, 999, 1999, 5000)]
    [0.0, 0.0, 0.0258, 0.6453, 0.8284, 0.9829]
    """
    count = update + 1
    limit = 2.0 / (1.0 - beta2) - 1.0
    rho = limit - 2.0 * count * beta2**count / (1.0 - beta2**count)
    if rho <= 5.0:
        return 0.0
    return math.sqrt((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho))


AUTOMATIC: dict[str, Callable[[int, float], float]] = {
    "untuned_linear": untuned_linear,
    "untuned_exponential": untuned_exponential,
    "radam": radam,
}
"""Warmups of the length that beta2 gives; they multiply the decay from the first update to the last."""


@dataclass(frozen=True)
class Automatic:
    """A factor for every update of the run, decided by beta2: `start_factor` + (1 - `start_factor`) rule(t, beta2)."""

    label: str
    rule: Callable[[int, float], float]
    beta2: float
    start_factor: float = 0.0

    def __call__(self, update: int) -> float:
        return self.start_factor + (1.0 - self.start_factor) * self.rule(update, self.beta2)

    @property
    def warmup_steps(self) -> int:
        """2 / (1 - beta2): the length of the linear warmup that holds back as much, for each of the three."""
        return round(2.0 / (1.0 - self.beta2))


def is_automatic(config: SchedulerConfig) -> bool:
    return config.warmup in AUTOMATIC


# ------------------------------------------------------------------------------------- joined with a decay


@dataclass(frozen=True)
class WarmupThenDecay:
    """`warmup(t)` for the first `warmup_steps` updates, then `decay(t)`.

    At and past `total_steps`, where no update of the run lies, a decay goes on as it does in transformers.
    """

    warmup: Ramp
    decay: Multiplier
    total_steps: int

    def __post_init__(self) -> None:
        steps = self.warmup.warmup_steps
        good = 0 <= steps <= self.total_steps
        require(good, f"warmup_steps={steps}: must lie between 0 and total_steps={self.total_steps}")

    def __call__(self, update: int) -> float:
        return self.warmup(update) if update < self.warmup.warmup_steps else self.decay(update)

    def warmup_factor(self, update: int) -> float:
        return self.warmup(update) if update < self.warmup.warmup_steps else 1.0


@dataclass(frozen=True)
class WarmupTimesDecay:
    """`warmup(t) * decay(t)` at every update; `decay` runs from the first update to the last."""

    warmup: Automatic
    decay: Multiplier

    def __call__(self, update: int) -> float:
        return self.warmup(update) * self.decay(update)

    def warmup_factor(self, update: int) -> float:
        return self.warmup(update)


Schedule = WarmupThenDecay | WarmupTimesDecay
"""A multiplier that can tell its warmup from its decay."""


@dataclass(frozen=True)
class OverTheRest:
    """`shape(p)` with `p = (t - warmup_steps) / (total_steps - warmup_steps)`, the progress through what is left."""

    shape: Shape
    warmup_steps: int
    total_steps: int

    def __call__(self, update: int) -> float:
        return self.shape((update - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))


def warmup_title(label: str) -> str:
    """The label of a warmup where people must be told of it: '' for the usual one, for none, and a schedule's own."""
    return "" if label in ("linear", "none", "own") else label


def t_eff(schedule: Schedule, total_steps: int) -> float:
    """Sum over the updates of the run of 1 - warmup factor, in updates: what the warmup alone holds back."""
    return math.fsum(1.0 - schedule.warmup_factor(update) for update in range(total_steps))


def matched_steps(ramp: Ramp, total_steps: int) -> int:
    """The length at which `ramp` has the T_eff nearest to that of the linear warmup from 0 of its length now.

    T_eff grows with the length, for a factor never falls during warmup.

    Raises:
        ConfigError: `ramp` would have to be longer than the run.
    """
    wanted = usual_ramp(ramp.warmup_steps).t_eff

    def reached(steps: int) -> float:
        return replace(ramp, warmup_steps=steps).t_eff

    above = bisect.bisect_left(range(total_steps + 1), wanted, key=reached)
    if above > total_steps:
        longest = reached(total_steps)
        require(
            wanted - longest <= 0.5,
            f"scheduler.match=t_eff: no {ramp.label} warmup within {total_steps} updates has the T_eff of the linear "
            f"one of {ramp.warmup_steps}, {wanted:g}; the longest has {longest:.4g}: ask for a shorter one",
        )
        return total_steps
    return min(range(max(0, above - 1), above + 1), key=lambda steps: abs(reached(steps) - wanted))


# ---------------------------------------------------------------------------------- from the configuration


def is_plain(config: SchedulerConfig) -> bool:
    """Whether nothing but the schedule's own warmup is asked for."""
    return (config.warmup, config.start_factor, config.skip_zero) == ("linear", 0.0, False)


def asked_ramp(config: SchedulerConfig, warmup_steps: int) -> Ramp | None:
    """The ramp that `scheduler.warmup` and its keys ask for; None where they are at their defaults."""
    if is_plain(config):
        return None
    lookup(WARMUPS | AUTOMATIC, config.warmup, "scheduler.warmup")
    parameters = {"power": config.warmup_power, "rate": config.warmup_rate, "level": config.warmup_level}
    shown = [f"{name}={parameters[name]:g}" for name in [_PARAMETER.get(config.warmup)] if name]
    shape, shift = make_shape(config.warmup, **parameters), (1, 1) if config.skip_zero else (0, 0)
    return Ramp(_label(config, shown), shape, warmup_steps, config.start_factor, shift)


def asked_automatic(config: SchedulerConfig, beta2: float | None, optimizer: str) -> Automatic:
    """The warmup that beta2 decides; raises `ConfigError` where there is none that fits."""
    name = f"scheduler.warmup={config.warmup}"
    if beta2 is None:
        raise ConfigError(f"{name} takes its length from beta2, and optimizer={optimizer} has no betas: "
                          f"use another optimizer, or one of {', '.join(WARMUPS)}")  # fmt: skip
    require(
        config.warmup != "radam" or beta2 > 2 / 3, f"{name} needs beta2 above 2/3, and optimizer.betas has {beta2:g}"
    )
    require(not config.skip_zero, f"{name} has its own indices: leave scheduler.skip_zero=false")
    return Automatic(_label(config, []), AUTOMATIC[config.warmup], beta2, config.start_factor)


def _label(config: SchedulerConfig, shown: list[str]) -> str:
    shown = shown + ([f"start_factor={config.start_factor:g}"] if config.start_factor else [])
    shown += ["skip_zero"] if config.skip_zero else []
    return f"{config.warmup}({','.join(shown)})" if shown else config.warmup
