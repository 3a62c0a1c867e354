"""The schedules by name, and the schedule that a configuration describes.

A schedule is a multiplier: it maps the index of an optimizer update, 0 .. total_steps - 1, to learning rate / peak
learning rate, in [0, 1]. It has no state and can be pickled. The warmup applies while `t < warmup_steps`, the decay
after that. The warmup is linear unless `scheduler.warmup` names another one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from warmup_lab.config import ConfigError, SchedulerConfig, bind_options, lookup, require
from warmup_lab.schedules import decays, min_lr, multiphase
from warmup_lab.schedules.warmups import (
    Schedule,
    WarmupThenDecay,
    WarmupTimesDecay,
    configured_automatic_warmup,
    configured_ramp,
    is_automatic,
    matched_steps,
)

MAX_CYCLES = 1_000_000
"""More waves than updates say nothing, and the cosine of an infinite number is an error."""

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constantlr": decays.constantlr,
    "warmupconstant": decays.warmupconstant,
    "warmuplinear": decays.warmuplinear,
    "warmupcosine": decays.warmupcosine,
    "warmupcosinewithhardrestarts": decays.warmupcosinewithhardrestarts,
    "bertlinear": decays.bertlinear,
    "linear_with_min_lr": min_lr.linear_with_min_lr,
    "onecycle": multiphase.onecycle,
    "exponentialramp": decays.exponentialramp,
    # the names of transformers (`SchedulerType`), with its options
    "constant": decays.constantlr,
    "constant_with_warmup": decays.warmupconstant,
    "linear": decays.warmuplinear,
    "cosine": decays.cosine_with_cycles,
    "cosine_with_restarts": decays.warmupcosinewithhardrestarts,
    "polynomial": decays.polynomial,
    "inverse_sqrt": decays.inverse_sqrt,
    "cosine_with_min_lr": min_lr.cosine_with_min_lr,
    "cosine_warmup_with_min_lr": min_lr.cosine_warmup_with_min_lr,
    "warmup_stable_decay": multiphase.warmup_stable_decay,
}
STATEFUL_SCHEDULERS = {
    "reduce_lr_on_plateau": "it lowers the rate when a metric stops improving",
    "greedy": "it raises and lowers the rate as a metric moves",
}
"""Schedulers of transformers that have state, so they cannot be a schedule here, and how each sets the rate."""
_WITHOUT_WARMUP = ("constantlr", "constant", "exponentialramp")


def has_warmup(name: str) -> bool:
    """Whether the schedule `name` can have a warmup."""
    return name.lower() not in _WITHOUT_WARMUP


def unsupported_reason(name: str) -> str | None:
    """The error message for a scheduler of transformers that is not supported here; None for any other name."""
    behaviour = STATEFUL_SCHEDULERS.get(name.lower())
    if behaviour is None:
        return None
    return (
        f"scheduler={name} is not supported, because it is not a function of the update: {behaviour}, so two runs "
        "would not share a schedule. Use one that is, such as warmuplinear"
    )


def make_schedule(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    warmup_steps: int,
    total_steps: int,
    peak_lr: float = 1.0,
) -> Schedule:
    """The multiplier of the schedule `name`, with the schedule's own warmup.

    Args:
        name: A key of `SCHEDULES`, in any case.
        options: Keyword options of its factory.
        warmup_steps: Number of updates of warmup.
        total_steps: Number of updates of the run.
        peak_lr: Peak learning rate, for options that are learning rates, such as `min_lr`.

    Raises:
        ConfigError: the name or an option is unknown, or a value is out of range.
    """
    reason = unsupported_reason(name)
    if reason is not None:
        raise ConfigError(reason)
    factory = lookup(SCHEDULES, name, "scheduler")
    bound = bind_options(factory, options or {}, "scheduler.")
    cycles = bound.get("num_cycles", 1)
    require(abs(cycles) <= MAX_CYCLES, f"scheduler.num_cycles={cycles}: must be a number up to {MAX_CYCLES:,}")
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
    """The schedule that `config` describes, with the warmup that it describes.

    Args:
        config: Name and options of the schedule, and the keys of its warmup.
        warmup_steps: Number of updates of warmup. An automatic warmup ignores it. With `scheduler.match=t_eff` it is
            the length of the linear warmup whose T_eff is matched.
        total_steps: Number of updates of the run.
        peak_lr: Peak learning rate, for options that are learning rates.
        beta2: Sets the length of an automatic warmup, which multiplies the decay of the whole run. None if the
            optimizer has no betas.
        optimizer: Name of the optimizer, for error messages.

    Raises:
        ConfigError: a name or an option is unknown, a value is out of range, or the warmup does not fit.
    """
    make = partial(make_schedule, config.name, config.options, total_steps=total_steps, peak_lr=peak_lr)
    if not has_warmup(config.name):
        return make(warmup_steps=warmup_steps)
    if is_automatic(config):
        return WarmupTimesDecay(configured_automatic_warmup(config, beta2, optimizer), make(warmup_steps=0))
    schedule = _with_configured_warmup(config, make(warmup_steps=warmup_steps))
    if config.match == "t_eff" and warmup_steps:
        steps = matched_steps(schedule.warmup, total_steps)
        return _with_configured_warmup(config, make(warmup_steps=steps))
    return schedule


def _with_configured_warmup(config: SchedulerConfig, schedule: Schedule) -> WarmupThenDecay:
    """`schedule` with the ramp of `config` in place of its own."""
    assert isinstance(schedule, WarmupThenDecay)
    ramp = configured_ramp(config, schedule.warmup.warmup_steps)
    if ramp is None:
        return schedule
    for key in ("warmup_type", "warmup_lr_rate"):
        own = config.options.get(key)
        if own not in (None, "linear"):
            raise ConfigError(f"scheduler.{key}={own} and scheduler.warmup={ramp.label} both set the warmup: set one")
    return replace(schedule, warmup=ramp)
