"""Many runs of a sweep trained together in one process: every kernel does the work of all of them.

Here is who trains with whom, and what is done where a group fails; the loop is in `together`.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from warmup_lab.config import require
from warmup_lab.plan import Plan
from warmup_lab.runs import checkpoint
from warmup_lab.tasks import Task, tokenize
from warmup_lab.training import Interrupted, Run, StopSignal, fail
from warmup_lab.training.stacked.grouping import group_key, is_out_of_memory, num_that_fit
from warmup_lab.training.stacked.loop import Group

log = logging.getLogger(__name__)


class CannotStack(RuntimeError):
    """What these runs need cannot be done with them stacked, even one at a time: `trainer` has to train them."""


def train_stacked(
    plans: Sequence[Plan], directories: Sequence[Path], *, group: str | None = None, show_progress: bool = True
) -> list[dict[str, Any] | Exception]:
    """Trains runs that share their shapes, each in its own folder and from its own checkpoint where there is one.

    A group that does not fit into memory is cut; one in which something else goes wrong is trained one by one.

    Args:
        plans: runs of one `grouping.group_key`.
        directories: the folder of each; W&B's files lie beside it, under `<parent>/wandb`.
        group: the sweep that the runs belong to, for W&B.
        show_progress: one bar for all of them on a terminal, else a line every few seconds.

    Returns:
        What `result.json` holds, or the error, for each run.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; the checkpoints of all runs are saved.
    """
    keys = {group_key(plan) for plan in plans}
    require(len(keys) == 1 and None not in keys, "these runs do not share their shapes: train them one by one")
    runs = [Run(plan, directory) for plan, directory in zip(plans, directories, strict=True)]
    torch.set_num_threads(plans[0].num_threads)
    with StopSignal() as stop:
        try:
            task = tokenize(plans[0].corpus, plans[0].config.task, plans[0].config.model)
            limit = num_that_fit(plans[0], task)
        except Exception as error:
            _fail_all(runs, error)
        else:
            for together in _by_step(runs):
                for start in range(0, len(together), limit):
                    _train_or_split(together[start : start + limit], task, group, stop, show_progress)
    return [run.result or run.error for run in runs]  # type: ignore[misc]


def _by_step(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs that go on from the same update together: after `kill -9` some may have saved once more than others."""
    groups: dict[int, list[Run]] = {}
    for run in runs:
        groups.setdefault(checkpoint.step_of(run.directory, run.plan.run_id), []).append(run)
    return list(groups.values())


def _train_or_split(runs: list[Run], task: Task, group: str | None, stop: StopSignal, show_progress: bool) -> None:
    """Trains a group; where it fails as a whole its parts are tried, so that the guilty run alone fails."""
    if stop.signal_number:
        raise Interrupted(stop.signal_number, 0, runs[0].plan.total_steps)
    parts: Sequence[list[Run]] = []
    try:
        Group(runs, task, group, stop).train(show_progress)
    except Interrupted:
        for run in runs:
            if run.tracker and not run.over:
                run.tracker.abandon()
        raise
    except Exception as error:
        left = [run for run in runs if not run.over]
        if len(left) < 2:
            problem = CannotStack(f"{type(error).__name__}: {error}")
            _fail_all(left, problem)
            return
        log.warning("%d runs together: %s: %s; trying smaller groups", len(runs), type(error).__name__, error)
        parts = [left[: len(left) // 2], left[len(left) // 2 :]] if is_out_of_memory(error) else [[run] for run in left]
        for run in left:
            if run.tracker:
                run.tracker.abandon()
    # The error is gone by now, and with it the tensors that its traceback held.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for part in parts:
        _train_or_split(part, task, group, stop, show_progress)


def _fail_all(runs: Sequence[Run], error: Exception) -> None:
    for run in runs:
        fail(run, error)
