"""Batches of stacked runs, gathered on the device."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from warmup_lab.plan import Plan
from warmup_lab.tasks import Batch, Examples, Task, batch_indices
from warmup_lab.training import Run


class TokenTable:
    """Examples on the device. A batch is gathered there, so only indices are copied to the device."""

    def __init__(self, examples: Examples, plan: Plan, pad_id: int) -> None:
        self._lengths = examples.lengths
        self._device, self._pad_id, self._longest = plan.device, pad_id, plan.config.task.max_length
        # A GPU's allocator and kernels are faster if they see the same few shapes again and again.
        self._multiple = 8 if plan.device.startswith("cuda") else 1
        self._token_ids, self._type_ids, self._offsets, self._labels = (
            torch.from_numpy(array).to(plan.device)
            for array in (examples.token_ids, examples.type_ids, examples.offsets, examples.labels)
        )

    def batch(self, indices: NDArray[np.int64]) -> Batch:
        """The batch that `tasks.collate` makes, for indices of any shape `(..., B)`, padded to the longest of all.

        `examples` are the indices themselves.
        """
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
            "examples": chosen,
        }


class TrainBatches:
    """The training batches of stacked runs: every run has its own order of the data, that of the run alone."""

    def __init__(self, task: Task, runs: Sequence[Run]) -> None:
        self._plan = runs[0].plan
        self._num_examples = len(task.train)
        self._seeds = [run.plan.config.seed for run in runs]
        self._table = TokenTable(task.train, self._plan, task.pad_id)

    def of_update(self, step: int) -> list[Batch]:
        """The micro-batches of an update; their tensors are `(K, B, S)`, labels and examples `(K, B)`."""
        config = self._plan.config
        epoch, place = divmod(step, self._plan.steps_per_epoch)
        orders = [_order(self._num_examples, config.batch_size, seed, epoch) for seed in self._seeds]
        first = place * config.grad_accumulation
        numbers = range(first, min(first + config.grad_accumulation, len(orders[0])))
        return [self._table.batch(np.stack([order[number] for order in orders])) for number in numbers]


@functools.lru_cache(maxsize=256)
def _order(num_examples: int, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """`tasks.batch_indices`, cached because every update asks for it."""
    return batch_indices(num_examples, batch_size, seed, epoch)
