"""The loop of runs that are trained together: that of one run, with a row a run (see `stacked`).

The order of data, schedule, clipping, evaluations and files is the same. With dropout off a run's losses are those that
it has alone, to float noise. With dropout on every run draws its own masks, from the seeds of all runs and the update:
the same distribution, but other draws than alone.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from warmup_lab.optimizers import build_optimizer
from warmup_lab.plan import Plan
from warmup_lab.runs import Number, build_result, checkpoint, eval_row, fresh_progress, summary_of, write_outcome
from warmup_lab.system import reseed, update_seed
from warmup_lab.tasks import Batch, Task, batch_indices
from warmup_lab.training import Interrupted, ProgressLine, Run, StopSignal, build, fail, open_tracker, scores_of
from warmup_lab.training.stacked.batches import TokenTable
from warmup_lab.training.stacked.grouping import is_out_of_memory
from warmup_lab.training.stacked.model import Stack, clip_gradient
from warmup_lab.training.stacked.optimizers import StackedOptimizer

log = logging.getLogger(__name__)
_CHECKPOINT_SECONDS = 60.0
_CHECKPOINT_SHARE = 0.05
"""Of the time, what saving may take: the checkpoints of many runs are many files."""
_STRETCH = {"cuda": 16, "cpu": 1}
"""Updates between two looks of the host at losses and norms, each of which waits for the device. Divergence does not
wait for it: the device itself freezes a run at the update whose loss or gradient is not finite."""


class Group:
    """Runs that are trained together from the same update on."""

    def __init__(self, runs: Sequence[Run], task: Task, group: str | None, stop: StopSignal) -> None:
        self.runs, self.task, self.stop = runs, task, stop
        self.plan = runs[0].plan  # what all of them share is read from it
        self._stack, self._optimizer = self._start(group)
        device = self.plan.device
        max_norms = [math.inf if (norm := run.plan.config.max_grad_norm) is None else norm for run in runs]
        self._max_norms = torch.tensor(max_norms, device=device)
        self._active = torch.tensor([not run.over for run in runs], device=device)
        self._train = TokenTable(task.train, self.plan, task.pad_id)
        self._validation = TokenTable(task.validation, self.plan, task.pad_id)
        self._saved_at, self._saving_took = time.perf_counter(), 0.0

    def _start(self, group: str | None) -> tuple[Stack, StackedOptimizer]:
        """Every run at its update 0 or at its checkpoint; a run that cannot start fails alone."""
        stack: Stack | None = None
        for number, run in enumerate(self.runs):
            try:
                model, optimizer = build(run.plan, self.task, "cpu")
                found = checkpoint.restore(run.directory, run.plan.run_id, model, optimizer)
                run.progress = found or fresh_progress(run.plan)
                run.tracker = open_tracker(run.plan, run.directory, group, run.progress)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                fail(run, error)
                continue
            if stack is None:
                stack = Stack(model, len(self.runs), self.plan.device)
                configs = [one.plan.config.optimizer for one in self.runs]
                stacked = StackedOptimizer(configs, stack.weights, stack.num_decayed)
            stack.load(number, model)
            stacked.load(number, optimizer, stack.parameters_of(model))
        if stack is None:
            raise RuntimeError("none of the runs could be started")
        return stack, stacked

    def train(self, show_progress: bool) -> None:
        """Makes the updates that are left; every run that is over has its result or its error."""
        total = self.plan.total_steps
        first = next(run.progress.step for run in self.runs if not run.over)
        name = f"{len(self.runs)} runs together"
        clock = time.perf_counter()
        self._stack.model.train()
        with ProgressLine(name, first, total, enabled=show_progress) as line:
            for steps in _stretches(self.plan, first):
                values = self._advance(steps)
                alive = self._alive()
                now = time.perf_counter()
                for _, run in alive:
                    run.progress.seconds += (now - clock) / len(alive)  # each run's share of the time
                clock = now
                for number, run in alive:
                    self._record(number, run, steps, [row[number] for row in values])
                _show(line, values, self.runs, steps)
                self._after(steps[-1] + 1)
                if not self._alive():
                    return

    def _alive(self) -> list[tuple[int, Run]]:
        return [(number, run) for number, run in enumerate(self.runs) if not run.over]

    def _advance(self, steps: range) -> list[list[tuple[float, float]]]:
        """Makes these updates; the loss and the gradient norm of each, for each run."""
        device = self.plan.device
        rates = [[_lr(run.plan, step) for run in self.runs] for step in steps]
        coefficients = torch.stack(
            [self._optimizer.coefficients(step, lrs) for step, lrs in zip(steps, rates, strict=True)]
        ).to(device, non_blocking=True)
        values = []
        for step, of_step in zip(steps, coefficients, strict=True):
            reseed(_common_seed([run.plan.config.seed for run in self.runs], step), device)
            losses, gradient = self._stack.loss_and_gradient(self._batches(step), self.plan.precision)
            norms, gradient = clip_gradient(gradient, self._max_norms, self._active & losses.isfinite())
            self._active &= losses.isfinite() & norms.isfinite()
            self._optimizer.update(self._stack.weights, gradient, of_step, self._active[:, None])
            values.append(torch.stack((losses, norms), dim=1))  # (K, 2)
        return torch.stack(values).tolist()  # the one sync of a stretch

    def _batches(self, step: int) -> list[Batch]:
        """The micro-batches of an update, each with the examples that every run has there."""
        config = self.plan.config
        epoch, place = divmod(step, self.plan.steps_per_epoch)
        seeds = tuple(run.plan.config.seed for run in self.runs)
        orders = [_order(len(self.task.train), config.batch_size, seed, epoch) for seed in seeds]
        first = place * config.grad_accumulation
        numbers = range(first, min(first + config.grad_accumulation, len(orders[0])))
        return [self._train.batch(np.stack([order[number] for order in orders])) for number in numbers]

    def _record(self, number: int, run: Run, steps: range, values: Sequence[tuple[float, float]]) -> None:
        """Writes the rows of these updates to the run's trace, up to the one at which it diverged."""
        plan, progress = run.plan, run.progress
        for step, (loss, norm) in zip(steps, values, strict=True):
            row: dict[str, Number] = {"step": step, "epoch": step / plan.steps_per_epoch, "lr": _lr(plan, step)}
            row |= {"loss": loss, "grad_norm": norm}
            progress.trace.append(row)
            progress.step = step + 1
            finite = math.isfinite(loss) and math.isfinite(norm)
            last = progress.step == plan.total_steps or not finite
            if run.tracker and (last or step % plan.config.tracking.log_every == 0):
                run.tracker.log(row)
            if not finite:
                log.info("%s diverged at update %d: loss %s, gradient norm %s", plan.name, step, loss, norm)
                self._end(number, run, "diverged")
                return

    def _after(self, step: int) -> None:
        """What is due after `step` updates: evaluation, results, checkpoints, an end."""
        plan = self.plan
        last, every = step == plan.total_steps, plan.config.eval_every
        if last or (every and step % every == 0):
            self._evaluate(step)
        if last:
            for number, run in self._alive():
                self._end(number, run, "completed")
            return
        if self._alive() and (self.stop.signal_number or self._checkpoint_due(step)):
            self._save()
            if self.stop.signal_number:
                raise Interrupted(self.stop.signal_number, step, plan.total_steps)

    def _evaluate(self, step: int) -> None:
        for (_, run), scores in zip(self._alive(), self._scores([number for number, _ in self._alive()]), strict=True):
            run.progress.evals.append({"step": step} | scores)
            if run.tracker:
                run.tracker.log(eval_row(step, scores))

    @torch.no_grad()
    def _scores(self, numbers: Sequence[int]) -> list[dict[str, Number]]:
        """As `evaluation.evaluate`, for these runs; dropout is off."""
        order = np.argsort(self.task.validation.lengths, kind="stable")
        size = 4 * self.plan.config.batch_size
        losses = torch.zeros(len(self.runs), dtype=torch.float64, device=self.plan.device)
        predictions = []
        self._stack.model.eval()
        for start in range(0, len(order), size):
            batch = self._validation.batch(order[start : start + size])
            logits = self._stack.logits(batch, self.plan.precision)
            labels = batch["labels"].expand(len(self.runs), -1)
            each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
            losses += each.view(labels.shape).sum(1)
            predictions.append(logits.argmax(-1))
        self._stack.model.train()
        predicted, actual = torch.cat(predictions, 1).cpu().numpy(), self.task.validation.labels[order]
        summed = losses.tolist()
        return [scores_of(summed[number], predicted[number], actual, self.plan) for number in numbers]

    def _end(self, number: int, run: Run, status: str) -> None:
        """Writes what the run leaves; what goes wrong here costs no other run anything."""
        try:
            result = build_result(run.plan, self.task, run.progress, status)
            result["speed"]["runs_together"] = len(self.runs)
            model = self._stack.model_of(number)
            write_outcome(run.plan, self.task, model, run.progress, result, run.directory)
            if run.tracker:
                run.tracker.finish(summary_of(result))
            run.result = result
        except Exception as error:
            fail(run, error)

    def _checkpoint_due(self, step: int) -> bool:
        if every := self.plan.config.checkpoint_every:
            return step % every == 0
        pause = max(_CHECKPOINT_SECONDS, self._saving_took / _CHECKPOINT_SHARE)
        return time.perf_counter() - self._saved_at > pause

    def _save(self) -> None:
        """A checkpoint a run, as `trainer` would write it: each can be taken up together again or alone."""
        started = time.perf_counter()
        for number, run in self._alive():
            try:
                model = self._stack.model_of(number)
                optimizer = build_optimizer(run.plan.config.optimizer, model)
                self._optimizer.export(number, optimizer, self._stack.parameters_of(model), run.progress.step)
                checkpoint.save(run.directory, run.plan.run_id, run.progress, model, optimizer)
            except OSError as error:
                fail(run, error)
        self._saved_at = time.perf_counter()
        self._saving_took = self._saved_at - started


