"""Which runs can be trained as one tensor, and how many of them fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from warmup_lab.models import logits_of
from warmup_lab.plan import Plan, digest_of
from warmup_lab.system import available_ram
from warmup_lab.tasks import Task, collate
from warmup_lab.training import build
from warmup_lab.training.stacked.optimizers import RULES, can_be_stacked

_SHARE = {"cuda": 0.85, "cpu": 0.5}
"""Fraction of free memory that a group may use. A CPU shares its memory with other programs."""
_WEIGHT_COPIES = 6
"""Copies of the weights at the peak of an update, without moments: weights, gradient, parts of the gradient before they
are joined, the embedding table that the forward pass reads, and two temporaries of the optimizer."""
_WORKSPACE = 1.5
"""Memory of forward and backward pass, relative to the activations saved for the backward pass."""


def group_key(plan: Plan) -> str | None:
    """A key that runs share if they have the same shapes and can be stacked; None for a run that cannot be stacked."""
    config = plan.config
    alone = (
        bool(config.probe.wanted)
        or plan.device.split(":")[0] not in _SHARE
        or not can_be_stacked(config.optimizer)
    )  # fmt: skip
    if alone:
        return None
    shared = {
        "model": asdict(config.model),
        "corpus": plan.corpus.digest,
        "task": (config.task.metric, config.task.max_length),
        "batch": (config.batch_size, config.grad_accumulation),
        "updates": (plan.total_steps, config.eval_every, config.checkpoint_every),
        "optimizer": config.optimizer.name,
        "machine": (plan.device, plan.precision, plan.num_threads),
    }
    return digest_of(shared)


def groups_of(plans: Sequence[Plan]) -> list[list[int]]:
    """Indices of the plans, grouped by `group_key`, in the order of each group's first plan."""
    groups: dict[str | int, list[int]] = {}
    for index, plan in enumerate(plans):
        groups.setdefault(group_key(plan) or index, []).append(index)
    return list(groups.values())


def num_that_fit(plan: Plan, task: Task) -> int:
    """How many runs like this one fit into free memory; at least 1."""
    kind = plan.device.split(":")[0]
    return max(1, int(_SHARE[kind] * _free_bytes(plan.device) / bytes_a_run(plan, task)))


def bytes_a_run(plan: Plan, task: Task) -> float:
    """Memory that one more run needs: weights and moments are counted, activations measured on the longest batch."""
    model, _ = build(plan, task, "cpu")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    copies = _WEIGHT_COPIES + len(RULES[plan.config.optimizer.name].state)
    return 4 * parameters * copies + _WORKSPACE * _activation_bytes(model, plan, task)


def _activation_bytes(model: torch.nn.Module, plan: Plan, task: Task) -> int:
    """Bytes that a forward pass over the longest examples saves for the backward pass, without the weights."""
    longest = np.argsort(task.train.lengths)[-plan.config.batch_size :]
    sizes = {parameter.untyped_storage().data_ptr(): 0 for parameter in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits_of(model, collate(task.train, longest, task.pad_id), plan.precision)
    return sum(sizes.values())


def _free_bytes(device: str) -> float:
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return available_ram()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is a lack of memory, so that a smaller group may succeed.

    The CPU's allocator raises a plain RuntimeError.
    """
    memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return memory or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
