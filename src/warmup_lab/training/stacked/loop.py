"""The loop of many runs as one tensor, with the sections of `training/loop.py`, which trains one run.

Order of the data, schedule, clipping, evaluations and files are those of the loop of one run. With dropout off, the
losses of a run equal those of the run trained alone, up to rounding. With dropout on, the masks come from the same
distribution but are other draws. They do not depend on the other runs of the group (`dropout.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from warmup_lab.optimizers import build_optimizer
from warmup_lab.plan import Plan
from warmup_lab.system import stacked_dropout_seed
from warmup_lab.tasks import Task, collate
from warmup_lab.training import CheckpointTimer, Interrupted, ProgressLine, Run, StopSignal, Stopwatch, build
from warmup_lab.training.stacked.batches import TokenTable, TrainBatches
from warmup_lab.training.stacked.evaluate import evaluate_stack
from warmup_lab.training.stacked.grouping import is_out_of_memory
from warmup_lab.training.stacked.model import Stack, check_stackable, clip_gradient
from warmup_lab.training.stacked.optimizers import StackedOptimizer

_UPDATES_PER_SYNC = {"cuda": 16, "cpu": 1}
"""Updates between two reads of losses and norms by the host, each of which waits for the device. A run that diverges
in between is frozen on the device at the update whose loss or gradient is not finite."""


def train_group(runs: Sequence[Run], task: Task, stop: StopSignal, *, show_progress: bool) -> None:
    """Trains runs of the same shapes from the same update on. Afterwards each has its `result` or its `error`.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived; the checkpoints of all runs are saved.
    """
    # Start
    plan = runs[0].plan  # everything that the runs share is read from it
    stack, optimizer = _start(runs, task)
    max_norms = torch.tensor([run.max_grad_norm for run in runs], device=plan.device)
    active = torch.tensor([not run.over for run in runs], device=plan.device)
    train, validation = TrainBatches(task, runs), TokenTable(task.validation, plan, task.pad_id)
    first = next(run.progress.step for run in runs if not run.over)
    clock = Stopwatch()
    stack.model.train()

    with ProgressLine(f"{len(runs)} stacked runs", first, plan.total_steps, enabled=show_progress) as line:
        for steps in _ranges_between_syncs(plan, first):
            values = []
            lrs = [[run.lr(step) for run in runs] for step in steps]
            each = [optimizer.coefficients(step, of_step) for step, of_step in zip(steps, lrs, strict=True)]
            coefficients = torch.stack(each).to(plan.device, non_blocking=True)  # (updates, C, K, 1)
            seeds = _dropout_seeds(runs, steps)  # (updates, K)
            for step, of_step, of_dropout in zip(steps, coefficients, seeds, strict=True):
                # Forward and backward, then clip; the learning rates of this update are in the coefficients
                losses, gradient = stack.loss_and_gradient(train.of_update(step), plan.precision, of_dropout)
                norms, gradient = clip_gradient(gradient, max_norms, active & losses.isfinite())

                # Update
                active &= losses.isfinite() & norms.isfinite()
                optimizer.update(stack.weights, gradient, of_step, active[:, None])
                values.append(torch.stack((losses, norms), dim=1))  # (K, 2)
            loss_and_norm = torch.stack(values).tolist()  # (updates, K, 2); the only device sync of these updates

            # Record
            _record(runs, task, stack, steps, loss_and_norm, clock)
            alive = [number for number, run in enumerate(runs) if not run.over]
            if not alive:
                return

            # Evaluate
            if runs[alive[0]].evaluation_due:
                for number, scores in zip(alive, evaluate_stack(stack, validation, task, plan, alive), strict=True):
                    runs[number].record_evaluation(scores)
            _show(line, loss_and_norm, lrs)

            # Checkpoint, stop
            run = runs[alive[0]]
            if not run.last and (stop.signal_number or run.checkpoint_due):
                with run.timer.saving():
                    _save(runs, stack, optimizer)
                if stop.signal_number:
                    raise Interrupted(stop.signal_number, run.progress.step, plan.total_steps)

    # Finish
    for number in alive:
        _finish(runs, number, task, stack)


def _start(runs: Sequence[Run], task: Task) -> tuple[Stack, StackedOptimizer]:
    """Weights and optimizer states at update 0 or at the checkpoints. A run that cannot start fails alone."""
    stack: Stack | None = None
    timer = CheckpointTimer(runs[0].plan.config.checkpoint_every)
    for number, run in enumerate(runs):
        run.timer = timer  # stacked runs save together
        try:
            model, optimizer = build(run.plan, task, "cpu")
            run.start(model, optimizer)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            run.fail(error)
            continue
        if stack is None:
            shortest_and_longest = np.argsort(task.train.lengths)[[0, -1]]
            check_stackable(model, collate(task.train, shortest_and_longest, task.pad_id))
            stack = Stack(model, len(runs), run.plan.device)
            configs = [one.plan.config.optimizer for one in runs]
            stacked = StackedOptimizer(configs, stack.weights, stack.num_decayed)
        stack.load(number, model)
        stacked.load(number, optimizer, stack.parameters_of(model))
    if stack is None:
        raise RuntimeError("none of the runs could be started")
    _fail_runs_behind(runs)
    return stack, stacked


def _fail_runs_behind(runs: Sequence[Run]) -> None:
    """Fails runs whose checkpoint could be read but did not fit, so that they resume at an earlier update."""
    first = max(run.progress.step for run in runs if not run.over)
    for run in runs:
        if not run.over and run.progress.step < first:
            then = f"the same command resumes it at update {run.progress.step}"
            run.fail(RuntimeError(f"its last checkpoint cannot be used; {then}"))


def _ranges_between_syncs(plan: Plan, first: int) -> Iterator[range]:
    """The updates from `first` on, split wherever the host has something to do: evaluate, save, read losses."""
    longest = _UPDATES_PER_SYNC[plan.device.split(":")[0]]
    stops = [every for every in (plan.config.eval_every, plan.config.checkpoint_every) if every]
    while first < plan.total_steps:
        nearest = [first - first % every + every for every in stops]
        end = min([first + longest, plan.total_steps, *nearest])
        yield range(first, end)
        first = end


def _dropout_seeds(runs: Sequence[Run], steps: range) -> torch.Tensor:
    """The seeds of the dropout masks `(updates, K)`, int64."""
    seeds = [[stacked_dropout_seed(run.plan.config.seed, step) for run in runs] for step in steps]
    return torch.tensor(seeds).to(runs[0].plan.device, non_blocking=True)


def _record(
    runs: Sequence[Run],
    task: Task,
    stack: Stack,
    steps: range,
    loss_and_norm: list[list[list[float]]],
    clock: Stopwatch,
) -> None:
    """Records these updates for every run, up to the one at which it diverged. Runs share the time equally."""
    alive = [(number, run) for number, run in enumerate(runs) if not run.over]
    seconds = clock.lap() / len(alive)
    for number, run in alive:
        run.progress.seconds += seconds
        for step, of_step in zip(steps, loss_and_norm, strict=True):
            loss, norm = of_step[number]
            run.record(step, loss, norm)
            if run.diverged:
                _finish(runs, number, task, stack)
                break


def _show(
    line: ProgressLine, loss_and_norm: Sequence[Sequence[Sequence[float]]], lrs: Sequence[Sequence[float]]
) -> None:
    """Shows the mean loss over the runs whose loss is finite, and the highest learning rate."""
    for of_step, rates in zip(loss_and_norm, lrs, strict=True):
        finite = [loss for loss, _ in of_step if math.isfinite(loss)]
        line.update(sum(finite) / max(len(finite), 1), max(rates))


def _save(runs: Sequence[Run], stack: Stack, optimizer: StackedOptimizer) -> None:
    """A checkpoint for each run, as `training/loop.py` writes it, so that either loop can resume the run."""
    for number, run in enumerate(runs):
        if run.over:
            continue
        try:
            model = stack.model_of(number)
            own = build_optimizer(run.plan.config.optimizer, model)
            optimizer.export(number, own, stack.parameters_of(model), run.progress.step)
            run.save(model, own)
        except OSError as error:
            run.fail(error)


def _finish(runs: Sequence[Run], number: int, task: Task, stack: Stack) -> None:
    """Writes the files of a run. An error here fails this run alone."""
    try:
        runs[number].finish(task, stack.model_of(number), runs_together=len(runs))
    except Exception as error:
        runs[number].fail(error)
