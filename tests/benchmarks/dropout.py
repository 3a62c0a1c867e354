"""Cost of the dropout masks of stacked runs: an update with them, with torch's own masks, and without dropout.

    python tests/benchmarks/dropout.py              # bert_tiny, groups of 8 and 64, one thread: 10 minutes
    python tests/benchmarks/dropout.py --quick      # a group of 2, one update
    python tests/benchmarks/dropout.py --runs 8 --hidden-size 8 --batch-size 1 --rounds 15 --updates 4
        # starting operations takes longer than their work, as on a GPU: 1 minute

All sides train bert_tiny, or a model of another width, on the same batches of SST-2 (if WARMUP_LAB_DATA names a folder
with it, otherwise of the embedded task), 32 examples a run, with dropout 0.1. A timed call is `--updates` updates:
batches, forward and backward pass, clipping, AdamW. All sides go through the same updates in one process, in turn.

- `ours`: `stacked/dropout.py`, masks that are a function of seed, update, layer, example, position and feature.
- `torch's masks`: `F.dropout` under `vmap(randomness="different")`, whose masks depend on the group.
- `dropout 0`: without masks, and without the multiplications and memory that any dropout needs.
- `masks alone`: `hashed_masks` with the arguments of all its calls in the updates of `ours`.

`ours` includes what a batch of a new width costs once: a forward pass of one run, which notes the calls of dropout.

The target of the masks is 10 % of an update. The mean losses of the sides with dropout must agree within 0.05 nats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import stacked as grids
import timing
import torch

from warmup_lab.plan import Plan, make_plan
from warmup_lab.system import stacked_dropout_seed
from warmup_lab.tasks.batches import Batch, Task
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training.run import Run, build
from warmup_lab.training.stacked import model
from warmup_lab.training.stacked.batches import TrainBatches
from warmup_lab.training.stacked.dropout import DropoutCall, hashed_masks
from warmup_lab.training.stacked.model import Stack, clip_gradient
from warmup_lab.training.stacked.optimizers import StackedOptimizer

MASKS_LIMIT, UPDATE_LIMIT = 0.1, 1.1
SAME_RUN = 0.05


class TorchMasks(Stack):
    """A stack whose dropout is torch's own."""

    def logits(self, batch: Batch, precision: str, seeds: torch.Tensor | None = None) -> torch.Tensor:  # noqa: ARG002
        real = torch.vmap
        with mock.patch.object(torch, "vmap", lambda *args, **keys: real(*args, **keys | {"randomness": "different"})):
            return super().logits(batch, precision)


class Side:
    """A group of runs that can be trained a few updates at a time."""

    def __init__(self, kind: type[Stack], plans: list[Plan], task: Task) -> None:
        self._plans = plans
        for number, plan in enumerate(plans):
            net, _ = build(plan, task, "cpu")
            if number == 0:
                self._stack = kind(net, len(plans), plan.device)
                self._stack.model.train()
            self._stack.load(number, net)
        configs = [plan.config.optimizer for plan in plans]
        self._optimizer = StackedOptimizer(configs, self._stack.weights, self._stack.num_decayed)
        self._batches = TrainBatches(task, [Run(plan, timing.OUT) for plan in plans])
        self._step, self.losses = 0, torch.zeros(0)

    def seconds(self, updates: int) -> float:
        """Of one update, over the next `updates` of them."""
        device, found = self._plans[0].device, []
        started = time.perf_counter()
        for step in range(self._step, self._step + updates):
            seeds = torch.tensor([stacked_dropout_seed(plan.config.seed, step) for plan in self._plans]).to(device)
            lrs = [plan.config.optimizer.lr * plan.multiplier(step) for plan in self._plans]
            active = torch.ones(len(self._plans), dtype=torch.bool, device=device)
            losses, gradient = self._stack.loss_and_gradient(self._batches.of_update(step), "fp32", seeds)
            _, gradient = clip_gradient(gradient, torch.ones(len(self._plans), device=device), active)
            coefficients = self._optimizer.coefficients(step, lrs).to(device)
            self._optimizer.update(self._stack.weights, gradient, coefficients, active[:, None])
            found.append(losses)
        self._step += updates
        self.losses = torch.cat((self.losses, torch.stack(found).mean(1).cpu()))  # waits for the device
        return (time.perf_counter() - started) / updates


