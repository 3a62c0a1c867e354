"""What all probes share: what they see of a run, the fixed batch, and helpers to measure on it.

A probe reads the model before and after an update. Some probes measure on a fixed batch, so their numbers have no batch
noise. Its examples depend on the seed only, so all strategies of one seed are measured on the same examples.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
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
class ProbeContext:
    """What a probe sees of its run, for the whole run."""

    plan: Plan
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    batch: Batch
    """The fixed batch: `probe.batch_size` training examples, padded."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What probes keep between measurements: plain data and tensors only, because checkpoints save it."""

    @property
    def weights(self) -> list[torch.nn.Parameter]:
        """The trained weights."""
        return [weight for weight in self.model.parameters() if weight.requires_grad]


@dataclass(frozen=True)
class PendingUpdate:
    """An update just before the optimizer's step. The gradients are computed and clipped."""

    step: int
    """0-based index."""
    batches: Sequence[Batch]
    """Its micro-batches, as `models.loss_sum` takes them."""
    grad_norm: float
    """Global L2 norm of the gradient before clipping."""


class Probe(ABC):
    """Measures around the updates that it probes, and returns its columns of the trace.

    A probe must not change the run. After each call, weights, gradients, optimizer state, random state and train / eval
    mode are as before.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, context: ProbeContext) -> None:
        self._context = context

    def before_update(self, update: PendingUpdate) -> None:  # noqa: B027  # most probes need no more
        """Measures what must be measured before the weights change."""

    @abstractmethod
    def after_update(self) -> Mapping[str, Number]:
        """The value of each column; None if it is not defined."""


def probe_batch(task: Task, size: int, *, seed: int, device: str) -> Batch:
    """`size` training examples, or all if there are fewer. A pure function of the seed."""
    order = probe_batch_rng(seed).permutation(len(task.train))
    return to_device(collate(task.train, order[:size], task.pad_id), device)


@contextmanager
def dropout_off(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block. The previous mode is restored after it."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def batch_logits(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """`(B, num_classes)`, in float32 for every precision of the run: bfloat16 rounding would hide small differences."""
    logits: torch.Tensor = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    return logits


def mean_loss(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of a fixed batch, in nats, in float32."""
    return F.cross_entropy(batch_logits(model, batch).float(), batch["labels"])


def finite_or_none(value: float) -> float | None:
    """`value`, or None if it is NaN or infinite."""
    return value if math.isfinite(value) else None
