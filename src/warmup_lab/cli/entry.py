"""What surrounds Hydra's entry: one run made, skipped or taken up again, and errors in plain words."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warmup_lab.cli.compose import lower_case_choices, plan_of, register_experiments
from warmup_lab.cli.explain import explain
from warmup_lab.config import ROOT
from warmup_lab.training import execute_run, only_warnings_on_terminal

if TYPE_CHECKING:
    from omegaconf import DictConfig


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

    from warmup_lab.runs import metric_of

    plan = plan_of(config)
    hydra_config = HydraConfig.get()
    directory = Path(hydra_config.runtime.output_dir)
    if hydra_config.mode == RunMode.MULTIRUN:
        only_warnings_on_terminal()
        result = execute_run(plan, directory, group=directory.parent.name, show_progress=False)
        return metric_of(result, plan.config.objective)
    try:
        return metric_of(execute_run(plan, directory), plan.config.objective)
    except Exception as error:  # Hydra would print a line of its own before ours
        _errors.append(error)
        return None
