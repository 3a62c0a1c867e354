"""Small runs that tests train in this process."""

from __future__ import annotations

import signal
from pathlib import Path

import torch

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig, RunConfig, SchedulerConfig
from warmup_lab.config.task_schema import SyntheticTask
from warmup_lab.plan import Plan, make_plan
from warmup_lab.probes.registry import Probes
from warmup_lab.runs.trace import StepTable
from warmup_lab.tasks.batches import Task
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop
from warmup_lab.training.run import build


def small_plan(*, dropout: float = 0.1, lr: float = 1e-3, scheduler: str = "warmuplinear", **keys) -> Plan:
    """20 updates in 4 epochs of a model with 1 layer; `keys` are other fields of `RunConfig`."""
    task = SyntheticTask("synthetic", num_train=160, num_validation=40)
    settings = {"task": task, "epochs": 4, "num_threads": 1, "warmup_ratio": 0.2, "eval_every": 10, **keys}
    return make_plan(
        RunConfig(
            model=RandomModel("bert", num_layers=1, hidden_size=32, num_heads=2, dropout=dropout),
            optimizer=OptimizerConfig("adamw", lr),
            scheduler=SchedulerConfig(scheduler),
            **settings,
        )
    )


def train(plan: Plan, directory: Path) -> tuple[dict, StepTable]:
    """The result and the trace. Tests that call it carry the mark `trains`."""
    result = loop.train(plan, directory, show_progress=False)
    return result, StepTable.read(directory / "trace.parquet")


def stopping_line(stop_at: int, signal_number: int = signal.SIGINT):
    """A class of progress lines that send this process Ctrl-C, or another signal, after update `stop_at`."""

    class Line(loop.ProgressLine):
        def update(self, loss: float, lr: float) -> None:
            super().update(loss, lr)
            if self._step == stop_at:
                signal.raise_signal(signal_number)

    return Line


def run_parts(plan: Plan) -> tuple[Task, torch.nn.Module, torch.optim.Optimizer, Probes]:
    """The task, the model, the optimizer and the probes of a run, before its first update."""
    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    model, optimizer = build(plan, task)
    return task, model, optimizer, Probes(plan, task, model, optimizer)
