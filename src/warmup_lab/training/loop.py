"""The loop of one run, to be read from top to bottom. `stacked/loop.py` has the same sections for many runs at once."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from warmup_lab.models import collate_for, loss_sum, to_device
from warmup_lab.optimizers import evaluating
from warmup_lab.plan import Plan
from warmup_lab.probes import Probes
from warmup_lab.system import reseed
from warmup_lab.tasks import Batch, Collate, Task, batch_indices, tokenize
from warmup_lab.tasks import collate as padded
from warmup_lab.training.console import Interrupted, ProgressLine, StopSignal, Stopwatch
from warmup_lab.training.evaluate import evaluate
from warmup_lab.training.processes import ALONE, Processes
from warmup_lab.training.run import Run, build

log = logging.getLogger(__name__)


def train(
    plan: Plan,
    directory: Path,
    *,
    group: str | None = None,
    show_progress: bool = True,
    processes: Processes = ALONE,
) -> dict[str, Any]:
    """Trains one run in `directory`, from its checkpoint if there is one; returns the content of `result.json`.

    Args:
        plan: the run, from `plan.make_plan`.
        directory: the run's folder. Its W&B files are beside it, in `<parent>/wandb`.
        group: the sweep that the run belongs to, for W&B.
        show_progress: shows a bar on a terminal, otherwise a line every few seconds.
        processes: those that share the run; each calls this function, and process 0 writes.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the checkpoint is saved.
        Exception: any error of the training, after `result.json` was written with the status `error`.
    """
    run = Run(plan, directory, group, processes)
    try:
        _train(run, show_progress)
    except Interrupted:
        run.abandon()
        raise
    except Exception as error:
        run.fail(error)
        raise
    assert run.result is not None
    return run.result


@dataclass
class _Parts:
    """What the loop works on."""

    task: Task
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    probes: Probes


def _start(run: Run) -> _Parts:
    """The parts at update 0 or, if there is a checkpoint, where it was saved."""
    plan = run.plan
    torch.set_num_threads(run.processes.num_threads(plan))
    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    model, optimizer = build(plan, task)
    probes = Probes(plan, task, model, optimizer)  # before a checkpoint is restored: they read the initial weights
    run.start(model, optimizer, probes.columns)
    probes.resume(run.progress)
    return _Parts(task, model, optimizer, probes)


def _train(run: Run, show_progress: bool) -> None:
    # Start
    plan, processes, parts = run.plan, run.processes, _start(run)
    task, model, optimizer, probes = parts.task, parts.model, parts.optimizer, parts.probes
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    first, collate = run.progress.step, collate_for(model)
    log.info("batches: %s", "padded to their longest example" if collate is padded else "without padding")
    updates = zip(range(first, plan.total_steps), batches_of(plan, task, collate, first, processes))  # noqa: B905
    clock = Stopwatch()
    model.train()

    with StopSignal() as stop, ProgressLine(plan.name, first, plan.total_steps, enabled=show_progress) as line:
        for step, batches in updates:
            # Learning rate and random stream of this update
            for param_group in optimizer.param_groups:
                param_group["lr"] = run.lr(step)
            reseed(processes.update_seed(plan.config.seed, step), plan.device)

            # Forward and backward, then clip
            loss = _backward(model, batches, num_examples(plan, task, step), plan, optimizer)
            loss = processes.sum_gradients(trainable, loss, stop.signal_number)
            grad_norm = torch.nn.utils.clip_grad_norm_(trainable, run.max_grad_norm)
            loss_value, norm_value = torch.stack((loss, grad_norm)).tolist()  # the only device sync of an update

            # Update
            probes.before_update(step, batches, norm_value)
            if math.isfinite(loss_value) and math.isfinite(norm_value):
                optimizer.step()

            # Record
            run.record(step, loss_value, norm_value, probes.after_update())
            run.progress.seconds += clock.lap()
            if run.diverged:
                break

            # Evaluate
            if run.evaluation_due:
                with evaluating(optimizer):
                    run.record_evaluation(evaluate(model, task, plan, processes))
            line.update(loss_value, run.lr(step))

            # Checkpoint, stop
            signal_number = processes.stop_signal(stop.signal_number)
            if not run.last and (signal_number or run.checkpoint_due):
                with run.timer.saving():
                    run.save(model, optimizer)
                if signal_number:
                    processes.wait()  # for process 0, which saves
                    raise Interrupted(signal_number, run.progress.step, plan.total_steps, forced=plan.config.force)

    # Finish
    with evaluating(optimizer):
        run.finish(task, model)


def num_examples(plan: Plan, task: Task, step: int) -> int:
    """Examples of the update with the 0-based index `step`, over all processes; the last of an epoch may have fewer.

    Their number divides the loss before the gradient is computed, so no process waits for another to learn it.
    """
    per_update = plan.config.batch_size * plan.config.grad_accumulation
    return min(per_update, len(task.train) - step % plan.steps_per_epoch * per_update)


def _backward(
    model: torch.nn.Module, batches: list[Batch], num_examples: int, plan: Plan, optimizer: torch.optim.Optimizer
) -> torch.Tensor:
    """Puts this process's part of the gradient of the mean loss over the update's examples into the parameters.

    Returns its part of that loss, a scalar.
    """
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=plan.device)
    for batch in batches:
        loss = loss_sum(model, batch, plan.precision) / num_examples
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total


def batches_of(
    plan: Plan, task: Task, collate: Collate, from_step: int = 0, processes: Processes = ALONE
) -> Iterator[list[Batch]]:
    """The micro-batches of each update from `from_step` on, of each of them the share of this process.

    Their order depends only on the seed and the epoch.
    """
    config = plan.config
    epoch, skipped = divmod(from_step, plan.steps_per_epoch)
    while True:
        indices = batch_indices(len(task.train), config.batch_size, config.seed, epoch)
        for start in range(skipped * config.grad_accumulation, len(indices), config.grad_accumulation):
            shares = map(processes.share, indices[start : start + config.grad_accumulation])
            yield [to_device(collate(task.train, share, task.pad_id), plan.device) for share in shares if len(share)]
        epoch, skipped = epoch + 1, 0
