"""The entry of `train.py`: exit status and error messages around Hydra, and the run that Hydra starts."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.cli.completion import answer, is_query
from warmup_lab.cli.compose import default_sweeper, lower_case_choices, plan_of, register_experiments
from warmup_lab.cli.config_files import checked_config_files
from warmup_lab.cli.explain import explain
from warmup_lab.cli.help import register_help
from warmup_lab.cli.locations import experiment_folders
from warmup_lab.cli.mistakes import parse_words, refuse_mistakes
from warmup_lab.training import Launch, execute_run, launched, only_warnings_on_terminal

if TYPE_CHECKING:
    from omegaconf import DictConfig


log = logging.getLogger(__name__)
_errors: list[Exception] = []
"""The error of the last single run, kept from Hydra."""


def main(entry: Callable[[], Any]) -> int:
    """Calls `entry`, a function decorated with `hydra.main`, and returns the exit status.

    An error prints one or two lines to stderr, or the traceback if `HYDRA_FULL_ERROR=1` is set. If several processes
    were launched for the run, process 0 alone prints, and an error in one of them ends all.
    """
    if is_query(sys.argv):
        return answer(entry)
    launch = launched()
    if launch is None:
        return _main(entry, None)
    with launch.watched():
        status = _main(entry, launch)
        launch.leave(status)
    return status


def _main(entry: Callable[[], Any], launch: Launch | None) -> int:
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own traceback and exits
    # Workers of launchers start with `python -m` or `-c`, which import modules from the working directory first.
    os.environ["PYTHONSAFEPATH"] = "1"
    register_experiments(*experiment_folders())
    register_help()
    _errors.clear()
    logging.raiseExceptions = False  # on a full disk, each log line would print a traceback beside the error
    words = sys.argv[1:]
    try:
        with default_sweeper("grid"), checked_config_files():
            line = parse_words(words)
            refuse_mistakes(line.overrides)
            sys.argv[1:] = [*line.flags, *lower_case_choices(line.overrides)]
            if launch:
                launch.prepare(sys.argv)
            entry()
        for error in _errors:
            raise error
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'stopped'}", file=sys.stderr)
        return int(getattr(stop, "exit_status", 130))
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            return 1
        message = explain(error, words)
        if launch:
            message = launch.ended_by(error, message)
        if wants_traceback or message is None:
            traceback.print_exc()
        else:
            print(f"error: {message}", file=sys.stderr)
        return 1
    return 0


def _reader_has_left() -> bool:
    """Whether what reads the output has ended, as in `train.py --help | head`.

    Then the output goes nowhere from here on, so that Python does not complain at its exit.
    """
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def run(config: DictConfig) -> float | None:
    """Trains the run that `config` describes, unless it is finished, and returns its metric `objective`.

    None if the run has no such value, for example because it diverged.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from warmup_lab.runs import metric_of

    hydra_config = HydraConfig.get()
    directory = Path(hydra_config.runtime.output_dir)
    if hydra_config.mode == RunMode.MULTIRUN:
        plan = plan_of(config)
        only_warnings_on_terminal()
        result = execute_run(plan, directory, group=directory.parent.name, show_progress=False)
        return metric_of(result, plan.config.objective)
    try:
        plan = plan_of(config)
        for warning in plan.warnings:
            log.warning("warning: %s", warning)
        return metric_of(execute_run(plan, directory), plan.config.objective)
    except Exception as error:  # raised again in `main`: Hydra would print a message of its own first
        _errors.append(error)
        return None