class Masks:
    """Replays the calls of `hashed_masks` in the last updates of a side."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def update(self, updates: int) -> float:
        """The side's own seconds; notes the arguments, which costs nothing."""
        self._calls: list[tuple[torch.Tensor, Sequence[DropoutCall]]] = []
        with mock.patch.object(model, "hashed_masks", self._noted):
            return self._side.seconds(updates)

    def _noted(self, keys: torch.Tensor, calls: Sequence[DropoutCall]) -> list[torch.Tensor]:
        self._calls.append((keys, calls))
        return hashed_masks(keys, calls)

    def seconds(self, updates: int) -> float:
        """Of the masks of one update."""
        started = time.perf_counter()
        for call in self._calls:
            masks = hashed_masks(*call)
        masks[-1].any().item()  # waits for the device
        return (time.perf_counter() - started) / updates


def measure(num_runs: int, options: argparse.Namespace) -> tuple[list[timing.Row], dict[str, Any]]:
    """The rows of a group, and whether the sides with dropout did the same work."""
    total = options.updates * (options.rounds + 1)
    plain = grids.plans("bert_tiny", num_runs, argparse.Namespace(**vars(options) | {"updates": total}))
    shape = replace(plain[0].config.model, hidden_size=options.hidden_size)  # type: ignore[call-arg]
    plain = [make_plan(replace(plan.config, batch_size=options.batch_size, model=shape)) for plan in plain]
    shape = replace(shape, dropout=options.dropout)  # type: ignore[call-arg]
    plans = [make_plan(replace(plan.config, model=shape)) for plan in plain]
    task = tokenize(plans[0].corpus, plans[0].config.task, plans[0].config.model)
    torch.set_num_threads(options.threads)
    ours, torchs = Side(Stack, plans, task), Side(TorchMasks, plans, task)
    masks = Masks(ours)
    sides: dict[str, Callable[[int], float]] = {
        "ours": masks.update, "torch's masks": torchs.seconds,
        "dropout 0": Side(Stack, plain, task).seconds, "masks alone": masks.seconds,
    }  # fmt: skip
    for side in sides.values():
        side(options.updates)
    found = timing.alternate({name: lambda _, side=side: side(options.updates) for name, side in sides.items()},
                             options.rounds)  # fmt: skip
    what, unit = f"one update of {num_runs} stacked runs, dropout {options.dropout:g}", "s"
    rows = [
        timing.compared("dropout", what, unit, found["ours"], found[peer], peer, limit=limit)
        for peer, limit in (("torch's masks", UPDATE_LIMIT), ("dropout 0", None))
    ]
    rows.append(timing.compared("dropout", f"masks of {num_runs} stacked runs", unit, found["masks alone"],
                                found["ours"], "the whole update", limit=MASKS_LIMIT))  # fmt: skip
    means = {"ours": float(ours.losses.mean()), "torch's masks": float(torchs.losses.mean())}
    return rows, timing.agreement(means, SAME_RUN)


def main(words: Sequence[str] | None = None) -> None:
    parser = timing.arguments(str(__doc__).partition("\n")[0], rounds=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", nargs="+", type=int, default=[8, 64], metavar="K")
    parser.add_argument("--updates", type=int, default=1, help="per timed call")
    parser.add_argument("--batch-size", type=int, default=32, help="examples a run")
    parser.add_argument("--hidden-size", type=int, default=128, help="of bert_tiny")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    options = parser.parse_args(words)
    options.precision = "fp32"
    if options.quick:
        options.runs, options.rounds, options.batch_size = [2], 1, 4
    rows, checks = [], {}
    for num_runs in options.runs:
        timing.say(f"dropout: {num_runs} runs on {options.device}")
        more, check = measure(num_runs, options)
        rows += more
        checks[f"{num_runs} runs: mean loss"] = check
    settings = {
        name: getattr(options, name) for name in ("device", "updates", "dropout", "rounds", "batch_size", "hidden_size")
    }
    settings |= {"model": "bert_tiny", "task": grids._task().title}
    timing.write("dropout", rows, options.out, settings=settings, checks=checks, threads=options.threads)


if __name__ == "__main__":
    main()
