"""Names of arms and of families of arms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from warmup_lab.comparison.arms import ArmSummary
from warmup_lab.config import ConfigError, SchedulerConfig, suggestion
from warmup_lab.schedules import warmup_title


def resolve_reference(name: str | None, arms: Sequence[str]) -> str | None:
    """The arm that `compare.reference` means: its full name, or a beginning such as `warmuplinear-w36`.

    Raises:
        ConfigError: no arm or several are called so.
    """
    if name is None or name in arms:
        return name
    begun = [arm for arm in arms if arm.startswith(f"{name} ")]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise ConfigError(f"compare.reference={name!r} could be any of: {', '.join(begun)}. Give the whole name")
    raise ConfigError(f"compare.reference: no arm is called {name!r}{suggestion(name, arms)}")


def arm_names(jobs: list[dict[str, Any]]) -> dict[str, str]:
    """A name for each arm: schedule and updates of warmup, the ratios asked for, and what else tells arms apart.

    Such as `warmuplinear-w36 (10 %)`, `warmuplinear-sqrt-w27 (10 %)` or `warmuplinear-w0 (0 %) lr=0.003`.
    """
    by_arm = {job["arm_id"]: job for job in jobs}
    several_rates = len({job["strategy"]["lr"] for job in jobs}) > 1
    asked, settings = _asked(jobs), _settings(jobs)
    names: dict[str, str] = {}
    for arm_id, job in by_arm.items():
        strategy = job["strategy"]
        shape = warmup_title(strategy.get("warmup", "linear"))
        parts = [f"{strategy['scheduler']}{f'-{shape}' if shape else ''}-w{strategy['warmup_steps']}"]
        parts += [f"({asked[arm_id]})"] if asked[arm_id] else []
        parts += [f"lr={strategy['lr']:g}"] if several_rates else []
        parts += [settings[arm_id]] if settings[arm_id] else []
        name = " ".join(parts)
        names[arm_id] = f"{name} {arm_id}" if name in names.values() else name
    return names


def _asked(jobs: list[dict[str, Any]]) -> dict[str, str]:
    """Every way in which each arm's warmup was asked for, such as `2 %, 5 %` where both come to one update."""
    asked: dict[str, dict[str, None]] = {}
    for job in jobs:
        asked.setdefault(job["arm_id"], {})[job["asked"] or ""] = None
    return {arm: ", ".join(filter(None, ways)) for arm, ways in asked.items()}


_TOLD_OTHERWISE = (
    "seed", "scheduler", "warmup_ratio", "warmup_steps", "warmup_epochs", "optimizer.lr",
    *(f"scheduler.{item.name}" for item in fields(SchedulerConfig) if item.name not in ("name", "options")),
)  # fmt: skip


def _settings(jobs: list[dict[str, Any]]) -> dict[str, str]:
    """The overrides of each arm that vary over the sweep and that neither schedule, warmup nor lr tell."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for override in job["overrides"]:
            key, _, value = override.lstrip("+").partition("=")
            values.setdefault(key, set()).add(value)
    varying = {key for key, found in values.items() if len(found) > 1} - set(_TOLD_OTHERWISE)
    return {
        job["arm_id"]: " ".join(text for text in job["overrides"] if text.lstrip("+").partition("=")[0] in varying)
        for job in jobs
    }


def family_name(arm: dict[str, Any], arms: Iterable[ArmSummary]) -> str:
    """What an arm shares with those that differ from it only in warmup, as far as the sweep varies it."""
    several_rates = len({other.lr for other in arms}) > 1
    setting = arm["setting"][-1] if isinstance(arm["setting"], list) else arm["setting"]
    return " ".join(
        [
            arm["scheduler"],
            *filter(None, [warmup_title(arm["warmup"])]),
            *([f"lr={arm['lr']:g}"] if several_rates else []),
            *([setting] if setting else []),
        ]
    )


def kind_of(arm: dict[str, Any], *, several_totals: bool) -> str:
    """What an arm is but for its warmup and lr."""
    updates = f"{arm['total_steps']} updates" if several_totals else ""
    return " ".join(
        filter(None, (arm["scheduler"], warmup_title(arm.get("warmup", "linear")), arm["setting"], updates))
    )
