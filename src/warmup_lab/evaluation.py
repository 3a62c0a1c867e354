"""The forward pass, its loss, and what a model is worth on the validation examples."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from warmup_lab.forward import collate_for, logits_of_rows
from warmup_lab.plan import Plan
from warmup_lab.tasks import Batch as Batch
from warmup_lab.tasks import Task, iterate_batches
from warmup_lab.trace import Number


def to_device(batch: Batch, device: str) -> Batch:
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def logits_of(model: torch.nn.Module, batch: Batch, plan: Plan) -> torch.Tensor:
    """`(B, num_classes)` in float32, whatever the precision of the forward pass."""
    device_type = plan.device.split(":")[0]
    with torch.autocast(device_type, dtype=torch.bfloat16, enabled=plan.precision == "bf16"):
        if "segments" in batch:
            return logits_of_rows(model, batch).float()
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        logits: torch.Tensor = model(**inputs).logits
        return logits.float()


def loss_sum(model: torch.nn.Module, batch: Batch, plan: Plan) -> torch.Tensor:
    """Cross-entropy summed over the batch, nats."""
    return F.cross_entropy(logits_of(model, batch, plan), batch["labels"], reduction="sum")


def evaluate(model: torch.nn.Module, task: Task, plan: Plan) -> dict[str, Number]:
    """Loss, accuracy and the task's own metric over the validation examples, dropout off."""
    was_training = model.training
    model.eval()
    loss, predictions, labels = 0.0, [], []
    with torch.inference_mode():
        collate = collate_for(model)
        for batch in iterate_batches(task.validation, 4 * plan.config.batch_size, task.pad_id, collate):
            on_device = to_device(batch, plan.device)
            logits = logits_of(model, on_device, plan)
            loss += F.cross_entropy(logits, on_device["labels"], reduction="sum").item()
            predictions.append(logits.argmax(-1).cpu())
            labels.append(batch["labels"])
    model.train(was_training)
    return scores_of(loss, torch.cat(predictions).numpy(), torch.cat(labels).numpy(), plan)


def scores_of(loss: float, predicted: np.ndarray, actual: np.ndarray, plan: Plan) -> dict[str, Number]:
    """The row of an evaluation, from the summed loss (nats) and the labels of all examples."""
    scores: dict[str, Number] = {"loss": loss / len(actual), "accuracy": float((predicted == actual).mean())}
    if plan.config.task.metric != "accuracy":
        scores[plan.config.task.metric] = CLASSIFICATION_METRICS[plan.config.task.metric](predicted, actual)
    return scores


def f1(predicted: np.ndarray, actual: np.ndarray) -> float:
    """F1 of class 1, in [0, 1]: `2 TP / (2 TP + FP + FN)`; 0 where class 1 neither occurs nor is predicted."""
    true_positive = int(((predicted == 1) & (actual == 1)).sum())
    wrong = int(((predicted == 1) != (actual == 1)).sum())
    return 2 * true_positive / (2 * true_positive + wrong) if true_positive else 0.0


def matthews_correlation(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Matthews correlation of two labellings, in [-1, 1], for any number of classes (Gorodkin 2004).

    0 where either labelling has one class alone.
    """
    num_classes = int(max(predicted.max(), actual.max())) + 1
    confusion = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes).astype(np.float64)
    predicted_counts, actual_counts, total = confusion.sum(0), confusion.sum(1), confusion.sum()
    covariance = np.trace(confusion) * total - predicted_counts @ actual_counts
    spread = (total**2 - predicted_counts @ predicted_counts) * (total**2 - actual_counts @ actual_counts)
    return float(covariance / math.sqrt(spread)) if spread else 0.0


CLASSIFICATION_METRICS = {"f1": f1, "matthews_correlation": matthews_correlation}
