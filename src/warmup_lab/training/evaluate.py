"""Evaluation of a model on the validation examples."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from warmup_lab.metrics import CLASSIFICATION_METRICS
from warmup_lab.models import collate_for, logits_of, to_device
from warmup_lab.plan import Plan
from warmup_lab.runs import Number
from warmup_lab.tasks import Task, iterate_batches


def eval_batch_size(plan: Plan) -> int:
    """Examples of one forward pass in an evaluation: 4 training batches, since nothing is kept for a backward pass."""
    return 4 * plan.config.batch_size


def evaluate(model: torch.nn.Module, task: Task, plan: Plan) -> dict[str, Number]:
    """Loss (nats), accuracy and the task's own metric over the validation examples, with dropout off."""
    was_training = model.training
    model.eval()
    loss, predictions, labels = 0.0, [], []
    with torch.inference_mode():
        collate = collate_for(model)
        for batch in iterate_batches(task.validation, eval_batch_size(plan), task.pad_id, collate):
            on_device = to_device(batch, plan.device)
            logits = logits_of(model, on_device, plan.precision)
            loss += F.cross_entropy(logits, on_device["labels"], reduction="sum").item()
            predictions.append(logits.argmax(-1).cpu())
            labels.append(batch["labels"])
    model.train(was_training)
    return scores_of(loss, torch.cat(predictions).numpy(), torch.cat(labels).numpy(), plan)


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
