"""What a run starts from, however it is trained: its model and optimizer, its tracker, and the way it is stopped."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from warmup_lab.checkpoint import Progress
from warmup_lab.models import build_model
from warmup_lab.optimizers import build_optimizer
from warmup_lab.outcome import history_of
from warmup_lab.plan import Plan
from warmup_lab.tasks import Task
from warmup_lab.tracking import Tracker, start_tracker


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the run saved its checkpoint and stopped. Not an error, so no `except Exception` eats it."""

    def __init__(self, signal_number: int, step: int, total_steps: int) -> None:
        super().__init__(f"stopped after update {step} of {total_steps}; the same command goes on from there")
        self.exit_status = 128 + signal_number


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
