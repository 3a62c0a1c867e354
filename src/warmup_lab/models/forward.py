"""The forward pass and the loss of a batch, padded or packed."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from warmup_lab.models.packed_forward import packed_logits
from warmup_lab.tasks import Batch


def to_device(batch: Batch, device: str) -> Batch:
    """The batch with all its tensors on `device`."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def logits_of(model: torch.nn.Module, batch: Batch, precision: str) -> torch.Tensor:
    """`(B, num_classes)` in float32, for a forward pass in `precision` (`fp32` or `bf16`)."""
    device_type = batch["labels"].device.type
    with torch.autocast(device_type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        if "segments" in batch:
            return packed_logits(model, batch).float()
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        logits: torch.Tensor = model(**inputs).logits
        return logits.float()


def loss_sum(model: torch.nn.Module, batch: Batch, precision: str) -> torch.Tensor:
    """Cross-entropy summed over the batch, in nats."""
    return F.cross_entropy(logits_of(model, batch, precision), batch["labels"], reduction="sum")
