"""Warmups: ramps, warmups whose length follows from beta2, and the composition of a warmup with a decay.

A ramp places a shape (`shapes`) on the first updates of a run. T_eff measures how much a warmup holds back: the sum
over updates of 1 - factor (Ma & Yarats 2021). Two warmups of equal T_eff hold back the same total, in whatever way they
spread it over the updates.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from warmup_lab.config import ConfigError, SchedulerConfig, lookup, require
from warmup_lab.schedules.shapes import SHAPE_PARAMETERS, WARMUPS, Multiplier, Shape, linear, make_shape


@dataclass(frozen=True)
class Ramp:
    """`f + (1 - f) shape(p)` at update t of `warmup_steps`, f = `start_factor`. Range: [f, 1].

    Progress is `p = (t + shift[0]) / (warmup_steps + shift[1])`. A shift of (0, 0) starts at p = 0, where most shapes
    are 0, and would reach the peak at t = warmup_steps. A shift of (1, 1) skips the update at p = 0.
    """

    label: str
    """Its name in reports, such as `polynomial(power=2)`."""
    shape: Shape
    """Progress to a factor."""
    warmup_steps: int
    """Number of updates of warmup."""
    start_factor: float = 0.0
    """The factor at which the shape is 0."""
    shift: tuple[int, int] = (0, 0)
    """Added to the index of the update and to the number of updates."""

    def __call__(self, update: int) -> float:
        progress = (update + self.shift[0]) / max(1, self.warmup_steps + self.shift[1])
        return self.start_factor + (1.0 - self.start_factor) * self.shape(progress)

    @property
    def t_eff(self) -> float:
        """Sum of 1 - factor over the updates of warmup."""
        return math.fsum(1.0 - self(update) for update in range(self.warmup_steps))


def linear_ramp(warmup_steps: int) -> Ramp:
    """`t / W`: the default warmup of every schedule."""
    return Ramp("linear", linear, warmup_steps)


# ------------------------------------------------------------------------------------------ automatic warmups


def untuned_linear(update: int, beta2: float) -> float:
    """`min(1, (1 - beta2) / 2 * (t + 1))`: a length of 2 / (1 - beta2) updates, 2000 for beta2 = 0.999.

    Source: Ma & Yarats 2021, "On the adequacy of untuned warmup for adaptive optimization", who count updates from 1.

    >>> [round(untuned_linear(t, 0.999), 4) for t in (0, 999, 1999, 5000)]
    [0.0005, 0.5, 1.0, 1.0]
    """
    return min(1.0, 0.5 * (1.0 - beta2) * (update + 1))


def untuned_exponential(update: int, beta2: float) -> float:
    """`1 - exp(-(1 - beta2) (t + 1))`: a time constant of 1 / (1 - beta2) updates. It approaches 1 from below.

    Its T_eff, about 1 / (1 - beta2), equals that of `untuned_linear`.

    Source: Ma & Yarats 2021.

    >>> [round(untuned_exponential(t, 0.999), 4) for t in (0, 999, 1999, 5000)]
    [0.001, 0.6321, 0.8647, 0.9933]
    """
    return -math.expm1(-(1.0 - beta2) * (update + 1))


def radam(update: int, beta2: float) -> float:
    """RAdam's rectification r as a factor. With n = t + 1:

        rho_inf = 2 / (1 - beta2) - 1;  rho = rho_inf - 2 n beta2^n / (1 - beta2^n)
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)), and 0 while rho <= 5

    While rho <= 5 (the first 5 updates for beta2 = 0.999), `torch.optim.RAdam` replaces the adaptive update by plain
    momentum. A factor cannot do that. It is 0 there, the weight that torch gives to the adaptive update, so the weights
    do not move while the optimizer's moments collect gradients. From then on, Adam's updates times r are RAdam's.

    Source: Liu et al. 2020.

    >>> [round(radam(t, 0.999), 4) for t in (0, 4, 5, 999, 1999, 5000)]
    [0.0, 0.0, 0.0258, 0.6453, 0.8284, 0.9829]
    """
    count = update + 1
    limit = 2.0 / (1.0 - beta2) - 1.0
    rho = limit - 2.0 * count * beta2**count / (1.0 - beta2**count)
    if rho <= 5.0:
        return 0.0
    return math.sqrt((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho))


def giadam(update: int, beta2: float) -> float:
    """`sqrt(1 - beta2^(t + 1))`: GI-Adam's built-in warmup as a factor. It approaches 1 from below.

    Its T_eff is about 2 (1 - ln 2) / (1 - beta2) = 0.61 / (1 - beta2).

    Source: Kalra & Barkeshli 2024, who describe GI-Adam as Adam with this warmup.

    >>> [round(giadam(t, 0.999), 4) for t in (0, 99, 999, 5000)]
    [0.0316, 0.3086, 0.7952, 0.9966]
    """
    return math.sqrt(-math.expm1((update + 1) * math.log(beta2))) if beta2 else 1.0


AUTOMATIC_WARMUPS: dict[str, Callable[[int, float], float]] = {
    "untuned_linear": untuned_linear,
    "untuned_exponential": untuned_exponential,
    "radam": radam,
    "giadam": giadam,
}
"""Warmups whose length follows from beta2. They multiply the decay from the first update to the last."""


@dataclass(frozen=True)
class AutomaticWarmup:
    """`f + (1 - f) rule(t, beta2)` at every update of the run, f = `start_factor`."""

    label: str
    rule: Callable[[int, float], float]
    beta2: float
    start_factor: float = 0.0

    def __call__(self, update: int) -> float:
        return self.start_factor + (1.0 - self.start_factor) * self.rule(update, self.beta2)

    @property
    def warmup_steps(self) -> int:
        """The length of the linear warmup with the same T_eff: twice the T_eff of the rule, in its limit."""
        t_eff = 2.0 * (1.0 - math.log(2.0)) if self.rule is giadam else 1.0
        return round(2.0 * t_eff / (1.0 - self.beta2))


def is_automatic(config: SchedulerConfig) -> bool:
    """Whether the length of the warmup follows from beta2."""
    return config.warmup in AUTOMATIC_WARMUPS


# ------------------------------------------------------------------------------------- warmup and decay composed


@dataclass(frozen=True)
class WarmupThenDecay:
    """`warmup(t)` for the first `warmup_steps` updates, then `decay(t)`.

    A run has no updates from `total_steps` on. There, a decay continues as it does in transformers.

    Raises:
        ConfigError: the warmup has a negative length or is longer than the run.
    """

    warmup: Ramp
    decay: Multiplier
    total_steps: int

    def __post_init__(self) -> None:
        steps = self.warmup.warmup_steps
        good = 0 <= steps <= self.total_steps
        require(good, f"warmup_steps={steps}: must be between 0 and total_steps={self.total_steps}")

    def __call__(self, update: int) -> float:
        return self.warmup(update) if update < self.warmup.warmup_steps else self.decay(update)

    def warmup_factor(self, update: int) -> float:
        return self.warmup(update) if update < self.warmup.warmup_steps else 1.0


@dataclass(frozen=True)
class WarmupTimesDecay:
    """`warmup(t) * decay(t)` at every update; `decay` runs from the first update to the last."""

    warmup: AutomaticWarmup
    decay: Multiplier

    def __call__(self, update: int) -> float:
        return self.warmup(update) * self.decay(update)

    def warmup_factor(self, update: int) -> float:
        return self.warmup(update)


Schedule = WarmupThenDecay | WarmupTimesDecay
"""A multiplier that can report the factor of its warmup alone."""


@dataclass(frozen=True)
class Decay:
    """`shape(p)` with `p = (t - warmup_steps) / (total_steps - warmup_steps)`, the progress after the warmup."""

    shape: Shape
    warmup_steps: int
    total_steps: int

    def __call__(self, update: int) -> float:
        return self.shape((update - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))


def linear_warmup_then(shape: Shape, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W, then the decay `shape` over the remaining updates."""
    return WarmupThenDecay(linear_ramp(warmup_steps), Decay(shape, warmup_steps, total_steps), total_steps)


