"""One run while it trains: its record, when evaluations and checkpoints are due, and how it ends.

Both loops use it: `loop.train` for one run, `stacked.loop.train_group` for many runs as one tensor.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from warmup_lab.config import ConfigError
from warmup_lab.models import build_model
from warmup_lab.optimizers import build_optimizer
from warmup_lab.plan import Plan
from warmup_lab.runs import (
    Number,
    Progress,
    build_error_result,
    build_result,
    checkpoint,
    eval_row,
    fresh_progress,
    history_of,
    is_finished,
    published_run,
    read_run,
    summary_of,
    versions,
    write_outcome,
    write_result,
)
from warmup_lab.system import shown_path
from warmup_lab.tasks import Task
from warmup_lab.tracking import NullTracker, TrackedRun, Tracker, run_name, start_tracker
from warmup_lab.training.processes import ALONE, Processes

log = logging.getLogger(__name__)
_CHECKPOINT_SECONDS = 60.0
_SAVING_SHARE = 0.05
"""Largest fraction of the time that saving checkpoints may take. Many stacked runs save many files."""


def build(plan: Plan, task: Task, device: str | None = None) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Model and optimizer at update 0, on the plan's device unless another is given.

    The weights depend only on the configuration and the seed.
    """
    model = build_model(
        plan.config.model,
        vocab_size=task.vocab_size,
        pad_id=task.pad_id,
        label_names=task.label_names,
        max_length=plan.config.task.max_length,
        seed=plan.config.seed,
    ).to(device or plan.device)
    return model, build_optimizer(plan.config.optimizer, model)


