"""Executing one run: skip it if it is finished, resume it, or train it from the start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.config import ConfigError
from warmup_lab.system import shown_path

if TYPE_CHECKING:
    from warmup_lab.plan import Plan

log = logging.getLogger(__name__)


def only_warnings_on_terminal() -> None:
    """Sends the log of a run to its `train.log` alone: a sweep shows one line for all of its runs."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)


def execute_run(plan: Plan, directory: Path, *, group: str | None = None, show_progress: bool = True) -> dict[str, Any]:
    """The result of the run in `directory`, which is trained or resumed unless it is finished.

    Raises:
        ConfigError: the folder holds another run.
    """
    from warmup_lab.runs import finished_result, read_result, reset_run

    shown = shown_path(directory)
    found = read_result(directory)
    if plan.config.force:
        reset_run(directory)
    elif found and found["run_id"] != plan.run_id:
        raise ConfigError(f"{shown} holds another run, {found['run_id']}: choose another folder, or force=true")
    elif finished := finished_result(directory):
        log.info("%s is already %s; nothing to train (force=true trains it again)", shown, finished["status"])
        _report(finished, shown)
        return finished

    from warmup_lab.training.loop import train

    log.info(_describe(plan))
    result = train(plan, directory, group=group, show_progress=show_progress)
    _report(result, shown)
    return result


def hand_over(plan: Plan, directory: Path, result: dict[str, Any], how: str) -> float | None:
    """Reports a run of a multirun that is already trained; returns the metric `objective`. `how` goes to its log."""
    from warmup_lab.runs import metric_of

    only_warnings_on_terminal()
    log.info(_describe(plan))
    log.info(how)
    _report(result, shown_path(directory))
    return metric_of(result, plan.config.objective)


def _describe(plan: Plan) -> str:
    config = plan.config
    return (
        f"{plan.name}: {config.task.title}, {config.model.title}, {config.optimizer.name}, "
        f"peak lr {config.optimizer.lr:g}, {plan.describe_warmup()}, "
        f"{plan.device} {plan.precision}, {plan.num_threads} thread{'s' * (plan.num_threads > 1)}"
    )


def _report(result: dict[str, Any], directory: str) -> None:
    metrics, speed = result["metrics"], result["speed"]
    numbers = [f"{key.replace('_', ' ')} {_number(value)}" for key, value in metrics.items() if key != "oscillation"]
    oscillation = metrics["oscillation"]
    roughness = ", ".join(f"{_number(oscillation[window]['roughness'])} {window}" for window in oscillation)
    log.info("%s after %s: %s", result["status"], _duration(speed), ", ".join(numbers))
    log.info("roughness of the loss: %s; largest rise: %s", roughness, _number(oscillation["whole"]["max_rise"]))
    if result["failed_to_learn"]:
        log.info("failed to learn: the loss ended near that of guessing, so its oscillation means nothing")
    log.info("results are in %s: result.json, trace.parquet, evals.parquet, train.log", directory)


def _duration(speed: dict[str, Any]) -> str:
    rate = speed["updates_per_second"]
    return f"{speed['seconds']:.1f} s ({rate:.{0 if rate >= 10 else 2}f} updates/s)"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
