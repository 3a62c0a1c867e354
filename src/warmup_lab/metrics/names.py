"""Title, unit and direction of each metric, and the column that `compare.metric` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmup_lab.config import ConfigError, require, suggestion
from warmup_lab.metrics.oscillation import METRICS
from warmup_lab.metrics.series import windows

if TYPE_CHECKING:
    import pandas as pd

ROUGHNESS = ("whole/roughness", "matched/roughness")
"""Roughness of the whole run and at matched loss. Every report compares both, whatever the primary metric is."""
PAIRED_METRICS = ("matched/roughness", "excess", "updates_to_target")
"""Metrics that need the runs of the reference arm."""
LARGER_IS_BETTER = ("accuracy", "f1", "matthews_correlation", "rho1", "onset_step", "onset_lr")
_QUALITY = ("train_loss", "eval_loss", "eval_accuracy")
_OSCILLATION = tuple(f"{window}/{metric}" for window in windows(1) for metric in (*METRICS, "overshoot_rate"))
_NOT_METRICS = (
    "run_id", "arm", "warmup_steps", "t_eff", "total_steps", "lr", "seed", "failed_to_learn", "seconds", "guess_loss",
    "guess_accuracy",
)  # fmt: skip
_ENTROPY = "H, label entropy"
_TITLES = {
    "train_loss": ("training loss of the last 10 % of updates", "nats"),
    "eval_loss": ("final evaluation loss", "nats"),
    "eval_accuracy": ("final accuracy", "share of examples"),
    "eval_f1": ("final F1", "0 to 1"),
    "eval_matthews_correlation": ("final Matthews correlation", "-1 to 1"),
    "roughness": ("roughness of the loss", _ENTROPY),
    "rho1": ("lag-1 autocorrelation of the loss", "-1 to 1"),
    "spike_rate": ("spikes of the loss", "per 1000 updates"),
    "max_rise": ("largest climb back of the loss", _ENTROPY),
    "onset_step": ("onset of jitter", "update"),
    "onset_lr": ("learning rate at the onset of jitter", "learning rate"),
    "overshoot_rate": ("overshoot on the same batch", "share of updates"),
    "excess": ("excess oscillation over the reference", "nats"),
    "updates_to_target": ("updates to the reference's half-way loss", "updates"),
}
_WINDOWS = {
    "whole": "",
    "early": ", first 20 % of updates",
    "late": ", last 50 % of updates",
    "matched": " at matched loss, minus that of the reference",
}


def title_and_unit(metric: str) -> tuple[str, str]:
    """The title of a metric in text, and its unit (empty if unknown).

    >>> title_and_unit("early/roughness")
    ('roughness of the loss, first 20 % of updates', 'H, label entropy')
    """
    window, _, name = metric.rpartition("/")
    title, unit = _TITLES.get(name, (name.replace("_", " "), ""))
    return title + _WINDOWS.get(window, ""), unit


def smaller_is_better(metric: str) -> bool:
    """False for accuracy, F1 and Matthews correlation, and for `rho1` and the onset, where larger is calmer."""
    return metric.rpartition("/")[2].removeprefix("eval_") not in LARGER_IS_BETTER


def metric_columns(runs: pd.DataFrame) -> list[str]:
    """The columns of the table of runs that are metrics, in the order of the table."""
    return [name for name in runs.columns if name not in _NOT_METRICS and runs[name].dtype.kind == "f"]


def check_metric(key: str, name: str, *, task_metric: str, has_overshoot: bool, compares: bool) -> None:
    """Checks before anything is trained that the configuration key `key` names a metric.

    Args:
        key: `objective` or `compare.metric`.
        name: Its value.
        task_metric: The task's own metric, such as `f1`.
        has_overshoot: Whether the runs have the overshoot probe.
        compares: Whether metrics that need the runs of the reference arm are allowed.

    Raises:
        ConfigError: no run will have such a metric.
    """
    plain = [*dict.fromkeys((*_QUALITY, f"eval_{task_metric}")), *METRICS, "overshoot_rate"]
    known = {*plain, *_OSCILLATION, *(PAIRED_METRICS if compares else ())}
    if name not in known:
        close = suggestion(name, known).partition(" Known")[0]
        raise ConfigError(
            f"{key}={name}: no such metric{close} Known: {', '.join(plain)}, "
            "and those of a part of the run, such as early/roughness and late/roughness"
        )
    require(
        has_overshoot or not name.endswith("overshoot_rate"), f"{key}={name} needs probe=overshoot, which measures it"
    )


def resolve_metric(name: str, runs: pd.DataFrame) -> str:
    """The column that `compare.metric` names. A name without a window, such as `roughness`, means the whole run.

    If no run has any metric, the name cannot be checked and is returned as it is.

    Raises:
        ConfigError: there is no such metric.
    """
    found = metric_columns(runs)
    known = {*_QUALITY, *PAIRED_METRICS, *_OSCILLATION, *found}
    for candidate in (name, f"whole/{name}"):
        if candidate in known:
            return candidate
    if not found:
        return name
    names = {candidate.removeprefix("whole/") for candidate in known}
    raise ConfigError(f"compare.metric: unknown metric {name!r}{suggestion(name, names)}")
