"""Evaluation of many stacked runs on the validation examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from warmup_lab.plan import Plan
from warmup_lab.runs import Number
from warmup_lab.tasks import Task
from warmup_lab.training import eval_batch_size, scores_of
from warmup_lab.training.stacked.batches import TokenTable
from warmup_lab.training.stacked.model import Stack


@torch.no_grad()
def evaluate_stack(
    stack: Stack, validation: TokenTable, task: Task, plan: Plan, numbers: Sequence[int]
) -> list[dict[str, Number]]:
    """The scores of these rows of the stack, each as `training.evaluate` gives them for one run; dropout is off."""
    order = np.argsort(task.validation.lengths, kind="stable")
    size = eval_batch_size(plan)
    num_runs = len(stack.weights)
    losses = torch.zeros(num_runs, dtype=torch.float64, device=plan.device)
    predictions = []
    stack.model.eval()
    for start in range(0, len(order), size):
        batch = validation.batch(order[start : start + size])
        logits = stack.logits(batch, plan.precision)
        labels = batch["labels"].expand(num_runs, -1)
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses += each.view(labels.shape).sum(1)
        predictions.append(logits.argmax(-1))
    stack.model.train()
    predicted, actual = torch.cat(predictions, 1).cpu().numpy(), task.validation.labels[order]
    summed = losses.tolist()
    return [scores_of(summed[number], predicted[number], actual, plan) for number in numbers]
