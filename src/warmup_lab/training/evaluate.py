"""Evaluation of a model on the validation examples."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F

from warmup_lab.metrics import CLASSIFICATION_METRICS
from warmup_lab.models import collate_for, logits_of, to_device
from warmup_lab.plan import Plan
from warmup_lab.runs import Number
from warmup_lab.tasks import Task, iterate_batches
from warmup_lab.training.processes import ALONE, Processes


def eval_batch_size(plan: Plan) -> int:
    """Examples of one forward pass in an evaluation: 4 training batches, since nothing is kept for a backward pass."""
    return 4 * plan.config.batch_size


def evaluate(model: torch.nn.Module, task: Task, plan: Plan, processes: Processes = ALONE) -> dict[str, Number]:
    """Loss (nats), accuracy and the task's own metric over the validation examples, with dropout off.

    Each of the processes computes its share of every batch; all return the same scores.
    """
    was_training = model.training
    model.eval()
    loss, predictions, labels = 0.0, [], []
    with torch.inference_mode():
        collate = collate_for(model)
        for batch in iterate_batches(task.validation, eval_batch_size(plan), task.pad_id, collate, processes.share):
            on_device = to_device(batch, plan.device)
            logits = logits_of(model, on_device, plan.precision)
            loss += F.cross_entropy(logits, on_device["labels"], reduction="sum").item()
            predictions.append(logits.argmax(-1).cpu().numpy())
            labels.append(batch["labels"].numpy())
    model.train(was_training)
    losses, predicted, actual = zip(*processes.gather((loss, predictions, labels)), strict=True)
    return scores_of(sum(losses), np.concatenate([*chain(*predicted)]), np.concatenate([*chain(*actual)]), plan)


def scores_of(loss: float, predicted: np.ndarray, actual: np.ndarray, plan: Plan) -> dict[str, Number]:
    """The scores of an evaluation.

    Args:
        loss: summed over all N examples, nats.
        predicted: predicted labels `(N,)`.
        actual: true labels `(N,)`.
        plan: names the task's own metric.
    """
    scores: dict[str, Number] = {"loss": loss / len(actual), "accuracy": float((predicted == actual).mean())}
    if plan.config.task.metric != "accuracy":
        scores[plan.config.task.metric] = CLASSIFICATION_METRICS[plan.config.task.metric](predicted, actual)
    return scores