# ------------------------------------------------------------------------------------------------------- T_eff


def t_eff(schedule: Schedule, total_steps: int) -> float:
    """Sum of 1 - warmup factor over the updates of the run. Unit: updates. The decay does not count."""
    return math.fsum(1.0 - schedule.warmup_factor(update) for update in range(total_steps))


def matched_steps(ramp: Ramp, total_steps: int) -> int:
    """The length at which `ramp` has the T_eff closest to that of a linear warmup of the ramp's present length.

    T_eff grows with the length, because a factor never falls during warmup.

    Raises:
        ConfigError: `ramp` would have to be longer than the run.
    """
    wanted = linear_ramp(ramp.warmup_steps).t_eff

    def t_eff_of(steps: int) -> float:
        return replace(ramp, warmup_steps=steps).t_eff

    above = bisect.bisect_left(range(total_steps + 1), wanted, key=t_eff_of)
    if above > total_steps:
        longest = t_eff_of(total_steps)
        require(
            wanted - longest <= 0.5,
            f"scheduler.match=t_eff: a linear warmup of {ramp.warmup_steps} updates has a T_eff of {wanted:g}, but "
            f"{ramp.label} reaches at most {longest:.4g} within {total_steps} updates: set a shorter warmup",
        )
        return total_steps
    return min(range(max(0, above - 1), above + 1), key=lambda steps: abs(t_eff_of(steps) - wanted))


