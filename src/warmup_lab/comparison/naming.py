"""Every name of an arm, and of a group of arms that differ in one thing only.

| function | what shares the name | example |
|---|---|---|
| `schedule_name` | scheduler and warmup shape | `warmuplinear-sqrt` |
| `arm_names` | all but the seed: one arm | `warmuplinear-sqrt-w27 (10 %) lr=0.003 batch_size=16` |
| `warmup_group_name` | all but seed and warmup length | `warmuplinear sqrt lr=0.003 batch_size=16` |
| `lr_group_names` | all but seed and lr | `warmuplinear-sqrt-w27` |
| `kind_name` | all but seed, warmup length and lr | `warmuplinear sqrt batch_size=16` |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from warmup_lab.comparison.arms import Arm
from warmup_lab.config import ConfigError, SchedulerConfig, suggestion
from warmup_lab.schedules import warmup_title

_IN_EVERY_NAME = (
    "seed", "scheduler", "warmup_ratio", "warmup_steps", "warmup_epochs", "optimizer.lr",
    *(f"scheduler.{item.name}" for item in fields(SchedulerConfig) if item.name not in ("name", "options")),
)  # fmt: skip
"""Overrides that a name shows in its own way, as the schedule, the warmup or the lr."""


def several_lrs(rates: Iterable[float | None]) -> bool:
    """Whether there is more than one learning rate among `rates`. None and NaN are not rates."""
    return len({rate for rate in rates if rate is not None and not math.isnan(rate)}) > 1


def schedule_name(scheduler: str, warmup: str) -> str:
    """The scheduler, followed by the warmup shape unless the shape is the usual one.

    >>> schedule_name("warmuplinear", "linear"), schedule_name("warmuplinear", "sqrt")
    ('warmuplinear', 'warmuplinear-sqrt')
    """
    return "-".join(filter(None, (scheduler, warmup_title(warmup))))


def arm_names(jobs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The name of each arm, by `arm_id`: schedule, warmup updates, warmup as asked for, and what else differs.

    Examples: `warmuplinear-w36 (10 %)`, `warmuplinear-sqrt-w27 (10 %)`, `warmuplinear-w0 (0 %) lr=0.003`. An arm
    whose name is already taken gets its id as well.
    """
    show_lr = several_lrs(job["strategy"]["lr"] for job in jobs)
    asked, settings = asked_warmups(jobs), varied_settings(jobs)
    names: dict[str, str] = {}
    for arm_id, job in {job["arm_id"]: job for job in jobs}.items():
        strategy = job["strategy"]
        parts = (
            f"{schedule_name(strategy['scheduler'], strategy.get('warmup', 'linear'))}-w{strategy['warmup_steps']}",
            asked[arm_id] and f"({asked[arm_id]})",
            f"lr={strategy['lr']:g}" if show_lr else "",
            settings[arm_id],
        )
        name = " ".join(filter(None, parts))
        names[arm_id] = f"{name} {arm_id}" if name in names.values() else name
    return names


def asked_warmups(jobs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Every way each arm's warmup was asked for, by `arm_id`: `2 %, 5 %` where both resolve to one update."""
    asked: dict[str, dict[str, None]] = {}
    for job in jobs:
        asked.setdefault(job["arm_id"], {})[job["asked"] or ""] = None
    return {arm: ", ".join(filter(None, ways)) for arm, ways in asked.items()}


def varied_settings(jobs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The overrides of each arm that the sweep varies, by `arm_id`, without schedule, warmup and lr."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for override in job["overrides"]:
            key, _, value = override.lstrip("+").partition("=")
            values.setdefault(key, set()).add(value)
    varied = {key for key, found in values.items() if len(found) > 1} - set(_IN_EVERY_NAME)
    return {
        job["arm_id"]: " ".join(text for text in job["overrides"] if text.lstrip("+").partition("=")[0] in varied)
        for job in jobs
    }


def warmup_group_name(arm: Arm, arms: Iterable[Arm]) -> str:
    """The name of all `arms` that differ from `arm` only in the length of the warmup."""
    lr = f"lr={arm.lr:g}" if several_lrs(other.lr for other in arms) else ""
    return " ".join(filter(None, (arm.scheduler, warmup_title(arm.warmup), lr, arm.setting[-1])))


def lr_group_names(arms: Sequence[Arm]) -> list[str]:
    """The names of groups of arms that differ only in lr; `arms` holds one arm of each group.

    Schedule and warmup length, such as `warmuplinear-w36`. Where two groups share that, all names also give what else
    differs among the groups, of the number of updates and the other settings: `warmuplinear-w36 rte`.
    """
    short = [f"{schedule_name(arm.scheduler, arm.warmup)}-w{arm.warmup_steps}" for arm in arms]
    if len(set(short)) == len(short):
        return short
    others = zip(*((f"of {arm.total_steps}", *arm.setting) for arm in arms), strict=True)
    varied = [column for column in others if len(set(column)) > 1]
    return [" ".join(filter(None, parts)) for parts in zip(short, *varied, strict=True)]


def lr_group_of(arm_name: str) -> str:
    """The short name of an arm's lr group.

    >>> lr_group_of("warmuplinear-w36 (10 %) lr=0.003")
    'warmuplinear-w36'
    """
    return arm_name.partition(" ")[0]


def kind_name(arm: dict[str, Any], *, several_totals: bool) -> str:
    """The name of all arms that differ from `arm` only in warmup length and lr; `arm` is a row of `comparison.json`.

    `several_totals`: the arms differ in their number of updates, so the name gives it.
    """
    updates = f"{arm['total_steps']} updates" if several_totals else ""
    return " ".join(
        filter(None, (arm["scheduler"], warmup_title(arm.get("warmup", "linear")), arm["setting"], updates))
    )


def resolve_reference(name: str | None, arms: Sequence[str]) -> str | None:
    """The name of the arm that `compare.reference` means: a full name, or its first words (`warmuplinear-w36`).

    Raises:
        ConfigError: no arm has that name, or several do.
    """
    if name is None or name in arms:
        return name
    matches = [arm for arm in arms if arm.startswith(f"{name} ")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"compare.reference={name!r} matches several arms: {', '.join(matches)}. Give the full name")
    raise ConfigError(f"compare.reference: no arm is called {name!r}{suggestion(name, arms)}")
