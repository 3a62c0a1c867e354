"""A schedule as torch's `LambdaLR`, for any training loop and for `transformers.Trainer`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from warmup_lab.config import (
    DEFAULT_WARMUP_RATIO,
    ConfigError,
    SchedulerConfig,
    bind_options,
    ceil_share,
    lookup,
    suggestion,
)
from warmup_lab.schedules import (
    SCHEDULES,
    compose_schedule,
    has_warmup,
    is_automatic,
    unsupported_reason,
    uses_default_warmup,
)

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

_WARMUP_KEYS = {field.name for field in fields(SchedulerConfig)} - {"name", "options"}
_WITHOUT_END = ("constantlr", "constant", "warmupconstant", "constant_with_warmup", "inverse_sqrt")
"""Schedules that do not depend on the number of updates."""


def get_schedule(  # noqa: PLR0913 - the arguments of transformers.get_scheduler, and the warmup as a share
    name: str,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
    *,
    warmup_ratio: float | None = None,
    last_epoch: int = -1,
    **shape: Any,
) -> LambdaLR:
    """The schedule `name` for an optimizer, with the argument names of `transformers.get_scheduler`.

    Set the length of the warmup as `num_warmup_steps` or as `warmup_ratio`; the default is 10 % of the updates. Call
    `step()` after each update, as with any scheduler of torch. The learning rate of each parameter group is the peak
    of that group. Options that are learning rates, such as `min_lr`, apply to every group.

    Args:
        name: A schedule of `docs/strategies.md`, such as `warmupcosine`, in upper or lower case.
        optimizer: Its learning rates are the peaks.
        num_warmup_steps: Updates of warmup, at least 0.
        num_training_steps: Updates of the run. Constant schedules and `inverse_sqrt` do not need it.
        scheduler_specific_kwargs: Options of the schedule, as in transformers; the same as `shape`.
        warmup_ratio: Share of the updates that are warmup, in [0, 1]: `ceil(warmup_ratio * num_training_steps)`.
        last_epoch: To resume without a `state_dict`: the index of the last update, from 0. -1 starts a new run.
        shape: Options of the schedule, such as `num_cycles`, and of its warmup: `warmup` (`linear`, `cosine`,
            `sqrt`, ...), `start_factor`, `skip_zero`, `match`, `warmup_power`, `warmup_rate`, `warmup_level`. The
            length of `warmup="untuned_linear"`, `"untuned_exponential"`, `"radam"` and `"giadam"` follows from the
            optimizer's betas.

    Raises:
        ValueError: a name or an option is unknown, a value is out of range, both lengths are given, or the number of
            updates is missing.
    """
    from torch.optim.lr_scheduler import LambdaLR

    keys = {**(scheduler_specific_kwargs or {}), **shape}
    try:
        config = _scheduler_config(name, keys)
        steps = _num_warmup_steps(config, num_warmup_steps, warmup_ratio, num_training_steps)
        total = max(1, steps) if num_training_steps is None else num_training_steps
        schedules = [
            compose_schedule(
                config,
                warmup_steps=steps,
                total_steps=total,
                peak_lr=_peak_lr(group),
                beta2=group["betas"][1] if "betas" in group else None,
                optimizer=type(optimizer).__name__,
            )
            for group in optimizer.param_groups
        ]
    except ConfigError as error:
        raise ConfigError(_without_prefixes(str(error))) from None
    # LambdaLR saves the attributes of a callable object. Those of a partial are none, so a saved state_dict holds only
    # plain values, which torch.load(weights_only=True) and Trainer accept.
    return LambdaLR(optimizer, [partial(schedule) for schedule in schedules], last_epoch)


def _scheduler_config(name: str, keys: Mapping[str, Any]) -> SchedulerConfig:
    if reason := unsupported_reason(name):
        raise ConfigError(reason)
    factory = lookup(SCHEDULES, name, "schedule")
    parameters = inspect.signature(factory).parameters.values()
    options = {item.name for item in parameters if item.default is not inspect.Parameter.empty}
    known = options | (_WARMUP_KEYS if has_warmup(name) else set())
    for key in keys:
        if not known:
            raise ConfigError(f"{name} has no options and no warmup, but {key}={keys[key]!r} is given")
        if key not in known:
            raise ConfigError(f"unknown option {key}={keys[key]!r} of {name}{suggestion(key, known)}")
    warmup = {key: value for key, value in keys.items() if key in _WARMUP_KEYS}
    if "warmup" in warmup:
        warmup["warmup"] = str(warmup["warmup"]).lower()
    warmup = bind_options(SchedulerConfig, warmup, "")
    return SchedulerConfig(name.lower(), {key: keys[key] for key in keys if key in options}, **warmup)


def _num_warmup_steps(config: SchedulerConfig, steps: int | None, ratio: float | None, total: int | None) -> int:
    """The updates of warmup; 0 where the schedule has none, or sets its length itself."""
    if total is None and config.name not in _WITHOUT_END:
        raise ConfigError(f"{config.name} needs num_training_steps, the number of updates of the run")
    if total is not None and (not _is_whole(total) or total < 1):
        raise ConfigError(f"num_training_steps={total}: must be a whole number, at least 1")
    if steps is not None and ratio is not None:
        raise ConfigError(f"num_warmup_steps={steps} and warmup_ratio={ratio}: give one of them")
    given = f"num_warmup_steps={steps}" if ratio is None else f"warmup_ratio={ratio}"
    if not has_warmup(config.name):
        if steps or ratio or not uses_default_warmup(config):
            raise ConfigError(f"{config.name} has no warmup, but {given}: use warmupconstant")
        return 0
    if is_automatic(config):
        if steps is not None or ratio is not None:
            raise ConfigError(f"warmup={config.warmup} takes its length from beta2, and {given} sets another")
        return 0
    return _given_steps(steps, total) if steps is not None else _share_of(total, ratio, config.name)


def _given_steps(steps: int, total: int | None) -> int:
    if not _is_whole(steps):
        raise ConfigError(f"num_warmup_steps={steps}: must be a whole number; for a share of the run pass warmup_ratio")
    if steps < 0 or (total is not None and steps > total):
        end = "at least 0" if total is None else f"between 0 and num_training_steps={total}"
        raise ConfigError(f"num_warmup_steps={steps}: must be {end}")
    return steps


def _is_whole(number: float) -> bool:
    """Whether it is an integer, of Python or numpy."""
    return hasattr(number, "__index__")


def _share_of(total: int | None, ratio: float | None, name: str) -> int:
    if total is None:
        default = ", the 10 % by default," if ratio is None else ""
        raise ConfigError(f"the warmup of {name} is a share{default} of num_training_steps, which is missing: pass it, "
                          "or num_warmup_steps")  # fmt: skip
    share = DEFAULT_WARMUP_RATIO if ratio is None else ratio
    if not 0 <= share <= 1:
        raise ConfigError(f"warmup_ratio={share}: must be in [0, 1]; 0.1 is 10 %")
    return ceil_share(share, total)


def _peak_lr(group: Mapping[str, Any]) -> float:
    """The peak learning rate of a parameter group; 1 for a frozen group, whose rate is 0 under any multiplier."""
    return float(group.get("initial_lr", group["lr"])) or 1.0


def _without_prefixes(message: str) -> str:
    """The message with the names of arguments in place of those of `conf/`: `num_cycles` for `scheduler.num_cycles`."""
    return re.sub(r"\b(scheduler|optimizer)\.(?=\w)", "", message)
