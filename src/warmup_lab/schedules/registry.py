"""Learning-rate schedules: pure functions of the index of the update.

A multiplier maps the index of an optimizer update, 0 .. total_steps - 1, to learning rate / peak learning rate,
in [0, 1]. It has no state and can be pickled. A factory composes a warmup (`warmups`) with a decay: the warmup rules
while `t < warmup_steps`, after it the decay. The warmup is linear unless `scheduler.warmup` asks for another.

Source of the five here: `transformers.optimization`, which each equals at every step; tests hold them to it. The
others are in `decays` and `phases`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from warmup_lab.config import ConfigError, SchedulerConfig, bind_options, lookup, require
from warmup_lab.schedules import decays, multiphase
from warmup_lab.schedules.decays import falling, half_cosine
from warmup_lab.schedules.shapes import Shape
from warmup_lab.schedules.warmups import (
    OverTheRest,
    Schedule,
    WarmupThenDecay,
    WarmupTimesDecay,
    asked_automatic,
    asked_ramp,
    is_automatic,
    matched_steps,
    usual_ramp,
)


def _one(_progress: float) -> float:
    return 1.0


def _cosine_restarts(progress: float, num_cycles: int) -> float:
    if progress >= 1.0:
        return 0.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((num_cycles * progress) % 1.0))))


def _then(decay: Shape, warmup_steps: int, total_steps: int) -> Schedule:
    return WarmupThenDecay(usual_ramp(warmup_steps), OverTheRest(decay, warmup_steps, total_steps), total_steps)


def constantlr(*, warmup_steps: int, total_steps: int) -> Schedule:
    """1 at every update; no warmup, so `warmup_steps` must be 0.

    Equals `transformers.get_constant_schedule`.

    Raises:
        ConfigError: a warmup is asked for; `warmupconstant` has one.
    """
    if warmup_steps:
        raise ConfigError(f"constantlr has no warmup, but {warmup_steps} updates were asked for: use warmupconstant")
    return _then(_one, 0, total_steps)


def warmupconstant(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W = warmup_steps, then 1.

    Equals `transformers.get_constant_schedule_with_warmup`.

    >>> [warmupconstant(warmup_steps=4, total_steps=8)(t) for t in (0, 1, 3, 4, 7)]
    [0.0, 0.25, 0.75, 1.0, 1.0]
    """
    return _then(_one, warmup_steps, total_steps)


