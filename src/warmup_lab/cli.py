"""What surrounds Hydra's entry: one run made, skipped or taken up again, and errors in plain words."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.composition import lower_case_choices, plan_of, register_experiments
from warmup_lab.config import ROOT
from warmup_lab.explanations import explain
from warmup_lab.schema import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from warmup_lab.plan import Plan

log = logging.getLogger(__name__)
_errors: list[Exception] = []  # of the single run that Hydra ran last


def main(entry: Callable[[], Any]) -> int:
    """Runs Hydra's `entry`; returns the exit status, with one or two plain lines on stderr where it is not 0.

    `HYDRA_FULL_ERROR=1` brings the traceback instead.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints a traceback of its own and exits
    register_experiments(ROOT / "experiments")
    # argparse takes overrides in one piece only, so `a=1 -m b=2` would be refused.
    sys.argv[1:] = sorted(lower_case_choices(sys.argv[1:]), key=lambda word: word not in ("-m", "--multirun"))
    _errors.clear()
    try:
        entry()
        for error in _errors:
            raise error
    except KeyboardInterrupt as stop:
        print(f"\n{stop or 'stopped'}", file=sys.stderr)
        return int(getattr(stop, "exit_status", 130))
    except Exception as error:
        message = explain(error)
        if wants_traceback or message is None:
            traceback.print_exc()
        else:
            print(f"error: {message}", file=sys.stderr)
        return 1
    return 0


# ----------------------------------------------------------------------------------------------- one run


def run(config: DictConfig) -> float | None:
    """Trains the run that `config` describes, unless it is finished; returns the metric `objective`."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from warmup_lab.results import metric_of

    plan = plan_of(config)
    hydra_config = HydraConfig.get()
    directory = Path(hydra_config.runtime.output_dir)
    if hydra_config.mode == RunMode.MULTIRUN:
        _only_warnings_on_the_terminal()
        result = execute(plan, directory, group=directory.parent.name, show_progress=False)
        return metric_of(result, plan.config.objective)
    try:
        return metric_of(execute(plan, directory), plan.config.objective)
    except Exception as error:  # Hydra would print a line of its own before ours
        _errors.append(error)
        return None


def _only_warnings_on_the_terminal() -> None:
    """A sweep shows one line for all of its runs; what each says goes to its `train.log`."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.WARNING)


def execute(plan: Plan, directory: Path, *, group: str | None = None, show_progress: bool = True) -> dict[str, Any]:
    """The result of the run in `directory`: the one there if it is finished, else by training what is left of it."""
    from warmup_lab import checkpoint
    from warmup_lab.results import FINISHED, read_result

    shown = _relative(directory)
    found = read_result(directory)
    if found and found["run_id"] != plan.run_id and not plan.config.force:
        raise ConfigError(f"{shown} holds another run, {found['run_id']}: choose another folder, or force=true")
    if plan.config.force:
        checkpoint.remove(directory)
        (directory / "result.json").unlink(missing_ok=True)
    elif found and found["status"] in FINISHED:
        log.info("%s is %s already: nothing to train (force=true trains anew)", shown, found["status"])
        _report(found, shown)
        return found

    from warmup_lab.trainer import train

    log.info(_describe(plan))
    result = train(plan, directory, group=group, show_progress=show_progress)
    _report(result, shown)
    return result


def hand_over(plan: Plan, directory: Path, result: dict[str, Any], how: str) -> float | None:
    """As `run` in a multirun, for a run that is trained already; `how` goes to its log."""
    from warmup_lab.results import metric_of

    _only_warnings_on_the_terminal()
    log.info(_describe(plan))
    log.info(how)
    _report(result, _relative(directory))
    return metric_of(result, plan.config.objective)


def _describe(plan: Plan) -> str:
    config = plan.config
    return (
        f"{plan.name}: {config.task.title}, {config.model.title}, {config.optimizer.name}, "
        f"peak lr {config.optimizer.lr:g}, {plan.warmup_in_words()}, "
        f"{plan.device} {plan.precision}, {plan.num_threads} thread{'s' * (plan.num_threads > 1)}"
    )


def _report(result: dict[str, Any], directory: str) -> None:
    metrics, speed = result["metrics"], result["speed"]
    numbers = [f"{key.replace('_', ' ')} {_number(value)}" for key, value in metrics.items() if key != "oscillation"]
    oscillation = metrics["oscillation"]
    jitter = ", ".join(f"{_number(oscillation[window]['roughness'])} {window}" for window in oscillation)
    log.info("%s after %s: %s", result["status"], _duration(speed), ", ".join(numbers))
    log.info("roughness of the loss %s; largest climb back %s", jitter, _number(oscillation["whole"]["max_rise"]))
    if result["failed_to_learn"]:
        log.info("failed to learn: its loss ended near that of guessing, so its oscillation says nothing")
    log.info("everything lies in %s: result.json, trace.parquet, evals.parquet, train.log", directory)


def _duration(speed: dict[str, Any]) -> str:
    rate = speed["updates_per_second"]
    return f"{speed['seconds']:.1f} s ({rate:.{0 if rate >= 10 else 2}f} updates/s)"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