# -------------------------------------------------------------------------------------- from the configuration


def uses_default_warmup(config: SchedulerConfig) -> bool:
    """Whether `scheduler.warmup` and its keys are at their defaults, so the schedule keeps its own warmup."""
    return (config.warmup, config.start_factor, config.skip_zero) == ("linear", 0.0, False)


def configured_ramp(config: SchedulerConfig, warmup_steps: int) -> Ramp | None:
    """The ramp that `scheduler.warmup` and its keys describe; None if they are at their defaults."""
    if uses_default_warmup(config):
        return None
    lookup(WARMUPS | AUTOMATIC_WARMUPS, config.warmup, "scheduler.warmup")
    parameters = {"power": config.warmup_power, "rate": config.warmup_rate, "level": config.warmup_level}
    shown = [f"{name}={parameters[name]:g}" for name in [SHAPE_PARAMETERS.get(config.warmup)] if name]
    shape, shift = make_shape(config.warmup, **parameters), (1, 1) if config.skip_zero else (0, 0)
    return Ramp(_label(config, shown), shape, warmup_steps, config.start_factor, shift)


def configured_automatic_warmup(config: SchedulerConfig, beta2: float | None, optimizer: str) -> AutomaticWarmup:
    """The automatic warmup that `scheduler.warmup` names.

    Raises:
        ConfigError: the optimizer has no beta2, or one that the rule does not allow; or `scheduler.skip_zero` is set.
    """
    name = f"scheduler.warmup={config.warmup}"
    if beta2 is None:
        raise ConfigError(f"{name} takes its length from beta2, but optimizer={optimizer} has no betas: "
                          f"use another optimizer, or one of {', '.join(WARMUPS)}")  # fmt: skip
    require(
        config.warmup != "radam" or beta2 > 2 / 3, f"{name} needs beta2 above 2/3, but optimizer.betas has {beta2:g}"
    )
    require(not config.skip_zero, f"{name} counts its updates in its own way: set scheduler.skip_zero=false")
    return AutomaticWarmup(_label(config, []), AUTOMATIC_WARMUPS[config.warmup], beta2, config.start_factor)


def _label(config: SchedulerConfig, shown: list[str]) -> str:
    shown = shown + ([f"start_factor={config.start_factor:g}"] if config.start_factor else [])
    shown += ["skip_zero"] if config.skip_zero else []
    return f"{config.warmup}({','.join(shown)})" if shown else config.warmup


def warmup_title(label: str) -> str:
    """The label of a warmup as run names show it: empty for the default, for no warmup, and for a schedule's own."""
    return "" if label in ("linear", "none", "own") else label