def warmuplinear(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W = warmup_steps, then `(T - t) / (T - W)`, T = total_steps: 0 only at T, past the last update.

    Equals `transformers.get_linear_schedule_with_warmup`. The usual one for fine-tuning BERT (Devlin et al. 2019);
    BERT's own code decays by `(T - t) / T`, unshifted by the warmup, which differs.

    >>> [warmuplinear(warmup_steps=2, total_steps=10)(t) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.125]
    """
    return _then(falling, warmup_steps, total_steps)


def warmupcosine(*, warmup_steps: int, total_steps: int) -> Schedule:
    """`t / W` for t < W = warmup_steps, then `(1 + cos(pi p)) / 2` with `p = (t - W) / (T - W)`, T = total_steps.

    Equals `transformers.get_cosine_schedule_with_warmup`; half a cosine (Loshchilov & Hutter 2017, without restarts).

    >>> [round(warmupcosine(warmup_steps=2, total_steps=10)(t), 4) for t in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.0381]
    """
    return _then(half_cosine, warmup_steps, total_steps)


def warmupcosinewithhardrestarts(*, warmup_steps: int, total_steps: int, num_cycles: int = 1) -> Schedule:
    """`t / W` for t < W = warmup_steps, then `num_cycles` half cosines from 1 to 0, each restarting at the peak.

    `(1 + cos(pi (num_cycles p mod 1))) / 2` with `p = (t - W) / (T - W)`, T = total_steps.
    Equals `transformers.get_cosine_with_hard_restarts_schedule_with_warmup` (SGDR, Loshchilov & Hutter 2017).

    >>> schedule = warmupcosinewithhardrestarts(warmup_steps=2, total_steps=10, num_cycles=2)
    >>> [round(schedule(t), 4) for t in (0, 1, 2, 4, 5, 6, 8)]
    [0.0, 0.5, 1.0, 0.5, 0.1464, 1.0, 0.5]
    """
    require(num_cycles >= 1, f"scheduler.num_cycles={num_cycles}: must be at least 1")
    return _then(partial(_cosine_restarts, num_cycles=num_cycles), warmup_steps, total_steps)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constantlr": constantlr,
    "warmupconstant": warmupconstant,
    "warmuplinear": warmuplinear,
    "warmupcosine": warmupcosine,
    "warmupcosinewithhardrestarts": warmupcosinewithhardrestarts,
    "bertlinear": decays.bertlinear,
    "linear_with_min_lr": decays.linear_with_min_lr,
    "onecycle": multiphase.onecycle,
    "exponentialramp": decays.exponentialramp,
    # transformers' names (`SchedulerType`), with its options
    "constant": constantlr,
    "constant_with_warmup": warmupconstant,
    "linear": warmuplinear,
    "cosine": decays.cosine_with_cycles,
    "cosine_with_restarts": warmupcosinewithhardrestarts,
    "polynomial": decays.polynomial,
    "inverse_sqrt": decays.inverse_sqrt,
    "cosine_with_min_lr": decays.cosine_with_min_lr,
    "cosine_warmup_with_min_lr": decays.cosine_warmup_with_min_lr,
    "warmup_stable_decay": multiphase.warmup_stable_decay,
}
NO_FUNCTION_OF_THE_UPDATE = {
    "reduce_lr_on_plateau": "it lowers the rate when a metric stops improving",
    "greedy": "it raises and lowers the rate by how a metric moves",
}
"""Names of transformers that cannot be a schedule here, and why."""
_WITHOUT_WARMUP = ("constantlr", "constant", "exponentialramp")


def has_warmup(name: str) -> bool:
    """Whether the schedule of that name can warm up at all."""
    return name.lower() not in _WITHOUT_WARMUP


def why_no_schedule(name: str) -> str | None:
    """Why a scheduler that transformers knows is none here; None for any other name."""
    reason = NO_FUNCTION_OF_THE_UPDATE.get(name.lower())
    if reason is None:
        return None
    return (
        f"scheduler={name} is no function of the update: {reason}, so no two runs would share a schedule. "
        "Take one that is, such as warmuplinear"
    )


def make_schedule(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float = 1.0,
) -> Schedule:
    """The multiplier of the schedule `name` (any case of letters), with its own warmup.

    `peak_lr` is for options that are rates, such as `min_lr`. Unknown names and options raise `ConfigError`.
    """
    reason = why_no_schedule(name)
    require(reason is None, reason or "")
    factory = lookup(SCHEDULES, name, "scheduler")
    bound = bind_options(factory, options or {}, "scheduler.")
    if "peak_lr" in inspect.signature(factory).parameters:
        bound["peak_lr"] = peak_lr
    schedule: Schedule = factory(warmup_steps=warmup_steps, total_steps=total_steps, **bound)
    return schedule


def compose_schedule(
    config: SchedulerConfig,
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float = 1.0,
    beta2: float | None = None,
    optimizer: str = "",
) -> Schedule:
    """The schedule that `config` asks for, with the warmup it asks for.

    `beta2` (None where `optimizer` has none) decides an automatic warmup, which multiplies the decay of the whole run;
    `warmup_steps` does not matter then. With `scheduler.match=t_eff` it is the length of the linear warmup to match.
    """
    make = partial(make_schedule, config.name, config.options, total_steps=total_steps, peak_lr=peak_lr)
    if not has_warmup(config.name):
        return make(warmup_steps=warmup_steps)
    if is_automatic(config):
        return WarmupTimesDecay(asked_automatic(config, beta2, optimizer), make(warmup_steps=0))
    schedule = _with_shape(config, make(warmup_steps=warmup_steps))
    if config.match == "t_eff" and warmup_steps:
        steps = matched_steps(schedule.warmup, total_steps)
        return _with_shape(config, make(warmup_steps=steps))
    return schedule


def _with_shape(config: SchedulerConfig, schedule: Schedule) -> WarmupThenDecay:
    assert isinstance(schedule, WarmupThenDecay)
    ramp = asked_ramp(config, schedule.warmup.warmup_steps)
    if ramp is None:
        return schedule
    for key in ("warmup_type", "warmup_lr_rate"):
        own = config.options.get(key)
        if own not in (None, "linear"):
            raise ConfigError(f"scheduler.{key}={own} and {ramp.label} of scheduler.warmup: leave one of them out")
    return replace(schedule, warmup=ramp)
