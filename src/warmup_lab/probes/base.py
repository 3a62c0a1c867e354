"""What all probes share: what they see of a run, the fixed batch that some measure on, and leaving no mark.

A probe reads the model before and after an update. Measuring on a fixed batch frees a number of the noise of batches:
its examples are drawn once a seed, so all strategies at one seed are measured on the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from warmup_lab.models import to_device
from warmup_lab.plan import Plan
from warmup_lab.runs import Number
from warmup_lab.system import probe_batch_rng
from warmup_lab.tasks import Batch, Task, collate


@dataclass(frozen=True)
class Setting:
    """What a probe measures on, for a whole run."""

    plan: Plan
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    batch: Batch
    """The fixed batch: `probe.batch_size` training examples, padded."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What probes carry from one measurement to the next: plain data and tensors, which checkpoints keep."""

    @property
    def weights(self) -> list[torch.nn.Parameter]:
        """What is trained."""
        return [weight for weight in self.model.parameters() if weight.requires_grad]


@dataclass(frozen=True)
class Update:
    """An update about to be made: the gradients are there, clipped."""

    step: int
    """Its 0-based index."""
    batches: Sequence[Batch]
    """Its micro-batches, as `evaluation.loss_sum` takes them."""
    grad_norm: float
    """Global L2 norm of its gradient before clipping."""


class Probe:
    """An instrument: called around each update that it probes, it gives its columns of the trace.

    It may change nothing: weights, gradients, optimizer state, random state and mode are as they were when a call ends.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def before_update(self, update: Update) -> None:
        """Measures what has to be measured before the weights change."""

    def after_update(self) -> Mapping[str, Number]:
        """The columns; None where there is no number."""
        raise NotImplementedError


def probe_batch(task: Task, size: int, *, seed: int, device: str) -> Batch:
    """`size` training examples, or all of them where there are fewer; a pure function of the seed."""
    order = probe_batch_rng(seed).permutation(len(task.train))
    return to_device(collate(task.train, order[:size], task.pad_id), device)


@contextmanager
def dropout_off(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside, the mode of before outside."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def logits_of_batch(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """`(B, num_classes)`, in float32 whatever the run's precision: rounding to bfloat16 would drown differences."""
    logits: torch.Tensor = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    return logits


def mean_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of a fixed batch, nats, in float32."""
    return F.cross_entropy(logits_of_batch(model, batch).float(), batch["labels"])


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