def _stretches(plan: Plan, first: int) -> Iterator[range]:
    """The updates from `first` on, cut where the host has something to do."""
    longest = _STRETCH[plan.device.split(":")[0]]
    stops = [every for every in (plan.config.eval_every, plan.config.checkpoint_every) if every]
    while first < plan.total_steps:
        nearest = [first - first % every + every for every in stops]
        end = min([first + longest, plan.total_steps, *nearest])
        yield range(first, end)
        first = end


def _lr(plan: Plan, step: int) -> float:
    return plan.config.optimizer.lr * plan.multiplier(step)


def _common_seed(seeds: Sequence[int], step: int) -> int:
    """Seed of all masks of one update, a pure function of the runs' seeds and of the update."""
    text = ",".join(str(update_seed(seed, step)) for seed in seeds)
    return int.from_bytes(hashlib.sha256(f"together/{text}".encode()).digest()[:8], "big") >> 1


@functools.lru_cache(maxsize=256)
def _order(num_examples: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """`tasks.batch_indices`, remembered: it is asked for at every update."""
    return batch_indices(num_examples, batch_size, seed, epoch)


def _show(
    line: ProgressLine, values: Sequence[Sequence[tuple[float, float]]], runs: Sequence[Run], steps: range
) -> None:
    """The mean loss of the runs that are finite, and the highest of their rates."""
    for step, of_step in zip(steps, values, strict=True):
        finite = [loss for loss, _ in of_step if math.isfinite(loss)]
        line.update(sum(finite) / max(len(finite), 1), max(_lr(run.plan, step) for run in runs))
