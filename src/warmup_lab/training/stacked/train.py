"""Training runs of a sweep as one tensor: which runs train together, and what happens if a group fails.

The loop itself is in `stacked/loop.py`.
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
from warmup_lab.training import Interrupted, Run, StopSignal
from warmup_lab.training.stacked.grouping import group_key, is_out_of_memory, num_that_fit
from warmup_lab.training.stacked.loop import train_group

log = logging.getLogger(__name__)


class CannotStack(RuntimeError):
    """A run failed as the only run of its group, so it must be trained by `training.loop.train`."""


def train_stacked(
    plans: Sequence[Plan], directories: Sequence[Path], *, group: str | None = None, show_progress: bool = True
) -> list[dict[str, Any] | Exception]:
    """Trains runs of the same shapes, each in its own folder and from its own checkpoint if there is one.

    A group that does not fit into memory is halved. If a group fails for another reason, its runs train one by one.

    Args:
        plans: runs with the same `grouping.group_key`.
        directories: the folder of each run. W&B files are beside them, in `<parent>/wandb`.
        group: the sweep that the runs belong to, for W&B.
        show_progress: shows one bar for all runs on a terminal, otherwise a line every few seconds.

    Returns:
        For each run the content of `result.json`, or the error.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the checkpoints of all runs are saved.
    """
    keys = {group_key(plan) for plan in plans}
    require(
        len(keys) == 1 and None not in keys, "these runs differ in their shapes, so they must be trained one by one"
    )
    runs = [Run(plan, directory, group) for plan, directory in zip(plans, directories, strict=True)]
    torch.set_num_threads(plans[0].num_threads)
    with StopSignal() as stop:
        try:
            task = tokenize(plans[0].corpus, plans[0].config.task, plans[0].config.model)
            limit = num_that_fit(plans[0], task)
        except Exception as error:
            for run in runs:
                run.fail(error)
        else:
            for same_step in _by_step(runs):
                for start in range(0, len(same_step), limit):
                    _train_or_split(same_step[start : start + limit], task, stop, show_progress=show_progress)
    return [run.result or run.error for run in runs]  # type: ignore[misc]


def _by_step(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs grouped by the update they resume at. After `kill -9` some may have saved a later checkpoint than others."""
    groups: dict[int, list[Run]] = {}
    for run in runs:
        groups.setdefault(checkpoint.step_of(run.directory, run.plan.run_id), []).append(run)
    return list(groups.values())


def _train_or_split(runs: list[Run], task: Task, stop: StopSignal, *, show_progress: bool) -> None:
    """Trains a group. If it fails as a whole, smaller groups are tried, so that only the run at fault fails."""
    if stop.signal_number:
        raise Interrupted(stop.signal_number, 0, runs[0].plan.total_steps)
    parts: Sequence[list[Run]] = []
    try:
        train_group(runs, task, stop, show_progress=show_progress)
    except Interrupted:
        for run in runs:
            if not run.over:
                run.abandon()
        raise
    except Exception as error:
        left = [run for run in runs if not run.over]
        if len(left) < 2:
            for run in left:
                run.fail(CannotStack(f"{type(error).__name__}: {error}"))
            return
        log.warning("%d stacked runs: %s: %s; trying smaller groups", len(runs), type(error).__name__, error)
        parts = [left[: len(left) // 2], left[len(left) // 2 :]] if is_out_of_memory(error) else [[run] for run in left]
        for run in left:
            run.abandon()
    # Out here the error is gone, and with it the tensors that its traceback kept alive.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for part in parts:
        _train_or_split(part, task, stop, show_progress=show_progress)
