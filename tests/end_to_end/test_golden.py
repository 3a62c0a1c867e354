"""A fixed run against transformers' `Trainer`: 50 updates, with clipping and accumulation, without dropout.

`Trainer` makes its own AdamW, parameter groups, schedule and clipping. Only weights and batches are given.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import run_parts, small_plan, train

from warmup_lab.config.task_schema import SyntheticTask
from warmup_lab.plan import Plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.tasks.batches import collate
from warmup_lab.training import loop

UPDATES, ACCUMULATION, BATCH = 50, 2, 8
MAX_GRAD_NORM = 0.3


@pytest.fixture(scope="module")
def plan() -> Plan:
    """160 examples in 10 updates an epoch: every micro-batch has 8 examples, so means of means are means."""
    task = SyntheticTask("synthetic", num_train=160, num_validation=40)
    return small_plan(
        dropout=0.0, task=task, epochs=None, max_steps=UPDATES, batch_size=BATCH, grad_accumulation=ACCUMULATION,
        max_grad_norm=MAX_GRAD_NORM, device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def ours(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> StepTable:
    return train(plan, tmp_path_factory.mktemp("ours"))[1]


class Batches:
    """A data loader for `Trainer`: every pass over it gives the micro-batches of the next epoch."""

    def __init__(self, batches: list[Any], length: int) -> None:
        self._batches, self._length = iter(batches), length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self._batches, self._length)


def trainer_run(plan: Plan, directory: Path, *, shift: int = 0) -> dict[str, np.ndarray]:
    """Loss and lr of each update by `Trainer`; the lr is that of the update `shift` later."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    task, model, _, _ = run_parts(plan)
    updates = itertools.islice(loop.batches_of(plan, task, collate), plan.total_steps)
    batches = [batch for update in updates for batch in update]
    losses: list[float] = []
    rates: list[float] = []
    norms: list[float] = []

    class Recording(Trainer):
        def get_train_dataloader(self) -> Any:
            return Batches(batches, plan.steps_per_epoch * ACCUMULATION)

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **keys: Any) -> Any:
            found = super().compute_loss(model, inputs, *args, **keys)
            losses.append(found.item())
            return found

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            scheduler = super().create_scheduler(num_training_steps, optimizer)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # torch: the schedule goes on before the optimizer
                for _ in range(shift):
                    scheduler.step()
            return scheduler

    class Rates(TrainerCallback):  # type: ignore[misc]
        def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

        def on_log(self, *_: Any, logs: Any, **__: Any) -> None:
            norms.extend([logs["grad_norm"]] if "grad_norm" in logs else [])

    settings = plan.config.optimizer
    arguments = TrainingArguments(
        str(directory), max_steps=UPDATES, learning_rate=settings.lr, lr_scheduler_type="linear",
        warmup_steps=plan.warmup_steps, weight_decay=0.01, gradient_accumulation_steps=ACCUMULATION,
        max_grad_norm=MAX_GRAD_NORM, per_device_train_batch_size=BATCH, logging_steps=1, save_strategy="no",
        report_to=[], use_cpu=True, disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    trainer = Recording(model, arguments, callbacks=[Rates()])
    # BERT's forward takes any keyword, from which `Trainer` concludes that the loss is a share of the update's mean.
    trainer.model_accepts_loss_kwargs = False
    trainer.train()
    means = np.reshape(losses, (UPDATES, ACCUMULATION)).mean(axis=1)
    return {"loss": means, "lr": np.array(rates), "grad_norm": np.array(norms)}


def check(ours: StepTable, theirs: dict[str, np.ndarray]) -> None:
    for name, values in theirs.items():
        np.testing.assert_allclose(ours.array(name), values, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.trains
def test_50_updates_equal_those_of_trainer(plan: Plan, ours: StepTable, tmp_path: Path) -> None:
    check(ours, trainer_run(plan, tmp_path))
    assert max(ours.array("grad_norm")) > MAX_GRAD_NORM, "nothing was clipped"


@pytest.mark.trains
def test_the_check_fails_if_the_lr_is_that_of_the_next_update(plan: Plan, ours: StepTable, tmp_path: Path) -> None:
    shifted = trainer_run(plan, tmp_path, shift=1)
    with pytest.raises(AssertionError, match="loss"):
        check(ours, shifted)
