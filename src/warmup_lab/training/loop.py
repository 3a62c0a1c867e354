"""The reference loop: one run, read top to bottom."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from warmup_lab.models import collate_for, loss_sum, to_device
from warmup_lab.optimizers import evaluating
from warmup_lab.plan import Plan
from warmup_lab.probes import Probes
from warmup_lab.runs import (
    Number,
    Progress,
    build_error_result,
    build_result,
    checkpoint,
    eval_row,
    fresh_progress,
    summary_of,
    write_outcome,
)
from warmup_lab.system import reseed, update_seed, write_json
from warmup_lab.tasks import Batch, Collate, Task, batch_indices, tokenize
from warmup_lab.tasks import collate as padded
from warmup_lab.tracking import Tracker
from warmup_lab.training.console import Interrupted, ProgressLine, StopSignal
from warmup_lab.training.evaluate import evaluate
from warmup_lab.training.run import build, open_tracker

log = logging.getLogger(__name__)
_CHECKPOINT_SECONDS = 60.0


def train(plan: Plan, directory: Path, *, group: str | None = None, show_progress: bool = True) -> dict[str, Any]:
    """Trains one run in `directory`, from its checkpoint where there is one; returns what `result.json` holds.

    Args:
        plan: the run, from `plan.make_plan`.
        directory: the run's folder; its W&B files lie beside it, under `<parent>/wandb`.
        group: the sweep that the run belongs to, for W&B.
        show_progress: a bar on a terminal, else a line every few seconds.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came; the checkpoint is saved.
        Exception: whatever went wrong, after `result.json` with the status `error` was written.
    """
    tracker: Tracker | None = None
    try:
        torch.set_num_threads(plan.num_threads)
        task = tokenize(plan.corpus, plan.config.task, plan.config.model)
        model, optimizer = build(plan, task)
        probes = Probes(plan, task, model, optimizer)  # they look at the initial weights
        progress = checkpoint.restore(directory, plan.run_id, model, optimizer) or fresh_progress(plan, probes.columns)
        probes.resume(progress)
        if progress.step:
            log.info("resumed at update %d of %d", progress.step, plan.total_steps)
        tracker = open_tracker(plan, directory, group, progress)
        line = ProgressLine(plan.name, progress.step, plan.total_steps, enabled=show_progress)
        with StopSignal() as stop, line:
            status = _loop(plan, task, model, optimizer, probes, progress, directory, tracker, stop, line)
        result = build_result(plan, task, progress, status)
        with evaluating(optimizer):
            write_outcome(plan, task, model, progress, result, directory)
        tracker.finish(summary_of(result))
        return result
    except Interrupted:
        if tracker:
            tracker.abandon()
        raise
    except Exception as error:
        if tracker:
            tracker.finish({"status": "error"}, exit_code=1)
        write_json(directory / "result.json", build_error_result(plan, error))
        raise


def _loop(
    plan: Plan,
    task: Task,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    probes: Probes,
    progress: Progress,
    directory: Path,
    tracker: Tracker,
    stop: StopSignal,
    line: ProgressLine,
) -> str:
    """Makes the updates that are left; returns `completed` or `diverged`."""
    config = plan.config
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    max_norm = math.inf if config.max_grad_norm is None else config.max_grad_norm
    started, saved_at = time.perf_counter() - progress.seconds, time.perf_counter()
    model.train()

    collate = collate_for(model)
    log.info("batches: %s", "padded to their longest example" if collate is padded else "without padding")
    updates = batches_of(plan, task, collate, progress.step)
    for step, batches in zip(range(progress.step, plan.total_steps), updates):  # noqa: B905
        lr = config.optimizer.lr * plan.multiplier(step)
        for param_group in optimizer.param_groups:
            param_group["lr"] = lr
        reseed(update_seed(config.seed, step), plan.device)

        num_examples = sum(len(batch["labels"]) for batch in batches)
        optimizer.zero_grad(set_to_none=True)
        total_loss = torch.zeros((), device=plan.device)
        for batch in batches:
            loss = loss_sum(model, batch, plan.precision) / num_examples
            loss.backward()  # type: ignore[no-untyped-call]
            total_loss += loss.detach()
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        loss_value, norm_value = torch.stack((total_loss, grad_norm)).tolist()  # the one sync of an update
        finite = math.isfinite(loss_value) and math.isfinite(norm_value)

        probes.before_update(step, batches, norm_value)
        if finite:
            optimizer.step()
        row: dict[str, Number] = {"step": step, "epoch": step / plan.steps_per_epoch, "lr": lr}
        row |= {"loss": loss_value, "grad_norm": norm_value} | probes.after_update()
        progress.trace.append(row)
        progress.step = step + 1
        progress.seconds = time.perf_counter() - started

        last = progress.step == plan.total_steps or not finite
        if last or step % config.tracking.log_every == 0:
            tracker.log(row)
        if not finite:
            log.info("diverged at update %d: loss %s, gradient norm %s", step, loss_value, norm_value)
            return "diverged"
        if last or (config.eval_every and progress.step % config.eval_every == 0):
            with evaluating(optimizer):
                scores = evaluate(model, task, plan)
            progress.evals.append({"step": progress.step} | scores)
            tracker.log(eval_row(progress.step, scores))
        line.update(loss_value, lr)

        if not last and (stop.signal_number or _checkpoint_due(config.checkpoint_every, progress.step, saved_at)):
            checkpoint.save(directory, plan.run_id, progress, model, optimizer)
            saved_at = time.perf_counter()
            if stop.signal_number:
                raise Interrupted(stop.signal_number, progress.step, plan.total_steps)
    return "completed"


def batches_of(plan: Plan, task: Task, collate: Collate, from_step: int = 0) -> Iterator[list[Batch]]:
    """The micro-batches of each update from `from_step` on; the order is a pure function of seed and epoch."""
    config = plan.config
    epoch, skipped = divmod(from_step, plan.steps_per_epoch)
    while True:
        indices = batch_indices(len(task.train), config.batch_size, config.seed, epoch)
        for start in range(skipped * config.grad_accumulation, len(indices), config.grad_accumulation):
            chosen = indices[start : start + config.grad_accumulation]
            yield [to_device(collate(task.train, index, task.pad_id), plan.device) for index in chosen]
        epoch, skipped = epoch + 1, 0


def _checkpoint_due(every: int | None, step: int, saved_at: float) -> bool:
    if every:
        return step % every == 0
    return time.perf_counter() - saved_at > _CHECKPOINT_SECONDS
