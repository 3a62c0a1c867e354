"""What a run starts from, however it is trained: its model and optimizer, its tracker, and the way it is stopped."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from warmup_lab.models import build_model
from warmup_lab.optimizers import build_optimizer
from warmup_lab.plan import Plan
from warmup_lab.runs import Progress, build_error_result, history_of
from warmup_lab.system import write_json
from warmup_lab.tasks import Task
from warmup_lab.tracking import Tracker, start_tracker


def build(plan: Plan, task: Task, device: str | None = None) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Model and optimizer at update 0, on the plan's device or another; the weights are a pure function of the seed."""
    model = build_model(
        plan.config.model,
        vocab_size=task.vocab_size,
        pad_id=task.pad_id,
        label_names=task.label_names,
        max_length=plan.config.task.max_length,
        seed=plan.config.seed,
    ).to(device or plan.device)
    return model, build_optimizer(plan.config.optimizer, model)


def open_tracker(plan: Plan, directory: Path, group: str | None, progress: Progress) -> Tracker:
    """The run's tracker, which is told first what a resumed run had shown; its files lie under `<parent>/wandb`."""
    return start_tracker(
        plan.config.tracking,
        run_id=plan.run_id,
        name=plan.name,
        group=group,
        directory=directory.parent,
        run_config=asdict(plan.config) | {"strategy": plan.strategy(), "run_id": plan.run_id},
        history=history_of(progress),
    )


log = logging.getLogger(__name__)


@dataclass
class Run:
    """One of the runs; `result` or `error` says that it is over."""

    plan: Plan
    directory: Path
    progress: Progress = field(default_factory=Progress)
    tracker: Tracker | None = None
    result: dict[str, Any] | None = None
    error: Exception | None = None

    @property
    def over(self) -> bool:
        return self.result is not None or self.error is not None


def fail(run: Run, error: Exception) -> None:
    """Records what went wrong with a run, as `trainer.train` does."""
    run.error = error
    if run.tracker:
        run.tracker.finish({"status": "error"}, exit_code=1)
    try:
        write_json(run.directory / "result.json", build_error_result(run.plan, error))
    except OSError as problem:
        log.warning("%s: its result cannot be written: %s", run.directory, problem)
