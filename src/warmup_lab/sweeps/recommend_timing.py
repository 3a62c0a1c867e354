"""The times of a recommendation, measured on its stages so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warmup_lab.comparison.recommend import Stage, StoredPlan
from warmup_lab.runs import read_result
from warmup_lab.sweeps.recommend_plan import Timing

_Ended = tuple[Stage, Sequence[dict[str, Any]]]
"""A stage and the results of its runs that trained."""


def measured_timing(
    plan: StoredPlan, directory: Path, *, run_updates: int, eval_updates: float, num_processes: int
) -> Timing:
    """The mean time of an update, and how many runs went on at the same time.

    The run of a few updates that measures the time counts only until other runs have ended: its first updates are slow.

    Args:
        plan: the stages.
        directory: folder of the sweep.
        run_updates: updates of a whole run.
        eval_updates: time of an evaluation, in updates.
        num_processes: runs that the launcher trains at the same time.
    """
    results = [(stage, _trained(stage, directory)) for stage in plan.stages]
    ended = [(stage, own) for stage, own in results if own and stage.wall_seconds]
    counted = [(stage, own) for stage, own in ended if stage.kind != "timing"] or ended
    seconds = sum(training_seconds(result) for _, own in counted for result in own)
    updates = sum(
        training_seconds(result) * result["speed"]["updates_per_second"] for _, own in counted for result in own
    )
    update = seconds / updates if updates else 0.0
    budget = plan.budget_minutes
    return Timing(
        update_seconds=update,
        run_updates=run_updates,
        eval_updates=eval_updates,
        parallelism=num_processes * _efficiency(counted, eval_updates * update, num_processes),
        num_processes=num_processes,
        budget_seconds=None if budget is None else 60 * budget,
        used_seconds=plan.wall_seconds,
    )


def _efficiency(stages: Sequence[_Ended], eval_seconds: float, num_processes: int) -> float:
    """Seconds of runs per second of a process; 1 if no stage had several runs.

    The stages with a run for every process count. If there is none, as on a cluster with many, the others do.
    """
    several = [(stage, own) for stage, own in stages if len(own) > 1]
    full = [(stage, own) for stage, own in several if len(own) >= num_processes] or several
    cost = sum(training_seconds(result) + eval_seconds for _, own in full for result in own)
    available = sum((stage.wall_seconds or 0.0) * min(len(own), num_processes) for stage, own in full)
    return cost / available if available else 1.0


def _trained(stage: Stage, directory: Path) -> Sequence[dict[str, Any]]:
    results = [read_result(directory / run_id) for run_id in stage.run_ids]
    return [result for result in results if result and training_seconds(result)]


def training_seconds(result: dict[str, Any]) -> float:
    """Seconds of training; 0 for a run that ended in an error."""
    return float(result["speed"].get("seconds") or 0.0)
