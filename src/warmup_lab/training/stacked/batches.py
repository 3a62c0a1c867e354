"""Batches of a stack of runs, gathered on the device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from warmup_lab.plan import Plan
from warmup_lab.tasks import Batch, Examples


class TokenTable:
    """Examples on the device, from which batches are cut there: only their indices travel."""

    def __init__(self, examples: Examples, plan: Plan, pad_id: int) -> None:
        self._lengths = examples.lengths
        self._device, self._pad_id, self._longest = plan.device, pad_id, plan.config.task.max_length
        # Few different widths on a GPU, so that its allocator and kernels see the same shapes again.
        self._multiple = 8 if plan.device.startswith("cuda") else 1
        self._token_ids, self._type_ids, self._offsets, self._labels = (
            torch.from_numpy(array).to(plan.device)
            for array in (examples.token_ids, examples.type_ids, examples.offsets, examples.labels)
        )

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """As `tasks.collate`, for indices of any shape `(..., B)`, padded to the longest of all."""
        longest = int(self._lengths[indices].max())
        width = min(-(-longest // self._multiple) * self._multiple, max(self._longest, longest))
        chosen = torch.from_numpy(indices)
        if self._device.startswith("cuda"):
            chosen = chosen.pin_memory()
        chosen = chosen.to(self._device, non_blocking=True)
        starts, ends = self._offsets[chosen], self._offsets[chosen + 1]
        places = starts[..., None] + torch.arange(width, device=self._device)  # (..., B, S)
        mask = places < ends[..., None]
        places = torch.where(mask, places, 0)
        return {
            "input_ids": torch.where(mask, self._token_ids[places].long(), self._pad_id),
            "attention_mask": mask.long(),
            "token_type_ids": torch.where(mask, self._type_ids[places].long(), 0),
            "labels": self._labels[chosen],
        }