class CheckpointTimer:
    """Says when a checkpoint is due: every `every` updates or, if that is None, once a minute.

    The pause grows if saving is slow, so that saving takes at most 5 % of the time.
    """

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._saved_at, self._saving_seconds = time.perf_counter(), 0.0

    def due(self, step: int) -> bool:
        """Whether to save after `step` updates."""
        if self._every:
            return step % self._every == 0
        pause = max(_CHECKPOINT_SECONDS, self._saving_seconds / _SAVING_SHARE)
        return time.perf_counter() - self._saved_at > pause

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Wraps the saving, to measure it."""
        started = time.perf_counter()
        yield
        self._saved_at = time.perf_counter()
        self._saving_seconds = self._saved_at - started


@dataclass
class Run:
    """One run while it trains. It is over once `result` or `error` is set."""

    plan: Plan
    directory: Path
    """The run's folder. Its W&B files are beside it, in `<parent>/wandb`."""
    group: str | None = None
    """The sweep that the run belongs to, for W&B."""
    processes: Processes = ALONE
    """Those that share the run. Process 0 alone reads and writes files, and logs to W&B."""
    progress: Progress = field(default_factory=Progress)
    tracker: Tracker = field(default_factory=NullTracker)
    diverged: bool = False
    """Whether a loss or a gradient was not finite."""
    result: dict[str, Any] | None = None
    """The content of `result.json`."""
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.timer = CheckpointTimer(self.plan.config.checkpoint_every)
        self._published = published_run(self.plan.config.output, self.directory) if self.processes.is_main else None

    @property
    def over(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def last(self) -> bool:
        """Whether all updates are made."""
        return self.progress.step == self.plan.total_steps

    @property
    def evaluation_due(self) -> bool:
        every = self.plan.config.eval_every
        return self.last or bool(every and self.progress.step % every == 0)

    @property
    def checkpoint_due(self) -> bool:
        return self.timer.due(self.progress.step)

    @property
    def max_grad_norm(self) -> float:
        """Largest norm of the gradient; infinity if gradients are not clipped."""
        norm = self.plan.config.max_grad_norm
        return math.inf if norm is None else norm

    def lr(self, step: int) -> float:
        """Learning rate of the update with the 0-based index `step`."""
        return self.plan.config.optimizer.lr * self.plan.multiplier(step)

    def start(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, probe_columns: Sequence[str] = ()
    ) -> None:
        """Restores the checkpoint if there is one, and starts recording.

        `probe_columns` are the columns that the run's probes add to the trace. The tracker first receives the history
        that a resumed run had recorded before.
        """
        fresh = fresh_progress(self.plan, probe_columns)
        restored = None
        if self.processes.is_main:
            restored = checkpoint.restore(self.directory, self.plan.run_id, model, optimizer, fresh)
        restored = self.processes.start_equal(restored, model, optimizer)
        self.progress = restored or fresh
        if restored:
            log.info("resumed at update %d of %d", self.progress.step, self.plan.total_steps)
        changed = self.progress.note_versions(versions(self.plan.device))
        if changed:
            log.warning(
                "%s is resumed with other versions, so its numbers may differ from those of an uninterrupted run: %s",
                self.plan.name, ", ".join(changed),
            )  # fmt: skip
        if self.processes.is_main:
            self.tracker = open_tracker(self)

    def record(self, step: int, loss: float, grad_norm: float, probed: Mapping[str, Number] | None = None) -> None:
        """Records the update with the 0-based index `step`.

        Args:
            step: index of the update.
            loss: mean loss over its examples before the update, nats.
            grad_norm: global L2 norm of the gradient before clipping.
            probed: the columns of the probes.
        """
        row: dict[str, Number] = {"step": step, "epoch": step / self.plan.steps_per_epoch, "lr": self.lr(step)}
        row |= {"loss": loss, "grad_norm": grad_norm} | dict(probed or {})
        self.progress.trace.append(row)
        self.progress.step = step + 1
        self.tracker.log(row)
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            self.diverged = True
            log.info("%s diverged at update %d: loss %s, gradient norm %s", self.plan.name, step, loss, grad_norm)

    def record_evaluation(self, scores: Mapping[str, Number]) -> None:
        """Records an evaluation after the updates made so far."""
        self.progress.evals.append({"step": self.progress.step} | dict(scores))
        self.tracker.log(eval_row(self.progress.step, scores))

    def save(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Writes the checkpoint."""
        if self.processes.is_main:
            checkpoint.save(self.directory, self.plan.run_id, self.progress, model, optimizer)
            if self._published:
                self._published.publish_checkpoints()

    def finish(self, task: Task, model: torch.nn.Module, **speed: int) -> None:
        """Writes the run's files, `result.json` last. `speed` adds entries to the result's `speed`."""
        if self.processes.is_main:
            result = build_result(self.plan, task, self.progress, "diverged" if self.diverged else "completed")
            result["speed"] |= speed | ({"num_processes": self.processes.num} if self.processes.num > 1 else {})
            written = write_outcome(self.plan, task, model, self.progress, result, self.directory)
            self.result = self._published.publish_result() if self._published else written
            self.tracker.finish(summary_of(result))
        self.result = self.processes.broadcast(self.result)

    def fail(self, error: Exception) -> None:
        """Records an error in `result.json` and at the tracker. A finished result of an earlier training stays."""
        self.error = error
        if not self.processes.is_main:
            return
        self.tracker.finish({"status": "error"}, exit_code=1)
        try:
            earlier = read_run(self.directory, self.plan.run_id).result
            if earlier and is_finished(earlier["status"]):
                log.warning("%s keeps the result of its earlier training", shown_path(self.directory))
            else:
                write_result(self.directory, build_error_result(self.plan, error))
                if self._published:
                    self._published.publish_error()
        except (OSError, ConfigError) as problem:
            log.warning("cannot write %s: %s", self.directory / "result.json", problem)

    def abandon(self) -> None:
        """Closes the tracker of an interrupted run; the same command resumes the run."""
        self.tracker.abandon()


def open_tracker(run: Run) -> Tracker:
    """The tracker of a run that starts or resumes."""
    plan, strategy = run.plan, run.plan.strategy()
    tracked = TrackedRun(
        run_id=plan.run_id,
        name=run_name(plan.name, run.directory, in_sweep=run.group is not None),
        group=run.group,
        directory=run.directory.parent,
        config=asdict(plan.config) | {"strategy": strategy, "run_id": plan.run_id},
        tags=tuple(str(strategy[key]) for key in ("task", "model", "optimizer", "scheduler")),
        steps_per_epoch=plan.steps_per_epoch,
    )
    return start_tracker(plan.config.tracking, tracked, history_of(run.progress))
