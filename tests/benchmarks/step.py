"""Time of an update: this project's loop compared with a bare PyTorch loop and with `transformers.Trainer`.

    python tests/benchmarks/step.py              # a few minutes; one thread
    python tests/benchmarks/step.py --threads 2 --tasks sst2

All sides train bert_tiny from the same initial weights on the same examples in the same order, with the same fused
AdamW, weight-decay groups, clipping and learning rates, in float32 on the CPU.

- `ours`: `training.loop.train` with its trace and without tracking. Timed by its own clock, `speed.seconds`, which
  starts before the first batch is made and stops after the final evaluation on 8 examples.
- `bare loop`: the batches of this project and only what training needs: no trace, no result, no seed for each update.
  It reads the loss once an update, because people look at the loss.
- `bare loop, padded`: the same with batches padded to their longest example, which is how most loops are written.
- `Trainer`: examples tokenised beforehand, `DataCollatorWithPadding`, no worker processes, no evaluation, no saving, no
  logging, no progress bar. Timed by its own `train_runtime`, which starts after its set-up.

The timed runs use the model's dropout of 0.1. Each side draws its own masks, so the mean loss over all updates must
agree within 0.05 nats. Before that, untimed and with dropout 0, the loss of every update must agree within 1e-3.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import data
import timing
import torch

from warmup_lab.cli.compose import compose_plan
from warmup_lab.models.forward import loss_sum
from warmup_lab.models.packed_forward import collate_for
from warmup_lab.plan import Plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.tasks.batches import Batch, Task, batch_indices, collate
from warmup_lab.tasks.sources import Split
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop

BARE_LIMIT, TRAINER_LIMIT = 1.03, 0.7
SAME_UPDATE, SAME_RUN = 1e-3, 0.05


@dataclass(frozen=True)
class Timed:
    """The timed updates of one side."""

    seconds: float
    """Per update."""
    losses: list[float]
    """Of each update, or only their mean for `Trainer` without logging."""

    @property
    def mean_loss(self) -> float:
        return sum(self.losses) / len(self.losses)


def batches_of(plan: Plan, task: Task, model: torch.nn.Module, *, padded: bool = False) -> Iterator[list[Batch]]:
    """The micro-batches of each update, as in the loop or padded to their longest example."""
    return loop.batches_of(plan, task, collate if padded else collate_for(model))


def plan_of(task: str, *, updates: int, threads: int, dropout: float) -> Plan:
    """A run that is evaluated only at the end, on 8 examples."""
    plan = compose_plan(
        [f"task={task}", "task.limit=6000", "model=bert_tiny", f"model.dropout={dropout}", f"max_steps={updates}",
         f"num_threads={threads}", "tracking=none", "eval_every=null", "device=cpu", "precision=fp32"]
    )  # fmt: skip
    few = Split(plan.corpus.validation.texts[:8], plan.corpus.validation.labels[:8])
    return replace(plan, corpus=replace(plan.corpus, validation=few))


# ------------------------------------------------------------------------------------------------------- sides


def ours(plan: Plan) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        result = loop.train(plan, Path(folder) / "run", show_progress=False)
        losses = StepTable.read(Path(folder) / "run" / "trace.parquet").array("loss").tolist()
    return Timed(result["speed"]["seconds"] / plan.total_steps, losses)


def bare(plan: Plan, task: Task, *, padded: bool = False) -> Timed:
    import time

    torch.set_num_threads(plan.num_threads)
    torch.manual_seed(plan.config.seed)
    model, _ = loop.build(plan, task)
    parameters = list(model.parameters())
    optimizer = adamw(model, plan)
    model.train()
    losses: list[float] = []
    started = time.perf_counter()
    for step, (batch,) in zip(range(plan.total_steps), batches_of(plan, task, model, padded=padded)):  # noqa: B905
        for group in optimizer.param_groups:
            group["lr"] = plan.config.optimizer.lr * plan.multiplier(step)
        loss = loss_sum(model, batch, plan.precision) / len(batch["labels"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, plan.config.max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    return Timed((time.perf_counter() - started) / plan.total_steps, losses)


def adamw(model: torch.nn.Module, plan: Plan) -> torch.optim.Optimizer:
    groups = [
        {"params": [one for one in model.parameters() if one.ndim >= 2], "weight_decay": 0.01},
        {"params": [one for one in model.parameters() if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.config.optimizer.lr, fused=True)


def transformers_trainer(plan: Plan, task: Task, *, logged: bool = False) -> Timed:
    """`logged` logs the loss of every update, which costs time."""
    import transformers

    torch.set_num_threads(plan.num_threads)
    model, _ = loop.build(plan, task)
    config = plan.config
    with tempfile.TemporaryDirectory() as folder:
        settings = transformers.TrainingArguments(
            output_dir=folder, max_steps=plan.total_steps, per_device_train_batch_size=config.batch_size,
            learning_rate=config.optimizer.lr, lr_scheduler_type="linear", warmup_steps=plan.warmup_steps,
            optim="adamw_torch_fused", weight_decay=0.01, max_grad_norm=config.max_grad_norm, seed=config.seed,
            eval_strategy="no", save_strategy="no", logging_strategy="steps" if logged else "no", logging_steps=1,
            report_to="none", disable_tqdm=True, use_cpu=True, dataloader_num_workers=0, dataloader_pin_memory=False,
        )  # fmt: skip
        tokenizer = transformers.AutoTokenizer.from_pretrained(task.tokenizer_dir)
        with quiet():
            run = ordered_trainer(plan, len(task.train))(
                model=model, args=settings, train_dataset=examples_of(task),
                data_collator=transformers.DataCollatorWithPadding(tokenizer),
            )  # fmt: skip
            outcome = run.train()
    logs = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    return Timed(outcome.metrics["train_runtime"] / plan.total_steps, logs if logged else [outcome.training_loss])


def examples_of(task: Task) -> list[dict[str, Any]]:
    """The tokenised training examples as lists in memory, which the collator pads fastest."""
    train = task.train
    return [
        {
            "input_ids": train.token_ids[start:stop].tolist(),
            "token_type_ids": train.type_ids[start:stop].tolist(),
            "attention_mask": [1] * int(stop - start),
            "labels": int(label),
        }
        for start, stop, label in zip(train.offsets[:-1], train.offsets[1:], train.labels, strict=True)
    ]


def ordered_trainer(plan: Plan, num_examples: int) -> type:
    """A `Trainer` with this project's order of the examples, so that losses can be compared."""
    import transformers

    class Order(torch.utils.data.Sampler[int]):
        epoch = 0

        def __len__(self) -> int:
            return num_examples

        def __iter__(self) -> Iterator[int]:
            batches = batch_indices(num_examples, plan.config.batch_size, plan.config.seed, self.epoch)
            self.epoch += 1
            return iter([int(index) for batch in batches for index in batch])

    class OrderedTrainer(transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Order:
            return Order()

        def log(self, logs: dict[str, float], *_: Any) -> None:
            """As in `Trainer`, but prints nothing."""
            self.state.log_history.append({**logs, "step": self.state.global_step})

    return OrderedTrainer


def quiet() -> Any:
    """Suppresses what `Trainer` prints at the end."""
    import contextlib
    import io

    return contextlib.redirect_stdout(io.StringIO())


# --------------------------------------------------------------------------------------------------- benchmark


def measure(task_name: str, *, updates: int, threads: int, rounds: int) -> tuple[list[timing.Row], dict[str, Any]]:
    """The rows of the task, and the checks that all sides did the same work."""
    proof = plan_of(task_name, updates=min(updates, 40), threads=threads, dropout=0.0)
    task = tokenize(proof.corpus, proof.config.task, proof.config.model)
    same = {
        "ours": ours(proof),
        "bare loop": bare(proof, task),
        "bare loop, padded": bare(proof, task, padded=True),
        "Trainer": transformers_trainer(proof, task, logged=True),
    }

    plan = plan_of(task_name, updates=updates, threads=threads, dropout=0.1)
    last: dict[str, Timed] = {}

    def timed(name: str, side: Callable[[], Timed]) -> Callable[[int], float]:
        def once(_: int) -> float:
            last[name] = side()
            return 1000 * last[name].seconds

        return once

    sides = {
        "ours": timed("ours", lambda: ours(plan)),
        "bare loop": timed("bare loop", lambda: bare(plan, task)),
        "bare loop, padded": timed("bare loop, padded", lambda: bare(plan, task, padded=True)),
        "Trainer": timed("Trainer", lambda: transformers_trainer(plan, task)),
    }
    found = timing.alternate(sides, rounds)
    what = f"one update, {task_name}, {threads} thread{'s' * (threads > 1)}"
    limits = {
        "bare loop": BARE_LIMIT,
        "bare loop, padded": None,
        "Trainer": TRAINER_LIMIT if task_name == "sst2" else None,
    }
    rows = [
        timing.compared("step", what, "ms", found["ours"], found[name], name, limit=limit)
        for name, limit in limits.items()
    ]
    checks = {
        f"{task_name}, {threads} thread(s), dropout 0: largest difference of any update's loss": _largest(same),
        f"{task_name}, {threads} thread(s), dropout 0.1: mean loss over the updates": timing.agreement(
            {name: one.mean_loss for name, one in last.items()}, SAME_RUN
        ),
    }
    return rows, checks


def _largest(sides: dict[str, Timed]) -> dict[str, Any]:
    losses = {name: torch.tensor(side.losses, dtype=torch.float64) for name, side in sides.items()}
    own = losses.pop("ours")
    good = all(len(other) == len(own) for other in losses.values())
    numbers = {name: float((own - other).abs().max()) for name, other in losses.items()} if good else {}
    good = good and max(numbers.values()) <= SAME_UPDATE
    return {"ok": good, "numbers": numbers, "tolerance": SAME_UPDATE}


def main(words: Sequence[str] | None = None) -> None:
    # More rounds than elsewhere: with a target 3 % away, one busy second of the machine must not move the median.
    parser = timing.arguments(str(__doc__).partition("\n")[0], rounds=11)
    parser.add_argument("--updates", type=int, default=40, help="updates per round and side")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1], help="threads of all sides; several values are run in turn"
    )
    parser.add_argument("--tasks", nargs="+", default=["sst2", "rte"], choices=["sst2", "rte"])
    options = parser.parse_args(words)
    if options.quick:
        options.updates, options.rounds, options.tasks = 3, 1, options.tasks[:1]
    rows: list[timing.Row] = []
    checks: dict[str, Any] = {}
    with data.texts(options.out) as which:
        for threads in options.threads:
            for task in options.tasks:
                timing.say(f"step: {task}, {threads} thread(s)")
                found = measure(task, updates=options.updates, threads=threads, rounds=options.rounds)
                rows, checks = rows + found[0], checks | found[1]
    settings = {
        "model": "bert_tiny", "batch_size": 32, "texts": which, "updates": options.updates, "rounds": options.rounds,
        "precision": "fp32", "device": "cpu", "dropout": 0.1,
    }  # fmt: skip
    timing.write("step", rows, options.out, settings=settings, checks=checks, threads=options.threads)


if __name__ == "__main__":
    main()
